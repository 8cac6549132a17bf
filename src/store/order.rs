//! The order of messages, and that each `_id` comes once: shared by everything that sorts messages itself.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use transcript::bson::{Doc, Keys, Value, id_text};

use super::Selection;
use crate::sort::{Sorted, SortedItems, Sorter};

/// Instant of a message without a readable `ts`: before all others.
pub(crate) const NO_TS: i64 = i64::MIN;

/// What decides where a message belongs.
#[derive(Debug)]
pub(crate) struct MessageKey<'a> {
    /// `_id`; empty when the document has none. See [`MessageKey::id_in`].
    pub(crate) id: Cow<'a, str>,
    /// `rid`; empty when the document has none.
    pub(crate) rid: Cow<'a, str>,
    /// `ts` in milliseconds, or [`NO_TS`].
    pub(crate) ts: i64,
    /// What a first pass asks for.
    pub(crate) marks: Marks,
}

/// What is noted of a message beside its place: a set of bits, as stores keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) u8);

impl Marks {
    /// It carries `file` or `files`.
    pub(crate) const FILES: Self = Self(1);
    /// It replies in a thread.
    pub(crate) const REPLY: Self = Self(2);
    /// It is an old version, or deleted and kept.
    pub(crate) const HIDDEN: Self = Self(4);

    /// Whether it has one of these.
    pub(crate) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// Those of which a message of this selection has one; `None` when all messages are asked for.
    pub(crate) fn wanted(selection: Selection) -> Option<Self> {
        match selection {
            Selection::All => None,
            Selection::WithFiles => Some(Self::FILES),
            Selection::WithFilesOrReplies => Some(Self(Self::FILES.0 | Self::REPLY.0)),
        }
    }

    fn set(&mut self, mark: Self, there: bool) {
        if there {
            self.0 |= mark.0;
        }
    }
}

impl Selection {
    /// Whether a message is one of these.
    pub(crate) fn has(self, doc: &[u8]) -> bool {
        Marks::wanted(self).is_none_or(|wanted| {
            let key = MessageKey::read(Doc::new(doc).unwrap_or(Doc::EMPTY));
            key.marks.has(wanted)
        })
    }
}

impl<'a> MessageKey<'a> {
    /// Reads the key in one pass. A malformed element ends the reading: what came before it counts.
    pub(crate) fn read(doc: Doc<'a>) -> Self {
        const KEYS: Keys<7> = Keys::new(["_id", "rid", "ts", "file", "files", "tmid", "_hidden"]);
        let [id, rid, ts, file, files, tmid, hidden] = doc.find(&KEYS);
        let text = |value: Option<Value<'a>>| value.map_or(Cow::Borrowed(""), id_text);
        let mut marks = Marks::default();
        let has_files = matches!(file, Some(Value::Document(file)) if !file.is_empty())
            || matches!(files, Some(Value::Array(files)) if !files.is_empty());
        marks.set(Marks::FILES, has_files);
        marks.set(Marks::REPLY, tmid.is_some_and(Value::truthy));
        marks.set(Marks::HIDDEN, hidden.is_some_and(Value::truthy));
        Self {
            id: text(id.filter(|id| !matches!(id, Value::Null | Value::Undefined))),
            rid: text(rid),
            ts: ts.and_then(Value::millis).unwrap_or(NO_TS),
            marks,
        }
    }

    /// What tells the message from all others: its `_id`, or what is made from the whole document when it has none.
    ///
    /// No text begins with [`NO_ID`], and all texts come before it. The same document gets the same id in every dump.
    pub(crate) fn id_in(&self, doc: &[u8]) -> Cow<'_, [u8]> {
        if self.id.is_empty() {
            let mut id = vec![NO_ID];
            id.extend_from_slice(&Sha256::digest(doc));
            Cow::Owned(id)
        } else {
            Cow::Borrowed(self.id.as_bytes())
        }
    }
}

/// First byte of the id of a message without `_id`. It is in no UTF-8.
pub(crate) const NO_ID: u8 = 0xff;

/// Appends bytes whose order as bytes is the order of the instants.
pub(crate) fn push_instant(bytes: &mut Vec<u8>, ts: i64) {
    bytes.extend_from_slice(&(ts.cast_unsigned() ^ 1 << 63).to_be_bytes());
}

/// Reads back what [`push_instant`] wrote.
pub(crate) fn instant(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ 1 << 63).cast_signed()
}

/// Appends a text that more may follow: zeros are escaped and one pair of bytes ends it, so that the order is kept.
pub(crate) fn push_text(bytes: &mut Vec<u8>, text: &str) {
    for part in text.as_bytes().split_inclusive(|&byte| byte == 0) {
        bytes.extend_from_slice(part);
        if part.ends_with(&[0]) {
            bytes.push(0xff);
        }
    }
    bytes.extend_from_slice(&[0, 1]);
}

/// Sorts items by key. Of the items of one `_id` only the one that came last remains.
///
/// A dump of a server in use can hold a document twice; the later copy is the newer one. Which ids come twice is found
/// with hashes, because almost always none does.
#[derive(Debug)]
pub(crate) struct UniqueSorter {
    budget: usize,
    work_dir: Option<PathBuf>,
    items: Sorter,
    hashes: Sorter,
    sequence: u64,
    key: Vec<u8>,
    payload: Vec<u8>,
}

/// Order of arrival and length of the `_id` in front of every payload.
const PREFIX: usize = 12;

impl UniqueSorter {
    /// A sorter that holds about `budget` bytes in memory and spills to `work_dir`.
    pub(crate) fn new(budget: usize, work_dir: Option<PathBuf>) -> Self {
        let hash_budget = budget / 4;
        Self {
            budget,
            items: Sorter::new(budget - hash_budget, work_dir.clone()),
            hashes: Sorter::new(hash_budget, work_dir.clone()),
            work_dir,
            sequence: 0,
            key: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Adds an item: its key is `before` followed by the id.
    pub(crate) fn push(&mut self, before: &[u8], id: &[u8], payload: &[&[u8]]) -> io::Result<()> {
        let mut hash = DefaultHasher::new();
        hash.write(id);
        self.hashes.push(&hash.finish().to_ne_bytes(), &[])?;
        self.key.clear();
        self.key.extend_from_slice(before);
        self.key.extend_from_slice(id);
        self.payload.clear();
        self.payload.extend_from_slice(&self.sequence.to_be_bytes());
        let id_length = u32::try_from(id.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "an _id is too large"))?;
        self.payload.extend_from_slice(&id_length.to_be_bytes());
        for part in payload {
            self.payload.extend_from_slice(part);
        }
        self.sequence += 1;
        self.items.push(&self.key, &self.payload)
    }

    /// Ends the input. `dropped` is told the payload of every item that a later one replaces.
    pub(crate) fn finish(self, mut dropped: impl FnMut(&[u8])) -> io::Result<UniqueSorted> {
        let (budget, work_dir) = (self.budget, self.work_dir);
        let repeated = {
            let hashes = self.hashes.finish()?;
            let mut hashes = hashes.read()?;
            let mut last = None;
            loop {
                let Some((hash, _)) = hashes.next()? else {
                    break false;
                };
                if last.as_deref() == Some(hash) {
                    break true;
                }
                last = <[u8; 8]>::try_from(hash).ok().map(Vec::from);
            }
        };
        let items = self.items.finish()?;
        let mut replaced = Sorter::new(budget / 4, work_dir.clone());
        if repeated {
            // By id, in the order of arrival within an id: all but the last of an id are replaced.
            let mut by_id = Sorter::new(budget / 4, work_dir);
            let mut reading = items.read()?;
            let mut id_key = Vec::new();
            while let Some((key, payload)) = reading.next()? {
                let (sequence, id, rest) = split(key, payload);
                id_key.clear();
                id_key.extend_from_slice(id);
                let mut entry = Vec::with_capacity(PREFIX + key.len() + rest.len());
                entry.extend_from_slice(&sequence);
                entry.extend_from_slice(&length_bytes(key.len()));
                entry.extend_from_slice(key);
                entry.extend_from_slice(rest);
                by_id.push(&id_key, &entry)?;
            }
            let by_id = by_id.finish()?;
            let mut reading = by_id.read()?;
            let mut newest: Option<(Vec<u8>, Vec<u8>)> = None;
            while let Some((id, entry)) = reading.next()? {
                if let Some((newest_id, newest_entry)) = &mut newest
                    && newest_id == id
                {
                    // The sequence leads the entry and is big endian.
                    let older = if newest_entry[..8] < entry[..8] {
                        std::mem::replace(newest_entry, entry.to_vec())
                    } else {
                        entry.to_vec()
                    };
                    let (sequence, rest) = older.split_at(8);
                    let (length, rest) = rest.split_at(4);
                    let (key, rest) = rest.split_at(length_of(length));
                    replaced.push(key, sequence)?;
                    dropped(rest);
                } else {
                    newest = Some((id.to_vec(), entry.to_vec()));
                }
            }
        }
        Ok(UniqueSorted {
            len: items.len() - replaced.len(),
            items,
            replaced: replaced.finish()?,
        })
    }
}

fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn length_of(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |length, &byte| length << 8 | usize::from(byte))
}

/// Takes an item apart: sequence, id, the caller's payload.
fn split<'a>(key: &'a [u8], payload: &'a [u8]) -> ([u8; 8], &'a [u8], &'a [u8]) {
    let mut sequence = [0; 8];
    sequence.copy_from_slice(&payload[..8]);
    let id = &key[key.len() - length_of(&payload[8..PREFIX])..];
    (sequence, id, &payload[PREFIX..])
}

/// The sorted items of a [`UniqueSorter`]; can be read any number of times.
#[derive(Debug)]
pub(crate) struct UniqueSorted {
    len: u64,
    items: Sorted,
    /// Key and sequence of the items to leave out, in the same order.
    replaced: Sorted,
}

impl UniqueSorted {
    /// How many items remain.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Starts reading from the smallest key.
    pub(crate) fn read(&self) -> io::Result<UniqueItems<'_>> {
        let mut replaced = self.replaced.read()?;
        let mut items = UniqueItems {
            next_replaced: None,
            items: self.items.read()?,
            replaced: None,
        };
        items.next_replaced = own(replaced.next()?);
        items.replaced = Some(replaced);
        Ok(items)
    }
}

fn own(item: Option<(&[u8], &[u8])>) -> Option<(Vec<u8>, Vec<u8>)> {
    item.map(|(key, payload)| (key.to_vec(), payload.to_vec()))
}

/// One item of a [`UniqueSorted`].
#[derive(Debug)]
pub(crate) struct UniqueItem<'a> {
    /// The whole key, the id at its end.
    pub(crate) key: &'a [u8],
    /// What came with it.
    pub(crate) payload: &'a [u8],
}

/// A running read of [`UniqueSorted`].
#[derive(Debug)]
pub(crate) struct UniqueItems<'a> {
    items: SortedItems<'a>,
    replaced: Option<SortedItems<'a>>,
    next_replaced: Option<(Vec<u8>, Vec<u8>)>,
}

impl UniqueItems<'_> {
    /// The next item, valid until the next call; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<UniqueItem<'_>>> {
        // Without replaced items, nearly always, there is nothing to compare.
        while let Some((key, sequence)) = &self.next_replaced {
            match self.items.next()? {
                None => return Ok(None),
                Some((item_key, payload)) if item_key == key && payload[..8] == sequence[..] => {
                    self.next_replaced = match &mut self.replaced {
                        Some(replaced) => own(replaced.next()?),
                        None => None,
                    };
                }
                Some(_) => return Ok(self.current()),
            }
        }
        Ok(self.items.next()?.map(UniqueItem::new))
    }

    fn current(&self) -> Option<UniqueItem<'_>> {
        self.items.current().map(UniqueItem::new)
    }
}

impl<'a> UniqueItem<'a> {
    fn new((key, payload): (&'a [u8], &'a [u8])) -> Self {
        let (_, _, payload) = split(key, payload);
        Self { key, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_order_of_instants_is_the_order_of_their_bytes() {
        let instants = [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX];
        let bytes: Vec<Vec<u8>> = instants
            .iter()
            .map(|&ts| {
                let mut bytes = Vec::new();
                push_instant(&mut bytes, ts);
                assert_eq!(instant(bytes[..].try_into().unwrap()), ts);
                bytes
            })
            .collect();
        assert!(bytes.is_sorted());
    }

    proptest! {
        #[test]
        fn texts_keep_their_order_whatever_follows(a in "[a\0\u{1}]{0,4}", b in "[a\0\u{1}]{0,4}", tail_a: u8, tail_b: u8) {
            let mut bytes = [Vec::new(), Vec::new()];
            push_text(&mut bytes[0], &a);
            push_text(&mut bytes[1], &b);
            bytes[0].push(tail_a);
            bytes[1].push(tail_b);
            prop_assert_eq!(bytes[0].cmp(&bytes[1]), (a.as_bytes(), tail_a).cmp(&(b.as_bytes(), tail_b)));
        }

        #[test]
        fn of_each_id_the_last_remains(budget in 0_usize..30_000, items in proptest::collection::vec((0_u8..4, "[a-c]{0,3}"), 0..300)) {
            let mut sorter = UniqueSorter::new(budget, None);
            let mut last = BTreeMap::new();
            for (n, (before, id)) in items.iter().enumerate() {
                let n = u32::try_from(n).unwrap();
                sorter.push(&[*before], id.as_bytes(), &[&n.to_le_bytes()]).unwrap();
                last.insert(id.clone(), (*before, n));
            }
            let mut expected: Vec<_> = last.into_iter().map(|(id, (before, n))| (before, id, n)).collect();
            expected.sort();
            let mut dropped = 0;
            let sorted = sorter.finish(|_| dropped += 1).unwrap();
            prop_assert_eq!(sorted.len(), expected.len() as u64);
            prop_assert_eq!(dropped + expected.len(), items.len());
            let mut reading = sorted.read().unwrap();
            let mut actual = Vec::new();
            while let Some(item) = reading.next().unwrap() {
                actual.push((item.key[0], String::from_utf8(item.key[1..].to_vec()).unwrap(), u32::from_le_bytes(item.payload.try_into().unwrap())));
            }
            prop_assert_eq!(actual, expected);
        }
    }
}
