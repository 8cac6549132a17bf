//! Where renderers write to, and what they need to know of what was written before.

use crate::search::Indexed;

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
    /// message's place always tells the truth.
    fn file(&mut self, upload: &str) -> Result<FilePlace, Self::Error>;

    /// The entry with the picture of a custom emoji, by its name or alias without colons; `None` when the workspace has
    /// none of that name or its picture is not in the archive, and then it is written as `:name:`.
    fn emoji(&mut self, name: &str) -> Result<Option<String>, Self::Error> {
        let _ = name;
        Ok(None)
    }

    /// What the workspace has of an author by the `_id` and `username` of a message's `u`: asked only when an author is
    /// met anew, and answered from an index.
    fn author(&mut self, id: &str, username: &str) -> Result<AuthorCard, Self::Error>;

    /// Entry of the room's own avatar; `None` when it has none that can be shown.
    fn room_avatar(&mut self) -> Result<Option<String>, Self::Error>;

    /// Entry of a thumbnail that the workspace has made, by the id of its upload; `None` when it has none that can be
    /// shown, or files were not asked for.
    fn thumbnail(&mut self, upload: &str) -> Result<Option<String>, Self::Error>;

    /// Keeps where the first message of a thread stands.
    fn remember_thread(&mut self, id: &str, root: &ThreadRoot) -> Result<(), Self::Error>;

    /// Where the first message of a thread stands; `None` when it is not in this export.
    fn thread(&mut self, id: &str) -> Result<Option<ThreadRoot>, Self::Error>;

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
    /// It is not there; the reason as reports show it.
    Missing(String),
    /// Files were not asked for.
    LeftOut,
}

/// The first message of a thread, as its replies show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadRoot {
    /// Page it stands on, counted from 0.
    pub page: u32,
    /// Its author.
    pub author: String,
    /// The beginning of its text.
    pub excerpt: String,
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
    const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Owner, "owner", "Owner"),
        (Self::Leader, "leader", "Leader"),
        (Self::Moderator, "moderator", "Moderator"),
        (Self::Admin, "admin", "Admin"),
        (Self::Bot, "bot", "Bot"),
        (Self::Guest, "guest", "Guest"),
        (Self::Agent, "livechat-agent", "Agent"),
    ];

    /// The role with this `_id` in `rocketchat_roles`.
    pub fn of(id: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known, _)| *known == id)?;
        Some(found.0)
    }

    /// The role as people read it.
    pub fn label(self) -> &'static str {
        Self::ALL[self as usize].2
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
