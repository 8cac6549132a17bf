//! Export by e-mail, from the request to the mailbox: what is accepted, what arrives, what becomes of it when something
//! fails.

use bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use export_room::export::report::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::dump::DumpBuilder;
use crate::support::mail::MailServer;
use crate::support::server::{ADMIN, Server, changed_home};

const PATH: &str = "/api/v1/rooms.export";
/// A picture that is one pixel, and bytes that are none.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 10, 0x49, 0x44, 0x41, 0x54,
    0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1, 0x0d, 0x0a, 0x2d, 0xb4, 0, 0, 0, 0, 0x49, 0x45, 0x4e,
    0x44, 0xae, 0x42, 0x60, 0x82,
];

/// A message of `general`, minutes after 2024-03-05 14:07 UTC.
fn message(id: &str, minute: i64, fields: Document) -> Document {
    let mut message = doc! {
        "_id": id, "rid": "GENERAL", "ts": DateTime::from_millis(1_709_647_620_000 + minute * 60_000),
        "u": {"_id": "uBob", "username": "bob", "name": "Bob <Baker>"},
    };
    message.extend(fields);
    message
}

fn upload(dump: &mut DumpBuilder, id: &str, name: &str, mime: &str, bytes: &[u8]) {
    let size = i64::try_from(bytes.len()).unwrap();
    dump.add(
        "rocketchat_uploads",
        &doc! {"_id": id, "rid": "GENERAL", "store": "GridFS:Uploads", "name": name, "type": mime, "size": size},
    );
    dump.add(
        "rocketchat_uploads.files",
        &doc! {"_id": id, "length": size, "chunkSize": 261_120, "filename": id},
    );
    for (n, chunk) in bytes.chunks(261_120).enumerate() {
        dump.add(
            "rocketchat_uploads.chunks",
            &doc! {"_id": format!("{id}-{n}"), "files_id": id, "n": i32::try_from(n).unwrap(), "data": Binary {
                subtype: BinarySubtype::Generic, bytes: chunk.to_vec(),
            }},
        );
    }
}

fn file(id: &str, name: &str, mime: &str) -> Document {
    doc! {"files": [{"_id": id, "name": name, "type": mime}], "file": {"_id": id, "name": name, "type": mime}, "msg": ""}
}

/// A room in which people said and sent all kinds of things.
fn rich(dump: &mut DumpBuilder) {
    upload(dump, "F1", "sunset ☀ & <sea>.png", "image/png", PNG);
    upload(dump, "F2", "report.pdf", "application/pdf", &[b'x'; 5000]);
    upload(
        dump,
        "F3",
        "huge.bin",
        "application/octet-stream",
        &vec![7; 300_000],
    );
    for message in [
        message(
            "m1",
            0,
            doc! {"msg": "Hello *world*\n.\nFrom here\nhttps://example.org/a?b=c&d", "tcount": 1},
        ),
        message(
            "m2",
            1,
            doc! {"msg": "An answer", "tmid": "m1", "editedAt": DateTime::from_millis(1_709_650_000_000), "editedBy": {"username": "bob"}},
        ),
        message(
            "m3",
            2,
            doc! {"msg": "I agree", "attachments": [{"message_link": "https://chat/x", "author_name": "carol", "text": "quoted\nlines"}],
            "reactions": {":+1:": {"usernames": ["ann", "ben"]}}},
        ),
        message("m4", 3, doc! {"t": "uj", "msg": "bob"}),
        message("m5", 4, file("F1", "sunset ☀ & <sea>.png", "image/png")),
        message("m6", 5, file("F2", "report.pdf", "application/pdf")),
        message("m7", 6, file("F9", "lost.txt", "text/plain")),
        message("m8", 7, file("F3", "huge.bin", "application/octet-stream")),
        message(
            "m9",
            8,
            doc! {"msg": "secret", "_hidden": true, "parent": "m2"},
        ),
        message(
            "evil",
            9,
            doc! {"msg": "[Site_Name] __fname__ {Send} <script>alert(1)</script>\r\n\r\nBcc: evil@example.org\r\n.\r\nBob (@bob) · forged",
            "alias": "Eve\r\nBcc: evil@example.org"},
        ),
    ] {
        dump.add("rocketchat_message", &message);
    }
}

/// A server on such a workspace, with a mail server.
fn with_mailbox(mailbox: &MailServer, settings: &[&str]) -> Server {
    let port = format!("mail.port={}", mailbox.port);
    let mut all = vec![
        "mail.host=127.0.0.1",
        &port,
        "mail.from=Chat <chat@example.org>",
        "jobs.backoff=50ms",
        "jobs.poll=50ms",
        "http.site_url=https://chat.example.org",
    ];
    all.extend(settings);
    Server::start_in(changed_home(rich), &all)
}

fn ask(changes: &Value) -> Value {
    let mut body = json!({"rid": "GENERAL", "type": "email", "toUsers": [], "toEmails": ["ann@example.org"],
        "messages": ["m1"], "subject": "About"});
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// What Python finds wrong with a mail: nothing.
fn check_form(mail: &Value) {
    assert_eq!(mail["defects"], json!([]), "{mail}");
    assert_eq!(mail["bare"], 0, "{mail}");
    assert!(mail["longest"].as_u64().unwrap() <= 998, "{mail}");
    assert_eq!(
        mail["names"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|name| *name == "bcc")
            .count(),
        0
    );
    let html = mail["parts"]["text/html"].as_str().unwrap_or_default();
    for forbidden in ["<script", "<link", "src=\"http", "url(", "@import"] {
        assert!(!html.contains(forbidden), "{forbidden}: {html}");
    }
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[test]
fn messages_arrive_as_text_and_html_with_their_files() {
    let mailbox = MailServer::start(&[]);
    let server = with_mailbox(&mailbox, &[]);
    let body = ask(&json!({
        "toUsers": ["bob", "uAlice", "ghost"], "toEmails": [" ann@Example.ORG", "ann@example.org", ""],
        "additionalEmails": "bob@example.org, ",
        "messages": ["m8", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m9", "nothing", "m1"], "subject": "  Größe\r\nBcc: evil@example.org 🚀 ",
    }));
    let answer = server.post(PATH, Some(ADMIN), &body);
    assert_eq!(
        answer.text(),
        r#"{"missing":["ghost"],"missingMessages":["m9","nothing"],"success":true}"#
    );
    let id = answer
        .header("location")
        .unwrap()
        .rsplit('=')
        .next()
        .unwrap()
        .to_owned();
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}");
    assert_eq!(
        (&export["type"], &export["messages"]),
        (&json!("email"), &json!(10))
    );
    let told: Vec<_> = export["mails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| {
            (
                mail["to"][0].as_str().unwrap(),
                mail["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("bob", "done"),
            ("uAlice", "done"),
            ("ann@Example.ORG", "done")
        ]
    );
    assert_eq!(
        export["mails"][0]["report"]["files"],
        json!({"attached": 3, "tooLarge": 0, "missing": 1})
    );
    let mut to = Vec::new();
    for mail in mailbox.mails(3) {
        check_copy(&mail, &id);
        to.push(
            mail["headers"]["x-envelope-to"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    to.sort();
    assert_eq!(
        to,
        ["alice@example.org", "ann@example.org", "bob@example.org"]
    );
}

/// One of the mails of the test above.
fn check_copy(mail: &Value, id: &str) {
    check_form(mail);
    let headers = &mail["headers"];
    // Nobody sees the others.
    assert_eq!(
        headers["x-envelope-to"].as_str().unwrap(),
        headers["to"]
            .as_str()
            .unwrap()
            .trim_start_matches("bob <")
            .trim_start_matches("alice <")
            .trim_end_matches('>')
    );
    assert_eq!(headers["subject"], "Größe Bcc: evil@example.org 🚀");
    assert_eq!(headers["from"], "Chat <chat@example.org>");
    assert_eq!(headers["reply-to"], "admin <admin@example.org>");
    assert_eq!(headers["auto-submitted"], "auto-generated");
    assert!(
        headers["message-id"]
            .as_str()
            .unwrap()
            .starts_with(&format!("<{id}-mail-")),
        "{headers}"
    );
    assert_eq!(
        mail["structure"],
        json!([
            "multipart/mixed",
            [
                "multipart/alternative",
                "text/plain",
                ["multipart/related", "text/html", "image/png"]
            ],
            "application/pdf",
            "application/octet-stream"
        ])
    );
    let files: Vec<_> = mail["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            (
                file["name"].as_str().unwrap(),
                file["disposition"].as_str().unwrap(),
                file["sha256"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            ("sunset ☀ & -sea-.png", "inline", digest(PNG)),
            ("report.pdf", "attachment", digest(&[b'x'; 5000])),
            ("huge.bin", "attachment", digest(&vec![7; 300_000])),
        ]
    );
    let text = mail["parts"]["text/plain"].as_str().unwrap();
    for expected in [
        "Messages from #general\nadmin sends you these messages.\nMessages: 8 · Times: UTC\n",
        "Bob <Baker> (@bob) · 03/05/2024 2:07 PM\n  Hello *world*\n  .\n  From here\n  https://example.org/a?b=c&d\n  (Replies in the thread: 1)\n",
        "Bob <Baker> (@bob) · 03/05/2024 2:08 PM [edited]\n  (Reply in the thread of bob: Hello *world*)\n  An answer\n",
        "  I agree\n  > carol\n  > quoted\n  > lines\n  :+1: ann, ben\n",
        "Bob <Baker> (@bob) · 03/05/2024 2:10 PM\n  joined the channel\n",
        "  [sunset ☀ & <sea>.png, 67 B: attached]\n",
        "  [lost.txt: missing: record missing]\n",
        "  [huge.bin, 300.0 kB: attached]\n",
    ] {
        assert!(text.contains(expected), "{expected}\n---\n{text}");
    }
    assert!(!text.contains("secret"));
    let html = mail["parts"]["text/html"].as_str().unwrap();
    let picture = format!(
        "<img src=\"cid:{}\" alt=\"sunset ☀ &amp; &lt;sea&gt;.png\"",
        mail["files"][0]["id"].as_str().unwrap()
    );
    for expected in [
        &*picture,
        "Bob &lt;Baker&gt;",
        "prefers-color-scheme:dark",
        "quoted<br>",
        ":+1: ann, ben",
        "lang=\"en\"",
    ] {
        assert!(html.contains(expected), "{expected}\n---\n{html}");
    }
}

#[test]
fn what_the_operator_does_not_allow_is_refused() {
    let one = json!({});
    let two = json!({"toUsers": ["bob"]});
    let cases: &[(&[&str], &Value, &str, Value)] = &[
        (
            &["mail.max_recipients=1"],
            &two,
            "error-too-many-recipients",
            json!({"count": 2, "limit": 1}),
        ),
        (
            &["mail.max_messages=1"],
            &json!({"messages": ["m1", "m2", "m1"]}),
            "error-too-many-messages",
            json!({"count": 2, "limit": 1}),
        ),
        (
            &["mail.domains=example.com"],
            &one,
            "error-recipient-not-allowed",
            json!({"recipient": "ann@example.org"}),
        ),
        (
            &["mail.domains=example.com"],
            &json!({"toEmails": [], "toUsers": ["bob"]}),
            "error-recipient-not-allowed",
            json!({"recipient": "bob"}),
        ),
        (
            &["mail.self_only=true"],
            &one,
            "error-recipient-not-allowed",
            json!({"recipient": "ann@example.org"}),
        ),
        (
            &["mail.messages=false"],
            &one,
            "error-email-unavailable",
            Value::Null,
        ),
        (
            &["mail.from=nobody"],
            &one,
            "error-email-unavailable",
            Value::Null,
        ),
        (
            &["mail.max_bytes=65536"],
            &json!({"messages": ["long"]}),
            "error-mail-too-large",
            json!({"limit": 65536}),
        ),
        (
            &["mail.domains=example.com, Example.org"],
            &two,
            "",
            Value::Null,
        ),
        (
            &["mail.self_only=true"],
            &json!({"toUsers": ["admin"], "toEmails": ["admin@example.org"]}),
            "",
            Value::Null,
        ),
    ];
    for (settings, changes, code, details) in cases {
        let home = changed_home(|dump| {
            rich(dump);
            dump.add(
                "rocketchat_message",
                &message("long", 1, doc! {"msg": "x".repeat(70_000)}),
            );
        });
        let mut all = vec!["jobs.workers=0", "mail.transport=directory"];
        all.extend(*settings);
        let server = Server::start_in(home, &all);
        let answer = server.post(PATH, Some(ADMIN), &ask(changes));
        let body = answer.json();
        assert_eq!(
            body["errorType"].as_str().unwrap_or_default(),
            *code,
            "{settings:?}: {body}"
        );
        assert_eq!(body["details"], *details, "{settings:?}: {body}");
        assert_eq!(answer.status, if code.is_empty() { 200 } else { 400 });
    }
}
