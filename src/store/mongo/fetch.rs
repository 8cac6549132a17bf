//! Copies what exports can need from a live database into a directory as mongodump would write it, for the import into a
//! workspace file.
//!
//! Each collection is read in the order of its ids, so that a copy that was interrupted goes on behind the last document
//! that is whole; a lost cursor does so at once. A collection gets its name when it is complete. Ids of different types
//! are asked for one type after the other, because a server compares only those of one type.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use futures_util::StreamExt;
use mongodb::options::FindOptions;
use tokio_util::sync::CancellationToken;
use transcript::bson::Doc;

use super::{MongoDatabase, document, is_passing, odd};
use crate::store::dump::check;
use crate::store::{RoomId, StoreError};
use crate::words::chain;

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
/// The contents of uploads: with all rooms, all of them; else those of the uploads that were copied.
const CONTENTS: [(&str, &str); 2] = [
    ("rocketchat_uploads.files", "_id"),
    ("rocketchat_uploads.chunks", "files_id"),
];
const UPLOADS: &str = "rocketchat_uploads";
/// Uploads whose contents are asked for together.
const TOGETHER: usize = 100;
/// Types of ids, as queries name them: those of Rocket.Chat, those of drivers, and the rest, which hardly exists.
const TYPES: [Option<&str>; 3] = [Some("string"), Some("objectId"), None];
/// A length that no document has: 16 MiB, and what the server adds.
const LARGEST: usize = (16 << 20) + (16 << 10);
/// A copy that was lost is tried again for so long without anything new.
const GIVE_UP: Duration = Duration::from_mins(3);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

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

impl Fetch<'_> {
    /// Copies. What is complete already is not copied again.
    pub async fn run(
        &self,
        progress: &mut (dyn FnMut(FetchProgress<'_>) + Send),
    ) -> Result<(), StoreError> {
        fs::create_dir_all(self.directory).map_err(StoreError::io("create", self.directory))?;
        let ids: Vec<&str> = self.rooms.iter().map(|room| room.0.as_str()).collect();
        let mut done = 0;
        let mut total = 0;
        let whole = CONTENTS.map(|(name, _)| (name, None));
        for (collection, _) in COLLECTIONS.into_iter().chain(whole) {
            let documents = self.database.relaxed(collection);
            let question = documents.estimated_document_count();
            total += self
                .database
                .ask(collection, async { question.await })
                .await?;
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
            let filter = match room {
                Some(field) if !ids.is_empty() => doc! {field: {"$in": &ids}},
                _ => doc! {},
            };
            let Some(mut copy) = self.begin(collection)? else {
                continue;
            };
            self.copy(&mut copy, &filter, true, &mut tell).await?;
            copy.complete()?;
        }
        for (collection, field) in CONTENTS {
            let Some(mut copy) = self.begin(collection)? else {
                continue;
            };
            if ids.is_empty() {
                self.copy(&mut copy, &doc! {}, true, &mut tell).await?;
            } else {
                // Of chosen rooms they are few: begun again when they were interrupted.
                copy.restart(0)?;
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
                        break;
                    }
                    let filter = doc! {field: {"$in": some}};
                    self.copy(&mut copy, &filter, false, &mut tell).await?;
                }
            }
            copy.complete()?;
        }
        Ok(())
    }

    /// Opens the copy of a collection; `None` when it is complete.
    fn begin(&self, collection: &'static str) -> Result<Option<Copy>, StoreError> {
        let complete = named(self.directory, collection);
        if complete.exists() {
            return Ok(None);
        }
        Ok(Some(Copy::open(collection, complete)?))
    }

    /// Copies what a filter finds, behind what is there already when `from_last`.
    async fn copy(
        &self,
        copy: &mut Copy,
        filter: &Document,
        from_last: bool,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), StoreError> {
        let mut last = if from_last { copy.last()? } else { None };
        tell(copy.collection, copy.found);
        copy.found = 0;
        let reached = last.as_ref().map_or(0, type_of);
        for (number, kind) in TYPES.into_iter().enumerate().skip(reached) {
            let mut tries = 0;
            let mut since: Option<Instant> = None;
            loop {
                let rest = last.as_ref().filter(|last| type_of(last) == number);
                let of_type = match (kind, rest) {
                    (Some(_), Some(last)) => doc! {"_id": {"$gt": last}},
                    (Some(kind), None) => doc! {"_id": {"$type": kind}},
                    (None, _) => doc! {"_id": {"$not": {"$type": ["string", "objectId"]}}},
                };
                if kind.is_none() {
                    copy.restart_rest()?;
                }
                let filter = doc! {"$and": [filter.clone(), of_type]};
                let before = copy.bytes;
                let outcome = self.read(copy, filter, tell).await;
                if copy.bytes > before {
                    (tries, since) = (0, None);
                    last = copy.newest.clone();
                }
                match outcome {
                    Ok(()) => break,
                    Err(Broken { error, passing }) => {
                        let since = *since.get_or_insert_with(Instant::now);
                        if !passing || since.elapsed() > GIVE_UP {
                            return Err(error);
                        }
                        tries += 1;
                        let told = chain(&error);
                        tracing::warn!(
                            attempt = tries,
                            error = told,
                            "a lost cursor is opened again"
                        );
                        let wait = FIRST_WAIT.saturating_mul(1 << tries.min(16));
                        tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
                    }
                }
            }
            copy.end_type()?;
        }
        Ok(())
    }

    async fn read(
        &self,
        copy: &mut Copy,
        filter: Document,
        tell: &mut (dyn FnMut(&str, u64) + Send),
    ) -> Result<(), Broken> {
        let database = self.database;
        let broken = |error: &mongodb::error::Error| Broken {
            passing: is_passing(error),
            error: database.failed(copy.collection, error),
        };
        let silent = || Broken {
            passing: true,
            error: database.silent(copy.collection),
        };
        let load = database.load();
        let options = FindOptions::builder()
            .sort(doc! {"_id": 1})
            .batch_size(load.batch)
            .build();
        let documents = database.relaxed(copy.collection);
        let opening = documents.find(filter).with_options(options);
        let patience = database.patience();
        let mut cursor = tokio::time::timeout(patience, async { opening.batch().await })
            .await
            .map_err(|_| silent())?
            .map_err(|error| broken(&error))?;
        while let Some(reply) = tokio::time::timeout(patience, cursor.next())
            .await
            .map_err(|_| silent())?
        {
            let reply = reply.map_err(|error| broken(&error))?;
            let docs = reply.doc_slices().map_err(|error| broken(&error))?;
            let mut new = 0;
            let mut newest = None;
            for doc in docs {
                let doc = document(doc).map_err(|reason| odd(copy.collection, &reason))?;
                copy.out.write_all(doc).map_err(copy.failed())?;
                copy.bytes += doc.len() as u64;
                new += 1;
                newest = Some(doc);
            }
            if let Some(doc) = newest {
                copy.newest = id_of(doc);
            }
            tell(copy.collection, new);
            check(self.cancel)?;
            if !load.pause.is_zero() {
                tokio::time::sleep(load.pause).await;
            }
        }
        Ok(())
    }
}

/// Why a cursor came to nothing.
struct Broken {
    error: StoreError,
    passing: bool,
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            passing: false,
        }
    }
}

/// Which of [`TYPES`] an id has.
fn type_of(id: &Bson) -> usize {
    match id {
        Bson::String(_) => 0,
        Bson::ObjectId(_) => 1,
        _ => 2,
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
    /// Where the ids that are neither texts nor the server's own begin.
    rest: Option<u64>,
}

impl Copy {
    fn open(collection: &'static str, complete: PathBuf) -> Result<Self, StoreError> {
        let part = complete.with_extension("bson.part");
        let file = OpenOptions::new()
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
            rest: None,
        })
    }

    fn failed(&self) -> impl Fn(io::Error) -> StoreError + use<> {
        let part = self.part.clone();
        move |error| StoreError::io("write", part.clone())(error)
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
            if id.as_ref().is_none_or(|id| type_of(id) == 2) {
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

    /// Begins the ids of other types, or begins them again.
    fn restart_rest(&mut self) -> Result<(), StoreError> {
        let at = *self.rest.get_or_insert(self.bytes);
        self.restart(at)
    }

    /// What comes now is of another type.
    fn end_type(&mut self) -> Result<(), StoreError> {
        self.out.flush().map_err(self.failed())?;
        self.rest = None;
        Ok(())
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
