//! The part of the search index that is in memory: the terms met since it was last emptied, and their positions.
//!
//! All sizes are fixed: what does not fit any more is handed to the sort on disk. Positions are written as their
//! distance to the one before, as they will stand in the files.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use transcript::search::code;

/// Terms before it is full; half of the table's places.
const TERMS: usize = 1 << 15;
/// Bytes of positions before it is full.
const ARENA: usize = 1 << 20;
/// Bytes of terms before it is full.
const TEXTS: usize = 512 << 10;
/// Bytes of one term's positions before it is full: what is spilled at once is not cut again.
const LIST: u32 = 256 << 10;
/// The first chunk of a term, and the largest: each is twice as long as the one before.
const CHUNK: std::ops::RangeInclusive<usize> = 16..=512;
/// Where the next chunk begins, at the beginning of each.
const LINK: usize = 4;
/// No chunk.
const NONE: u32 = u32::MAX;
/// First and last position, before the distances of a spilled term.
pub(super) const ENDS: usize = 16;

/// Terms and their positions.
pub(super) struct Segment {
    seed: RandomState,
    /// Indexes of terms, plus one; 0 is a free place.
    places: Vec<u32>,
    terms: Vec<Term>,
    texts: Vec<u8>,
    arena: Vec<u8>,
    /// A term has [`LIST`] bytes.
    long: bool,
}

#[derive(Clone, Copy)]
struct Term {
    /// Its first bytes, which are most terms whole: a term is known without a look at its text.
    beginning: u64,
    text: u32,
    text_length: u32,
    /// Its first chunk.
    head: u32,
    /// The chunk being filled.
    chunk: u32,
    /// Where its next byte goes, and where that chunk ends.
    at: u32,
    end: u32,
    bytes: u32,
    first: u64,
    last: u64,
}

impl Segment {
    pub(super) fn new() -> Self {
        Self {
            seed: RandomState::default(),
            places: vec![0; 2 * TERMS],
            terms: Vec::new(),
            texts: Vec::new(),
            arena: Vec::new(),
            long: false,
        }
    }

    /// Whether it must be emptied before the next term.
    pub(super) fn is_full(&self) -> bool {
        self.long
            || self.terms.len() >= TERMS
            || self.arena.len() >= ARENA
            || self.texts.len() >= TEXTS
    }

    /// Adds a position of a term, later than all before.
    pub(super) fn add(&mut self, term: &[u8], position: u64) {
        let mut hasher = self.seed.build_hasher();
        hasher.write(term);
        // The upper half is as good as the lower.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a part of the hash is enough"
        )]
        let hash = hasher.finish() as u32;
        let beginning = beginning(term);
        let mut place = hash as usize & (2 * TERMS - 1);
        loop {
            match self.places[place] {
                0 => break,
                found => {
                    let index = found as usize - 1;
                    let known = &self.terms[index];
                    if known.beginning == beginning
                        && known.text_length as usize == term.len()
                        && (term.len() <= BEGINNING || self.text(known) == term)
                    {
                        self.append(index, position);
                        return;
                    }
                }
            }
            place = (place + 1) & (2 * TERMS - 1);
        }
        let text = offset(self.texts.len());
        self.texts.extend_from_slice(term);
        self.terms.push(Term {
            beginning,
            text,
            text_length: offset(term.len()),
            head: NONE,
            chunk: NONE,
            at: 0,
            end: 0,
            bytes: 0,
            first: position,
            last: position,
        });
        self.places[place] = offset(self.terms.len());
    }

    fn text(&self, term: &Term) -> &[u8] {
        let from = term.text as usize;
        &self.texts[from..from + term.text_length as usize]
    }

    fn append(&mut self, index: usize, position: u64) {
        let term = &mut self.terms[index];
        let distance = position - term.last;
        term.last = position;
        let (digits, from) = code::long(distance);
        for &digit in &digits[from..] {
            if term.at == term.end {
                grow(&mut self.arena, term);
            }
            self.arena[term.at as usize] = digit;
            term.at += 1;
        }
        term.bytes += offset(digits.len() - from);
        self.long |= term.bytes >= LIST;
    }

    /// Hands every term and its positions to `take`, as [`ENDS`] and distances, and forgets them.
    pub(super) fn empty<E>(
        &mut self,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut payload = Vec::new();
        for term in &self.terms {
            payload.clear();
            payload.extend_from_slice(&term.first.to_le_bytes());
            payload.extend_from_slice(&term.last.to_le_bytes());
            let mut chunk = term.head;
            let mut size = *CHUNK.start();
            while chunk != NONE {
                let from = chunk as usize;
                let to = if chunk == term.chunk {
                    term.at as usize
                } else {
                    from + size
                };
                payload.extend_from_slice(&self.arena[from + LINK..to]);
                chunk = if chunk == term.chunk {
                    NONE
                } else {
                    link(&self.arena, from)
                };
                size = (2 * size).min(*CHUNK.end());
            }
            take(self.text(term), &payload)?;
        }
        self.places.fill(0);
        self.terms.clear();
        self.texts.clear();
        self.arena.clear();
        self.long = false;
        Ok(())
    }
}

/// Bytes of a term that are compared as a number.
const BEGINNING: usize = size_of::<u64>();

fn beginning(term: &[u8]) -> u64 {
    if let Some(first) = term.first_chunk::<BEGINNING>() {
        return u64::from_le_bytes(*first);
    }
    // Shorter than a call to copy them is worth.
    term.iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Gives a term the next chunk.
fn grow(arena: &mut Vec<u8>, term: &mut Term) {
    let start = offset(arena.len());
    let size = if term.chunk == NONE {
        term.head = start;
        *CHUNK.start()
    } else {
        let from = term.chunk as usize;
        arena[from..from + LINK].copy_from_slice(&start.to_le_bytes());
        (2 * (term.end as usize - from)).min(*CHUNK.end())
    };
    arena.resize(arena.len() + size, 0);
    term.chunk = start;
    term.at = start + offset(LINK);
    term.end = offset(arena.len());
}

fn link(arena: &[u8], chunk: usize) -> u32 {
    let mut bytes = [0; LINK];
    bytes.copy_from_slice(&arena[chunk..chunk + LINK]);
    u32::from_le_bytes(bytes)
}

/// Everything is far below 4 GiB: the segment is emptied long before.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn positions(payload: &[u8]) -> Vec<u64> {
        let number = |at: usize| u64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
        let mut all = vec![number(0)];
        let mut rest = &payload[ENDS..];
        while !rest.is_empty() {
            let (distance, length) = code::get(rest).unwrap();
            all.push(all.last().unwrap() + distance);
            rest = &rest[length..];
        }
        assert_eq!(all.last(), Some(&number(8)));
        all
    }

    fn emptied(segment: &mut Segment) -> BTreeMap<Vec<u8>, Vec<u64>> {
        let mut all = BTreeMap::new();
        let take = |term: &[u8], payload: &[u8]| {
            assert!(all.insert(term.to_vec(), positions(payload)).is_none());
            Ok::<_, Infallible>(())
        };
        let Ok(()) = segment.empty(take);
        all
    }

    proptest! {
        #[test]
        fn every_position_of_every_term_comes_back(
            words in proptest::collection::vec((0_u32..40, 1_u64..100_000), 0..2000),
        ) {
            let mut segment = Segment::new();
            for _ in 0..2 {
                let mut expected = BTreeMap::<Vec<u8>, Vec<u64>>::new();
                let mut position = 0;
                for (word, distance) in &words {
                    position += distance;
                    let word = "x".repeat(*word as usize).into_bytes();
                    segment.add(&word, position);
                    expected.entry(word).or_default().push(position);
                }
                prop_assert_eq!(emptied(&mut segment), expected);
            }
        }
    }

    #[test]
    fn it_is_full_before_its_table_is() {
        let mut segment = Segment::new();
        let mut count = 0_u32;
        while !segment.is_full() {
            segment.add(&count.to_le_bytes(), u64::from(count));
            count += 1;
        }
        assert_eq!(emptied(&mut segment).len(), TERMS);
        assert!(!segment.is_full());
        let mut position = 0;
        while !segment.is_full() {
            position += 1;
            segment.add(b"the", position);
        }
        let count = emptied(&mut segment)[&b"the"[..]].len();
        assert_eq!(count, LIST as usize + 1);
    }
}
