//! Exports of a live workspace whose settings choose a store over the network: they are where the record says, come back,
//! and are removed by their owner and by age; and what a sweep asks of stores and database.

use std::path::Path;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use export_room::app::{App, Service};
use export_room::clock::Clock;
use export_room::config::Config;
use export_room::jobs::sweeper::{Swept, sweep};
use export_room::jobs::{Claim, JobQueue, JobState, SweepTurn};
use mongodb::Database;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::live::{CLAIM, RECORDS, SETTINGS, all, fill, home, job, queue, request};
use crate::support::cli::entries;
use crate::support::exported::Whole;
use crate::support::faults::FaultProxy;
use crate::support::mongo::{MongoPlace, MongoServer};
use crate::support::server::{ADMIN, BOB, PATIENCE, Server};
use crate::support::stores::{Kind, Store};

const EVERYTHING: SweepTurn = SweepTurn {
    began: 0,
    since: i64::MIN,
};

/// The settings of a workspace whose files are in a store, and those of ours that no setting of it can say.
fn chosen(
    store: &Store,
    folder: &str,
    port: Option<u16>,
) -> (Vec<(&'static str, String)>, Vec<String>) {
    let url = match port {
        Some(port) => store
            .url
            .replace(&store.port().to_string(), &port.to_string()),
        None => store.url.clone(),
    };
    let mut theirs = vec![
        ("FileUpload_Storage_Type", store.kind.names().0.to_owned()),
        ("uniqueID", folder.to_owned()),
    ];
    let mut ours = Vec::new();
    match store.kind {
        Kind::S3 => theirs.extend([
            ("FileUpload_S3_Bucket", store.bucket.clone()),
            ("FileUpload_S3_BucketURL", url),
            ("FileUpload_S3_AWSAccessKeyId", store.user.clone()),
            ("FileUpload_S3_AWSSecretAccessKey", store.secret.clone()),
            ("FileUpload_S3_ForcePathStyle", "true".to_owned()),
        ]),
        Kind::WebDav => theirs.extend([
            ("FileUpload_Webdav_Server_URL", url),
            ("FileUpload_Webdav_Username", store.user.clone()),
            ("FileUpload_Webdav_Password", store.secret.clone()),
            ("FileUpload_Webdav_Upload_Folder_Path", folder.to_owned()),
        ]),
        Kind::Gcs => {
            theirs.push(("FileUpload_GoogleStorage_Bucket", store.bucket.clone()));
            ours = vec![
                format!("gcs.endpoint={url}"),
                "gcs.anonymous=true".to_owned(),
            ];
        }
    }
    (theirs, ours)
}

async fn filled(place: &MongoPlace, settings: &[(&'static str, String)]) {
    let settings: Vec<_> = settings.iter().map(|(id, value)| (*id, &**value)).collect();
    fill(place, &settings).await;
}

/// What a server and its workers work with, in this process.
async fn service(place: &MongoPlace, clock: Clock, settings: &[String]) -> Service {
    let mut flags = vec![
        ("workspace.address", place.address.clone()),
        ("mail.transport", "smtp".to_owned()),
        ("store.keep", "30d".to_owned()),
    ];
    for setting in settings {
        let (key, value) = setting.split_once('=').unwrap();
        flags.push((key, value.to_owned()));
    }
    let config = Config::load(Some(Path::new("/dev/null")), std::iter::empty(), &flags).unwrap();
    let app = App {
        clock,
        cancel: CancellationToken::new(),
    };
    app.service(config).await.unwrap()
}

/// The records of two exports; that of the second may come a moment after its end.
async fn both(database: &Database) -> Vec<Document> {
    let begun = Instant::now();
    loop {
        let records = all(database, RECORDS).await;
        if records.len() == 2 {
            return records;
        }
        assert!(begun.elapsed() < PATIENCE, "{records:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn days_from_now(days: i64) -> Clock {
    Clock::Fixed(Clock::System.now() + days * 86_400_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workspaces_settings_choose_the_store_of_exports() {
    for kind in Kind::ALL {
        let store = Store::get(kind);
        let folder = format!("live-{kind:?}");
        let (theirs, ours) = chosen(store, &folder, None);
        let place = MongoPlace::new();
        filled(&place, &theirs).await;
        let database = place.database().await;
        let in_store = match kind {
            Kind::WebDav => format!("{folder}/export-room/"),
            _ => format!("{folder}/uploads/userData/export-room/"),
        };
        let settings: Vec<_> = SETTINGS
            .into_iter()
            .chain(["store.directory="])
            .chain(ours.iter().map(String::as_str))
            .collect();
        let server = Server::start_at(home(), &place.address, &settings);
        let mut ids = Vec::new();
        for format in ["json", "html"] {
            let id = server.export(
                ADMIN,
                &json!({"rid": "GENERAL", "type": "file", "format": format}),
            );
            let export = server.ended(ADMIN, &id);
            assert_eq!(
                export["state"],
                "done",
                "{kind:?} {export}\n{}",
                server.log()
            );
            assert_eq!(export["report"]["files"]["packed"], 1, "{export}");
            ids.push(id);
        }
        // Where Rocket.Chat looks: the store that it has, and in it the path of the record.
        let records = both(&database).await;
        for record in &records {
            let id = record.get_str("_id").unwrap();
            let (name, field) = kind.names();
            assert_eq!(
                record.get_str("store").unwrap(),
                format!("{name}:UserDataFiles")
            );
            let path = record.get_document(field).unwrap().get_str("path").unwrap();
            let key = format!("{in_store}{id}.zip");
            assert_eq!(path.trim_start_matches('/'), key);
            let stored = store.get_one(&key);
            let whole = Whole::of(&stored);
            let details = record.get_document("exportRoom").unwrap();
            assert_eq!(details.get_str("sha256").unwrap(), whole.digest);
            let download = server.get(&format!("/data-export/{id}"), Some(ADMIN));
            assert!(
                download.status == 200 && download.body == stored,
                "{kind:?}"
            );
            assert_eq!(
                server.get(&format!("/data-export/{id}"), Some(BOB)).status,
                403
            );
            let zip = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(zip.path(), &stored).unwrap();
            let packed = entries(zip.path());
            assert!(packed.values().any(|content| content == b"hello world"));
        }
        // Its owner removes one, and age the other.
        let removed = server.post(
            "/api/v1/rooms.export.delete",
            Some(ADMIN),
            &json!({"id": ids[0]}),
        );
        assert_eq!(removed.text(), r#"{"success":true}"#, "{}", server.log());
        assert_eq!(store.keys(&in_store), [format!("{in_store}{}.zip", ids[1])]);
        let today = service(&place, Clock::System, &ours).await;
        assert_eq!(sweep(&today, EVERYTHING).await, Swept::default());
        // What is in a bucket, or on a server, of before is not taken for gone.
        let other = match kind {
            Kind::S3 => "s3.bucket=other".to_owned(),
            Kind::Gcs => "gcs.bucket=other".to_owned(),
            Kind::WebDav => format!("webdav.url={}/other", store.url),
        };
        let moved = service(
            &place,
            days_from_now(31),
            &[ours.clone(), vec![other]].concat(),
        )
        .await;
        assert_eq!(sweep(&moved, EVERYTHING).await.expired, 0, "{kind:?}");
        assert_eq!(all(&database, RECORDS).await.len(), 1, "{kind:?}");
        assert_eq!(store.keys(&in_store).len(), 1);
        // One in another folder of the same is found.
        let settings = database.collection::<Document>("rocketchat_settings");
        let folders = ["uniqueID", "FileUpload_Webdav_Upload_Folder_Path"];
        let moved = doc! {"$set": {"value": "elsewhere"}};
        let folders = doc! {"_id": {"$in": &folders[..]}};
        settings.update_many(folders, moved).await.unwrap();
        let month = service(&place, days_from_now(31), &ours).await;
        assert_eq!(sweep(&month, EVERYTHING).await.expired, 1, "{kind:?}");
        assert_eq!(store.keys(&in_store), [""; 0]);
        assert_eq!(all(&database, RECORDS).await, []);
        let gone = server.get(&format!("/data-export/{}", ids[1]), Some(ADMIN));
        assert_eq!(gone.status, 404, "{kind:?}");
    }
}

/// Has a job of this name fail after two claims.
async fn failed(queue: &impl JobQueue, name: &str) {
    queue.enqueue(&job(name), 1, 100).await.unwrap();
    for (now, until) in [(10, 20), (30, i64::MAX)] {
        let claim = Claim {
            now,
            until,
            ..CLAIM
        };
        let (claimed, fence) = queue.claim(&claim).await.unwrap().job.unwrap();
        assert_eq!(claimed.id.0, name);
        if now == 30 {
            let error = export_room::jobs::JobError::internal();
            let failed = export_room::jobs::Settlement::Failed(error);
            let state = queue.settle(&fence, failed, 40).await.unwrap();
            assert_eq!(state, JobState::Failed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_asks_a_store_only_for_what_may_be_a_leftover() {
    const FAILED: &str = "failed00000000001";
    for kind in [Kind::S3, Kind::WebDav] {
        let store = Store::get(kind);
        let proxy = FaultProxy::start(store.port());
        let folder = format!("swept-{kind:?}");
        let (theirs, ours) = chosen(store, &folder, Some(proxy.port));
        let place = MongoPlace::new();
        filled(&place, &theirs).await;
        let server = Server::start_at(home(), &place.address, &SETTINGS);
        for format in ["json", "html"] {
            let id = server.export(
                ADMIN,
                &json!({"rid": "GENERAL", "type": "file", "format": format}),
            );
            assert_eq!(
                server.ended(ADMIN, &id)["state"],
                "done",
                "{}",
                server.log()
            );
        }
        drop(server);
        proxy.reset();
        let service = service(&place, Clock::System, &ours).await;
        assert_eq!(sweep(&service, EVERYTHING).await, Swept::default());
        assert_eq!(proxy.reset(), [""; 0], "{kind:?}: nothing can be left");
        // Beside them one that failed, of which a worker that had died left a file.
        failed(&queue(&place).await, FAILED).await;
        let in_store = match kind {
            Kind::WebDav => format!("{folder}/export-room/"),
            _ => format!("{folder}/uploads/userData/export-room/"),
        };
        let left = format!("{in_store}{FAILED}.zip");
        crate::stores::put(store, &[(&left, b"PK")]);
        assert_eq!(sweep(&service, EVERYTHING).await.leftovers, 1);
        let asked = proxy.reset();
        assert!(!asked.is_empty());
        for line in &asked {
            assert!(line.contains(FAILED), "{kind:?}: {asked:#?}");
        }
        assert_eq!(store.keys(&in_store).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_reads_no_chunk_of_an_export_that_is_whole() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    fill(&place, &[]).await;
    let settings = [&SETTINGS[..], &["store.place=gridfs"]].concat();
    let api = Server::start_at(home(), &place.address, &settings);
    let id = api.export(ADMIN, &request());
    assert_eq!(api.ended(ADMIN, &id)["state"], "done", "{}", api.log());
    drop(api);
    let database = place.database().await;
    let chunks = database.collection::<Document>("rocketchat_userDataFiles.chunks");
    let jobs = database.collection::<Document>("export_room_jobs");
    let service = service(&place, Clock::System, &[]).await;
    let tidied = async |turn: SweepTurn| {
        let sweep = jobs
            .find_one(doc! {"_id": "export-room-sweep"})
            .await
            .unwrap();
        let since = sweep.unwrap().get_datetime("since").cloned().unwrap();
        since.timestamp_millis() == turn.began
    };
    // Made by the first claim: nobody looks at its file at all.
    let now = Clock::System.now();
    let turn = SweepTurn {
        began: now + 1,
        ..EVERYTHING
    };
    place
        .fail(
            doc! {"times": 1000},
            doc! {"failCommands": ["delete"], "errorCode": 13},
        )
        .await;
    assert_eq!(sweep(&service, turn).await, Swept::default());
    place.heal().await;
    assert!(tidied(turn).await);
    // Made by the second claim, of which the first had written more: only what is behind the whole file is removed.
    let second = doc! {"$set": {"epoch": 2_i64}};
    jobs.update_one(doc! {"_id": &id}, second).await.unwrap();
    let second = doc! {"$set": {"exportRoom": 2_i64}};
    for collection in ["files", "chunks"] {
        let name = format!("rocketchat_userDataFiles.{collection}");
        let collection = database.collection::<Document>(&name);
        collection
            .update_many(doc! {}, second.clone())
            .await
            .unwrap();
    }
    let whole = chunks.count_documents(doc! {}).await.unwrap();
    // No chunk of a whole file is another claim's: this one shows whether somebody looks.
    let shows = doc! {"$set": {"exportRoom": 1_i64}};
    chunks.update_one(doc! {"n": 0}, shows).await.unwrap();
    let n = i32::try_from(whole).unwrap();
    for n in [n, n + 1] {
        let left = doc! {"files_id": &id, "n": n, "exportRoom": 1_i64};
        chunks.insert_one(left).await.unwrap();
    }
    assert_eq!(sweep(&service, EVERYTHING).await.leftovers, 1);
    assert_eq!(chunks.count_documents(doc! {}).await.unwrap(), whole);
    // Of one that has no whole file, everything.
    let queue = queue(&place).await;
    let name = "failed00000000001";
    failed(&queue, name).await;
    for (n, epoch) in [(0, 1_i64), (1, 2), (7, 1)] {
        let left = doc! {"files_id": name, "n": n, "exportRoom": epoch};
        chunks.insert_one(left).await.unwrap();
    }
    let theirs = doc! {"files_id": "somebody's", "n": 0};
    chunks.insert_one(theirs).await.unwrap();
    assert_eq!(sweep(&service, EVERYTHING).await.leftovers, 1);
    assert_eq!(chunks.count_documents(doc! {}).await.unwrap(), whole + 1);
}
