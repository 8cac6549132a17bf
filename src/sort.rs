//! External sort of keyed bytes, for what does not fit into memory: the message index of a dump, an import, an index.
//!
//! Items collect in one arena of bounded size. A full arena is sorted and appended to an unnamed temporary file as a
//! run; the runs are merged while they are read, and beforehand in groups when there are too many to read at once.
//! Items with equal keys keep the order in which they came.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// How many runs are read at the same time; more are merged in groups first.
const FAN_IN: usize = 64;
/// Bytes of one run's window while merging: small enough for [`FAN_IN`] of them, large enough for sequential reads.
const WINDOW: std::ops::RangeInclusive<usize> = 16 << 10..=256 << 10;
/// Bytes collected before they are written to a run.
const WRITE_BUFFER: usize = 256 << 10;
/// Lengths of key and payload in front of each item.
const HEADER: usize = 8;

/// Takes items in any order; [`Sorter::finish`] gives them sorted.
#[derive(Debug)]
pub struct Sorter {
    budget: usize,
    work_dir: Option<PathBuf>,
    arena: Arena,
    spill: Option<Spill>,
    len: u64,
}

impl Sorter {
    /// A sorter that holds about `budget` bytes in memory and spills to `work_dir`, or to the system's temporary
    /// directory.
    pub fn new(budget: usize, work_dir: Option<PathBuf>) -> Self {
        Self {
            budget: budget.clamp(1 << 10, 1 << 30),
            work_dir,
            arena: Arena::default(),
            spill: None,
            len: 0,
        }
    }

    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item. An item larger than the budget is held alone.
    pub fn push(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        let size = HEADER + key.len() + payload.len();
        if !self.arena.items.is_empty()
            && self.arena.size() + size + size_of::<Item>() > self.budget
        {
            self.spill_arena()?;
        }
        self.arena.push(key, payload)?;
        self.len += 1;
        Ok(())
    }

    /// Ends the input.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.spill.is_none() {
            self.arena.sort();
            return Ok(Sorted {
                len: self.len,
                window: 0,
                runs: Runs::Memory(self.arena),
            });
        }
        self.spill_arena()?;
        self.arena = Arena::default();
        let mut spill = match self.spill.take() {
            Some(spill) => spill,
            None => Spill::new(self.work_dir.as_ref())?,
        };
        while spill.runs.len() > FAN_IN {
            let mut merged = Spill::new(self.work_dir.as_ref())?;
            for group in spill.runs.chunks(FAN_IN) {
                let mut merge = Merge::new(&spill.file, group, window(self.budget, group.len()))?;
                merged.start_run();
                loop {
                    merge.advance()?;
                    let Some((key, payload)) = merge.current() else {
                        break;
                    };
                    merged.write(key, payload)?;
                }
                merged.end_run()?;
            }
            spill = merged;
        }
        spill.buffer = Vec::new();
        Ok(Sorted {
            len: self.len,
            window: window(self.budget, spill.runs.len()),
            runs: Runs::Spilled(spill),
        })
    }

    fn spill_arena(&mut self) -> io::Result<()> {
        self.arena.sort();
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::new(self.work_dir.as_ref())?),
        };
        spill.start_run();
        for item in &self.arena.items {
            let (key, payload) = self.arena.get(item);
            spill.write(key, payload)?;
        }
        spill.end_run()?;
        self.arena.clear();
        // A single giant must not stay allocated.
        self.arena.bytes.shrink_to(self.budget);
        Ok(())
    }
}

fn window(budget: usize, runs: usize) -> usize {
    (budget / 2 / runs.max(1)).clamp(*WINDOW.start(), *WINDOW.end())
}

/// A position in the arena, with the beginning of the key so that most comparisons touch nothing else.
#[derive(Clone, Copy, Debug)]
struct Item {
    prefix: u64,
    at: u32,
}

#[derive(Debug, Default)]
struct Arena {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Arena {
    fn size(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<Item>()
    }

    fn push(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, "an item is too large");
        let at = u32::try_from(self.bytes.len()).map_err(too_large)?;
        self.bytes.extend_from_slice(&header(key, payload)?);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
        let mut prefix = [0; 8];
        let known = key.len().min(8);
        prefix[..known].copy_from_slice(&key[..known]);
        self.items.push(Item {
            prefix: u64::from_be_bytes(prefix),
            at,
        });
        Ok(())
    }

    fn get(&self, item: &Item) -> (&[u8], &[u8]) {
        let entry = &self.bytes[item.at as usize..];
        let (key, payload) = lengths(entry);
        let body = &entry[HEADER..];
        (&body[..key], &body[key..key + payload])
    }

    fn sort(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let key = |item: &Item| {
            let entry = &bytes[item.at as usize..];
            &entry[HEADER..HEADER + lengths(entry).0]
        };
        // Not a stable sort, which needs memory of its own: the position in the arena is the order of arrival.
        self.items.sort_unstable_by(|a, b| {
            a.prefix
                .cmp(&b.prefix)
                .then_with(|| key(a).cmp(key(b)))
                .then_with(|| a.at.cmp(&b.at))
        });
        self.bytes = bytes;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }
}

fn header(key: &[u8], payload: &[u8]) -> io::Result<[u8; HEADER]> {
    let too_large = |_| io::Error::new(io::ErrorKind::FileTooLarge, "an item is too large");
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&u32::try_from(key.len()).map_err(too_large)?.to_le_bytes());
    header[4..].copy_from_slice(
        &u32::try_from(payload.len())
            .map_err(too_large)?
            .to_le_bytes(),
    );
    Ok(header)
}

fn lengths(entry: &[u8]) -> (usize, usize) {
    let field = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&entry[at..at + 4]);
        u32::from_le_bytes(bytes) as usize
    };
    (field(0), field(4))
}

#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    end: u64,
}

/// Sorted runs, one after the other in an unnamed file that vanishes with its last handle.
#[derive(Debug)]
struct Spill {
    file: File,
    runs: Vec<Run>,
    written: u64,
    buffer: Vec<u8>,
}

impl Spill {
    fn new(work_dir: Option<&PathBuf>) -> io::Result<Self> {
        let file = match work_dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        };
        Ok(Self {
            file,
            runs: Vec::new(),
            written: 0,
            buffer: Vec::new(),
        })
    }

    fn start_run(&mut self) {
        self.runs.push(Run {
            start: self.written,
            end: self.written,
        });
    }

    fn write(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(&header(key, payload)?);
        self.buffer.extend_from_slice(key);
        if payload.len() >= WRITE_BUFFER {
            self.flush()?;
            self.file.write_all_at(payload, self.written)?;
            self.written += payload.len() as u64;
            return Ok(());
        }
        self.buffer.extend_from_slice(payload);
        if self.buffer.len() >= WRITE_BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn end_run(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(run) = self.runs.last_mut() {
            run.end = self.written;
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Runs {
    Memory(Arena),
    Spilled(Spill),
}

/// The sorted items; can be read any number of times, also at the same time.
#[derive(Debug)]
pub struct Sorted {
    len: u64,
    window: usize,
    runs: Runs,
}

impl Sorted {
    /// How many items there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Starts reading from the smallest key.
    pub fn read(&self) -> io::Result<SortedItems<'_>> {
        Ok(SortedItems(match &self.runs {
            Runs::Memory(arena) => Reading::Memory { arena, next: 0 },
            Runs::Spilled(spill) => {
                Reading::Spilled(Merge::new(&spill.file, &spill.runs, self.window)?)
            }
        }))
    }
}

/// A running read of [`Sorted`].
#[derive(Debug)]
pub struct SortedItems<'a>(Reading<'a>);

#[derive(Debug)]
enum Reading<'a> {
    Memory { arena: &'a Arena, next: usize },
    Spilled(Merge<'a>),
}

impl SortedItems<'_> {
    /// The next key and payload, valid until the next call; `None` at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend its items"
    )]
    pub fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        self.advance()?;
        Ok(self.current())
    }

    /// Steps to the next item.
    fn advance(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Reading::Memory { next, .. } => *next += 1,
            Reading::Spilled(merge) => merge.advance()?,
        }
        Ok(())
    }

    /// The item that the last [`SortedItems::next`] gave, for callers that had to look before they lend it on.
    pub fn current(&self) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Reading::Memory { arena, next } => {
                let item = arena.items.get(next.checked_sub(1)?)?;
                Some(arena.get(item))
            }
            Reading::Spilled(merge) => merge.current(),
        }
    }
}

/// Merges runs. `heap` holds the runs that have items left, the one with the smallest key first.
#[derive(Debug)]
struct Merge<'a> {
    file: &'a File,
    runs: Vec<RunReader>,
    heap: Vec<usize>,
    started: bool,
    /// A payload too large for a window: only the one that is handed out is in memory.
    giant: Vec<u8>,
}

impl<'a> Merge<'a> {
    fn new(file: &'a File, runs: &[Run], window: usize) -> io::Result<Self> {
        let mut merge = Self {
            file,
            runs: runs
                .iter()
                .map(|run| RunReader::new(*run, window))
                .collect(),
            heap: Vec::with_capacity(runs.len()),
            started: false,
            giant: Vec::new(),
        };
        for (index, run) in merge.runs.iter_mut().enumerate() {
            if run.load_key(file)? {
                merge.heap.push(index);
            }
        }
        for root in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(root);
        }
        Ok(merge)
    }

    fn advance(&mut self) -> io::Result<()> {
        if self.started
            && let Some(&first) = self.heap.first()
        {
            self.runs[first].skip();
            if !self.runs[first].load_key(self.file)? {
                self.heap.swap_remove(0);
            }
            self.sift_down(0);
        }
        self.started = true;
        let Some(&first) = self.heap.first() else {
            return Ok(());
        };
        let run = &mut self.runs[first];
        if run.fits() {
            self.giant = Vec::new();
            run.fill(self.file, HEADER + run.key + run.payload)
        } else {
            self.giant.resize(run.payload, 0);
            let offset = run.offset + (run.at + HEADER + run.key) as u64;
            self.file.read_exact_at(&mut self.giant, offset)
        }
    }

    fn current(&self) -> Option<(&[u8], &[u8])> {
        let run = &self.runs[*self.heap.first()?];
        let payload = if run.fits() {
            let start = run.at + HEADER + run.key;
            &run.buffer[start..start + run.payload]
        } else {
            &self.giant
        };
        Some((run.key(), payload))
    }

    fn sift_down(&mut self, mut parent: usize) {
        loop {
            let left = 2 * parent + 1;
            let Some(&left_run) = self.heap.get(left) else {
                return;
            };
            let child = match self.heap.get(left + 1) {
                Some(&right) if self.order(right, left_run).is_lt() => left + 1,
                _ => left,
            };
            if self.order(self.heap[parent], self.heap[child]).is_lt() {
                return;
            }
            self.heap.swap(parent, child);
            parent = child;
        }
    }

    /// Earlier runs hold earlier items: with equal keys they come first.
    fn order(&self, a: usize, b: usize) -> Ordering {
        self.runs[a]
            .key()
            .cmp(self.runs[b].key())
            .then_with(|| a.cmp(&b))
    }
}

/// A window that slides over one run. The item at `at` is the run's next; its key is always in the window.
#[derive(Debug)]
struct RunReader {
    /// Position of the window in the file.
    offset: u64,
    end: u64,
    window: usize,
    buffer: Vec<u8>,
    at: usize,
    key: usize,
    payload: usize,
}

impl RunReader {
    fn new(run: Run, window: usize) -> Self {
        Self {
            offset: run.start,
            end: run.end,
            window,
            buffer: Vec::new(),
            at: 0,
            key: 0,
            payload: 0,
        }
    }

    /// Whether the whole item may stand in the window.
    fn fits(&self) -> bool {
        HEADER + self.key + self.payload <= self.window
    }

    fn key(&self) -> &[u8] {
        &self.buffer[self.at + HEADER..self.at + HEADER + self.key]
    }

    /// Brings the header and the key of the next item into the window; `false` at the end of the run.
    fn load_key(&mut self, file: &File) -> io::Result<bool> {
        if self.offset + self.at as u64 >= self.end {
            self.buffer = Vec::new();
            return Ok(false);
        }
        self.fill(file, HEADER)?;
        (self.key, self.payload) = lengths(&self.buffer[self.at..]);
        self.fill(file, HEADER + self.key)?;
        Ok(true)
    }

    fn skip(&mut self) {
        self.at += HEADER + self.key + self.payload;
        if self.at > self.buffer.len() {
            self.offset += self.at as u64;
            self.at = 0;
            self.buffer.clear();
        }
    }

    /// Makes `need` bytes from `at` on available.
    fn fill(&mut self, file: &File, need: usize) -> io::Result<()> {
        if self.buffer.len() - self.at >= need {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.offset += self.at as u64;
        self.at = 0;
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let have = self.buffer.len();
        self.buffer
            .resize(self.window.max(need).min(left).max(need), 0);
        file.read_exact_at(&mut self.buffer[have..], self.offset + have as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn sorted(budget: usize, items: &Pairs) -> Sorted {
        let mut sorter = Sorter::new(budget, None);
        for (key, payload) in items {
            sorter.push(key, payload).unwrap();
        }
        sorter.finish().unwrap()
    }

    fn read(sorted: &Sorted) -> Pairs {
        let mut items = sorted.read().unwrap();
        let mut pairs = Vec::new();
        while let Some((key, payload)) = items.next().unwrap() {
            pairs.push((key.to_vec(), payload.to_vec()));
        }
        pairs
    }

    fn check(budget: usize, mut items: Pairs) {
        let sorted = sorted(budget, &items);
        items.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(sorted.len(), items.len() as u64);
        assert_eq!(read(&sorted), items);
        assert_eq!(read(&sorted), items, "a second read gives the same");
    }

    #[test]
    fn nothing_sorts_to_nothing() {
        check(1 << 20, Vec::new());
    }

    #[test]
    fn more_runs_than_can_be_read_at_once_are_merged_in_levels() {
        // 40 items fill the smallest budget: 20,000 make several hundred runs.
        let items: Pairs = (0..20_000_u32)
            .map(|n| {
                (
                    (n.wrapping_mul(2_654_435_761) % 5000)
                        .to_be_bytes()
                        .to_vec(),
                    n.to_be_bytes().to_vec(),
                )
            })
            .collect();
        let mut sorter = Sorter::new(0, None);
        for (key, payload) in &items {
            sorter.push(key, payload).unwrap();
        }
        assert!(sorter.spill.as_ref().unwrap().runs.len() > FAN_IN);
        check(0, items);
    }

    #[test]
    fn giants_between_dwarfs_come_back_whole() {
        let items = (0..50_u8)
            .map(|n| {
                (
                    vec![n % 7; 9],
                    vec![n; if n % 10 == 0 { 700_000 } else { 3 }],
                )
            })
            .collect();
        check(4096, items);
    }

    proptest! {
        #[test]
        fn any_items_come_back_in_order_and_stable(
            budget in 0_usize..20_000,
            items in proptest::collection::vec((proptest::collection::vec(0_u8..3, 0..12), proptest::collection::vec(any::<u8>(), 0..60)), 0..400),
        ) {
            check(budget, items);
        }
    }
}
