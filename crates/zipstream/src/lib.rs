//! Streaming ZIP writer with block-parallel deflate and SHA-256 digests.
//!
//! Responsible for the container (PKWARE APPNOTE.TXT 6.3.10), for compressing on all cores and for the record of what was
//! written. Not responsible for what is in the entries, for making names safe (names are only refused here) or for buffering
//! the output.
//!
//! ```
//! use std::io::{Cursor, Write};
//! use zipstream::{EntryOptions, Method, Options, ZipStream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spool = Cursor::new(Vec::new()); // a temporary file in earnest
//! let mut zip = ZipStream::new(Vec::new(), spool, Options { threads: 2, level: 3 })?;
//! zip.start_entry(EntryOptions { name: "room.json", method: Method::Deflate, large: true })?;
//! zip.append(b"{\"msg\":\"hello\"}\n")?;
//! zip.finish_entry()?;
//!
//! // The last entry lists all entries before it, one at a time.
//! let mut records = zip.records()?;
//! zip.start_entry(EntryOptions { name: "manifest.txt", method: Method::Deflate, large: false })?;
//! while let Some(record) = zip.next_record(&mut records)? {
//!     writeln!(zip, "{} {}", record.size, record.name)?;
//! }
//! zip.finish_entry()?;
//! let (archive, totals) = zip.finish()?;
//! assert_eq!(archive.len() as u64, totals.archive_bytes);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! The calling thread copies an entry's bytes into blocks of 256 KiB. Worker threads take them in order, add them to the entry's
//! digests before anybody takes the next, so that they do so in order as well, and compress them independently of each other,
//! each with the 32 KiB before it as dictionary; all but an entry's last one end on a byte boundary that is not the end of
//! the deflate stream, so that one after the other they are one valid stream (RFC 1951). What has to be written waits in a queue,
//! in order, and the calling thread writes from its front only when it needs a block back. Therefore neither the end of a block
//! nor the end of an entry makes it wait for the workers.
//!
//! # Promises
//!
//! - The output is written once, front to back; it may be a pipe.
//! - Equal entries give equal bytes, whatever the number of threads and however the bytes were cut into writes.
//! - Memory depends on the number of threads only: at most `2 * threads + 2` blocks of about 0.55 MiB, and per thread about
//!   0.3 MiB for deflate. The central directory waits in the spool, not in memory.

#![warn(missing_docs)]

mod alone;
mod block;
mod cutter;
mod deflate;
mod digest;
mod error;
mod format;
mod frame;
mod name;
mod pool;
mod record;
mod stream;

pub use alone::{DeflateTotals, deflate_alone};
pub use error::{NameFault, ZipError};
pub use frame::{Frame, directory_end};
pub use record::{EntryRecord, Records};
pub use stream::{Totals, ZipStream};

/// Settings of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Threads that compress, beside the calling one, which waits most of the time. 0 counts as 1.
    pub threads: usize,
    /// Deflate level, 0 to 9. At level 0 a [`Method::Deflate`] entry holds stored blocks (RFC 1951, 3.2.4): nothing is gained
    /// over [`Method::Store`] but that every reader of streams finds its end.
    pub level: u8,
}

/// How the bytes of an entry are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As they are (method 0), for kinds that are packed already, such as JPEG or MP4.
    Store,
    /// Deflated (method 8) at the level of [`Options`].
    Deflate,
}

/// What must be known of an entry before its first byte.
#[derive(Debug, Clone, Copy)]
pub struct EntryOptions<'a> {
    /// Path inside the archive, parts separated by `/`. See [`NameFault`] for what is refused. Whether a name was used
    /// before is not checked, because that would take memory for each entry.
    pub name: &'a str,
    /// How its bytes are kept.
    pub method: Method,
    /// Whether it may reach 4 GiB. The sizes follow the data, and the width of their fields is fixed by the header before the
    /// data: 8 bytes (ZIP64) with `large`, 4 bytes without, in which case [`ZipError::TooLarge`] is the answer to the byte
    /// too many. Say `true` when unsure; only readers from before ZIP64 (2001) cannot read it.
    pub large: bool,
}
