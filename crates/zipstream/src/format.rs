//! The structures of a ZIP file, byte by byte (PKWARE APPNOTE.TXT 6.3.10; section numbers in the comments).

use crate::{EntryRecord, Method};

/// Values that 16 and 32 bits cannot say are marked by all ones and said in a ZIP64 structure (4.4.1.4).
pub(crate) const MARK_16: u64 = 0xFFFF;
pub(crate) const MARK_32: u64 = 0xFFFF_FFFF;

/// Unpacking needs deflate or a data descriptor / ZIP64 (4.4.3).
const VERSION_PLAIN: u16 = 20;
const VERSION_ZIP64: u16 = 45;
/// Made on Unix, so that the attributes below are understood, to version 4.5 of the format (4.4.2).
const MADE_BY: u16 = (3 << 8) | VERSION_ZIP64;
/// Bit 3: sizes and CRC follow the data. Bit 11: names are UTF-8 (4.4.4).
const FLAGS: u16 = (1 << 3) | (1 << 11);
/// 1980-01-01 00:00, the earliest there is (4.4.6): equal entries must give equal bytes at any time.
const TIME: u16 = 0;
const DATE: u16 = (1 << 5) | 1;
/// A regular file, readable by all, writable by its owner (`0100644`), in the half where Unix keeps it (4.4.15).
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// Tag of the ZIP64 extra field (4.5.3).
const ZIP64_TAG: u16 = 0x0001;

/// Local file header (4.3.7).
pub(crate) fn local_header(out: &mut Vec<u8>, name: &str, method: Method, large: bool) {
    put32(out, 0x0403_4b50);
    put16(out, version(large));
    put16(out, FLAGS);
    put16(out, number(method));
    put16(out, TIME);
    put16(out, DATE);
    put32(out, 0); // CRC, in the descriptor
    // Marked, although the sizes are in the descriptor: some readers look at the ZIP64 field only then.
    let size = if large { u32::MAX } else { 0 };
    put32(out, size);
    put32(out, size);
    put16(out, narrow16(name.len() as u64));
    put16(out, if large { 20 } else { 0 });
    out.extend_from_slice(name.as_bytes());
    if large {
        // The field must hold both sizes in a local header (4.5.3); that it exists makes those of the descriptor 8 bytes wide.
        put16(out, ZIP64_TAG);
        put16(out, 16);
        put64(out, 0);
        put64(out, 0);
    }
}

/// Data descriptor, with the signature that most readers expect (4.3.9).
pub(crate) fn data_descriptor(out: &mut Vec<u8>, record: &EntryRecord) {
    put32(out, 0x0807_4b50);
    put32(out, record.crc32);
    for size in [record.compressed_size, record.size] {
        if record.large {
            put64(out, size);
        } else {
            put32(out, narrow32(size));
        }
    }
}

/// One header of the central directory (4.3.12).
pub(crate) fn central_header(out: &mut Vec<u8>, record: &EntryRecord) {
    // Only values that do not fit, in this order (4.5.3).
    let wide = [record.size, record.compressed_size, record.offset];
    let wide = wide.into_iter().filter(|&value| value >= MARK_32);
    let values = narrow16(wide.clone().count() as u64);
    put32(out, 0x0201_4b50);
    put16(out, MADE_BY);
    put16(out, version(record.large || values > 0));
    put16(out, FLAGS);
    put16(out, number(record.method));
    put16(out, TIME);
    put16(out, DATE);
    put32(out, record.crc32);
    put32(out, narrow32(record.compressed_size));
    put32(out, narrow32(record.size));
    put16(out, narrow16(record.name.len() as u64));
    put16(out, if values > 0 { 4 + 8 * values } else { 0 });
    put16(out, 0); // length of the comment
    put16(out, 0); // number of this disk
    put16(out, 0); // internal attributes
    put32(out, ATTRIBUTES);
    put32(out, narrow32(record.offset));
    out.extend_from_slice(record.name.as_bytes());
    if values > 0 {
        put16(out, ZIP64_TAG);
        put16(out, 8 * values);
        for value in wide {
            put64(out, value);
        }
    }
}

/// What stands after the last header: the end of the central directory (4.3.16), preceded by its ZIP64 form (4.3.14) and the
/// locator of that (4.3.15) when a value does not fit.
pub(crate) fn end(out: &mut Vec<u8>, entries: u64, size: u64, offset: u64) {
    if entries >= MARK_16 || size >= MARK_32 || offset >= MARK_32 {
        put32(out, 0x0606_4b50);
        put64(out, 44); // bytes that follow in this record
        put16(out, MADE_BY);
        put16(out, VERSION_ZIP64);
        put32(out, 0); // number of this disk
        put32(out, 0); // disk where the directory starts
        put64(out, entries); // on this disk
        put64(out, entries);
        put64(out, size);
        put64(out, offset);

        put32(out, 0x0706_4b50);
        put32(out, 0); // disk of the record above
        put64(out, offset + size); // where it starts
        put32(out, 1); // disks
    }
    put32(out, 0x0605_4b50);
    put16(out, 0); // number of this disk
    put16(out, 0); // disk where the directory starts
    put16(out, narrow16(entries)); // on this disk
    put16(out, narrow16(entries));
    put32(out, narrow32(size));
    put32(out, narrow32(offset));
    put16(out, 0); // length of the comment
}

fn version(zip64: bool) -> u16 {
    if zip64 { VERSION_ZIP64 } else { VERSION_PLAIN }
}

/// Compression method (4.4.5).
fn number(method: Method) -> u16 {
    match method {
        Method::Store => 0,
        Method::Deflate => 8,
    }
}

fn narrow16(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn narrow32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size: u64, compressed_size: u64, offset: u64) -> EntryRecord {
        EntryRecord {
            name: "a".to_owned(),
            method: Method::Store,
            large: true,
            offset,
            size,
            compressed_size,
            crc32: 0,
            sha256: [0; 32],
        }
    }

    /// The values in the header's own fields (size, packed size, offset), and those in its ZIP64 field.
    fn check_central(record: &EntryRecord, own: [u32; 3], wide: &[u64]) {
        let mut out = Vec::new();
        central_header(&mut out, record);
        let field = |at: usize| u32::from_le_bytes(out[at..at + 4].try_into().unwrap());
        assert_eq!([field(24), field(20), field(42)], own);
        let extra = u16::from_le_bytes([out[30], out[31]]);
        assert_eq!(out.len(), 47 + usize::from(extra));
        let mut expected = Vec::new();
        if !wide.is_empty() {
            expected.extend_from_slice(&[1, 0, 8 * u8::try_from(wide.len()).unwrap(), 0]);
            expected.extend(wide.iter().flat_map(|value| value.to_le_bytes()));
        }
        assert_eq!(out[47..], expected);
    }

    #[test]
    fn central_headers_hold_wide_values_only_where_needed() {
        const MAX: u32 = u32::MAX;
        const WIDE: u64 = 1 << 32;
        check_central(&record(1, 2, 3), [1, 2, 3], &[]);
        check_central(&record(MARK_32 - 1, 2, 3), [MAX - 1, 2, 3], &[]);
        // The mark itself cannot be a value.
        check_central(&record(MARK_32, 2, 3), [MAX, 2, 3], &[MARK_32]);
        check_central(&record(1, WIDE, 3), [1, MAX, 3], &[WIDE]);
        check_central(&record(1, 2, WIDE), [1, 2, MAX], &[WIDE]);
        check_central(
            &record(WIDE + 1, 2, WIDE + 3),
            [MAX, 2, MAX],
            &[WIDE + 1, WIDE + 3],
        );
        check_central(
            &record(WIDE + 1, WIDE + 2, WIDE + 3),
            [MAX; 3],
            &[WIDE + 1, WIDE + 2, WIDE + 3],
        );
    }

    fn check_end(entries: u64, size: u64, offset: u64, zip64: bool) {
        let mut out = Vec::new();
        end(&mut out, entries, size, offset);
        assert_eq!(out.len(), if zip64 { 56 + 20 + 22 } else { 22 });
        assert_eq!(out[out.len() - 22..][..4], *b"PK\x05\x06");
        if zip64 {
            let field = |at: usize| u64::from_le_bytes(out[at..at + 8].try_into().unwrap());
            assert_eq!(
                [field(24), field(32), field(40), field(48)],
                [entries, entries, size, offset]
            );
            assert_eq!(field(56 + 8), offset + size, "where the locator points");
        }
    }

    #[test]
    fn the_end_is_zip64_when_a_value_reaches_its_mark() {
        check_end(0, 0, 0, false);
        check_end(MARK_16 - 1, MARK_32 - 1, MARK_32 - 1, false);
        check_end(MARK_16, 1, 1, true);
        check_end(1, MARK_32, 1, true);
        check_end(1, 1, MARK_32, true);
    }
}
