//! Reading a room's messages while the server lives its own life: in order, each once, whatever becomes of its cursors.
//!
//! The server sorts by `ts` alone, because that is what Rocket.Chat's index (`rid`, `ts`, `_updatedAt`) gives without
//! sorting; messages of one millisecond are sorted by `_id` here. A millisecond is handed on when a later one is seen. So
//! the place to go on from, when a cursor is lost, is always "from this millisecond on, and all of it": nothing of it was
//! handed on, and all before it was. An edit moves a message's entry in that index, so that a scan may meet it twice
//! within its millisecond; of equal ids the one that came last stays.
//!
//! Messages whose `ts` is no date are sorted elsewhere by the server, most of them before all dates. A room without a
//! beginning is one question and one walk along the index: what comes before the first date is sorted here and woven in.
//! What the server sorts after all dates and has no instant for us either (expressions, code, `MaxKey`) comes last; it is
//! not worth a question of its own for every room. Other windows, and rooms with internal timestamps, which do have
//! instants, ask for those without a date first.

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, RawDocumentBuf, Timestamp, doc};
use futures_util::{Stream, StreamExt};
use mongodb::Collection;
use mongodb::options::{FindOneOptions, FindOptions};
use mongodb::raw_batch_cursor::RawBatch;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use transcript::bson::{Doc, Value};

use super::tries::{Lost, Tries};
use super::{MongoDatabase, document, odd};
use crate::store::batches::{BatchSender, ReadEnd};
use crate::store::order::{MessageKey, NO_TS, UniqueSorted, UniqueSorter, push_instant};
use crate::store::{DocBatch, MessageQuery, RoomId, Selection, StoreError, Window};

/// The collection of messages.
pub(super) const COLLECTION: &str = "rocketchat_message";
/// Bytes of one millisecond's messages that are held in memory; more goes to disk.
const GROUP: usize = 4 << 20;
/// Memory for sorting messages without a date, or a millisecond that does not fit.
const SORTER: usize = 2 << 20;
/// Ids in one question for chosen messages.
const CHOSEN: usize = 1000;
/// Types that `ts` can have and that are no date, by their names in queries.
const NO_DATES: [&str; 19] = [
    "array",
    "undefined",
    "double",
    "string",
    "object",
    "binData",
    "objectId",
    "bool",
    "regex",
    "dbPointer",
    "javascript",
    "symbol",
    "javascriptWithScope",
    "int",
    "timestamp",
    "long",
    "decimal",
    "minKey",
    "maxKey",
];

/// Those of them that the server sorts after dates.
const AFTER_DATES: [&str; 6] = [
    "timestamp",
    "regex",
    "dbPointer",
    "javascript",
    "javascriptWithScope",
    "maxKey",
];

/// Whether one question in the order of the index finds all messages of a query, dated or not.
pub(super) fn is_from_the_beginning(query: &MessageQuery) -> bool {
    query.window.from.is_none() && query.selection == Selection::All
}

/// The messages of such a query, but that of those without a date some may be later than its end.
pub(super) fn from_the_beginning(query: &MessageQuery) -> Document {
    let mut filter = doc! {"rid": &query.room.0};
    if let Some(after) = query.window.to.and_then(|to| to.checked_add(1)) {
        // A comparison finds dates only, so that this leaves out only dates.
        filter.insert("ts", doc! {"$not": {"$gte": DateTime::from_millis(after)}});
    }
    filter
}

/// The messages of a query whose `ts` is a date.
pub(super) fn dated(query: &MessageQuery) -> Document {
    filter(query, doc! {"ts": dates(query.window)})
}

/// What the `ts` of such messages is.
fn dates(window: Window) -> Document {
    let mut ts = Document::new();
    if let Some(from) = window.from {
        ts.insert("$gte", DateTime::from_millis(from));
    }
    // Dates are whole milliseconds. After the last of them there is nothing to leave out.
    if let Some(after) = window.to.and_then(|to| to.checked_add(1)) {
        ts.insert("$lt", DateTime::from_millis(after));
    }
    if ts.is_empty() {
        ts.insert("$type", "date");
    }
    ts
}

/// The messages of a query's room, of whatever time, whose `ts` is no date. Two questions, so that each is answered by
/// a few looks at the index: what is not there is `null` to a query, but has no type. No message is found by both, and
/// none that is found as dated: an array is found by what is in it as well.
pub(super) fn undated(query: &MessageQuery) -> [Document; 2] {
    let types: Vec<Bson> = NO_DATES.iter().map(|&name| name.into()).collect();
    let questions = [doc! {"$eq": null}, doc! {"$type": types, "$ne": null}];
    questions.map(|ts| {
        let mut filter = filter(query, doc! {"ts": ts});
        filter.insert("$nor", [doc! {"ts": dates(query.window)}]);
        filter
    })
}

fn filter(query: &MessageQuery, ts: Document) -> Document {
    let mut filter = doc! {"rid": &query.room.0};
    filter.extend(ts);
    let file = doc! {"$type": "object", "$ne": {}, "$not": {"$type": "array"}};
    let files = doc! {"$type": "array", "$ne": []};
    let mut any = vec![doc! {"file": file}, doc! {"files": files}];
    match query.selection {
        Selection::All => return filter,
        Selection::WithFiles => {}
        Selection::WithFilesOrReplies => {
            // What is not `truthy`. A list is, whatever is in it.
            let nothing = [Bson::Null, "".into(), false.into(), 0.into()];
            any.push(doc! {"tmid": {"$nin": &nothing[..]}});
            any.push(doc! {"tmid": {"$type": "array"}});
        }
    }
    filter.insert("$or", any);
    filter
}

/// Whether the room may have messages whose `ts` is no date. Types are sorted apart, and dates together: where the first
/// and the last message have dates, all have, and no more need be asked.
pub(super) async fn may_have_undated(database: &MongoDatabase, room: &RoomId) -> bool {
    for order in [1, -1] {
        let options = FindOneOptions::builder()
            .sort(doc! {"ts": order})
            .projection(doc! {"_id": 0, "ts": 1})
            .build();
        let filter = doc! {"rid": &room.0};
        match database.first(COLLECTION, filter, options).await {
            Ok(None) => return false,
            Ok(Some(message)) if date_of(&message.0).is_some() => {}
            // Who cannot be asked is asked more, by those who try again.
            Ok(Some(_)) | Err(_) => return true,
        }
    }
    false
}

/// Whether the room may have messages whose `ts` is an internal timestamp.
async fn may_have_timestamps(database: &MongoDatabase, room: &RoomId) -> bool {
    let least = Timestamp {
        time: 0,
        increment: 0,
    };
    let filter = doc! {"rid": &room.0, "ts": {"$gte": least}};
    let options = FindOneOptions::builder()
        .projection(doc! {"_id": 0, "ts": 1})
        .build();
    let found = database.first(COLLECTION, filter, options).await;
    // Who cannot be asked is asked more, by those who try again.
    !matches!(found, Ok(None))
}

/// Whether an undated message belongs to a query: importers wrote instants as numbers and texts, too.
pub(super) fn belongs(key: &MessageKey<'_>, window: Window) -> bool {
    window.contains(key.ts)
}

/// Reads all messages of a query into `out`. Blocks; inside a runtime.
pub(super) fn read(
    database: &MongoDatabase,
    query: &MessageQuery,
    out: &mut BatchSender<DocBatch>,
) -> Result<(), ReadEnd> {
    let handle = Handle::current();
    let in_one = is_from_the_beginning(query)
        && !handle.block_on(may_have_timestamps(database, &query.room));
    let (undated, mut begun, mut late) = if in_one {
        let (undated, begun) = beginning(&handle, database, query, out)?;
        (undated, Some(begun), Late::of_all(query.window))
    } else {
        let undated = sorted_undated(&handle, database, query, out)?;
        (undated, None, Late::default())
    };
    let mut undated = match &undated {
        Some(sorted) => Some(Undated::new(sorted)?),
        None => None,
    };
    let mut group = Group::default();
    let mut tries = Tries::default();
    let mut from = None;
    loop {
        let (mut reply, mut first) = match begun.take() {
            Some(None) => break,
            Some(Some((reply, first))) => (reply, Some(first)),
            None => {
                let mut rest = query.clone();
                if from.is_some() {
                    rest.window.from = from;
                }
                (Replies::start(&handle, database, dated(&rest)), None)
            }
        };
        let lost = loop {
            let next = match first.take() {
                Some(first) => Some(Ok(first)),
                None => reply.next(&handle, out)?,
            };
            match next {
                Some(Ok(batch)) => group.batch(&batch, database, &mut undated, &mut late, out)?,
                Some(Err(lost)) => break Some(lost),
                None => break None,
            }
        };
        let Some(lost) = lost else {
            break;
        };
        // The millisecond that was being read is read once more, as a whole.
        if group.ts > from {
            from = group.ts;
            tries = Tries::default();
        }
        group.forget();
        late.lost();
        wait(&handle, &mut tries, lost, out)?;
    }
    group.close(&mut undated, out)?;
    if let Some(undated) = &mut undated {
        undated.through(i64::MAX, out)?;
    }
    late.hand_on(&handle, database, query, out)
}

/// The question that is open, and its first reply that has more than messages without a date; `None` when there is none.
type Begun = Option<(Replies, RawBatch)>;

/// Asks for all messages from the beginning on, and sorts those without a date that come before the first date.
fn beginning(
    handle: &Handle,
    database: &MongoDatabase,
    query: &MessageQuery,
    out: &BatchSender<DocBatch>,
) -> Result<(Option<UniqueSorted>, Begun), ReadEnd> {
    let mut tries = Tries::default();
    let mut undated = Unsorted::default();
    let mut asked = query.clone();
    // The server would compare every message for the few that we can leave out here.
    if asked.window.to.is_some_and(|to| database.is_recent(to)) {
        asked.window.to = None;
    }
    loop {
        let mut replies = Replies::start(handle, database, from_the_beginning(&asked));
        let lost = loop {
            let batch = match replies.next(handle, out)? {
                Some(Ok(batch)) => batch,
                Some(Err(lost)) => break lost,
                None => return Ok((undated.finish()?, None)),
            };
            let docs = batch
                .doc_slices()
                .map_err(|error| database.failed(COLLECTION, &error))?;
            let mut only_undated = true;
            for doc in docs {
                let doc = document(doc).map_err(|reason| odd(COLLECTION, &reason))?;
                if !matches!(place_of(doc), Place::BeforeDates) {
                    only_undated = false;
                    break;
                }
                undated.push(doc, query.window)?;
            }
            if !only_undated {
                return Ok((undated.finish()?, Some((replies, batch))));
            }
        };
        wait(handle, &mut tries, lost, out)?;
    }
}

/// Where the server sorts a message by its `ts`.
enum Place {
    BeforeDates,
    Date(i64),
    AfterDates,
}

fn place_of(doc: &[u8]) -> Place {
    let ts = Doc::new(doc).ok().and_then(|doc| doc.get("ts"));
    match ts {
        Some(Value::DateTime(ts)) => Place::Date(ts),
        Some(
            Value::Timestamp(..)
            | Value::Regex(..)
            | Value::DbPointer(..)
            | Value::JavaScript(_)
            | Value::JavaScriptWithScope(..)
            | Value::MaxKey,
        ) => Place::AfterDates,
        _ => Place::BeforeDates,
    }
}

/// Messages that do not come in their order.
#[derive(Default)]
struct Unsorted {
    sorter: Option<UniqueSorter>,
}

impl Unsorted {
    fn push(&mut self, doc: &[u8], window: Window) -> Result<(), ReadEnd> {
        let key = MessageKey::read(Doc::new(doc).unwrap_or(Doc::EMPTY));
        if !belongs(&key, window) {
            return Ok(());
        }
        let mut before = Vec::with_capacity(8);
        push_instant(&mut before, key.ts);
        self.sorter
            .get_or_insert_with(|| UniqueSorter::new(SORTER, None))
            .push(&before, &key.id_in(doc), &[doc])
            .map_err(spill)
    }

    fn finish(self) -> Result<Option<UniqueSorted>, ReadEnd> {
        let sorted = self.sorter.map(|sorter| sorter.finish(|_| {}));
        sorted.transpose().map_err(spill)
    }

    fn hand_on(self, out: &mut BatchSender<DocBatch>) -> Result<(), ReadEnd> {
        let Some(sorted) = self.finish()? else {
            return Ok(());
        };
        let mut items = sorted.read().map_err(spill)?;
        while let Some(item) = items.next().map_err(spill)? {
            out.push(item.payload)?;
        }
        Ok(())
    }
}

/// What the server sorts after all dates.
#[derive(Default)]
struct Late {
    /// Whether the question that is open finds it.
    open: bool,
    /// Whether that question has had only what comes before all dates, which is known.
    before_dates: bool,
    window: Window,
    /// Whether such a question was lost, so that it must be asked for.
    lost: bool,
    found: Unsorted,
}

impl Late {
    fn of_all(window: Window) -> Self {
        Self {
            open: true,
            before_dates: true,
            window,
            ..Self::default()
        }
    }

    /// Whether a document has its place elsewhere.
    fn takes(&mut self, doc: &[u8]) -> Result<bool, ReadEnd> {
        if !self.open {
            return Ok(false);
        }
        let place = place_of(doc);
        self.before_dates &= matches!(place, Place::BeforeDates);
        match place {
            Place::BeforeDates => Ok(self.before_dates),
            Place::Date(ts) => Ok(!self.window.contains(ts)),
            Place::AfterDates => {
                self.found.push(doc, self.window)?;
                Ok(true)
            }
        }
    }

    fn lost(&mut self) {
        self.lost |= self.open;
        self.open = false;
    }

    fn hand_on(
        mut self,
        handle: &Handle,
        database: &MongoDatabase,
        query: &MessageQuery,
        out: &mut BatchSender<DocBatch>,
    ) -> Result<(), ReadEnd> {
        if self.lost {
            let types: Vec<Bson> = AFTER_DATES.iter().map(|&name| name.into()).collect();
            let rest = filter(query, doc! {"ts": {"$type": types}});
            let found = &mut self.found;
            collect(handle, database, &rest, out, |doc| {
                found.push(doc, query.window)
            })?;
        }
        self.found.hand_on(out)
    }
}

/// Waits before a lost question is asked again, while somebody wants the answer.
fn wait(
    handle: &Handle,
    tries: &mut Tries,
    lost: Lost,
    out: &BatchSender<DocBatch>,
) -> Result<(), ReadEnd> {
    let wait = tries.lost(COLLECTION, lost)?;
    handle.block_on(async {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = out.abandoned() => Err(ReadEnd::Stopped),
        }
    })
}

/// Replies of the server, asked for ahead by a task of their own: one waits, one is on its way.
struct Replies {
    receiver: mpsc::Receiver<Result<RawBatch, Lost>>,
    task: tokio::task::JoinHandle<()>,
}

impl Replies {
    fn start(handle: &Handle, database: &MongoDatabase, filter: Document) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let database = database.clone();
        let task = handle.spawn(async move {
            let collection = database.relaxed(COLLECTION);
            if let Err(lost) = replies(&database, &collection, filter, &sender).await {
                // Nobody listens any more: the other side has its own reason to stop.
                let _ = sender.send(Err(lost)).await;
            }
        });
        Self { receiver, task }
    }

    /// The next reply; `None` at the end.
    fn next(
        &mut self,
        handle: &Handle,
        out: &BatchSender<DocBatch>,
    ) -> Result<Option<Result<RawBatch, Lost>>, ReadEnd> {
        handle.block_on(async {
            tokio::select! {
                reply = self.receiver.recv() => match reply {
                    Some(reply) => Ok(Some(reply)),
                    None => match (&mut self.task).await {
                        Ok(()) => Ok(None),
                        // A reader that panicked has not come to its end.
                        Err(error) => Err(StoreError::Corrupt(format!("reading messages stopped: {error}")).into()),
                    },
                },
                () = out.abandoned() => Err(ReadEnd::Stopped),
            }
        })
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn replies(
    database: &MongoDatabase,
    collection: &Collection<RawDocumentBuf>,
    filter: Document,
    sender: &mpsc::Sender<Result<RawBatch, Lost>>,
) -> Result<(), Lost> {
    let lost = |error: &mongodb::error::Error| Lost::of(database, COLLECTION, error);
    let silent = |_| Lost::silent(database, COLLECTION);
    let load = database.load();
    let options = FindOptions::builder()
        .sort(doc! {"ts": 1})
        .batch_size(load.batch)
        // Where the index is not there, the server sorts, and must not fail for want of memory.
        .allow_disk_use(true)
        .build();
    let opening = collection.find(filter).with_options(options);
    let patience = database.patience();
    let session = database.session().await.map_err(|error| lost(&error))?;
    if let Some(mut session) = session {
        let opened = async { opening.session(&mut session).batch().await };
        let mut cursor = tokio::time::timeout(patience, opened)
            .await
            .map_err(silent)?
            .map_err(|error| lost(&error))?;
        return hand_on(database, cursor.stream(&mut session), sender).await;
    }
    let cursor = tokio::time::timeout(patience, async { opening.batch().await })
        .await
        .map_err(silent)?
        .map_err(|error| lost(&error))?;
    hand_on(database, cursor, sender).await
}

/// Hands on the replies of a cursor.
async fn hand_on(
    database: &MongoDatabase,
    mut cursor: impl Stream<Item = Result<RawBatch, mongodb::error::Error>> + Unpin,
    sender: &mpsc::Sender<Result<RawBatch, Lost>>,
) -> Result<(), Lost> {
    let pause = database.load().pause;
    while let Some(reply) = tokio::time::timeout(database.patience(), cursor.next())
        .await
        .map_err(|_| Lost::silent(database, COLLECTION))?
    {
        let reply = reply.map_err(|error| Lost::of(database, COLLECTION, &error))?;
        if sender.send(Ok(reply)).await.is_err() {
            return Ok(());
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

/// The messages of one millisecond, until a later one is seen.
#[derive(Default)]
struct Group {
    ts: Option<i64>,
    /// Ids and documents, one after the other.
    bytes: Vec<u8>,
    /// Of each document, in the order of arrival: where its id begins, where itself begins, and where it ends.
    places: Vec<(usize, usize, usize)>,
    /// Those that do not fit into memory.
    spilled: Option<UniqueSorter>,
}

impl Group {
    /// Takes the documents of a reply, and hands on all but those of the last millisecond.
    fn batch(
        &mut self,
        batch: &RawBatch,
        database: &MongoDatabase,
        undated: &mut Option<Undated<'_>>,
        late: &mut Late,
        out: &mut BatchSender<DocBatch>,
    ) -> Result<(), ReadEnd> {
        let docs = batch
            .doc_slices()
            .map_err(|error| database.failed(COLLECTION, &error))?;
        // The last document, while it is alone in its millisecond: nearly every one, and nothing is copied for it.
        let mut alone: Option<&[u8]> = None;
        for doc in docs {
            let doc = document(doc).map_err(|reason| odd(COLLECTION, &reason))?;
            if late.takes(doc)? {
                continue;
            }
            let ts = date_of(doc);
            // What cannot be compared stays where the server put it.
            let later = self.ts.is_none() || ts.is_some_and(|ts| Some(ts) > self.ts);
            if later {
                match alone {
                    Some(last) if undated.is_none() => out.push(last)?,
                    Some(last) => {
                        self.hold(last)?;
                        self.close(undated, out)?;
                    }
                    None => self.close(undated, out)?,
                }
                self.ts = ts.or(self.ts);
                alone = Some(doc);
            } else {
                if let Some(first) = alone.take() {
                    self.hold(first)?;
                }
                self.hold(doc)?;
            }
        }
        if let Some(last) = alone {
            self.hold(last)?;
        }
        Ok(())
    }

    fn hold(&mut self, doc: &[u8]) -> Result<(), ReadEnd> {
        let view = Doc::new(doc).unwrap_or(Doc::EMPTY);
        let key = MessageKey::read(view);
        let id = key.id_in(doc);
        if let Some(spilled) = &mut self.spilled {
            return spilled.push(&[], &id, &[doc]).map_err(spill);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&id);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(doc);
        self.places.push((start, middle, self.bytes.len()));
        if self.bytes.len() > GROUP {
            let mut spilled = UniqueSorter::new(SORTER, None);
            for &(start, middle, end) in &self.places {
                spilled
                    .push(&[], &self.bytes[start..middle], &[&self.bytes[middle..end]])
                    .map_err(spill)?;
            }
            self.spilled = Some(spilled);
            self.bytes = Vec::new();
            self.places = Vec::new();
        }
        Ok(())
    }

    /// Forgets what has not been handed on.
    fn forget(&mut self) {
        *self = Self::default();
    }

    /// Hands the millisecond on, after the undated messages that come before it, and with those that belong to it.
    fn close(
        &mut self,
        undated: &mut Option<Undated<'_>>,
        out: &mut BatchSender<DocBatch>,
    ) -> Result<(), ReadEnd> {
        if let (Some(undated), Some(ts)) = (undated, self.ts) {
            undated.before(ts, out)?;
            while let Some(doc) = undated.at(ts) {
                self.hold(doc)?;
                undated.advance()?;
            }
        }
        if let Some(spilled) = self.spilled.take() {
            let sorted = spilled.finish(|_| {}).map_err(spill)?;
            let mut items = sorted.read().map_err(spill)?;
            while let Some(item) = items.next().map_err(spill)? {
                out.push(item.payload)?;
            }
            return Ok(());
        }
        let bytes = &self.bytes;
        let id = |place: &(usize, usize, usize)| &bytes[place.0..place.1];
        if self.places.len() > 1 {
            self.places.sort_by(|a, b| id(a).cmp(id(b)));
        }
        for (index, place) in self.places.iter().enumerate() {
            let replaced = self
                .places
                .get(index + 1)
                .is_some_and(|next| id(next) == id(place));
            if !replaced {
                out.push(&bytes[place.1..place.2])?;
            }
        }
        self.bytes.clear();
        self.places.clear();
        Ok(())
    }
}

/// `ts` when it is a date.
fn date_of(doc: &[u8]) -> Option<i64> {
    match Doc::new(doc).ok()?.get("ts")? {
        Value::DateTime(ts) => Some(ts),
        _ => None,
    }
}

fn spill(error: std::io::Error) -> ReadEnd {
    ReadEnd::Failed(StoreError::io("write", std::env::temp_dir())(error))
}

/// The undated messages in their order.
struct Undated<'a> {
    items: crate::store::order::UniqueItems<'a>,
    /// Instant and document of the next one.
    next: Option<(i64, Vec<u8>)>,
}

impl<'a> Undated<'a> {
    fn new(sorted: &'a UniqueSorted) -> Result<Self, ReadEnd> {
        let mut undated = Self {
            items: sorted.read().map_err(spill)?,
            next: None,
        };
        undated.advance()?;
        Ok(undated)
    }

    fn advance(&mut self) -> Result<(), ReadEnd> {
        self.next = self.items.next().map_err(spill)?.map(|item| {
            let ts = item
                .key
                .first_chunk()
                .map_or(NO_TS, |ts| crate::store::order::instant(*ts));
            (ts, item.payload.to_vec())
        });
        Ok(())
    }

    fn at(&self, ts: i64) -> Option<&[u8]> {
        self.next
            .as_ref()
            .filter(|(at, _)| *at == ts)
            .map(|(_, doc)| doc.as_slice())
    }

    /// Hands on those before an instant.
    fn before(&mut self, ts: i64, out: &mut BatchSender<DocBatch>) -> Result<(), ReadEnd> {
        while let Some((at, doc)) = &self.next
            && *at < ts
        {
            out.push(doc)?;
            self.advance()?;
        }
        Ok(())
    }

    /// Hands on those up to an instant.
    fn through(&mut self, ts: i64, out: &mut BatchSender<DocBatch>) -> Result<(), ReadEnd> {
        while let Some((at, doc)) = &self.next
            && *at <= ts
        {
            out.push(doc)?;
            self.advance()?;
        }
        Ok(())
    }
}

/// The undated messages of the query, sorted; `None` when there are none.
fn sorted_undated(
    handle: &Handle,
    database: &MongoDatabase,
    query: &MessageQuery,
    out: &BatchSender<DocBatch>,
) -> Result<Option<UniqueSorted>, ReadEnd> {
    if !handle.block_on(may_have_undated(database, &query.room)) {
        return Ok(None);
    }
    let mut unsorted = Unsorted::default();
    for filter in undated(query) {
        collect(handle, database, &filter, out, |doc| {
            unsorted.push(doc, query.window)
        })?;
    }
    unsorted.finish()
}

/// Reads those of these messages that are in the room into `out`. Blocks; inside a runtime.
pub(super) fn read_chosen(
    database: &MongoDatabase,
    room: &RoomId,
    ids: &[String],
    out: &mut BatchSender<DocBatch>,
) -> Result<(), ReadEnd> {
    let handle = Handle::current();
    let mut unsorted = Unsorted::default();
    for some in ids.chunks(CHOSEN) {
        // Importers wrote ids of the server's own type, too, which are told in hexadecimal.
        let own = some.iter().filter_map(|id| ObjectId::parse_str(id).ok());
        let texts = some.iter().map(Bson::from);
        let ids: Vec<_> = texts.chain(own.map(Bson::from)).collect();
        let filter = doc! {"_id": {"$in": ids}, "rid": &room.0};
        collect(&handle, database, &filter, out, |doc| {
            unsorted.push(doc, Window::default())
        })?;
    }
    unsorted.hand_on(out)
}

/// Shows `visit` the messages that a filter finds. When the cursor is lost they are read once more, so that it may see them
/// more than once.
fn collect(
    handle: &Handle,
    database: &MongoDatabase,
    filter: &Document,
    out: &BatchSender<DocBatch>,
    mut visit: impl FnMut(&[u8]) -> Result<(), ReadEnd>,
) -> Result<(), ReadEnd> {
    let mut tries = Tries::default();
    loop {
        let mut replies = Replies::start(handle, database, filter.clone());
        let lost = loop {
            let batch = match replies.next(handle, out)? {
                Some(Ok(batch)) => batch,
                Some(Err(lost)) => break lost,
                None => return Ok(()),
            };
            let docs = batch
                .doc_slices()
                .map_err(|error| database.failed(COLLECTION, &error))?;
            for doc in docs {
                visit(document(doc).map_err(|reason| odd(COLLECTION, &reason))?)?;
            }
        };
        wait(handle, &mut tries, lost, out)?;
    }
}
