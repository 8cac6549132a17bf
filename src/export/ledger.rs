//! What an export must remember, on disk: nothing in memory grows with messages or attachments.
//!
//! A private `SQLite` database without a name: it lives in a temporary file that the library removes by itself and
//! touches the disk only when its small cache is full.

use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;
use transcript::names;
use transcript::output::{FilePlace, ThreadRoot};

/// The temporary database failed, most likely because its disk is full.
#[derive(Debug, Error)]
#[error(
    "the temporary index of the export failed; if the disk of TMPDIR is full, free some space or set TMPDIR to a larger one"
)]
pub struct LedgerError(#[from] rusqlite::Error);

/// Names taken, files packed or missing, threads begun, oddities met.
pub struct Ledger {
    database: Connection,
}

/// A file that a message names and the archive does not hold whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// `_id` of the message.
    pub message: String,
    /// `_id` of the upload.
    pub file: String,
    /// The file's name as the message says.
    pub name: String,
    /// Why it is missing.
    pub reason: String,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Result<Self, LedgerError> {
        let database = Connection::open("")?;
        database.execute_batch(
            "PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA cache_size = -1024;
             CREATE TABLE name (folded TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE file (id TEXT PRIMARY KEY, entry TEXT, size INTEGER, reason TEXT) WITHOUT ROWID;
             CREATE TABLE missing (message TEXT, file TEXT, name TEXT, reason TEXT);
             CREATE TABLE thread (id TEXT PRIMARY KEY, page INTEGER, author TEXT, excerpt TEXT) WITHOUT ROWID;
             CREATE TABLE oddity (kind TEXT, message TEXT);
             BEGIN;",
        )?;
        database.set_prepared_statement_cache_capacity(16);
        Ok(Self { database })
    }

    /// Reserves a name: `wanted` when it is free, else with the next number, compared without case.
    pub fn reserve_name(&self, wanted: &str) -> Result<String, LedgerError> {
        let taken: Option<u32> = self
            .database
            .prepare_cached("SELECT next FROM name WHERE folded = ?1")?
            .query_row([names::folded(wanted)], |row| row.get(0))
            .optional()?;
        let mut next = taken.unwrap_or(1);
        let mut name = wanted.to_owned();
        let mut insert = self
            .database
            .prepare_cached("INSERT OR IGNORE INTO name (folded, next) VALUES (?1, 2)")?;
        while insert.execute([names::folded(&name)])? == 0 {
            next = next.max(2);
            name = names::numbered(wanted, next);
            next = next.saturating_add(1);
        }
        if name != wanted {
            self.database
                .prepare_cached("UPDATE name SET next = ?2 WHERE folded = ?1")?
                .execute(params![names::folded(wanted), next])?;
        }
        Ok(name)
    }

    /// What became of a file; `None` when it has not been met.
    pub fn file(&self, id: &str) -> Result<Option<FilePlace>, LedgerError> {
        let place = self
            .database
            .prepare_cached("SELECT entry, size, reason FROM file WHERE id = ?1")?
            .query_row([id], |row| {
                Ok(match row.get::<_, Option<String>>(2)? {
                    Some(reason) => FilePlace::Missing(reason),
                    None => FilePlace::Packed {
                        entry: row.get(0)?,
                        size: u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default(),
                    },
                })
            })
            .optional()?;
        Ok(place)
    }

    /// Keeps what became of a file.
    pub fn remember_file(&self, id: &str, place: &FilePlace) -> Result<(), LedgerError> {
        let (entry, size, reason) = match place {
            FilePlace::Packed { entry, size } => (Some(entry), i64::try_from(*size).ok(), None),
            FilePlace::Missing(reason) => (None, None, Some(reason)),
            FilePlace::LeftOut => return Ok(()),
        };
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO file (id, entry, size, reason) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, entry, size, reason])?;
        Ok(())
    }

    /// Adds a file that a message names and the archive does not hold.
    pub fn add_missing(&self, missing: &MissingFile) -> Result<(), LedgerError> {
        let MissingFile {
            message,
            file,
            name,
            reason,
        } = missing;
        self.database
            .prepare_cached(
                "INSERT INTO missing (message, file, name, reason) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![message, file, name, reason])?;
        Ok(())
    }

    /// Calls `each` for every missing file, in the order of the messages.
    pub fn each_missing<E: From<LedgerError>>(
        &self,
        mut each: impl FnMut(MissingFile) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = self
            .database
            .prepare_cached("SELECT message, file, name, reason FROM missing ORDER BY rowid")
            .map_err(LedgerError)?;
        let mut rows = select.query([]).map_err(LedgerError)?;
        while let Some(row) = rows.next().map_err(LedgerError)? {
            each(MissingFile {
                message: row.get(0).map_err(LedgerError)?,
                file: row.get(1).map_err(LedgerError)?,
                name: row.get(2).map_err(LedgerError)?,
                reason: row.get(3).map_err(LedgerError)?,
            })?;
        }
        Ok(())
    }

    /// Keeps where the first message of a thread stands.
    pub fn remember_thread(&self, id: &str, root: &ThreadRoot) -> Result<(), LedgerError> {
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO thread (id, page, author, excerpt) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, root.page, root.author, root.excerpt])?;
        Ok(())
    }

    /// Where the first message of a thread stands.
    pub fn thread(&self, id: &str) -> Result<Option<ThreadRoot>, LedgerError> {
        let root = self
            .database
            .prepare_cached("SELECT page, author, excerpt FROM thread WHERE id = ?1")?
            .query_row([id], |row| {
                Ok(ThreadRoot {
                    page: row.get(0)?,
                    author: row.get(1)?,
                    excerpt: row.get(2)?,
                })
            })
            .optional()?;
        Ok(root)
    }

    /// Adds something odd about a message.
    pub fn add_oddity(&self, kind: &str, message: &str) -> Result<(), LedgerError> {
        self.database
            .prepare_cached("INSERT INTO oddity (kind, message) VALUES (?1, ?2)")?
            .execute([kind, message])?;
        Ok(())
    }

    /// Calls `each` with the id of every message that is odd in this way, in the order of the messages.
    pub fn each_oddity<E: From<LedgerError>>(
        &self,
        kind: &str,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = self
            .database
            .prepare_cached("SELECT message FROM oddity WHERE kind = ?1 ORDER BY rowid")
            .map_err(LedgerError)?;
        let mut rows = select.query([kind]).map_err(LedgerError)?;
        while let Some(row) = rows.next().map_err(LedgerError)? {
            let message: String = row.get(0).map_err(LedgerError)?;
            each(&message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_whatever_their_case() {
        let ledger = Ledger::new().unwrap();
        let names: Vec<_> = ["a.txt", "A.TXT", "a.txt", "a-2.txt", "a-3.txt", "b"]
            .into_iter()
            .map(|wanted| ledger.reserve_name(wanted).unwrap())
            .collect();
        assert_eq!(
            names,
            ["a.txt", "A-2.TXT", "a-3.txt", "a-2-2.txt", "a-3-2.txt", "b"]
        );
    }

    #[test]
    fn many_files_of_one_name_do_not_take_quadratic_time() {
        let ledger = Ledger::new().unwrap();
        for number in 1..20_000 {
            let name = ledger.reserve_name("x").unwrap();
            assert!(number == 1 || name == format!("x-{number}"), "{name}");
        }
    }

    #[test]
    fn what_was_kept_is_found() {
        let ledger = Ledger::new().unwrap();
        let packed = FilePlace::Packed {
            entry: "assets/F".into(),
            size: 3,
        };
        ledger.remember_file("F", &packed).unwrap();
        ledger
            .remember_file("G", &FilePlace::Missing("gone".into()))
            .unwrap();
        assert_eq!(ledger.file("F").unwrap(), Some(packed));
        assert_eq!(
            ledger.file("G").unwrap(),
            Some(FilePlace::Missing("gone".into()))
        );
        assert_eq!(ledger.file("H").unwrap(), None);
    }
}
