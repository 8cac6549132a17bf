//! Copies what exports can need from a live database into a directory as mongodump would write it, for the import into a
//! workspace file.
//!
//! Each collection is read in the order of its ids, so that a copy that was interrupted goes on behind the last document
//! that is whole; a lost cursor does so at once. A collection gets its name when it is complete. Ids of different types
//! are asked for one type after the other, because a server compares only those of one type.
//!
//! Of chosen rooms everything is asked for by what an index has: messages by room and instant, as exports read them, the
//! other documents by room without an order, contents by file.
//!
//! A copy that goes on keeps what is large: messages, and contents of files, which never change. The rest is copied again,
//! since it may have changed, until the copy is complete; then nothing of it is touched, so that its import can go on.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bson::{Bson, Document, doc};
use futures_util::StreamExt;
use mongodb::options::FindOptions;
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, Value};

use super::tries::{Lost, Tries};
use super::{MongoDatabase, MongoSource, document, messages, odd};
use crate::store::dump::check;
use crate::store::{MessageQuery, MessageSource, RoomId, Selection, StoreError, Window};

/// What exports can need: collection, and the field that says of which room a document is, when it is of one.
const COLLECTIONS: [(&str, Option<&str>); 17] = [
    ("custom_emoji.chunks", None),
    ("custom_emoji.files", None),
    ("rocketchat_avatars", None),
    ("rocketchat_avatars.chunks", None),
    ("rocketchat_avatars.files", None),
    ("rocketchat_custom_emoji", None),
    ("rocketchat_livechat_department_agents", None),
    ("rocketchat_message", Some("rid")),
    ("rocketchat_permissions", None),
    ("rocketchat_roles", None),
    ("rocketchat_room", Some("_id")),
    ("rocketchat_settings", None),
    ("rocketchat_subscription", Some("rid")),
    ("rocketchat_team", None),
    ("rocketchat_team_member", None),
    ("rocketchat_uploads", Some("rid")),
    ("users", None),
];
const MESSAGES: &str = "rocketchat_message";
const UPLOADS: &str = "rocketchat_uploads";
/// The contents of uploads, which come last: with all rooms, all of them; else those of the uploads that were copied.
const FILES: &str = "rocketchat_uploads.files";
const CHUNKS: &str = "rocketchat_uploads.chunks";
/// Uploads whose contents are asked for together.
const TOGETHER: usize = 100;
/// Types of ids, as queries name them: those of Rocket.Chat, those of drivers, and the rest, which hardly exists. All of
/// them are named, because no index finds what is not of a type; but for arrays and `undefined`, which no server takes as an
/// id: to look for arrays it would walk through all documents.
const TYPES: [&[&str]; 3] = [
    &["string"],
    &["objectId"],
    &[
        "minKey",
        "null",
        "double",
        "int",
        "long",
        "decimal",
        "symbol",
        "object",
        "binData",
        "bool",
        "date",
        "timestamp",
        "regex",
        "dbPointer",
        "javascript",
        "javascriptWithScope",
        "maxKey",
    ],
];
/// Which of them are read again as a whole when a copy goes on.
const REST: usize = 2;
/// A length that no document has: 16 MiB, and what the server adds.
const LARGEST: usize = (16 << 20) + (16 << 10);
/// How far a copy is.
#[derive(Clone, Copy, Debug)]
pub struct FetchProgress<'a> {
    /// The collection being copied.
    pub collection: &'a str,
    /// Documents copied.
    pub done: u64,
    /// About how many there are.
    pub total: u64,
}

/// What an earlier import has copied and this one keeps as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Everything: the copy was complete.
    All(SystemTime),
    /// The messages, as far as they had come.
    Messages(SystemTime),
}

/// A copy in the making.
pub struct Fetch<'a> {
    /// What is copied.
    pub database: &'a MongoDatabase,
    /// Where it is copied to; what an earlier copy of the same has left there is taken over.
    pub directory: &'a Path,
    /// The rooms that are copied; empty for all.
    pub rooms: &'a [RoomId],
    /// Asked whether to stop.
    pub cancel: &'a CancellationToken,
}

/// What of a copy there is that the next one keeps.
pub fn kept(directory: &Path) -> Option<Kept> {
    let changed = |path: &Path| {
        let found = fs::metadata(path).ok().filter(|found| found.len() > 0)?;
        found.modified().ok()
    };
    let messages = named(directory, MESSAGES);
    let chunks = named(directory, CHUNKS);
    // It may well be empty.
    if let Ok(complete) = fs::metadata(chunks) {
        return complete.modified().ok().map(Kept::All);
    }
    let messages = changed(&messages).or_else(|| changed(&part_of(&messages)));
    messages.map(Kept::Messages)
}

impl Fetch<'_> {
    /// Copies. What is complete already is not copied again.
    pub async fn run(
        &self,
        progress: &mut (dyn FnMut(FetchProgress<'_>) + Send),
    ) -> Result<(), StoreError> {
        if named(self.directory, CHUNKS).exists() {
            return Ok(());
        }
        private_directory(self.directory)?;
        let ids: Vec<&str> = self.rooms.iter().map(|room| room.0.as_str()).collect();
        let mut done = 0;
        let mut total = 0;
        let names = COLLECTIONS.map(|(name, _)| name);
        for collection in names.into_iter().chain([FILES, CHUNKS]) {
            let about = || async move {
                let documents = self.database.relaxed(collection);
                documents.estimated_document_count().await
            };
            total += self.database.read(collection, about).await?;
        }
        let mut tell = |collection: &str, new: u64| {
            done += new;
            progress(FetchProgress {
                collection,
                done,
                total: total.max(done),
            });
        };
        for (collection, room) in COLLECTIONS {
            let complete = named(self.directory, collection);
            if collection == MESSAGES && complete.exists() {
                continue;
            }
            let mut copy = Copy::open(collection, complete)?;
            match room {
                _ if collection == MESSAGES && !ids.is_empty() => {
                    self.copy_rooms(&mut copy, &mut tell).await?;
                }
                Some(field) if !ids.is_empty() => {
                    copy.restart(0)?;
                    let filter = doc! {field: {"$in": &ids}};
                    self.copy_all(&mut copy, &filter, None, &mut tell).await?;
                }
                _ => {
                    if collection != MESSAGES {
                        copy.restart(0)?;
                    }
                    self.copy_by_id(&mut copy, &mut tell).await?;
                }
            }
            copy.complete()?;
        }
        for (collection, field, order) in [
            (FILES, "_id", None),
            (CHUNKS, "files_id", Some(doc! {"files_id": 1, "n": 1})),
        ] {
            let mut copy = Copy::open(collection, named(self.directory, collection))?;
            if ids.is_empty() {
                if collection != CHUNKS {
                    copy.restart(0)?;
                }
                self.copy_by_id(&mut copy, &mut tell).await?;
            } else {
                // Of chosen rooms they are few: begun again when they were interrupted.
                copy.restart(0)?;
                self.copy_contents(&mut copy, field, order.as_ref(), &mut tell)
                    .await?;
            }
            copy.complete()?;
        }
        Ok(())
    }

    /// Copies the contents of the uploads that were copied, a few files at a time.
    async fn copy_contents(
        &self,
        copy: &mut Copy,
        field: &str,
        order: Option<&Document>,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), StoreError> {
        let mut uploads = Reading::open(&named(self.directory, UPLOADS))?;
        loop {
            let mut some = Vec::new();
            while some.len() < TOGETHER
                && let Some(upload) = uploads.next()?
            {
                let id = Doc::new(upload).ok().and_then(|doc| doc.text("_id"));
                some.extend(id.map(|id| id.to_str().into_owned()));
            }
            if some.is_empty() {
                return Ok(());
            }
            let filter = doc! {field: {"$in": some}};
            self.copy_all(copy, &filter, order, tell).await?;
        }
    }

    /// Copies the messages of the chosen rooms, behind what is there already.
    async fn copy_rooms(
        &self,
        copy: &mut Copy,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), StoreError> {
        let source = MongoSource::new(self.database.clone());
        let last = copy.last_message()?;
        tell(copy.collection, copy.found);
        let reached = |room: &RoomId| last.as_ref().is_some_and(|(last, _)| *last == room.0);
        let first = self.rooms.iter().position(reached).unwrap_or(0);
        for room in &self.rooms[first..] {
            let from = match &last {
                Some((_, from)) if reached(room) => *from,
                _ => None,
            };
            let query = MessageQuery {
                room: room.clone(),
                window: Window { from, to: None },
                selection: Selection::All,
            };
            // Of a room that was begun before: what has no instant is in no window with a beginning, and may not have come
            // yet. What comes twice is one message to the import.
            if from.is_some() && messages::may_have_undated(self.database, room).await {
                for filter in messages::undated(&query) {
                    self.copy_all(copy, &filter, None, tell).await?;
                }
            }
            let mut messages = source.messages(&query).await?;
            while let Some(batch) = messages.next_batch().await? {
                let mut new = 0;
                for message in batch.docs() {
                    copy.push(message)?;
                    new += 1;
                }
                tell(copy.collection, new);
                check(self.cancel)?;
            }
        }
        Ok(())
    }

    /// Copies what a filter finds; what is lost on the way is asked for from the beginning.
    async fn copy_all(
        &self,
        copy: &mut Copy,
        filter: &Document,
        order: Option<&Document>,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), StoreError> {
        let begin = copy.bytes;
        let mut tries = Tries::default();
        while let Err(lost) = self.read(copy, filter.clone(), order.cloned(), tell).await {
            let wait = tries.lost(copy.collection, lost)?;
            copy.restart(begin)?;
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Copies a whole collection in the order of its ids, behind what is there already.
    async fn copy_by_id(
        &self,
        copy: &mut Copy,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), StoreError> {
        let mut last = copy.last()?;
        tell(copy.collection, copy.found);
        let reached = last.as_ref().map_or(0, type_of);
        for (number, types) in TYPES.into_iter().enumerate().skip(reached) {
            let mut tries = Tries::default();
            let begin = copy.bytes;
            loop {
                let rest = last.as_ref().filter(|last| type_of(last) == number);
                let filter = match rest {
                    Some(last) if number != REST => doc! {"_id": {"$gt": last}},
                    _ => doc! {"_id": {"$type": types}},
                };
                if number == REST {
                    copy.restart(begin)?;
                }
                let before = copy.bytes;
                let outcome = self.read(copy, filter, Some(doc! {"_id": 1}), tell).await;
                if copy.bytes > before {
                    tries = Tries::default();
                    last = copy.newest.clone();
                }
                let Err(broken) = outcome else { break };
                let wait = tries.lost(copy.collection, broken)?;
                tokio::time::sleep(wait).await;
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        copy: &mut Copy,
        filter: Document,
        order: Option<Document>,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), Lost> {
        let database = self.database;
        let collection = copy.collection;
        let lost = |error: &mongodb::error::Error| Lost::of(database, collection, error);
        let silent = |_| Lost::silent(database, collection);
        let load = database.load();
        let options = FindOptions::builder()
            .sort(order)
            .batch_size(load.batch)
            .build();
        let documents = database.relaxed(collection);
        let opening = documents.find(filter).with_options(options);
        let patience = database.patience();
        let mut cursor = tokio::time::timeout(patience, async { opening.batch().await })
            .await
            .map_err(silent)?
            .map_err(|error| lost(&error))?;
        while let Some(reply) = tokio::time::timeout(patience, cursor.next())
            .await
            .map_err(silent)?
        {
            let reply = reply.map_err(|error| lost(&error))?;
            let docs = reply.doc_slices().map_err(|error| lost(&error))?;
            let mut new = 0;
            let mut newest = None;
            for doc in docs {
                let doc = document(doc).map_err(|reason| odd(collection, &reason))?;
                copy.push(doc)?;
                new += 1;
                newest = Some(doc);
            }
            if let Some(doc) = newest {
                copy.newest = id_of(doc);
            }
            tell(collection, new);
            check(self.cancel)?;
            if !load.pause.is_zero() {
                tokio::time::sleep(load.pause).await;
            }
        }
        Ok(())
    }
}

/// Makes a directory that is its owner's alone: what it holds has the users' passwords, as digests, and their tokens.
fn private_directory(directory: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(StoreError::io("create", directory))?;
    // One that was there may be of an earlier version.
    fs::set_permissions(directory, Permissions::from_mode(0o700))
        .map_err(StoreError::io("write", directory))
}

/// Which of [`TYPES`] an id has.
fn type_of(id: &Bson) -> usize {
    match id {
        Bson::String(_) => 0,
        Bson::ObjectId(_) => 1,
        _ => REST,
    }
}

fn id_of(doc: &[u8]) -> Option<Bson> {
    let doc = bson::RawDocument::from_bytes(doc).ok()?;
    Bson::try_from(doc.get("_id").ok()??).ok()
}

/// The file of a complete collection. No name of [`COLLECTIONS`] needs an escape.
fn named(directory: &Path, collection: &str) -> PathBuf {
    directory.join(format!("{collection}.bson"))
}

/// Where a collection is while it is not complete.
fn part_of(complete: &Path) -> PathBuf {
    complete.with_extension("bson.part")
}

/// A collection that is being copied.
struct Copy {
    collection: &'static str,
    complete: PathBuf,
    part: PathBuf,
    out: BufWriter<File>,
    bytes: u64,
    /// Documents of an earlier copy that were taken over.
    found: u64,
    newest: Option<Bson>,
}

impl Copy {
    fn open(collection: &'static str, complete: PathBuf) -> Result<Self, StoreError> {
        let part = part_of(&complete);
        let file = OpenOptions::new()
            .mode(0o600)
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(&part)
            .map_err(StoreError::io("write", &part))?;
        Ok(Self {
            collection,
            complete,
            part,
            out: BufWriter::with_capacity(256 << 10, file),
            bytes: 0,
            found: 0,
            newest: None,
        })
    }

    fn failed(&self) -> impl Fn(io::Error) -> StoreError + use<> {
        let part = self.part.clone();
        move |error| StoreError::io("write", part.clone())(error)
    }

    fn push(&mut self, doc: &[u8]) -> Result<(), StoreError> {
        self.out.write_all(doc).map_err(self.failed())?;
        self.bytes += doc.len() as u64;
        Ok(())
    }

    /// Cuts the file, and goes on writing there.
    fn restart(&mut self, at: u64) -> Result<(), StoreError> {
        let failed = self.failed();
        self.out.flush().map_err(&failed)?;
        let file = self.out.get_mut();
        file.set_len(at).map_err(&failed)?;
        file.seek(SeekFrom::Start(at)).map_err(&failed)?;
        self.bytes = at;
        Ok(())
    }

    /// The id of the last document that an earlier copy has written whole; behind it the copy goes on.
    fn last(&mut self) -> Result<Option<Bson>, StoreError> {
        let mut reading = Reading::open(&self.part)?;
        let (mut whole, mut last, mut found) = (0, None, 0);
        while let Some(doc) = reading.next()? {
            let id = id_of(doc);
            // Those of other types are read again as a whole.
            if id.as_ref().is_none_or(|id| type_of(id) == REST) {
                break;
            }
            found += 1;
            whole += doc.len() as u64;
            last = id;
        }
        self.found = found;
        self.newest.clone_from(&last);
        self.restart(whole)?;
        Ok(last)
    }

    /// The room of the last message that an earlier copy has written whole, and the instant from which on that room's
    /// messages are read again: of this millisecond some may not have come. `None` from the room's beginning.
    fn last_message(&mut self) -> Result<Option<(String, Option<i64>)>, StoreError> {
        let mut reading = Reading::open(&self.part)?;
        let mut last: Option<(String, Option<i64>)> = None;
        let (mut bytes, mut found) = (0, 0);
        // Where the room and the millisecond begin: bytes and messages before them.
        let (mut room, mut millisecond) = ((0, 0), (0, 0));
        while let Some(doc) = reading.next()? {
            let view = Doc::new(doc).unwrap_or(Doc::EMPTY);
            // What has another kind of instant may stand behind dates that come later.
            let ts = match view.get("ts") {
                Some(Value::DateTime(ts)) => Some(ts),
                _ => None,
            };
            let rid = view.text("rid").map(|rid| rid.to_str().into_owned());
            let rid = rid.unwrap_or_default();
            if last.as_ref().is_none_or(|(last, _)| *last != rid) {
                room = (bytes, found);
                last = Some((rid, None));
            }
            if let Some((_, last)) = &mut last
                && ts.is_some_and(|ts| *last != Some(ts))
            {
                millisecond = (bytes, found);
                *last = ts;
            }
            bytes += doc.len() as u64;
            found += 1;
        }
        let (place, (whole, found)) = match last {
            Some((rid, None)) => (Some((rid, None)), room),
            Some((rid, ts)) => (Some((rid, ts)), millisecond),
            None => (None, (0, 0)),
        };
        self.found = found;
        self.restart(whole)?;
        Ok(place)
    }

    /// Gives the collection its name.
    fn complete(mut self) -> Result<(), StoreError> {
        let failed = self.failed();
        self.out.flush().map_err(&failed)?;
        self.out.get_ref().sync_all().map_err(&failed)?;
        fs::rename(&self.part, &self.complete).map_err(failed)
    }
}

/// Documents of a file, one after the other, as far as they are whole.
struct Reading {
    file: BufReader<File>,
    path: PathBuf,
    doc: Vec<u8>,
}

impl Reading {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("read", path))?;
        Ok(Self {
            file: BufReader::with_capacity(256 << 10, file),
            path: path.to_owned(),
            doc: Vec::new(),
        })
    }

    fn next(&mut self) -> Result<Option<&[u8]>, StoreError> {
        let mut length = [0; 4];
        let read = self.file.read_exact(&mut length);
        if !self.is_there(read)? {
            return Ok(None);
        }
        let size = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if !(5..=LARGEST).contains(&size) {
            return Ok(None);
        }
        let mut doc = std::mem::take(&mut self.doc);
        doc.clear();
        doc.resize(size, 0);
        doc[..4].copy_from_slice(&length);
        let read = self.file.read_exact(&mut doc[4..]);
        self.doc = doc;
        Ok(self.is_there(read)?.then_some(&self.doc))
    }

    fn is_there(&self, read: io::Result<()>) -> Result<bool, StoreError> {
        match read {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(StoreError::io("read", &self.path)(error)),
        }
    }
}
