//! Memory does not grow with the room.

use std::path::Path;

use crate::support::cli::{run, text};
use crate::support::fill::fill;
use crate::support::generate;
use crate::support::mongo::MongoPlace;

const MIB: u64 = 1024 * 1024;

/// Peak memory of an export in bytes, as the process itself reports it.
fn peak(address: &str, form: &[&str], zip: &Path, messages: u64) -> u64 {
    let fixed = [
        "export",
        "--workspace",
        address,
        "--room",
        generate::NAME,
        "--progress",
        "json",
        "--force",
        "--threads",
        "2",
        "-o",
        text(zip),
    ];
    let ran = run(&[&fixed[..], &["--format"], form].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(line["messages"], messages);
    line["peakBytes"].as_u64().unwrap()
}

#[test]
fn a_million_messages_take_the_memory_of_ten_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let small = addresses(directory.path(), 10_000);
    for (small, large) in small.iter().zip(addresses(directory.path(), 1_000_000)) {
        for format in ["html", "json"] {
            check_growth(&[format], &zip, (small, 10_000), (&large, 1_000_000));
        }
    }
}

// A mail has some 3 kB around its text: a tenth of the messages shows as much.
#[test]
fn a_hundred_thousand_mails_take_the_memory_of_ten_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let [small, _] = addresses(directory.path(), 10_000);
    let [large, _] = addresses(directory.path(), 100_000);
    for format in ["mbox", "eml"] {
        check_growth(&[format], &zip, (&small, 10_000), (&large, 100_000));
    }
}

// The server of the tests gives some twenty thousand messages a second, in the order of one question after looking for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_room_of_many_messages_takes_the_memory_of_a_small_one() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let (few, many) = (5_000, 50_000);
    let [small, large] = [few, many].map(|_| MongoPlace::new());
    for (place, messages) in [(&small, few), (&large, many)] {
        let dump = directory.path().join(messages.to_string());
        generate::dump(&dump, messages).unwrap();
        fill(&place.database().await, &dump.join("rocketchat")).await;
    }
    // From the server at once, and by way of the disk.
    for form in [&["json", "--no-attachments"][..], &["json"], &["html"]] {
        check_growth(form, &zip, (&small.address, few), (&large.address, many));
    }
}

/// A room of so many messages, in a workspace file and as a dump.
fn addresses(directory: &Path, messages: u64) -> [String; 2] {
    let dump = directory.join(format!("dump{messages}"));
    let database = directory.join(format!("chat{messages}.db"));
    generate::dump(&dump, messages).unwrap();
    let sqlite = format!("sqlite:{}", database.display());
    let ran = run(&["import", text(&dump), "--workspace", &sqlite]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    [sqlite, format!("dump:{}", dump.display())]
}

/// Exports a small and a large room, each with its number of messages.
fn check_growth(form: &[&str], zip: &Path, small: (&str, u64), large: (&str, u64)) {
    let [few, many] = [small, large].map(|(address, messages)| peak(address, form, zip, messages));
    assert!(many <= 48 * MIB, "{form:?}: {many} bytes");
    assert!(
        many <= few + 8 * MIB,
        "{form:?}: {few} bytes for {} messages, {many} for {}",
        small.1,
        large.1
    );
}
