//! Writes dumps as mongodump does: directories and archives, plain and gzip. BSON comes from the reference crate and
//! checksums from a table-driven CRC-64 of its own, so that our reader is not compared with itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bson::{Document, doc};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::generate;

/// The documents of one database, in the order of the dump.
#[derive(Clone, Debug)]
pub(crate) struct DumpBuilder {
    pub(crate) database: String,
    pub(crate) collections: BTreeMap<String, Vec<Vec<u8>>>,
}

/// The forms in which mongodump writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Directory,
    DirectoryGzip,
    Archive,
    ArchiveGzip,
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [
        Self::Directory,
        Self::DirectoryGzip,
        Self::Archive,
        Self::ArchiveGzip,
    ];
}

impl DumpBuilder {
    /// A database that has what makes it Rocket.Chat's: rooms and messages, still empty.
    pub(crate) fn new() -> Self {
        let mut dump = Self::of("rocketchat");
        for name in ["rocketchat_room", "rocketchat_message"] {
            dump.collections.insert(name.to_owned(), Vec::new());
        }
        dump
    }

    /// Any database, empty.
    pub(crate) fn of(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            collections: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, collection: &str, document: &Document) -> &mut Self {
        self.add_raw(collection, document.to_vec().unwrap())
    }

    pub(crate) fn add_raw(&mut self, collection: &str, bytes: Vec<u8>) -> &mut Self {
        self.collections
            .entry(collection.to_owned())
            .or_default()
            .push(bytes);
        self
    }

    /// Writes the dump; the path to name it by.
    pub(crate) fn write(&self, form: Form, parent: &Path) -> PathBuf {
        match form {
            Form::Directory | Form::DirectoryGzip => {
                let path = parent.join(format!("{form:?}"));
                self.write_directory(&path.join(&self.database), form == Form::DirectoryGzip);
                path
            }
            Form::Archive => {
                let path = parent.join("dump.archive");
                fs::write(&path, self.archive()).unwrap();
                path
            }
            Form::ArchiveGzip => {
                let path = parent.join("dump.archive.gz");
                fs::write(&path, gzip(&self.archive())).unwrap();
                path
            }
        }
    }

    /// Writes one file per collection and its metadata.
    pub(crate) fn write_directory(&self, directory: &Path, packed: bool) {
        fs::create_dir_all(directory).unwrap();
        for (collection, documents) in &self.collections {
            let metadata = format!("{{\"indexes\":[],\"collectionName\":\"{collection}\"}}");
            let files = [
                (format!("{collection}.bson"), documents.concat()),
                (format!("{collection}.metadata.json"), metadata.into_bytes()),
            ];
            for (name, bytes) in files {
                if packed {
                    fs::write(directory.join(name + ".gz"), gzip(&bytes)).unwrap();
                } else {
                    fs::write(directory.join(name), bytes).unwrap();
                }
            }
        }
    }

    /// Writes the dump as a directory that has, in addition, [`generate::ROOM`] with so many messages.
    pub(crate) fn write_with_large_room(&self, parent: &Path, messages: u64) -> PathBuf {
        let dump = self.write(Form::Directory, parent);
        let more = parent.join("more");
        generate::dump(&more, messages).unwrap();
        for entry in fs::read_dir(more.join(&self.database)).unwrap() {
            let entry = entry.unwrap();
            let collection = dump.join(&self.database).join(entry.file_name());
            let mut collection = File::options()
                .create(true)
                .append(true)
                .open(collection)
                .unwrap();
            io::copy(&mut File::open(entry.path()).unwrap(), &mut collection).unwrap();
        }
        dump
    }

    /// The archive, its collections interleaved in blocks of a few documents.
    pub(crate) fn archive(&self) -> Vec<u8> {
        archive(&[self])
    }
}

const TERMINATOR: [u8; 4] = [0xff; 4];

/// One archive of several databases.
pub(crate) fn archive(dumps: &[&DumpBuilder]) -> Vec<u8> {
    const BLOCK: usize = 3;
    let mut bytes = 0x8199_e26d_u32.to_le_bytes().to_vec();
    let push = |bytes: &mut Vec<u8>, document: Document| {
        bytes.extend_from_slice(&document.to_vec().unwrap());
    };
    push(
        &mut bytes,
        doc! {"concurrent_collections": 4, "version": "0.1", "server_version": "7.0.5", "tool_version": "100.9.4"},
    );
    let mut open = Vec::new();
    for dump in dumps {
        for (collection, documents) in &dump.collections {
            push(
                &mut bytes,
                doc! {"db": &dump.database, "collection": collection, "metadata": "{\"indexes\":[]}", "size": 0, "type": "collection"},
            );
            open.push((&dump.database, collection, documents.as_slice(), Crc::new()));
        }
        push(
            &mut bytes,
            doc! {"db": &dump.database, "collection": "a_view", "metadata": "{}", "size": 0, "type": "view"},
        );
    }
    bytes.extend_from_slice(&TERMINATOR);
    while !open.is_empty() {
        open.retain_mut(|(database, collection, documents, crc)| {
            let (block, rest) = documents.split_at(documents.len().min(BLOCK));
            if block.is_empty() {
                push(
                    &mut bytes,
                    doc! {"db": &**database, "collection": &**collection, "EOF": true, "CRC": crc.value().cast_signed()},
                );
            } else {
                push(
                    &mut bytes,
                    doc! {"db": &**database, "collection": &**collection, "EOF": false, "CRC": 0_i64},
                );
                for document in block {
                    crc.update(document);
                    bytes.extend_from_slice(document);
                }
            }
            bytes.extend_from_slice(&TERMINATOR);
            *documents = rest;
            !block.is_empty()
        });
    }
    bytes
}

/// CRC-64 as Go's `crc64.ECMA` has it (CRC-64/XZ), by the definition: reflected, all ones before and after.
struct Crc {
    table: [u64; 256],
    state: u64,
}

impl Crc {
    fn new() -> Self {
        let mut table = [0; 256];
        for (byte, entry) in (0_u64..).zip(&mut table) {
            *entry = (0..8).fold(byte, |value, _| {
                (value >> 1) ^ (0xc96c_5795_d787_0f42 * (value & 1))
            });
        }
        Self { table, state: !0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let index = self.state.to_le_bytes()[0] ^ byte;
            self.state = self.table[usize::from(index)] ^ (self.state >> 8);
        }
    }

    fn value(&self) -> u64 {
        !self.state
    }
}

/// One gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The workspace data beside the checkout, for suites that run in addition where it exists. `test` is noted in the
/// file that `EXPORT_ROOM_SHARED_RAN` names, so that nobody has to trust that it ran.
#[expect(clippy::print_stdout, reason = "says why a suite did not run")]
pub(crate) fn shared_workspace(test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/workspace");
    if !path.is_dir() {
        println!("{test} did not run: {} is not there", path.display());
        return None;
    }
    if let Some(ran) = std::env::var_os("EXPORT_ROOM_SHARED_RAN") {
        let mut ran = File::options().create(true).append(true).open(ran).unwrap();
        writeln!(ran, "{test}").unwrap();
    }
    Some(path)
}
