//! Export by e-mail, from the request to the mailbox: what is accepted, what arrives, what becomes of it when something
//! fails.

use std::fs;
use std::path::Path;

use bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype};
use export_room::export::report::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::cli::{Ran, run, text};
use crate::support::dump::DumpBuilder;
use crate::support::mail::{MailServer, python, read};
use crate::support::server::{ADMIN, ALICE, Server, changed_home, wait_for};

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
    let mut elsewhere = message("h1", 0, doc! {"msg": "help"});
    elsewhere.insert("rid", "helpdesk0000000001");
    dump.add("rocketchat_message", &elsewhere);
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

/// Asks for messages by mail; the export's id.
fn accepted(server: &Server, body: &Value) -> String {
    let answer = server.post(PATH, Some(ADMIN), body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let location = answer.header("location").unwrap();
    location.rsplit('=').next().unwrap().to_owned()
}

/// The mails in a directory, in the order of their names.
fn outbox(directory: &Path) -> Vec<Value> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// What Python finds wrong with a mail: nothing.
fn check_form(mail: &Value) {
    let defects = mail["defects"].as_array().unwrap();
    let found = defects.iter().filter(|defect| {
        // What it says of every address beyond ASCII, which RFC 6532 allows.
        let defect = defect.as_str().unwrap().to_lowercase();
        mail["ascii"] == true || !defect.contains("non-ascii characters")
    });
    assert_eq!(found.count(), 0, "{mail}");
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
        "toUsers": ["bob", "uAlice", "ghost"], "toEmails": [" ann@Example.ORG", "ANN@example.org", ""],
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
        "  I agree\n  > carol\n  > quoted\n  > lines\n  > (https://chat/x)\n  👍\u{fe0f} ann, ben\n",
        "Bob <Baker> (@bob) · 03/05/2024 2:10 PM\n  joined the channel\n",
        "  [sunset ☀ & <sea>.png, 67 B: attached]\n",
        "  [lost.txt: missing: no record of it]\n",
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
        "<div>quoted</div>\n<div>lines</div>",
        ">https://chat/x</a>",
        "Hello <strong>world</strong>",
        "href=\"https://example.org/a?b=c&amp;d\"",
        "👍\u{fe0f} ann, ben",
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
            &json!({"toUsers": [], "toEmails": ["Admin@example.org"]}),
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

#[test]
fn a_failing_server_is_tried_again_and_a_refusing_one_is_told_of() {
    let cases: &[(&[&str], &[&str], &str, &str)] = &[
        (&["--later", "2"], &[], "done", ""),
        // The connection ends in the middle of the mail.
        (&["--die", "1"], &[], "done", ""),
        (&["--refuse"], &[], "failed", "mail-refused"),
        // TLS that never comes about, for as long as the operator has patience.
        (
            &["--stall"],
            &["mail.timeout=200ms", "mail.give_up=1s"],
            "failed",
            "mail-later",
        ),
    ];
    for (arguments, settings, state, code) in cases {
        let mailbox = MailServer::start(arguments);
        let server = with_mailbox(&mailbox, settings);
        let id = accepted(&server, &ask(&json!({})));
        let export = server.ended(ADMIN, &id);
        assert_eq!(export["state"], *state, "{arguments:?}: {export}");
        let mail = &export["mails"][0];
        assert_eq!(mail["state"], *state);
        let error = mail["error"]["code"].as_str().unwrap_or_default();
        assert_eq!(error, *code, "{mail}");
        assert_eq!(mailbox.count(), usize::from(*state == "done"));
        let told = mail["error"]["message"].as_str().unwrap_or_default();
        assert!(
            !told.contains("127.0.0.1") && !told.contains("550"),
            "{told}"
        );
        if *state == "done" {
            check_form(&mailbox.mail(1));
        }
    }
}

#[test]
fn fifty_recipients_get_fifty_mails_over_few_connections() {
    let mailbox = MailServer::start(&[]);
    let server = with_mailbox(&mailbox, &[]);
    let to: Vec<_> = (0..50)
        .map(|number| format!("r{number}@example.org"))
        .collect();
    let id = accepted(&server, &ask(&json!({"toEmails": to})));
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}");
    assert_eq!(mailbox.count(), 50);
    let last = mailbox.mail(50);
    check_form(&last);
    assert_eq!(last["headers"]["x-connection"], "1");
    assert!(
        !last["headers"]["x-envelope-to"]
            .as_str()
            .unwrap()
            .contains(',')
    );
    let server = with_mailbox(&mailbox, &["mail.pool=false", "mail.together=true"]);
    let id = accepted(&server, &ask(&json!({"toEmails": to})));
    server.ended(ADMIN, &id);
    let one = mailbox.mail(51);
    check_form(&one);
    assert_eq!(
        one["headers"]["to"].as_str().unwrap().split(',').count(),
        50
    );
    assert_eq!(one["headers"]["x-connection"], "2");
    assert_eq!(mailbox.count(), 51);
}

#[test]
fn who_is_refused_keeps_nobody_from_a_mail_of_the_command_line() {
    let to = "a@example.org,no@example.org,b@example.org";
    for (more, sent, told) in [
        (
            &[][..],
            2,
            ["not sent to no@example.org", "sent to b@example.org"],
        ),
        (
            &["--together"],
            1,
            [
                "refused: no@example.org",
                "sent to a@example.org, b@example.org",
            ],
        ),
    ] {
        let mailbox = MailServer::start(&["--refuse-one", "no@example.org"]);
        let home = changed_home(rich);
        let chosen = [&["--room", "general", "--messages", "m1", "--to", to], more].concat();
        let ran = mail(&home, &mailbox, &chosen);
        assert_eq!(ran.code, 1, "{more:?}: {}", ran.stderr);
        assert_eq!(mailbox.count(), sent, "{more:?}");
        for told in told {
            assert!(
                ran.stderr.contains(told),
                "{more:?}: {told} is not in {}",
                ran.stderr
            );
        }
        assert!(
            !ran.stderr
                .contains("sent to a@example.org, b@example.org, no")
        );
    }
    // As many in a row as a server that is away is asked for.
    let refused = ["no1@example.org", "no2@example.org", "no3@example.org"];
    let options: Vec<_> = refused.iter().flat_map(|to| ["--refuse-one", to]).collect();
    let mailbox = MailServer::start(&options);
    let home = changed_home(rich);
    let to = format!("{},yes@example.org", refused.join(","));
    let ran = mail(
        &home,
        &mailbox,
        &["--room", "general", "--messages", "m1", "--to", &to],
    );
    assert_eq!((ran.code, mailbox.count()), (1, 1), "{}", ran.stderr);
    // A server that is away is not asked for everybody.
    let mailbox = MailServer::start(&["--later", "1000"]);
    let home = changed_home(rich);
    let many = "a@x.org,b@x.org,c@x.org,d@x.org,e@x.org";
    let ran = mail(
        &home,
        &mailbox,
        &["--room", "general", "--messages", "m1", "--to", many],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("not tried: the 2 after it"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("no mail was sent"), "{}", ran.stderr);
}

#[test]
fn a_mail_in_a_file_replaces_none_and_is_for_one() {
    let mailbox = MailServer::start(&[]);
    let home = changed_home(rich);
    let path = home.path().join("one.eml");
    let write = |more: &[&str]| {
        let chosen = ["--room", "general", "--messages", "m1", "-o", text(&path)];
        mail(&home, &mailbox, &[&chosen, more].concat())
    };
    assert_eq!(write(&["--to", "a@example.org"]).code, 0);
    let first = fs::read_to_string(&path).unwrap();
    let again = write(&["--to", "b@example.org"]);
    assert_eq!(again.code, 2);
    assert!(
        again.stderr.contains("say --force to replace it"),
        "{}",
        again.stderr
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    assert_eq!(write(&["--to", "b@example.org", "--force"]).code, 0);
    assert_ne!(fs::read_to_string(&path).unwrap(), first);
    let two = write(&["--to", "a@example.org,b@example.org", "--force"]);
    assert_eq!(two.code, 2);
    assert!(two.stderr.contains("--together"), "{}", two.stderr);
    assert_eq!(mailbox.count(), 0);
    // A device is written to and stays one; what is no mail is no place for one.
    let to = |path: &str| {
        let chosen = ["--room", "general", "--messages", "m1", "--force"];
        mail(
            &home,
            &mailbox,
            &[&chosen[..], &["--to", "a@example.org", "-o", path]].concat(),
        )
    };
    let device = to("/dev/stdout");
    assert_eq!(device.code, 0, "{}", device.stderr);
    assert!(device.stdout.starts_with(b"From: "));
    let other = home.path().join("notes.txt");
    fs::write(&other, "mine").unwrap();
    for (path, told) in [
        (text(&other), "is not a mail"),
        (text(home.path()), "cannot write"),
    ] {
        let ran = to(path);
        assert!(ran.code == 2 && ran.stderr.contains(told), "{}", ran.stderr);
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
}

#[test]
fn a_connection_that_was_kept_ends_with_a_goodbye() {
    let mailbox = MailServer::start(&[]);
    let mut server = with_mailbox(&mailbox, &[]);
    let id = accepted(
        &server,
        &ask(&json!({"toEmails": ["a@example.org", "b@example.org"]})),
    );
    assert_eq!(server.ended(ADMIN, &id)["state"], "done");
    assert_eq!((mailbox.count(), mailbox.goodbyes()), (2, 0));
    assert_eq!(server.stop(), Some(0), "{}", server.log());
    assert_eq!(mailbox.goodbyes(), 1);
    let home = changed_home(rich);
    let sent = mail(
        &home,
        &mailbox,
        &[
            "--room",
            "general",
            "--messages",
            "m1",
            "--to",
            "c@example.org",
        ],
    );
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    assert_eq!(mailbox.goodbyes(), 2);
}

#[test]
fn nobodys_many_mails_keep_those_of_others_waiting() {
    let mailbox = MailServer::start(&["--hold", "held"]);
    let server = with_mailbox(&mailbox, &["jobs.workers=2"]);
    let to: Vec<_> = (0..50)
        .map(|number| format!("held{number}@example.org"))
        .collect();
    let many = accepted(&server, &ask(&json!({"toEmails": to})));
    // The mail server has one of them and says nothing.
    wait_for("the first of the many mails", || {
        let export = server.status(ADMIN, &many);
        let mails = export["mails"].as_array()?;
        mails
            .iter()
            .any(|mail| mail["state"] == "running")
            .then_some(())
    });
    // The mail that an export of the same user is ready, and the mail of another user.
    let export = server.export(
        ADMIN,
        &json!({"rid": "GENERAL", "type": "file", "format": "json"}),
    );
    let body = ask(&json!({
        "rid": "helpdesk0000000001", "toEmails": ["free@example.org"], "messages": ["h1"],
    }));
    let answer = server.post(PATH, Some(ALICE), &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let subjects: Vec<_> = mailbox
        .mails(2)
        .iter()
        .map(|mail| {
            mail["headers"]["x-envelope-to"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(
        subjects.contains(&"free@example.org".to_owned()),
        "{subjects:?}"
    );
    assert!(
        subjects.contains(&"admin@example.org".to_owned()),
        "{subjects:?}"
    );
    assert_eq!(server.ended(ADMIN, &export)["state"], "done");
    assert_eq!(mailbox.count(), 2);
    mailbox.release();
    assert_eq!(server.ended(ADMIN, &many)["state"], "done");
    assert_eq!(mailbox.count(), 52);
}

#[test]
fn one_of_several_who_is_refused_does_not_keep_the_others_from_their_mail() {
    let mailbox = MailServer::start(&["--refuse-one", "bob@example.org"]);
    let server = with_mailbox(&mailbox, &["mail.together=true"]);
    let id = accepted(&server, &ask(&json!({"toUsers": ["bob"]})));
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}");
    assert_eq!(export["mails"][0]["report"]["refused"], json!(["bob"]));
    assert_eq!(
        mailbox.mail(1)["headers"]["x-envelope-to"],
        "ann@example.org"
    );
}

#[test]
fn one_of_several_whom_the_server_cannot_take_now_gets_a_mail_of_his_own() {
    let mailbox = MailServer::start(&["--later-one", "bob@example.org"]);
    let server = with_mailbox(&mailbox, &["mail.together=true"]);
    let id = accepted(&server, &ask(&json!({"toUsers": ["bob"]})));
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}");
    assert_eq!(export["mails"][0]["report"]["refused"], json!([]));
    assert_eq!(export["mails"][1]["to"], json!(["bob"]));
    for (number, to) in [(1, "ann@example.org"), (2, "bob@example.org")] {
        assert_eq!(mailbox.mail(number)["headers"]["x-envelope-to"], to);
    }
    assert_eq!(mailbox.count(), 2);
}

#[test]
fn an_operator_may_want_no_html() {
    let mailbox = MailServer::start(&[]);
    let home = changed_home(|dump| {
        rich(dump);
        for (id, value) in [
            ("email_plain_text_only", Bson::Boolean(true)),
            ("Email_Footer", "<p>ACME".into()),
        ] {
            dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
        }
    });
    let port = format!("mail.port={}", mailbox.port);
    let server = Server::start_in(
        home,
        &["mail.host=127.0.0.1", &port, "mail.from=chat@example.org"],
    );
    let id = accepted(&server, &ask(&json!({"messages": ["m1", "m5"]})));
    assert_eq!(server.ended(ADMIN, &id)["state"], "done");
    let mail = mailbox.mail(1);
    check_form(&mail);
    assert_eq!(mail["parts"]["text/html"], Value::Null, "{mail}");
    assert!(
        mail["parts"]["text/plain"]
            .as_str()
            .unwrap()
            .trim_end()
            .ends_with("ACME"),
        "{mail}"
    );
    // The picture has no text to stand in.
    assert_eq!(mail["files"][0]["name"], "sunset ☀ & -sea-.png");
}

#[test]
fn who_is_not_allowed_any_more_when_the_mail_goes_out_gets_none() {
    let mailbox = MailServer::start(&["--later", "1000"]);
    let port = format!("mail.port={}", mailbox.port);
    let mut settings = vec![
        "mail.host=127.0.0.1",
        &port,
        "mail.from=chat@example.org",
        "jobs.backoff=50ms",
        "jobs.poll=50ms",
        // The first server may die with the job in its hands.
        "jobs.lease=1s",
        "jobs.heartbeat=200ms",
    ];
    let server = Server::start_in(changed_home(rich), &settings);
    let id = accepted(&server, &ask(&json!({})));
    let home = server.killed();
    settings.push("mail.domains=example.com");
    let server = Server::start_in(home, &settings);
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "failed", "{export}");
    assert_eq!(
        export["mails"][0]["error"]["code"], "recipient-not-allowed",
        "{export}"
    );
    assert_eq!(mailbox.count(), 0);
}

#[test]
fn what_is_told_of_many_files_counts_as_well() {
    let mailbox = MailServer::start(&[]);
    let home = changed_home(|dump| {
        for number in 0..300 {
            let (id, name) = (
                format!("f{number}"),
                format!("{}{number}.txt", "n".repeat(200)),
            );
            let files = vec![doc! {"_id": format!("lost-{number}"), "name": name}];
            let lost = message(&id, 0, doc! {"msg": "", "files": files});
            dump.add("rocketchat_message", &lost);
        }
    });
    let port = format!("mail.port={}", mailbox.port);
    let all: Vec<_> = (0..300).map(|number| format!("f{number}")).collect();
    for (limit, state) in [
        ("mail.max_bytes=320000", "failed"),
        ("mail.max_bytes=1000000", "done"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(home.path().join("chat.db"), copy.path().join("chat.db")).unwrap();
        let settings = [
            "mail.host=127.0.0.1",
            &port,
            "mail.from=chat@example.org",
            limit,
        ];
        let server = Server::start_in(copy, &settings);
        let id = accepted(&server, &ask(&json!({"messages": all})));
        let export = server.ended(ADMIN, &id);
        assert_eq!(export["state"], state, "{limit}: {export}");
        if state == "failed" {
            assert_eq!(
                export["mails"][0]["error"]["code"], "mail-too-large",
                "{export}"
            );
        }
    }
    assert_eq!(mailbox.count(), 1);
}

#[test]
fn a_server_that_takes_its_time_gets_a_mail_once() {
    let mailbox = MailServer::start(&["--late", "3"]);
    let server = with_mailbox(&mailbox, &["mail.timeout=1s"]);
    let id = accepted(&server, &ask(&json!({})));
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}");
    assert_eq!(mailbox.count(), 1);
}

#[test]
fn headers_have_legal_lines_and_characters_that_the_server_takes() {
    for (options, answers) in [(&[][..], None), (&["--utf8"], Some("dörte@example.org"))] {
        let mailbox = MailServer::start(options);
        let home = changed_home(|dump| {
            rich(dump);
            dump.add("users", &doc! {
                "_id": "doerte", "username": "doerte", "name": "n".repeat(995), "active": true, "type": "user", "roles": ["admin", "user"],
                "emails": [{"address": "dörte@example.org", "verified": true}],
                "services": {"resume": {"loginTokens": [{"hashedToken": hash("token"), "when": DateTime::from_millis(4_070_908_800_000)}]}},
            });
            dump.add("rocketchat_subscription", &doc! {"_id": "doerte", "rid": "GENERAL", "t": "c", "u": {"_id": "doerte"}, "open": true});
        });
        let port = format!("mail.port={}", mailbox.port);
        let server = Server::start_in(
            home,
            &["mail.host=127.0.0.1", &port, "mail.from=chat@example.org"],
        );
        let doerte = ("doerte", "token");
        let body = ask(&json!({"subject": "x".repeat(1000)}));
        let answer = server.post(PATH, Some(doerte), &body);
        let location = answer.header("location").unwrap();
        let export = server.ended(doerte, location.rsplit('=').next().unwrap());
        assert_eq!(export["state"], "done", "{export}");
        let mail = mailbox.mail(1);
        check_form(&mail);
        let shown = format!("{}…", "x".repeat(250));
        assert_eq!(mail["headers"]["subject"], *shown);
        let reply = mail["headers"]["reply-to"].as_str();
        assert_eq!(
            reply.is_some_and(|reply| reply.contains("dörte@example.org")),
            answers.is_some(),
            "{reply:?}"
        );
    }
}

#[test]
fn what_no_mail_shows_of_a_subject_is_not_kept() {
    let mailbox = MailServer::start(&[]);
    let server = with_mailbox(&mailbox, &["jobs.workers=0"]);
    let subject = format!("{}Größe {}", " ".repeat(300), "ö".repeat(100_000));
    accepted(&server, &ask(&json!({"subject": subject})));
    let database = rusqlite::Connection::open(server.home.path().join("chat.db")).unwrap();
    let work: String = database
        .query_row("SELECT work FROM job", [], |row| row.get(0))
        .unwrap();
    let work: Value = serde_json::from_str(&work).unwrap();
    let kept = work["subject"].as_str().unwrap();
    assert!(kept.starts_with("Größe ö"), "{kept}");
    assert_eq!(kept.chars().count(), 251);
}

#[test]
fn addresses_of_all_scripts_are_reached_where_the_server_can() {
    let ask = ask(&json!({"toEmails": ["dörte@Sörensen.example", "ann@bücher.example"]}));
    let mailbox = MailServer::start(&["--utf8"]);
    let server = with_mailbox(&mailbox, &[]);
    let id = accepted(&server, &ask);
    assert_eq!(server.ended(ADMIN, &id)["state"], "done");
    for (mail, to) in mailbox
        .mails(2)
        .iter()
        .zip(["dörte@xn--srensen-90a.example", "ann@xn--bcher-kva.example"])
    {
        check_form(mail);
        assert_eq!(mail["headers"]["to"], to);
        assert_eq!(mail["ascii"], to.is_ascii());
    }
    // Without SMTPUTF8 only the domain can be of another script.
    let mailbox = MailServer::start(&[]);
    let server = with_mailbox(&mailbox, &[]);
    let id = accepted(&server, &ask);
    let export = server.ended(ADMIN, &id);
    let states: Vec<_> = export["mails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| {
            (
                mail["state"].as_str().unwrap(),
                mail["error"]["code"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(states, [("failed", "mail-unusable"), ("done", "")]);
    assert_eq!(
        mailbox.mail(1)["headers"]["to"],
        "ann@xn--bcher-kva.example"
    );
    // Nor does it keep the others of a common mail from theirs.
    let mailbox = MailServer::start(&[]);
    let server = with_mailbox(&mailbox, &["mail.together=true"]);
    let id = accepted(&server, &ask);
    let export = server.ended(ADMIN, &id);
    let mail = mailbox.mail(1);
    check_form(&mail);
    assert_eq!(mail["headers"]["to"], "ann@xn--bcher-kva.example");
    let refused = &export["mails"][0]["report"]["refused"];
    assert_eq!(*refused, json!(["dörte@Sörensen.example"]), "{export}");
}

#[test]
fn what_people_write_changes_nothing_but_what_is_shown() {
    let mailbox = MailServer::start(&[]);
    let long = lines("", (0..10_000).map(|line| format!("line {line} ü")));
    let home = changed_home(|dump| {
        rich(dump);
        for (id, value) in [
            (
                "Email_Header",
                "<html><head></head><body>[Site_Name] __fname__<img src=\"https://x.example/logo.png\" alt=\"Logo\">",
            ),
            (
                "Email_Footer",
                "<i>[Site_URL_Slash]</i><p>Imprint:<br>ACME</body></html>",
            ),
            ("Site_Name", "Chat & <Co>"),
        ] {
            dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
        }
        dump.add(
            "rocketchat_message",
            &message("long", 20, doc! {"msg": &long}),
        );
        dump.add(
            "rocketchat_message",
            &message("wide", 21, doc! {"msg": "x".repeat(200_000)}),
        );
    });
    let port = format!("mail.port={}", mailbox.port);
    let server = Server::start_in(
        home,
        &[
            "mail.host=127.0.0.1",
            &port,
            "mail.from=chat@example.org",
            "mail.subject=[Site_Name]: [subject]",
        ],
    );
    let subjects = [
        "مرحبا بالعالم \u{202e}evil\u{202c} 👩‍👩‍👧‍👦 [Site_Name] __room__",
        &"sehr länglich ".repeat(60),
        &"x".repeat(900),
        "",
        "=?utf-8?q?forged?=",
    ];
    for (number, subject) in subjects.iter().enumerate() {
        let id = accepted(
            &server,
            &ask(&json!({"messages": ["evil", "long", "wide"], "subject": subject})),
        );
        assert_eq!(server.ended(ADMIN, &id)["state"], "done");
        let mail = mailbox.mail(number + 1);
        check_form(&mail);
        let shown = mail["headers"]["subject"].as_str().unwrap();
        let expected = match *subject {
            "" => "Here's a selected portion of #general messages".to_owned(),
            subject => subject
                .replace(['\u{202e}', '\u{202c}'], "\u{fffd}")
                .replace("=?", "= ?")
                .trim()
                .to_owned(),
        };
        // Headers are cut after 250 characters.
        let mut expected = format!("Chat & <Co>: {expected}");
        if let Some((end, _)) = expected.char_indices().nth(250) {
            expected.replace_range(end.., "…");
        }
        assert_eq!(shown, expected);
        let text = mail["parts"]["text/plain"].as_str().unwrap();
        let indented = lines("  ", long.lines().map(str::to_owned));
        assert!(text.contains(&indented));
        assert!(text.contains(&format!("  {}\n", "x".repeat(200_000))));
        // Only names and remarks of ours begin at the margin.
        assert!(
            text.contains("  Bcc: evil@example.org\n  .\n  Bob (@bob) · forged\n"),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        // The operator's frame is in the text as well.
        assert!(text.starts_with("Chat & <Co>\n\n"), "{text}");
        assert!(text.trim_end().ends_with("/\nImprint:\nACME"), "{text}");
        let html = mail["parts"]["text/html"].as_str().unwrap();
        assert!(
            html.contains(
                "[Site_Name] <em>fname</em> {Send} &lt;script&gt;alert(1)&lt;/script&gt;"
            )
        );
        assert!(
            html.contains("<body>Chat &amp; &lt;Co&gt; Logo "),
            "{}",
            &html[..2000]
        );
        assert!(html.contains("<i>http"));
    }
}

#[test]
fn mails_speak_the_requesters_language_and_become_files_without_a_server() {
    let cases = [
        (
            "en",
            "03/05/2024 3:07 PM",
            "Messages from #general",
            "edited",
        ),
        (
            "de",
            "05.03.2024 15:07",
            "Nachrichten aus #general",
            "bearbeitet",
        ),
        ("fr", "05/03/2024 15:07", "Messages de #general", "modifié"),
        ("es", "05/03/2024 15:07", "Mensajes de #general", "editado"),
        (
            "pt-BR",
            "05/03/2024 15:07",
            "Mensagens de #general",
            "editada",
        ),
        (
            "ru",
            "05.03.2024 15:07",
            "Сообщения из #general",
            "изменено",
        ),
        (
            "ja",
            "2024/03/05 15:07",
            "#general のメッセージ",
            "編集済み",
        ),
        ("zh", "2024/03/05 15:07", "来自 #general 的消息", "已编辑"),
        // No words, but dates.
        ("it", "05/03/2024 15:07", "Messages from #general", "edited"),
    ];
    let home = changed_home(|dump| {
        rich(dump);
        for (number, (language, ..)) in cases.iter().enumerate() {
            let token = hash(&format!("token-{number}"));
            dump.add("users", &doc! {
                "_id": format!("u{number}"), "username": format!("user{number}"), "active": true, "type": "user", "roles": ["admin", "user"],
                "language": language, "utcOffset": Bson::Double(1.0), "emails": [{"address": "a@example.org", "verified": true}],
                "services": {"resume": {"loginTokens": [{"hashedToken": token, "when": DateTime::from_millis(4_070_908_800_000)}]}},
            });
            dump.add("rocketchat_subscription", &doc! {"_id": format!("s{number}"), "rid": "GENERAL", "t": "c", "u": {"_id": format!("u{number}")}, "open": true});
        }
    });
    let server = Server::start_in(home, &["mail.transport=directory"]);
    let directory = server.home.path().join("files/export-room-mails");
    for (number, (language, when, title, edited)) in cases.iter().enumerate() {
        let (id, token) = (format!("u{number}"), format!("token-{number}"));
        let headers = [
            ("X-User-Id", &*id),
            ("X-Auth-Token", &token),
            ("content-type", "application/json"),
        ];
        let body = ask(&json!({"messages": ["m1", "m2"], "subject": ""}));
        let answer = server.send("POST", PATH, &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let export = answer
            .header("location")
            .unwrap()
            .rsplit('=')
            .next()
            .unwrap()
            .to_owned();
        let path = directory.join(format!("{export}-mail-1-export-room.invalid.eml"));
        wait_for("the mail", || path.exists().then_some(()));
        let mail = read(&path);
        check_form(&mail);
        for part in ["text/plain", "text/html"] {
            let part = mail["parts"][part].as_str().unwrap();
            for expected in [*when, title, edited, "UTC+01:00"] {
                assert!(part.contains(expected), "{language}: {expected}\n{part}");
            }
        }
    }
    assert_eq!(outbox(&directory).len(), cases.len());
}

/// Lines with something in front of each.
fn lines(margin: &str, lines: impl Iterator<Item = String>) -> String {
    lines
        .flat_map(|line| [margin.to_owned(), line, "\n".to_owned()])
        .collect()
}

fn hash(token: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(token))
}

#[test]
fn files_go_along_as_far_as_the_operator_wants() {
    let cases: &[(&[&str], Value, &[&str], &str)] = &[
        (
            &["mail.attachments=none"],
            json!(["multipart/alternative", "text/plain", "text/html"]),
            &[],
            "huge.bin: not attached",
        ),
        (
            &["mail.max_bytes=100000"],
            json!([
                "multipart/mixed",
                [
                    "multipart/alternative",
                    "text/plain",
                    ["multipart/related", "text/html", "image/png"]
                ],
                "application/pdf"
            ]),
            &["sunset ☀ & -sea-.png", "report.pdf"],
            "huge.bin, 300.0 kB: not attached, too large for a mail",
        ),
        (
            &["mail.attachments=zip"],
            json!([
                "multipart/mixed",
                ["multipart/alternative", "text/plain", "text/html"],
                "application/zip"
            ]),
            &["general.html.zip"],
            "is attached as general.html.zip",
        ),
        (
            &["mail.attachments=zip", "mail.max_bytes=65536"],
            json!([
                "multipart/mixed",
                ["multipart/alternative", "text/plain", "text/html"],
                "application/zip"
            ]),
            &["general.html.zip"],
            "is attached as general.html.zip",
        ),
    ];
    let home = changed_home(rich);
    let database = format!("sqlite:{}", text(&home.path().join("chat.db")));
    for (settings, structure, names, words) in cases {
        let path = home.path().join("mail.eml");
        let mut arguments = vec![
            "mail",
            "--config",
            "/dev/null",
            "--workspace",
            &database,
            "--room",
            "general",
            "--messages",
            "m5,m6,m8",
            "--to",
            "a@example.org",
        ];
        for setting in *settings {
            arguments.extend(["--set", setting]);
        }
        arguments.extend(["-o", text(&path), "--force"]);
        let ran = run(&arguments);
        let whole = !settings.iter().any(|setting| setting.contains("=100000"));
        assert_eq!(ran.code, i32::from(!whole), "{settings:?}: {}", ran.stderr);
        let mail = read(&path);
        check_form(&mail);
        assert_eq!(mail["structure"], *structure, "{settings:?}");
        let found: Vec<_> = mail["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, *names, "{settings:?}");
        assert!(
            mail["parts"]["text/plain"]
                .as_str()
                .unwrap()
                .contains(words),
            "{settings:?}: {}",
            mail["parts"]["text/plain"]
        );
        if names.contains(&"general.html.zip") {
            let zip = home.path().join("attached.zip");
            let script = "import email,email.policy,sys\nm=email.message_from_binary_file(open(sys.argv[1],'rb'),policy=email.policy.default)\nopen(sys.argv[2],'wb').write(next(m.iter_attachments()).get_content())";
            let status = std::process::Command::new(python("").get_program())
                .args(["-c", script, text(&path), text(&zip)])
                .status()
                .unwrap();
            assert!(status.success());
            let verified = run(&["verify", text(&zip)]);
            assert_eq!(verified.code, 0, "{}", verified.stderr);
        }
    }
}

/// Runs `export-room mail` on the workspace of a home, with a mailbox as server.
fn mail(home: &TempDir, mailbox: &MailServer, more: &[&str]) -> Ran {
    let database = format!("sqlite:{}", text(&home.path().join("chat.db")));
    let port = format!("mail.port={}", mailbox.port);
    let mut arguments = vec!["mail", "--config", "/dev/null", "--workspace", &database];
    for setting in ["mail.host=127.0.0.1", &port, "mail.from=chat@example.org"] {
        arguments.extend(["--set", setting]);
    }
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn the_command_line_sends_what_it_is_asked_to() {
    let mailbox = MailServer::start(&[]);
    let home = changed_home(rich);
    let mail = |more: &[&str]| mail(&home, &mailbox, more);
    let ran = mail(&[
        "--room",
        "general",
        "--date-from",
        "2024-03-05T14:07:00Z",
        "--date-to",
        "2024-03-05T14:09:59Z",
        "--to",
        "bob,ann@example.org",
        "--subject",
        "Über",
        "--as",
        "alice",
        "--language",
        "de",
        "--timezone",
        "Europe/Berlin",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for mail in mailbox.mails(2) {
        check_form(&mail);
        assert_eq!(mail["headers"]["subject"], "Über");
        assert_eq!(mail["headers"]["reply-to"], "alice <alice@example.org>");
        assert!(
            mail["parts"]["text/plain"]
                .as_str()
                .unwrap()
                .contains("Nachrichten: 3 · Zeiten: Europe/Berlin")
        );
    }
}

#[test]
fn a_command_line_that_is_run_again_sends_mails_that_are_known_as_the_same() {
    let mailbox = MailServer::start(&[]);
    let home = changed_home(rich);
    let (ann, bob) = ("ann@example.org", "bob@example.org");
    let mut count = 0;
    let mut ids = |messages: &str, to: &[&str], subject: &str, more: &[&str]| {
        let to = to.join(",");
        let chosen = ["--room", "general", "--messages", messages, "--to", &to];
        let chosen = [&chosen[..], &["--subject", subject], more].concat();
        let ran = mail(&home, &mailbox, &chosen);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let before = std::mem::replace(&mut count, mailbox.count());
        let id = |number| mailbox.mail(number)["headers"]["message-id"].to_string();
        (before + 1..=count).map(id).collect::<Vec<_>>()
    };
    let first = ids("m1,m2", &[ann, bob], "Again", &[]);
    let again = ids("m2,m1", &[bob, ann], "Again", &[]);
    assert_eq!(again, [first[1].clone(), first[0].clone()]);
    let site = ["--set", "http.site_url=https://b.example.org"];
    let mut all = first;
    all.extend(ids("m1", &[ann], "Again", &[]));
    all.extend(ids("m1,m2", &[ann], "Else", &[]));
    all.extend(ids("m1,m2", &[ann], "Again", &["--language", "de"]));
    all.extend(ids("m1,m2", &[ann], "Again", &site));
    all.extend(ids("m1,m2", &[ann, bob], "Again", &["--together"]));
    let sent = all.len();
    all.sort();
    all.dedup();
    assert_eq!((all.len(), sent), (7, 7), "{all:?}");
}

#[test]
fn the_command_line_says_what_it_cannot_send() {
    let mailbox = MailServer::start(&[]);
    let home = changed_home(|dump| {
        rich(dump);
        let gone = doc! {"msg": "", "file": {"_id": "G", "name": "gone.txt"}, "files": [{"_id": "G", "name": "gone.txt"}]};
        dump.add("rocketchat_message", &message("gone", 50, gone));
    });
    let mail = |more: &[&str]| mail(&home, &mailbox, more);
    let to = "--to|ann@example.org";
    for (arguments, code, words) in [
        (
            format!("--messages|m1,nothing|{to}"),
            1,
            "1 of the messages are not in the room",
        ),
        (
            format!("--messages|nothing|{to}"),
            2,
            "none of these messages",
        ),
        (
            format!("--messages|m1|{to}|--room|nowhere"),
            2,
            "there is no room `nowhere`",
        ),
        (
            "--messages|m1|--to|ann@".to_owned(),
            2,
            "`ann@` is no mail address",
        ),
        (
            "--messages|m1|--to|ghost".to_owned(),
            2,
            "nobody of these can be reached by mail: ghost",
        ),
        (
            "--messages|m1|--to|@bob,ghost".to_owned(),
            1,
            "missing: ghost is no user with an address",
        ),
        ("--messages|m1".to_owned(), 2, "--to"),
        (
            format!("--messages|m1|{to}|--as|ghost"),
            2,
            "no user `ghost`",
        ),
        (
            format!("--set|mail.max_messages=5|{to}"),
            2,
            "export them to a file",
        ),
        (
            format!("--messages|m1|{to}|--set|mail.from=x y"),
            2,
            "mail.from",
        ),
        (
            format!("--messages|m1|{to}|--set|mail.messages=false"),
            2,
            "mail.messages",
        ),
        (format!("--messages|m1, m1,,m2|{to}"), 0, "2 messages"),
        (
            format!("--messages|gone|--attach|zip|{to}"),
            1,
            "1 files are not in the workspace",
        ),
    ] {
        let mut arguments: Vec<_> = arguments.split('|').collect();
        if !arguments.contains(&"--room") {
            arguments.extend(["--room", "general"]);
        }
        let ran = mail(&arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_mail_that_was_accepted_survives_its_server() {
    let mailbox = MailServer::start(&[]);
    let port = format!("mail.port={}", mailbox.port);
    let settings = [
        "mail.host=127.0.0.1",
        &port,
        "mail.from=chat@example.org",
        "jobs.lease=1s",
        "jobs.heartbeat=200ms",
        "jobs.poll=100ms",
        "jobs.backoff=50ms",
    ];
    for (step, mails) in [("answer", 1), ("begin", 2), ("mail-sent", 4)] {
        let server = Server::doomed(changed_home(rich), step, &settings);
        if step == "answer" {
            server.post_in_vain(PATH, ADMIN, &ask(&json!({})));
        } else {
            accepted(&server, &ask(&json!({})));
        }
        let home = server.fallen();
        let mut settings = settings.to_vec();
        settings.push("http.site_url=https://moved.example.org");
        let _server = Server::start_in(home, &settings);
        let last = mailbox.mail(mails);
        check_form(&last);
        if step == "mail-sent" {
            // Handed over, but not written down: it comes again and can be told by its id.
            let id = |mail: &Value| mail["headers"]["message-id"].as_str().unwrap().to_owned();
            assert_eq!(id(&last), id(&mailbox.mail(mails - 1)));
        }
    }
    assert_eq!(mailbox.count(), 4);
}

#[test]
fn who_may_not_export_any_more_sends_nothing_and_is_told_why_an_export_failed() {
    let mailbox = MailServer::start(&[]);
    let port = format!("mail.port={}", mailbox.port);
    let settings = [
        "mail.host=127.0.0.1",
        &*port,
        "mail.from=chat@example.org",
        "jobs.poll=100ms",
    ];
    let mut idle = settings.to_vec();
    idle.push("jobs.workers=0");
    let server = Server::start_in(changed_home(rich), &idle);
    let mail = accepted(&server, &ask(&json!({})));
    let file = server.export(
        ADMIN,
        &json!({"rid": "GENERAL", "type": "file", "format": "json"}),
    );
    let home = server.killed();
    let database = rusqlite::Connection::open(home.path().join("chat.db")).unwrap();
    let changed = database.execute(
        "DELETE FROM document WHERE collection = 'rocketchat_permissions' AND id = 'mail-messages'",
        [],
    );
    assert!(changed.is_ok(), "{changed:?}");
    drop(database);
    let server = Server::start_in(home, &settings);
    let export = server.ended(ADMIN, &mail);
    assert_eq!(
        (&export["state"], &export["mails"][0]["error"]["code"]),
        (&json!("failed"), &json!("not-allowed"))
    );
    let export = server.ended(ADMIN, &file);
    assert_eq!(export["state"], "failed");
    let notice = mailbox.mail(1);
    check_form(&notice);
    assert_eq!(notice["headers"]["subject"], "Export of #general failed");
    for part in ["text/plain", "text/html"] {
        let shown = notice["parts"][part].as_str().unwrap();
        assert!(
            shown.contains("You may not export this room any more"),
            "{shown}"
        );
    }
    assert_eq!(mailbox.count(), 1);
}
