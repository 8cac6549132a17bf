//! The file: what marks it as ours, its tables, how it is opened.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::tables;
use crate::store::StoreError;

/// `application_id` of our files: the letters of `ExRm`.
const APPLICATION_ID: i32 = 0x4578_526d;
/// `user_version`: raised with every change that older programs cannot read.
const VERSION: i32 = 2;
/// Bytes of a page. Messages of a few kilobytes stay in their leaf, and a chunk of a file takes 16 pages.
const PAGE_SIZE: u32 = 16384;

/// One table per collection that is looked up by more than its `_id`; all others are in `document`. `doc` is the whole
/// document as BSON. The unique index on the ids of messages is apart ([`MESSAGE_IDS`]): a first import builds it last.
const TABLES: &str = "
CREATE TABLE room(id TEXT PRIMARY KEY, t TEXT, name TEXT, fname TEXT, doc BLOB NOT NULL);
CREATE INDEX room_name ON room(name);
CREATE INDEX room_fname ON room(fname);
CREATE TABLE user(id TEXT PRIMARY KEY, username TEXT, doc BLOB NOT NULL);
CREATE INDEX user_username ON user(username);
CREATE TABLE subscription(id TEXT PRIMARY KEY, rid TEXT, uid TEXT, doc BLOB NOT NULL);
CREATE INDEX subscription_room ON subscription(rid, uid);
CREATE INDEX subscription_user ON subscription(uid);
CREATE TABLE upload(id TEXT PRIMARY KEY, rid TEXT, size INTEGER, thumb INTEGER NOT NULL, doc BLOB NOT NULL);
CREATE INDEX upload_room ON upload(rid, thumb, size);
CREATE TABLE user_data_file(id TEXT PRIMARY KEY, user_id TEXT, doc BLOB NOT NULL);
CREATE INDEX user_data_file_user ON user_data_file(user_id);
CREATE TABLE message(rid TEXT NOT NULL, ts INTEGER NOT NULL, id TEXT NOT NULL, marks INTEGER NOT NULL, size INTEGER NOT NULL,
  doc BLOB NOT NULL, PRIMARY KEY(rid, ts, id)) WITHOUT ROWID;
CREATE INDEX message_outline ON message(rid, ts, id, marks, size);
CREATE INDEX message_marked ON message(rid, ts, id, marks) WHERE marks <> 0;
CREATE TABLE chunk(bucket TEXT NOT NULL, files_id TEXT NOT NULL, n INTEGER NOT NULL, doc BLOB NOT NULL,
  PRIMARY KEY(bucket, files_id, n)) WITHOUT ROWID;
CREATE TABLE document(collection TEXT NOT NULL, id TEXT NOT NULL, doc BLOB NOT NULL,
  PRIMARY KEY(collection, id)) WITHOUT ROWID;
CREATE TABLE import(one INTEGER PRIMARY KEY CHECK(one = 1), source TEXT NOT NULL, fingerprint TEXT NOT NULL,
  finished INTEGER NOT NULL, last_message BLOB);
CREATE TABLE import_collection(collection TEXT PRIMARY KEY, documents INTEGER NOT NULL) WITHOUT ROWID;
";

/// What documents are found by that is not a column of their table: several for one document, or one of few documents
/// of a collection in `document`. `tables::put` keeps it. A table of its own, so that a file made without it gets it when
/// it is opened for writing and stays readable for the program that made it.
const KEYS: &str = "
CREATE TABLE found_by(kind TEXT NOT NULL, id TEXT NOT NULL, key NOT NULL, PRIMARY KEY(kind, id, key)) WITHOUT ROWID;
CREATE INDEX found_by_key ON found_by(kind, key);
";

/// Sees to it that no message can be there twice.
pub(super) const MESSAGE_IDS: &str = "CREATE UNIQUE INDEX IF NOT EXISTS message_id ON message(id)";

/// What a connection is for; decides how much it may hold in memory.
const READ_PRAGMAS: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA mmap_size = 0; PRAGMA temp_store = FILE; \
     PRAGMA busy_timeout = 30000;";
const WRITE_PRAGMAS: &str = "PRAGMA cache_size = -16384; PRAGMA mmap_size = 0; PRAGMA temp_store = FILE; \
     PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 30000;";
/// `synchronous = FULL`: what was said to be accepted survives a power cut (sqlite.org/pragma.html).
const SERVE_PRAGMAS: &str = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA cache_size = -2048; PRAGMA mmap_size = 0; PRAGMA temp_store = FILE; PRAGMA foreign_keys = OFF;";

/// An empty workspace in a file of its own that vanishes with the connection.
pub(crate) fn temporary() -> Result<Connection, StoreError> {
    let connection = Connection::open("")?;
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048; PRAGMA temp_store = FILE;",
    )?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(KEYS)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// SQLite's "database or disk is full" of a [`temporary`] workspace, with the directory that it is in.
pub(crate) fn name_full_temporary(error: StoreError) -> StoreError {
    match error {
        StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            StoreError::TemporaryFull {
                path: temporary_directory(),
            }
        }
        other => other,
    }
}

/// Where SQLite puts its temporary files (sqlite.org/tempfiles.html, 5).
fn temporary_directory() -> PathBuf {
    let named = ["SQLITE_TMPDIR", "TMPDIR"]
        .into_iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from);
    let usual = ["/var/tmp", "/usr/tmp", "/tmp"].map(PathBuf::from);
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    named
        .chain(usual)
        .find(|path| path.is_dir() && rustix::fs::access(path, access).is_ok())
        .unwrap_or_else(|| PathBuf::from("."))
}

/// Opens a workspace to read its messages from front to end: what was read is not needed again.
pub(super) fn open_to_stream(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_to_read(path)?;
    connection.execute_batch("PRAGMA cache_size = -256;")?;
    Ok(connection)
}

/// Opens a workspace for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    // A connection that could write removes the files that WAL puts beside the database when it closes as the last one;
    // `query_only` keeps it from writing. What is perhaps another program's is not even opened like that.
    let access = if check_file(path)? {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    };
    let open = |immutable: bool| -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
            | if immutable {
                OpenFlags::SQLITE_OPEN_READ_ONLY
            } else {
                access
            };
        let connection = if immutable {
            Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        } else {
            Connection::open_with_flags(path, flags)?
        };
        connection.execute_batch(READ_PRAGMAS)?;
        // The first real access: the file beside it that WAL needs may be impossible to create.
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        Ok(connection)
    };
    let connection = match open(false) {
        // A file that was closed properly needs no other file: on read-only media it is read as it is.
        Err(error) if cannot_open(&error) && !has_journal(path) => open(true),
        other => other,
    }
    .map_err(|error| not_a_workspace(path, error))?;
    check_identity(&connection, path)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Opens a workspace for writing; makes one when there is none. `true` when it was made.
pub(super) fn open_to_write(path: &Path) -> Result<(Connection, bool), StoreError> {
    let new = match fs::metadata(path) {
        Ok(found) => found.is_file() && found.len() == 0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            create_private(path)?;
            true
        }
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    if !new {
        check_file(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(32);
    // One that was killed while it was made has nothing in it yet.
    let unmade = new || is_blank(&connection).map_err(|error| not_a_workspace(path, error))?;
    if unmade {
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
        connection.execute_batch("PRAGMA journal_mode = WAL")?;
        connection.execute_batch(WRITE_PRAGMAS)?;
        let transaction = connection.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(KEYS)?;
        transaction.commit()?;
    } else {
        connection.execute_batch(WRITE_PRAGMAS)?;
        check_identity(&connection, path)?;
        add_keys(&mut connection)?;
    }
    Ok((connection, unmade))
}

/// Opens a workspace whose import is finished for reading and writing, as a server does: what is committed is durable.
///
/// The same refusals as for reading, and [`StoreError::NotOurs`] when it cannot be written to.
pub(crate) fn open_to_serve(path: &Path) -> Result<Connection, StoreError> {
    let ours = check_file(path)?;
    let open = || -> Result<Connection, StoreError> {
        let access = if ours {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        } else {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        };
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)
            .map_err(|error| not_a_workspace(path, error))?;
        check_identity(&connection, path)?;
        connection
            .execute_batch(SERVE_PRAGMAS)
            .map_err(|error| not_a_workspace(path, error))?;
        check_finished(&connection, path)?;
        add_keys(&mut connection)?;
        // Takes the right to write and gives it back.
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(|error| match error {
        StoreError::Sqlite(error) if cannot_open(&error) => StoreError::NotOurs(format!(
            "{} cannot be written to, and a server keeps its jobs in it; let this user write to the file and its directory",
            path.display()
        )),
        other => other,
    })
}

/// Refuses a workspace that an import has not finished.
pub(super) fn check_finished(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let unfinished: Option<String> = connection
        .query_row("SELECT source FROM import WHERE finished = 0", [], |row| {
            row.get(0)
        })
        .optional()?;
    match unfinished {
        Some(source) => Err(StoreError::NotOurs(format!(
            "the import of {source} into {} is not finished; run `export-room import` with the same arguments again",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Adds [`KEYS`] to a file that was made without them.
fn add_keys(connection: &mut Connection) -> Result<(), StoreError> {
    let there = |connection: &Connection| {
        connection.query_row(
            "SELECT EXISTS(SELECT 1 FROM sqlite_master WHERE name = 'found_by')",
            [],
            |row| row.get::<_, bool>(0),
        )
    };
    if there(connection)? && !tables::lacks_pictures(connection)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    if !there(&transaction)? {
        transaction.execute_batch(KEYS)?;
        tables::put_all_keys(&transaction)?;
    } else if tables::lacks_pictures(&transaction)? {
        tables::put_all_keys(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

/// A workspace holds password hashes and private talk: nobody else may read it.
fn create_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(StoreError::io("create", path))
}

/// Looks at the header before SQLite may touch anything; `true` when it has our mark (sqlite.org/fileformat2.html, 1.3).
fn check_file(path: &Path) -> Result<bool, StoreError> {
    let not_ours = |what| {
        Err(StoreError::NotOurs(format!(
            "{} is no workspace of Export Room: it is {what}; make one with `export-room import`",
            path.display()
        )))
    };
    match fs::metadata(path) {
        // Opening a pipe would wait for someone who writes into it.
        Ok(found) if !found.is_file() && !found.is_dir() => return not_ours("no regular file"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::NotOurs(format!(
                "there is no {}; make it with `export-room import`",
                path.display()
            )));
        }
        _ => {}
    }
    let mut file = fs::File::open(path).map_err(StoreError::io("open", path))?;
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(b"SQLite format 3\0") => {
            Ok(header[68..72] == APPLICATION_ID.to_be_bytes())
        }
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(StoreError::io("read", path)(error))
        }
        _ => not_ours("no SQLite database"),
    }
}

/// Whether nobody has put anything into the database.
fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(id == 0 && objects == 0)
}

fn check_identity(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let id = pragma("application_id").map_err(|error| not_a_workspace(path, error))?;
    if id != APPLICATION_ID {
        return Err(StoreError::NotOurs(format!(
            "{} is no workspace of Export Room: it is another program's SQLite database; name another file",
            path.display()
        )));
    }
    let version = pragma("user_version")?;
    if version != VERSION {
        let (age, what) = if version < VERSION {
            ("an older", "import the dump again into a new file")
        } else {
            ("a newer", "use that one, or import the dump again")
        };
        return Err(StoreError::NotOurs(format!(
            "{} was made by {age} Export Room (format {version}, this program reads {VERSION}); {what}",
            path.display()
        )));
    }
    Ok(())
}

fn not_a_workspace(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Corrupt(format!(
            "{} is damaged ({error}); import the dump again into a new file",
            path.display()
        )),
        _ => error.into(),
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

/// Whether changes wait in the file beside it that are not in the database yet.
fn has_journal(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    fs::metadata(name).is_ok_and(|found| found.len() > 0)
}

fn immutable_uri(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_temporary_disk_is_named_with_what_to_do() {
        let catalogue = temporary().unwrap();
        catalogue
            .execute_batch("PRAGMA max_page_count = 40")
            .unwrap();
        let error = catalogue
            .execute_batch("INSERT INTO room VALUES('r', 'c', 'n', 'f', zeroblob(1 << 20))")
            .unwrap_err();
        let error = name_full_temporary(error.into());
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(
            text.starts_with("the disk of the temporary directory /")
                && text.ends_with("another disk"),
            "{text}"
        );
    }
}
