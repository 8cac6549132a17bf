//! Any entries, read back by the `zip` crate.

use std::io::Cursor;

use proptest::prelude::*;
use zipstream::{Method, Options};

use crate::{
    layout,
    support::{BLOCK, Entry, archive, mixed, noise, text},
};

fn check(entries: &[Entry], options: Options, write: usize) {
    let bytes = archive(entries, options, write);
    let layout = layout::read(&mut Cursor::new(&bytes));
    assert_eq!(layout.entries.len(), entries.len());
    let mut read = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(read.len(), entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let mut file = read.by_index(index).unwrap();
        assert_eq!(file.name().unwrap(), entry.name);
        assert_eq!(file.size(), entry.content.len() as u64);
        assert_eq!(file.unix_mode(), Some(0o100_644));
        let mut content = Vec::with_capacity(entry.content.len());
        // Fails when the CRC is wrong.
        std::io::copy(&mut file, &mut content).unwrap();
        assert!(content == entry.content, "{} differs", entry.name);
    }
}

#[test]
fn an_archive_without_entries_is_an_archive() {
    check(
        &[],
        Options {
            threads: 2,
            level: 3,
        },
        1,
    );
}

#[test]
fn every_kind_of_entry_is_read_back_at_every_level() {
    for level in 0..=9 {
        check(&mixed(), Options { threads: 2, level }, 60_000);
    }
}

#[test]
fn no_threads_count_as_one() {
    check(
        &mixed(),
        Options {
            threads: 0,
            level: 3,
        },
        60_000,
    );
}

#[test]
fn bytes_that_do_not_compress_hardly_grow() {
    let entries = [Entry::new("noise", Method::Deflate, noise(4 * BLOCK))];
    for level in 0..=9 {
        let length = archive(&entries, Options { threads: 2, level }, BLOCK).len();
        assert!(length < 4 * BLOCK + 400, "{length} at level {level}");
    }
}

#[test]
fn blocks_refer_to_the_block_before() {
    // Noise repeated within the window: only a dictionary makes the second block small.
    let period = noise(30_000);
    let content = period
        .iter()
        .copied()
        .cycle()
        .take(4 * BLOCK)
        .collect::<Vec<u8>>();
    let entries = [Entry::new("repeats", Method::Deflate, content)];
    for level in [3, 6, 9] {
        let length = archive(&entries, Options { threads: 2, level }, BLOCK).len();
        assert!(length < 45_000, "{length} at level {level}");
    }
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 0..2000_usize,
        2 => 0..3 * BLOCK,
        2 => (1..4_usize, 0..5_usize).prop_map(|(blocks, more)| blocks * BLOCK + more - 2),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        size().prop_map(text),
        size().prop_map(noise),
        (size(), any::<u8>()).prop_map(|(size, byte)| vec![byte; size]),
        proptest::collection::vec(any::<u8>(), 0..300),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let method = prop_oneof![Just(Method::Store), Just(Method::Deflate)];
    ("[a-zé漢]{1,12}", method, any::<bool>(), content()).prop_map(
        |(name, method, large, content)| Entry {
            name,
            method,
            large,
            content,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_entries_are_read_back(
        mut entries in proptest::collection::vec(entry(), 0..6),
        threads in 1..=4_usize,
        level in 0..=9_u8,
        write in prop_oneof![1..100_usize, 1..2 * BLOCK],
    ) {
        for (number, entry) in entries.iter_mut().enumerate() {
            entry.name = format!("{number}/{}", entry.name);
        }
        check(&entries, Options { threads, level }, write);
    }
}
