//! Files of a workspace in S3, WebDAV and Google Cloud Storage, from real servers, also from those that fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use tempfile::TempDir;

use crate::support::cli::{Ran, command, entries, manifest, ran, text};
use crate::support::dump::{DumpBuilder, Form};
use crate::support::faults::{Fault, FaultProxy};
use crate::support::stores::{Kind, Store};

/// Bytes of the largest file: many pieces, and no repetition that would hide one in the wrong place.
const LARGE: usize = 3_000_000;

pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect()
}

/// A dump with one room, whose messages have these uploads.
struct World {
    directory: TempDir,
    dump: PathBuf,
}

impl World {
    fn new(uploads: &[Document], settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut dump = DumpBuilder::new();
        dump.add("rocketchat_room", &doc! {"_id": "R", "t": "c", "name": "r"});
        for (number, upload) in (0_i64..).zip(uploads) {
            dump.add("rocketchat_uploads", upload);
            let (id, name) = (upload.get("_id").unwrap(), upload.get("name").unwrap());
            dump.add(
                "rocketchat_message",
                &doc! {
                    "_id": format!("m{number}"), "rid": "R", "msg": "", "ts": DateTime::from_millis(1_700_000_000_000 + number),
                    "u": {"_id": "u", "username": "u"}, "file": {"_id": id, "name": name},
                },
            );
        }
        for (id, value) in settings {
            dump.add("rocketchat_settings", &doc! {"_id": *id, "value": *value});
        }
        let path = dump.write(Form::Directory, directory.path());
        Self {
            directory,
            dump: path,
        }
    }

    /// Exports the room; settings go through the environment, as secrets should.
    fn export(&self, settings: &[(String, String)], arguments: &[&str]) -> Exported {
        let zip = self.directory.path().join("out.zip");
        let workspace = format!("dump:{}", text(&self.dump));
        let mut run = command(&["export", "--workspace", &workspace, "--room", "R"]);
        run.args(["--format", "json", "--force", "-o", text(&zip)])
            .args(["--config", "/dev/null"])
            .args(arguments);
        for (key, value) in settings {
            let name = key.replace('.', "__").to_uppercase();
            run.env(format!("EXPORT_ROOM_{name}"), value);
        }
        let begun = Instant::now();
        Exported {
            ran: ran(&mut run),
            took: begun.elapsed(),
            entries: if zip.exists() {
                entries(&zip)
            } else {
                BTreeMap::new()
            },
        }
    }
}

struct Exported {
    ran: Ran,
    took: Duration,
    entries: BTreeMap<String, Vec<u8>>,
}

impl Exported {
    /// The bytes of the file whose entry ends like this.
    fn file(&self, name: &str) -> &[u8] {
        let mut found = self
            .entries
            .iter()
            .filter(|(entry, _)| entry.ends_with(name));
        let (_, bytes) = found
            .next()
            .unwrap_or_else(|| panic!("{name}: {}", self.ran.stderr));
        assert!(found.next().is_none(), "{name} is there twice");
        bytes
    }

    fn missing(&self) -> Vec<(String, String)> {
        let manifest = manifest(&self.entries);
        let list = manifest["missing"].as_array().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        list.iter()
            .map(|file| (text(&file["file"]), text(&file["reason"])))
            .collect()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Quick to give up, for servers that fail.
fn impatient(mut settings: Vec<(String, String)>) -> Vec<(String, String)> {
    settings.extend(pairs(&[("blobs.timeout", "1s"), ("blobs.backoff", "10ms")]));
    settings
}

/// Puts files into a store: key and bytes.
pub(crate) fn put(store: &Store, files: &[(&str, &[u8])]) {
    let directory = tempfile::tempdir().unwrap();
    for (key, bytes) in files {
        fs::write(directory.path().join(key.replace('/', "|")), bytes).unwrap();
    }
    store.put(directory.path());
}

fn upload(id: &str, name: &str, kind: Kind, place: Document) -> Document {
    let mut upload =
        doc! {"_id": id, "name": name, "store": format!("{}:Uploads", kind.names().0), "rid": "R"};
    upload.extend(place);
    upload
}

#[test]
fn files_are_read_from_every_store_under_every_layout() {
    let large = bytes(LARGE);
    for kind in Kind::ALL {
        let store = Store::get(kind);
        let (name, field) = kind.names();
        put(
            store,
            &[
                ("U/uploads/R/u/read-large", &large),
                ("U/uploads/R/u/read empty ü+&%2F", b""),
                ("readBare", b"under its id"),
                ("old/readOld", b"very old"),
            ],
        );
        let mut uploads = vec![
            upload(
                "L",
                "large.bin",
                kind,
                doc! {field: {"path": "U/uploads/R/u/read-large"}, "size": i64::try_from(LARGE).unwrap()},
            ),
            upload(
                "E",
                "empty.txt",
                kind,
                doc! {field: {"path": "/U/uploads/R/u/read empty ü+&%2F"}},
            ),
            upload("readBare", "bare.txt", kind, doc! {}),
            upload(
                "G",
                "gone.txt",
                kind,
                doc! {field: {"path": "U/uploads/R/u/nothing"}},
            ),
            upload(
                "D",
                "dots.txt",
                kind,
                doc! {field: {"path": "U/../U/uploads/R/u/read-large"}},
            ),
            doc! {"_id": "linked", "name": "linked.txt", "rid": "R", "path": format!("/ufs/{name}:Uploads/linked/x"), field: {"path": "readBare"}},
        ];
        let old = match kind {
            Kind::S3 => Some(("s3", "s3")),
            Kind::Gcs => Some(("googleCloudStorage", "googleCloudStorage")),
            Kind::WebDav => None,
        };
        if let Some((name, field)) = old {
            uploads.push(doc! {"_id": "readOld", "name": "old.txt", "rid": "R", "store": name, field: {"path": "old/"}});
        }
        let world = World::new(&uploads, &[]);
        let exported = world.export(&store.settings(None), &[]);
        assert_eq!(exported.ran.code, 1, "{kind:?}: {}", exported.ran.stderr);
        assert!(exported.file("large.bin") == large, "{kind:?}: other bytes");
        assert_eq!(exported.file("empty.txt"), b"");
        assert_eq!(exported.file("bare.txt"), b"under its id");
        assert_eq!(exported.file("linked.txt"), b"under its id");
        if old.is_some() {
            assert_eq!(exported.file("old.txt"), b"very old");
        }
        let gone = format!("not in {name}");
        assert_eq!(
            exported.missing(),
            pairs(&[("G", &gone), ("D", "its path cannot be a key")]),
            "{kind:?}"
        );
        let offline = world.export(&store.settings(None), &["--offline"]);
        assert_eq!(offline.ran.code, 1, "{}", offline.ran.stderr);
        assert_eq!(offline.missing().len(), uploads.len());
        assert!(offline.ran.stderr.contains("was not to be contacted"));
    }
}

#[test]
fn the_workspaces_settings_say_where_its_files_are() {
    let s3 = Store::get(Kind::S3);
    put(s3, &[("settings/S", b"by settings")]);
    let uploads = [upload(
        "S",
        "s.txt",
        Kind::S3,
        doc! {"AmazonS3": {"path": "settings/S"}},
    )];
    let (url, user, secret) = (&*s3.url, &*s3.user, &*s3.secret);
    let settings = [
        ("FileUpload_S3_Bucket", &*s3.bucket),
        ("FileUpload_S3_BucketURL", url),
        ("FileUpload_S3_AWSAccessKeyId", user),
        ("FileUpload_S3_AWSSecretAccessKey", secret),
        ("FileUpload_S3_ForcePathStyle", "true"),
    ];
    let exported = World::new(&uploads, &settings).export(&[], &[]);
    assert_eq!(exported.ran.code, 0, "{}", exported.ran.stderr);
    assert_eq!(exported.file("s.txt"), b"by settings");
    // Ours come first.
    let wrong = World::new(&uploads, &settings).export(&pairs(&[("s3.bucket", "none")]), &[]);
    assert_eq!(wrong.ran.code, 2, "{}", wrong.ran.stderr);
    assert!(
        wrong.ran.stderr.contains("S3 bucket none"),
        "{}",
        wrong.ran.stderr
    );
    // Without any, nobody is guessed.
    let unsaid = World::new(&uploads, &[]).export(&[], &[]);
    assert_eq!(unsaid.ran.code, 1, "{}", unsaid.ran.stderr);
    assert!(
        unsaid.missing()[0].1.contains("set s3.bucket"),
        "{:?}",
        unsaid.missing()
    );

    let webdav = Store::get(Kind::WebDav);
    put(webdav, &[("settings/W", b"by settings")]);
    let uploads = [upload(
        "W",
        "w.txt",
        Kind::WebDav,
        doc! {"Webdav": {"path": "/settings/W"}},
    )];
    let exported = World::new(
        &uploads,
        &[
            ("FileUpload_Webdav_Server_URL", &*webdav.url),
            ("FileUpload_Webdav_Username", &*webdav.user),
            ("FileUpload_Webdav_Password", &*webdav.secret),
        ],
    )
    .export(&[], &[]);
    assert_eq!(exported.ran.code, 0, "{}", exported.ran.stderr);
    assert_eq!(exported.file("w.txt"), b"by settings");
}

#[test]
fn a_store_that_fails_for_a_while_costs_nothing_but_time() {
    let large = bytes(LARGE);
    for kind in Kind::ALL {
        let store = Store::get(kind);
        put(store, &[("fault/read", &large)]);
        let proxy = FaultProxy::start(store.port());
        let settings = impatient(store.settings(Some(proxy.port)));
        let (_, field) = kind.names();
        let world = World::new(
            &[upload(
                "L",
                "large.bin",
                kind,
                doc! {field: {"path": "fault/read"}},
            )],
            &[],
        );
        // The question before the file is read, and the reading.
        let (look, read): (&[&str], &[&str]) = match kind {
            Kind::S3 => (&["HEAD", "read"], &["GET", "read"]),
            Kind::WebDav => (&["PROPFIND", "read"], &["GET", "read"]),
            Kind::Gcs => (&["GET", "read HTTP"], &["GET", "read?alt=media"]),
        };
        for (what, words, fault, times) in [
            ("500", read, Fault::Status(500), 2),
            ("503", look, Fault::Status(503), 3),
            ("slow", read, Fault::Delay(Duration::from_millis(300)), 2),
            ("hangs once", read, Fault::Hang, 1),
            ("cut", read, Fault::Cut(1_000_000), 1),
            ("cut again and again", read, Fault::Cut(400_000), 4),
            ("cut before the body", read, Fault::Cut(0), 2),
            ("answer lost", look, Fault::Lost, 2),
        ] {
            proxy.fail(words, fault, times);
            let exported = world.export(&settings, &[]);
            let seen = proxy.reset();
            let told = format!("{kind:?} {what}: {}\n{seen:#?}", exported.ran.stderr);
            assert_eq!(exported.ran.code, 0, "{told}");
            assert!(exported.file("large.bin") == large, "{told}");
            let retries = exported.ran.stderr.matches("is asked again").count();
            let expected = if matches!(fault, Fault::Delay(_)) {
                0
            } else {
                times
            };
            assert_eq!(retries, expected, "{told}");
            if fault == Fault::Cut(1_000_000) {
                // What had come already is not asked for again.
                assert!(
                    seen.iter()
                        .any(|line| line.contains("ange: bytes=") && !line.contains("bytes=0-")),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn a_store_that_stays_away_ends_the_export_soon_and_says_so() {
    for kind in Kind::ALL {
        let store = Store::get(kind);
        put(store, &[("fault/away", b"x")]);
        let proxy = FaultProxy::start(store.port());
        let (_, field) = kind.names();
        let world = World::new(
            &[upload(
                "A",
                "a.txt",
                kind,
                doc! {field: {"path": "fault/away"}},
            )],
            &[],
        );
        for fault in [Fault::Status(500), Fault::Status(503), Fault::Hang] {
            let mut settings = impatient(store.settings(Some(proxy.port)));
            settings.extend(pairs(&[
                ("blobs.attempts", "2"),
                ("blobs.timeout", "500ms"),
            ]));
            proxy.fail(&[], fault, usize::MAX);
            let exported = world.export(&settings, &[]);
            proxy.reset();
            let stderr = &exported.ran.stderr;
            assert_eq!(exported.ran.code, 2, "{kind:?} {fault:?}: {stderr}");
            assert!(
                exported.took < Duration::from_secs(20),
                "{:?}",
                exported.took
            );
            assert!(stderr.contains("cannot read fault/away of"), "{stderr}");
            assert!(stderr.contains("is asked again"), "{stderr}");
            assert!(
                !stderr.contains(&store.secret) || store.secret.is_empty(),
                "{stderr}"
            );
        }
        // Nobody is there at all.
        let mut settings = impatient(store.settings(Some(1)));
        settings.extend(pairs(&[("blobs.attempts", "2")]));
        let exported = world.export(&settings, &[]);
        assert_eq!(exported.ran.code, 2, "{}", exported.ran.stderr);
        assert!(
            exported.ran.stderr.contains("refused"),
            "{}",
            exported.ran.stderr
        );
    }
}

#[test]
fn one_forbidden_file_is_missing_and_wrong_keys_stop() {
    let store = Store::get(Kind::S3);
    put(store, &[("allowed/F", b"yes"), ("forbidden/F", b"no")]);
    let world = World::new(
        &[
            upload(
                "A",
                "a.txt",
                Kind::S3,
                doc! {"AmazonS3": {"path": "allowed/F"}},
            ),
            upload(
                "F",
                "f.txt",
                Kind::S3,
                doc! {"AmazonS3": {"path": "forbidden/F"}},
            ),
        ],
        &[],
    );
    let exported = world.export(&store.settings(None), &[]);
    assert_eq!(exported.ran.code, 1, "{}", exported.ran.stderr);
    assert_eq!(exported.file("a.txt"), b"yes");
    assert_eq!(
        exported.missing(),
        pairs(&[("F", "not allowed to be read by AmazonS3")])
    );
    for (key, value, words) in [
        ("s3.secret_access_key", "wrong", "SignatureDoesNotMatch"),
        ("s3.access_key_id", "nobody", "InvalidAccessKeyId"),
        ("s3.bucket", "nothing", "NoSuchBucket"),
    ] {
        let mut settings = store.settings(None);
        settings.extend(pairs(&[(key, value)]));
        let exported = world.export(&settings, &[]);
        assert_eq!(exported.ran.code, 2, "{key}: {}", exported.ran.stderr);
        assert!(
            exported.ran.stderr.contains(words),
            "{}",
            exported.ran.stderr
        );
        assert!(!exported.ran.stderr.contains(&store.secret));
    }
    let webdav = Store::get(Kind::WebDav);
    let mut settings = webdav.settings(None);
    settings.extend(pairs(&[("webdav.password", "wrong")]));
    let world = World::new(&[upload("A", "a.txt", Kind::WebDav, doc! {})], &[]);
    let exported = world.export(&settings, &[]);
    assert_eq!(exported.ran.code, 2, "{}", exported.ran.stderr);
    assert!(
        exported.ran.stderr.contains("cannot read A of"),
        "{}",
        exported.ran.stderr
    );
    assert!(Path::new(&world.dump).exists());
}
