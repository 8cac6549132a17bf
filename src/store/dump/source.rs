//! A dump as a workspace: a private catalogue of what is small, and an index of the messages that are asked for.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, id_text};

use super::chunks::ChunkIndex;
use super::{Dump, check};
use crate::store::batches::{ReadEnd, blocking, cursor, outline_cursor};
use crate::store::directory::Settings;
use crate::store::order::{
    Marks, MessageKey, NO_TS, UniqueSorted, UniqueSorter, instant, push_instant, push_text,
};
use crate::store::outline::{OutlineCursor, Place};
use crate::store::sqlite::query;
use crate::store::sqlite::schema;
use crate::store::sqlite::tables::{self, PutError};
use crate::store::{
    AvatarOf, DocBatch, MessageCursor, MessageQuery, MessageSource, RawDoc, RoomId, RoomSummary,
    Selection, StoreError, UploadId, Window,
};

const MESSAGES: &str = "rocketchat_message";

/// What the catalogue holds: the collections that are small and looked up by key.
const CATALOGUE: [&str; 14] = [
    "rocketchat_room",
    "users",
    "rocketchat_subscription",
    "rocketchat_uploads",
    "rocketchat_settings",
    "rocketchat_custom_emoji",
    "rocketchat_avatars",
    "rocketchat_video_conference",
    "rocketchat_team",
    "rocketchat_livechat_visitor",
    "custom_emoji.files",
    "rocketchat_uploads.files",
    "rocketchat_avatars.files",
    "rocketchat_userDataFiles.files",
];

/// Bytes that sorting may hold.
const SORT_BUDGET: usize = 3 << 20;

/// A dump that rooms are exported from directly.
#[derive(Clone, Debug)]
pub struct DumpSource(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) dump: Dump,
    pub(super) work_dir: Option<PathBuf>,
    pub(super) cancel: CancellationToken,
    catalogue: Mutex<Connection>,
    /// The index that was asked for last: counting, the pass for files and the pass for messages share it.
    index: Mutex<Option<Arc<RoomIndex>>>,
    /// Whether the catalogue has the messages of each room counted.
    counted: Mutex<bool>,
    pub(super) chunks: Mutex<Option<ChunkIndex>>,
}

/// The messages of one room in one window, in order.
#[derive(Debug)]
struct RoomIndex {
    room: RoomId,
    window: Window,
    sorted: UniqueSorted,
    /// Where the documents are: the dump's own file, or what was unpacked of it.
    documents: File,
    /// Messages in the window, counted while scanning.
    counts: Counts,
}

/// In a payload, beside the message's [`Marks`]: the message is in the window.
const IN_WINDOW: u8 = 0x80;

/// Messages by selection.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: u64,
    with_files: u64,
    with_files_or_replies: u64,
}

impl Counts {
    fn of(flags: u8) -> Self {
        let one = |selection| {
            let wanted = Marks::wanted(selection).is_none_or(|wanted| Marks(flags).has(wanted));
            u64::from(flags & IN_WINDOW != 0 && wanted)
        };
        Self {
            all: one(Selection::All),
            with_files: one(Selection::WithFiles),
            with_files_or_replies: one(Selection::WithFilesOrReplies),
        }
    }

    fn get(self, selection: Selection) -> u64 {
        match selection {
            Selection::All => self.all,
            Selection::WithFiles => self.with_files,
            Selection::WithFilesOrReplies => self.with_files_or_replies,
        }
    }

    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.with_files += other.with_files;
        self.with_files_or_replies += other.with_files_or_replies;
    }

    fn remove(&mut self, other: Self) {
        self.all -= other.all;
        self.with_files -= other.with_files;
        self.with_files_or_replies -= other.with_files_or_replies;
    }
}

impl DumpSource {
    /// Opens a dump and reads its small collections. Blocking, and for an archive as long as reading all of it.
    ///
    /// What does not fit into memory goes to unnamed files in `work_dir`, or in the system's temporary directory.
    /// After `cancel` every question ends with [`StoreError::Cancelled`].
    pub fn open(
        path: &Path,
        work_dir: Option<&Path>,
        cancel: CancellationToken,
    ) -> Result<Self, StoreError> {
        let dump = Dump::open(path)?;
        let catalogue = catalogue(&dump, &cancel).map_err(schema::name_full_temporary)?;
        Ok(Self(Arc::new(Inner {
            dump,
            work_dir: work_dir.map(Path::to_owned),
            cancel,
            catalogue: Mutex::new(catalogue),
            index: Mutex::new(None),
            counted: Mutex::new(false),
            chunks: Mutex::new(None),
        })))
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            check(&inner.cancel)?;
            question(&inner).map_err(schema::name_full_temporary)
        })
        .await
    }
}

/// Reads the small collections into a private database.
fn catalogue(dump: &Dump, cancel: &CancellationToken) -> Result<Connection, StoreError> {
    let catalogue = schema::temporary()?;
    catalogue.execute_batch(
        "CREATE TABLE room_messages(rid TEXT PRIMARY KEY, messages INTEGER, first INTEGER, last INTEGER) WITHOUT ROWID;
         CREATE TABLE chunk_at(bucket TEXT, files_id TEXT, n INTEGER, offset INTEGER, length INTEGER,
           PRIMARY KEY(bucket, files_id, n)) WITHOUT ROWID;
         BEGIN",
    )?;
    let mut number = 0;
    dump.scan(
        &|collection| CATALOGUE.contains(&collection),
        cancel,
        &mut |_| {},
        &mut |found| {
            number += 1;
            // Of the places in rooms, of which there are many, only those with a role are asked for.
            if found.collection == "rocketchat_subscription" && !has_roles(found.doc) {
                return Ok(());
            }
            tables::put(&catalogue, found.collection, found.doc, number)
                .map_err(|error| error.at(found.collection, found.offset))
        },
    )?;
    catalogue.execute_batch("COMMIT")?;
    Ok(catalogue)
}

fn has_roles(subscription: &[u8]) -> bool {
    Doc::new(subscription)
        .ok()
        .and_then(|doc| doc.get("roles")?.array())
        .is_some_and(|roles| !roles.is_empty())
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicked question left is either whole or None.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn catalogue(&self) -> MutexGuard<'_, Connection> {
        locked(&self.catalogue)
    }

    /// The failure of a file that has no name.
    pub(super) fn spill_error(&self, action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        // The path is made when something failed: this is asked for with every message.
        move |error| {
            let path = self.work_dir.clone().unwrap_or_else(std::env::temp_dir);
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    StoreError::TemporaryFull { path }
                }
                _ => StoreError::io(action, path)(error),
            }
        }
    }

    pub(super) fn spool(&self) -> Result<File, StoreError> {
        match &self.work_dir {
            Some(dir) => tempfile::tempfile_in(dir),
            None => tempfile::tempfile(),
        }
        .map_err(self.spill_error("write"))
    }

    fn index(&self, query: &MessageQuery) -> Result<Arc<RoomIndex>, StoreError> {
        let mut kept = locked(&self.index);
        if let Some(index) = &*kept
            && index.room == query.room
            && index.window == query.window
        {
            return Ok(Arc::clone(index));
        }
        // Its files and memory are given back before the next ones are taken.
        *kept = None;
        let index = Arc::new(self.build_index(&query.room, query.window)?);
        *kept = Some(Arc::clone(&index));
        Ok(index)
    }

    fn build_index(&self, room: &RoomId, window: Window) -> Result<RoomIndex, StoreError> {
        let plain = self.dump.plain_file(MESSAGES)?;
        let mut spool = match &plain {
            Some(_) => None,
            None => Some((BufWriter::with_capacity(256 << 10, self.spool()?), 0_u64)),
        };
        let mut input = UniqueSorter::new(SORT_BUDGET, self.work_dir.clone());
        let mut counts = Counts::default();
        let mut instant = Vec::with_capacity(8);
        self.dump.scan(
            &|collection| collection == MESSAGES,
            &self.cancel,
            &mut |_| {},
            &mut |found| {
                let doc = Doc::new(found.doc)
                    .map_err(|error| PutError::from(error).at(MESSAGES, found.offset))?;
                // `rid` comes early: the messages of other rooms are not read to their end.
                if doc.get("rid").map_or("".into(), id_text) != room.0 {
                    return Ok(());
                }
                let key = MessageKey::read(doc);
                let mut flags = key.marks.0;
                let mut offset = found.offset;
                if window.contains(key.ts) {
                    flags |= IN_WINDOW;
                    counts.add(Counts::of(flags));
                    if let Some((spool, written)) = &mut spool {
                        spool
                            .write_all(found.doc)
                            .map_err(self.spill_error("write"))?;
                        offset = *written;
                        *written += found.doc.len() as u64;
                    }
                }
                instant.clear();
                push_instant(&mut instant, key.ts);
                // A document is at most 16 MiB and 16 KiB.
                let length = u32::try_from(found.doc.len()).unwrap_or(u32::MAX);
                input
                    .push(
                        &instant,
                        &key.id_in(found.doc),
                        &[&[flags], &offset.to_le_bytes(), &length.to_le_bytes()],
                    )
                    .map_err(self.spill_error("write"))
            },
        )?;
        let documents = match (plain, spool) {
            (Some(path), _) => File::open(&path).map_err(StoreError::io("open", path))?,
            (None, Some((spool, _))) => spool
                .into_inner()
                .map_err(|error| self.spill_error("write")(error.into_error()))?,
            (None, None) => self.spool()?,
        };
        let sorted = input
            .finish(|payload| {
                if let Some(position) = Position::read(payload) {
                    counts.remove(Counts::of(position.flags));
                }
            })
            .map_err(self.spill_error("write"))?;
        Ok(RoomIndex {
            room: room.clone(),
            window,
            sorted,
            documents,
            counts,
        })
    }

    /// Counts the messages of every room, once.
    fn count_rooms(&self) -> Result<(), StoreError> {
        let mut counted = locked(&self.counted);
        if *counted {
            return Ok(());
        }
        let mut input = UniqueSorter::new(SORT_BUDGET, self.work_dir.clone());
        let (mut before, mut time) = (Vec::new(), Vec::new());
        self.dump.scan(
            &|collection| collection == MESSAGES,
            &self.cancel,
            &mut |_| {},
            &mut |found| {
                let doc = Doc::new(found.doc)
                    .map_err(|error| PutError::from(error).at(MESSAGES, found.offset))?;
                let key = MessageKey::read(doc);
                before.clear();
                push_text(&mut before, &key.rid);
                time.clear();
                push_instant(&mut time, key.ts);
                input
                    .push(&before, &key.id_in(found.doc), &[&time, key.rid.as_bytes()])
                    .map_err(self.spill_error("write"))
            },
        )?;
        let sorted = input.finish(|_| {}).map_err(self.spill_error("write"))?;
        let mut items = sorted.read().map_err(self.spill_error("read"))?;
        let catalogue = self.catalogue();
        let save = |rid: &[u8], (messages, first, last): query::MessageStats| {
            catalogue
                .prepare_cached("INSERT OR REPLACE INTO room_messages VALUES(?1, ?2, ?3, ?4)")?
                .execute(params![
                    String::from_utf8_lossy(rid),
                    messages.cast_signed(),
                    first,
                    last
                ])
        };
        let mut room: Option<(Vec<u8>, query::MessageStats)> = None;
        while let Some(item) = items.next().map_err(self.spill_error("read"))? {
            let Some((time, rid)) = item.payload.split_first_chunk() else {
                continue;
            };
            let ts = Some(instant(*time)).filter(|&ts| ts != NO_TS);
            match &mut room {
                Some((current, (messages, first, last))) if current == rid => {
                    *messages += 1;
                    *first = match (*first, ts) {
                        (Some(first), Some(ts)) => Some(first.min(ts)),
                        (first, ts) => first.or(ts),
                    };
                    *last = (*last).max(ts);
                }
                _ => {
                    if let Some((rid, stats)) = room.replace((rid.to_vec(), (1, ts, ts))) {
                        save(&rid, stats)?;
                    }
                }
            }
        }
        if let Some((rid, stats)) = room {
            save(&rid, stats)?;
        }
        *counted = true;
        Ok(())
    }
}

/// What the index says about a message.
struct Position {
    flags: u8,
    offset: u64,
    length: usize,
}

impl Position {
    fn read(payload: &[u8]) -> Option<Self> {
        let (&flags, rest) = payload.split_first()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        Some(Self {
            flags,
            offset: u64::from_le_bytes(*offset),
            length: u32::from_le_bytes(*length) as usize,
        })
    }
}

impl RoomIndex {
    /// The wanted messages in order: key and position of each.
    fn each(
        &self,
        selection: Selection,
        cancel: &CancellationToken,
        failed: &dyn Fn(io::Error) -> StoreError,
        mut visit: impl FnMut(&[u8], Position) -> Result<(), ReadEnd>,
    ) -> Result<(), ReadEnd> {
        let wanted = Marks::wanted(selection);
        let mut items = self.sorted.read().map_err(failed)?;
        let mut read = 0_u64;
        while let Some(item) = items.next().map_err(failed)? {
            let Some(position) = Position::read(item.payload) else {
                continue;
            };
            let marks = Marks(position.flags);
            if marks.has(Marks(IN_WINDOW)) && wanted.is_none_or(|wanted| marks.has(wanted)) {
                visit(item.key, position)?;
            }
            read += 1;
            if read.is_multiple_of(4096) {
                check(cancel)?;
            }
        }
        Ok(())
    }
}

/// Reads documents of a file in any order; ones that follow each other cost one read together.
struct ReadWindow<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    offset: u64,
    size: usize,
}

impl<'a> ReadWindow<'a> {
    /// Bytes read at a jump, and at most while documents follow each other.
    const SIZES: (usize, usize) = (8 << 10, 256 << 10);

    fn new(file: &'a File) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            offset: 0,
            size: Self::SIZES.0,
        }
    }

    fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside = offset
            .checked_sub(self.offset)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| start.saturating_add(length) <= self.buffer.len());
        if let Some(start) = inside {
            return Ok(&self.buffer[start..start + length]);
        }
        let end = self.offset + self.buffer.len() as u64;
        let follows = offset >= self.offset && offset <= end + Self::SIZES.1 as u64;
        self.size = if follows {
            (self.size * 2).min(Self::SIZES.1)
        } else {
            Self::SIZES.0
        };
        self.buffer.resize(self.size.max(length), 0);
        self.buffer.shrink_to(Self::SIZES.1);
        self.offset = offset;
        let mut filled = 0;
        while filled < self.buffer.len() {
            match self
                .file
                .read_at(&mut self.buffer[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        self.buffer.get(..length).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            )
        })
    }
}

#[async_trait]
impl MessageSource for DumpSource {
    async fn rooms(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomSummary>, StoreError> {
        let after = after.cloned();
        self.ask(move |inner| {
            inner.count_rooms()?;
            let catalogue = inner.catalogue();
            query::rooms(&catalogue, after.as_ref(), limit, |rid| {
                let stats = catalogue
                    .prepare_cached(
                        "SELECT messages, first, last FROM room_messages WHERE rid = ?1",
                    )?
                    .query_row([rid], |row| {
                        Ok((
                            row.get::<_, i64>(0)?.cast_unsigned(),
                            row.get(1)?,
                            row.get(2)?,
                        ))
                    })
                    .optional()?;
                Ok(stats.unwrap_or_default())
            })
        })
        .await
    }

    async fn find_rooms(&self, name: &str, limit: usize) -> Result<Vec<RawDoc>, StoreError> {
        let name = name.to_owned();
        self.ask(move |inner| query::find_rooms(&inner.catalogue(), &name, limit))
            .await
    }

    async fn count(&self, query: &MessageQuery) -> Result<u64, StoreError> {
        let query = query.clone();
        self.ask(move |inner| {
            let index = inner.index(&query)?;
            Ok(index.counts.get(query.selection))
        })
        .await
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Box<dyn MessageCursor>, StoreError> {
        let (inner, query) = (Arc::clone(&self.0), query.clone());
        Ok(cursor(move |batches| {
            let index = inner.index(&query)?;
            let failed = |error| inner.spill_error("read")(error);
            let mut window = ReadWindow::new(&index.documents);
            index.each(query.selection, &inner.cancel, &failed, |_, position| {
                let doc = window.get(position.offset, position.length);
                Ok(batches.push(doc.map_err(failed)?)?)
            })
        }))
    }

    async fn outline(&self, query: &MessageQuery) -> Result<Box<dyn OutlineCursor>, StoreError> {
        let (inner, query) = (Arc::clone(&self.0), query.clone());
        Ok(outline_cursor(move |places| {
            let index = inner.index(&query)?;
            let failed = |error| inner.spill_error("read")(error);
            index.each(query.selection, &inner.cancel, &failed, |key, position| {
                let Some((ts, id)) = key.split_first_chunk() else {
                    return Ok(());
                };
                Ok(places.push(Place {
                    ts: instant(*ts),
                    id,
                    size: u32::try_from(position.length).unwrap_or(u32::MAX),
                    hidden: Marks(position.flags).has(Marks::HIDDEN),
                })?)
            })
        }))
    }

    async fn chosen(
        &self,
        room: &RoomId,
        ids: &[String],
    ) -> Result<Box<dyn MessageCursor>, StoreError> {
        // A dump has no index by id: the room is read.
        let all = MessageQuery {
            room: room.clone(),
            window: Window::default(),
            selection: Selection::All,
        };
        Ok(Box::new(Chosen {
            room: self.messages(&all).await?,
            ids: ids.iter().cloned().collect(),
        }))
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<RawDoc>, StoreError> {
        let id = id.0.clone();
        self.ask(move |inner| query::upload(&inner.catalogue(), &id))
            .await
    }

    async fn upload_stores(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.ask(|inner| query::upload_stores(&inner.catalogue()))
            .await
    }

    async fn avatar(&self, of: &AvatarOf) -> Result<Option<RawDoc>, StoreError> {
        let of = of.clone();
        self.ask(move |inner| query::avatar(&inner.catalogue(), &of))
            .await
    }

    async fn custom_emoji(&self, name: &str) -> Result<Option<RawDoc>, StoreError> {
        let name = name.to_owned();
        self.ask(move |inner| query::custom_emoji(&inner.catalogue(), &name))
            .await
    }

    async fn roles(&self, room: &RoomId, user: &str) -> Result<Vec<String>, StoreError> {
        let (room, user) = (room.clone(), user.to_owned());
        self.ask(move |inner| query::roles(&inner.catalogue(), &room, &user))
            .await
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        self.ask(move |inner| query::settings(&inner.catalogue(), &ids))
            .await
    }
}

/// Those messages of a room that are asked for.
struct Chosen {
    room: Box<dyn MessageCursor>,
    ids: HashSet<String>,
}

#[async_trait]
impl MessageCursor for Chosen {
    async fn next_batch(&mut self) -> Result<Option<DocBatch>, StoreError> {
        while let Some(batch) = self.room.next_batch().await? {
            let mut chosen = DocBatch::default();
            for doc in batch.docs() {
                let id = Doc::new(doc).ok().and_then(|doc| doc.get("_id"));
                if id.is_some_and(|id| self.ids.contains(id_text(id).as_ref())) {
                    chosen.push(doc);
                }
            }
            if !chosen.is_empty() {
                return Ok(Some(chosen));
            }
        }
        Ok(None)
    }
}
