//! Where renderers write to, and what they need to know of what was written before.

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

    /// Keeps where the first message of a thread stands.
    fn remember_thread(&mut self, id: &str, root: &ThreadRoot) -> Result<(), Self::Error>;

    /// Where the first message of a thread stands; `None` when it is not in this export.
    fn thread(&mut self, id: &str) -> Result<Option<ThreadRoot>, Self::Error>;
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
