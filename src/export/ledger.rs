//! What an export must remember, on disk: nothing in memory grows with messages or attachments.
//!
//! A private `SQLite` database without a name: it lives in a temporary file that the library removes by itself and
//! touches the disk only when its small cache is full.

mod bounds;

use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;
use transcript::bson::id_text;
use transcript::mail::ThreadRoot;
use transcript::message::{FileRef, Message};
use transcript::names;
use transcript::output::{Absence, AuthorCard, Day, FilePlace, Missing, Roles, Thread};

pub use bounds::Bounds;

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

impl MissingFile {
    /// A file of a message, and why it is missing.
    pub fn new(message: &Message<'_>, file: &FileRef<'_>, reason: String) -> Self {
        Self {
            message: message.id().into_owned(),
            file: id_text(file.id).into_owned(),
            name: file.name.to_str().into_owned(),
            reason,
        }
    }
}

/// A thread without its repliers, whom only its first message shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownThread {
    /// What its messages show.
    pub thread: Thread,
    /// `ts` of its last reply in this export; `i64::MIN` when none can be read.
    pub last: i64,
}

/// A picture that waits to be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictured {
    /// Name of its entry.
    pub entry: String,
    /// Its first byte in the file in which it waits.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// A database with these tables that nobody else sees and that vanishes with its connection, with so many KiB of cache.
fn private_database(cache: u32, tables: &str) -> Result<Connection, LedgerError> {
    let database = Connection::open("")?;
    database.execute_batch(&format!(
        "PRAGMA journal_mode = OFF;
         PRAGMA synchronous = OFF;
         PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -{cache};
         {tables}
         BEGIN;"
    ))?;
    database.set_prepared_statement_cache_capacity(32);
    Ok(database)
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Result<Self, LedgerError> {
        let database = private_database(
            512,
            "CREATE TABLE name (folded TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE file (id TEXT PRIMARY KEY, entry TEXT, size INTEGER, absence INTEGER, reason TEXT) WITHOUT ROWID;
             CREATE TABLE missing (message TEXT, file TEXT, name TEXT, reason TEXT);
             CREATE TABLE mail_root (id TEXT PRIMARY KEY, author TEXT, excerpt TEXT) WITHOUT ROWID;
             CREATE TABLE thread (first TEXT PRIMARY KEY, page INTEGER, ts INTEGER, author TEXT, excerpt TEXT, replies INTEGER,
               number INTEGER, last INTEGER) WITHOUT ROWID;
             CREATE TABLE day (day INTEGER PRIMARY KEY, page INTEGER, messages INTEGER);
             CREATE TABLE author (id TEXT, username TEXT, avatar TEXT, roles INTEGER, PRIMARY KEY (id, username)) WITHOUT ROWID;
             CREATE TABLE emoji (name TEXT PRIMARY KEY, entry TEXT) WITHOUT ROWID;
             CREATE TABLE picture (number INTEGER PRIMARY KEY, kind TEXT, id TEXT, entry TEXT, offset INTEGER, size INTEGER,
               UNIQUE (kind, id));
             CREATE TABLE oddity (kind TEXT, message TEXT);",
        )?;
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
            .prepare_cached("SELECT entry, size, absence, reason FROM file WHERE id = ?1")?
            .query_row([id], |row| {
                let absence: Option<u8> = row.get(2)?;
                Ok(
                    match absence.and_then(|number| Absence::ALL.get(usize::from(number))) {
                        Some(&absence) => FilePlace::Missing(Missing {
                            absence,
                            reason: row.get(3)?,
                            part: row.get(0)?,
                        }),
                        None => FilePlace::Packed {
                            entry: row.get(0)?,
                            size: u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default(),
                        },
                    },
                )
            })
            .optional()?;
        Ok(place)
    }

    /// Keeps what became of a file.
    pub fn remember_file(&self, id: &str, place: &FilePlace) -> Result<(), LedgerError> {
        let (entry, size, missing) = match place {
            FilePlace::Packed { entry, size } => (Some(entry), i64::try_from(*size).ok(), None),
            FilePlace::Missing(missing) => (missing.part.as_ref(), None, Some(missing)),
            FilePlace::LeftOut => return Ok(()),
        };
        let absence = missing.map(|missing| missing.absence as u8);
        let reason = missing.map(|missing| &missing.reason);
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO file (id, entry, size, absence, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id, entry, size, absence, reason])?;
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

    /// Keeps what replies, and the pages of a thread, show of it.
    pub fn remember_thread(&self, first: &str, thread: &KnownThread) -> Result<(), LedgerError> {
        let KnownThread { thread, last } = thread;
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO thread VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                first,
                thread.page,
                thread.ts,
                thread.author,
                thread.excerpt,
                thread.replies.cast_signed(),
                thread.number,
                last,
            ])?;
        Ok(())
    }

    /// Keeps what mails of replies say of their thread's first message.
    pub fn remember_root(&self, id: &str, root: &ThreadRoot) -> Result<(), LedgerError> {
        self.database
            .prepare_cached("INSERT OR REPLACE INTO mail_root VALUES (?1, ?2, ?3)")?
            .execute([id, &root.author, &root.excerpt])?;
        Ok(())
    }

    /// What was kept of a thread's first message.
    pub fn root(&self, id: &str) -> Result<Option<ThreadRoot>, LedgerError> {
        Ok(self
            .database
            .prepare_cached("SELECT author, excerpt FROM mail_root WHERE id = ?1")?
            .query_row([id], |row| {
                Ok(ThreadRoot {
                    author: row.get(0)?,
                    excerpt: row.get(1)?,
                })
            })
            .optional()?)
    }

    /// What was kept of a thread, by the `_id` of its first message.
    pub fn thread(&self, first: &str) -> Result<Option<KnownThread>, LedgerError> {
        Ok(self
            .database
            .prepare_cached(
                "SELECT page, ts, author, excerpt, replies, number, last FROM thread WHERE first = ?1",
            )?
            .query_row([first], |row| {
                Ok(KnownThread {
                    thread: Thread {
                        page: row.get(0)?,
                        ts: row.get(1)?,
                        author: row.get(2)?,
                        excerpt: row.get(3)?,
                        replies: row.get::<_, i64>(4)?.cast_unsigned(),
                        number: row.get(5)?,
                        ..Thread::default()
                    },
                    last: row.get(6)?,
                })
            })
            .optional()?)
    }

    /// Adds a day; they come in order.
    pub fn add_day(&self, day: &Day) -> Result<(), LedgerError> {
        self.database
            .prepare_cached("INSERT INTO day VALUES (?1, ?2, ?3)")?
            .execute(params![day.day, day.page, day.messages.cast_signed()])?;
        Ok(())
    }

    /// The days after one, in order, at most `limit` of them.
    pub fn days(&self, after: i64, limit: usize) -> Result<Vec<Day>, LedgerError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self
            .database
            .prepare_cached(
                "SELECT day, page, messages FROM day WHERE day > ?1 ORDER BY day LIMIT ?2",
            )?
            .query_map(params![after, limit], |row| {
                Ok(Day {
                    day: row.get(0)?,
                    page: row.get(1)?,
                    messages: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            })?
            .collect::<Result<_, _>>()?)
    }

    /// What is known of an author; `None` when it has not been looked up.
    pub fn author(&self, id: &str, username: &str) -> Result<Option<AuthorCard>, LedgerError> {
        Ok(self
            .database
            .prepare_cached("SELECT avatar, roles FROM author WHERE id = ?1 AND username = ?2")?
            .query_row([id, username], |row| {
                Ok(AuthorCard {
                    avatar: row.get(0)?,
                    roles: Roles(row.get(1)?),
                })
            })
            .optional()?)
    }

    /// Keeps what is known of an author.
    pub fn remember_author(
        &self,
        id: &str,
        username: &str,
        card: &AuthorCard,
    ) -> Result<(), LedgerError> {
        self.database
            .prepare_cached("INSERT OR REPLACE INTO author VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, username, card.avatar, card.roles.0])?;
        Ok(())
    }

    /// The entry of a custom emoji by a name that was asked for before; the inner `None` is one that cannot be shown.
    pub fn emoji(&self, name: &str) -> Result<Option<Option<String>>, LedgerError> {
        Ok(self
            .database
            .prepare_cached("SELECT entry FROM emoji WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?)
    }

    /// Keeps what a name of a custom emoji was found to be.
    pub fn remember_emoji(&self, name: &str, entry: Option<&str>) -> Result<(), LedgerError> {
        self.database
            .prepare_cached("INSERT OR REPLACE INTO emoji VALUES (?1, ?2)")?
            .execute(params![name, entry])?;
        Ok(())
    }

    /// The entry of a picture that was met before, by the `_id` of its record; the inner `None` is one that cannot be
    /// shown.
    pub fn picture(&self, kind: &str, id: &str) -> Result<Option<Option<String>>, LedgerError> {
        Ok(self
            .database
            .prepare_cached("SELECT entry FROM picture WHERE kind = ?1 AND id = ?2")?
            .query_row([kind, id], |row| row.get(0))
            .optional()?)
    }

    /// Keeps where a picture waits.
    pub fn remember_picture(
        &self,
        kind: &str,
        id: &str,
        entry: Option<&str>,
        offset: u64,
        size: u64,
    ) -> Result<(), LedgerError> {
        self.database
            .prepare_cached(
                "INSERT INTO picture (kind, id, entry, offset, size) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                kind,
                id,
                entry,
                offset.cast_signed(),
                size.cast_signed()
            ])?;
        Ok(())
    }

    /// Calls `each` for every picture that can be shown, in the order in which they were met.
    pub fn each_picture<E: From<LedgerError>>(
        &self,
        mut each: impl FnMut(Pictured) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = self
            .database
            .prepare_cached(
                "SELECT entry, offset, size FROM picture WHERE entry IS NOT NULL ORDER BY number",
            )
            .map_err(LedgerError)?;
        let mut rows = select.query([]).map_err(LedgerError)?;
        while let Some(row) = rows.next().map_err(LedgerError)? {
            each(Pictured {
                entry: row.get(0).map_err(LedgerError)?,
                offset: row.get::<_, i64>(1).map_err(LedgerError)?.cast_unsigned(),
                size: row.get::<_, i64>(2).map_err(LedgerError)?.cast_unsigned(),
            })?;
        }
        Ok(())
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
        assert_eq!(ledger.file("F").unwrap(), Some(packed));
        for absence in Absence::ALL {
            let missing = FilePlace::Missing(Missing {
                absence,
                reason: format!("{absence:?}"),
                part: (absence == Absence::Incomplete).then(|| "assets/G".into()),
            });
            ledger.remember_file("G", &missing).unwrap();
            assert_eq!(ledger.file("G").unwrap(), Some(missing));
        }
        assert_eq!(ledger.file("H").unwrap(), None);
    }
}
