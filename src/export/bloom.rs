//! A set of ids of fixed size that may say yes too often and never no wrongly (B. H. Bloom, CACM 13(7), 1970).

use std::hash::{DefaultHasher, Hasher};

/// Bits that an id sets.
const PROBES: u64 = 4;

/// The set.
#[derive(Debug)]
pub(super) struct Bloom {
    words: Vec<u64>,
    empty: bool,
}

impl Bloom {
    /// An empty set of this size, which is a power of two. Up to a tenth as many ids as it has bits, about one answer in
    /// a hundred is a wrong yes; with more it errs more often, and is no less certain of a no.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            words: vec![0; bytes.next_power_of_two().max(8) / 8],
            empty: true,
        }
    }

    pub(super) fn insert(&mut self, id: &[u8]) {
        self.empty = false;
        for probe in 0..PROBES {
            let (word, bit) = self.place(hash(id), probe);
            self.words[word] |= bit;
        }
    }

    /// Whether the id may be in the set; `false` is certain.
    pub(super) fn may_have(&self, id: &[u8]) -> bool {
        if self.empty {
            return false;
        }
        let hash = hash(id);
        (0..PROBES).all(|probe| {
            let (word, bit) = self.place(hash, probe);
            self.words[word] & bit != 0
        })
    }

    /// Double hashing (A. Kirsch, M. Mitzenmacher, ESA 2006).
    fn place(&self, hash: u64, probe: u64) -> (usize, u64) {
        let at = hash.wrapping_add(probe.wrapping_mul(hash.rotate_left(32) | 1));
        let bits = self.words.len() as u64 * 64;
        let at = at & (bits - 1);
        (usize::try_from(at / 64).unwrap_or_default(), 1 << (at % 64))
    }
}

fn hash(id: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id);
    hasher.finish()
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
