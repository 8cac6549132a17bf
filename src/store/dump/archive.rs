//! The archive format of mongodump (mongo-tools, `common/archive`): all collections interleaved in one stream.
//!
//! A magic number; the prelude: a header and one document per collection, then a terminator; blocks: a document that
//! names a collection, documents of it, a terminator. A last block without documents says that a collection is
//! complete and what the CRC-64 of its documents is. The archive itself has no end mark: it is complete when all its
//! collections are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crc64fast::Digest;
use tokio_util::sync::CancellationToken;
use transcript::bson::{Doc, Value};

use super::reader::{Input, Reader};
use super::{Found, REQUIRED, check, listed, missing};
use crate::store::StoreError;

/// First four bytes, little endian.
const MAGIC: i32 = 0x8199_e26d_u32.cast_signed();
/// Stands where a document's length would, after the prelude and after each block.
const TERMINATOR: i32 = -1;
/// Collections, and bytes of the prelude and of names met later, that are still believable.
const MAX_COLLECTIONS: usize = 100_000;
const MAX_PRELUDE: usize = 16 << 20;

/// A recognised archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    database: String,
    /// The collections of the database with documents of their own, sorted: no views.
    collections: Vec<String>,
}

impl Archive {
    /// Reads the prelude and picks the database that is Rocket.Chat's.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let (_, databases) = start(path)?;
        let (mut rocketchat, others): (Vec<_>, Vec<_>) =
            databases.into_iter().partition(|(_, collections)| {
                REQUIRED
                    .iter()
                    .all(|name| collections.iter().any(|collection| collection == name))
            });
        let shown = path.display();
        if rocketchat.len() > 1 {
            let names: Vec<String> = rocketchat.into_iter().map(|(name, _)| name).collect();
            return Err(StoreError::NotOurs(format!(
                "{shown} holds several Rocket.Chat databases ({}); dump one of them with mongodump --db",
                listed(&names)
            )));
        }
        if let Some((database, mut collections)) = rocketchat.pop() {
            collections.sort();
            collections.dedup();
            return Ok(Self {
                path: path.to_owned(),
                database,
                collections,
            });
        }
        let advice = "dump the whole database that Rocket.Chat uses";
        Err(StoreError::NotOurs(match others.as_slice() {
            [] => format!("{shown} is no dump of Rocket.Chat: it is empty; {advice}"),
            [(database, collections)] => format!(
                "{shown} is no dump of Rocket.Chat: its database {database} lacks {} (it holds {}); {advice}",
                missing(collections),
                listed(collections)
            ),
            several => {
                let names: Vec<String> = several.iter().map(|(name, _)| name.clone()).collect();
                format!(
                    "{shown} is no dump of Rocket.Chat: none of its databases ({}) has {}; {advice}",
                    listed(&names),
                    REQUIRED.join(" and ")
                )
            }
        }))
    }

    /// The collections, sorted.
    pub(super) fn collections(&self) -> Vec<&str> {
        self.collections.iter().map(String::as_str).collect()
    }

    /// Reads the whole archive; see [`super::Dump::scan`]. What is not wanted is checked all the same.
    pub(super) fn scan(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        cancel: &CancellationToken,
        progress: &mut dyn FnMut(u64),
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut reader, _) = start(&self.path)?;
        let mut open: BTreeMap<(String, String), Digest> = BTreeMap::new();
        let mut complete: BTreeSet<String> = BTreeSet::new();
        let mut names = 0;
        let mut seen = 0;
        while let Some((_, header)) = reader.document()? {
            let block = Block::read(header)
                .ok_or_else(|| reader.damaged("a block does not say what it holds"))?;
            let ours = block.database == self.database;
            let visited = ours && wanted(&block.collection);
            let name = (block.database, block.collection);
            let mut digest = open.remove(&name).unwrap_or_else(|| {
                names += name.0.len() + name.1.len();
                Digest::default()
            });
            if open.len() > MAX_COLLECTIONS
                || complete.len() > MAX_COLLECTIONS
                || names > MAX_PRELUDE
            {
                return Err(reader.damaged("there are too many collections"));
            }
            loop {
                let length = reader
                    .length()?
                    .ok_or_else(|| reader.damaged("it is cut off in a block"))?;
                if length == TERMINATOR {
                    reader.skip_length();
                    break;
                }
                let (offset, doc) = reader.take(length)?;
                digest.write(doc);
                if visited {
                    visit(Found {
                        collection: &name.1,
                        doc,
                        offset,
                    })?;
                }
                let read = reader.bytes_read();
                if read != seen {
                    seen = read;
                    check(cancel)?;
                    progress(read);
                }
            }
            if let Some(crc) = block.end {
                let actual = digest.sum64();
                if actual != crc {
                    return Err(reader.damaged(&format!(
                        "the checksum of {} is {actual:016x} and should be {crc:016x}",
                        name.1
                    )));
                }
                if ours {
                    complete.insert(name.1);
                }
            } else {
                open.insert(name, digest);
            }
        }
        check(cancel)?;
        progress(reader.bytes_read());
        let begun = open
            .into_keys()
            .filter(|(database, _)| *database == self.database)
            .map(|(_, collection)| collection);
        let mut unfinished: Vec<String> = self
            .collections
            .iter()
            .filter(|name| !complete.contains(*name))
            .cloned()
            .chain(begun)
            .collect();
        unfinished.sort();
        unfinished.dedup();
        if !unfinished.is_empty() {
            return Err(reader.damaged(&format!(
                "it is cut off: {} {} not complete",
                listed(&unfinished),
                if unfinished.len() == 1 { "is" } else { "are" }
            )));
        }
        Ok(())
    }
}

/// Whether the name is that of one collection's file in a dump directory.
fn is_collection_file(path: &Path) -> bool {
    let is = |path: &Path, extension| path.extension().is_some_and(|found| found == extension);
    is(path, "bson") || is(path, "gz") && is(&path.with_extension(""), "bson")
}

/// Collections by database.
type Databases = BTreeMap<String, Vec<String>>;

/// Opens an archive and reads its prelude.
fn start(path: &Path) -> Result<(Reader, Databases), StoreError> {
    let not_ours = || {
        StoreError::NotOurs(if is_collection_file(path) {
            format!(
                "{} is one collection of a dump: name the directory that it is in",
                path.display()
            )
        } else {
            format!(
                "{} is no dump: it is neither a directory nor an archive of mongodump --archive",
                path.display()
            )
        })
    };
    let mut reader = Reader::new(Input::open(path)?);
    match reader.length() {
        Ok(Some(MAGIC)) => reader.skip_length(),
        // Fewer than four bytes.
        Ok(_) | Err(StoreError::Corrupt(_)) => return Err(not_ours()),
        Err(error) => return Err(error),
    }
    let mut databases = Databases::new();
    let mut header = true;
    let mut count = 0;
    let mut size = 0;
    loop {
        let length = reader
            .length()?
            .ok_or_else(|| reader.damaged("it is cut off in its beginning"))?;
        if length == TERMINATOR {
            reader.skip_length();
            return Ok((reader, databases));
        }
        let (_, bytes) = reader.take(length)?;
        size += bytes.len();
        if size > MAX_PRELUDE {
            return Err(reader.damaged("its list of collections is too long"));
        }
        if std::mem::take(&mut header) {
            continue;
        }
        let found = Doc::new(bytes).ok().and_then(|doc| {
            // These have no documents under their own name.
            let elsewhere = doc
                .text("type")
                .is_some_and(|kind| [&b"view"[..], b"timeseries"].contains(&kind.0));
            Some((text(doc, "db")?, text(doc, "collection")?, elsewhere))
        });
        let Some((database, collection, elsewhere)) = found else {
            return Err(reader.damaged("its list of collections is unreadable"));
        };
        count += 1;
        if count > MAX_COLLECTIONS {
            return Err(reader.damaged("there are too many collections"));
        }
        let collections = databases.entry(database).or_default();
        if !elsewhere {
            collections.push(collection);
        }
    }
}

fn text(doc: Doc<'_>, key: &str) -> Option<String> {
    Some(doc.text(key)?.to_str().into_owned())
}

/// What stands in front of a block.
struct Block {
    database: String,
    collection: String,
    /// The CRC-64 of all documents, when the collection ends here.
    end: Option<u64>,
}

impl Block {
    fn read(header: &[u8]) -> Option<Self> {
        let doc = Doc::new(header).ok()?;
        let end = match doc.get("EOF") {
            Some(Value::Bool(true)) => Some(match doc.get("CRC")? {
                Value::Int64(crc) => crc.cast_unsigned(),
                _ => return None,
            }),
            _ => None,
        };
        Some(Self {
            database: text(doc, "db")?,
            collection: text(doc, "collection")?,
            end,
        })
    }
}
