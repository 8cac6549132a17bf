//! Entries, archives made of them, and places to write them to.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
};

use zipstream::{EntryOptions, Method, Options, ZipStream};

/// Bytes in a block of the writer: sizes around it are where mistakes would be.
pub(crate) const BLOCK: usize = 256 * 1024;

pub(crate) const LEVEL_1: Options = Options {
    threads: 2,
    level: 1,
};

pub(crate) type Memory = ZipStream<Vec<u8>, Cursor<Vec<u8>>>;

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub name: String,
    pub method: Method,
    pub large: bool,
    pub content: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(name: &str, method: Method, content: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            method,
            large: false,
            content: content.into(),
        }
    }

    pub(crate) fn large(self) -> Self {
        Self {
            large: true,
            ..self
        }
    }

    pub(crate) fn options(&self) -> EntryOptions<'_> {
        EntryOptions {
            name: &self.name,
            method: self.method,
            large: self.large,
        }
    }
}

pub(crate) fn spool() -> Cursor<Vec<u8>> {
    Cursor::new(Vec::new())
}

pub(crate) fn in_memory(options: Options) -> Memory {
    ZipStream::new(Vec::new(), spool(), options).unwrap()
}

/// Adds an entry in writes of `write` bytes.
pub(crate) fn add<W: Write, S: Read + Write + Seek>(
    zip: &mut ZipStream<W, S>,
    entry: &Entry,
    write: usize,
) {
    zip.start_entry(entry.options()).unwrap();
    for part in entry.content.chunks(write) {
        zip.append(part).unwrap();
    }
    zip.finish_entry().unwrap();
}

pub(crate) fn archive(entries: &[Entry], options: Options, write: usize) -> Vec<u8> {
    let mut zip = in_memory(options);
    for entry in entries {
        add(&mut zip, entry, write);
    }
    zip.finish().unwrap().0
}

/// One entry of each kind that differs in the container or in how it is packed.
pub(crate) fn mixed() -> Vec<Entry> {
    use Method::{Deflate, Store};
    vec![
        Entry::new("empty.txt", Deflate, ""),
        Entry::new("empty-stored.txt", Store, ""),
        Entry::new("empty-large.txt", Store, "").large(),
        Entry::new("room.json", Deflate, text(3 * BLOCK + 17)),
        Entry::new("exactly-a-block.json", Deflate, text(BLOCK)),
        Entry::new("assets/Füße 漢字 😀.jpg", Store, noise(2 * BLOCK + 1)),
        Entry::new("noise", Deflate, noise(BLOCK + 1)),
        Entry::new("large.html", Deflate, text(2 * BLOCK)).large(),
        Entry::new("large.mp4", Store, noise(70_000)).large(),
        // Bytes that look like the end of an entry, for readers that search for it.
        Entry::new(
            "trap.zip",
            Store,
            b"PK\x07\x08PK\x01\x02PK\x05\x06".repeat(9),
        ),
    ]
}

/// Compressible bytes without a period that a window would see.
pub(crate) fn text(size: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut out = Vec::with_capacity(size + 32);
    while out.len() < size {
        state = step(state);
        let word = state >> 50;
        writeln!(out, "{{\"msg\":\"{word:x} {}\",\"n\":{word}}}", word % 9).unwrap();
    }
    out.truncate(size);
    out
}

/// Bytes that do not compress.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 11_u64;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        state = step(state);
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(size);
    out
}

/// xorshift64.
fn step(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// A file that leaves holes for zeros, so that gigabytes of them take no space.
pub(crate) struct SparseFile(pub File);

static ZEROS: [u8; BLOCK] = [0; BLOCK];

impl Write for SparseFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > 4096 && ZEROS.starts_with(data) {
            self.0
                .seek(SeekFrom::Current(i64::try_from(data.len()).unwrap()))?;
            Ok(data.len())
        } else {
            self.0.write(data)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
