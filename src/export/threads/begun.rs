//! Threads that begin with a message of the export, while messages are rendered in order: read beside them, kept in
//! memory while replies may come, and in the ledger when there are too many of them.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;

use transcript::output::Thread;

use super::{BUFFER, Listed, parts};
use crate::export::ExportError;
use crate::export::ledger::{KnownThread, Ledger};
use crate::sort::{Sorted, Sorter};
use crate::store::order::{instant, push_instant};

/// Threads in memory.
const KNOWN: usize = 1024;

/// A thread, and where its listed replies are in the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) known: KnownThread,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Numbers of a record.
const NUMBERS: usize = 7;

impl Start {
    /// Hands the thread, whose first message is in the export, to the sort by places.
    pub(super) fn keep(&self, first: &str, starts: &mut Sorter) -> io::Result<()> {
        let KnownThread { thread, last } = &self.known;
        let mut key = Vec::new();
        push_instant(&mut key, thread.ts);
        key.extend_from_slice(first.as_bytes());
        let mut payload = Vec::new();
        let numbers: [u64; NUMBERS] = [
            thread.page.unwrap_or_default().into(),
            thread.replies,
            thread.more_repliers.into(),
            thread.number.unwrap_or_default().into(),
            last.cast_unsigned(),
            self.offset,
            self.bytes,
        ];
        for number in numbers {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(thread.repliers.as_bytes());
        starts.push(&key, &payload)
    }

    /// What [`Start::keep`] wrote, and the first message's `_id`.
    fn read(key: &[u8], payload: &[u8]) -> Option<(String, Self)> {
        let (ts, first) = key.split_first_chunk()?;
        let (numbers, repliers) = payload.split_first_chunk::<{ NUMBERS * 8 }>()?;
        let (numbers, _) = numbers.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next();
        let mut thread = Thread {
            ts: instant(*ts),
            page: Some(next()?.try_into().ok()?),
            replies: next()?,
            more_repliers: next()? != 0,
            repliers: String::from_utf8_lossy(repliers).into_owned(),
            ..Thread::default()
        };
        thread.number = Some(next()?.try_into().ok()?).filter(|&number| number > 0);
        let last = next()?.cast_signed();
        let start = Self {
            known: KnownThread { thread, last },
            offset: next()?,
            bytes: next()?,
        };
        Some((String::from_utf8_lossy(first).into_owned(), start))
    }
}

/// Threads in the order of their first messages.
struct Starts {
    file: BufReader<File>,
    record: Vec<u8>,
}

impl Starts {
    fn new(sorted: &Sorted) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
        let mut items = sorted.read()?;
        while let Some((key, payload)) = items.next()? {
            for part in [key, payload] {
                file.write_all(&(part.len() as u64).to_le_bytes())?;
                file.write_all(part)?;
            }
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Self {
            file: BufReader::with_capacity(BUFFER, file),
            record: Vec::new(),
        })
    }

    fn next(&mut self) -> io::Result<Option<(String, Start)>> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.record.clear();
        let mut key = 0;
        for _ in 0..2 {
            let mut length = [0; 8];
            self.file.read_exact(&mut length)?;
            let length = usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)?;
            key = self.record.len();
            self.record.resize(key + length, 0);
            self.file.read_exact(&mut self.record[key..])?;
        }
        let (key, payload) = self.record.split_at(key);
        let start = Start::read(key, payload);
        start.map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }
}

/// The threads.
pub(in crate::export) struct Begun {
    starts: Starts,
    /// The next one, and its `_id`.
    next: Option<(String, Start)>,
    /// Those met last, by the `_id` of their first message.
    known: HashMap<String, Start>,
    /// In the order in which they came.
    order: VecDeque<String>,
    /// `ts` of the message that is being rendered.
    now: i64,
    spool: File,
    buffer: Vec<u8>,
}

impl Begun {
    /// The threads of a sort that [`Start::keep`] filled, and the spool with their replies.
    pub(super) fn new(starts: &Sorted, spool: File) -> io::Result<Self> {
        let mut starts = Starts::new(starts)?;
        Ok(Self {
            next: starts.next()?,
            starts,
            known: HashMap::with_capacity(KNOWN),
            order: VecDeque::with_capacity(KNOWN),
            now: i64::MIN,
            spool,
            buffer: Vec::new(),
        })
    }

    /// Whether the message of this place is the first of a thread; places come in order.
    pub(in crate::export) fn meet(
        &mut self,
        ts: i64,
        id: &str,
        ledger: &Ledger,
    ) -> Result<bool, ExportError> {
        self.now = ts;
        while let Some((first, start)) = &self.next {
            let place = (start.known.thread.ts, first.as_bytes());
            if place > (ts, id.as_bytes()) {
                return Ok(false);
            }
            let found = place == (ts, id.as_bytes());
            let next = self.starts.next().map_err(ExportError::Spool)?;
            if let Some((first, start)) = std::mem::replace(&mut self.next, next) {
                self.know(first, start, ledger)?;
            }
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The thread that a message is the first of.
    pub(in crate::export) fn get(
        &mut self,
        first: &str,
        ledger: &Ledger,
    ) -> Result<Option<&mut Thread>, ExportError> {
        if !self.known.contains_key(first) {
            let Some(known) = ledger.thread(first)? else {
                return Ok(None);
            };
            let start = Start {
                known,
                ..Start::default()
            };
            self.know(first.to_owned(), start, ledger)?;
        }
        let start = self.known.get_mut(first);
        Ok(start.map(|start| &mut start.known.thread))
    }

    /// Puts a thread into memory; the one that has been there longest goes, and is kept elsewhere when it will be asked for.
    fn know(&mut self, first: String, start: Start, ledger: &Ledger) -> Result<(), ExportError> {
        if self.known.insert(first.clone(), start).is_some() {
            return Ok(());
        }
        self.order.push_back(first);
        if self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
            && let Some(Start { known, .. }) = self.known.remove(&oldest)
            && (known.last >= self.now || known.thread.number.is_some())
        {
            ledger.remember_thread(&oldest, &known)?;
        }
        Ok(())
    }

    /// The listed replies of a thread whose first message was met just now.
    pub(in crate::export) fn replies(
        &mut self,
        first: &str,
    ) -> Result<impl Iterator<Item = Listed<'_>>, ExportError> {
        let start = self.known.get(first);
        let (offset, bytes) = start.map_or((0, 0), |start| (start.offset, start.bytes));
        self.buffer
            .resize(usize::try_from(bytes).unwrap_or_default(), 0);
        self.spool
            .read_exact_at(&mut self.buffer, offset)
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
                ts: i64::from_le_bytes(*ts),
                author,
                excerpt,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, Document, doc};
    use transcript::locale::Locale;
    use transcript::message::Message;

    use super::super::{Collector, Threads};
    use super::*;
    use crate::export::pages::Cutter;
    use crate::store::outline::Place;

    /// A message: `ts`, `_id`, the first message of its thread.
    type Sent = (i64, String, Option<String>);

    fn threads(messages: &[Sent], ledger: &Ledger) -> Threads {
        let mut collector = Collector::new(Locale::default().texts());
        let mut cutter = Cutter::new().unwrap();
        for (ts, id, first) in messages {
            let mut doc: Document = doc! {"_id": id, "ts": DateTime::from_millis(*ts), "msg": format!("says {id}"), "u": {"username": "bob"}};
            if let Some(first) = first {
                doc.insert("tmid", first);
            }
            let bytes = doc.to_vec().unwrap();
            collector.add(&Message::read(&bytes)).unwrap();
            let place = Place {
                ts: *ts,
                id: id.as_bytes(),
                size: 100,
                hidden: false,
            };
            cutter.add(place).unwrap();
        }
        let (_, mut places) = cutter.finish().unwrap();
        collector.find_firsts(&mut places).unwrap();
        collector.finish(ledger).unwrap()
    }

    /// What a renderer learns of a message: the replies listed of a thread that begins with it, and the excerpt and the
    /// number of the thread that it belongs to.
    type Learned = (Vec<String>, Option<(String, Option<u32>)>);

    /// Goes through the messages as a renderer does.
    fn rendered(messages: &[Sent]) -> HashMap<String, Learned> {
        let ledger = Ledger::new().unwrap();
        let mut begun = threads(messages, &ledger).begun;
        let mut all = HashMap::new();
        for (ts, id, first) in messages {
            let of = first.as_ref().and_then(|first| {
                let thread = begun.get(first, &ledger).unwrap()?;
                thread.page?;
                Some((thread.excerpt.clone(), thread.number))
            });
            let mut listed = Vec::new();
            if begun.meet(*ts, id, &ledger).unwrap() {
                let thread = begun.get(id, &ledger).unwrap().unwrap();
                thread.excerpt = format!("excerpt of {id}");
                let replies = thread.replies;
                let lent = begun.replies(id).unwrap();
                listed.extend(lent.map(|reply| format!("{} {}", reply.id, reply.ts)));
                assert_eq!(replies.min(transcript::html::LISTED), listed.len() as u64);
            }
            assert!(begun.known.len() <= KNOWN && begun.order.len() <= KNOWN);
            all.insert(id.clone(), (listed, of));
        }
        all
    }

    #[test]
    fn threads_of_any_length_and_number_are_known_to_their_messages() {
        // More threads than memory holds, answered in turn, so that none is finished before all have begun.
        let begun = KNOWN + 500;
        let instant = |number| i64::try_from(number).unwrap();
        let mut messages: Vec<Sent> = Vec::new();
        for thread in 0..begun {
            messages.push((instant(thread), format!("first{thread:05}"), None));
        }
        for reply in 0..2 {
            for thread in 0..begun {
                let ts = instant(begun * (reply + 1) + thread);
                let first = Some(format!("first{thread:05}"));
                messages.push((ts, format!("reply{reply}-{thread:05}"), first));
            }
        }
        let all = rendered(&messages);
        for thread in 0..begun {
            let first = format!("first{thread:05}");
            let replies: Vec<_> = (0..2)
                .map(|reply| format!("reply{reply}-{thread:05} {}", begun * (reply + 1) + thread))
                .collect();
            assert_eq!(all[&first], (replies, None));
            for reply in 0..2 {
                let (_, of) = &all[&format!("reply{reply}-{thread:05}")];
                assert_eq!(*of, Some((format!("excerpt of {first}"), None)));
            }
        }
    }

    #[test]
    fn odd_threads_are_known_as_well_as_they_can_be() {
        let sent = |ts, id: &str, first: Option<&str>| (ts, id.to_owned(), first.map(Into::into));
        let mut messages = vec![
            // Before its first message, which comes later, and is one of the same instant.
            sent(1, "early", Some("late")),
            sent(2, "a-same", Some("b-same")),
            sent(2, "b-same", None),
            sent(3, "late", None),
            sent(4, "on-time", Some("late")),
            // Of a thread whose first message is elsewhere.
            sent(5, "lost", Some("elsewhere")),
            // A reply that begins a thread itself.
            sent(6, "nested", Some("on-time")),
        ];
        messages.extend((7..100).map(|ts| (ts, format!("long{ts:03}"), Some("late".into()))));
        let all = rendered(&messages);
        let of = |id: &str| all[id].1.clone();
        assert_eq!(of("early"), Some((String::new(), Some(1))));
        assert_eq!(of("a-same"), Some((String::new(), None)));
        assert_eq!(of("on-time"), Some(("excerpt of late".into(), Some(1))));
        assert_eq!(of("lost"), None);
        assert_eq!(of("nested"), Some(("excerpt of on-time".into(), None)));
        assert_eq!(of("long099"), Some(("excerpt of late".into(), Some(1))));
        assert_eq!(all["late"].0[..2], ["early 1", "on-time 4"]);
        assert_eq!(all["b-same"].0, ["a-same 2"]);
        assert_eq!(all["on-time"].0, ["nested 6"]);
    }

    #[test]
    fn a_first_message_that_is_gone_meanwhile_disturbs_no_other() {
        let sent = |ts, id: &str, first: Option<&str>| (ts, id.to_owned(), first.map(Into::into));
        let messages = [
            sent(1, "gone", None),
            sent(2, "there", None),
            sent(3, "to-gone", Some("gone")),
            sent(4, "to-there", Some("there")),
        ];
        let ledger = Ledger::new().unwrap();
        let mut begun = threads(&messages, &ledger).begun;
        assert!(begun.meet(2, "there", &ledger).unwrap());
        let replies = |begun: &mut Begun, first| begun.replies(first).unwrap().count();
        assert_eq!(replies(&mut begun, "there"), 1);
        assert!(begun.get("gone", &ledger).unwrap().unwrap().page.is_some());
        assert!(begun.get("nobody", &ledger).unwrap().is_none());
    }
}
