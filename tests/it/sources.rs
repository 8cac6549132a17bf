//! One suite for every source: the same workspace as directory, archive, packed or not, and imported, gives the same
//! documents in the same order.

use std::path::Path;
use std::sync::Arc;

use bson::{Bson, DateTime, Document, doc};
use export_room::blob::filesystem::FileSystem;
use export_room::blob::gridfs::GridFsFiles;
use export_room::blob::{BlobError, BlobKey, BlobStore, Blobs, CUSTOM_EMOJI};
use export_room::store::dump::{Dump, DumpSource};
use export_room::store::mongo::{Load, MongoDatabase, MongoSource};
use export_room::store::outline::{Outline, OutlineCursor};
use export_room::store::sqlite::{SqliteSource, import};
use export_room::store::{
    AvatarOf, MessageCursor, MessageQuery, MessageSource, RawDoc, RoomId, Selection, UploadId,
    Window,
};
use tokio_util::sync::CancellationToken;
use transcript::message::Message;

use crate::support::dump::{DumpBuilder, Form};
use crate::support::mongo::MongoPlace;

/// A source under test with its file contents.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) source: Arc<dyn MessageSource>,
    pub(crate) blobs: Arc<dyn BlobStore>,
}

/// Imports a dump into a new workspace file.
pub(crate) fn import_quietly(
    dump: &Path,
    workspace: &Path,
) -> export_room::store::sqlite::ImportOutcome {
    import(
        &Dump::open(dump).unwrap(),
        workspace,
        &mut |_| {},
        &CancellationToken::new(),
    )
    .unwrap()
}

/// The dump at `path`, as it is and imported.
pub(crate) fn subjects_of(name: &str, path: &Path, workspace: &Path) -> [Subject; 2] {
    let dump = Arc::new(DumpSource::open(path, None, CancellationToken::new()).unwrap());
    import_quietly(path, workspace);
    let sqlite = Arc::new(SqliteSource::open(workspace).unwrap());
    [
        Subject {
            name: format!("dump {name}"),
            source: Arc::clone(&dump) as _,
            blobs: dump,
        },
        Subject {
            name: format!("sqlite from {name}"),
            source: Arc::clone(&sqlite) as _,
            blobs: sqlite,
        },
    ]
}

/// The dump's documents in a live database.
pub(crate) async fn live(dump: &DumpBuilder) -> Subject {
    let place = MongoPlace::new();
    place.load(dump).await;
    let database = MongoDatabase::connect(&place.uri(), Load::default())
        .await
        .unwrap();
    Subject {
        name: "mongodb".to_owned(),
        source: Arc::new(MongoSource::new(database.clone())),
        blobs: Arc::new(GridFsFiles::new(&database)),
    }
}

async fn subjects(dump: &DumpBuilder, directory: &Path) -> Vec<Subject> {
    let mut subjects = dumped(dump, directory);
    subjects.push(live(dump).await);
    subjects
}

fn dumped(dump: &DumpBuilder, directory: &Path) -> Vec<Subject> {
    Form::ALL
        .into_iter()
        .flat_map(|form| {
            let path = dump.write(form, directory);
            subjects_of(
                &format!("{form:?}"),
                &path,
                &directory.join(format!("{form:?}.db")),
            )
        })
        .collect()
}

/// All documents of a query, after checking that they come in batches of the promised size and that `count` agrees.
pub(crate) async fn messages(subject: &Subject, query: &MessageQuery) -> Vec<Vec<u8>> {
    let mut cursor = subject.source.messages(query).await.unwrap();
    let mut documents = Vec::new();
    while let Some(batch) = cursor.next_batch().await.unwrap() {
        assert!(!batch.is_empty());
        assert!(batch.size() <= 1 << 20 || batch.len() == 1);
        documents.extend(batch.docs().map(<[u8]>::to_vec));
    }
    assert!(cursor.next_batch().await.unwrap().is_none());
    assert_eq!(
        subject.source.count(query).await.unwrap(),
        documents.len() as u64,
        "{}: the count is not what is read",
        subject.name
    );
    documents
}

/// Makes a pipe that nobody writes into.
pub(crate) fn make_pipe(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
}

pub(crate) fn whole_room(room: &str) -> MessageQuery {
    MessageQuery {
        room: RoomId(room.to_owned()),
        window: Window::default(),
        selection: Selection::All,
    }
}

pub(crate) fn id_of(document: &[u8]) -> String {
    match Document::from_reader(document).unwrap().get("_id").unwrap() {
        Bson::String(id) => id.clone(),
        Bson::ObjectId(id) => id.to_hex(),
        other => panic!("{other:?}"),
    }
}

fn date(millis: i64) -> Bson {
    DateTime::from_millis(millis).into()
}

/// Rooms of every kind, messages in an order that has nothing to do with time, and everything odd that dumps hold.
pub(crate) fn workspace() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    for room in [
        doc! {"_id": "GENERAL", "t": "c", "name": "general"},
        doc! {"_id": "helpdesk-id", "t": "p", "name": "helpdesk", "fname": "Help Desk"},
        doc! {"_id": "disc-id", "t": "c", "name": "xyz", "fname": "Ünïcode: größer & <later>"},
        doc! {"_id": "general", "t": "p", "name": "trap"},
        doc! {"_id": "twin-1", "t": "p", "name": "twin-a", "fname": "Twins"},
        doc! {"_id": "twin-2", "t": "p", "name": "twin-b", "fname": "Twins"},
        doc! {"_id": "dm-ab", "t": "d", "usernames": ["alice", "bob"]},
        doc! {"_id": "dm-ac", "t": "d", "usernames": ["carol", "alice"]},
        doc! {"_id": "dm-abc", "t": "d", "usernames": ["alice", "bob", "carol"]},
        doc! {"_id": "dm-a", "t": "d", "usernames": ["alice"]},
        doc! {"_id": "livechat", "t": "l", "fname": "Vera Visitor <v>"},
        doc! {"_id": "hash", "t": "c", "name": "#odd"},
        doc! {"_id": "empty", "t": "c", "name": "empty"},
    ] {
        dump.add("rocketchat_room", &room);
    }
    for n in 0..400_i64 {
        // A full cycle through 0..400 that jumps; every third instant is shared by three messages.
        let at = (n * 171) % 400;
        let mut message = doc! {"_id": format!("g{at:04}"), "rid": "GENERAL", "msg": "x".repeat(usize::try_from(at).unwrap()), "ts": date(1_000_000 + at / 3)};
        if at % 10 == 0 {
            message.insert("file", doc! {"_id": format!("f{at}"), "name": "a.png"});
        }
        if at % 25 == 0 {
            message.insert("files", [doc! {"_id": format!("f{at}")}]);
        }
        if at % 15 == 0 {
            message.insert("tmid", format!("g{:04}", at / 2));
        }
        dump.add("rocketchat_message", &message);
        if n % 4 == 0 {
            dump.add("rocketchat_message", &doc! {"_id": format!("h{n}"), "rid": "helpdesk-id", "ts": date(-n), "msg": "before 1970"});
        }
    }
    let object_id = bson::oid::ObjectId::parse_str("0123456789abcdef01234567").unwrap();
    for message in [
        doc! {"_id": "no-ts", "rid": "GENERAL", "msg": "no instant"},
        doc! {"_id": "bad-ts", "rid": "GENERAL", "ts": "yesterday", "file": {"_id": "f"}},
        doc! {"_id": "text-ts", "rid": "GENERAL", "ts": "1970-01-01T00:16:40.005Z"},
        doc! {"_id": "double-ts", "rid": "GENERAL", "ts": 1_000_005.0},
        doc! {"_id": object_id, "rid": "GENERAL", "ts": date(1_000_005)},
        doc! {"_id": "Ünï", "rid": "GENERAL", "ts": date(1_000_005)},
        doc! {"_id": "empty-files", "rid": "GENERAL", "ts": date(1_000_005), "file": {}, "files": []},
        doc! {"_id": "no-room", "ts": date(1_000_005)},
        doc! {"_id": "elsewhere", "rid": "unknown-room", "ts": date(1_000_005)},
        doc! {"_id": "hidden", "rid": "GENERAL", "ts": date(1_000_005), "_hidden": true},
    ] {
        dump.add("rocketchat_message", &message);
    }
    for upload in [
        doc! {"_id": "u1", "rid": "GENERAL", "size": 100_i32, "store": "GridFS:Uploads"},
        doc! {"_id": "u2", "rid": "GENERAL", "size": 200.0, "store": "GridFS:Uploads"},
        doc! {"_id": "u3", "rid": "GENERAL", "size": 300_i64, "store": "GridFS:Uploads"},
        doc! {"_id": "t1", "rid": "GENERAL", "size": 5000, "typeGroup": "thumb", "store": "GridFS:Uploads"},
        doc! {"_id": "t2", "rid": "GENERAL", "size": 5000, "originalFileId": "u1", "store": "GridFS:Uploads"},
        doc! {"_id": "h1", "rid": "helpdesk-id", "size": 7, "store": "GridFS:Uploads"},
    ] {
        dump.add("rocketchat_uploads", &upload);
    }
    dump
}

/// What the suite expects, by the plainest means: decode, filter, sort.
pub(crate) fn expected(dump: &DumpBuilder, query: &MessageQuery) -> Vec<Vec<u8>> {
    let mut last: std::collections::BTreeMap<String, (usize, &Vec<u8>)> =
        std::collections::BTreeMap::new();
    for (n, bytes) in dump.collections["rocketchat_message"].iter().enumerate() {
        last.insert(id_of(bytes), (n, bytes));
    }
    let mut found: Vec<(i64, String, Vec<u8>)> = last
        .into_iter()
        .filter_map(|(id, (_, bytes))| {
            let document = Document::from_reader(bytes.as_slice()).unwrap();
            if document.get_str("rid").ok() != Some(query.room.0.as_str()) {
                return None;
            }
            let ts = match document.get("ts") {
                Some(Bson::DateTime(ts)) => ts.timestamp_millis(),
                Some(Bson::String(ts)) if ts.ends_with("40.005Z") => 1_000_005,
                Some(Bson::Double(_)) => 1_000_005,
                _ => i64::MIN,
            };
            let with_files = document
                .get_document("file")
                .is_ok_and(|file| !file.is_empty())
                || document
                    .get_array("files")
                    .is_ok_and(|files| !files.is_empty());
            let wanted = query.window.from.is_none_or(|from| ts >= from)
                && query.window.to.is_none_or(|to| ts <= to)
                && match query.selection {
                    Selection::All => true,
                    Selection::WithFiles => with_files,
                    Selection::WithFilesOrReplies => with_files || document.contains_key("tmid"),
                };
            wanted.then(|| (ts, id, bytes.clone()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, _, bytes)| bytes).collect()
}

fn queries() -> Vec<MessageQuery> {
    let windows = [
        (None, None),
        (Some(1_000_005), Some(1_000_005)),
        (Some(1_000_005), None),
        (None, Some(1_000_005)),
        (Some(1_000_010), Some(1_000_100)),
        (Some(1_000_100), Some(1_000_010)),
        (Some(-50), Some(0)),
        (Some(i64::MAX), None),
    ];
    let mut queries = Vec::new();
    for room in ["GENERAL", "helpdesk-id", "empty", "unknown-room", "nowhere"] {
        for (from, to) in windows {
            for selection in [
                Selection::All,
                Selection::WithFiles,
                Selection::WithFilesOrReplies,
            ] {
                queries.push(MessageQuery {
                    room: RoomId(room.to_owned()),
                    window: Window { from, to },
                    selection,
                });
            }
        }
    }
    queries
}

/// All places of an outline: `_id`, size of the document, whether it is hidden.
async fn outline(mut cursor: Box<dyn OutlineCursor>) -> Vec<(String, usize, bool)> {
    let mut all = Vec::new();
    let mut before = None;
    while let Some(batch) = cursor.next_batch().await.unwrap() {
        for place in batch.iter() {
            let key = (place.ts, place.id.to_vec());
            assert!(before < Some(key.clone()), "{place:?}");
            before = Some(key);
            let id = String::from_utf8(place.id.to_vec()).unwrap();
            all.push((id, usize::try_from(place.size).unwrap(), place.hidden));
        }
    }
    all
}

fn place_of(bytes: &[u8]) -> (String, usize, bool) {
    let hidden = Document::from_reader(bytes)
        .unwrap()
        .contains_key("_hidden");
    (id_of(bytes), bytes.len(), hidden)
}

/// The server of the tests knows dates up to the year 9999 only.
fn can_ask(subject: &Subject, query: &MessageQuery) -> bool {
    subject.name != "mongodb" || query.window.from < Some(i64::MAX)
}

#[tokio::test]
async fn every_source_gives_the_same_messages_in_the_same_order() {
    let directory = tempfile::tempdir().unwrap();
    let dump = workspace();
    for subject in subjects(&dump, directory.path()).await {
        for query in queries()
            .into_iter()
            .filter(|query| can_ask(&subject, query))
        {
            let expected = expected(&dump, &query);
            let actual = messages(&subject, &query).await;
            assert!(
                actual == expected,
                "{} {query:?}: {:?} instead of {:?}",
                subject.name,
                actual.iter().map(|bytes| id_of(bytes)).collect::<Vec<_>>(),
                expected
                    .iter()
                    .map(|bytes| id_of(bytes))
                    .collect::<Vec<_>>(),
            );
            assert_eq!(
                subject.source.count(&query).await.unwrap(),
                expected.len() as u64
            );
            let outline = outline(subject.source.outline(&query).await.unwrap()).await;
            let whole = Outline::of(subject.source.messages(&query).await.unwrap());
            assert_eq!(
                outline,
                self::outline(Box::new(whole)).await,
                "{}",
                subject.name
            );
            let places: Vec<_> = expected.iter().map(|bytes| place_of(bytes)).collect();
            assert_eq!(outline, places, "{} {query:?}", subject.name);
        }
        assert_eq!(messages(&subject, &whole_room("GENERAL")).await.len(), 408);
    }
}

#[tokio::test]
async fn a_document_that_stands_twice_in_a_dump_comes_once_and_is_the_later_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = workspace();
    for message in [
        // The same instant, another instant, another instant and no file any more, three times.
        doc! {"_id": "g0005", "rid": "GENERAL", "ts": date(1_000_001), "msg": "edited"},
        doc! {"_id": "g0006", "rid": "GENERAL", "ts": date(1_000_120), "msg": "moved later"},
        doc! {"_id": "g0100", "rid": "GENERAL", "ts": date(999_999), "msg": "moved before"},
        doc! {"_id": "g0007", "rid": "GENERAL", "ts": date(1_000_130), "file": {"_id": "new"}},
        doc! {"_id": "g0007", "rid": "GENERAL", "ts": date(1_000_001), "msg": "and back"},
    ] {
        dump.add("rocketchat_message", &message);
    }
    dump.add(
        "rocketchat_room",
        &doc! {"_id": "GENERAL", "t": "c", "name": "renamed"},
    );
    for subject in subjects(&dump, directory.path()).await {
        for query in queries()
            .into_iter()
            .filter(|query| can_ask(&subject, query))
        {
            assert!(
                messages(&subject, &query).await == expected(&dump, &query),
                "{} {query:?}",
                subject.name
            );
        }
        assert_eq!(messages(&subject, &whole_room("GENERAL")).await.len(), 408);
        let rooms = subject.source.rooms(None, 100).await.unwrap();
        let general = &rooms[0];
        assert_eq!(
            (general.messages, general.first),
            (408, Some(999_999)),
            "{}",
            subject.name
        );
        assert_eq!(
            names(&subject.source.find_rooms("renamed", 9).await.unwrap()),
            ["GENERAL"]
        );
    }
}

#[tokio::test]
async fn rooms_are_listed_in_pages_with_their_figures() {
    let directory = tempfile::tempdir().unwrap();
    for subject in subjects(&workspace(), directory.path()).await {
        let all = subject.source.rooms(None, 1000).await.unwrap();
        assert_eq!(all.len(), 13);
        assert_eq!(id_of(&all[0].room.0), "GENERAL");
        assert_eq!(
            (
                all[0].messages,
                all[0].first,
                all[0].last,
                all[0].file_bytes
            ),
            (408, Some(1_000_000), Some(1_000_133), 600),
            "{}",
            subject.name
        );
        let helpdesk = all
            .iter()
            .find(|room| id_of(&room.room.0) == "helpdesk-id")
            .unwrap();
        assert_eq!(
            (
                helpdesk.messages,
                helpdesk.first,
                helpdesk.last,
                helpdesk.file_bytes
            ),
            (100, Some(-396), Some(0), 7)
        );
        let empty = all
            .iter()
            .find(|room| id_of(&room.room.0) == "empty")
            .unwrap();
        assert_eq!(
            (empty.messages, empty.first, empty.last, empty.file_bytes),
            (0, None, None, 0)
        );
        let mut paged = Vec::new();
        let mut after: Option<RoomId> = None;
        loop {
            let page = subject.source.rooms(after.as_ref(), 4).await.unwrap();
            assert!(page.len() <= 4);
            let Some(last) = page.last() else { break };
            after = Some(RoomId(id_of(&last.room.0)));
            paged.extend(page);
        }
        assert_eq!(paged, all);
    }
}

fn names(rooms: &[RawDoc]) -> Vec<String> {
    rooms.iter().map(|room| id_of(&room.0)).collect()
}

#[tokio::test]
async fn rooms_are_found_by_what_people_call_them() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str]); 20] = [
        ("GENERAL", &["GENERAL"]),
        // An id wins over a name.
        ("general", &["general"]),
        ("#general", &["GENERAL"]),
        ("helpdesk", &["helpdesk-id"]),
        ("#helpdesk", &["helpdesk-id"]),
        ("Help Desk", &["helpdesk-id"]),
        ("HELP desk", &["helpdesk-id"]),
        ("ÜNÏCODE: GRÖßER & <LATER>", &["disc-id"]),
        ("Twins", &["twin-1", "twin-2"]),
        ("twins", &["twin-1", "twin-2"]),
        ("@bob", &["dm-ab"]),
        ("@alice", &["dm-ab", "dm-ac"]),
        ("@CAROL", &["dm-ac"]),
        ("@nobody", &[]),
        ("bob", &[]),
        ("Vera Visitor <v>", &["livechat"]),
        ("#odd", &["hash"]),
        ("helpdes", &[]),
        ("", &[]),
        ("' OR 1=1 --", &[]),
    ];
    for subject in subjects(&workspace(), directory.path()).await {
        for (name, expected) in cases {
            let found = subject.source.find_rooms(name, 10).await.unwrap();
            assert_eq!(names(&found), expected, "{}: {name}", subject.name);
        }
        for name in ["Twins", "twins", "@alice"] {
            assert_eq!(
                subject.source.find_rooms(name, 1).await.unwrap().len(),
                1,
                "{name}"
            );
        }
    }
}

/// The workspace with people, their pictures and emoji.
fn with_pictures() -> DumpBuilder {
    let mut dump = workspace();
    for (collection, document) in [
        (
            "rocketchat_avatars",
            doc! {"_id": "A1", "name": "alice", "userId": "ua", "store": "GridFS:Avatars", "extension": "png"},
        ),
        (
            "rocketchat_avatars",
            doc! {"_id": "A2", "name": "room-GENERAL", "rid": "GENERAL", "store": "GridFS:Avatars"},
        ),
        (
            "rocketchat_avatars.chunks",
            doc! {"_id": 1, "files_id": "A1", "n": 0, "data": bytes(b"alice's picture")},
        ),
        (
            "rocketchat_custom_emoji",
            doc! {"_id": "E1", "name": "ship_it", "aliases": ["shipit", "party"], "extension": "gif"},
        ),
        (
            "rocketchat_custom_emoji",
            doc! {"_id": "E2", "name": "party", "aliases": [], "extension": "png"},
        ),
        (
            "custom_emoji.chunks",
            doc! {"_id": 2, "files_id": "ship_it.gif", "n": 0, "data": bytes(b"a ship")},
        ),
        (
            "rocketchat_uploads.chunks",
            doc! {"_id": 3, "files_id": "u1", "n": 0, "data": bytes(b"an upload")},
        ),
        (
            "users",
            doc! {"_id": "ua", "username": "alice", "roles": ["user", "admin", "owner"]},
        ),
        (
            "users",
            doc! {"_id": "ub", "username": "bob", "roles": "odd"},
        ),
        (
            "rocketchat_subscription",
            doc! {"_id": "s1", "rid": "GENERAL", "u": {"_id": "ua"}, "roles": ["owner"]},
        ),
        (
            "rocketchat_subscription",
            doc! {"_id": "s2", "rid": "GENERAL", "u": {"_id": "ub"}},
        ),
    ] {
        dump.add(collection, &document);
    }
    dump
}

#[tokio::test]
async fn avatars_emoji_and_roles_are_found_by_what_messages_say() {
    let directory = tempfile::tempdir().unwrap();
    let dump = with_pictures();
    for subject in subjects(&dump, directory.path()).await {
        let Subject {
            name,
            source,
            blobs,
        } = &subject;
        for (of, expected) in [
            (AvatarOf::User("alice".into()), Some("A1")),
            (AvatarOf::User("ALICE".into()), None),
            (AvatarOf::User("room-GENERAL".into()), None),
            (AvatarOf::Room(RoomId("GENERAL".into())), Some("A2")),
            (AvatarOf::Room(RoomId("empty".into())), None),
        ] {
            let found = source.avatar(&of).await.unwrap();
            assert_eq!(
                found.map(|doc| id_of(&doc.0)).as_deref(),
                expected,
                "{name}: {of:?}"
            );
        }
        // A name wins over an alias.
        for (asked, expected) in [
            ("ship_it", Some("E1")),
            ("shipit", Some("E1")),
            ("party", Some("E2")),
            ("smile", None),
        ] {
            let found = source.custom_emoji(asked).await.unwrap();
            assert_eq!(
                found.map(|doc| id_of(&doc.0)).as_deref(),
                expected,
                "{name}: {asked}"
            );
        }
        for (room, user, expected) in [
            ("GENERAL", "ua", &["owner", "user", "admin"][..]),
            ("empty", "ua", &["user", "admin", "owner"]),
            ("GENERAL", "ub", &[]),
            ("GENERAL", "nobody", &[]),
        ] {
            let roles = source.roles(&RoomId(room.into()), user).await.unwrap();
            assert_eq!(roles, expected, "{name}: {room} {user}");
        }
        let avatar = BlobKey {
            id: "A1".into(),
            store: "GridFS:Avatars".into(),
            extension: Some("png".into()),
            path: None,
        };
        let upload = BlobKey {
            id: "u1".into(),
            store: "GridFS:Uploads".into(),
            extension: None,
            path: None,
        };
        let emoji = BlobKey::of_custom_emoji(CUSTOM_EMOJI, "ship_it", "gif");
        // Pictures are found before and after the files of a room.
        for (key, expected) in [
            (&avatar, &b"alice's picture"[..]),
            (&upload, b"an upload"),
            (&emoji, b"a ship"),
            (&avatar, b"alice's picture"),
        ] {
            let mut reader = blobs.open(key).await.unwrap();
            let mut content = Vec::new();
            while let Some(piece) = reader.next_chunk().await.unwrap() {
                content.extend_from_slice(&piece);
            }
            assert_eq!(content, expected, "{name}: {key:?}");
        }
    }
    assert_eq!(
        BlobKey::of_custom_emoji(CUSTOM_EMOJI, "a b/ü", "png").id,
        "a%20b%2F%C3%BC.png"
    );
}

fn bytes(content: &[u8]) -> Bson {
    Bson::Binary(bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: content.to_vec(),
    })
}

#[tokio::test]
async fn uploads_are_found_by_id() {
    let directory = tempfile::tempdir().unwrap();
    let dump = workspace();
    for subject in subjects(&dump, directory.path()).await {
        let found = subject
            .source
            .upload(&UploadId("u2".to_owned()))
            .await
            .unwrap();
        assert_eq!(
            found,
            Some(RawDoc(dump.collections["rocketchat_uploads"][1].clone()))
        );
        assert_eq!(
            subject
                .source
                .upload(&UploadId("none".to_owned()))
                .await
                .unwrap(),
            None
        );
    }
}

#[tokio::test]
async fn chosen_messages_come_in_order_and_from_their_own_room() {
    let directory = tempfile::tempdir().unwrap();
    for subject in subjects(&workspace(), directory.path()).await {
        for (room, ids, expected) in [
            ("GENERAL", &["nothing", "no-ts"][..], &["no-ts"][..]),
            ("helpdesk-id", &["no-ts"], &[]),
            ("helpdesk-id", &["h0", "h0"], &["h0"]),
            ("GENERAL", &["", "h0"], &[]),
            ("GENERAL", &[], &[]),
        ] {
            let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
            let room = RoomId(room.to_owned());
            let chosen = subject.source.chosen(&room, &ids).await.unwrap();
            assert_eq!(
                ids_of(chosen).await,
                expected,
                "{}: {room} {ids:?}",
                subject.name
            );
        }
        // All of a room, asked for backwards, are the room.
        let room = RoomId("GENERAL".to_owned());
        let query = MessageQuery {
            room: room.clone(),
            window: Window::default(),
            selection: Selection::All,
        };
        let all = ids_of(subject.source.messages(&query).await.unwrap()).await;
        let backwards: Vec<String> = all.iter().rev().cloned().collect();
        let chosen = subject.source.chosen(&room, &backwards).await.unwrap();
        assert_eq!(ids_of(chosen).await, all, "{}", subject.name);
    }
}

async fn ids_of(mut cursor: Box<dyn MessageCursor>) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(batch) = cursor.next_batch().await.unwrap() {
        ids.extend(batch.docs().map(|doc| Message::read(doc).id().into_owned()));
    }
    ids
}

/// Adds a file with its record and its chunks of `size` bytes, those in `without` left out.
fn add_file(dump: &mut DumpBuilder, id: &str, bytes: &[u8], size: usize, without: &[usize]) {
    dump.add(
        "rocketchat_uploads",
        &doc! {"_id": id, "rid": "GENERAL", "store": "GridFS:Uploads"},
    );
    dump.add(
        "rocketchat_uploads.files",
        &doc! {"_id": id, "length": i64::try_from(bytes.len()).unwrap(), "chunkSize": i32::try_from(size).unwrap(), "filename": id},
    );
    // Not in order, and between those of other files, as a server in use has them.
    for (n, chunk) in bytes
        .chunks(size)
        .enumerate()
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        if !without.contains(&n) {
            add_chunk(dump, id, i32::try_from(n).unwrap().into(), chunk);
        }
    }
}

fn add_chunk(dump: &mut DumpBuilder, id: &str, n: Bson, data: &[u8]) {
    let data = bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: data.to_vec(),
    };
    dump.add(
        "rocketchat_uploads.chunks",
        &doc! {"_id": bson::oid::ObjectId::new(), "files_id": id, "n": n, "data": data},
    );
}

fn key(id: &str, store: &str) -> BlobKey {
    BlobKey {
        id: id.to_owned(),
        store: store.to_owned(),
        extension: None,
        path: None,
    }
}

/// A file's bytes, or the reason why they are not there.
pub(crate) async fn read_blob(blobs: &dyn BlobStore, key: &BlobKey) -> Result<Vec<u8>, String> {
    let reason = |error| match error {
        BlobError::Missing(missing) => missing.reason,
        BlobError::Store(error) => panic!("{error}"),
    };
    let mut reader = blobs.open(key).await.map_err(reason)?;
    let length = reader.length();
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next_chunk().await.map_err(reason)? {
        assert!(!piece.is_empty() && piece.len() <= 1 << 20);
        bytes.extend_from_slice(&piece);
    }
    assert!(length.is_none_or(|length| length == bytes.len() as u64));
    Ok(bytes)
}

#[tokio::test]
async fn files_come_back_byte_by_byte_or_with_the_reason_why_not() {
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .collect();
    let mut dump = workspace();
    add_file(&mut dump, "exact", &content[..3 * 1000], 1000, &[]);
    add_file(&mut dump, "rest", &content[..2500], 1000, &[]);
    add_file(&mut dump, "one", &content[..1], 1000, &[]);
    add_file(&mut dump, "empty", b"", 1000, &[]);
    add_file(&mut dump, "large-chunks", &content, 2_500_000, &[]);
    add_file(&mut dump, "hole", &content[..3000], 1000, &[1]);
    add_file(&mut dump, "headless", &content[..3000], 1000, &[0]);
    add_file(&mut dump, "tailless", &content[..3000], 1000, &[2]);
    add_file(&mut dump, "gone", &content[..3000], 1000, &[0, 1, 2]);
    // Chunk numbers as other writers have them, and a file without its record.
    add_chunk(&mut dump, "recordless", Bson::Double(1.0), &content[10..20]);
    add_chunk(&mut dump, "recordless", Bson::Int64(0), &content[..10]);
    // The record says more than the chunks hold.
    add_file(&mut dump, "short", &content[..2500], 1000, &[2]);
    add_chunk(&mut dump, "short", Bson::Int32(2), &content[2000..2100]);
    // A chunk that stands twice in the dump: the later one counts.
    add_file(&mut dump, "twice", &content[..2000], 1000, &[]);
    add_chunk(&mut dump, "twice", Bson::Int32(0), &content[500..1500]);
    // Another room's, asked for in between.
    dump.add(
        "rocketchat_uploads",
        &doc! {"_id": "other", "rid": "helpdesk-id", "store": "GridFS:Uploads"},
    );
    dump.add(
        "rocketchat_uploads.files",
        &doc! {"_id": "other", "length": 5, "chunkSize": 1000},
    );
    add_chunk(&mut dump, "other", Bson::Int32(0), b"other");
    let cases: [(&str, Result<Vec<u8>, &str>); 14] = [
        ("exact", Ok(content[..3000].to_vec())),
        ("rest", Ok(content[..2500].to_vec())),
        ("other", Ok(b"other".to_vec())),
        ("one", Ok(content[..1].to_vec())),
        ("empty", Ok(Vec::new())),
        ("large-chunks", Ok(content.clone())),
        ("recordless", Ok(content[..20].to_vec())),
        (
            "twice",
            Ok([&content[500..1500], &content[1000..2000]].concat()),
        ),
        ("hole", Err("chunk 1 of 3 missing")),
        ("headless", Err("chunk 0 of 3 missing")),
        ("tailless", Err("chunk 2 of 3 missing")),
        ("gone", Err("chunks missing")),
        ("none", Err("chunks missing")),
        ("short", Err("2100 of 2500 bytes there")),
    ];
    let directory = tempfile::tempdir().unwrap();
    for subject in subjects(&dump, directory.path()).await {
        for (id, expected) in &cases {
            for store in ["GridFS:Uploads", "rocketchat_uploads"] {
                let actual = read_blob(&*subject.blobs, &key(id, store)).await;
                match (actual, expected) {
                    (Ok(actual), Ok(expected)) => {
                        assert!(actual == *expected, "{}: {id}", subject.name);
                    }
                    (Err(actual), Err(expected)) => {
                        assert_eq!(actual, *expected, "{}: {id}", subject.name);
                    }
                    (actual, _) => panic!(
                        "{}: {id}: {:?}",
                        subject.name,
                        actual.map(|bytes| bytes.len())
                    ),
                }
            }
        }
        // Read in turns: two files at once.
        let mut exact = subject
            .blobs
            .open(&key("large-chunks", "GridFS:Uploads"))
            .await
            .unwrap();
        let mut other = subject
            .blobs
            .open(&key("other", "GridFS:Uploads"))
            .await
            .unwrap();
        assert_eq!(
            &exact.next_chunk().await.unwrap().unwrap()[..],
            &content[..1 << 20]
        );
        assert_eq!(&other.next_chunk().await.unwrap().unwrap()[..], b"other");
        assert_eq!(
            &exact.next_chunk().await.unwrap().unwrap()[..],
            &content[1 << 20..2 << 20]
        );
    }
}

#[tokio::test]
async fn the_store_of_the_record_decides_where_a_file_is_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = workspace();
    add_file(&mut dump, "a", b"in GridFS", 1000, &[]);
    let files = directory.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("a"), b"in a file").unwrap();
    let path = dump.write(Form::Directory, directory.path());
    let [dump, _] = subjects_of("", &path, &directory.path().join("x.db"));
    let with = Blobs::new(
        Arc::clone(&dump.blobs),
        Some(FileSystem::new(&files).unwrap()),
        None,
    );
    let without = Blobs::new(dump.blobs, None, None);
    for (blobs, store, expected) in [
        (&with, "GridFS:Uploads", Ok("in GridFS")),
        (&with, "rocketchat_uploads", Ok("in GridFS")),
        (&with, "GridFS:Avatars", Err("chunks missing")),
        (
            &with,
            "GridFS:Unknown",
            Err("stored in GridFS:Unknown, which is not known"),
        ),
        (&with, "FileSystem:Uploads", Ok("in a file")),
        (&with, "fileSystem", Ok("in a file")),
        (&without, "GridFS:Uploads", Ok("in GridFS")),
        (
            &without,
            "FileSystem:Uploads",
            Err("stored in a FileSystem store; name its directory with --files DIR"),
        ),
        (
            &with,
            "AmazonS3:Uploads",
            Err("stored in AmazonS3, which was not to be contacted"),
        ),
        (&with, "", Err("its record does not say where it is stored")),
    ] {
        let actual = read_blob(blobs, &key("a", store)).await;
        assert_eq!(
            actual.map(|bytes| String::from_utf8(bytes).unwrap()),
            expected.map(str::to_owned).map_err(str::to_owned),
            "{store}"
        );
    }
}
