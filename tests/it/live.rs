//! Servers and workers on a live database: from a login token to the downloaded file, wherever Rocket.Chat would look for
//! it, and nothing lost whoever dies.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, DateTime, Document, doc};
use export_room::blob::gridfs::GridFsFiles;
use export_room::export::file::FileExport;
use export_room::export::request::{ExportRequest, Format};
use export_room::jobs::mongo::MongoQueue;
use export_room::jobs::{
    Claim, FileExportWork, JobId, JobQueue, JobState, NewJob, Outcome, QueueError, ReadyMailWork,
    Settlement, Work,
};
use export_room::store::directory::UserId;
use export_room::store::mongo::{Load, MongoDatabase, MongoSource};
use export_room::store::{MessageSource, Window};
use futures_util::{AsyncReadExt, TryStreamExt};
use mongodb::Database;
use mongodb::options::GridFsBucketOptions;
use rand::RngExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use transcript::locale::Locale;
use transcript::room::RoomInfo;

use crate::queue_contract::record;
use crate::support::cli::{command, entries, ran, run};
use crate::support::exported::Whole;
use crate::support::mongo::{MongoPlace, MongoServer};
use crate::support::server::{
    ADMIN, BOB, PATIENCE, Server, assert_killed, signal, wait_for, work_at, world,
};

pub(crate) const RECORDS: &str = "rocketchat_user_data_files";
const BUCKET: &str = "rocketchat_userDataFiles";
/// The job of a dead process is soon somebody else's.
pub(crate) const SETTINGS: [&str; 5] = [
    "jobs.lease=2s",
    "jobs.heartbeat=200ms",
    "jobs.poll=50ms",
    "jobs.backoff=10ms",
    "jobs.attempts=100",
];

/// The world of the servers' tests in a live database, one message with a file in GridFS.
async fn place() -> MongoPlace {
    let place = MongoPlace::new();
    fill(&place, &[]).await;
    place
}

pub(crate) async fn fill(place: &MongoPlace, settings: &[(&str, &str)]) {
    let mut dump = world();
    dump.add(
        "rocketchat_uploads",
        &doc! {"_id": "F", "name": "f.txt", "rid": "GENERAL", "store": "GridFS:Uploads", "type": "text/plain", "size": 11},
    );
    dump.add(
        "rocketchat_message",
        &doc! {
            "_id": "with-file", "rid": "GENERAL", "msg": "", "ts": DateTime::from_millis(1_709_251_200_000),
            "u": {"_id": "uBob", "username": "bob"}, "file": {"_id": "F", "name": "f.txt"},
        },
    );
    for (id, value) in settings {
        dump.add("rocketchat_settings", &doc! {"_id": id, "value": value});
    }
    place.load(&dump).await;
    let options = GridFsBucketOptions::builder()
        .bucket_name("rocketchat_uploads".to_owned())
        .build();
    let bucket = place.database().await.gridfs_bucket(options);
    let mut stream = bucket
        .open_upload_stream("F")
        .id(Bson::from("F"))
        .await
        .unwrap();
    futures_util::AsyncWriteExt::write_all(&mut stream, b"hello world")
        .await
        .unwrap();
    futures_util::AsyncWriteExt::close(&mut stream)
        .await
        .unwrap();
}

pub(crate) fn request() -> Value {
    json!({"rid": "GENERAL", "type": "file", "format": "json"})
}

pub(crate) fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) async fn all(database: &Database, collection: &str) -> Vec<Document> {
    let collection = database.collection::<Document>(collection);
    let found = collection.find(doc! {}).await.unwrap();
    found.try_collect().await.unwrap()
}

/// A file of the bucket of exports, as the driver's own reader has it.
async fn stored(database: &Database, id: &str) -> Vec<u8> {
    let options = GridFsBucketOptions::builder()
        .bucket_name(BUCKET.to_owned())
        .build();
    let bucket = database.gridfs_bucket(options);
    let mut stream = bucket.open_download_stream(Bson::from(id)).await.unwrap();
    let mut content = Vec::new();
    stream.read_to_end(&mut content).await.unwrap();
    content
}

/// Each of these jobs has one record and one file, whole, where Rocket.Chat looks for it, and nothing else is there.
pub(crate) async fn assert_stored(database: &Database, ids: &[String]) {
    let mut expected = ids.to_vec();
    expected.sort();
    let names = |documents: &[Document], key: &str| {
        let mut names: Vec<_> = documents
            .iter()
            .map(|document| document.get_str(key).unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let records = all(database, RECORDS).await;
    assert_eq!(names(&records, "_id"), expected);
    assert_eq!(
        names(&all(database, &format!("{BUCKET}.files")).await, "_id"),
        expected
    );
    for record in &records {
        let id = record.get_str("_id").unwrap();
        assert_eq!(record.get_str("store").unwrap(), "GridFS:UserDataFiles");
        let whole = Whole::of(&stored(database, id).await);
        let size = record.get_i32("size").unwrap();
        let details = record.get_document("exportRoom").unwrap();
        assert_eq!(
            (
                u64::try_from(size).unwrap(),
                details.get_str("sha256").unwrap()
            ),
            (whole.bytes, &*whole.digest)
        );
    }
    assert_eq!(leftovers(database).await, [""; 0]);
}

/// Chunks of claims that do not count.
async fn leftovers(database: &Database) -> Vec<String> {
    let records = all(database, RECORDS).await;
    let mut leftovers = Vec::new();
    for chunk in all(database, &format!("{BUCKET}.chunks")).await {
        let (id, n) = (chunk.get_str("files_id").unwrap(), chunk.get_i32("n"));
        let record = records
            .iter()
            .find(|record| record.get_str("_id").unwrap() == id);
        let counts = record.map(|record| {
            let extension = record.get_str("extension").unwrap();
            let epoch = extension.strip_suffix(".zip");
            epoch.map_or(1, |epoch| epoch.parse().unwrap())
        });
        let epoch = chunk.get_i64("exportRoom").unwrap();
        if counts != Some(epoch) {
            leftovers.push(format!("{id}, {n:?} of claim {epoch}, not {counts:?}"));
        }
    }
    leftovers
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_where_rocket_chat_looks_for_it() {
    let place = place().await;
    let database = place.database().await;
    let mut server = Server::start_at(home(), &place.address, &SETTINGS);
    let id = server.export(ADMIN, &request());
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}\n{}", server.log());
    assert_eq!(export["report"]["files"]["packed"], 1, "{export}");
    assert_stored(&database, std::slice::from_ref(&id)).await;
    let path = format!("/data-export/{id}");
    let content = stored(&database, &id).await;
    let answer = server.get(&path, Some(ADMIN));
    assert!(answer.status == 200 && answer.body == content);
    let mut headers = crate::support::server::credentials(Some(ADMIN));
    headers.push(("range", "bytes=100-"));
    let part = server.send("GET", &path, &headers, b"");
    assert!(part.status == 206 && part.body == content[100..]);
    assert_eq!(server.get(&path, Some(BOB)).status, 403);
    // The file's own documents, as drivers write them.
    let files = all(&database, &format!("{BUCKET}.files")).await;
    let file = &files[0];
    assert_eq!(
        file.get_i64("length").unwrap(),
        i64::try_from(content.len()).unwrap()
    );
    assert_eq!(file.get_i32("chunkSize").unwrap(), 261_120);
    assert_eq!(file.get_str("filename").unwrap(), id);
    // What Rocket.Chat has stored there is not touched.
    let foreign = doc! {"_id": "theirs", "length": 0_i64, "chunkSize": 261_120};
    let theirs = database.collection::<Document>(&format!("{BUCKET}.files"));
    theirs.insert_one(&foreign).await.unwrap();
    let removed = server.post(
        "/api/v1/rooms.export.delete",
        Some(ADMIN),
        &json!({"id": id}),
    );
    assert_eq!(removed.text(), r#"{"success":true}"#);
    assert_eq!(server.get(&path, Some(ADMIN)).status, 404);
    assert_eq!(server.stop(), Some(0), "{}", server.log());
    assert!(all(&database, RECORDS).await.is_empty());
    assert!(all(&database, &format!("{BUCKET}.chunks")).await.is_empty());
    assert_eq!(all(&database, &format!("{BUCKET}.files")).await, [foreign]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workspace_says_where_exports_go() {
    let place = MongoPlace::new();
    let files = home();
    let path = files.path().to_str().unwrap();
    fill(
        &place,
        &[
            ("FileUpload_Storage_Type", "FileSystem"),
            ("FileUpload_FileSystemPath", path),
        ],
    )
    .await;
    // Without a directory of our own.
    let server = Server::start_at(home(), &place.address, &["store.directory="]);
    let id = server.export(ADMIN, &request());
    let export = server.ended(ADMIN, &id);
    assert_eq!(export["state"], "done", "{export}\n{}", server.log());
    let stored = std::fs::metadata(files.path().join(format!("{id}.zip"))).unwrap();
    assert_eq!(export["size"], stored.len());
    let answer = server.get(&format!("/data-export/{id}"), Some(ADMIN));
    assert_eq!(answer.body.len() as u64, stored.len());
    // What we are told wins.
    let server = Server::start_at(home(), &place.address, &["store.place=gridfs"]);
    let other = server.export(ADMIN, &request());
    assert_eq!(server.ended(ADMIN, &other)["state"], "done");
    let database = place.database().await;
    assert_eq!(all(&database, &format!("{BUCKET}.files")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_may_be_killed_at_any_step_of_a_job() {
    for (step, epoch) in [
        ("begin", 2),
        ("write", 2),
        ("publish", 2),
        ("record", 2),
        ("settled", 1),
    ] {
        let place = place().await;
        let database = place.database().await;
        let server = Server::start_at(home(), &place.address, &["jobs.workers=0"]);
        let id = server.export(ADMIN, &request());
        let of_doomed = home();
        let mut doomed = work_at(of_doomed.path(), &place.address, &SETTINGS);
        doomed.env("EXPORT_ROOM_STOP_AT", format!("{step}:kill"));
        assert_killed(&mut doomed.spawn().unwrap());
        let mut other = Server::start_at(home(), &place.address, &SETTINGS);
        let export = server.ended(ADMIN, &id);
        assert_eq!(
            (&export["state"], &export["attempt"]),
            (&json!("done"), &json!(epoch)),
            "{step}: {export}"
        );
        let download = other.get(&format!("/data-export/{id}"), Some(ADMIN));
        assert_eq!(
            download.status,
            200,
            "{step}: {}\n{}",
            download.text(),
            other.log()
        );
        assert_eq!(export["sha256"], Whole::of(&download.body).digest, "{step}");
        // What the dead one left goes with the end of the job.
        assert_eq!(other.stop(), Some(0), "{}", other.log());
        assert_stored(&database, &[id]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_although_who_ended_the_job_is_killed() {
    let place = place().await;
    let server = Server::start_at(home(), &place.address, &["jobs.workers=0"]);
    let id = server.export(ADMIN, &request());
    let mut settings = SETTINGS.to_vec();
    settings.extend(["jobs.attempts=1", "mail.transport=directory"]);
    for step in ["write", "abandoned"] {
        let of_doomed = home();
        let mut doomed = work_at(of_doomed.path(), &place.address, &settings);
        doomed.env("EXPORT_ROOM_STOP_AT", format!("{step}:kill"));
        assert_killed(&mut doomed.spawn().unwrap());
    }
    let other = Server::start_at(home(), &place.address, &settings);
    let export = wait_for("the mail to be sent", || {
        let export = other.status(ADMIN, &id);
        (export["mail"]["state"] == "done").then_some(export)
    });
    assert_eq!(export["error"]["code"], "interrupted");
}

/// Starts a worker of its own process.
fn worker(home: &TempDir, place: &MongoPlace) -> Child {
    let settings = [
        &SETTINGS[..],
        &["jobs.per_user_running=8", "jobs.workers=2"],
    ]
    .concat();
    let mut command = work_at(home.path(), &place.address, &settings);
    command.stdout(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_that_are_killed_and_stopped_at_random_do_everything_once() {
    const JOBS: usize = 200;
    const ROUNDS: usize = 20;
    let place = place().await;
    let database = place.database().await;
    let settings = [
        "jobs.workers=0",
        "jobs.per_user_waiting=1000",
        "store.sweep=500ms",
    ];
    let server = Server::start_at(home(), &place.address, &settings);
    let of_workers = home();
    let mut workers: Vec<_> = (0..4).map(|_| worker(&of_workers, &place)).collect();
    let mut ids = Vec::new();
    let (mut killed, mut stopped) = (0, 0);
    // For a minute: ten jobs more every three seconds, and somebody harmed every 300 milliseconds.
    for round in 0..ROUNDS {
        for job in 0..JOBS / ROUNDS {
            // Equal requests would be one.
            let number = round * JOBS / ROUNDS + job;
            let from = format!("19{:02}-{:02}-01", number / 12, number % 12 + 1);
            let request =
                json!({"rid": "GENERAL", "type": "file", "format": "html", "dateFrom": from});
            ids.push(server.export(ADMIN, &request));
        }
        let mut asleep = None;
        for turn in 0..10 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let victim = rand::rng().random_range(..workers.len());
            match (turn, asleep) {
                // For longer than its lease.
                (0, _) => {
                    signal(&workers[victim], "STOP");
                    asleep = Some(victim);
                    stopped += 1;
                }
                (9, Some(sleeper)) => signal(&workers[sleeper], "CONT"),
                (_, Some(sleeper)) if sleeper == victim => {}
                _ => {
                    signal(&workers[victim], "KILL");
                    assert_killed(&mut workers[victim]);
                    workers[victim] = worker(&of_workers, &place);
                    killed += 1;
                }
            }
        }
    }
    assert!(killed > 50 && stopped == ROUNDS);
    let jobs = database.collection::<Document>("export_room_jobs");
    let begun = std::time::Instant::now();
    let done = doc! {"kind": "file_export/1", "state": "done"};
    while jobs.count_documents(done.clone()).await.unwrap() < JOBS as u64 {
        assert!(
            begun.elapsed() < 2 * PATIENCE,
            "{:#?}",
            all(&database, "export_room_jobs").await
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for worker in &mut workers {
        signal(worker, "TERM");
        let ended = wait_for("a worker to stop", || worker.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0));
    }
    // What killed ones left is swept.
    while !leftovers(&database).await.is_empty() {
        assert!(
            begun.elapsed() < 3 * PATIENCE,
            "{:?}",
            leftovers(&database).await
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_stored(&database, &ids).await;
    let attempts: i64 = all(&database, "export_room_jobs")
        .await
        .iter()
        .filter_map(|job| Some(i64::from(job.get_i32("attempt").ok()?)))
        .sum();
    assert!(
        usize::try_from(attempts).unwrap() > JOBS,
        "nobody was killed while it worked"
    );
}

/// The queue of a place, as another process has it.
pub(crate) async fn queue(place: &MongoPlace) -> MongoQueue {
    let database = MongoDatabase::connect(&place.uri(), Load::default())
        .await
        .unwrap();
    MongoQueue::open(database).await.unwrap()
}

pub(crate) fn job(name: &str) -> NewJob {
    NewJob {
        id: JobId(name.to_owned()),
        owner: UserId("u".to_owned()),
        rid: None,
        work: Work::FileExport(FileExportWork {
            rid: "GENERAL".to_owned(),
            format: "html".to_owned(),
            date_from: None,
            date_to: None,
            from: None,
            to: 2,
        }),
        same: None,
        run_at: 1,
    }
}

pub(crate) const CLAIM: Claim<'static> = Claim {
    worker: "test",
    kinds: &Work::KINDS,
    now: 10,
    until: 1_000_000,
    per_owner: 3,
    attempts: 3,
    except: &[],
};

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_against_all_processes_at_once() {
    const PROCESSES: usize = 8;
    const WAITING: u32 = 7;
    let place = MongoPlace::new();
    place.load(&world()).await;
    // All of them make the indexes.
    let queues = futures_util::future::join_all((0..PROCESSES).map(|_| queue(&place))).await;
    let queues: Vec<_> = queues.into_iter().map(Arc::new).collect();
    let tasks = queues.iter().enumerate().map(|(process, queue)| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move {
            let mut accepted = 0;
            for number in 0..4 {
                let job = job(&format!("p{process}-{number}"));
                match queue.enqueue(&job, 1, WAITING).await {
                    Ok(_) => accepted += 1,
                    Err(QueueError::TooMany(WAITING)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            accepted
        })
    });
    let accepted: u32 = futures_util::future::join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(accepted, WAITING);
    let claims = queues.iter().map(|queue| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move { queue.claim(&CLAIM).await.unwrap().job })
    });
    let claimed: Vec<_> = futures_util::future::join_all(claims)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .map(|(job, _)| job.id.0)
        .collect();
    let different: HashSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), different.len()), (3, 3), "{claimed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_job_leaves_is_written_although_its_process_dies() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    place.load(&world()).await;
    let database = place.database().await;
    let records = database.collection::<Document>(RECORDS);
    let jobs = database.collection::<Document>("export_room_jobs");
    let queue = queue(&place).await;
    for (name, successor) in [("first", false), ("second", true)] {
        queue.enqueue(&job(name), 1, 100).await.unwrap();
        let (_, fence) = queue.claim(&CLAIM).await.unwrap().job.unwrap();
        let settlement = Settlement::Done {
            outcome: Outcome::default(),
            file: Some(record(name, "S")),
            then: vec![NewJob {
                work: Work::ReadyMail(ReadyMailWork {
                    export: fence.id.clone(),
                }),
                ..job(&format!("{name}-mail"))
            }],
        };
        // The job has ended; then nothing more goes through.
        let how = doc! {"failCommands": ["insert"], "errorCode": 13};
        place.fail(doc! {"times": 1}, how).await;
        queue
            .settle(&fence, settlement.clone(), 20)
            .await
            .unwrap_err();
        // Looked at past the queue, which would write what is left.
        let ended = jobs.find_one(doc! {"_id": name}).await.unwrap().unwrap();
        assert_eq!(ended.get_str("state").unwrap(), "done");
        let found = records.find_one(doc! {"_id": name}).await.unwrap();
        assert_eq!(found, None);
        if successor {
            // As it is begun elsewhere.
            let other = self::queue(&place).await;
            let next = other.claim(&CLAIM).await.unwrap().job.unwrap();
            assert_eq!(next.0.id.0, "first-mail");
            let again = queue.settle(&fence, settlement, 21).await;
            assert!(matches!(again, Err(QueueError::LeaseLost(_))), "{again:?}");
        } else {
            let again = queue.settle(&fence, settlement, 21).await.unwrap();
            assert_eq!(again, JobState::Done);
        }
        let found = records.find_one(doc! {"_id": name}).await.unwrap();
        assert!(found.is_some(), "{name}");
        let mail = JobId(format!("{name}-mail"));
        assert!(queue.job(&mail).await.unwrap().is_some(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_well_whatever_the_database_refuses_for_a_while() {
    let database = MongoServer::start(&[]);
    let place = database.place();
    fill(&place, &[]).await;
    let server = Server::start_at(home(), &place.address, &SETTINGS);
    let mut ids = Vec::new();
    for command in ["find", "getMore", "insert", "update", "findAndModify"] {
        for how in [
            doc! {"closeConnection": true},
            doc! {"errorCode": 10107},
            doc! {"errorCode": 11600},
            doc! {"errorCode": 43},
        ] {
            let id = server.export(ADMIN, &request());
            let mut data = doc! {"failCommands": [command]};
            data.extend(how.clone());
            place.fail(doc! {"times": 5}, data).await;
            let begun = std::time::Instant::now();
            // The server of the API asks the same database.
            let path = format!("/api/v1/rooms.export.status?id={id}");
            let state = loop {
                let answer = server.get(&path, Some(ADMIN));
                if answer.status == 200 {
                    let state = answer.json()["export"]["state"].take();
                    if state != "queued" && state != "running" {
                        break state;
                    }
                }
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{command} {how}: {}",
                    server.log()
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            assert_eq!(state, "done", "{command} {how}\n{}", server.log());
            ids.push(id);
            place.heal().await;
        }
    }
    assert!(
        server.log().contains("\"level\":\"WARN\""),
        "{}",
        server.log()
    );
    assert_stored(&place.database().await, &ids).await;
}

/// An export of GENERAL from a place: what was expected, then `meanwhile`, then the manifest.
async fn exported(
    place: &MongoPlace,
    window: Window,
    meanwhile: impl AsyncFnOnce(&Database),
) -> Value {
    let database = MongoDatabase::connect(&place.uri(), Load::default())
        .await
        .unwrap();
    let source = Arc::new(MongoSource::new(database.clone()));
    let room = source.find_rooms("general", 2).await.unwrap().remove(0);
    let request = ExportRequest {
        room: RoomInfo::read(&room.0).unwrap(),
        window,
        format: Format::Json,
        attachments: false,
        history: false,
        raw: false,
        search: false,
        zone: jiff::tz::TimeZone::UTC,
        locale: Locale::default(),
        style: None,
        exported_by: None,
        level: 1,
        threads: 1,
        exported_at: 0,
    };
    let export = FileExport {
        source,
        blobs: Arc::new(GridFsFiles::new(&database)),
        progress: Arc::default(),
        cancel: CancellationToken::new(),
        on_missing: Box::new(|_| {}),
        on_damaged: Box::new(|_| {}),
    };
    let expected = export.count(&request).await.unwrap();
    meanwhile(&place.database().await).await;
    let run = tokio::task::spawn_blocking(move || {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (_, report) = export.run(&request, expected, file.as_file()).unwrap();
        let verified = crate::support::cli::run(&["verify", file.path().to_str().unwrap()]);
        assert_eq!(
            verified.code,
            i32::from(!report.is_complete()),
            "{}",
            verified.stderr
        );
        serde_json::to_value(report).unwrap()
    });
    run.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_a_room_is_exported_is_told_apart_from_what_is_lost() {
    let place = place().await;
    let messages = |database: &Database| database.collection::<Document>("rocketchat_message");
    let message = |id: &str, hour: i64| {
        let ts = DateTime::from_millis(1_709_251_200_000 + hour * 3_600_000 + 1);
        doc! {"_id": id, "rid": "GENERAL", "msg": "new", "ts": ts, "u": {"_id": "uBob", "username": "bob"}}
    };
    let calm = exported(&place, Window::default(), async |_| {}).await;
    assert_eq!(
        (
            &calm["messages"]["expected"],
            &calm["messages"]["read"],
            calm.get("changes")
        ),
        (&json!(41), &json!(41), None)
    );
    // Later than the beginning: another export's, also where the window is open for it.
    let hour = 3_600_000;
    for (id, to) in [("latest", Some(2 * hour)), ("later", None)] {
        let now = DateTime::now().timestamp_millis();
        let to = to.map(|to| now + to);
        let later = exported(&place, Window { from: None, to }, async |database| {
            let mut later = message(id, 0);
            later.insert("ts", DateTime::from_millis(now + hour));
            messages(database).insert_one(later).await.unwrap();
        });
        assert_eq!(later.await, calm);
        if to.is_some() {
            let gone = messages(&place.database().await)
                .delete_one(doc! {"_id": id})
                .await;
            assert_eq!(gone.unwrap().deleted_count, 1);
        }
    }
    let removed = exported(&place, Window::default(), async |database| {
        for id in ["later", "GENERAL-3"] {
            let removed = messages(database).delete_one(doc! {"_id": id}).await;
            assert_eq!(removed.unwrap().deleted_count, 1);
        }
    });
    let removed = removed.await;
    assert_eq!(
        (&removed["changes"], &removed["problems"]),
        (
            &json!([
                "the workspace counted 42 messages before the export and 40 after it, 40 were read"
            ]),
            &json!([])
        )
    );
    let added = exported(&place, Window::default(), async |database| {
        let written = messages(database).insert_one(message("late", 3)).await;
        written.unwrap();
    });
    let added = added.await;
    assert_eq!(added["messages"]["read"], 41);
    assert_eq!(added["changes"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_silent_server_are_told_and_leave_nothing() {
    let database = MongoServer::start(&[]);
    let place = database.place();
    fill(&place, &[]).await;
    let address = format!(
        "{}&socketTimeoutMS=500&serverSelectionTimeoutMS=1500",
        place.address
    );
    let settings = [&SETTINGS[..], &["jobs.attempts=2"]].concat();
    let server = Server::start_at(home(), &place.address, &["jobs.workers=0"]);
    // The first chunks of two attempts, each sent in two ways: inserted, and put where an earlier claim's may be.
    let full = doc! {"failCommands": ["insert", "update"], "errorCode": 14031};
    let silent = doc! {"failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 600_000};
    for (times, how, state, code) in [
        (4, full, "failed", json!("no-space")),
        (1, silent, "done", Value::Null),
    ] {
        let id = server.export(ADMIN, &request());
        place.fail(doc! {"times": times}, how).await;
        let of_worker = home();
        let mut worker = work_at(of_worker.path(), &address, &settings)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let export = server.ended(ADMIN, &id);
        signal(&worker, "TERM");
        wait_for("the worker to stop", || worker.try_wait().unwrap());
        let log = std::fs::read_to_string(of_worker.path().join("log")).unwrap();
        assert_eq!(
            (&export["state"], &export["error"]["code"]),
            (&json!(state), &code),
            "{export}\n{log}"
        );
        let stored: Vec<_> = (state == "done").then_some(id).into_iter().collect();
        if state == "done" {
            assert!(
                log.contains("a part of an export is written again"),
                "{log}"
            );
        }
        assert_stored(&place.database().await, &stored).await;
    }
}

/// What `import` made of a live database, room by room: message ids in their order.
fn imported(workspace: &Path) -> Vec<(String, u64)> {
    let address = format!("sqlite:{}", workspace.display());
    let listed = run(&["rooms", "--workspace", &address, "--json"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let rooms = str::from_utf8(&listed.stdout).unwrap().lines();
    rooms
        .map(|room| {
            let room: Value = serde_json::from_str(room).unwrap();
            let id = room["_id"].as_str().unwrap().to_owned();
            (id, room["messages"].as_u64().unwrap())
        })
        .collect()
}

/// Imports a live database; the rooms and the log.
fn import(address: &str, workspace: &Path, more: &[&str]) -> (i32, String) {
    let target = format!("sqlite:{}", workspace.display());
    let mut arguments = vec!["import", address, "--workspace", &target];
    arguments.extend(more);
    let ran = run(&arguments);
    (ran.code, ran.stderr)
}

/// The ZIP of an export from an address.
fn zip_of(address: &str, room: &str, directory: &TempDir) -> Vec<(String, Vec<u8>)> {
    let zip = directory.path().join("export.zip");
    let mut export = command(&["export", "--workspace", address, "--room", room]);
    export.args(["--format", "html", "--force", "-o", zip.to_str().unwrap()]);
    let exported = ran(&mut export);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    entries(&zip).into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_workspace_is_copied_whole_or_by_rooms() {
    let database = MongoServer::start(&[]);
    let place = database.place();
    fill(&place, &[]).await;
    // Ids of other types, as importers and drivers write them.
    let messages = place
        .database()
        .await
        .collection::<Document>("rocketchat_message");
    for id in [Bson::ObjectId(bson::oid::ObjectId::new()), Bson::Int32(7)] {
        let ts = DateTime::from_millis(1_709_251_300_000);
        let message = doc! {"_id": id, "rid": "GENERAL", "msg": "x", "ts": ts, "u": {"_id": "uBob", "username": "bob"}};
        messages.insert_one(message).await.unwrap();
    }
    let home = home();
    let (whole, chosen) = (home.path().join("whole.db"), home.path().join("chosen.db"));
    // A cursor is lost three times on the way.
    place
        .fail(
            doc! {"times": 3},
            doc! {"failCommands": ["getMore"], "errorCode": 43},
        )
        .await;
    let (code, told) = import(&place.address, &whole, &["--batch", "5"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("is asked again"), "{told}");
    place.heal().await;
    let rooms = [
        ("GENERAL", 43),
        ("helpdesk0000000001", 1),
        ("uAdminuBob", 0),
    ];
    let expected: Vec<_> = rooms.map(|(id, count)| (id.to_owned(), count)).into();
    assert_eq!(imported(&whole), expected);
    let (code, told) = import(&place.address, &chosen, &["--room", "general"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(imported(&chosen), expected[..1]);
    let live = zip_of(&place.address, "general", &home);
    for workspace in [&whole, &chosen] {
        let address = format!("sqlite:{}", workspace.display());
        assert!(zip_of(&address, "general", &home) == live, "{address}");
    }
    let left = std::fs::read_dir(home.path()).unwrap();
    let copies = left.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(copies.count(), 0);
}

// What an import that goes on has asked for once more stands behind dates that come later.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_date_does_not_say_how_far_a_copy_is() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    fill(&place, &[]).await;
    let database = place.database().await;
    let messages = database.collection::<Document>("rocketchat_message");
    let pad = doc! {"$set": {"pad": "x".repeat(64 << 10)}};
    messages.update_many(doc! {}, pad).await.unwrap();
    let home = home();
    let workspace = home.path().join("chat.db");
    place
        .fail(
            doc! {"skip": 3, "times": 1},
            doc! {"failCommands": ["getMore"], "errorCode": 13},
        )
        .await;
    let chosen = ["--room", "general"];
    let (code, told) = import(
        &place.address,
        &workspace,
        &[&["--batch", "5"], &chosen[..]].concat(),
    );
    assert_eq!(code, 2, "{told}");
    let odd = doc! {"_id": "odd", "rid": "GENERAL", "msg": "", "ts": 4_000_000_000_000_i64};
    messages.insert_one(&odd).await.unwrap();
    let part = only_directory(&home).join("rocketchat_message.bson.part");
    let mut part = std::fs::File::options().append(true).open(part).unwrap();
    part.write_all(&odd.to_vec().unwrap()).unwrap();
    let (code, told) = import(&place.address, &workspace, &chosen);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("is kept as it was then"), "{told}");
    assert_eq!(imported(&workspace)[0], ("GENERAL".to_owned(), 42));
}

/// The only directory among these.
fn only_directory(home: &TempDir) -> PathBuf {
    let entries = std::fs::read_dir(home.path()).unwrap();
    let mut directories = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let directory = directories.next().unwrap();
    assert!(directories.next().is_none());
    directory
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_interrupted_goes_on() {
    let cases: [&[&str]; 3] = [&[], &["--room", "general"], &["--fresh"]];
    for more in cases {
        let server = MongoServer::start(&[]);
        let place = server.place();
        fill(&place, &[]).await;
        let database = place.database().await;
        let messages = database.collection::<Document>("rocketchat_message");
        let pad = doc! {"$set": {"pad": "x".repeat(64 << 10)}};
        messages.update_many(doc! {}, pad).await.unwrap();
        let home = home();
        let workspace = home.path().join("chat.db");
        // What cannot pass ends the copy in the middle of a collection.
        place
            .fail(
                doc! {"skip": 3, "times": 1},
                doc! {"failCommands": ["getMore"], "errorCode": 13},
            )
            .await;
        let begin = [&["--batch", "5"], more].concat();
        let (code, told) = import(&place.address, &workspace, &begin);
        assert!(
            code == 2 && told.contains("docs/operating.md"),
            "{code} {told}"
        );
        let copy = only_directory(&home);
        // Digests of passwords and tokens are in it.
        assert_eq!(mode(&copy), 0o700);
        for file in std::fs::read_dir(&copy).unwrap() {
            let file = file.unwrap().path();
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        let part = copy.join("rocketchat_message.bson.part");
        let copied = std::fs::metadata(&part).unwrap().len();
        assert!(copied > 0, "{more:?}");
        // As a power failure leaves it.
        let file = std::fs::File::options().write(true).open(part).unwrap();
        file.set_len(copied - 3).unwrap();
        // What is small may have changed; the messages are as they were, and that is told.
        let emoji = database.collection::<Document>("rocketchat_custom_emoji");
        emoji
            .insert_one(doc! {"_id": "late", "name": "late"})
            .await
            .unwrap();
        let edit = doc! {"$set": {"msg": "edited meanwhile"}};
        messages.update_many(doc! {}, edit).await.unwrap();
        let (code, told) = import(&place.address, &workspace, more);
        assert_eq!(code, 0, "{told}");
        let is_fresh = more.contains(&"--fresh");
        assert_eq!(!told.contains("is kept as it was then"), is_fresh, "{told}");
        assert_eq!(imported(&workspace)[0], ("GENERAL".to_owned(), 41));
        let address = format!("sqlite:{}", workspace.display());
        let source = export_room::store::sqlite::SqliteSource::open(&workspace).unwrap();
        assert!(source.custom_emoji("late").await.unwrap().is_some());
        let same = zip_of(&address, "general", &home) == zip_of(&place.address, "general", &home);
        assert_eq!(same, is_fresh, "{more:?}");
    }
}
