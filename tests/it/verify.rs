//! `verify` finds every change that could be made to an export, and names it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::cli::{entries, run, text};

type Entries = BTreeMap<String, Vec<u8>>;

/// Exports a room of the demo and gives its path in `directory`.
fn exported(directory: &Path, format: &str) -> std::path::PathBuf {
    let zip = directory.join("out.zip");
    let root = env!("CARGO_MANIFEST_DIR");
    let ran = run(&[
        "export",
        "--workspace",
        &format!("dump:{root}/demo/workspace.archive.gz"),
        "--room",
        "platform-builds",
        "--format",
        format,
        "--files",
        &format!("{root}/demo/files"),
        "-o",
        text(&zip),
        "--force",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    zip
}

fn check(zip: &Path, expected: &str) {
    let ran = run(&["verify", text(zip)]);
    assert_eq!(ran.code, 2, "{expected}: {}", ran.stderr);
    assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
}

/// Writes a ZIP of these entries with another program's writer, the manifest last.
fn repack(zip: &Path, entries: &Entries) {
    let mut writer = ZipWriter::new(File::create(zip).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let (manifest, rest): (Vec<_>, Vec<_>) = entries
        .iter()
        .partition(|(name, _)| *name == "manifest.json");
    for (name, bytes) in rest.into_iter().chain(manifest) {
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn changes_to_the_contents_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let zip = exported(directory.path(), "json");
    let original = entries(&zip);
    let changed = |change: &dyn Fn(&mut Entries), expected: &str| {
        let mut entries = original.clone();
        change(&mut entries);
        repack(&zip, &entries);
        check(&zip, expected);
    };
    changed(
        &|entries| {
            let lines = entries.get_mut("platform-builds.json").unwrap();
            let at = lines.iter().position(u8::is_ascii_lowercase).unwrap();
            lines[at] ^= 1;
        },
        "entry platform-builds.json: its SHA-256 is not the one in manifest.json",
    );
    changed(
        &|entries| {
            let lines = entries.get_mut("platform-builds.json").unwrap();
            let end = lines.iter().position(|&byte| byte == b'\n').unwrap();
            lines.drain(..=end);
        },
        "55 messages were exported and 54 are there",
    );
    changed(
        &|entries| {
            entries.retain(|name, _| !name.starts_with("assets/"));
        },
        "listed in manifest.json, but not in its place in the ZIP",
    );
    changed(
        &|entries| {
            let manifest = entries.get_mut("manifest.json").unwrap();
            let text = String::from_utf8(manifest.clone()).unwrap();
            *manifest = text
                .replace("\"avatars\": 0", "\"avatars\": 1")
                .into_bytes();
        },
        "1 avatars, emoji and thumbnails were packed and 0 are there",
    );
    changed(
        &|entries| {
            entries.insert("assets/zz-extra.txt".to_owned(), b"smuggled".to_vec());
        },
        "in the ZIP, but not in manifest.json",
    );
    changed(
        &|entries| {
            let manifest = entries.get_mut("manifest.json").unwrap();
            let text = String::from_utf8(manifest.clone()).unwrap();
            *manifest = text
                .replace("\"rendered\": 55", "\"rendered\": 54")
                .into_bytes();
        },
        "messages were read and not all placed",
    );
}

#[test]
fn what_is_not_an_export_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let zip = exported(directory.path(), "html");
    let length = fs::metadata(&zip).unwrap().len();
    let mut entries = entries(&zip);

    File::options()
        .write(true)
        .open(&zip)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    check(&zip, "not a whole ZIP archive");

    entries.remove("manifest.json");
    repack(&zip, &entries);
    check(&zip, "there is no manifest.json in it");

    entries.insert(
        "manifest.json".to_owned(),
        b"{\"format\": \"export-room/manifest/99\"}".to_vec(),
    );
    repack(&zip, &entries);
    check(&zip, "its form is export-room/manifest/99");

    entries.insert("manifest.json".to_owned(), b"hello".to_vec());
    repack(&zip, &entries);
    check(&zip, "manifest.json cannot be read");

    check(&directory.path().join("nothing.zip"), "cannot read it");
}

#[test]
fn any_flipped_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let zip = exported(directory.path(), "html");
    let length = fs::metadata(&zip).unwrap().len();
    let mut file = File::options().read(true).write(true).open(&zip).unwrap();
    let mut unnoticed = Vec::new();
    for step in 0..60 {
        let at = length * step / 60;
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ 0x10]).unwrap();
        if run(&["verify", text(&zip)]).code == 0 {
            unnoticed.push(at);
        }
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&byte).unwrap();
    }
    assert!(
        unnoticed.is_empty(),
        "flips at {unnoticed:?} of {length} bytes went unnoticed"
    );
    assert_eq!(
        run(&["verify", text(&zip)]).code,
        0,
        "put back, it is in order again"
    );
}
