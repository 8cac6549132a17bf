//! Past the limits of 1989: 4 GiB and 65,535 entries.

use std::io::{BufWriter, Write};

use zipstream::{EntryOptions, Method, ZipStream};

use crate::{
    layout,
    support::{Entry, LEVEL_1, SparseFile, add, spool, text},
    tools::every_tool_reads,
};

const FOUR_GIB: u64 = 1 << 32;

/// Info-ZIP does not unpack `too_slow`, everybody else unpacks everything.
fn check(
    too_slow: Option<&str>,
    write: impl FnOnce(&mut ZipStream<BufWriter<SparseFile>, std::io::Cursor<Vec<u8>>>),
) -> layout::Layout {
    let mut file = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
    let output = BufWriter::new(SparseFile(file.reopen().unwrap()));
    let mut zip = ZipStream::new(output, spool(), LEVEL_1).unwrap();
    write(&mut zip);
    let (_, totals) = zip.finish().unwrap();
    assert_eq!(
        file.as_file().metadata().unwrap().len(),
        totals.archive_bytes
    );
    let layout = layout::read(file.as_file_mut());
    assert_eq!(layout.entries.len() as u64, totals.entries);
    let names: Vec<String> = layout
        .entries
        .iter()
        .map(|entry| entry.name.clone())
        .collect();
    every_tool_reads(file.path(), &names, totals.uncompressed_bytes, too_slow);
    layout
}

fn add_zeros<W: Write>(
    zip: &mut ZipStream<W, std::io::Cursor<Vec<u8>>>,
    name: &str,
    method: Method,
    mut size: u64,
) {
    zip.start_entry(EntryOptions {
        name,
        method,
        large: true,
    })
    .unwrap();
    let zeros = vec![0; 1 << 20];
    while size > 0 {
        let part = usize::try_from(size.min(1 << 20)).unwrap();
        zip.append(&zeros[..part]).unwrap();
        size -= part as u64;
    }
    zip.finish_entry().unwrap();
}

#[test]
fn every_tool_reads_a_deflated_entry_of_more_than_4_gib() {
    let layout = check(None, |zip| {
        add_zeros(zip, "huge.json", Method::Deflate, FOUR_GIB + 1);
        add(zip, &Entry::new("after.txt", Method::Deflate, "small"), 10);
    });
    let wide: Vec<usize> = layout
        .entries
        .iter()
        .map(|entry| entry.wide_values)
        .collect();
    assert_eq!(wide, [1, 0], "only the size needs it");
    assert!(!layout.zip64_end);
}

#[test]
fn every_tool_reads_a_stored_entry_of_more_than_4_gib_and_what_follows_it() {
    let layout = check(Some("huge.mp4"), |zip| {
        add(
            zip,
            &Entry::new("before.txt", Method::Deflate, text(1000)),
            10,
        );
        add_zeros(zip, "huge.mp4", Method::Store, FOUR_GIB + 1);
        add(
            zip,
            &Entry::new("after.json", Method::Deflate, text(300_000)),
            1000,
        );
        add(zip, &Entry::new("after.txt", Method::Store, "stored"), 10);
        add(
            zip,
            &Entry::new("after-large.txt", Method::Store, "stored").large(),
            10,
        );
    });
    let wide: Vec<usize> = layout
        .entries
        .iter()
        .map(|entry| entry.wide_values)
        .collect();
    assert_eq!(wide, [0, 2, 1, 1, 1], "sizes, then offsets");
    assert!(layout.zip64_end);
}

fn count(entries: u32) -> layout::Layout {
    check(None, |zip| {
        for number in 0..entries {
            let method = if number % 2 == 0 {
                Method::Deflate
            } else {
                Method::Store
            };
            let entry = Entry::new(&format!("assets/{number}.txt"), method, format!("{number}"));
            add(zip, &entry, 10);
        }
    })
}

#[test]
fn every_tool_reads_more_than_65_535_entries() {
    assert!(count(70_000).zip64_end);
}

#[test]
fn the_count_that_is_also_the_mark_is_read_as_a_count() {
    assert!(count(65_535).zip64_end);
}
