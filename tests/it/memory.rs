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
    let addresses = |messages: u64| {
        let dump = directory.path().join(format!("dump{messages}"));
        let database = directory.path().join(format!("chat{messages}.db"));
        generate::dump(&dump, messages).unwrap();
        let sqlite = format!("sqlite:{}", database.display());
        let ran = run(&["import", text(&dump), "--workspace", &sqlite]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        [sqlite, format!("dump:{}", dump.display())]
    };
    let zip = directory.path().join("out.zip");
    for (small, large) in addresses(10_000).iter().zip(addresses(1_000_000)) {
        for format in ["html", "json"] {
            let (small, large) = (
                peak(small, format, &zip, 10_000),
                peak(&large, format, &zip, 1_000_000),
            );
            assert!(large <= 48 * MIB, "{format}: {large} bytes");
            assert!(
                large <= small + 8 * MIB,
                "{format}: {small} bytes for ten thousand, {large} for a million"
            );
        }
    }
}
