//! Where pages end, decided before the first message is rendered, and on which page a message stands.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use transcript::html::{BYTES_PER_PAGE, MESSAGES_PER_PAGE};
use transcript::output::PageBounds;

use super::ExportError;
use super::bloom::Bloom;
use super::ledger::Bounds;
use crate::store::outline::{OutlineCursor, Place};

/// Pages whose first instants are kept in memory: with more, every second one is let go.
const KEPT: usize = 4096;
/// Bytes of the set of ids that tells whether a message is in the export at all.
const IDS: usize = 1 << 20;
/// Bytes of places that are written or read at a time.
const BUFFER: usize = 64 << 10;

/// Cuts the messages of an outline into pages; with `hidden`, old versions and deleted messages as well. Blocks.
pub(super) fn cut(
    runtime: &Handle,
    mut outline: Box<dyn OutlineCursor>,
    hidden: bool,
    cancel: &CancellationToken,
) -> Result<(PageIndex, Places), ExportError> {
    let mut cutter = Cutter::new()?;
    while let Some(places) = runtime.block_on(outline.next_batch())? {
        if cancel.is_cancelled() {
            return Err(ExportError::Cancelled);
        }
        for place in places.iter() {
            if hidden || !place.hidden {
                cutter.add(place)?;
            }
        }
    }
    cutter.finish()
}

/// Cuts pages: takes places in order.
pub(super) struct Cutter {
    index: PageIndex,
    places: BufWriter<File>,
    open: PageBounds,
    messages: u32,
    bytes: u64,
}

impl Cutter {
    pub(super) fn new() -> Result<Self, ExportError> {
        let file = tempfile::tempfile().map_err(ExportError::Spool)?;
        Ok(Self {
            index: PageIndex {
                starts: Vec::new(),
                stride: 1,
                pages: 0,
                ids: Bloom::new(IDS),
                bounds: Bounds::new()?,
            },
            places: BufWriter::with_capacity(BUFFER, file),
            open: PageBounds {
                ts: i64::MIN,
                ..PageBounds::default()
            },
            messages: 0,
            bytes: 0,
        })
    }

    /// Adds the place of a message that will be rendered.
    pub(super) fn add(&mut self, place: Place<'_>) -> Result<(), ExportError> {
        let size = u64::from(place.size);
        let full = self.messages >= MESSAGES_PER_PAGE
            || self.messages > 0 && self.bytes + size > BYTES_PER_PAGE;
        if full {
            self.close()?;
            self.open = PageBounds {
                ts: place.ts,
                id: place.id.to_vec(),
                first: None,
                last: None,
            };
            (self.messages, self.bytes) = (0, 0);
        }
        self.messages += 1;
        self.bytes += size;
        if place.ts != i64::MIN {
            self.open.first.get_or_insert(place.ts);
            self.open.last = Some(place.ts);
        }
        self.index.ids.insert(place.id);
        put(&mut self.places, place, self.index.pages).map_err(ExportError::Spool)
    }

    fn close(&mut self) -> Result<(), ExportError> {
        let index = &mut self.index;
        index.bounds.add(index.pages, &self.open)?;
        if index.pages.is_multiple_of(index.stride) {
            if index.starts.len() == KEPT {
                index.stride *= 2;
                let mut number = 0;
                index.starts.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
            }
            if index.pages.is_multiple_of(index.stride) {
                index.starts.push(self.open.ts);
            }
        }
        index.pages += 1;
        Ok(())
    }

    /// Ends the last page. There is one page at least.
    pub(super) fn finish(mut self) -> Result<(PageIndex, Places), ExportError> {
        self.close()?;
        let spooled = || {
            let mut file = self
                .places
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            Ok(file)
        };
        let file = spooled().map_err(ExportError::Spool)?;
        Ok((
            self.index,
            Places {
                file: BufReader::with_capacity(BUFFER, file),
                id: Vec::new(),
            },
        ))
    }
}

/// Instant, page and the id's length, before the id.
const NUMBERS: usize = 3;

fn put(out: &mut impl Write, place: Place<'_>, page: u32) -> io::Result<()> {
    let numbers: [u64; NUMBERS] = [place.ts.cast_unsigned(), page.into(), place.id.len() as u64];
    out.write_all(numbers.map(u64::to_le_bytes).as_flattened())?;
    out.write_all(place.id)
}

/// A message's place in the room and in the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnPage<'a> {
    /// As in [`Place`].
    pub(super) ts: i64,
    /// As in [`Place`].
    pub(super) id: &'a [u8],
    pub(super) page: u32,
}

/// The places of all messages and their pages, in order, in an unnamed file: the first messages of threads are found
/// among them when all replies are known.
pub(super) struct Places {
    file: BufReader<File>,
    id: Vec<u8>,
}

impl Places {
    /// The next message.
    pub(super) fn next(&mut self) -> Result<Option<OnPage<'_>>, ExportError> {
        self.read().map_err(ExportError::Spool)
    }

    fn read(&mut self) -> io::Result<Option<OnPage<'_>>> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut numbers = [[0; 8]; NUMBERS];
        self.file.read_exact(numbers.as_flattened_mut())?;
        let [ts, page, length] = numbers.map(u64::from_le_bytes);
        self.id
            .resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        self.file.read_exact(&mut self.id)?;
        Ok(Some(OnPage {
            ts: ts.cast_signed(),
            id: &self.id,
            page: u32::try_from(page).map_err(io::Error::other)?,
        }))
    }
}

/// Answers on which page a message stands.
pub(super) struct PageIndex {
    /// First instants of pages 0, `stride`, 2·`stride`, ….
    starts: Vec<i64>,
    stride: u32,
    pages: u32,
    ids: Bloom,
    bounds: Bounds,
}

impl PageIndex {
    /// How many pages there are.
    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// The bounds of a page; `None` behind the last.
    pub(super) fn bounds(&self, number: u32) -> Result<Option<PageBounds>, ExportError> {
        Ok(self.bounds.get(number)?)
    }

    /// Whether a message of this `_id` may be in the export; `false` is certain.
    pub(super) fn may_have(&self, id: &str) -> bool {
        self.ids.may_have(id.as_bytes())
    }

    /// The page that the place is on, whether or not there is a message in it.
    pub(super) fn page_of(&self, ts: i64, id: &[u8]) -> Result<u32, ExportError> {
        // The instant alone decides, but for pages that are cut within one.
        let after = self.starts.partition_point(|&start| start < ts);
        let cut_within = self.starts.get(after) == Some(&ts);
        if self.stride == 1 && !cut_within {
            return Ok(u32::try_from(after.saturating_sub(1)).unwrap_or(u32::MAX));
        }
        Ok(self.bounds.page_of(ts, id)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of so many messages at so many a millisecond, beside the places that were kept of them.
    fn cut(messages: u32, per_instant: i64, size: u32) -> (PageIndex, Vec<(i64, String, u32)>) {
        let mut cutter = Cutter::new().unwrap();
        for number in 0..messages {
            let (ts, id) = (i64::from(number) / per_instant, format!("m{number:08}"));
            let place = Place {
                ts,
                id: id.as_bytes(),
                size,
                hidden: false,
            };
            cutter.add(place).unwrap();
        }
        let (index, places) = cutter.finish().unwrap();
        (index, all(places))
    }

    fn all(mut places: Places) -> Vec<(i64, String, u32)> {
        let mut all = Vec::new();
        while let Some(OnPage { ts, id, page }) = places.next().unwrap() {
            all.push((ts, String::from_utf8(id.to_vec()).unwrap(), page));
        }
        all
    }

    #[test]
    fn every_message_is_found_on_its_page() {
        for (messages, per_instant, size, pages) in [
            (0, 1, 100, 1),
            (1, 1, 100, 1),
            (1_000, 1, 100, 1),
            (1_001, 1, 100, 2),
            (10_000, 1, 100, 10),
            (10_000, 7, 100, 10),
            // All of one instant.
            (100_000, 200_000, 100, 100),
            // Bytes end pages as well; a message larger than a page has one of its own.
            (10, 1, 1 << 20, 5),
            (5, 1, 16 << 20, 5),
            // More pages than are kept in memory.
            (10_000, 2, 2 << 20, 10_000),
        ] {
            let (index, kept) = cut(messages, per_instant, size);
            let case = format!("{messages} {per_instant} {size}");
            assert_eq!(kept.len() as u64, u64::from(messages), "{case}");
            assert_eq!(index.pages(), pages, "{case}");
            assert!(index.starts.len() <= KEPT);
            for (ts, id, page) in &kept {
                let found = index.page_of(*ts, id.as_bytes()).unwrap();
                assert_eq!(found, *page, "{case} {id}");
                assert!(index.may_have(id));
                let bounds = index.bounds(*page).unwrap().unwrap();
                assert!((bounds.ts, bounds.id.as_slice()) <= (*ts, id.as_bytes()));
                assert!(bounds.first <= Some(*ts) && bounds.last >= Some(*ts));
            }
            assert_eq!(index.bounds(pages).unwrap(), None);
            assert!(!index.may_have("nowhere"));
        }
    }

    #[test]
    fn messages_without_instant_come_first() {
        let mut cutter = Cutter::new().unwrap();
        for number in 0..3_000_i64 {
            let ts = if number < 1_500 { i64::MIN } else { number };
            let id = format!("m{number:08}");
            let place = Place {
                ts,
                id: id.as_bytes(),
                size: 10,
                hidden: false,
            };
            cutter.add(place).unwrap();
        }
        let (index, places) = cutter.finish().unwrap();
        for (ts, id, page) in all(places) {
            assert_eq!(index.page_of(ts, id.as_bytes()).unwrap(), page);
        }
        let bounds = index.bounds(1).unwrap().unwrap();
        assert_eq!((bounds.first, bounds.last), (Some(1_500), Some(1_999)));
    }
}
