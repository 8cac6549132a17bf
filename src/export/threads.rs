//! Threads: what the first message of one shows of replies that come long after it.
//!
//! The first pass meets the replies and sorts them by thread. Then, beside the outline, the first messages are found, and
//! for each thread one row goes to the ledger and the replies that are listed go to a spool, in the same order.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use transcript::bson::id_text;
use transcript::html::{LISTED, author_of, excerpt};
use transcript::markup::Plain;
use transcript::message::{Field, Message};
use transcript::output::{REPLIERS, SEPARATOR, Thread};
use transcript::texts::Texts;

use super::ExportError;
use super::bloom::Bloom;
use super::ledger::{Ledger, Spooled};
use crate::sort::{Sorted, SortedItems, Sorter};
use crate::store::order::{instant, push_instant, push_text};
use crate::store::outline::Place;

/// Bytes that sorting replies may hold.
const SORT_BUDGET: usize = 512 << 10;
/// Bytes that sorting first messages, and messages for pages of threads, may hold each.
const SMALL_BUDGET: usize = 256 << 10;
/// Bytes of the set of first messages.
const FIRSTS: usize = 256 << 10;
/// Bytes of a name or an id that are kept.
const NAME: usize = 240;

/// Takes the replies, then the places of messages.
pub(super) struct Collector {
    replies: Sorter,
    firsts: Sorter,
    set: Bloom,
    key: Vec<u8>,
    payload: Vec<u8>,
    plain: Plain,
    text: String,
    words: &'static Texts,
}

impl Collector {
    /// For pages with these words.
    pub(super) fn new(words: &'static Texts) -> Self {
        Self {
            words,
            replies: Sorter::new(SORT_BUDGET, None),
            firsts: Sorter::new(SMALL_BUDGET, None),
            set: Bloom::new(FIRSTS),
            key: Vec::new(),
            payload: Vec::new(),
            plain: Plain::default(),
            text: String::new(),
        }
    }

    /// Takes a message if it is a reply.
    pub(super) fn add(&mut self, message: &Message<'_>) -> Result<(), ExportError> {
        let Some(first) = message.get(Field::Tmid).filter(|first| first.truthy()) else {
            return Ok(());
        };
        let first = id_text(first);
        self.set.insert(first.as_bytes());
        let id = message.id();
        self.key.clear();
        push_text(&mut self.key, &first);
        push_instant(&mut self.key, message.ts().unwrap_or(i64::MIN));
        self.key.extend_from_slice(id.as_bytes());
        excerpt(message, self.words, &mut self.plain, &mut self.text);
        let author = author_of(message, self.words).to_str();
        self.payload.clear();
        push_part(&mut self.payload, &id);
        push_part(&mut self.payload, &author);
        self.payload.extend_from_slice(self.text.as_bytes());
        self.replies
            .push(&self.key, &self.payload)
            .map_err(ExportError::Spool)
    }

    /// Takes the place of a message if it may be the first of a thread.
    pub(super) fn met(&mut self, place: Place<'_>, page: u32) -> Result<(), ExportError> {
        if !self.set.may_have(place.id) {
            return Ok(());
        }
        let Ok(id) = std::str::from_utf8(place.id) else {
            return Ok(());
        };
        self.key.clear();
        push_text(&mut self.key, id);
        self.payload.clear();
        self.payload.extend_from_slice(&place.ts.to_le_bytes());
        self.payload.extend_from_slice(&page.to_le_bytes());
        self.firsts
            .push(&self.key, &self.payload)
            .map_err(ExportError::Spool)
    }

    /// Joins replies and first messages.
    pub(super) fn finish(self, ledger: &Ledger) -> Result<Threads, ExportError> {
        let spool = tempfile::tempfile().map_err(ExportError::Spool)?;
        let replies = self.replies.finish().map_err(ExportError::Spool)?;
        let firsts = self.firsts.finish().map_err(ExportError::Spool)?;
        let spool = join(&replies, &firsts, spool, ledger)?;
        Ok(Threads {
            set: self.set,
            spool,
            kept: Sorter::new(SMALL_BUDGET, None),
            key: Vec::new(),
            buffer: Vec::new(),
        })
    }
}

/// Writes a thread at a time: its replies to the spool, its row to the ledger.
fn join(
    replies: &Sorted,
    firsts: &Sorted,
    spool: File,
    ledger: &Ledger,
) -> Result<File, ExportError> {
    let failed = ExportError::Spool;
    let mut spool = BufWriter::with_capacity(64 << 10, spool);
    let (mut offset, mut number) = (0, 0);
    let mut firsts = firsts.read().map_err(failed)?;
    let mut first = own(&mut firsts)?;
    let mut replies = replies.read().map_err(failed)?;
    let mut open: Option<(Vec<u8>, Thread, Spooled)> = None;
    loop {
        let next = replies.next().map_err(failed)?;
        let same = match (&open, next) {
            (Some((thread, ..)), Some((key, _))) => prefix(key) == thread,
            _ => false,
        };
        if !same && let Some((key, mut thread, spooled)) = open.take() {
            if thread.replies > LISTED {
                number += 1;
                thread.number = Some(number);
            }
            while first.as_ref().is_some_and(|(id, _)| *id < key) {
                first = own(&mut firsts)?;
            }
            if let Some((id, payload)) = &first
                && *id == key
                && let Some((ts, page)) = payload.split_first_chunk()
                && let Ok(page) = page.try_into()
            {
                thread.ts = i64::from_le_bytes(*ts);
                thread.page = Some(u32::from_le_bytes(page));
            }
            ledger.add_thread(&text_of(&key), &thread, spooled)?;
        }
        let Some((key, payload)) = next else {
            break;
        };
        let (_, thread, spooled) = open.get_or_insert_with(|| {
            let spooled = Spooled { offset, bytes: 0 };
            (prefix(key).to_vec(), Thread::default(), spooled)
        });
        thread.replies += 1;
        note_replier(thread, payload);
        if thread.replies <= LISTED {
            let ts = &key[prefix(key).len()..][..8];
            let length = u32::try_from(ts.len() + payload.len()).unwrap_or(u32::MAX);
            for part in [&length.to_le_bytes()[..], ts, payload] {
                spool.write_all(part).map_err(failed)?;
                offset += part.len() as u64;
                spooled.bytes += part.len() as u64;
            }
        }
    }
    spool
        .into_inner()
        .map_err(|error| failed(error.into_error()))
}

/// A key and its payload.
type Item = (Vec<u8>, Vec<u8>);

fn own(items: &mut SortedItems<'_>) -> Result<Option<Item>, ExportError> {
    let item = items.next().map_err(ExportError::Spool)?;
    Ok(item.map(|(key, payload)| (key.to_vec(), payload.to_vec())))
}

/// The thread in a key: what [`push_text`] wrote, up to the pair of bytes that ends it.
fn prefix(key: &[u8]) -> &[u8] {
    let end = key.windows(2).position(|pair| pair == [0, 1]);
    end.map_or(key, |end| &key[..end + 2])
}

/// The text that [`push_text`] wrote.
fn text_of(prefix: &[u8]) -> String {
    let text = prefix.strip_suffix(&[0, 1]).unwrap_or(prefix);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        bytes.push(byte);
        if byte == 0 {
            rest.next_if_eq(&0xff);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn note_replier(thread: &mut Thread, payload: &[u8]) {
    let Some((_, author, _)) = parts(payload) else {
        return;
    };
    let mut names = 0;
    for name in thread.repliers.split(SEPARATOR) {
        names += 1;
        if name == author {
            return;
        }
    }
    if thread.repliers.is_empty() {
        thread.repliers.push_str(author);
    } else if names < REPLIERS {
        thread.repliers.push(SEPARATOR);
        thread.repliers.push_str(author);
    } else {
        thread.more_repliers = true;
    }
}

fn push_part(payload: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(NAME)];
    payload.push(u8::try_from(text.len()).unwrap_or_default());
    payload.extend_from_slice(text.as_bytes());
}

/// `_id`, author and excerpt of a payload.
fn parts(payload: &[u8]) -> Option<(&str, &str, &str)> {
    let part = |bytes| -> Option<(&str, &[u8])> {
        let (&length, rest): (&u8, &[u8]) = <[u8]>::split_first(bytes)?;
        let (text, rest) = rest.split_at_checked(usize::from(length))?;
        Some((std::str::from_utf8(text).ok()?, rest))
    };
    let (id, rest) = part(payload)?;
    let (author, rest) = part(rest)?;
    Some((id, author, std::str::from_utf8(rest).ok()?))
}

/// The threads of an export, for its pages.
pub(super) struct Threads {
    set: Bloom,
    spool: File,
    kept: Sorter,
    key: Vec<u8>,
    buffer: Vec<u8>,
}

/// A reply as it waits in the spool.
pub(super) struct Listed<'a> {
    pub(super) id: &'a str,
    pub(super) ts: i64,
    pub(super) author: &'a str,
    pub(super) excerpt: &'a str,
}

impl Threads {
    /// Whether a message, by `_id`, may be the first of a thread; `false` is certain.
    pub(super) fn may_start(&self, id: &str) -> bool {
        self.set.may_have(id.as_bytes())
    }

    /// The listed replies of a thread.
    pub(super) fn read(
        &mut self,
        spooled: Spooled,
    ) -> Result<impl Iterator<Item = Listed<'_>>, ExportError> {
        let length = usize::try_from(spooled.bytes).unwrap_or_default();
        self.buffer.resize(length, 0);
        self.spool
            .read_exact_at(&mut self.buffer, spooled.offset)
            .map_err(ExportError::Spool)?;
        let mut rest = self.buffer.as_slice();
        Ok(std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk()?;
            let (record, tail) =
                tail.split_at_checked(u32::from_le_bytes(*length).try_into().ok()?)?;
            rest = tail;
            let (ts, payload) = record.split_first_chunk()?;
            let (id, author, excerpt) = parts(payload)?;
            Some(Listed {
                id,
                ts: instant(*ts),
                author,
                excerpt,
            })
        }))
    }

    /// Keeps a message for the page of its thread.
    pub(super) fn keep(
        &mut self,
        number: u32,
        first: bool,
        message: &Message<'_>,
    ) -> io::Result<()> {
        self.key.clear();
        self.key.extend_from_slice(&number.to_be_bytes());
        self.key.push(u8::from(!first));
        push_instant(&mut self.key, message.ts().unwrap_or(i64::MIN));
        self.key.extend_from_slice(message.id().as_bytes());
        self.buffer.clear();
        message.doc().write_to(&mut self.buffer);
        self.kept.push(&self.key, &self.buffer)
    }

    /// The messages that were kept, by number of their thread.
    pub(super) fn take_kept(&mut self) -> io::Result<Sorted> {
        std::mem::replace(&mut self.kept, Sorter::new(0, None)).finish()
    }
}

/// The number of the thread that a kept message is for.
pub(super) fn number_of(key: &[u8]) -> u32 {
    key.first_chunk()
        .map_or(0, |number| u32::from_be_bytes(*number))
}
