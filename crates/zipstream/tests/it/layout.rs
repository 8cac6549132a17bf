//! A reader of ZIP structures that shares no code with the writer (APPNOTE section numbers in the comments).

use std::io::{Read, Seek, SeekFrom};

/// What the structures say about one entry, all ZIP64 values resolved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub size: u64,
    pub compressed_size: u64,
    pub offset: u64,
    /// Number of values in the ZIP64 field of the central header.
    pub wide_values: usize,
    /// Whether the local header has a ZIP64 field.
    pub local_zip64: bool,
}

#[derive(Debug)]
pub(crate) struct Layout {
    pub entries: Vec<Entry>,
    /// Whether there is a ZIP64 end of central directory.
    pub zip64_end: bool,
}

/// Reads the structures from the end, and checks that local headers, data and descriptors follow each other without a gap.
pub(crate) fn read(file: &mut (impl Read + Seek)) -> Layout {
    let length = file.seek(SeekFrom::End(0)).unwrap();
    let end = bytes::<22>(file, length - 22);
    assert_eq!(u32_at(&end, 0), 0x0605_4b50, "4.3.16, without a comment");
    let mut count = u64::from(u16_at(&end, 10));
    let mut size = u64::from(u32_at(&end, 12));
    let mut start = u64::from(u32_at(&end, 16));
    let marked = count == 0xFFFF || size == 0xFFFF_FFFF || start == 0xFFFF_FFFF;
    let mut after_directory = length - 22;
    if marked {
        let locator = bytes::<20>(file, length - 42);
        assert_eq!(u32_at(&locator, 0), 0x0706_4b50, "4.3.15");
        after_directory = u64_at(&locator, 8);
        assert_eq!(after_directory, length - 42 - 56);
        let end = bytes::<56>(file, after_directory);
        assert_eq!(u32_at(&end, 0), 0x0606_4b50, "4.3.14");
        assert_eq!(u64_at(&end, 24), u64_at(&end, 32), "one disk");
        (count, size, start) = (u64_at(&end, 32), u64_at(&end, 40), u64_at(&end, 48));
    }
    assert_eq!(start + size, after_directory);

    let mut entries: Vec<Entry> = Vec::new();
    let mut at = start;
    for _ in 0..count {
        let (entry, crc, next) = central(file, at);
        let expected = entries.last().map_or(0, |_| entry.offset);
        assert_eq!(
            entry.offset, expected,
            "the first entry is at the beginning"
        );
        at = next;
        entries.push(check_local(file, entry, crc));
    }
    assert_eq!(at, after_directory);
    let ends = entries
        .iter()
        .skip(1)
        .map(|entry| entry.offset)
        .chain([start]);
    for (entry, end) in entries.iter().zip(ends) {
        let local = if entry.local_zip64 {
            30 + 20 + 24
        } else {
            30 + 16
        };
        let length = local + entry.name.len() as u64 + entry.compressed_size;
        assert_eq!(
            entry.offset + length,
            end,
            "{} has no gap after it",
            entry.name
        );
    }
    Layout {
        entries,
        zip64_end: marked,
    }
}

/// 4.3.12; returns the entry, its CRC and where the next header is.
fn central(file: &mut (impl Read + Seek), at: u64) -> (Entry, u32, u64) {
    let header = bytes::<46>(file, at);
    assert_eq!(u32_at(&header, 0), 0x0201_4b50);
    let name = vec(file, usize::from(u16_at(&header, 28)));
    let extra = vec(file, usize::from(u16_at(&header, 30)));
    let mut values = [24, 20, 42].map(|field| u64::from(u32_at(&header, field)));
    let mut wide = 0;
    for value in &mut values {
        if *value == 0xFFFF_FFFF {
            *value = u64_at(&extra, 4 + 8 * wide);
            wide += 1;
        }
    }
    if wide > 0 {
        assert_eq!((u16_at(&extra, 0), u16_at(&header, 6)), (1, 45));
        assert_eq!(usize::from(u16_at(&extra, 2)), 8 * wide);
    }
    assert_eq!(extra.len(), if wide > 0 { 4 + 8 * wide } else { 0 });
    let entry = Entry {
        name: String::from_utf8(name).unwrap(),
        size: values[0],
        compressed_size: values[1],
        offset: values[2],
        wide_values: wide,
        local_zip64: false,
    };
    let next = at + 46 + entry.name.len() as u64 + extra.len() as u64;
    (entry, u32_at(&header, 16), next)
}

/// 4.3.7 and 4.3.9.
fn check_local(file: &mut (impl Read + Seek), entry: Entry, crc: u32) -> Entry {
    let header = bytes::<30>(file, entry.offset);
    assert_eq!(u32_at(&header, 0), 0x0403_4b50);
    assert_eq!(u16_at(&header, 6), 0x0808, "descriptor and UTF-8");
    assert_eq!(u32_at(&header, 14), 0, "the CRC is in the descriptor");
    let name = vec(file, usize::from(u16_at(&header, 26)));
    assert_eq!(name, entry.name.as_bytes());
    let extra = vec(file, usize::from(u16_at(&header, 28)));
    let local_zip64 = !extra.is_empty();
    if local_zip64 {
        assert_eq!(extra, [&[1, 0, 16, 0][..], &[0; 16]].concat());
        assert_eq!(u16_at(&header, 4), 45);
    }
    let data = entry.offset + 30 + name.len() as u64 + extra.len() as u64;
    let descriptor = bytes::<8>(file, data + entry.compressed_size);
    assert_eq!(u32_at(&descriptor, 0), 0x0807_4b50);
    assert_eq!(u32_at(&descriptor, 4), crc);
    let sizes = if local_zip64 {
        let sizes = vec(file, 16);
        [u64_at(&sizes, 0), u64_at(&sizes, 8)]
    } else {
        let sizes = vec(file, 8);
        [0, 4].map(|field| u64::from(u32_at(&sizes, field)))
    };
    assert_eq!(sizes, [entry.compressed_size, entry.size]);
    Entry {
        local_zip64,
        ..entry
    }
}

fn bytes<const N: usize>(file: &mut (impl Read + Seek), at: u64) -> [u8; N] {
    file.seek(SeekFrom::Start(at)).unwrap();
    let mut out = [0; N];
    file.read_exact(&mut out).unwrap();
    out
}

fn vec(file: &mut impl Read, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    file.read_exact(&mut out).unwrap();
    out
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
