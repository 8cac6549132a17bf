//! Records of finished entries, read back while the archive goes on.

use std::io::Write;

use sha2::{Digest, Sha256};
use zipstream::{EntryOptions, EntryRecord, Method};

use crate::support::{Entry, LEVEL_1, add, in_memory, mixed};

fn check(record: &EntryRecord, entry: &Entry) {
    assert_eq!(record.name, entry.name);
    assert_eq!(record.method, entry.method);
    assert_eq!(record.large, entry.large);
    assert_eq!(record.size, entry.content.len() as u64);
    assert_eq!(record.sha256, *Sha256::digest(&entry.content));
    assert_eq!(record.crc32, crc32fast::hash(&entry.content));
}

#[test]
fn the_last_entry_can_list_all_before_it() {
    let mut entries = mixed();
    // Longer than what is read of the spool at a time.
    entries.push(Entry::new(
        &"long/".repeat(13_000).replace("long/long", "long-long"),
        Method::Store,
        "",
    ));
    let name = entries.last_mut().unwrap();
    name.name.push('x');
    for number in 0..3000 {
        entries.push(Entry::new(
            &format!("page-{number}.html"),
            Method::Deflate,
            format!("<p>{number}"),
        ));
    }
    let mut zip = in_memory(LEVEL_1);
    for entry in &entries {
        add(&mut zip, entry, 100_000);
    }
    let mut records = zip.records().unwrap();
    zip.start_entry(EntryOptions {
        name: "manifest",
        method: Method::Deflate,
        large: false,
    })
    .unwrap();
    for entry in &entries {
        let record = zip.next_record(&mut records).unwrap().unwrap();
        check(&record, entry);
        writeln!(zip, "{} {:?}", record.name, record.sha256).unwrap();
    }
    assert_eq!(zip.next_record(&mut records).unwrap(), None);
    assert_eq!(zip.next_record(&mut records).unwrap(), None);
    zip.finish_entry().unwrap();
    let (bytes, totals) = zip.finish().unwrap();
    assert_eq!(totals.entries, entries.len() as u64 + 1);
    assert_eq!(totals.archive_bytes, bytes.len() as u64);
}

#[test]
fn a_walk_does_not_see_later_entries_and_disturbs_nothing() {
    let mut zip = in_memory(LEVEL_1);
    let entries = mixed();
    let mut walks = Vec::new();
    for entry in &entries {
        walks.push(zip.records().unwrap());
        add(&mut zip, entry, 100_000);
    }
    for (length, walk) in walks.iter_mut().enumerate() {
        for entry in &entries[..length] {
            check(&zip.next_record(walk).unwrap().unwrap(), entry);
        }
        assert_eq!(zip.next_record(walk).unwrap(), None);
    }
    let expected = crate::support::archive(&entries, LEVEL_1, 1000);
    assert!(zip.finish().unwrap().0 == expected);
}

#[test]
fn totals_are_sums() {
    let mut zip = in_memory(LEVEL_1);
    let entries = mixed();
    for entry in &entries {
        add(&mut zip, entry, 100_000);
    }
    let sum = entries
        .iter()
        .map(|entry| entry.content.len() as u64)
        .sum::<u64>();
    zip.drain().unwrap();
    let before = zip.totals();
    let (bytes, totals) = zip.finish().unwrap();
    assert_eq!(
        (totals.entries, totals.uncompressed_bytes),
        (entries.len() as u64, sum)
    );
    assert_eq!(totals.archive_bytes, bytes.len() as u64);
    assert_eq!(
        (before.entries, before.uncompressed_bytes),
        (totals.entries, sum)
    );
    assert!(before.archive_bytes < totals.archive_bytes);
}
