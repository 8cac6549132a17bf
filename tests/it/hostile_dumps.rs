//! Dumps that are cut off, damaged, made to do harm, or not dumps at all: one line says what and what to do.

#![expect(
    clippy::disallowed_methods,
    reason = "the files are made here and are small"
)]

use std::fs;
use std::path::Path;

use bson::{Bson, DateTime, doc};
use export_room::blob::BlobKey;
use export_room::store::dump::{Dump, DumpSource};
use export_room::store::{Selection, StoreError};
use tokio_util::sync::CancellationToken;

use crate::sources::{id_of, make_pipe, messages, read_blob, subjects_of, whole_room};
use crate::support::dump::{DumpBuilder, Form, archive, gzip};

/// Reads all of a dump; the number of its documents.
fn read(path: &Path) -> Result<usize, StoreError> {
    let mut count = 0;
    Dump::open(path)?.scan(
        &|_| true,
        &CancellationToken::new(),
        &mut |_| {},
        &mut |_| {
            count += 1;
            Ok(())
        },
    )?;
    Ok(count)
}

/// The error's text, after checking that it is one line which names the path.
fn refusal(path: &Path) -> String {
    let error = read(path).expect_err(&path.display().to_string());
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(
        text.contains(path.file_name().unwrap().to_str().unwrap()),
        "{text}"
    );
    text
}

fn small() -> DumpBuilder {
    let mut dump = DumpBuilder::new();
    dump.add(
        "rocketchat_room",
        &doc! {"_id": "r", "t": "c", "name": "room"},
    );
    for n in 0..7 {
        dump.add("rocketchat_message", &doc! {"_id": format!("m{n}"), "rid": "r", "ts": DateTime::from_millis(n), "msg": "hello"});
    }
    dump
}

#[test]
fn an_archive_cut_off_anywhere_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small().archive();
    let path = directory.path().join("dump.archive");
    fs::write(&path, &whole).unwrap();
    assert_eq!(read(&path).unwrap(), 8);
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let text = refusal(&path);
        if end > 4 {
            assert!(
                text.contains("cut off") && text.contains("dump again"),
                "{end}: {text}"
            );
        } else {
            assert!(
                text.contains("no dump") || text.contains("cut off"),
                "{end}: {text}"
            );
        }
    }
}

#[test]
fn a_packed_file_cut_off_anywhere_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = small().write(Form::DirectoryGzip, directory.path());
    let file = path.join("rocketchat/rocketchat_message.bson.gz");
    let whole = fs::read(&file).unwrap();
    for end in 0..whole.len() {
        fs::write(&file, &whole[..end]).unwrap();
        let error = read(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{end}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("rocketchat_message.bson.gz") && text.contains("dump again"),
            "{end}: {text}"
        );
    }
}

#[test]
fn a_plain_file_cut_off_inside_a_document_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let dump = small();
    let path = dump.write(Form::Directory, directory.path());
    let file = path.join("rocketchat/rocketchat_message.bson");
    let whole = fs::read(&file).unwrap();
    let size = dump.collections["rocketchat_message"][0].len();
    for end in 0..whole.len() {
        fs::write(&file, &whole[..end]).unwrap();
        match read(&path) {
            Ok(count) => assert_eq!((end % size, count), (0, 1 + end / size)),
            Err(error) => {
                let text = error.to_string();
                assert!(end % size != 0 && text.contains("cut off"), "{end}: {text}");
                assert!(
                    text.contains(&format!("at byte {}", end / size * size)),
                    "{end}: {text}"
                );
            }
        }
    }
}

#[test]
fn a_flipped_byte_in_an_archive_never_goes_unnoticed_in_a_document() {
    let directory = tempfile::tempdir().unwrap();
    let dump = small();
    let whole = dump.archive();
    let path = directory.path().join("dump.archive");
    let documents: Vec<&Vec<u8>> = dump.collections.values().flatten().collect();
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            fs::write(&path, &damaged).unwrap();
            let in_document = documents.iter().any(|document| {
                let start = whole
                    .windows(document.len())
                    .position(|window| window == document.as_slice())
                    .unwrap();
                (start..start + document.len()).contains(&at)
            });
            if in_document {
                refusal(&path);
            } else {
                // Names and notes may change without harm; what counts is that nothing breaks.
                let _ = read(&path);
                let _ = DumpSource::open(&path, None, CancellationToken::new());
            }
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_before_memory_is_taken_for_them() {
    let directory = tempfile::tempdir().unwrap();
    for length in [
        i32::MIN,
        -2,
        -1,
        0,
        4,
        (16 << 20) + (16 << 10) + 1,
        i32::MAX,
    ] {
        let mut dump = small();
        dump.add_raw(
            "rocketchat_message",
            [&length.to_le_bytes()[..], &[0; 100]].concat(),
        );
        for form in Form::ALL {
            // In an archive -1 ends a block, and what follows it is no block.
            let path = dump.write(form, directory.path());
            let error = read(&path).unwrap_err();
            assert!(
                matches!(error, StoreError::Corrupt(_)),
                "{length} {form:?}: {error}"
            );
        }
    }
}

#[test]
fn a_gigabyte_of_packed_nothing_is_refused_at_its_first_byte() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = small().write(Form::DirectoryGzip, directory.path());
    let file = fs::File::create(path.join("rocketchat/rocketchat_message.bson.gz")).unwrap();
    let mut bomb = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        bomb.write_all(&zeros).unwrap();
    }
    bomb.finish().unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.contains("at byte 0 of its unpacked data"), "{error}");
}

#[test]
fn several_gzip_members_are_read_and_anything_else_behind_them_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let dump = small();
    let path = dump.write(Form::DirectoryGzip, directory.path());
    let file = path.join("rocketchat/rocketchat_message.bson.gz");
    let plain = dump.collections["rocketchat_message"].concat();
    let members = [
        gzip(&plain[..50]),
        gzip(&plain[50..51]),
        gzip(b""),
        gzip(&plain[51..]),
    ]
    .concat();
    fs::write(&file, &members).unwrap();
    assert_eq!(read(&path).unwrap(), 8);
    let follows = "something follows the end of the gzip data";
    for (garbage, text) in [
        (&b"x"[..], follows),
        (b"garbage behind the end", follows),
        (&[0; 20], follows),
        (b"\x1fgarbage behind the end", follows),
        (b"\x1f\x8b", "cut off"),
        (&gzip(b"more")[..10], "cut off"),
    ] {
        fs::write(&file, [&members, garbage].concat()).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt(found) if found.contains(text)),
            "{garbage:?}: {error}"
        );
    }
    // The content decides, not the name: a plain file called .gz is damaged, a packed one called .bson is read.
    fs::write(&file, &plain).unwrap();
    assert!(
        read(&path)
            .unwrap_err()
            .to_string()
            .contains("does not begin as gzip data")
    );
    fs::remove_file(&file).unwrap();
    fs::write(
        path.join("rocketchat/rocketchat_message.bson"),
        gzip(&plain),
    )
    .unwrap();
    assert_eq!(read(&path).unwrap(), 8);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_no_rocket_chat_dump_is_named_and_told_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let mut other = DumpBuilder::of("shop");
    other
        .add("orders", &doc! {"_id": 1})
        .add("customers", &doc! {"_id": 1});
    let mut half = DumpBuilder::of("rocketchat");
    half.add("rocketchat_room", &doc! {"_id": 1});
    let twice = place("twice");
    small().write_directory(&twice.join("a"), false);
    small().write_directory(&twice.join("b"), true);
    let both = place("both");
    small().write_directory(&both, false);
    small().write_directory(&both, true);
    let single = place("single");
    small().write_directory(&single.join("rocketchat"), false);
    let mut second = small();
    second.database = "second".to_owned();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    for (path, words) in [
        (
            other.write(Form::Directory, &place("o1")),
            vec!["none of its databases (shop)", "rocketchat_room"],
        ),
        (
            other.write(Form::Directory, &place("o2")).join("shop"),
            vec![
                "lacks rocketchat_room and rocketchat_message",
                "customers, orders",
            ],
        ),
        (
            other.write(Form::Archive, &place("o3")),
            vec!["database shop lacks", "customers, orders"],
        ),
        (
            half.write(Form::Directory, &place("h1")).join("rocketchat"),
            vec!["lacks rocketchat_message"],
        ),
        (
            half.write(Form::ArchiveGzip, &place("h2")),
            vec!["lacks rocketchat_message"],
        ),
        (
            twice,
            vec![
                "several Rocket.Chat databases (a, b)",
                "name the directory of one",
            ],
        ),
        (
            file("two.archive", &archive(&[&small(), &second])),
            vec!["several Rocket.Chat databases (rocketchat, second)", "--db"],
        ),
        (
            file("others.archive", &archive(&[&other, &half])),
            vec!["none of its databases (rocketchat, shop)"],
        ),
        (
            place("empty"),
            vec!["no .bson or .bson.gz files", "mongodump"],
        ),
        (
            single.join("rocketchat/rocketchat_room.bson"),
            vec!["one collection of a dump", "directory"],
        ),
        (
            file(
                "rocketchat_users.bson.gz",
                &gzip(&doc! {}.to_vec().unwrap()),
            ),
            vec!["one collection of a dump"],
        ),
        (
            file("notes.txt", b"dear diary"),
            vec!["no dump", "mongodump --archive"],
        ),
        (file("nothing", b""), vec!["no dump"]),
        (file("tiny", b"ab"), vec!["no dump"]),
        (file("picture.gz", &gzip(b"\x89PNG")), vec!["no dump"]),
        (
            file("x.tar.gz", b"no gzip at all"),
            vec!["does not begin as gzip data"],
        ),
    ] {
        let text = refusal(&path);
        for word in words {
            assert!(text.contains(word), "{}: {text}", path.display());
        }
    }
    let text = read(&both).unwrap_err().to_string();
    assert!(text.contains("the same collection twice"), "{text}");
    let none = directory.path().join("none");
    assert!(matches!(
        read(&none).unwrap_err(),
        StoreError::Io { action: "open", .. }
    ));
    // An archive of the whole server is fine when one database is Rocket.Chat's.
    let path = file("server.archive", &archive(&[&other, &small()]));
    assert_eq!(
        Dump::open(&path).unwrap().collections(),
        ["rocketchat_message", "rocketchat_room"]
    );
    assert_eq!(read(&path).unwrap(), 8);
}

#[test]
fn a_wrong_checksum_names_the_collection() {
    let directory = tempfile::tempdir().unwrap();
    let whole = small().archive();
    let at = whole
        .windows(5)
        .position(|window| window == b"hello")
        .unwrap();
    let mut damaged = whole;
    damaged[at] = b'H';
    for (name, bytes) in [("a.archive", damaged.clone()), ("a.gz", gzip(&damaged))] {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let text = refusal(&path);
        assert!(
            text.contains("the checksum of rocketchat_message is"),
            "{text}"
        );
    }
}

#[test]
fn a_cancelled_scan_stops() {
    let directory = tempfile::tempdir().unwrap();
    for form in Form::ALL {
        let path = small().write(form, directory.path());
        let cancel = CancellationToken::new();
        cancel.cancel();
        let scanned = Dump::open(&path)
            .unwrap()
            .scan(&|_| true, &cancel, &mut |_| {}, &mut |_| Ok(()));
        assert!(matches!(scanned, Err(StoreError::Cancelled)), "{form:?}");
        let opened = DumpSource::open(&path, None, cancel);
        assert!(matches!(opened, Err(StoreError::Cancelled)), "{form:?}");
    }
}

#[tokio::test]
async fn odd_documents_are_kept_for_the_renderer_to_judge() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = small();
    let long = "x".repeat(100_000);
    let huge = "y".repeat((16 << 20) - 200);
    for message in [
        doc! {"_id": "with\0zero", "rid": "r", "ts": DateTime::from_millis(-5)},
        doc! {"_id": &long, "rid": "r", "ts": DateTime::from_millis(-4)},
        doc! {"_id": "huge", "rid": "r", "ts": DateTime::from_millis(-3), "msg": huge},
        doc! {"_id": "zero room", "rid": "r\0", "ts": DateTime::from_millis(-2)},
        doc! {"_id": "last", "rid": "r", "ts": DateTime::from_millis(i64::MAX)},
    ] {
        dump.add("rocketchat_message", &message);
    }
    // An element of an unknown type in the middle: what stands before it counts.
    let mut broken =
        doc! {"_id": "broken", "rid": "r", "ts": DateTime::from_millis(-1), "msg": "text"}
            .to_vec()
            .unwrap();
    let at = broken
        .windows(4)
        .position(|window| window == b"msg\0")
        .unwrap()
        - 1;
    broken[at] = 0x77;
    dump.add_raw("rocketchat_message", broken);
    for form in Form::ALL {
        let path = dump.write(form, directory.path());
        for subject in subjects_of("", &path, &directory.path().join(format!("{form:?}.db"))) {
            let ids: Vec<String> = messages(&subject, &whole_room("r"))
                .await
                .iter()
                .map(|bytes| {
                    if bytes.windows(6).any(|window| window == b"broken") {
                        "broken".to_owned()
                    } else {
                        id_of(bytes)
                    }
                })
                .collect();
            let expected = [
                "with\0zero",
                &long,
                "huge",
                "broken",
                "m0",
                "m1",
                "m2",
                "m3",
                "m4",
                "m5",
                "m6",
                "last",
            ];
            assert_eq!(ids, expected, "{}", subject.name);
            assert_eq!(messages(&subject, &whole_room("r\0")).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn messages_without_id_are_kept_each_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = small();
    let at = DateTime::from_millis(3);
    let ids = [
        doc! {"rid": "r", "ts": at, "msg": "who am I"},
        doc! {"_id": null, "rid": "r", "ts": at, "msg": "and I"},
        doc! {"_id": Bson::Undefined, "rid": "r", "ts": at},
        doc! {"_id": "", "rid": "r", "ts": at, "file": {"_id": "f"}},
        doc! {"rid": "r", "msg": "when am I"},
        doc! {"msg": "where am I"},
        doc! {"_id": "\u{10ffff}", "rid": "r", "ts": at, "msg": "the last text"},
    ];
    for document in &ids {
        dump.add("rocketchat_message", document);
    }
    let mut orders = Vec::new();
    for form in Form::ALL {
        let path = dump.write(form, directory.path());
        let workspace = directory.path().join(format!("{form:?}.db"));
        for subject in subjects_of("", &path, &workspace) {
            let room = messages(&subject, &whole_room("r")).await;
            assert_eq!(room.len(), 7 + 6, "{}", subject.name);
            assert_eq!(room[0], ids[4].to_vec().unwrap());
            // Behind all of the same instant that have one.
            assert_eq!(room[5], ids[6].to_vec().unwrap());
            for id in &ids[..4] {
                assert!(room[6..10].contains(&id.to_vec().unwrap()), "{id}");
            }
            let mut with_files = whole_room("r");
            with_files.selection = Selection::WithFiles;
            assert_eq!(messages(&subject, &with_files).await.len(), 1);
            assert_eq!(messages(&subject, &whole_room("")).await.len(), 1);
            let rooms = subject.source.rooms(None, 10).await.unwrap();
            assert_eq!(rooms[0].messages, 13);
            orders.push(room);
        }
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    // Imported from a later dump the same ones are the same.
    dump.add("rocketchat_message", &doc! {"_id": "new", "rid": "other"});
    let later = directory.path().join("later");
    fs::create_dir(&later).unwrap();
    let path = dump.write(Form::Archive, &later);
    let workspace = directory.path().join("Directory.db");
    let [_, subject] = subjects_of("", &path, &workspace);
    assert_eq!(messages(&subject, &whole_room("r")).await, orders[0]);
}

#[test]
fn a_pipe_or_a_device_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe.archive");
    make_pipe(&pipe);
    for path in [&pipe, Path::new("/dev/null"), Path::new("/dev/zero")] {
        let text = refusal(path);
        assert!(
            text.contains("neither a directory nor a regular file"),
            "{text}"
        );
    }
    // In a dump's directory it is not one of its files.
    let path = small().write(Form::Directory, directory.path());
    make_pipe(&path.join("rocketchat/users.bson"));
    assert_eq!(read(&path).unwrap(), 8);
}

#[test]
fn a_list_of_collections_without_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.archive");
    let whole = small().archive();
    // The magic number and the header stay.
    let header = i32::from_le_bytes(whole[4..8].try_into().unwrap());
    let start = 4 + usize::try_from(header).unwrap();
    let entry = doc! {"db": "rocketchat", "collection": "x".repeat(1 << 20), "metadata": ""}
        .to_vec()
        .unwrap();
    for (count, expected) in [(15, None), (16, Some("list of collections is too long"))] {
        let list = entry.repeat(count);
        fs::write(&path, [&whole[..start], &list, &whole[start..]].concat()).unwrap();
        match (Dump::open(&path), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(text)) => assert!(error.to_string().contains(text), "{error}"),
            (other, _) => panic!("{count}: {other:?}"),
        }
    }
    // Nor can the blocks name more than that.
    let block = [
        &doc! {"db": "other", "collection": "x".repeat(1 << 20), "EOF": true, "CRC": 0_i64}
            .to_vec()
            .unwrap()[..],
        &(-1_i32).to_le_bytes(),
    ]
    .concat();
    fs::write(&path, [&whole[..], &block.repeat(17)].concat()).unwrap();
    assert!(refusal(&path).contains("too many collections"));
}

#[tokio::test]
async fn hostile_file_records_and_chunks_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let mut dump = small();
    let chunk = |id: &str, n: Bson, data: Bson| doc! {"_id": bson::oid::ObjectId::new(), "files_id": id, "n": n, "data": data};
    let bytes = |count: usize| -> Bson {
        bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: vec![7; count],
        }
        .into()
    };
    for (id, length, size) in [
        ("vast", i64::MAX, 1_i64),
        ("negative", -1, -1),
        ("zero-size", 10, 0),
        ("text-data", 3, 10),
        ("numbers", 3, 10),
        ("wrong-length", 5, 10),
    ] {
        dump.add(
            "rocketchat_uploads.files",
            &doc! {"_id": id, "length": length, "chunkSize": size},
        );
    }
    for document in [
        chunk("vast", 0.into(), bytes(3)),
        chunk("negative", 0.into(), bytes(3)),
        chunk("zero-size", 0.into(), bytes(10)),
        chunk("text-data", 0.into(), "abc".into()),
        chunk("recordless", 0.into(), bytes(1)),
        chunk("recordless", i64::MAX.into(), bytes(1)),
        chunk("lowest", i64::MIN.into(), bytes(1)),
        chunk("numbers", i64::MIN.into(), bytes(1)),
        chunk("numbers", (-1).into(), bytes(1)),
        chunk("numbers", i64::MAX.into(), bytes(1)),
        chunk("numbers", 0.into(), bytes(3)),
        chunk("numbers", "one".into(), bytes(3)),
        chunk("wrong-length", 0.into(), bytes(8)),
        doc! {"_id": 1, "data": bytes(3)},
    ] {
        dump.add("rocketchat_uploads.chunks", &document);
    }
    for form in Form::ALL {
        let path = dump.write(form, directory.path());
        for subject in subjects_of("", &path, &directory.path().join(format!("{form:?}.db"))) {
            for (id, expected) in [
                ("vast", Err("the length in its record is damaged")),
                ("recordless", Err("chunk numbers are damaged")),
                ("lowest", Err("chunk numbers are damaged")),
                ("negative", Ok(3)),
                ("zero-size", Ok(10)),
                ("text-data", Err("chunk 0 of 1 unreadable")),
                ("numbers", Ok(3)),
                ("wrong-length", Err("8 of 5 bytes there")),
            ] {
                let key = BlobKey {
                    id: id.to_owned(),
                    store: "GridFS:Uploads".to_owned(),
                    extension: None,
                    path: None,
                };
                let actual = read_blob(&*subject.blobs, &key)
                    .await
                    .map(|bytes| bytes.len());
                assert_eq!(
                    actual,
                    expected.map_err(str::to_owned),
                    "{}: {id}",
                    subject.name
                );
            }
        }
    }
}
