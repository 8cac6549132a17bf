//! CRC-32 and SHA-256 of entries, from blocks in their order.

use sha2::{Digest, Sha256};

use crate::block::{Block, Digests};

/// The digests of the entry whose blocks are coming.
#[derive(Default)]
pub(crate) struct Digester {
    crc: crc32fast::Hasher,
    sha: Sha256,
}

impl Digester {
    /// Takes the next block. The last one of an entry gets the digests, and what follows is another entry.
    pub(crate) fn add(&mut self, block: &mut Block) {
        self.crc.update(block.body());
        self.sha.update(block.body());
        if block.last {
            block.digests = Digests {
                crc32: std::mem::take(&mut self.crc).finalize(),
                sha256: self.sha.finalize_reset().into(),
            };
        }
    }
}
