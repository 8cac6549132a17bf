//! Other people's programs as clients: the stock Python client, curl as the demo says, a fuzzer, and many at once.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::cli::{command, entries, manifest, text};
use crate::support::demo::{self, ADMIN};
use crate::support::mail::{MailServer, python};
use crate::support::server::{Server, signal, wait_for};

fn assert_success(output: &Output, server: &Server) {
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        server.log()
    );
}

#[test]
fn the_stock_python_client_exports_a_room() {
    let server = demo::start(&["mail.ready=false"]);
    let output = python("tests/clients/rocketchat_api.py")
        .args([
            &server.base,
            "admin",
            "admin-test-password",
            ADMIN.0,
            ADMIN.1,
            "GENERAL",
        ])
        .output()
        .unwrap();
    assert_success(&output, &server);
}

#[test]
fn the_commands_that_the_demo_prints_work() {
    let place = tempfile::tempdir().unwrap();
    let said = place.path().join("said");
    let mut demo = command(&["demo", "--listen", "127.0.0.1:0"])
        .current_dir(place.path())
        .env_remove("SOURCE_DATE_EPOCH")
        .stdout(Stdio::piped())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(demo.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("Export Room answers on "), "{line}");
    let said = fs::read_to_string(said).unwrap();
    let commands: Vec<_> = said.lines().filter(|line| line.contains("curl ")).collect();
    let [ask, status, download, mail] = commands[..] else {
        panic!("{said}");
    };
    let shell = |script: &str| {
        let output = Command::new("bash")
            .args(["-c", script])
            .current_dir(place.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let id = shell(&format!("{ask}\necho \"$ID\""));
    let id = format!("ID={}", id.trim());
    wait_for("the export to be done", || {
        let status: Value = serde_json::from_str(&shell(&format!("{id}\n{status}"))).unwrap();
        (status["export"]["state"] == "done").then_some(())
    });
    shell(&format!("{id}\n{download}"));
    let zip = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "zip"))
        .expect("curl saved a ZIP under the name that the server gave");
    assert_eq!(manifest(&entries(&zip))["messages"]["rendered"], 1633);
    assert_eq!(shell(mail), r#"{"missing":[],"success":true}"#);
    let mails = place.path().join("export-room-demo/mails");
    assert!(
        said.contains("export-room-demo/mails"),
        "where mails are: {said}"
    );
    wait_for("two mails", || {
        let files = fs::read_dir(&mails)
            .ok()?
            .map(|entry| entry.unwrap().path());
        (files
            .filter(|file| file.extension().is_some_and(|kind| kind == "eml"))
            .count()
            == 2)
            .then_some(())
    });
    signal(&demo, "INT");
    let status = wait_for("the demo to end", || demo.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_fuzzer_finds_nothing_that_the_document_does_not_say() {
    let server = demo::start(&["mail.ready=false", "jobs.per_user_waiting=100000"]);
    // Ends the logins that the others use: apart, at the end.
    let logout = "/api/v1/logout";
    let examples = "25";
    for only in [["--exclude-path", logout], ["--include-path", logout]] {
        let output = fuzz(&server, &only, examples);
        assert_success(&output, &server);
    }
    let log = server.log();
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
}

/// Lets schemathesis make requests of all kinds, the same each time.
fn fuzz(server: &Server, more: &[&str], examples: &str) -> Output {
    let schemathesis =
        Path::new(&std::env::var_os("EXPORT_ROOM_PYTHON").unwrap()).with_file_name("schemathesis");
    Command::new(schemathesis)
        .args(["run", &format!("{}/openapi.json", server.base)])
        .args(["-H", &format!("X-User-Id: {}", ADMIN.0)])
        .args(["-H", &format!("X-Auth-Token: {}", ADMIN.1)])
        .args(["--checks", "all", "--seed", "1", "--max-examples", examples])
        // A request may be well formed and name a room that is not there.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--suppress-health-check", "all", "--no-color"])
        .args(more)
        // It remembers what it found; each run is to be the same.
        .current_dir(server.home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn many_clients_at_once_lose_nothing() {
    let server = demo::start(&[
        "mail.ready=false",
        "jobs.workers=4",
        "jobs.per_user_running=4",
    ]);
    let report = load(&server, 200, 5);
    assert_eq!(report["strange"], json!([]), "{report}");
}

/// Runs `load.py` on a server of the demo workspace.
fn load(server: &Server, clients: u32, seconds: u32) -> Value {
    let users = server.home.path().join("users.json");
    let user = json!([{"id": ADMIN.0, "token": ADMIN.1, "room": "GENERAL"}]);
    fs::write(&users, user.to_string()).unwrap();
    let output = python("tests/clients/load.py")
        .arg(&server.base)
        .args([server.child.id(), clients, seconds, 4].map(|number| number.to_string()))
        .arg(text(&users))
        .output()
        .unwrap();
    assert_success(&output, server);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_mail_with_the_link_comes_when_the_export_is_done() {
    let mail = MailServer::start(&["--later", "1"]);
    let port = format!("mail.port={}", mail.port);
    let server = demo::start(&[
        "mail.host=127.0.0.1",
        &port,
        "http.site_url=https://chat.example.org/base/",
        "store.keep=30d",
        "jobs.backoff=100ms",
    ]);
    let body = json!({"rid": "GENERAL", "type": "file", "format": "html", "dateTo": "2100-01-01"});
    let id = server.export(ADMIN, &body);
    let export = server.ended(ADMIN, &id);
    let arrived = mail.mail(1);
    let link = format!("https://chat.example.org/base/data-export/{id}");
    let headers = &arrived["headers"];
    assert_eq!(headers["subject"], "Export of #general is ready");
    assert_eq!(headers["to"], "Admin <admin@chat.example.org>");
    assert_eq!(headers["from"], "no-reply@chat.example.org");
    assert_eq!(headers["auto-submitted"], "auto-generated");
    let message_id = headers["message-id"].as_str().unwrap();
    assert!(
        message_id.ends_with("@export-room.invalid>"),
        "{message_id}"
    );
    let text = arrived["parts"]["text/plain"].as_str().unwrap();
    assert!(text.lines().any(|line| line == link), "{text}");
    let html = arrived["parts"]["text/html"].as_str().unwrap();
    assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    let digest = export["report"]["sha256"]
        .as_str()
        .or(export["sha256"].as_str());
    for part in [text, html] {
        for words in [
            "1,633",
            "from the beginning to 2100-01-01",
            "Kept until",
            "#general (channel)",
        ] {
            assert!(part.contains(words), "{words}: {part}");
        }
        if let Some(digest) = digest {
            assert!(part.contains(digest), "{part}");
        }
    }
    for forbidden in ["<script", "<img", "<link", "url(", "{{"] {
        assert!(!html.contains(forbidden), "{forbidden}: {html}");
    }
}

#[test]
fn an_export_without_a_mail_is_done_and_says_why() {
    for (setting, words) in [
        ("mail.ready=false", "switched off"),
        ("mail.from=nobody", "no mail address"),
    ] {
        let server = demo::start(&[setting]);
        let body = json!({"rid": "GENERAL", "type": "file", "format": "json"});
        let id = server.export(ADMIN, &body);
        let export = server.ended(ADMIN, &id);
        assert_eq!(export["state"], "done", "{export}");
        assert!(export.to_string().contains(words), "{export}");
    }
}
