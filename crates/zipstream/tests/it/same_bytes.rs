//! Equal entries give equal bytes.

use zipstream::{Options, deflate_alone};

use crate::support::{BLOCK, archive, mixed, text};

#[test]
fn threads_and_write_sizes_do_not_change_a_byte() {
    for level in [0, 1, 3, 6] {
        let expected = archive(&mixed(), Options { threads: 1, level }, usize::MAX);
        for threads in [1, 2, 4] {
            for write in [7, 1000, BLOCK - 1, BLOCK, BLOCK + 1, usize::MAX] {
                let bytes = archive(&mixed(), Options { threads, level }, write);
                assert!(
                    bytes == expected,
                    "{threads} threads, writes of {write}, level {level}"
                );
            }
        }
    }
}

#[test]
fn deflate_alone_packs_the_same_blocks() {
    use crate::support::Entry;
    for size in [0, 1, BLOCK, 20 * BLOCK, 20 * BLOCK + 1] {
        let content = text(size);
        let options = Options {
            threads: 2,
            level: 3,
        };
        let totals = deflate_alone(&content[..], options).unwrap();
        let entry = Entry::new("a", zipstream::Method::Deflate, content);
        // One local header, descriptor, central header and end, with a name of one byte.
        let around = 31 + 16 + 47 + 22;
        let archive = archive(&[entry], options, usize::MAX);
        assert_eq!(totals.bytes, size as u64);
        assert_eq!(totals.compressed_bytes, archive.len() as u64 - around);
    }
}
