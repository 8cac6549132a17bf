//! Where renderers write to, and what they need to know of what was written before.

use crate::message::Message;
use crate::search::Indexed;
use crate::texts::Texts;

/// The archive under construction, as a renderer sees it: named entries, one after the other, and an index on disk of
/// what earlier entries hold, so that a renderer keeps nothing that grows with the room.
pub trait Output {
    /// Why writing failed. Only this can stop a renderer; data cannot.
    type Error;

    /// Begins an entry. `name` comes from [`crate::names`].
    fn start_entry(&mut self, name: &str) -> Result<(), Self::Error>;

    /// Appends to the entry.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Ends the entry.
    fn finish_entry(&mut self) -> Result<(), Self::Error>;

    /// What became of a file, by the id of its upload. Files are packed before messages are rendered, so that a
    /// message's place always tells the truth. An output without files leaves them out, as this does.
    fn file(&mut self, upload: &str) -> Result<FilePlace, Self::Error> {
        let _ = upload;
        Ok(FilePlace::LeftOut)
    }

    /// The entry with the picture of a custom emoji, by its name or alias without colons; `None` when the workspace has
    /// none of that name or its picture is not in the archive, and then it is written as `:name:`.
    fn emoji(&mut self, name: &str) -> Result<Option<String>, Self::Error> {
        let _ = name;
        Ok(None)
    }

    /// What the workspace has of an author by the `_id` and `username` of a message's `u`: asked only when an author is
    /// met anew, and answered from an index.
    fn author(&mut self, id: &str, username: &str) -> Result<AuthorCard, Self::Error> {
        let _ = (id, username);
        Ok(AuthorCard::default())
    }

    /// Entry of the room's own avatar; `None` when it has none that can be shown.
    fn room_avatar(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(None)
    }

    /// Entry of a thumbnail that the workspace has made, by the id of its upload; `None` when it has none that can be
    /// shown, or files were not asked for.
    fn thumbnail(&mut self, upload: &str) -> Result<Option<String>, Self::Error> {
        let _ = upload;
        Ok(None)
    }

    /// Bounds of a page, counted from 0; `None` behind the last. Pages are cut before the first is written; an output that does
    /// not cut has one page, no calendar and no threads, as the defaults of what follows say.
    fn page(&mut self, number: u32) -> Result<Option<PageBounds>, Self::Error> {
        let _ = number;
        Ok(None)
    }

    /// Page on which the message of this instant and `_id` stands; `None` when it is not in this export.
    fn find(&mut self, ts: i64, id: &str) -> Result<Option<u32>, Self::Error> {
        let _ = (ts, id);
        Ok(None)
    }

    /// Whether the message of this instant and `_id` is the first of a thread that has replies in this export. Asked for
    /// every message of the room, in order.
    fn starts_thread(&mut self, ts: i64, id: &str) -> Result<bool, Self::Error> {
        let _ = (ts, id);
        Ok(false)
    }

    /// The thread that a message, by `_id`, is the first of; `None` when none of its replies is in this export.
    fn thread(&mut self, first: &str) -> Result<Option<&Thread>, Self::Error> {
        let _ = first;
        Ok(None)
    }

    /// Keeps what replies show of their thread's first message.
    fn remember_thread(
        &mut self,
        first: &str,
        author: &str,
        excerpt: &str,
    ) -> Result<(), Self::Error> {
        let _ = (first, author, excerpt);
        Ok(())
    }

    /// The replies of a thread in order, at most [`LISTED`](crate::html::LISTED) of them.
    fn replies(
        &mut self,
        first: &str,
        each: &mut dyn FnMut(&Reply<'_>),
    ) -> Result<(), Self::Error> {
        let _ = (first, each);
        Ok(())
    }

    /// Keeps a message of a thread that has a page of its own, which is written when all messages have been: `first` tells
    /// the first message from its replies.
    fn keep_for_thread(
        &mut self,
        number: u32,
        first: bool,
        message: &Message<'_>,
    ) -> Result<(), Self::Error> {
        let _ = (number, first, message);
        Ok(())
    }

    /// Keeps a day that has messages. Days come in order, each once.
    fn remember_day(&mut self, day: &Day) -> Result<(), Self::Error> {
        let _ = day;
        Ok(())
    }

    /// The days that were kept after the day `after`, in order, at most `limit` of them.
    fn days(&mut self, after: i64, limit: usize) -> Result<Vec<Day>, Self::Error> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// Takes a message into the search index, in the order of the pages. Called for every message of a page once, when
    /// the export has a search; an output without an index ignores it.
    fn index(&mut self, _message: &Indexed<'_>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Ends a page of the search index: what was taken since the last one is on the page of this name. No entry is open.
    fn index_page(&mut self, _name: &str) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// It is in the archive, whole.
    Packed {
        /// Name of its entry.
        entry: String,
        /// Bytes.
        size: u64,
    },
    /// It is not there, or not whole.
    Missing(Missing),
    /// Files were not asked for.
    LeftOut,
}

/// What a reader is told of a file that is not there, in the reader's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The workspace has no record of it.
    NoRecord,
    /// It is not in its store.
    Gone,
    /// Only a part of it is there.
    Incomplete,
    /// It was not read from its store.
    Unread,
    /// It came while the export was running.
    Late,
}

impl Absence {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NoRecord,
        Self::Gone,
        Self::Incomplete,
        Self::Unread,
        Self::Late,
    ];
}

/// Why a file is not there, or not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What readers are told.
    pub absence: Absence,
    /// The reason in full as reports have it, in English: `chunk 1 of 3 missing`.
    pub reason: String,
    /// Name of the entry with what could be read of it.
    pub part: Option<String>,
}

impl Missing {
    /// Nothing of it is in the archive.
    pub fn new(absence: Absence, reason: impl Into<String>) -> Self {
        Self {
            absence,
            reason: reason.into(),
            part: None,
        }
    }
}

/// Where a page begins and which days it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageBounds {
    /// `ts` of its first message in milliseconds; `i64::MIN` when it has none that can be read.
    pub ts: i64,
    /// `_id` of its first message, as bytes whose order is the order of messages of one instant.
    pub id: Vec<u8>,
    /// `ts` of its first message that has one.
    pub first: Option<i64>,
    /// `ts` of its last message.
    pub last: Option<i64>,
}

/// A thread, as its messages show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Page that its first message stands on; `None` when that is not in this export.
    pub page: Option<u32>,
    /// `ts` of its first message.
    pub ts: i64,
    /// Author of its first message; empty before that has been met.
    pub author: String,
    /// The beginning of its first message's text.
    pub excerpt: String,
    /// Replies in this export.
    pub replies: u64,
    /// Who replied, in the order of their first reply, with [`SEPARATOR`] between: at most [`REPLIERS`].
    pub repliers: String,
    /// Whether more people than those replied.
    pub more_repliers: bool,
    /// Number of the page of its own that a long thread has, from 1.
    pub number: Option<u32>,
}

/// Between names in [`Thread::repliers`]: in no name that can be seen.
pub const SEPARATOR: char = '\0';
/// Names of people who replied that are kept for a thread.
pub const REPLIERS: usize = 8;

/// A reply, as the first message of its thread lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// `_id`.
    pub id: &'a str,
    /// `ts` in milliseconds; `i64::MIN` when it has none that can be read.
    pub ts: i64,
    /// Page that it stands on.
    pub page: u32,
    /// Its author.
    pub author: &'a str,
    /// The beginning of its text.
    pub excerpt: &'a str,
}

/// A day with messages, for the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01 on the calendar of the page's zone.
    pub day: i64,
    /// Page on which it begins.
    pub page: u32,
    /// Messages on it.
    pub messages: u64,
}

/// What pages show of an author besides the names in the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorCard {
    /// Entry of the avatar.
    pub avatar: Option<String>,
    /// Roles in this room and in the workspace.
    pub roles: Roles,
}

/// A role that pages show; the many others of a workspace say nothing about a room (contract §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Owner of the room.
    Owner,
    /// Leader of the room.
    Leader,
    /// Moderator of the room.
    Moderator,
    /// Administrator of the workspace.
    Admin,
    /// A program.
    Bot,
    /// Guest of the workspace.
    Guest,
    /// Agent of omnichannel conversations.
    Agent,
}

impl Role {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Owner, "owner"),
        (Self::Leader, "leader"),
        (Self::Moderator, "moderator"),
        (Self::Admin, "admin"),
        (Self::Bot, "bot"),
        (Self::Guest, "guest"),
        (Self::Agent, "livechat-agent"),
    ];

    /// The role with this `_id` in `rocketchat_roles`.
    pub fn of(id: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == id)?;
        Some(found.0)
    }

    /// The role as people read it.
    pub fn label(self, words: &Texts) -> &'static str {
        words.roles[self as usize]
    }
}

/// Several [`Role`]s, without allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(
    /// A bit for each role; others mean nothing.
    pub u8,
);

impl Roles {
    /// Adds one.
    pub fn add(&mut self, role: Role) {
        self.0 |= 1 << role as u8;
    }

    /// Those that are there.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL
            .into_iter()
            .map(|(role, ..)| role)
            .filter(move |&role| self.0 & (1 << role as u8) != 0)
    }
}
