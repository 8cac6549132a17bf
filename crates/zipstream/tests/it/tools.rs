//! What we write is read by the programs people have: Info-ZIP, 7-Zip, Python and libarchive.
//!
//! A missing program fails the test: an archive that was not tried is not known to work.

use std::{
    io::{self, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use zipstream::{Method, Options};

use crate::support::{Entry, LEVEL_1, archive, mixed};

/// Python: the first bad name, then the number of entries, their size, and their names.
const PYTHON: &str = "\
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    print(z.testzip())
    print(sum(i.file_size for i in z.infolist()))
    for name in z.namelist(): print(name)
";

/// Has every program test the whole archive, all at the same time; but for one entry that would take Info-ZIP too long.
pub(crate) fn every_tool_reads(
    archive: &Path,
    names: &[String],
    size: u64,
    too_slow: Option<&str>,
) {
    let archive = archive.to_str().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let except = too_slow.into_iter().flat_map(|name| ["-x", name]);
            let arguments: Vec<&str> = ["-tqq", archive].into_iter().chain(except).collect();
            assert_eq!(say("unzip", &arguments), "");
        });
        scope.spawn(|| {
            let out = say("7z", &["t", "-bd", archive]);
            assert!(out.contains("Everything is Ok"), "{out}");
            assert!(!out.to_lowercase().contains("warning"), "{out}");
            let files = format!("Files: {}", names.len());
            assert!(names.len() == 1 || out.contains(&files), "{out}");
        });
        scope.spawn(|| {
            let out = say("python3", &["-c", PYTHON, archive]);
            let mut lines = out.lines();
            assert_eq!(lines.next(), Some("None"), "no bad entry");
            assert_eq!(lines.next(), Some(size.to_string().as_str()));
            assert!(lines.eq(names), "names differ");
        });
        scope.spawn(|| {
            assert!(
                say("bsdtar", &["-tf", archive]).lines().eq(names),
                "names differ"
            );
            let mut child = start("bsdtar", &["-xOf", archive]);
            let count = io::copy(&mut child.stdout.take().unwrap(), &mut io::sink()).unwrap();
            end("bsdtar", child);
            assert_eq!(count, size);
        });
    });
}

/// The package that a program is in on Debian.
const PACKAGES: [(&str, &str); 4] = [
    ("unzip", "unzip"),
    ("7z", "p7zip-full"),
    ("python3", "python3"),
    ("bsdtar", "libarchive-tools"),
];

/// Starts a program with pipes for its input and its output.
fn start(name: &str, arguments: &[&str]) -> Child {
    let package = PACKAGES.iter().find(|(program, _)| *program == name);
    Command::new(name)
        .args(arguments)
        // Names are UTF-8 whatever the machine speaks.
        .envs([("LC_ALL", "C.UTF-8"), ("PYTHONUTF8", "1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            let package = package.map_or(name, |(_, package)| package);
            panic!("cannot run {name}: {error}; this test needs it: apt-get install {package}")
        })
}

/// Waits for a program that must succeed; returns what is left of its output, and then what it complained of.
fn end(name: &str, child: Child) -> Vec<u8> {
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}: {complaint}",
        output.status
    );
    [output.stdout, output.stderr].concat()
}

fn say(name: &str, arguments: &[&str]) -> String {
    String::from_utf8(end(name, start(name, arguments))).unwrap()
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn check(entries: &[Entry]) {
    check_at(1, entries);
}

fn check_at(level: u8, entries: &[Entry]) {
    let file = written(&archive(entries, Options { threads: 2, level }, 10_000));
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let size = entries.iter().map(|entry| entry.content.len() as u64).sum();
    every_tool_reads(file.path(), &names, size, None);
}

#[test]
fn every_tool_reads_every_kind_of_entry() {
    check(&mixed());
}

#[test]
fn every_tool_reads_a_single_entry() {
    check(&mixed()[3..4]);
}

#[test]
fn every_tool_reads_stored_blocks() {
    check_at(0, &mixed());
}

#[test]
#[should_panic(expected = "this test needs it: apt-get install")]
fn a_missing_program_fails_the_test() {
    say("no-such-program", &[]);
}

#[test]
fn unpacked_contents_are_the_ones_given() {
    let entries = mixed();
    let file = written(&archive(&entries, LEVEL_1, 10_000));
    let path = file.path().to_str().unwrap();
    for entry in &entries {
        for (name, arguments) in [
            ("unzip", ["-p"].as_slice()),
            ("bsdtar", &["-xOf"]),
            ("7z", &["x", "-so"]),
        ] {
            let arguments = [arguments, &[path, &entry.name]].concat();
            let unpacked = end(name, start(name, &arguments));
            assert!(unpacked == entry.content, "{name} {}", entry.name);
        }
    }
}

/// From a pipe there is no central directory to look at first: only headers, data and descriptors, in that order.
#[test]
fn libarchive_unpacks_from_a_pipe() {
    for method in [Method::Deflate, Method::Store] {
        let mut entries = mixed();
        entries.retain(|entry| entry.method == method);
        // Where a stored entry ends cannot be told from within when it holds what looks like its end.
        entries.retain(|entry| entry.name != "trap.zip");
        let bytes = archive(&entries, LEVEL_1, 10_000);
        let mut child = start("bsdtar", &["-xOf", "-"]);
        let mut input = child.stdin.take().unwrap();
        let writer = thread::spawn(move || input.write_all(&bytes));
        let unpacked = end("bsdtar", child);
        writer.join().unwrap().unwrap();
        let expected: Vec<u8> = entries
            .into_iter()
            .flat_map(|entry| entry.content)
            .collect();
        let lengths = (unpacked.len(), expected.len());
        assert!(unpacked == expected, "{method:?}: {lengths:?} bytes");
    }
}

#[test]
fn unpacked_files_have_plain_permissions() {
    let file = written(&archive(&mixed(), LEVEL_1, 10_000));
    let out = say("bsdtar", &["-tvf", file.path().to_str().unwrap()]);
    assert!(
        out.lines().all(|line| line.starts_with("-rw-r--r--")),
        "{out}"
    );
}
