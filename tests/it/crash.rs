//! What was accepted is done, once, although the server is killed at any moment: real processes, real sockets, `SIGKILL`.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::exported::Whole;
use crate::support::generate;
use crate::support::mail::MailServer;
use crate::support::server::{
    ADMIN, Server, assert_killed, large_home, serve_until, small_home, wait_for,
};

/// Messages of a room that takes a while.
const MANY: u64 = 100_000;
const KILLS: u64 = 12;
/// The job of a dead server is soon somebody else's, and how far it is is told at every moment.
const SETTINGS: [&str; 5] = [
    "jobs.lease=1s",
    "jobs.heartbeat=20ms",
    "jobs.poll=50ms",
    "jobs.backoff=10ms",
    "jobs.attempts=100",
];

fn request() -> Value {
    json!({"rid": "GENERAL", "type": "file", "format": "json"})
}

fn start(home: TempDir) -> Server {
    Server::start_in(home, &SETTINGS)
}

fn doomed(home: TempDir, step: &str) -> Server {
    Server::doomed(home, step, &SETTINGS)
}

/// The exports that the one who asked is told of.
fn list(server: &Server) -> Vec<Value> {
    let answer = server.get("/api/v1/rooms.export.list", Some(ADMIN)).json();
    let exports = answer["exports"].as_array().unwrap();
    assert_eq!(answer["total"], exports.len());
    exports.clone()
}

fn download(server: &Server, id: &str) -> (u16, Vec<u8>) {
    let answer = server.get(&format!("/data-export/{id}"), Some(ADMIN));
    (answer.status, answer.body)
}

/// Waits until the export of this name has ended and nothing is left of earlier attempts; it is done, and what its owner
/// is told, the record, the file and the download are the same.
async fn assert_done(server: &mut Server, id: &str, epoch: u64) {
    let export = server.ended(ADMIN, id);
    assert_eq!(export["state"], "done", "{export}");
    assert_eq!(list(server), std::slice::from_ref(&export));
    let exported = server.exported();
    wait_for("leftovers to be removed", || {
        (exported.stored().len() == 1).then_some(())
    });
    let (status, content) = download(server, id);
    assert_eq!(status, 200);
    assert_eq!(server.stop(), Some(0), "{}", server.log());
    let file = exported.assert_one(id, epoch).await;
    assert_eq!(Whole::of(&content), file);
    assert_eq!(
        (&export["size"], &export["sha256"]),
        (&json!(file.bytes), &json!(file.digest))
    );
}

#[tokio::test]
async fn a_request_that_was_not_written_down_was_never_made() {
    let server = doomed(small_home(), "enqueue");
    server.post_in_vain("/api/v1/rooms.export", ADMIN, &request());
    let mut server = start(server.fallen());
    assert!(list(&server).is_empty());
    server.exported().assert_none().await;
    let id = server.export(ADMIN, &request());
    assert_done(&mut server, &id, 1).await;
}

#[tokio::test]
async fn a_request_that_was_written_down_is_carried_out_although_nobody_was_told() {
    let server = doomed(small_home(), "answer");
    server.post_in_vain("/api/v1/rooms.export", ADMIN, &request());
    // Nobody works, so that the request is repeated before the job has ended.
    let server = Server::start_in(server.fallen(), &["jobs.workers=0"]);
    let [export] = &list(&server)[..] else {
        panic!("{:?}", list(&server));
    };
    let id = server.export(ADMIN, &request());
    assert_eq!(
        (&export["id"], &export["state"]),
        (&json!(id), &json!("queued"))
    );
    let mut server = start(server.killed());
    assert_done(&mut server, &id, 1).await;
}

#[tokio::test]
async fn a_server_may_be_killed_at_any_step_of_a_job() {
    for (step, epoch) in [
        ("begin", 2),
        ("write", 2),
        ("publish", 2),
        ("record", 2),
        ("settled", 1),
    ] {
        let server = Server::start_in(small_home(), &["jobs.workers=0"]);
        let id = server.export(ADMIN, &request());
        let home = server.killed();
        // Its worker may be faster than its first word.
        let mut child = serve_until(home.path(), step, &SETTINGS).spawn().unwrap();
        assert_killed(&mut child);
        let mut server = start(home);
        assert_done(&mut server, &id, epoch).await;
    }
}

#[test]
fn a_failure_is_told_although_who_ended_the_job_is_killed() {
    let server = Server::start_in(small_home(), &["jobs.workers=0"]);
    let id = server.export(ADMIN, &request());
    let home = server.killed();
    let mut settings = SETTINGS.to_vec();
    settings.extend(["jobs.attempts=1", "mail.transport=directory"]);
    for step in ["write", "abandoned"] {
        let mut child = serve_until(home.path(), step, &settings).spawn().unwrap();
        assert_killed(&mut child);
    }
    let server = Server::start_in(home, &settings);
    let export = wait_for("the mail to be sent", || {
        let export = server.status(ADMIN, &id);
        (export["mail"]["state"] == "done").then_some(export)
    });
    assert_eq!(export["error"]["code"], "interrupted");
    let mails = server.home.path().join("files/export-room-mails");
    let mails: Vec<_> = std::fs::read_dir(mails).unwrap().collect();
    assert_eq!(mails.len(), 1, "{mails:?}");
}

#[test]
fn a_mail_that_is_not_wanted_any_more_is_not_called_sent() {
    let mut settings = SETTINGS.to_vec();
    // Nobody answers there.
    settings.extend([
        "mail.host=127.0.0.1",
        "mail.port=1",
        "mail.from=chat@example.org",
    ]);
    let server = Server::start_in(small_home(), &settings);
    let id = server.export(ADMIN, &request());
    wait_for("the mail to be tried", || {
        let mail = server.status(ADMIN, &id)["mail"].take();
        mail["reason"].is_string().then_some(())
    });
    settings.push("mail.ready=false");
    let server = Server::start_in(server.killed(), &settings);
    let mail = wait_for("the mail to be dropped", || {
        let mail = server.status(ADMIN, &id)["mail"].take();
        (!["queued", "running"].contains(&mail["state"].as_str().unwrap())).then_some(mail)
    });
    assert_eq!(mail["state"], "none");
    assert!(
        mail["reason"].as_str().unwrap().contains("mail.ready"),
        "{mail}"
    );
}

#[tokio::test]
async fn a_mail_is_recognised_when_it_comes_twice() {
    let mailbox = MailServer::start(&[]);
    let port = format!("mail.port={}", mailbox.port);
    let mut settings = SETTINGS.to_vec();
    settings.extend(["mail.host=127.0.0.1", &port, "mail.from=chat@example.org"]);
    let server = Server::doomed(small_home(), "mail-sent", &settings);
    let id = server.export(ADMIN, &request());
    let first = mailbox.mail(1);
    // Also when the workspace has another address by then.
    settings.push("http.site_url=https://moved.example.org");
    let mut server = Server::start_in(server.fallen(), &settings);
    let mail = wait_for("the mail to be sent", || {
        let mail = server.status(ADMIN, &id)["mail"].take();
        (!["queued", "running"].contains(&mail["state"].as_str().unwrap())).then_some(mail)
    });
    assert_eq!(mail, json!({"state": "done"}));
    let second = mailbox.mail(2);
    let name = |mail: &Value| mail["headers"]["message-id"].as_str().unwrap().to_owned();
    assert!(name(&first).contains(&id), "{first}");
    assert_eq!(name(&first), name(&second));
    assert_done(&mut server, &id, 1).await;
    assert_eq!(mailbox.count(), 2);
}

#[tokio::test]
async fn a_removal_can_be_completed() {
    let server = doomed(small_home(), "delete");
    let id = server.export(ADMIN, &request());
    server.ended(ADMIN, &id);
    let name = json!({"id": id});
    server.post_in_vain("/api/v1/rooms.export.delete", ADMIN, &name);
    let mut server = start(server.fallen());
    let exported = server.exported();
    assert_eq!(exported.stored(), Vec::<String>::new());
    assert_eq!(exported.records().await.len(), 1);
    // What its claim left beside the file goes as well: its job is forgotten.
    let left = format!(".export-room-{id}-1.part");
    std::fs::write(exported.store.join(left), b"PK").unwrap();
    assert_eq!(download(&server, &id).0, 404);
    let answer = server.post("/api/v1/rooms.export.delete", Some(ADMIN), &name);
    assert_eq!(answer.text(), r#"{"success":true}"#);
    assert!(list(&server).is_empty());
    assert_eq!(download(&server, &id).0, 404);
    assert_eq!(server.stop(), Some(0), "{}", server.log());
    exported.assert_none().await;
}

#[tokio::test]
async fn a_server_may_be_killed_again_and_again() {
    let mut server = start(large_home(MANY));
    let id = server.export(
        ADMIN,
        &json!({"rid": generate::ROOM, "type": "file", "format": "html"}),
    );
    // Each comes later in the job than the one before; the last ones where it is almost done, or is done.
    for kill in 0..KILLS {
        wait_for("the job to get on", || {
            let export = server.status(ADMIN, &id);
            // Until somebody takes it over, it is told how far the dead one was.
            let far = export["state"] == "running"
                && export["attempt"] == kill + 1
                && (kill == 0 || export["phase"] == "messages" || export["phase"] == "seal")
                && export["done"].as_u64() >= Some(MANY * kill / KILLS);
            (far || export["state"] == "done").then_some(())
        });
        server = start(server.killed());
    }
    let export = server.ended(ADMIN, &id);
    let attempts = export["attempt"].as_u64().unwrap();
    assert!(attempts > 1, "nothing was killed while it worked");
    assert_done(&mut server, &id, attempts).await;
}
