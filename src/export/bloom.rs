//! A set of ids of fixed size that may say yes too often and never no wrongly (B. H. Bloom, CACM 13(7), 1970).
//!
//! All bits of an id are in one block, so that a question waits for memory once (F. Putze, P. Sanders, J. Singler,
//! "Cache-, Hash- and Space-Efficient Bloom Filters", WEA 2007).

/// Bits that an id sets.
const PROBES: u32 = 4;
/// Words of a block: a line of the processor's cache.
const BLOCK: usize = 8;

/// The set.
#[derive(Debug)]
pub(super) struct Bloom {
    blocks: Vec<[u64; BLOCK]>,
    empty: bool,
}

impl Bloom {
    /// An empty set of this size, which is a power of two. Up to a tenth as many ids as it has bits, about one answer in
    /// fifty is a wrong yes; with more it errs more often, and is no less certain of a no.
    pub(super) fn new(bytes: usize) -> Self {
        let blocks = (bytes / size_of::<[u64; BLOCK]>()).next_power_of_two();
        Self {
            blocks: vec![[0; BLOCK]; blocks],
            empty: true,
        }
    }

    /// Whether nothing was put in.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    pub(super) fn insert(&mut self, id: &[u8]) {
        self.empty = false;
        let (block, bits) = self.place(id);
        for (word, bit) in bits {
            self.blocks[block][word] |= bit;
        }
    }

    /// Whether the id may be in the set; `false` is certain.
    pub(super) fn may_have(&self, id: &[u8]) -> bool {
        if self.empty {
            return false;
        }
        let (block, mut bits) = self.place(id);
        let block = &self.blocks[block];
        bits.all(|(word, bit)| block[word] & bit != 0)
    }

    /// The block of an id, and its bits there: word and bit.
    fn place(&self, id: &[u8]) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        let hash = hash(id);
        // The lowest bits say which bits: nine for each. Those above say which block.
        let bits = (0..PROBES).map(move |probe| {
            let bit = hash >> (9 * probe) & 0x1ff;
            (index(bit / 64), 1 << (bit % 64))
        });
        (index(hash >> (9 * PROBES)) & (self.blocks.len() - 1), bits)
    }
}

/// The lowest bits of a number, as many as an index has.
fn index(number: u64) -> usize {
    usize::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

/// A number in which every bit depends on all of the id: multiplied by the golden ratio's bits, and folded.
fn hash(id: &[u8]) -> u64 {
    let (words, rest) = id.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain(std::iter::once(&last));
    words.fold(id.len() as u64, |hash, word| {
        let product = u128::from(hash ^ u64::from_le_bytes(*word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
        u64::try_from(low ^ high).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        let mut set = Bloom::new(1 << 14);
        assert!(!set.may_have(b"x"));
        for number in 0..13_000_u32 {
            set.insert(&number.to_le_bytes());
        }
        assert!((0..13_000_u32).all(|number| set.may_have(&number.to_le_bytes())));
        let wrong = (13_000..113_000_u32)
            .filter(|number| set.may_have(&number.to_le_bytes()))
            .count();
        assert!(wrong < 3_000, "{wrong} of 100,000");
    }
}
