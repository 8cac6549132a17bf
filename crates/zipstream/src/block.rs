//! The unit of work: at most 256 KiB of one entry.

/// Bytes of an entry in one block. Larger blocks gain nothing in size; smaller ones cost more handing over.
pub(crate) const BLOCK: usize = 256 * 1024;

/// How far deflate looks back (RFC 1951, section 2).
pub(crate) const WINDOW: usize = 32 * 1024;

/// One block on its way from the calling thread to a worker and back. Its buffers are kept when it is used again.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The dictionary, then the block's own bytes.
    bytes: Vec<u8>,
    dictionary: usize,
    /// Whether the entry ends with this block.
    pub(crate) last: bool,
    /// Whether it is kept as it is.
    pub(crate) stored: bool,
    /// Of the whole entry, in its last block once that had its turn.
    pub(crate) digests: Digests,
    /// What a worker made of it.
    pub(crate) packed: Packed,
}

/// What proves that an entry is unchanged.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Digests {
    pub(crate) crc32: u32,
    pub(crate) sha256: [u8; 32],
}

/// A buffer with room for the worst case, and how much of it is used.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Empty until a worker needs it: blocks of stored entries never do.
    pub(crate) buffer: Vec<u8>,
    pub(crate) used: usize,
}

impl Block {
    /// Makes the block an empty one that continues after `history`.
    pub(crate) fn begin(&mut self, history: &[u8]) {
        // At its final size at once: growing by doubling would end at nearly twice the memory.
        self.bytes.clear();
        self.bytes.reserve_exact(WINDOW + BLOCK);
        self.bytes.extend_from_slice(history);
        self.dictionary = history.len();
        self.last = false;
        self.stored = false;
        self.packed.used = 0;
    }

    /// Takes as much of `data` as there is room for; returns the rest.
    pub(crate) fn fill<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let room = BLOCK - self.body().len();
        let (taken, rest) = data.split_at(room.min(data.len()));
        self.bytes.extend_from_slice(taken);
        rest
    }

    pub(crate) fn is_full(&self) -> bool {
        self.body().len() == BLOCK
    }

    /// What the next block of the same entry may refer to.
    pub(crate) fn history(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(WINDOW)..]
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.dictionary..]
    }

    /// What stands in the archive.
    pub(crate) fn packed(&self) -> &[u8] {
        if self.stored {
            self.body()
        } else {
            &self.packed.buffer[..self.packed.used]
        }
    }

    /// The input and the buffer for the output at the same time.
    pub(crate) fn parts(&mut self) -> (&[u8], &[u8], bool, &mut Packed) {
        let (dictionary, body) = self.bytes.split_at(self.dictionary);
        (dictionary, body, self.last, &mut self.packed)
    }
}
