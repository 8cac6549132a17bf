//! Whole small archives, byte by byte, written out by hand after APPNOTE.TXT.

use zipstream::Method;

use crate::support::{Entry, LEVEL_1, archive};

fn check(entry: &Entry, expected: &[&[u8]]) {
    let bytes = archive(std::slice::from_ref(entry), LEVEL_1, 1);
    assert_eq!(bytes, expected.concat());
}

#[rustfmt::skip] // One line for each group of fields.
#[test]
fn a_stored_entry() {
    check(
        &Entry::new("é", Method::Store, "hi"),
        &[
            // Local header: version 2.0, flags 3 and 11, stored, 1980-01-01 00:00.
            b"PK\x03\x04", b"\x14\0", b"\x08\x08", b"\0\0", b"\0\0\x21\0",
            // CRC and sizes follow the data.
            b"\0\0\0\0", b"\0\0\0\0", b"\0\0\0\0",
            // Lengths of name and extra field, name.
            b"\x02\0", b"\0\0", b"\xc3\xa9",
            b"hi",
            // Descriptor: CRC, packed size, size.
            b"PK\x07\x08", b"\xac\x2a\x93\xd8", b"\x02\0\0\0", b"\x02\0\0\0",
            // Central header: made by Unix, 4.5.
            b"PK\x01\x02", b"\x2d\x03", b"\x14\0", b"\x08\x08", b"\0\0", b"\0\0\x21\0",
            b"\xac\x2a\x93\xd8", b"\x02\0\0\0", b"\x02\0\0\0",
            // Lengths of name, extra field and comment.
            b"\x02\0", b"\0\0", b"\0\0",
            // Disk, internal attributes, 0100644 << 16, offset, name.
            b"\0\0", b"\0\0", b"\0\0\xa4\x81", b"\0\0\0\0", b"\xc3\xa9",
            // End: disks, entries, size and offset of the directory, length of the comment.
            b"PK\x05\x06", b"\0\0", b"\0\0", b"\x01\0", b"\x01\0", b"\x30\0\0\0", b"\x32\0\0\0", b"\0\0",
        ],
    );
}

#[rustfmt::skip] // One line for each group of fields.
#[test]
fn an_empty_deflated_entry_announced_as_large() {
    check(
        &Entry::new("a", Method::Deflate, "").large(),
        &[
            // Local header: version 4.5, deflated.
            b"PK\x03\x04", b"\x2d\0", b"\x08\x08", b"\x08\0", b"\0\0\x21\0",
            // For the sizes see the ZIP64 field.
            b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff",
            b"\x01\0", b"\x14\0", b"a",
            // ZIP64 field: both sizes, which follow the data.
            b"\x01\0", b"\x10\0", &[0; 8], &[0; 8],
            // Final block, fixed codes, end of block (RFC 1951).
            b"\x03\0",
            // Descriptor with sizes of 8 bytes.
            b"PK\x07\x08", b"\0\0\0\0", b"\x02\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0",
            // Central header: everything fits, hence no ZIP64 field.
            b"PK\x01\x02", b"\x2d\x03", b"\x2d\0", b"\x08\x08", b"\x08\0", b"\0\0\x21\0",
            b"\0\0\0\0", b"\x02\0\0\0", b"\0\0\0\0",
            b"\x01\0", b"\0\0", b"\0\0",
            b"\0\0", b"\0\0", b"\0\0\xa4\x81", b"\0\0\0\0", b"a",
            b"PK\x05\x06", b"\0\0", b"\0\0", b"\x01\0", b"\x01\0", b"\x2f\0\0\0", b"\x4d\0\0\0", b"\0\0",
        ],
    );
}
