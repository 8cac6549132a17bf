//! Exports that the server stores in S3, WebDAV and Google Cloud Storage, also when those fail and when it is killed.

use std::fs::File;
use std::io;
use std::time::Duration;

use bson::{DateTime, doc};
use serde_json::json;
use tempfile::TempDir;
use transcript::bson::{Doc, Value};

use super::stores::{bytes, put};
use crate::support::cli::entries;
use crate::support::exported::Whole;
use crate::support::faults::{Fault, FaultProxy};
use crate::support::server::{ADMIN, Server, changed_home, wait_for};
use crate::support::stores::{Kind, Store};

/// Larger than two parts of an upload, and nothing that deflate makes smaller. One part for Google Cloud Storage: the
/// server of the tests does not know its uploads in parts.
fn large(kind: Kind) -> usize {
    match kind {
        Kind::Gcs => 4_000_000,
        _ => 12_000_000,
    }
}

/// A workspace whose room GENERAL has one file in a store, and the settings that lead there.
struct World {
    store: &'static Store,
    /// Where its exports go.
    folder: String,
    settings: Vec<String>,
    content: Vec<u8>,
}

impl World {
    fn new(kind: Kind, name: &str, size: usize, port: Option<u16>) -> (Self, TempDir) {
        let store = Store::get(kind);
        let (place, field) = kind.names();
        let key = format!("{name}/attached");
        let content = bytes(size);
        put(store, &[(&key, &content)]);
        let home = changed_home(|dump| {
            dump.add(
                "rocketchat_uploads",
                &doc! {"_id": "F", "name": "f.bin", "rid": "GENERAL", "store": format!("{place}:Uploads"),
                "type": "image/png", field: {"path": key}, "size": i64::try_from(size).unwrap()},
            );
            dump.add(
                "rocketchat_message",
                &doc! {"_id": "with-file", "rid": "GENERAL", "msg": "", "ts": DateTime::from_millis(1_709_251_200_000),
                "u": {"_id": "uBob", "username": "bob"}, "file": {"_id": "F", "name": "f.bin"}},
            );
            dump.add(
                "rocketchat_settings",
                &doc! {"_id": "uniqueID", "value": name},
            );
        });
        let mut settings = store.settings(port);
        let chosen = match kind {
            Kind::S3 => "s3",
            Kind::WebDav => "webdav",
            Kind::Gcs => "gcs",
        };
        for (key, value) in [
            ("store.place", chosen),
            ("webdav.folder", name),
            ("blobs.part_bytes", "5242880"),
            ("blobs.backoff", "10ms"),
            ("blobs.timeout", "2s"),
            ("mail.ready", "false"),
            ("jobs.backoff", "10ms"),
            ("jobs.lease", "2s"),
            ("jobs.heartbeat", "200ms"),
        ] {
            settings.push((key.to_owned(), value.to_owned()));
        }
        let pair = |(key, value): (String, String)| format!("{key}={value}");
        let world = Self {
            store,
            folder: match kind {
                Kind::WebDav => format!("{name}/export-room/"),
                _ => format!("{name}/uploads/userData/export-room/"),
            },
            settings: settings.into_iter().map(pair).collect(),
            content,
        };
        (world, home)
    }

    fn settings(&self) -> Vec<&str> {
        self.settings.iter().map(String::as_str).collect()
    }

    fn keys(&self) -> Vec<String> {
        self.store.keys(&self.folder)
    }

    /// The one export there is: of this job, whole, found by its record, with the attachment's bytes.
    async fn assert_one(&self, server: &Server, id: &str, epoch: u64) -> Vec<u8> {
        let suffix = match epoch {
            1 => String::new(),
            epoch => format!(".{epoch}"),
        };
        let key = format!("{}{id}{suffix}.zip", self.folder);
        assert_eq!(self.keys(), [&*key]);
        let records = server.exported().records().await;
        let [record] = records.as_slice() else {
            panic!("{records:?}");
        };
        let (place, field) = self.store.kind.names();
        assert_eq!(record.store, format!("{place}:UserDataFiles"));
        assert!(record.complete);
        let doc = Doc::new(&record.doc.0).unwrap();
        let path = doc.at(&[field, "path"]).and_then(Value::text).unwrap();
        assert_eq!(path.to_str().trim_start_matches('/'), key);
        // As another client reads it.
        let stored = self.store.get_one(&key);
        let whole = Whole::of(&stored);
        assert_eq!(whole.bytes, record.size);
        assert_eq!(Some(&whole.digest), record.sha256.as_ref());
        let zip = tempfile::NamedTempFile::new().unwrap();
        io::copy(&mut &*stored, &mut File::create(zip.path()).unwrap()).unwrap();
        let entries = entries(zip.path());
        let (_, attached) = entries
            .iter()
            .find(|(name, _)| name.ends_with("f.bin"))
            .unwrap();
        assert!(*attached == self.content, "other bytes");
        stored
    }
}

fn request() -> serde_json::Value {
    json!({"rid": "GENERAL", "type": "file", "format": "json"})
}

#[tokio::test]
async fn an_export_goes_into_the_store_and_comes_back() {
    for kind in Kind::ALL {
        let (world, home) = World::new(kind, "stored", large(kind), None);
        let server = Server::start_in(home, &world.settings());
        assert_eq!(server.get("/health/ready", None).status, 200);
        let id = server.export(ADMIN, &request());
        let ended = server.ended(ADMIN, &id);
        assert_eq!(ended["state"], "done", "{kind:?} {ended}\n{}", server.log());
        let stored = world.assert_one(&server, &id, 1).await;
        let path = format!("/data-export/{id}");
        let answer = server.get(&path, Some(ADMIN));
        assert_eq!(answer.status, 200);
        assert!(answer.body == stored);
        let (user, token) = ADMIN;
        let ranged = server.send(
            "GET",
            &path,
            &[
                ("X-User-Id", user),
                ("X-Auth-Token", token),
                ("Range", "bytes=3000000-3000009"),
            ],
            b"",
        );
        assert_eq!(
            (ranged.status, &*ranged.body),
            (206, &stored[3_000_000..3_000_010])
        );
        if kind == Kind::S3 {
            // Other tests write into the same bucket meanwhile, each into a folder of its own.
            let open = world.store.s3(&["uploads"]);
            let ours = open.lines().find(|key| key.starts_with(&world.folder));
            assert_eq!(ours, None, "no upload is left open");
        }
        let deleted = server.post(
            "/api/v1/rooms.export.delete",
            Some(ADMIN),
            &json!({"id": id}),
        );
        assert_eq!(deleted.status, 200, "{}", server.log());
        assert_eq!(world.keys(), [""; 0]);
        assert_eq!(server.get(&path, Some(ADMIN)).status, 404);
    }
}

#[tokio::test]
async fn a_store_that_fails_while_an_export_is_written_costs_nothing_but_time() {
    for kind in Kind::ALL {
        let proxy = FaultProxy::start(Store::get(kind).port());
        let (world, home) = World::new(kind, "written", large(kind), Some(proxy.port));
        let server = Server::start_in(home, &world.settings());
        let initiate: &[&str] = &["POST", "?uploads"];
        let complete: &[&str] = &["POST", "uploadId="];
        let part: &[&str] = &["PUT", "export-room"];
        let cases: &[(&'static [&'static str], Fault, usize)] = match kind {
            Kind::Gcs => &[
                (&["POST", "upload"], Fault::Status(500), 2),
                (&["POST", "upload"], Fault::Status(503), 1),
                (&["POST", "upload"], Fault::Lost, 1),
            ],
            Kind::WebDav => &[
                (part, Fault::Status(500), 2),
                (part, Fault::Status(503), 1),
                (part, Fault::Lost, 1),
                (&["MKCOL"], Fault::Status(500), 1),
            ],
            Kind::S3 => &[
                (initiate, Fault::Status(503), 2),
                (part, Fault::Status(500), 2),
                (part, Fault::Status(503), 3),
                (part, Fault::Lost, 1),
                (part, Fault::Delay(Duration::from_millis(300)), 3),
                (complete, Fault::Status(500), 1),
            ],
        };
        for (words, fault, times) in cases {
            proxy.fail(words, *fault, *times);
            let id = server.export(ADMIN, &request());
            let ended = server.ended(ADMIN, &id);
            let seen = proxy.reset();
            let told = format!("{kind:?} {words:?} {fault:?}: {ended}\n{seen:#?}");
            assert_eq!(ended["state"], "done", "{told}\n{}", server.log());
            assert!(seen.len() > 3, "{told}");
            let epoch = ended["attempt"].as_u64().unwrap_or(1);
            world.assert_one(&server, &id, epoch).await;
            let deleted = server.post(
                "/api/v1/rooms.export.delete",
                Some(ADMIN),
                &json!({"id": id}),
            );
            assert_eq!(deleted.status, 200, "{}", server.log());
        }
        assert!(server.log().contains("is asked again"));
        let figures = server.get("/metrics", None);
        assert!(
            figures.text().contains("export_room_store_retries_total{"),
            "{}",
            figures.text()
        );
    }
}

#[tokio::test]
async fn a_store_that_is_down_fails_the_job_and_leaves_nothing() {
    let proxy = FaultProxy::start(Store::get(Kind::S3).port());
    let (world, home) = World::new(Kind::S3, "down", large(Kind::S3), Some(proxy.port));
    let mut settings = world.settings();
    settings.extend(["jobs.attempts=2", "blobs.attempts=2", "blobs.timeout=500ms"]);
    let server = Server::start_in(home, &settings);
    // The second part never arrives.
    for fault in [Fault::Status(500), Fault::Hang] {
        proxy.fail(&["PUT", "partNumber=2"], fault, usize::MAX);
        let id = server.export(ADMIN, &request());
        let ended = server.ended(ADMIN, &id);
        proxy.reset();
        assert_eq!(ended["state"], "failed", "{ended}\n{}", server.log());
        assert_eq!(ended["error"]["code"], "store-unwritable", "{ended}");
        assert_eq!(world.keys(), [""; 0]);
        // What was begun is taken back.
        wait_for("the upload to be given up", || {
            world.store.s3(&["uploads"]).is_empty().then_some(())
        });
    }
    // And then it is up again.
    let id = server.export(ADMIN, &request());
    let ended = server.ended(ADMIN, &id);
    assert_eq!(ended["state"], "done", "{ended}\n{}", server.log());
    world.assert_one(&server, &id, 1).await;
}

#[tokio::test]
async fn a_killed_server_leaves_no_object_behind() {
    for kind in Kind::ALL {
        for step in ["publish", "record"] {
            let name = format!("killed-{step}");
            let (world, home) = World::new(kind, &name, 100_000, None);
            let server = Server::doomed(home, step, &world.settings());
            let id = server.export(ADMIN, &request());
            let home = server.fallen();
            if step == "record" {
                assert_eq!(world.keys(), [format!("{}{id}.zip", world.folder)]);
            }
            let server = Server::start_in(home, &world.settings());
            let ended = server.ended(ADMIN, &id);
            assert_eq!(
                ended["state"],
                "done",
                "{kind:?} {step} {ended}\n{}",
                server.log()
            );
            wait_for("the leftover to be removed", || {
                (world.keys().len() == 1).then_some(())
            });
            world.assert_one(&server, &id, 2).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_hangs_when_leftovers_are_removed_holds_up_no_export() {
    let proxy = FaultProxy::start(Store::get(Kind::S3).port());
    let (world, home) = World::new(Kind::S3, "lost", 100_000, Some(proxy.port));
    // Longer than the test waits.
    let mut settings = world.settings();
    settings.extend(["jobs.attempts=1", "blobs.timeout=1h"]);
    let server = Server::doomed(home, "record", &settings);
    let lost = server.export(ADMIN, &request());
    let home = server.fallen();
    proxy.reset();
    proxy.fail(&["DELETE"], Fault::Hang, usize::MAX);
    let server = Server::start_in(home, &settings);
    let ended = server.ended(ADMIN, &lost);
    assert_eq!(ended["error"]["code"], "interrupted", "{ended}");
    let id = server.export(ADMIN, &request());
    let ended = server.ended(ADMIN, &id);
    assert_eq!(ended["state"], "done", "{ended}\n{}", server.log());
    let seen = proxy.reset();
    assert!(
        seen.iter().any(|line| line.starts_with("DELETE")),
        "{seen:#?}"
    );
}
