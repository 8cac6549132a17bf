//! Records of finished entries, and the spool they wait in until the central directory is written.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::{Method, error::ZipError};

/// What is known of an entry once it has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRecord {
    /// Path inside the archive, as given.
    pub name: String,
    /// How its bytes are kept.
    pub method: Method,
    /// Whether it was announced as [`large`](crate::EntryOptions::large).
    pub large: bool,
    /// Where its local header begins, in bytes from the archive's first.
    pub offset: u64,
    /// Bytes given.
    pub size: u64,
    /// Bytes they take in the archive, without headers.
    pub compressed_size: u64,
    /// CRC-32 of the bytes given (APPNOTE 4.4.7).
    pub crc32: u32,
    /// SHA-256 of the bytes given.
    pub sha256: [u8; 32],
}

/// A walk over the records of an archive; see [`ZipStream::records`](crate::ZipStream::records).
#[derive(Debug)]
pub struct Records {
    /// Where in the spool the next chunk begins, and where the walk ends.
    next: u64,
    end: u64,
    /// What was read of the spool and not consumed yet starts at `at`.
    chunk: Vec<u8>,
    at: usize,
}

/// Bytes collected before they are written to the spool, and read from it at a time.
const CHUNK: usize = 16 * 1024;

/// The part of a record before the name: method, large, offset, size, compressed size, CRC, SHA, length of the name.
/// The spool is private to one process and one version, so the form has no other reader.
const FIXED: usize = 1 + 1 + 8 + 8 + 8 + 4 + 32 + 2;

/// Records in the order they were written.
pub(crate) struct Spool<S> {
    file: S,
    /// Bytes in `file`.
    written: u64,
    /// Bytes that follow those in `file`.
    tail: Vec<u8>,
}

impl<S: Read + Write + Seek> Spool<S> {
    pub(crate) fn new(file: S) -> Self {
        Self {
            file,
            written: 0,
            tail: Vec::with_capacity(CHUNK),
        }
    }

    pub(crate) fn append(&mut self, record: &EntryRecord) -> Result<(), ZipError> {
        encode(record, &mut self.tail);
        if self.tail.len() >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    /// A walk over all records so far.
    pub(crate) fn records(&mut self) -> Result<Records, ZipError> {
        self.flush()?;
        Ok(Records {
            next: 0,
            end: self.written,
            chunk: Vec::with_capacity(CHUNK),
            at: 0,
        })
    }

    pub(crate) fn next(&mut self, records: &mut Records) -> Result<Option<EntryRecord>, ZipError> {
        let Some(fixed) = self.take::<FIXED>(records)? else {
            return Ok(None);
        };
        let mut fields = Fields(&fixed);
        let method = match fields.take::<1>()? {
            [0] => Method::Store,
            [8] => Method::Deflate,
            _ => return Err(ZipError::SpoolDamaged),
        };
        let large = fields.take::<1>()? != [0];
        let offset = u64::from_le_bytes(fields.take()?);
        let size = u64::from_le_bytes(fields.take()?);
        let compressed_size = u64::from_le_bytes(fields.take()?);
        let crc32 = u32::from_le_bytes(fields.take()?);
        let sha256 = fields.take()?;
        let length = usize::from(u16::from_le_bytes(fields.take()?));
        self.load(records, length)?;
        let name = records.chunk[records.at..records.at + length].to_vec();
        records.at += length;
        Ok(Some(EntryRecord {
            name: String::from_utf8(name).map_err(|_| ZipError::SpoolDamaged)?,
            method,
            large,
            offset,
            size,
            compressed_size,
            crc32,
            sha256,
        }))
    }

    /// The next `N` bytes, or `None` at the end of the walk.
    fn take<const N: usize>(&mut self, records: &mut Records) -> Result<Option<[u8; N]>, ZipError> {
        if records.at == records.chunk.len() && records.next == records.end {
            return Ok(None);
        }
        self.load(records, N)?;
        let bytes = Fields(&records.chunk[records.at..]).take()?;
        records.at += N;
        Ok(Some(bytes))
    }

    /// Makes the chunk hold at least `wanted` bytes from `at` on.
    fn load(&mut self, records: &mut Records, wanted: usize) -> Result<(), ZipError> {
        let held = records.chunk.len() - records.at;
        if held >= wanted {
            return Ok(());
        }
        records.chunk.drain(..records.at);
        records.at = 0;
        let more = (records.end - records.next).min(wanted.max(CHUNK) as u64 - held as u64);
        let more = usize::try_from(more).map_err(|_| ZipError::SpoolDamaged)?;
        if held + more < wanted {
            return Err(ZipError::SpoolDamaged);
        }
        records.chunk.resize(held + more, 0);
        self.file
            .seek(SeekFrom::Start(records.next))
            .and_then(|_| self.file.read_exact(&mut records.chunk[held..]))
            .map_err(ZipError::Spool)?;
        records.next += more as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ZipError> {
        // A walk may have moved the position since the last write.
        self.file
            .seek(SeekFrom::Start(self.written))
            .and_then(|_| self.file.write_all(&self.tail))
            .map_err(ZipError::Spool)?;
        self.written += self.tail.len() as u64;
        self.tail.clear();
        Ok(())
    }
}

fn encode(record: &EntryRecord, out: &mut Vec<u8>) {
    out.push(match record.method {
        Method::Store => 0,
        Method::Deflate => 8,
    });
    out.push(u8::from(record.large));
    out.extend_from_slice(&record.offset.to_le_bytes());
    out.extend_from_slice(&record.size.to_le_bytes());
    out.extend_from_slice(&record.compressed_size.to_le_bytes());
    out.extend_from_slice(&record.crc32.to_le_bytes());
    out.extend_from_slice(&record.sha256);
    // Names that are longer were refused.
    let length = u16::try_from(record.name.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(record.name.as_bytes());
}

/// Takes fixed-size fields off the front of bytes.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ZipError> {
        let (field, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(ZipError::SpoolDamaged)?;
        self.0 = rest;
        Ok(*field)
    }
}
