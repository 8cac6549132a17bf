//! The embedded workspace: one SQLite file with every document of the server as BSON, beside the columns by which it
//! is found. Messages are clustered in the order in which they are read.

mod chunks;
mod directory;
mod import;
pub(crate) mod query;
mod rewrite;
pub(crate) mod schema;
pub(crate) mod tables;
pub(crate) mod turns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, params};

pub use self::directory::SqliteDirectory;
pub(crate) use self::directory::put_user_data_file;
pub use self::import::{ImportOutcome, ImportProgress, ImportStep, import};
use super::batches::{blocking, cursor, outline_cursor};
use super::directory::Settings;
use super::order::{Marks, NO_TS};
use super::outline::{OutlineCursor, Place};
use super::{
    AvatarOf, MessageCursor, MessageQuery, MessageSource, RawDoc, RoomId, RoomSummary, StoreError,
    UploadId,
};

/// A workspace file, open for reading.
#[derive(Clone, Debug)]
pub struct SqliteSource {
    path: PathBuf,
    /// For small questions; every read of messages has a connection of its own.
    lookups: Arc<Mutex<Connection>>,
}

impl SqliteSource {
    /// Opens a workspace that `export-room import` has finished. Blocking.
    ///
    /// [`StoreError::NotOurs`] when the file is something else, or its import was not finished.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::open_to_read(path)?;
        schema::check_finished(&connection, path)?;
        Ok(Self {
            path: path.to_owned(),
            lookups: Arc::new(Mutex::new(connection)),
        })
    }

    async fn look_up<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lookups = Arc::clone(&self.lookups);
        blocking(move || {
            // A question that panicked has changed nothing: the connection only reads.
            let connection = lookups.lock().unwrap_or_else(PoisonError::into_inner);
            question(&connection)
        })
        .await
    }
}

/// Bounds of a query's window as SQL compares them: both inclusive.
fn bounds(query: &MessageQuery) -> (i64, i64) {
    (
        query.window.from.unwrap_or(i64::MIN),
        query.window.to.unwrap_or(i64::MAX),
    )
}

/// Count, first and last instant of a room's messages, by the index that holds no documents.
fn message_stats(connection: &Connection, rid: &str) -> Result<query::MessageStats, StoreError> {
    let messages: i64 = connection
        .prepare_cached("SELECT count(*) FROM message INDEXED BY message_outline WHERE rid = ?1")?
        .query_row([rid], |row| row.get(0))?;
    let (first, last) = connection
        .prepare_cached(
            "SELECT (SELECT ts FROM message INDEXED BY message_outline WHERE rid = ?1 AND ts > ?2 ORDER BY ts LIMIT 1), \
                    (SELECT ts FROM message INDEXED BY message_outline WHERE rid = ?1 AND ts > ?2 ORDER BY ts DESC LIMIT 1)",
        )?
        .query_row(params![rid, NO_TS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((messages.cast_unsigned(), first, last))
}

#[async_trait]
impl MessageSource for SqliteSource {
    async fn rooms(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomSummary>, StoreError> {
        let after = after.cloned();
        self.look_up(move |connection| {
            query::rooms(connection, after.as_ref(), limit, |rid| {
                message_stats(connection, rid)
            })
        })
        .await
    }

    async fn find_rooms(&self, name: &str, limit: usize) -> Result<Vec<RawDoc>, StoreError> {
        let name = name.to_owned();
        self.look_up(move |connection| query::find_rooms(connection, &name, limit))
            .await
    }

    async fn count(&self, query: &MessageQuery) -> Result<u64, StoreError> {
        let query = query.clone();
        self.look_up(move |connection| {
            let (from, to) = bounds(&query);
            let count: i64 = match Marks::wanted(query.selection) {
                None => connection
                    .prepare_cached(
                        "SELECT count(*) FROM message INDEXED BY message_outline \
                         WHERE rid = ?1 AND ts BETWEEN ?2 AND ?3",
                    )?
                    .query_row(params![query.room.0, from, to], |row| row.get(0))?,
                Some(marks) => connection
                    .prepare_cached(
                        "SELECT count(*) FROM message INDEXED BY message_marked \
                         WHERE rid = ?1 AND ts BETWEEN ?2 AND ?3 AND marks <> 0 AND marks & ?4",
                    )?
                    .query_row(params![query.room.0, from, to, marks.0], |row| row.get(0))?,
            };
            Ok(count.cast_unsigned())
        })
        .await
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Box<dyn MessageCursor>, StoreError> {
        let (path, query) = (self.path.clone(), query.clone());
        Ok(cursor(move |batches| {
            let connection = schema::open_to_stream(&path)?;
            let (from, to) = bounds(&query);
            let marks = Marks::wanted(query.selection);
            let mut statement = connection.prepare(match marks {
                None => {
                    "SELECT doc FROM message WHERE rid = ?1 AND ts BETWEEN ?2 AND ?3 ORDER BY ts, id"
                }
                // Two steps, because SQLite goes from an index to the row of a table without row ids before it looks at
                // the marks, which are in the index: it would read the rows of all messages that have other marks.
                Some(_) => {
                    "SELECT whole.doc FROM message AS marked INDEXED BY message_marked CROSS JOIN message AS whole \
                     WHERE marked.rid = ?1 AND marked.ts BETWEEN ?2 AND ?3 AND marked.marks <> 0 AND marked.marks & ?4 \
                     AND whole.rid = ?1 AND whole.ts = marked.ts AND whole.id = marked.id \
                     ORDER BY marked.ts, marked.id"
                }
            })?;
            let mut rows = match marks {
                None => statement.query(params![query.room.0, from, to])?,
                Some(marks) => statement.query(params![query.room.0, from, to, marks.0])?,
            };
            while let Some(row) = rows.next()? {
                batches.push(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
            }
            Ok(())
        }))
    }

    async fn outline(&self, query: &MessageQuery) -> Result<Box<dyn OutlineCursor>, StoreError> {
        let (path, query) = (self.path.clone(), query.clone());
        Ok(outline_cursor(move |places| {
            let connection = schema::open_to_stream(&path)?;
            let (from, to) = bounds(&query);
            let wanted = Marks::wanted(query.selection);
            // The index has all that is asked for: no document is touched.
            let mut statement = connection.prepare(
                "SELECT ts, id, marks, size FROM message INDEXED BY message_outline \
                 WHERE rid = ?1 AND ts BETWEEN ?2 AND ?3 ORDER BY ts, id",
            )?;
            let mut rows = statement.query(params![query.room.0, from, to])?;
            while let Some(row) = rows.next()? {
                let marks = Marks(row.get(2)?);
                if wanted.is_none_or(|wanted| marks.has(wanted)) {
                    places.push(Place {
                        ts: row.get(0)?,
                        id: row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?,
                        size: row.get::<_, i64>(3)?.try_into().unwrap_or(u32::MAX),
                        hidden: marks.has(Marks::HIDDEN),
                    })?;
                }
            }
            Ok(())
        }))
    }

    async fn chosen(
        &self,
        room: &RoomId,
        ids: &[String],
    ) -> Result<Box<dyn MessageCursor>, StoreError> {
        let (path, room) = (self.path.clone(), room.0.clone());
        let ids = serde_json::Value::from(ids).to_string();
        Ok(cursor(move |batches| {
            let connection = schema::open_to_read(&path)?;
            // Places first: documents do not go through a sorter.
            let places: Vec<(i64, String)> = connection
                .prepare(
                    "SELECT DISTINCT ts, id FROM message INDEXED BY message_id \
                     WHERE id IN (SELECT value FROM json_each(?1)) AND rid = ?2 ORDER BY ts, id",
                )?
                .query_map([&ids, &room], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            let mut statement = connection
                .prepare("SELECT doc FROM message WHERE rid = ?1 AND ts = ?2 AND id = ?3")?;
            for (ts, id) in places {
                let mut rows = statement.query(params![room, ts, id])?;
                while let Some(row) = rows.next()? {
                    batches.push(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
                }
            }
            Ok(())
        }))
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<RawDoc>, StoreError> {
        let id = id.0.clone();
        self.look_up(move |connection| query::upload(connection, &id))
            .await
    }

    async fn upload_stores(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.look_up(query::upload_stores).await
    }

    async fn avatar(&self, of: &AvatarOf) -> Result<Option<RawDoc>, StoreError> {
        let of = of.clone();
        self.look_up(move |connection| query::avatar(connection, &of))
            .await
    }

    async fn custom_emoji(&self, name: &str) -> Result<Option<RawDoc>, StoreError> {
        let name = name.to_owned();
        self.look_up(move |connection| query::custom_emoji(connection, &name))
            .await
    }

    async fn roles(&self, room: &RoomId, user: &str) -> Result<Vec<String>, StoreError> {
        let (room, user) = (room.clone(), user.to_owned());
        self.look_up(move |connection| query::roles(connection, &room, &user))
            .await
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        self.look_up(move |connection| query::settings(connection, &ids))
            .await
    }
}
