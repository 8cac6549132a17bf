//! Threads: what the first message of one shows of replies that come long after it.
//!
//! The first pass meets the replies and sorts them by thread. Then the first messages are found among the places of all.
//! The replies that are listed go to a spool, and for each thread one record to a file in the order in which first messages
//! will be rendered: [`begun`] reads it beside the messages.

mod begun;

use std::fs::File;
use std::io::{self, BufWriter, Write};

use transcript::bson::id_text;
use transcript::html::{LISTED, author_of, excerpt};
use transcript::markup::Plain;
use transcript::message::{Field, Message};
use transcript::output::{REPLIERS, SEPARATOR, Thread};
use transcript::texts::Texts;

use super::ExportError;
use super::bloom::Bloom;
use super::ledger::{KnownThread, Ledger};
use super::pages::{OnPage, Places};
use crate::sort::{Sorted, SortedItems, Sorter};
use crate::store::order::{instant, push_instant, push_text};
use begun::{Begun, Start};

/// Bytes that sorting replies may hold.
const SORT_BUDGET: usize = 512 << 10;
/// Bytes that sorting first messages, threads, and messages for pages of threads may hold each.
const SMALL_BUDGET: usize = 256 << 10;
/// Bytes of the set of first messages.
const FIRSTS: usize = 256 << 10;
/// Bytes of a name or an id that are kept.
const NAME: usize = 240;
/// Bytes of the files that are written or read at a time.
const BUFFER: usize = 64 << 10;

/// Takes the replies, then finds their first messages.
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

    /// Finds the first messages among all.
    pub(super) fn find_firsts(&mut self, places: &mut Places) -> Result<(), ExportError> {
        if self.set.is_empty() {
            return Ok(());
        }
        while let Some(OnPage { ts, id, page }) = places.next()? {
            if !self.set.may_have(id) {
                continue;
            }
            let Ok(id) = std::str::from_utf8(id) else {
                continue;
            };
            self.key.clear();
            push_text(&mut self.key, id);
            self.payload.clear();
            self.payload.extend_from_slice(&ts.to_le_bytes());
            self.payload.extend_from_slice(&page.to_le_bytes());
            self.firsts
                .push(&self.key, &self.payload)
                .map_err(ExportError::Spool)?;
        }
        Ok(())
    }

    /// Joins replies and first messages.
    pub(super) fn finish(self, ledger: &Ledger) -> Result<Threads, ExportError> {
        let replies = self.replies.finish().map_err(ExportError::Spool)?;
        let firsts = self.firsts.finish().map_err(ExportError::Spool)?;
        let mut joined = Joined {
            spool: BufWriter::with_capacity(
                BUFFER,
                tempfile::tempfile().map_err(ExportError::Spool)?,
            ),
            offset: 0,
            starts: Sorter::new(SMALL_BUDGET, None),
            numbers: 0,
        };
        joined.join(&replies, &firsts, ledger)?;
        Ok(Threads {
            begun: joined.begun().map_err(ExportError::Spool)?,
            kept: Sorter::new(SMALL_BUDGET, None),
            key: Vec::new(),
            doc: Vec::new(),
        })
    }
}

/// What the join writes.
struct Joined {
    spool: BufWriter<File>,
    /// Bytes in it.
    offset: u64,
    starts: Sorter,
    /// Threads with a page of their own.
    numbers: u32,
}

/// A thread whose replies are being read.
struct Open {
    /// What keys of its replies begin with.
    prefix: Vec<u8>,
    /// `ts` of its first reply.
    earliest: i64,
    start: Start,
}

impl Joined {
    fn join(
        &mut self,
        replies: &Sorted,
        firsts: &Sorted,
        ledger: &Ledger,
    ) -> Result<(), ExportError> {
        let failed = ExportError::Spool;
        let mut firsts = firsts.read().map_err(failed)?;
        let mut first = own(&mut firsts)?;
        let mut replies = replies.read().map_err(failed)?;
        let mut open: Option<Open> = None;
        loop {
            let next = replies.next().map_err(failed)?;
            let same = match (&open, next) {
                (Some(open), Some((key, _))) => prefix(key) == open.prefix,
                _ => false,
            };
            if !same && let Some(thread) = open.take() {
                while first.as_ref().is_some_and(|(id, _)| *id < thread.prefix) {
                    first = own(&mut firsts)?;
                }
                let found = first.as_ref().filter(|(id, _)| *id == thread.prefix);
                self.close(thread, found.map(|(_, payload)| &**payload), ledger)?;
            }
            let Some((key, payload)) = next else {
                return Ok(());
            };
            let ts = key[prefix(key).len()..].first_chunk();
            let ts = ts.map_or(i64::MIN, |ts| instant(*ts));
            let open = open.get_or_insert_with(|| Open {
                prefix: prefix(key).to_vec(),
                earliest: ts,
                start: Start {
                    offset: self.offset,
                    ..Start::default()
                },
            });
            self.add(&mut open.start, ts, payload).map_err(failed)?;
        }
    }

    /// Adds a reply to its thread.
    fn add(&mut self, start: &mut Start, ts: i64, payload: &[u8]) -> io::Result<()> {
        let KnownThread { thread, last } = &mut start.known;
        thread.replies += 1;
        *last = ts;
        note_replier(thread, payload);
        if thread.replies <= LISTED {
            let length = u32::try_from(size_of_val(&ts) + payload.len()).unwrap_or(u32::MAX);
            for part in [&length.to_le_bytes()[..], &ts.to_le_bytes(), payload] {
                self.spool.write_all(part)?;
                self.offset += part.len() as u64;
                start.bytes += part.len() as u64;
            }
        }
        Ok(())
    }

    /// Keeps a thread for its first message, whose place is `found`, and for messages that cannot learn of it from that.
    fn close(
        &mut self,
        open: Open,
        found: Option<&[u8]>,
        ledger: &Ledger,
    ) -> Result<(), ExportError> {
        let Open {
            prefix,
            earliest,
            mut start,
        } = open;
        let thread = &mut start.known.thread;
        if thread.replies > LISTED {
            self.numbers += 1;
            thread.number = Some(self.numbers);
        }
        if let Some((ts, page)) = found.and_then(<[u8]>::split_first_chunk)
            && let Ok(page) = page.try_into()
        {
            thread.ts = i64::from_le_bytes(*ts);
            thread.page = Some(u32::from_le_bytes(page));
        }
        let first = text_of(&prefix);
        // Its first message comes later than a reply, or never.
        let unmet = match thread.page {
            Some(_) => earliest <= thread.ts,
            None => thread.number.is_some(),
        };
        if unmet {
            ledger.remember_thread(&first, &start.known)?;
        }
        if start.known.thread.page.is_some() {
            start
                .keep(&first, &mut self.starts)
                .map_err(ExportError::Spool)?;
        }
        Ok(())
    }

    fn begun(self) -> io::Result<Begun> {
        let spool = self.spool.into_inner();
        Begun::new(
            &self.starts.finish()?,
            spool.map_err(io::IntoInnerError::into_error)?,
        )
    }
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
    /// Those whose first message is in the export.
    pub(super) begun: Begun,
    kept: Sorter,
    key: Vec<u8>,
    doc: Vec<u8>,
}

/// A reply as it waits in the spool.
pub(super) struct Listed<'a> {
    pub(super) id: &'a str,
    pub(super) ts: i64,
    pub(super) author: &'a str,
    pub(super) excerpt: &'a str,
}

impl Threads {
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
        self.doc.clear();
        message.doc().write_to(&mut self.doc);
        self.kept.push(&self.key, &self.doc)
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
