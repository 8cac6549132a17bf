//! What we write is read by the programs people have: Info-ZIP, 7-Zip, Python and libarchive.
//!
//! A missing program fails the test: an archive that was not tried is not known to work.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use zipstream::Method;

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
    thread::scope(|scope| {
        scope.spawn(|| {
            let out = run("unzip", "unzip", |command| {
                command
                    .arg("-tqq")
                    .arg(archive)
                    .args(too_slow.into_iter().flat_map(|name| ["-x", name]))
            });
            assert_eq!(out, "");
        });
        scope.spawn(|| {
            let out = run("7z", "p7zip-full", |command| {
                command.args(["t", "-bd"]).arg(archive)
            });
            assert!(out.contains("Everything is Ok"), "{out}");
            assert!(!out.to_lowercase().contains("warning"), "{out}");
            let files = format!("Files: {}", names.len());
            assert!(names.len() == 1 || out.contains(&files), "{out}");
        });
        scope.spawn(|| {
            let out = run("python3", "python3", |command| {
                command.args(["-c", PYTHON]).arg(archive)
            });
            let mut lines = out.lines();
            assert_eq!(lines.next(), Some("None"), "no bad entry");
            assert_eq!(lines.next(), Some(size.to_string().as_str()));
            assert!(lines.eq(names), "names differ");
        });
        scope.spawn(|| {
            let out = run("bsdtar", "libarchive-tools", |command| {
                command.arg("-tf").arg(archive)
            });
            assert!(out.lines().eq(names), "names differ");
            let mut command = program("bsdtar");
            command.arg("-xOf").arg(archive);
            assert_eq!(count_output(command), size);
        });
    });
}

/// Runs a program that must succeed; returns what it says on both channels.
fn run(name: &str, package: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut command = program(name);
    let output = arguments(&mut command).output().unwrap_or_else(|error| {
        panic!("cannot run `{name}`: {error}; this test needs it: apt-get install {package}")
    });
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{text}", output.status);
    text
}

fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    // Names are UTF-8 whatever the machine speaks.
    command.env("LC_ALL", "C.UTF-8").env("PYTHONUTF8", "1");
    command
}

/// Bytes that a program writes until it ends well.
fn count_output(mut command: Command) -> u64 {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let count = io::copy(&mut child.stdout.take().unwrap(), &mut io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    count
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn check(entries: &[Entry]) {
    let file = written(&archive(entries, LEVEL_1, 10_000));
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
    let entries = mixed();
    let options = zipstream::Options {
        threads: 2,
        level: 0,
    };
    let file = written(&archive(&entries, options, 10_000));
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let size = entries.iter().map(|entry| entry.content.len() as u64).sum();
    every_tool_reads(file.path(), &names, size, None);
}

#[test]
fn unpacked_contents_are_the_ones_given() {
    let entries = mixed();
    let file = written(&archive(&entries, LEVEL_1, 10_000));
    for entry in &entries {
        for (name, arguments) in [
            ("unzip", ["-p"].as_slice()),
            ("bsdtar", &["-xOf"]),
            ("7z", &["x", "-so"]),
        ] {
            let mut command = program(name);
            command.args(arguments).arg(file.path()).arg(&entry.name);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{name} {}: {output:?}", entry.name);
            assert!(output.stdout == entry.content, "{name} {}", entry.name);
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
        let mut child = program("bsdtar")
            .args(["-xOf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = thread::spawn(move || input.write_all(&bytes));
        let mut unpacked = Vec::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut unpacked)
            .unwrap();
        writer.join().unwrap().unwrap();
        assert!(child.wait().unwrap().success());
        let expected: Vec<u8> = entries
            .into_iter()
            .flat_map(|entry| entry.content)
            .collect();
        assert!(
            unpacked == expected,
            "{method:?}: {} of {} bytes",
            unpacked.len(),
            expected.len()
        );
    }
}

#[test]
fn unpacked_files_have_plain_permissions() {
    let file = written(&archive(&mixed()[3..4], LEVEL_1, 10_000));
    let out = run("bsdtar", "libarchive-tools", |command| {
        command.arg("-tvf").arg(file.path())
    });
    assert!(out.starts_with("-rw-r--r--"), "{out}");
    assert!(File::open(file.path()).is_ok());
}
