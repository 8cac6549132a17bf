//! A room as mails: read by Python, and by notmuch, which must find the room's messages and threads.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cli::{run, text};
use crate::support::demo;
use crate::support::mail::python;

/// Exports the demo's room in a form, proves the ZIP whole and unpacks it.
fn exported(form: &str, place: &Path) -> Value {
    let zip = place.join(format!("{form}.zip"));
    let archive = format!(
        "dump:{}",
        text(&demo::directory().join("workspace.archive.gz"))
    );
    let files = demo::directory().join("files");
    let ran = run(&[
        "export",
        "--workspace",
        &archive,
        "--room",
        "general",
        "--format",
        form,
        "--files",
        text(&files),
        "-o",
        text(&zip),
    ]);
    assert!([0, 1].contains(&ran.code), "{}", ran.stderr);
    let verified = run(&["verify", text(&zip)]);
    assert!([0, 1].contains(&verified.code), "{}", verified.stderr);
    let unpacked = place.join(form);
    let status = Command::new("unzip")
        .args(["-q", text(&zip), "-d", text(&unpacked)])
        .status();
    assert!(status.unwrap().success());
    let manifest = fs::read_to_string(unpacked.join("manifest.json")).unwrap();
    serde_json::from_str(&manifest).unwrap()
}

/// What notmuch counts.
fn notmuch(config: &Path, arguments: &[&str]) -> String {
    let output = Command::new("notmuch")
        .args(arguments)
        .env("NOTMUCH_CONFIG", config)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_room_as_mails_has_its_messages_threads_and_files() {
    let place = tempfile::tempdir().unwrap();
    let lines = exported("json", place.path());
    let json = fs::read_to_string(place.path().join("json/general.json")).unwrap();
    let messages: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let threads: HashSet<_> = messages
        .iter()
        .map(|message| {
            let root = message.get("tmid").filter(|root| root.is_string());
            root.unwrap_or(&message["_id"]).as_str().unwrap()
        })
        .collect();
    assert!(threads.len() < messages.len(), "there are threads");
    let assets: BTreeSet<_> = lines["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["name"].as_str().unwrap().starts_with("assets/"))
        .map(|entry| entry["sha256"].as_str().unwrap())
        .collect();
    assert!(!assets.is_empty());
    for form in ["eml", "mbox"] {
        let manifest = exported(form, place.path());
        for part in ["/messages", "/files/missing"] {
            assert_eq!(manifest.pointer(part), lines.pointer(part), "{form} {part}");
        }
        let source = place.path().join(form);
        let source = match form {
            "mbox" => source.join("general.mbox"),
            _ => source,
        };
        let maildir = place.path().join(format!("{form}-mails"));
        let output = python("tests/support/read_mails.py")
            .args([&source, &maildir])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["count"], messages.len(), "{form}");
        assert_eq!(found["ids"], messages.len(), "{form}");
        assert_eq!(found["defects"], Value::Array(Vec::new()), "{form}");
        // The same bytes as in an export of another form.
        assert_eq!(found["files"], json!(assets), "{form}");
        let config = place.path().join(format!("{form}.config"));
        let settings = format!(
            "[database]\npath={}\n[user]\nname=Test\nprimary_email=test@example.org\n",
            maildir.display()
        );
        fs::write(&config, settings).unwrap();
        notmuch(&config, &["new", "--quiet"]);
        let all = notmuch(&config, &["count", "*"]);
        assert_eq!(all, messages.len().to_string(), "{form}");
        let counted = notmuch(&config, &["count", "--output=threads", "*"]);
        assert_eq!(counted, threads.len().to_string(), "{form}");
    }
}
