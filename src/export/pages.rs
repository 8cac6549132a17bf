//! Where pages end, decided before the first message is rendered, and on which page a message stands.

use transcript::html::{BYTES_PER_PAGE, MESSAGES_PER_PAGE};
use transcript::output::PageBounds;

use super::ExportError;
use super::bloom::Bloom;
use super::ledger::Ledger;
use crate::store::outline::Place;

/// Pages whose first instants are kept in memory: with more, every second one is let go.
const KEPT: usize = 4096;
/// Bytes of the set of ids that tells whether a message is in the export at all.
const IDS: usize = 1 << 20;

/// Cuts pages: takes places in order, and keeps the bounds of pages in the ledger.
pub(super) struct Cutter {
    index: PageIndex,
    open: PageBounds,
    messages: u32,
    bytes: u64,
}

impl Cutter {
    pub(super) fn new() -> Self {
        Self {
            index: PageIndex {
                starts: Vec::new(),
                stride: 1,
                pages: 0,
                ids: Bloom::new(IDS),
            },
            open: PageBounds {
                ts: i64::MIN,
                ..PageBounds::default()
            },
            messages: 0,
            bytes: 0,
        }
    }

    /// Adds the place of a message that will be rendered, and gives its page.
    pub(super) fn add(&mut self, place: Place<'_>, ledger: &Ledger) -> Result<u32, ExportError> {
        let size = u64::from(place.size);
        let full = self.messages >= MESSAGES_PER_PAGE
            || self.messages > 0 && self.bytes + size > BYTES_PER_PAGE;
        if full {
            self.close(ledger)?;
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
        Ok(self.index.pages)
    }

    fn close(&mut self, ledger: &Ledger) -> Result<(), ExportError> {
        let index = &mut self.index;
        ledger.add_page(index.pages, &self.open)?;
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
    pub(super) fn finish(mut self, ledger: &Ledger) -> Result<PageIndex, ExportError> {
        self.close(ledger)?;
        Ok(self.index)
    }
}

/// Answers on which page a message stands.
pub(super) struct PageIndex {
    /// First instants of pages 0, `stride`, 2·`stride`, ….
    starts: Vec<i64>,
    stride: u32,
    pages: u32,
    ids: Bloom,
}

impl PageIndex {
    /// How many pages there are.
    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// Whether a message of this `_id` may be in the export; `false` is certain.
    pub(super) fn may_have(&self, id: &str) -> bool {
        self.ids.may_have(id.as_bytes())
    }

    /// The page that the place is on, whether or not there is a message in it.
    pub(super) fn page_of(&self, ts: i64, id: &[u8], ledger: &Ledger) -> Result<u32, ExportError> {
        // The instant alone decides, but for pages that are cut within one.
        let after = self.starts.partition_point(|&start| start < ts);
        let cut_within = self.starts.get(after) == Some(&ts);
        if self.stride == 1 && !cut_within {
            return Ok(u32::try_from(after.saturating_sub(1)).unwrap_or(u32::MAX));
        }
        Ok(ledger.page_of(ts, id)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of so many messages at so many a millisecond, beside what each message was told.
    fn cut(
        messages: u32,
        per_instant: i64,
        size: u32,
    ) -> (PageIndex, Ledger, Vec<(i64, String, u32)>) {
        let ledger = Ledger::new().unwrap();
        let mut cutter = Cutter::new();
        let mut told = Vec::new();
        for number in 0..messages {
            let (ts, id) = (i64::from(number) / per_instant, format!("m{number:08}"));
            let place = Place {
                ts,
                id: id.as_bytes(),
                size,
                hidden: false,
            };
            let page = cutter.add(place, &ledger).unwrap();
            told.push((ts, id, page));
        }
        (cutter.finish(&ledger).unwrap(), ledger, told)
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
            let (index, ledger, told) = cut(messages, per_instant, size);
            let case = format!("{messages} {per_instant} {size}");
            assert_eq!(index.pages(), pages, "{case}");
            assert!(index.starts.len() <= KEPT);
            for (ts, id, page) in &told {
                let found = index.page_of(*ts, id.as_bytes(), &ledger).unwrap();
                assert_eq!(found, *page, "{case} {id}");
                assert!(index.may_have(id));
                let bounds = ledger.page(*page).unwrap().unwrap();
                assert!((bounds.ts, bounds.id.as_slice()) <= (*ts, id.as_bytes()));
                assert!(bounds.first <= Some(*ts) && bounds.last >= Some(*ts));
            }
            assert_eq!(ledger.page(pages).unwrap(), None);
            assert!(!index.may_have("nowhere"));
        }
    }

    #[test]
    fn messages_without_instant_come_first() {
        let ledger = Ledger::new().unwrap();
        let mut cutter = Cutter::new();
        let mut told = Vec::new();
        for number in 0..3_000_i64 {
            let ts = if number < 1_500 { i64::MIN } else { number };
            let id = format!("m{number:08}");
            let place = Place {
                ts,
                id: id.as_bytes(),
                size: 10,
                hidden: false,
            };
            told.push((ts, id.clone(), cutter.add(place, &ledger).unwrap()));
        }
        let index = cutter.finish(&ledger).unwrap();
        for (ts, id, page) in told {
            assert_eq!(index.page_of(ts, id.as_bytes(), &ledger).unwrap(), page);
        }
        let bounds = ledger.page(1).unwrap().unwrap();
        assert_eq!((bounds.first, bounds.last), (Some(1_500), Some(1_999)));
    }
}
