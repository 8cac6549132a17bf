//! Loads a dump into a workspace file: can be stopped at any point and continued, and done twice changes nothing.
//!
//! A workspace is finished or it is not: one import at a time is under way in it. What is finished already is only
//! written to after the whole dump has been read once, so that a damaged dump leaves it as it is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use transcript::bson::Doc;

use super::schema;
use super::tables::{self, PutError};
use crate::store::StoreError;
use crate::store::dump::{Dump, check};
use crate::store::order::{MessageKey, UniqueSorter, push_instant, push_text};

/// Bytes of messages sorted in memory at a time.
const SORT_BUDGET: usize = 24 << 20;
/// Bytes and documents of one transaction: what a killed import has to do again.
const TRANSACTION: (u64, u64) = (8 << 20, 10_000);

/// The collection that is sorted before it is written.
const MESSAGES: &str = "rocketchat_message";

/// What an import is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStep {
    /// Reading the dump; `done` and `total` are bytes of its files, twice when all of it is checked beforehand.
    Read,
    /// Writing the sorted messages; `done` and `total` are messages.
    Messages,
    /// Building the index of messages by id; `done` and `total` are 0 and 1, then 1 and 1.
    Index,
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct ImportProgress<'a> {
    /// The step; the units of `done` and `total` depend on it.
    pub step: ImportStep,
    /// The collection being read or written.
    pub collection: &'a str,
    /// Documents of all collections read so far.
    pub documents: u64,
    /// What of `total` is done.
    pub done: u64,
    /// All there is to do in this step.
    pub total: u64,
}

/// What an import has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOutcome {
    /// Documents of the dump by collection; of the messages, each `_id` once.
    pub collections: BTreeMap<String, u64>,
    /// Whether this very dump was the last one imported before, and nothing was to be done.
    pub already: bool,
}

/// Loads a dump into a workspace file, which is made when it does not exist. Documents that are there already are
/// replaced by the dump's, other documents stay.
///
/// A failed or killed import leaves a file that says so when it is opened; the same import continues it, and another
/// is refused as [`StoreError::NotOurs`]. After [`StoreError::Corrupt`] a file that did not exist before is removed
/// again, and one that was finished is as it was.
pub fn import(
    dump: &Dump,
    path: &Path,
    progress: &mut dyn FnMut(ImportProgress<'_>),
    cancel: &CancellationToken,
) -> Result<ImportOutcome, StoreError> {
    check_space(dump, path)?;
    let (connection, new) = schema::open_to_write(path)?;
    let outcome = Import::begin(&connection, dump, path, progress, cancel)
        .and_then(|import| import.run(progress, cancel))
        .map_err(|error| name_full_disk(error, path));
    drop(connection);
    if new && matches!(outcome, Err(StoreError::Corrupt(_))) {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            // Best effort: the error that led here is the one to tell.
            let _ = fs::remove_file(name);
        }
    }
    outcome
}

/// SQLite's "database or disk is full" as the system would say it, of the disk that is full: the index of messages is
/// sorted in SQLite's temporary directory.
fn name_full_disk(error: StoreError, path: &Path) -> StoreError {
    /// What a disk that is full may still call free: less than one transaction.
    const LEFT: u64 = 4 << 20;
    match error {
        StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            match available(&directory_of(path)) {
                Ok(available) if available > LEFT => schema::name_full_temporary(error.into()),
                _ => StoreError::io("write", path)(io::ErrorKind::StorageFull.into()),
            }
        }
        other => other,
    }
}

/// Bytes that are free on the disk of a directory.
fn available(directory: &Path) -> Result<u64, StoreError> {
    let space = rustix::fs::statvfs(directory)
        .map_err(|error| StoreError::io("open", directory)(error.into()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

struct Import<'a> {
    connection: &'a Connection,
    dump: &'a Dump,
    /// Where sorted runs are spilled: beside the workspace, where space was checked.
    work_dir: PathBuf,
    /// Collections that are finished, with their documents.
    finished: BTreeMap<String, u64>,
    /// Key of the last message that is written for sure.
    last_message: Option<Vec<u8>>,
    /// Whether the dump was imported before.
    already: bool,
    /// Bytes of the dump's files that were read to check them.
    checked: u64,
    /// Documents and bytes since the last commit.
    pending: (u64, u64),
}

impl<'a> Import<'a> {
    /// Finds out what is to be done, and that the dump may be written over what is there.
    fn begin(
        connection: &'a Connection,
        dump: &'a Dump,
        path: &Path,
        progress: &mut dyn FnMut(ImportProgress<'_>),
        cancel: &CancellationToken,
    ) -> Result<Self, StoreError> {
        let fingerprint = fingerprint(dump)?;
        let before: Option<Before> = connection
            .query_row(
                "SELECT source, fingerprint, finished, last_message FROM import",
                [],
                |row| {
                    Ok(Before {
                        source: row.get(0)?,
                        fingerprint: row.get(1)?,
                        finished: row.get(2)?,
                        last_message: row.get(3)?,
                    })
                },
            )
            .optional()?;
        let mut import = Self {
            connection,
            dump,
            work_dir: directory_of(path),
            finished: BTreeMap::new(),
            last_message: None,
            already: false,
            checked: 0,
            pending: (0, 0),
        };
        if let Some(before) = before {
            if before.fingerprint != fingerprint {
                if !before.finished {
                    return Err(StoreError::NotOurs(format!(
                        "the import of {} into {} is not finished, and this is another dump or a changed one; import that one again as it was, or start with a new file",
                        before.source,
                        path.display()
                    )));
                }
                import.checked = read_through(dump, progress, cancel)?;
                import.replace(&fingerprint)?;
                return Ok(import);
            }
            import.already = before.finished;
            import.last_message = before.last_message;
            import.finished = connection
                .prepare("SELECT collection, documents FROM import_collection")?
                .query_map([], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
                })?
                .collect::<Result<_, _>>()?;
            return Ok(import);
        }
        import.replace(&fingerprint)?;
        Ok(import)
    }

    /// Makes this the import that is under way.
    fn replace(&self, fingerprint: &str) -> Result<(), StoreError> {
        let connection = self.connection;
        let empty: bool =
            connection.query_row("SELECT NOT EXISTS(SELECT 1 FROM message)", [], |row| {
                row.get(0)
            })?;
        connection.execute_batch("BEGIN")?;
        connection.execute("DELETE FROM import_collection", [])?;
        connection.execute(
            "INSERT OR REPLACE INTO import VALUES(1, ?1, ?2, 0, NULL)",
            params![self.dump.path().to_string_lossy(), fingerprint],
        )?;
        if empty {
            // Building it once over all ids is many times faster than keeping it up to date.
            connection.execute_batch("DROP INDEX IF EXISTS message_id")?;
        } else {
            connection.execute_batch(schema::MESSAGE_IDS)?;
        }
        connection.execute_batch("COMMIT")?;
        Ok(())
    }

    fn run(
        mut self,
        progress: &mut dyn FnMut(ImportProgress<'_>),
        cancel: &CancellationToken,
    ) -> Result<ImportOutcome, StoreError> {
        if self.already {
            return Ok(ImportOutcome {
                collections: self.finished,
                already: true,
            });
        }
        let total = self.checked + size(self.dump)?;
        let mut before = self.checked;
        if self.dump.is_archive() {
            self.load(None, before, total, progress, cancel)?;
        } else {
            for collection in self.dump.collections() {
                if !self.finished.contains_key(collection) {
                    self.load(Some(collection), before, total, progress, cancel)?;
                }
                before += self.dump.size_of(collection)?;
            }
        }
        let mut index = |done| {
            progress(ImportProgress {
                step: ImportStep::Index,
                collection: MESSAGES,
                documents: self.finished.values().sum(),
                done,
                total: 1,
            });
        };
        index(0);
        self.connection.execute_batch(schema::MESSAGE_IDS)?;
        self.connection
            .execute("UPDATE import SET finished = 1, last_message = NULL", [])?;
        // Everything into the one file, so that it can be copied as it is.
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        index(1);
        Ok(ImportOutcome {
            collections: self.finished,
            already: false,
        })
    }

    /// Loads one collection, or all that are not finished in one pass over the dump.
    fn load(
        &mut self,
        only: Option<&str>,
        before: u64,
        total: u64,
        progress: &mut dyn FnMut(ImportProgress<'_>),
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let dump = self.dump;
        let finished: Vec<String> = self.finished.keys().cloned().collect();
        let wanted = |collection: &str| match only {
            Some(only) => collection == only,
            None => !finished.iter().any(|done| done == collection),
        };
        let mut counts: BTreeMap<String, u64> = dump
            .collections()
            .into_iter()
            .filter(|collection| wanted(collection))
            .map(|collection| (collection.to_owned(), 0))
            .collect();
        let mut input = UniqueSorter::new(SORT_BUDGET, Some(self.work_dir.clone()));
        let spilled = StoreError::io;
        let work_dir = self.work_dir.clone();
        let documents_before: u64 = self.finished.values().sum();
        // Both callbacks look at how many documents and which collection; neither runs inside the other.
        let seen = std::cell::RefCell::new((documents_before, String::new()));
        let mut before_message = Vec::new();
        self.connection.execute_batch("BEGIN")?;
        dump.scan(
            &wanted,
            cancel,
            &mut |read| {
                let seen = seen.borrow();
                progress(ImportProgress {
                    step: ImportStep::Read,
                    collection: &seen.1,
                    documents: seen.0,
                    done: before + read,
                    total,
                });
            },
            &mut |found| {
                let number = match counts.get_mut(found.collection) {
                    Some(count) => count,
                    None => counts.entry(found.collection.to_owned()).or_default(),
                };
                *number += 1;
                let mut seen = seen.borrow_mut();
                seen.0 += 1;
                if seen.1 != found.collection {
                    found.collection.clone_into(&mut seen.1);
                }
                if found.collection == MESSAGES {
                    let doc = Doc::new(found.doc)
                        .map_err(|error| PutError::from(error).at(MESSAGES, found.offset))?;
                    let key = MessageKey::read(doc);
                    before_message.clear();
                    push_text(&mut before_message, &key.rid);
                    push_instant(&mut before_message, key.ts);
                    return input
                        .push(&before_message, &key.id_in(found.doc), &[found.doc])
                        .map_err(spilled("write", &work_dir));
                }
                tables::put(self.connection, found.collection, found.doc, *number)
                    .map_err(|error| error.at(found.collection, found.offset))?;
                self.pending.0 += 1;
                self.pending.1 += found.doc.len() as u64;
                if self.pending.0 >= TRANSACTION.1 || self.pending.1 >= TRANSACTION.0 {
                    self.pending = (0, 0);
                    self.connection.execute_batch("COMMIT; BEGIN")?;
                }
                Ok(())
            },
        )?;
        let documents = seen.into_inner().0;
        let messages = counts.remove(MESSAGES);
        for (collection, documents) in counts {
            self.finish_collection(collection, documents)?;
        }
        self.commit()?;
        if messages.is_some() {
            self.write_messages(input, documents, progress, cancel)?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.pending = (0, 0);
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }

    fn finish_collection(&mut self, collection: String, documents: u64) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT OR REPLACE INTO import_collection VALUES(?1, ?2)",
            params![collection, documents.cast_signed()],
        )?;
        self.finished.insert(collection, documents);
        Ok(())
    }

    /// Writes the messages in the order of the table, which is many times faster than in the order of the dump.
    fn write_messages(
        &mut self,
        input: UniqueSorter,
        documents: u64,
        progress: &mut dyn FnMut(ImportProgress<'_>),
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let sorted = input
            .finish(|_| {})
            .map_err(StoreError::io("write", &self.work_dir))?;
        let mut items = sorted
            .read()
            .map_err(StoreError::io("read", &self.work_dir))?;
        let mut done = 0;
        let mut tell = |done| {
            progress(ImportProgress {
                step: ImportStep::Messages,
                collection: MESSAGES,
                documents,
                done,
                total: sorted.len(),
            });
        };
        self.connection.execute_batch("BEGIN")?;
        while let Some(item) = items
            .next()
            .map_err(StoreError::io("read", &self.work_dir))?
        {
            done += 1;
            if self
                .last_message
                .as_deref()
                .is_some_and(|last| item.key <= last)
            {
                continue;
            }
            let doc =
                Doc::new(item.payload).map_err(|error| PutError::from(error).at(MESSAGES, 0))?;
            let key = MessageKey::read(doc);
            tables::put_message(
                self.connection,
                &key.rid,
                key.ts,
                &key.id_in(item.payload),
                key.marks,
                item.payload,
            )?;
            self.pending.0 += 1;
            self.pending.1 += item.payload.len() as u64;
            if self.pending.0 >= TRANSACTION.1 || self.pending.1 >= TRANSACTION.0 {
                self.pending = (0, 0);
                self.connection
                    .prepare_cached("UPDATE import SET last_message = ?1")?
                    .execute([item.key])?;
                self.connection.execute_batch("COMMIT; BEGIN")?;
                check(cancel)?;
                tell(done);
            }
        }
        self.finish_collection(MESSAGES.to_owned(), sorted.len())?;
        self.commit()?;
        tell(done);
        Ok(())
    }
}

/// The import that the workspace knows of.
struct Before {
    source: String,
    fingerprint: String,
    finished: bool,
    last_message: Option<Vec<u8>>,
}

/// Bytes of all files of the dump.
fn size(dump: &Dump) -> Result<u64, StoreError> {
    Ok(dump.files()?.iter().map(|file| file.size).sum())
}

/// Reads all of a dump and writes nothing: what would end an import as damaged ends it here. Gives the bytes read.
fn read_through(
    dump: &Dump,
    progress: &mut dyn FnMut(ImportProgress<'_>),
    cancel: &CancellationToken,
) -> Result<u64, StoreError> {
    let size = size(dump)?;
    let seen = std::cell::RefCell::new(String::new());
    dump.scan(
        &|_| true,
        cancel,
        &mut |read| {
            progress(ImportProgress {
                step: ImportStep::Read,
                collection: &seen.borrow(),
                documents: 0,
                done: read,
                total: size * 2,
            });
        },
        &mut |found| {
            let mut seen = seen.borrow_mut();
            if *seen != found.collection {
                found.collection.clone_into(&mut seen);
            }
            Doc::new(found.doc)
                .map(|_| ())
                .map_err(|error| PutError::from(error).at(found.collection, found.offset))
        },
    )?;
    Ok(size)
}

/// What tells one dump from another: names, sizes and times of its files.
fn fingerprint(dump: &Dump) -> Result<String, StoreError> {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    for file in dump.files()? {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        hash.update(format!("{name}\n{}\n{}\n", file.size, file.changed));
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Refuses an import that cannot fit on the disk.
fn check_space(dump: &Dump, path: &Path) -> Result<(), StoreError> {
    let there = fs::metadata(path).map_or(0, |found| found.len());
    let mut needed = 0;
    for file in dump.files()? {
        // The documents, their indexes and, for a while, the sorted runs of the messages.
        needed += unpacked_size(&file.path, file.size)? * 2;
    }
    let needed = needed.saturating_sub(there);
    let available = available(&directory_of(path))?;
    if needed > available {
        return Err(StoreError::NoSpace {
            path: path.to_owned(),
            needed,
            available,
        });
    }
    Ok(())
}

/// Size of a file's documents: gzip's own note at its end, where it can be right.
fn unpacked_size(path: &Path, size: u64) -> Result<u64, StoreError> {
    /// Chat packs to about a fifth; above this the 32 bits of the note may have overflowed.
    const USUAL_RATIO: u64 = 5;
    let mut file = fs::File::open(path).map_err(StoreError::io("open", path))?;
    let mut magic = [0; 2];
    if size < 18 || file.read_exact(&mut magic).is_err() || magic != [0x1f, 0x8b] {
        return Ok(size);
    }
    let mut note = [0; 4];
    file.seek(SeekFrom::End(-4))
        .and_then(|_| file.read_exact(&mut note))
        .map_err(StoreError::io("read", path))?;
    let noted = u64::from(u32::from_le_bytes(note));
    Ok(if size < 400 << 20 && noted >= size {
        noted
    } else {
        size * USUAL_RATIO
    })
}
