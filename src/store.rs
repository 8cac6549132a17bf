//! Contracts of the places that rooms and messages come from.
//!
//! Responsible for *which documents, in which order*; knows no output format. Documents travel as raw BSON in
//! [`DocBatch`]es: every source holds BSON already (MongoDB's wire, mongodump's files, the blobs of our SQLite file),
//! so nothing is decoded before a renderer needs it.

pub(crate) mod batches;
pub(crate) mod chosen;
pub mod directory;
pub mod dump;
mod fields;
pub(crate) mod gridfs;
pub mod mongo;
pub(crate) mod order;
pub mod outline;
pub mod sqlite;
pub mod user_data;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
pub use transcript::DocBatch;

use self::directory::Settings;
use outline::{Outline, OutlineCursor};

/// `_id` of a room (`rocketchat_room`), the `rid` of its messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(pub String);

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `_id` of an upload (`rocketchat_uploads`), the `_id` in a message's `file` and `files`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(pub String);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One whole document as the source holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDoc(pub Vec<u8>);

/// Instants in milliseconds since 1970-01-01T00:00:00Z, both inclusive; `None` is open.
///
/// A message without a readable `ts` is older than every instant: it is in a window without `from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// First instant that belongs to the window.
    pub from: Option<i64>,
    /// Last instant that belongs to the window.
    pub to: Option<i64>,
}

impl Window {
    /// Whether a message of this instant belongs to the window. `i64::MIN` stands for "no readable `ts`".
    pub fn contains(&self, ts: i64) -> bool {
        self.from.is_none_or(|from| ts >= from) && self.to.is_none_or(|to| ts <= to)
    }
}

/// Which messages of a room are asked for.
#[derive(Clone, Debug)]
pub struct MessageQuery {
    /// The room.
    pub room: RoomId,
    /// The time window.
    pub window: Window,
    /// Which of them.
    pub selection: Selection,
}

/// What there is when an export begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Messages of the query, up to `until`.
    pub messages: u64,
    /// Where others may write messages meanwhile, the last instant that belongs to the export, at most the query's own: all
    /// its messages that are there now are no later, and what is written later is not part of it. `None` where nobody
    /// writes.
    pub until: Option<i64>,
}

/// Which messages of a room and window: all, or those that a first pass looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those that carry `file` or `files`, neither empty.
    WithFiles,
    /// Those, and those that reply in a thread: `tmid` is there and not empty.
    WithFilesOrReplies,
}

/// A room in the list of `export-room rooms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room's document, for its id, type and names.
    pub room: RawDoc,
    /// Messages, hidden ones included.
    pub messages: u64,
    /// `ts` of the first message, milliseconds.
    pub first: Option<i64>,
    /// `ts` of the last message, milliseconds.
    pub last: Option<i64>,
    /// Sizes of the room's uploads by their records, in bytes, thumbnails not counted.
    pub file_bytes: u64,
}

/// Whose picture is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AvatarOf {
    /// A user, by `username` as stored.
    User(String),
    /// A room.
    Room(RoomId),
}

/// Roles of one user that [`MessageSource::roles`] tells of.
pub const ROLES: usize = 16;

/// Places of uploads that [`MessageSource::upload_stores`] tells of.
pub const UPLOAD_STORES: usize = 64;

/// A workspace that rooms can be exported from.
#[async_trait]
pub trait MessageSource: Send + Sync {
    /// At most `limit` rooms by `_id`, after the one given.
    async fn rooms(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomSummary>, StoreError>;

    /// At most `limit` rooms with this `_id`, `name` or `fname`, an `_id` first and alone; with `@username`, the
    /// direct rooms of two in which that user is.
    async fn find_rooms(&self, name: &str, limit: usize) -> Result<Vec<RawDoc>, StoreError>;

    /// How many messages the query has, counted independently of reading them.
    async fn count(&self, query: &MessageQuery) -> Result<u64, StoreError>;

    /// The same at the beginning of an export, and where it ends if others may write messages meanwhile.
    async fn survey(&self, query: &MessageQuery) -> Result<Survey, StoreError> {
        Ok(Survey {
            messages: self.count(query).await?,
            until: None,
        })
    }

    /// The messages in (`ts`, `_id`) order, ids compared as bytes.
    async fn messages(&self, query: &MessageQuery) -> Result<Box<dyn MessageCursor>, StoreError>;

    /// The places of the messages in the same order, without the documents, as cheap as the source can make it.
    async fn outline(&self, query: &MessageQuery) -> Result<Box<dyn OutlineCursor>, StoreError> {
        Ok(Box::new(Outline::of(self.messages(query).await?)))
    }

    /// Those of these messages, by `_id`, that are in the room, in the same order as [`MessageSource::messages`], each
    /// once. Ids of other rooms' messages and of none are passed over.
    async fn chosen(
        &self,
        room: &RoomId,
        ids: &[String],
    ) -> Result<Box<dyn MessageCursor>, StoreError>;

    /// The upload's record.
    async fn upload(&self, id: &UploadId) -> Result<Option<RawDoc>, StoreError>;

    /// What uploads' records name as their `store`, and how many of them do, thumbnails not counted. At most
    /// [`UPLOAD_STORES`] are told, the others are left out: a workspace has one for each place it ever kept files in.
    async fn upload_stores(&self) -> Result<BTreeMap<String, u64>, StoreError>;

    /// The record of an avatar (`rocketchat_avatars`, contract §5.7): of a user by its `name`, which is the username, of a
    /// room by its `rid`. Of several the one with the first `_id`. Its bytes are where its `store` says.
    async fn avatar(&self, of: &AvatarOf) -> Result<Option<RawDoc>, StoreError>;

    /// The record of a custom emoji (`rocketchat_custom_emoji`, contract §5.9) by its `name`, else by one of its
    /// `aliases`, without colons and as stored. Of several the one with the first `_id`. Its bytes are in the bucket of
    /// [`crate::blob::CUSTOM_EMOJI`].
    async fn custom_emoji(&self, name: &str) -> Result<Option<RawDoc>, StoreError>;

    /// Ids of the roles that a user, by `_id`, has in the room (`roles` of the subscription), then of those that the
    /// user has everywhere (`roles` of the user), at most [`ROLES`]. A record that is missing or damaged gives none: roles
    /// are shown here, and nothing is decided by them.
    async fn roles(&self, room: &RoomId, user: &str) -> Result<Vec<String>, StoreError>;

    /// The settings with these ids, those that have a value.
    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError>;
}

/// A running read of messages.
#[async_trait]
pub trait MessageCursor: Send {
    /// The next documents, at most about a quarter of a megabyte or one document; `None` at the end.
    async fn next_batch(&mut self) -> Result<Option<DocBatch>, StoreError>;
}

/// Why a workspace could not be read or written.
///
/// A text does not repeat its source: who prints an error prints the whole chain.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `open`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is something, but it is not what we read. The text says what it is and what to do.
    #[error("{0}")]
    NotOurs(String),
    /// A live database that Rocket.Chat has not filled, or not yet. The text says which and what to look at.
    #[error("{0}")]
    NotFilled(String),
    /// Bytes that cannot be what they claim to be: cut off, damaged or hostile. The text says where.
    #[error("{0}")]
    Corrupt(String),
    /// The disk is too small for what is to be written. Sizes in bytes.
    #[error(
        "not enough space for {}: about {} MiB are needed, {} MiB are free; make space or name a file on another disk",
        path.display(), needed >> 20, available >> 20
    )]
    NoSpace {
        /// The file that was to be written.
        path: PathBuf,
        /// What it will need, estimated.
        needed: u64,
        /// What is free.
        available: u64,
    },
    /// The disk that temporary files are on is full.
    #[error(
        "the disk of the temporary directory {} is full; make space there, or set TMPDIR to a directory on another disk",
        path.display()
    )]
    TemporaryFull {
        /// The temporary directory.
        path: PathBuf,
    },
    /// SQLite's own failure. Not a source: its own sources say the same once more.
    #[error("workspace database: {0}")]
    Sqlite(rusqlite::Error),
    /// A store that is reached over the network failed, after every attempt.
    #[error("cannot {action} {place}: {reason}")]
    Remote {
        /// What was tried: `read`.
        action: &'static str,
        /// What of which store.
        place: String,
        /// What it said, or how it could not be reached.
        reason: String,
    },
    /// What a database server, or the way to it, refused. The text says what was asked for, and never has a password.
    #[error("database: {0}")]
    Server(String),
    /// The operation was cancelled by the user.
    #[error("cancelled")]
    Cancelled,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl StoreError {
    /// An [`StoreError::Io`] as the closure of a `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::BlobError;

    #[test]
    fn a_reason_is_told_once() {
        let full = || {
            rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                Some("database or disk is full".to_owned()),
            )
        };
        let gone = || StoreError::io("read", "/x")(io::ErrorKind::NotFound.into());
        for (error, expected) in [
            (
                anyhow::Error::from(gone()),
                "cannot read /x: entity not found",
            ),
            (
                BlobError::from(gone()).into(),
                "cannot read /x: entity not found",
            ),
            (
                StoreError::from(full()).into(),
                "workspace database: database or disk is full",
            ),
            (StoreError::NotOurs("no dump".to_owned()).into(), "no dump"),
            (StoreError::Cancelled.into(), "cancelled"),
        ] {
            assert_eq!(format!("{error:#}"), expected);
        }
    }
}
