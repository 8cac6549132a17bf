//! Importing a dump: all of it, once, whatever happens on the way.

#![expect(
    clippy::disallowed_methods,
    reason = "the files are made here and are small"
)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bson::{DateTime, doc};
use export_room::store::dump::Dump;
use export_room::store::sqlite::{ImportStep, SqliteSource, import};
use export_room::store::{StoreError, UploadId};
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use crate::sources::{id_of, import_quietly, make_pipe, messages, subjects_of, whole_room};
use crate::support::dump::{DumpBuilder, Form};

/// Enough small messages for several transactions, and a document in every kind of collection.
fn dump() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &doc! {"_id": "r", "t": "c", "name": "room"},
    );
    for n in 0..25_000_i64 {
        let at = (n * 7919) % 25_000;
        dump.add(
            "rocketchat_message",
            &doc! {"_id": format!("m{at:05}"), "rid": if at % 100 == 0 { "s" } else { "r" }, "ts": DateTime::from_millis(at / 2), "msg": "hello"},
        );
    }
    for collection in [
        "users",
        "rocketchat_subscription",
        "rocketchat_roles",
        "rocketchat_permissions",
        "rocketchat_settings",
        "rocketchat_uploads",
        "rocketchat_user_data_files",
        "rocketchat_custom_emoji",
        "rocketchat_avatars",
        "rocketchat_team",
        "rocketchat_team_member",
        "rocketchat_livechat_inquiry",
        "rocketchat_something_new",
    ] {
        for n in 0..3 {
            dump.add(collection, &doc! {"_id": format!("{collection}-{n}"), "u": {"_id": "u"}, "rid": "r", "userId": "u", "value": n});
        }
    }
    for bucket in ["rocketchat_uploads", "rocketchat_avatars", "custom_emoji"] {
        dump.add(
            &format!("{bucket}.files"),
            &doc! {"_id": "f", "length": 3, "chunkSize": 2},
        );
        for n in 0..2 {
            dump.add(
                &format!("{bucket}.chunks"),
                &doc! {"_id": bson::oid::ObjectId::new(), "files_id": "f", "n": n, "data": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0; 2] }},
            );
        }
    }
    // What has no _id is kept, each by itself.
    dump.add("system.profile", &doc! {"op": "query"});
    dump.add("system.profile", &doc! {"op": "insert"});
    dump.collections
        .insert("rocketchat_empty".to_owned(), Vec::new());
    dump
}

/// Every row of every table that holds documents, as text and bytes.
fn content(workspace: &Path) -> Vec<(String, Vec<u8>)> {
    let connection =
        Connection::open_with_flags(workspace, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut rows = Vec::new();
    for (table, key) in [
        ("room", "id"),
        ("user", "id"),
        ("subscription", "id"),
        ("upload", "id"),
        ("user_data_file", "id"),
        ("message", "rid || ts || id || marks || size"),
        ("chunk", "bucket || files_id || n"),
        ("document", "collection || id"),
    ] {
        let mut statement = connection
            .prepare(&format!(
                "SELECT '{table} ' || {key}, doc FROM {table} ORDER BY 1"
            ))
            .unwrap();
        let found = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.extend(found.map(Result::unwrap));
    }
    rows
}

fn integrity(workspace: &Path) -> String {
    Connection::open(workspace)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn every_document_of_every_collection_is_kept_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let dump = dump();
    let mut expected: Vec<Vec<u8>> = dump.collections.values().flatten().cloned().collect();
    expected.sort();
    let counts: BTreeMap<String, u64> = dump
        .collections
        .iter()
        .map(|(name, documents)| (name.clone(), documents.len() as u64))
        .collect();
    for form in Form::ALL {
        let path = dump.write(form, directory.path());
        let workspace = directory.path().join(format!("{form:?}.db"));
        let outcome = import_quietly(&path, &workspace);
        assert_eq!(
            (outcome.collections, outcome.already),
            (counts.clone(), false)
        );
        let mut actual: Vec<Vec<u8>> = content(&workspace)
            .into_iter()
            .map(|(_, doc)| doc)
            .collect();
        actual.sort();
        assert!(actual == expected, "{form:?}");
        assert_eq!(integrity(&workspace), "ok");
        assert_eq!(
            fs::metadata(&workspace).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(SqliteSource::open(&workspace).unwrap());
        for suffix in ["-wal", "-shm", "-journal"] {
            let beside = directory.path().join(format!("{form:?}.db{suffix}"));
            assert!(
                !beside.exists(),
                "the file alone is the workspace: {}",
                beside.display()
            );
        }
    }
}

#[test]
fn a_second_import_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = dump().write(Form::Directory, directory.path());
    let workspace = directory.path().join("x.db");
    let first = import_quietly(&path, &workspace);
    let before = content(&workspace);
    let second = import_quietly(&path, &workspace);
    assert!(second.already);
    assert_eq!(second.collections, first.collections);
    assert!(content(&workspace) == before);
    // The same documents from another dump: nothing to skip, and still nothing changes.
    let path = dump().write(Form::Directory, &directory.path().join("again"));
    fs::write(path.join("rocketchat/rocketchat_extra.bson"), b"").unwrap();
    assert!(!import_quietly(&path, &workspace).already);
    let chunks_aside = |rows: Vec<(String, Vec<u8>)>| -> Vec<_> {
        // Their _id is new in every dump that the builder makes.
        rows.into_iter()
            .filter(|(key, _)| !key.starts_with("chunk"))
            .collect()
    };
    assert!(chunks_aside(content(&workspace)) == chunks_aside(before));
}

#[tokio::test]
async fn a_newer_dump_replaces_what_it_has_and_leaves_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = directory.path().join("x.db");
    import_quietly(&dump().write(Form::Directory, directory.path()), &workspace);
    let mut newer = DumpBuilder::new();
    newer.add(
        "rocketchat_room",
        &doc! {"_id": "r", "t": "c", "name": "renamed"},
    );
    for message in [
        doc! {"_id": "m00001", "rid": "r", "ts": DateTime::from_millis(0), "msg": "edited"},
        doc! {"_id": "m00002", "rid": "r", "ts": DateTime::from_millis(99_999), "msg": "at another instant"},
        doc! {"_id": "m00003", "rid": "s", "ts": DateTime::from_millis(1), "msg": "in another room"},
        doc! {"_id": "new", "rid": "r", "ts": DateTime::from_millis(99_999), "msg": "new"},
    ] {
        newer.add("rocketchat_message", &message);
    }
    let path = newer.write(Form::Archive, directory.path());
    let [_, subject] = subjects_of("newer", &path, &workspace);
    let room = messages(&subject, &whole_room("r")).await;
    assert_eq!(room.len(), 24_750);
    let newest: Vec<String> = room[room.len() - 2..]
        .iter()
        .map(|bytes| id_of(bytes))
        .collect();
    assert_eq!(newest, ["m00002", "new"]);
    let edited = room.iter().find(|bytes| id_of(bytes) == "m00001").unwrap();
    let edited = bson::Document::from_reader(edited.as_slice()).unwrap();
    assert_eq!(edited.get_str("msg").unwrap(), "edited");
    assert_eq!(messages(&subject, &whole_room("s")).await.len(), 251);
    assert_eq!(
        subject.source.find_rooms("renamed", 2).await.unwrap().len(),
        1
    );
    assert_eq!(subject.source.find_rooms("room", 2).await.unwrap().len(), 0);
    let upload = UploadId("rocketchat_uploads-1".to_owned());
    assert!(subject.source.upload(&upload).await.unwrap().is_some());
    assert_eq!(integrity(&workspace), "ok");
}

/// Runs an import that is cancelled at the `stop`th word of progress.
fn interrupted(path: &Path, workspace: &Path, stop: usize) -> Result<(), StoreError> {
    let cancel = CancellationToken::new();
    let calls = Cell::new(0);
    import(
        &Dump::open(path).unwrap(),
        workspace,
        &mut |_| {
            calls.set(calls.get() + 1);
            if calls.get() == stop {
                cancel.cancel();
            }
        },
        &cancel,
    )
    .map(|_| ())
}

#[test]
fn a_cancelled_import_says_so_and_goes_on_where_it_was() {
    for form in [Form::Directory, Form::ArchiveGzip] {
        let directory = tempfile::tempdir().unwrap();
        let path = dump().write(form, directory.path());
        let straight = directory.path().join("straight.db");
        import_quietly(&path, &straight);
        let workspace = directory.path().join("x.db");
        let mut cancelled = 0;
        // Each attempt is stopped a little later, until one comes through.
        let mut stop = 1;
        while let Err(error) = interrupted(&path, &workspace, stop) {
            assert!(matches!(error, StoreError::Cancelled), "{error}");
            let error = SqliteSource::open(&workspace).unwrap_err().to_string();
            assert!(
                error.contains("is not finished") && error.contains("export-room import"),
                "{error}"
            );
            cancelled += 1;
            stop += 1;
        }
        assert!(cancelled > 2, "{form:?}: {cancelled}");
        assert!(content(&workspace) == content(&straight), "{form:?}");
        assert_eq!(integrity(&workspace), "ok");
        SqliteSource::open(&workspace).unwrap();
    }
}

#[test]
fn an_import_killed_at_any_point_is_completed_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let path = dump().write(Form::Directory, directory.path());
    let workspace = directory.path().join("x.db");
    // What a killed process leaves: the files as they are at that moment.
    let mut snapshots: Vec<(ImportStep, PathBuf)> = Vec::new();
    import(
        &Dump::open(&path).unwrap(),
        &workspace,
        &mut |progress| {
            if progress.step == ImportStep::Read && snapshots.len() > 4 {
                return;
            }
            let copy = directory.path().join(format!("killed-{}", snapshots.len()));
            fs::create_dir(&copy).unwrap();
            for name in ["x.db", "x.db-wal"] {
                fs::copy(directory.path().join(name), copy.join(name)).unwrap();
            }
            snapshots.push((progress.step, copy.join("x.db")));
        },
        &CancellationToken::new(),
    )
    .unwrap();
    let (_, finished) = snapshots.pop().unwrap();
    SqliteSource::open(&finished).unwrap();
    for step in [ImportStep::Read, ImportStep::Messages, ImportStep::Index] {
        assert!(snapshots.iter().any(|(of, _)| *of == step), "{step:?}");
    }
    for (step, killed) in snapshots {
        let error = SqliteSource::open(&killed).unwrap_err().to_string();
        assert!(error.contains("is not finished"), "{step:?}: {error}");
        import_quietly(&path, &killed);
        assert!(content(&killed) == content(&workspace), "{step:?}");
        assert_eq!(integrity(&killed), "ok");
    }
}

#[test]
fn another_dump_is_refused_while_an_import_is_not_finished() {
    let directory = tempfile::tempdir().unwrap();
    let first = dump().write(Form::Directory, directory.path());
    let workspace = directory.path().join("x.db");
    // Late enough that messages are written already.
    let total = Cell::new(0);
    import(
        &Dump::open(&first).unwrap(),
        &directory.path().join("y.db"),
        &mut |_| total.set(total.get() + 1),
        &CancellationToken::new(),
    )
    .unwrap();
    interrupted(&first, &workspace, total.get() - 5).unwrap_err();
    let killed = content(&workspace);
    let other = newer().write(Form::Archive, directory.path());
    for _ in 0..2 {
        let error = refused(&other, &workspace);
        assert!(matches!(error, StoreError::NotOurs(_)), "{error}");
        let text = error.to_string();
        for word in [
            first.to_str().unwrap(),
            workspace.to_str().unwrap(),
            "is not finished",
            "start with a new file",
        ] {
            assert!(text.contains(word), "{text}");
        }
        assert!(!text.contains('\n'));
        assert!(content(&workspace) == killed);
        SqliteSource::open(&workspace).unwrap_err();
    }
    import_quietly(&first, &workspace);
    import_quietly(&other, &workspace);
    let copies = content(&workspace)
        .into_iter()
        .filter(|(key, _)| key.contains("m00001"))
        .count();
    assert_eq!(copies, 1);
    assert_eq!(integrity(&workspace), "ok");
}

/// A dump with one message that [`dump`] has too, and some that it has not.
fn newer() -> DumpBuilder {
    let mut newer = DumpBuilder::new();
    for n in 0..5 {
        newer.add("rocketchat_room", &doc! {"_id": format!("new-{n}")});
    }
    newer.add(
        "rocketchat_message",
        &doc! {"_id": "m00001", "rid": "elsewhere", "ts": DateTime::from_millis(0)},
    );
    newer
}

/// The error of an import that cannot succeed.
fn refused(path: &Path, workspace: &Path) -> StoreError {
    import(
        &Dump::open(path).unwrap(),
        workspace,
        &mut |_| {},
        &CancellationToken::new(),
    )
    .unwrap_err()
}

#[test]
fn a_damaged_dump_leaves_a_finished_workspace_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = directory.path().join("x.db");
    let whole = dump().write(Form::Directory, directory.path());
    import_quietly(&whole, &workspace);
    let before = content(&workspace);
    for form in Form::ALL {
        let place = directory.path().join(format!("damaged-{form:?}"));
        fs::create_dir(&place).unwrap();
        let path = newer().write(form, &place);
        // The last file, so that all others would have been written before.
        let file = if path.is_dir() {
            let mut files: Vec<_> = fs::read_dir(path.join("rocketchat"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.to_str().unwrap().contains("_room.bson"))
                .collect();
            files.sort();
            files.pop().unwrap()
        } else {
            path.clone()
        };
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
        let error = refused(&path, &workspace);
        assert!(matches!(error, StoreError::Corrupt(_)), "{form:?}: {error}");
        // Stopped while it is checked, it has changed nothing either.
        interrupted(&path, &workspace, 1).unwrap_err();
        SqliteSource::open(&workspace).unwrap();
        assert!(content(&workspace) == before, "{form:?}");
        assert!(import_quietly(&whole, &workspace).already);
        // Whole again it is taken, and only then.
        fs::write(&file, &bytes).unwrap();
        let copy = directory.path().join(format!("{form:?}.db"));
        fs::copy(&workspace, &copy).unwrap();
        import_quietly(&path, &copy);
        assert!(content(&copy) != before, "{form:?}");
    }
}

#[test]
fn progress_only_goes_forward_and_arrives() {
    let directory = tempfile::tempdir().unwrap();
    import_quietly(
        &newer().write(Form::Directory, &directory.path().join("newer")),
        &directory.path().join("again.db"),
    );
    // The last one is read twice.
    let names = ["a.db", "b.db", "c.db", "d.db"];
    assert_eq!(names.len(), Form::ALL.len());
    for (form, name) in Form::ALL
        .into_iter()
        .zip(names)
        .chain([(Form::Directory, "again.db"), (Form::Archive, "again.db")])
    {
        let path = dump().write(form, directory.path());
        let mut all: Vec<(ImportStep, u64, u64)> = Vec::new();
        let mut documents = 0;
        let outcome = import(
            &Dump::open(&path).unwrap(),
            &directory.path().join(name),
            &mut |progress| {
                assert!(progress.documents >= documents);
                documents = progress.documents;
                all.push((progress.step, progress.done, progress.total));
            },
            &CancellationToken::new(),
        )
        .unwrap();
        assert_eq!(documents, outcome.collections.values().sum::<u64>());
        for step in [ImportStep::Read, ImportStep::Messages, ImportStep::Index] {
            let done: Vec<u64> = all
                .iter()
                .filter(|(of, ..)| *of == step)
                .map(|(_, done, _)| *done)
                .collect();
            assert!(done.is_sorted(), "{form:?} {step:?}: {done:?}");
            let (_, last, total) = all.iter().rfind(|(of, ..)| *of == step).unwrap();
            assert_eq!(last, total, "{form:?} {step:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let dump = Dump::open(&dump().write(Form::Archive, directory.path())).unwrap();
    let sqlite = |name: &str, pragmas: &str| {
        let path = directory.path().join(name);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(pragmas).unwrap();
        connection
            .execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
            .unwrap();
        path
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let newer = directory.path().join("newer.db");
    import_quietly(dump.path(), &newer);
    Connection::open(&newer)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let damaged = file(
        "damaged.db",
        &[b"SQLite format 3\0".as_slice(), &[0xab; 5000]].concat(),
    );
    for (path, text) in [
        (sqlite("other.db", ""), "another program's SQLite database"),
        (
            sqlite("firefox.db", "PRAGMA application_id = 7"),
            "another program's SQLite database",
        ),
        (
            file("notes.txt", b"dear diary, today I wrote a text file"),
            "no SQLite database",
        ),
        (file("short.db", b"SQL"), "no SQLite database"),
        (newer, "newer Export Room"),
        (damaged, "damaged"),
    ] {
        let before = fs::read(&path).unwrap();
        let read = SqliteSource::open(&path).unwrap_err();
        let write = import(&dump, &path, &mut |_| {}, &CancellationToken::new()).unwrap_err();
        for error in [read.to_string(), write.to_string()] {
            assert!(
                error.contains(text) && error.contains(path.to_str().unwrap()),
                "{error}"
            );
            assert!(!error.contains('\n'));
        }
        assert!(
            fs::read(&path).unwrap() == before,
            "{} was changed",
            path.display()
        );
    }
    // An empty file is no workspace to read from; to import into it is as good as none.
    let empty = file("empty.db", b"");
    assert!(SqliteSource::open(&empty).is_err());
    import_quietly(dump.path(), &empty);
    SqliteSource::open(&empty).unwrap();
    // So is a database that was killed while it was made.
    let begun = directory.path().join("begun.db");
    Connection::open(&begun)
        .unwrap()
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .unwrap();
    assert!(fs::metadata(&begun).unwrap().len() > 0);
    assert!(SqliteSource::open(&begun).is_err());
    import_quietly(dump.path(), &begun);
    SqliteSource::open(&begun).unwrap();
    assert!(matches!(
        SqliteSource::open(directory.path()).unwrap_err(),
        StoreError::Io { .. }
    ));
    let none = directory.path().join("none.db");
    assert_eq!(
        SqliteSource::open(&none).unwrap_err().to_string(),
        format!(
            "there is no {}; make it with `export-room import`",
            none.display()
        )
    );
    assert!(!none.exists());
    let pipe = directory.path().join("pipe.db");
    make_pipe(&pipe);
    for error in [
        SqliteSource::open(&pipe).unwrap_err(),
        import(&dump, &pipe, &mut |_| {}, &CancellationToken::new()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}

#[test]
fn a_damaged_dump_leaves_no_file_behind() {
    let directory = tempfile::tempdir().unwrap();
    let mut archive = dump().archive();
    archive.truncate(archive.len() - 10);
    let path = directory.path().join("cut.archive");
    fs::write(&path, archive).unwrap();
    let workspace = directory.path().join("x.db");
    let error = import(
        &Dump::open(&path).unwrap(),
        &workspace,
        &mut |_| {},
        &CancellationToken::new(),
    )
    .unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["cut.archive"]);
}

#[test]
fn a_disk_that_is_too_small_is_noticed_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = dump().write(Form::Directory, directory.path());
    // A file with a hole of a petabyte: it takes no space itself.
    let huge = fs::File::create(path.join("rocketchat/rocketchat_huge.bson")).unwrap();
    if huge.set_len(1 << 42).is_err() {
        huge.set_len(1 << 40).unwrap();
    }
    let workspace = directory.path().join("x.db");
    let error = import(
        &Dump::open(&path).unwrap(),
        &workspace,
        &mut |_| {},
        &CancellationToken::new(),
    )
    .unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    assert!(!workspace.exists());
}
