//! A live database whose server fails while a room is read: everything comes, once and in order, or the failure is told.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::{Bson, DateTime, Document, doc};
use export_room::blob::gridfs::GridFsFiles;
use export_room::blob::{BlobKey, BlobStore};
use export_room::store::mongo::{Load, MongoDatabase, MongoSource};
use export_room::store::{MessageSource, StoreError, UploadId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::sources::{expected, id_of, whole_room, workspace};
use crate::support::cli::{command, entries, manifest, ran, run, text};
use crate::support::dump::DumpBuilder;
use crate::support::mongo::{MongoPlace, MongoServer};

/// Not a divisor of anything: batches end within a millisecond, of which each has three messages.
const BATCH: u32 = 7;

async fn source(place: &MongoPlace) -> MongoSource {
    source_at(&place.address).await
}

async fn source_at(address: &str) -> MongoSource {
    let load = Load {
        batch: BATCH,
        pause: Duration::ZERO,
    };
    let uri = address.to_owned().into();
    MongoSource::new(MongoDatabase::connect(&uri, load).await.unwrap())
}

async fn read(source: &MongoSource) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut cursor = source.messages(&whole_room("GENERAL")).await?;
    let mut documents = Vec::new();
    while let Some(batch) = cursor.next_batch().await? {
        documents.extend(batch.docs().map(<[u8]>::to_vec));
    }
    Ok(documents)
}

fn ids(documents: &[Vec<u8>]) -> Vec<String> {
    documents.iter().map(|document| id_of(document)).collect()
}

fn times(times: i32) -> Document {
    doc! {"times": times}
}

/// What may become of a command: the connection breaks, or one of MongoDB's error codes.
fn faults(command: &str) -> Vec<(&'static str, Document)> {
    let fail = |how: Document| {
        let mut data = doc! {"failCommands": [command]};
        data.extend(how);
        data
    };
    vec![
        (
            "the connection breaks",
            fail(doc! {"closeConnection": true}),
        ),
        ("PrimarySteppedDown", fail(doc! {"errorCode": 189})),
        ("NotWritablePrimary", fail(doc! {"errorCode": 10107})),
        ("InterruptedAtShutdown", fail(doc! {"errorCode": 11600})),
        ("CursorNotFound", fail(doc! {"errorCode": 43})),
        ("CursorKilled", fail(doc! {"errorCode": 237})),
    ]
}

#[tokio::test]
async fn a_lost_cursor_goes_on_where_it_was() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    let dump = workspace();
    place.load(&dump).await;
    let wanted = expected(&dump, &whole_room("GENERAL"));
    let source = source(&place).await;
    for command in ["find", "getMore"] {
        for (fault, how) in faults(command) {
            // More often than the driver itself tries again.
            place.fail(times(4), how).await;
            let found = read(&source)
                .await
                .unwrap_or_else(|error| panic!("{command}, {fault}: {error}"));
            assert!(
                found == wanted,
                "{command}, {fault}: {} messages instead of {}",
                found.len(),
                wanted.len()
            );
        }
    }
}

// Importers wrote instants as they liked, also ones that have not come yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_counts_as_many_messages_as_it_reads_whatever_their_instants_are() {
    const FUTURE: i64 = 4_000_000_000_000;
    let server = MongoServer::start(&[]);
    let place = server.place();
    let timestamp = bson::Timestamp {
        time: 4_000_000_000,
        increment: 1,
    };
    let kinds: [Bson; 14] = [
        DateTime::from_millis(FUTURE).into(),
        Bson::Null,
        Bson::Undefined,
        FUTURE.into(),
        4e12.into(),
        f64::NAN.into(),
        "2096-10-02T07:06:40Z".into(),
        "yesterday".into(),
        doc! {"$numberLong": "1"}.into(),
        Bson::Array(vec![DateTime::from_millis(FUTURE).into()]),
        Bson::Array(Vec::new()),
        true.into(),
        timestamp.into(),
        Bson::MaxKey,
    ];
    let mut dump = DumpBuilder::new();
    let room = |number: usize| format!("room{number}");
    for (number, ts) in kinds.iter().enumerate() {
        let rid = room(number);
        dump.add(
            "rocketchat_room",
            &doc! {"_id": &rid, "t": "c", "name": &rid},
        );
        for (name, ts) in [("a", DateTime::from_millis(1).into()), ("b", ts.clone())] {
            let message = doc! {"_id": format!("{rid}{name}"), "rid": &rid, "ts": ts};
            dump.add("rocketchat_message", &message);
        }
    }
    place.load(&dump).await;
    let source = source(&place).await;
    let mut found = Vec::new();
    for (number, ts) in kinds.iter().enumerate() {
        let mut query = whole_room(&room(number));
        let survey = source.survey(&query).await.unwrap();
        query.window.to = survey.until;
        let mut cursor = source.messages(&query).await.unwrap();
        let mut read = 0;
        while let Some(batch) = cursor.next_batch().await.unwrap() {
            read += batch.docs().count();
        }
        if [survey.messages, read as u64] != [2; 2] {
            found.push(format!("{ts}: {} {read}", survey.messages));
        }
    }
    assert_eq!(found, [""; 0], "counted, read");
}

// What the server sorts after dates has its place behind them, unless it has an instant, and is never lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_all_dates_comes_once() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    let mut dump = DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &doc! {"_id": "GENERAL", "t": "c", "name": "general"},
    );
    let mut expected = Vec::new();
    let mut add = |id: String, ts: Bson| {
        let message = doc! {"_id": &id, "rid": "GENERAL", "ts": ts};
        dump.add("rocketchat_message", &message);
        expected.push(id);
    };
    for number in 0..20 {
        let ts = DateTime::from_millis(number * 2_000);
        add(format!("m{number:02}"), ts.into());
    }
    let pattern = bson::Regex {
        pattern: "x".try_into().unwrap(),
        options: "".try_into().unwrap(),
    };
    add("a".to_owned(), Bson::MaxKey);
    add("b".to_owned(), pattern.into());
    place.load(&dump).await;
    let source = source(&place).await;
    let room = whole_room("GENERAL");
    // Undisturbed, and with a cursor that is lost on its way.
    for lost in [false, true] {
        if lost {
            let how = doc! {"failCommands": ["getMore"], "errorCode": 43};
            place.fail(times(1), how).await;
        }
        assert_eq!(ids(&read(&source).await.unwrap()), expected, "{lost}");
    }
    assert_eq!(source.count(&room).await.unwrap(), 22);
    // An internal timestamp is an instant, in seconds.
    let messages = place.database().await;
    let messages = messages.collection::<Document>("rocketchat_message");
    let ts = bson::Timestamp {
        time: 5,
        increment: 1,
    };
    let message = doc! {"_id": "t", "rid": "GENERAL", "ts": ts};
    messages.insert_one(message).await.unwrap();
    let mut found = ids(&read(&source).await.unwrap());
    // The others have no instant that can be read, and are older than all that have.
    assert_eq!(found.iter().position(|id| id == "t"), Some(5));
    expected.push("t".to_owned());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(source.count(&room).await.unwrap(), 23);
}

#[tokio::test]
async fn a_server_may_be_killed_and_started_again_while_a_room_is_read() {
    const MESSAGES: i64 = 100;
    let mut server = MongoServer::start(&[]);
    let place = server.place();
    let mut dump = DumpBuilder::new();
    dump.add("rocketchat_room", &doc! {"_id": "GENERAL", "t": "c"});
    for number in 0..MESSAGES {
        let ts = DateTime::from_millis(1_700_000_000_000 + number / 3);
        let message = doc! {"_id": format!("m{number:03}"), "rid": "GENERAL", "ts": ts, "msg": "x".repeat(64 << 10)};
        dump.add("rocketchat_message", &message);
    }
    place.load(&dump).await;
    let wanted = expected(&dump, &whole_room("GENERAL"));
    let source = source(&place).await;
    let mut cursor = source.messages(&whole_room("GENERAL")).await.unwrap();
    // So much larger than what is read ahead that the rest is on the server when it dies.
    let first = cursor.next_batch().await.unwrap().unwrap();
    let mut found: Vec<_> = first.docs().map(<[u8]>::to_vec).collect();
    assert!(found.len() < 20, "{}", found.len());
    let restarted = tokio::task::spawn_blocking(move || {
        server.kill();
        server.resume();
        server
    });
    let _server = restarted.await.unwrap();
    while let Some(batch) = cursor.next_batch().await.unwrap() {
        found.extend(batch.docs().map(<[u8]>::to_vec));
    }
    assert!(found == wanted, "{} of {}", found.len(), wanted.len());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    let dump = workspace();
    place.load(&dump).await;
    let wanted = expected(&dump, &whole_room("GENERAL"));
    let address = format!(
        "{}&socketTimeoutMS=500&serverSelectionTimeoutMS=1500",
        place.address
    );
    let source = source_at(&address).await;
    for command in ["find", "getMore"] {
        // Longer than a test may take.
        let how = doc! {"failCommands": [command], "blockConnection": true, "blockTimeMS": 600_000};
        place.fail(times(2), how).await;
        let found = read(&source).await.unwrap();
        assert!(
            found == wanted,
            "{command}: {} of {}",
            found.len(),
            wanted.len()
        );
    }
}

#[tokio::test]
async fn what_does_not_pass_is_told_at_once() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    place.load(&workspace()).await;
    let source = source(&place).await;
    let how = doc! {"failCommands": ["getMore"], "errorCode": 13};
    place.fail(times(1), how).await;
    let error = read(&source).await.unwrap_err().to_string();
    assert!(
        error.contains("rocketchat_message") && error.contains("docs/operating.md"),
        "{error}"
    );
}

fn export(address: &str, zip: &Path, more: &[&str]) -> (i32, String) {
    let mut export = command(&["export", "--workspace", address, "--room", "GENERAL"]);
    export.args(["--format", "json", "--force", "-o", text(zip)]);
    let ran = ran(export.args(more));
    (ran.code, ran.stderr)
}

#[tokio::test]
async fn an_export_tells_of_lost_cursors_and_is_complete() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    place.load(&workspace()).await;
    let directory = tempfile::tempdir().unwrap();
    let (calm, stormy) = (
        directory.path().join("calm.zip"),
        directory.path().join("stormy.zip"),
    );
    let more = ["--no-attachments", "--batch", "7"];
    let (code, stderr) = export(&place.address, &calm, &more);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stderr.contains("asked again"), "{stderr}");
    let how = doc! {"failCommands": ["getMore"], "errorCode": 43};
    place.fail(times(3), how).await;
    let (code, stderr) = export(&place.address, &stormy, &more);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("is asked again") && stderr.contains("CursorNotFound"),
        "{stderr}"
    );
    let entries = entries(&stormy);
    assert_eq!(manifest(&entries)["messages"]["read"], 408);
    assert!(
        entries == self::entries(&calm),
        "what was lost on the way shows in the export"
    );
}

#[test]
fn a_server_that_is_not_there_is_named_without_the_password() {
    let address = "mongodb://ann:geheim@127.0.0.1:1/rocketchat?serverSelectionTimeoutMS=200";
    for arguments in [
        ["rooms", "--workspace", address],
        ["rooms", "--workspace", "mongodb://ann:geheim@/rocketchat"],
        ["rooms", "--workspace", "mongo://ann:geheim@127.0.0.1/x"],
    ] {
        let ran = run(&arguments);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(!ran.stderr.contains("geheim"), "{}", ran.stderr);
    }
    let ran = run(&["rooms", "--workspace", address]);
    assert!(ran.stderr.contains("127.0.0.1:1"), "{}", ran.stderr);
    // The same from a file, which no list of processes shows.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{address}\n")).unwrap();
    let from_file = run(&["rooms", "--workspace-file", text(file.path())]);
    assert_eq!(from_file.code, 2, "{}", from_file.stderr);
    assert!(
        from_file.stderr.contains("127.0.0.1:1") && !from_file.stderr.contains("geheim"),
        "{}",
        from_file.stderr
    );
}

#[tokio::test]
async fn names_and_ids_are_never_operators() {
    let place = MongoPlace::new();
    place.load(&workspace()).await;
    let source = source(&place).await;
    for name in [
        "{\"$gt\": \"\"}",
        "$where",
        ".*",
        "GENERAL\0",
        "general' || '1'=='1",
    ] {
        assert!(
            source.find_rooms(name, 9).await.unwrap().is_empty(),
            "{name}"
        );
        assert_eq!(source.count(&whole_room(name)).await.unwrap(), 0, "{name}");
    }
}

/// What is said to a server through it.
struct Wire {
    /// An address of the same database behind it.
    address: String,
    /// By connection.
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Wire {
    /// Stands before the server of a place.
    async fn before(place: &MongoPlace) -> Self {
        let (_, rest) = place.address.split_once("://").unwrap();
        let (server, rest) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Self {
            // Not through what a member says of where the others are.
            address: format!("mongodb://127.0.0.1:{port}/{rest}&directConnection=true"),
            said: Arc::default(),
        };
        let (said, server) = (Arc::clone(&wire.said), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (said, server) = (Arc::clone(&said), server.clone());
                let connection = {
                    let mut said = said.lock().unwrap();
                    said.push(Vec::new());
                    said.len() - 1
                };
                tokio::spawn(async move {
                    let (mut from_client, mut to_client) = client.into_split();
                    let there = TcpStream::connect(server).await.unwrap();
                    let (mut from_server, mut to_server) = there.into_split();
                    tokio::spawn(async move {
                        // Both ends may go whenever they like.
                        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
                    });
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                        said.lock().unwrap()[connection].extend_from_slice(&buffer[..read]);
                        if to_server.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        wire
    }

    /// How often a text was said since the last time.
    fn count(&self, text: &str) -> usize {
        let mut said = self.said.lock().unwrap();
        let count = |said: &mut Vec<u8>| {
            let said = std::mem::take(said);
            let windows = said.windows(text.len());
            windows.filter(|bytes| *bytes == text.as_bytes()).count()
        };
        said.iter_mut().map(count).sum()
    }

    /// The commands of this name since the last time.
    fn commands(&self, name: &str) -> Vec<Document> {
        let mut commands = Vec::new();
        for said in self.said.lock().unwrap().iter_mut() {
            let said = std::mem::take(said);
            let mut rest = &said[..];
            while let Some(length) = rest.first_chunk::<4>() {
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
                let (message, behind) = rest.split_at(length);
                rest = behind;
                // OP_MSG: a header, flags, and a section of one document.
                if message[12..16] == 2013_u32.to_le_bytes() && message[20] == 0 {
                    let length = message[21..].first_chunk::<4>().unwrap();
                    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
                    let command = Document::from_reader(&message[21..21 + length]).unwrap();
                    commands.push(command);
                }
            }
        }
        commands.retain(|command| command.contains_key(name));
        commands
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lags_is_waited_for() {
    const WAITS: &str = "afterClusterTime";
    let server = MongoServer::start(&[]);
    let place = server.place();
    let dump = workspace();
    place.load(&dump).await;
    let wire = Wire::before(&place).await;
    let source = source_at(&wire.address).await;
    let query = whole_room("GENERAL");
    source.count(&query).await.unwrap();
    assert_eq!(wire.count(WAITS), 0, "nothing was looked for");
    assert!(source.survey(&query).await.unwrap().until.is_some());
    assert!(wire.count(WAITS) >= 1, "the last message");
    source.count(&query).await.unwrap();
    assert!(wire.count(WAITS) >= 1, "the count");
    assert!(read(&source).await.unwrap() == expected(&dump, &query));
    assert!(wire.count(WAITS) >= 1, "the messages");
}

async fn connected(address: &str) -> MongoDatabase {
    let uri = address.to_owned().into();
    MongoDatabase::connect(&uri, Load::default()).await.unwrap()
}

/// Long enough for any server of a test, and for the address of a test that waits for silence.
const SOON: &str = "&socketTimeoutMS=500&serverSelectionTimeoutMS=1500";

#[tokio::test(flavor = "multi_thread")]
async fn where_another_member_says_nothing_the_primary_is_asked() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    let dump = workspace();
    place.load(&dump).await;
    let query = whole_room("GENERAL");
    // Who wants secondaries alone gets nothing else.
    for (wanted, preference) in [("primaryPreferred", ""), ("secondary", "secondary")] {
        let wire = Wire::before(&place).await;
        let mut address = format!("{}{SOON}", wire.address);
        if !preference.is_empty() {
            address.push_str("&readPreference=");
            address.push_str(preference);
        }
        let source = source_at(&address).await;
        source.survey(&query).await.unwrap();
        wire.commands("find");
        let preferences = |commands: Vec<Document>| {
            let of = commands.iter().map(|command| {
                let preference = command.get_document("$readPreference").unwrap();
                preference.get_str("mode").unwrap().to_owned()
            });
            let mut preferences: Vec<_> = of.collect();
            preferences.sort();
            preferences.dedup();
            preferences
        };
        let how =
            doc! {"failCommands": ["getMore"], "blockConnection": true, "blockTimeMS": 600_000};
        place.fail(times(1), how).await;
        assert!(read(&source).await.unwrap() == expected(&dump, &query));
        let before = if preference.is_empty() {
            "secondaryPreferred"
        } else {
            preference
        };
        let mut all = vec![before, wanted];
        all.sort_unstable();
        all.dedup();
        assert_eq!(preferences(wire.commands("find")), all);
        read(&source).await.unwrap();
        assert_eq!(preferences(wire.commands("find")), [wanted]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_may_take_longer_than_other_answers() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    place.load(&workspace()).await;
    let source = source_at(&format!("{}{SOON}", place.address)).await;
    let query = whole_room("GENERAL");
    let count = source.count(&query).await.unwrap();
    // Longer than other answers are waited for, which is two seconds here, and each time.
    let how = doc! {"failCommands": ["aggregate", "count"], "blockConnection": true, "blockTimeMS": 4_000};
    place.fail(times(1_000), how).await;
    assert_eq!(source.count(&query).await.unwrap(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_and_files_survive_what_the_server_does() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    crate::live::fill(&place, &[("Site_Url", "https://chat.example")]).await;
    let database = connected(&place.address).await;
    let source = MongoSource::new(database.clone());
    let files = GridFsFiles::new(&database);
    let query = whole_room("GENERAL");
    let key = BlobKey {
        store: "GridFS:Uploads".to_owned(),
        id: "F".to_owned(),
        extension: None,
        path: None,
    };
    for command in ["find", "aggregate"] {
        for (fault, how) in faults(command) {
            let again = || place.fail(times(4), how.clone());
            let told = format!("{command}, {fault}");
            again().await;
            let upload = source.upload(&UploadId("F".to_owned())).await;
            assert!(upload.expect(&told).is_some(), "{told}");
            again().await;
            let settings = source.settings(&["Site_Url"]).await.expect(&told);
            assert_eq!(settings.text("Site_Url"), Some("https://chat.example"));
            again().await;
            assert_eq!(source.count(&query).await.expect(&told), 41, "{told}");
            again().await;
            let roles = source.roles(&query.room, "uAdmin").await;
            assert!(roles.expect(&told).contains(&"admin".to_owned()), "{told}");
            again().await;
            let mut file = files.open(&key).await.expect(&told);
            let chunk = file.next_chunk().await.expect(&told).unwrap();
            assert_eq!(&chunk[..], b"hello world", "{told}");
            place.heal().await;
        }
    }
}

// A member that lags behind has the record of a new file before its chunks.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_from_the_primary_as_a_whole() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    crate::live::fill(&place, &[]).await;
    let wire = Wire::before(&place).await;
    let files = GridFsFiles::new(&connected(&wire.address).await);
    wire.commands("find");
    let key = BlobKey {
        store: "GridFS:Uploads".to_owned(),
        id: "F".to_owned(),
        extension: None,
        path: None,
    };
    let mut file = files.open(&key).await.unwrap();
    while file.next_chunk().await.unwrap().is_some() {}
    let finds = wire.commands("find");
    assert!(finds.len() >= 3, "{finds:?}");
    for find in finds {
        let preference = find.get_document("$readPreference").unwrap();
        assert_eq!(preference.get_str("mode").unwrap(), "primaryPreferred");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_asked_for_by_what_an_index_has() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    crate::live::fill(&place, &[]).await;
    let wire = Wire::before(&place).await;
    let home = tempfile::tempdir().unwrap();
    let import = |name: &str, more: &[&str]| {
        let workspace = format!("sqlite:{}", home.path().join(name).display());
        let mut import = command(&["import", &wire.address, "--workspace", &workspace]);
        let ran = ran(import.args(more));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        wire.commands("find")
    };
    let shape = |find: &Document, key: &str| {
        let part = find.get_document(key).cloned().unwrap_or_default();
        part.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let of = |finds: &[Document], collection: &str| -> Vec<(String, String)> {
        let finds = finds.iter();
        let finds = finds.filter(|find| find.get_str("find").unwrap() == collection);
        finds
            .filter(|find| !find.contains_key("limit"))
            .map(|find| (shape(find, "filter"), shape(find, "sort")))
            .collect()
    };
    let pair = |filter: &str, sort: &str| (filter.to_owned(), sort.to_owned());
    let whole = import("whole.db", &[]);
    for collection in ["rocketchat_message", "rocketchat_uploads.chunks", "users"] {
        assert_eq!(of(&whole, collection), vec![pair("_id", "_id"); 3]);
    }
    for find in &whole {
        assert!(!find.to_string().contains("$not"), "{find}");
    }
    let chosen = import("chosen.db", &["--room", "general"]);
    for (collection, filter, sort) in [
        ("rocketchat_message", "rid", "ts"),
        ("rocketchat_uploads", "rid", ""),
        ("rocketchat_subscription", "rid", ""),
        ("rocketchat_uploads.files", "_id", ""),
        ("rocketchat_uploads.chunks", "files_id", "files_id n"),
    ] {
        assert_eq!(
            of(&chosen, collection),
            [pair(filter, sort)],
            "{collection}"
        );
    }
}

// What the server calls an array or undefined is counted as it is read.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_type_of_time_are_counted() {
    let server = MongoServer::start(&[]);
    let place = server.place();
    let mut dump = DumpBuilder::new();
    dump.add("rocketchat_room", &doc! {"_id": "GENERAL", "t": "c"});
    let date = Bson::DateTime(DateTime::from_millis(1_700_000_000_000));
    let times = [
        date.clone(),
        Bson::Undefined,
        Bson::Array(vec![]),
        Bson::Array(vec![Bson::Array(vec![])]),
        Bson::Array(vec!["x".into()]),
        Bson::Array(vec![date, "x".into()]),
    ];
    for (number, ts) in times.iter().enumerate() {
        let message = doc! {"_id": format!("m{number}"), "rid": "GENERAL", "ts": ts};
        dump.add("rocketchat_message", &message);
    }
    place.load(&dump).await;
    let source = source(&place).await;
    let mut found = ids(&read(&source).await.unwrap());
    found.sort();
    assert_eq!(found, ["m0", "m1", "m2", "m3", "m4", "m5"]);
    assert_eq!(source.count(&whole_room("GENERAL")).await.unwrap(), 6);
}
