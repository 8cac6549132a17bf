//! What can go wrong.

use std::io;

use thiserror::Error;

/// Why an archive could not be written.
///
/// [`Name`](Self::Name), [`EntryOpen`](Self::EntryOpen) and [`NoEntry`](Self::NoEntry) refuse the call and change nothing. After
/// any other error the archive is unusable, and every further call answers [`Failed`](Self::Failed).
#[derive(Debug, Error)]
pub enum ZipError {
    /// The output refused bytes.
    #[error("cannot write the archive")]
    Output(#[source] io::Error),
    /// The spool could not be written or read.
    #[error("cannot use the spool of the archive's directory")]
    Spool(#[source] io::Error),
    /// The spool gave back something else than was written to it.
    #[error("the spool of the archive's directory was damaged")]
    SpoolDamaged,
    /// The input of [`deflate_alone`](crate::deflate_alone) could not be read.
    #[error("cannot read the input")]
    Input(#[source] io::Error),
    /// A worker thread could not be started.
    #[error("cannot start a thread that compresses")]
    Thread(#[source] io::Error),
    /// The level is above 9.
    #[error("deflate level {level} does not exist; levels are 0 to 9")]
    Level {
        /// The level that was asked for.
        level: u8,
    },
    /// The name cannot be the name of an entry.
    #[error("entry name {name:?} {fault}")]
    Name {
        /// The name, cut after some 200 bytes.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// An entry without [`large`](crate::EntryOptions::large) passed 4 GiB - 2 bytes, packed or not. (4 GiB - 1 is the mark for
    /// "see the ZIP64 field" in the central directory, APPNOTE 4.4.8.)
    #[error("entry {name:?} reached 4 GiB but was not announced as large")]
    TooLarge {
        /// Name of the entry.
        name: String,
    },
    /// An entry was started, or the archive finished, before the last entry was.
    #[error("entry {name:?} is not finished")]
    EntryOpen {
        /// Name of the entry that is open.
        name: String,
    },
    /// Bytes or the end of an entry came while no entry was open.
    #[error("no entry is open")]
    NoEntry,
    /// Deflate refused a block; this is a defect.
    #[error("cannot deflate")]
    Deflate,
    /// A worker thread panicked; this is a defect.
    #[error("a thread that compresses stopped unexpectedly")]
    WorkerLost,
    /// An earlier call failed.
    #[error("the archive is incomplete because an earlier write failed")]
    Failed,
}

impl ZipError {
    /// Whether the archive can still be continued after it.
    pub(crate) fn changed_nothing(&self) -> bool {
        matches!(
            self,
            Self::Name { .. } | Self::EntryOpen { .. } | Self::NoEntry
        )
    }
}

impl From<ZipError> for io::Error {
    fn from(error: ZipError) -> Self {
        Self::other(error)
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameFault {
    /// It has no bytes.
    #[error("is empty")]
    Empty,
    /// It is longer than 65,535 bytes of UTF-8, which the format's 16-bit length cannot say.
    #[error("is longer than 65,535 bytes")]
    TooLong,
    /// It starts with `/` or with a drive letter such as `C:`.
    #[error("is an absolute path")]
    Absolute,
    /// One of its parts is empty (as after a `/` at the end), `.` or `..`.
    #[error("has a part that is empty, . or ..")]
    Part,
    /// It holds `\`, which separates parts on some systems, or NUL, which ends names on others.
    #[error("holds a backslash or NUL")]
    Character,
}
