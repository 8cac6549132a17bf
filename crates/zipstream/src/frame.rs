//! What stands around an entry's data, for whoever checks an archive byte by byte.

use crate::{EntryRecord, format};

/// The bytes that belong to an entry beside its data. They follow from its record alone, so that an archive in which one of
/// them differs has been changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Local file header, before the data (APPNOTE 4.3.7).
    pub header: Vec<u8>,
    /// Data descriptor, after the data (4.3.9).
    pub descriptor: Vec<u8>,
    /// Header in the central directory (4.3.12).
    pub listing: Vec<u8>,
}

impl Frame {
    /// The frame of an entry. Its SHA-256 is not in it.
    pub fn of(record: &EntryRecord) -> Self {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            out
        };
        Self {
            header: written(&|out| {
                format::local_header(out, &record.name, record.method, record.large);
            }),
            descriptor: written(&|out| format::data_descriptor(out, record)),
            listing: written(&|out| format::central_header(out, record)),
        }
    }
}

/// What stands after the central directory of `entries` headers, which takes `size` bytes from `offset` (APPNOTE 4.3.14 to
/// 4.3.16): the end of the archive.
pub fn directory_end(entries: u64, size: u64, offset: u64) -> Vec<u8> {
    let mut out = Vec::new();
    format::end(&mut out, entries, size, offset);
    out
}
