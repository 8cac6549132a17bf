//! What the database's user must be allowed to do, as docs/operating.md grants it, and how the doctor tells what he may not.

use std::process::Stdio;

use bson::{Document, doc};
use mongodb::Client;
use serde_json::Value;

use crate::live::{RECORDS, SETTINGS, all, assert_stored, fill, home, request};
use crate::support::cli::{command, entries, ran, run, text};
use crate::support::mongo::{MongoPlace, MongoServer};
use crate::support::server::{ADMIN, Server, signal, wait_for, work_at};

/// The parts of a workspace at an address that do not work, by the doctor.
fn doctor(address: &str) -> Vec<String> {
    let mut doctor = command(&["doctor", "--config", "/dev/null", "--json"]);
    doctor.args(["--workspace", address, "--set", "http.listen=127.0.0.1:0"]);
    let found = ran(doctor.env_remove("SOURCE_DATE_EPOCH"));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let failed = |check: &&Value| check["verdict"] == "fail";
    let checks = found["checks"].as_array().unwrap().iter().filter(failed);
    let part = |check: &Value| check["part"].as_str().unwrap().to_owned();
    for check in checks.clone() {
        let text = check.to_string();
        assert!(text.contains("docs/operating.md"), "{text}");
    }
    checks.map(part).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_the_databases_user_may_not_do() {
    let database = MongoServer::start(&[]);
    let place = database.place();
    fill(&place, &[]).await;
    assert_eq!(doctor(&place.address), ["mail"; 0]);
    for (command, parts) in [
        ("find", &["workspace"][..]),
        ("createIndexes", &["workspace"]),
        ("insert", &["queue", "exports"]),
        ("update", &["queue", "logins", "exports"]),
        ("delete", &["queue", "exports"]),
    ] {
        let how = doc! {"failCommands": [command], "errorCode": 13};
        place.fail(doc! {"times": 1000}, how).await;
        assert_eq!(doctor(&place.address), parts, "{command}");
        place.heal().await;
    }
    // What it wrote to try is gone.
    let database = place.database().await;
    for collection in ["export_room_jobs", RECORDS] {
        let left = all(&database, collection).await;
        assert!(left.len() <= 1, "{left:?}");
    }
}

/// The privileges that docs/operating.md grants those who serve, in a database.
fn documented(database: &str) -> Vec<Document> {
    let operating =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).unwrap();
    let quoted = |text: &str| -> Vec<String> {
        text.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let write = operating
        .lines()
        .find_map(|line| line.strip_prefix("const write = "))
        .map(quoted)
        .unwrap();
    let granted = operating
        .lines()
        .filter_map(|line| line.trim().strip_prefix("on("))
        .map(|line| {
            let mut words = quoted(line);
            let collection = words.remove(0);
            let actions = if line.contains(", write)") {
                write.clone()
            } else {
                words
            };
            doc! {"resource": {"db": database, "collection": collection}, "actions": actions}
        })
        .collect::<Vec<_>>();
    assert!(granted.len() >= 5, "{granted:?}");
    granted
}

impl MongoPlace {
    /// The address for a user of this database.
    fn address_of(&self, user: &str, password: &str) -> String {
        let there = self.address.strip_prefix("mongodb://").unwrap();
        format!("mongodb://{user}:{password}@{there}")
    }
}

// The server of the tests tells actions and databases apart, but not collections.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_read_exports_and_one_with_the_documented_role_serves() {
    let mut server = MongoServer::start(&[]);
    let place = server.place();
    fill(&place, &[]).await;
    let database = place.database().await;
    let name = place.name.as_str();
    let read = doc! {"role": "read", "db": name};
    for order in [
        doc! {"createRole": "exportRoom", "roles": [&read], "privileges": documented(name)},
        doc! {"createUser": "reader", "pwd": "may-read", "roles": [&read]},
        doc! {"createUser": "room", "pwd": "may-write", "roles": [{"role": "exportRoom", "db": name}]},
    ] {
        database.run_command(order).await.unwrap();
    }
    server.control_access();
    let stranger = Client::with_uri_str(&place.address).await.unwrap();
    let mut refused = false;
    while !refused {
        refused = stranger
            .database(name)
            .list_collection_names()
            .await
            .is_err();
    }
    let (reader, room) = (
        place.address_of("reader", "may-read"),
        place.address_of("room", "may-write"),
    );

    let home_of_zip = home();
    let zip = home_of_zip.path().join("out.zip");
    let export = |address: &str| {
        run(&[
            "export",
            "--workspace",
            address,
            "--room",
            "general",
            "--format",
            "json",
            "--force",
            "-o",
            text(&zip),
        ])
    };
    let exported = export(&reader);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let packed = entries(&zip);
    assert!(packed.values().any(|content| content == b"hello world"));
    // Without the queue there is nothing that could be tried further.
    assert_eq!(doctor(&reader), ["workspace"]);
    for address in [&place.address, &place.address_of("reader", "may-guess")] {
        let exported = export(address);
        assert_eq!(exported.code, 2, "{}", exported.stderr);
        assert!(!exported.stderr.contains("may-"), "{}", exported.stderr);
    }

    assert_eq!(doctor(&room), ["mail"; 0]);
    let server_of_room = Server::start_at(home(), &room, &["jobs.workers=0"]);
    let of_worker = home();
    let mut worker = work_at(of_worker.path(), &room, &SETTINGS)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let id = server_of_room.export(ADMIN, &request());
    let export = server_of_room.ended(ADMIN, &id);
    signal(&worker, "TERM");
    wait_for("the worker to stop", || worker.try_wait().unwrap());
    let log = std::fs::read_to_string(of_worker.path().join("log")).unwrap();
    assert_eq!(export["state"], "done", "{export}\n{log}");
    let download = server_of_room.get(&format!("/data-export/{id}"), Some(ADMIN));
    assert_eq!(download.status, 200);
    assert!(!log.contains("may-write") && !server_of_room.log().contains("may-write"));
    let place_of_room = MongoPlace {
        address: room,
        name: place.name.clone(),
    };
    assert_stored(&place_of_room.database().await, &[id]).await;
}
