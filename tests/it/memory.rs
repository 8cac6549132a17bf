//! Memory does not grow with the room.

use std::path::Path;

use crate::support::cli::{run, text};
use crate::support::generate;

const MIB: u64 = 1024 * 1024;

/// Peak memory of an export in bytes, as the process itself reports it.
fn peak(address: &str, format: &str, zip: &Path, messages: u64) -> u64 {
    let ran = run(&[
        "export",
        "--workspace",
        address,
        "--room",
        generate::NAME,
        "--format",
        format,
        "--progress",
        "json",
        "--force",
        "--threads",
        "2",
        "-o",
        text(zip),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(line["messages"], messages);
    line["peakBytes"].as_u64().unwrap()
}

#[test]
fn a_million_messages_take_the_memory_of_ten_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let small = addresses(directory.path(), 10_000);
    for (small, large) in small.iter().zip(addresses(directory.path(), 1_000_000)) {
        for format in ["html", "json"] {
            check_growth(format, &zip, (small, 10_000), (&large, 1_000_000));
        }
    }
}

// A mail has some 3 kB around its text: a tenth of the messages shows as much.
#[test]
fn a_hundred_thousand_mails_take_the_memory_of_ten_thousand() {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let [small, _] = addresses(directory.path(), 10_000);
    let [large, _] = addresses(directory.path(), 100_000);
    for format in ["mbox", "eml"] {
        check_growth(format, &zip, (&small, 10_000), (&large, 100_000));
    }
}

/// A room of so many messages, in a workspace file and as a dump.
fn addresses(directory: &Path, messages: u64) -> [String; 2] {
    let dump = directory.join(format!("dump{messages}"));
    let database = directory.join(format!("chat{messages}.db"));
    generate::dump(&dump, messages).unwrap();
    let sqlite = format!("sqlite:{}", database.display());
    let ran = run(&["import", text(&dump), "--workspace", &sqlite]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    [sqlite, format!("dump:{}", dump.display())]
}

/// Exports a small and a large room, each with its number of messages.
fn check_growth(format: &str, zip: &Path, small: (&str, u64), large: (&str, u64)) {
    let [few, many] =
        [small, large].map(|(address, messages)| peak(address, format, zip, messages));
    assert!(many <= 48 * MIB, "{format}: {many} bytes");
    assert!(
        many <= few + 8 * MIB,
        "{format}: {few} bytes for {} messages, {many} for {}",
        small.1,
        large.1
    );
}
