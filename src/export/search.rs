//! The search index of an HTML export: built while pages are rendered, sorted on disk, written as the files that the
//! pages load.
//!
//! Nothing in memory grows with the room: a segment of fixed size takes the words, the sort spills to an unnamed
//! temporary file, what results show is written page by page, and a file of terms is bounded. Files become larger with
//! the index, so that the list of them does not.

mod segment;

use std::io::{self, Write};

use transcript::names;
use transcript::output::Output;
use transcript::search::{Folder, Indexed, day_term, files, term};

use super::ExportError;
use super::archive::Archive;
use crate::sort::Sorter;
use segment::{ENDS, Segment};

/// Memory of the sort.
const SORTER: usize = 512 << 10;
/// A file of terms has at least this many bytes of them, and about this many exist at most.
const FILE: usize = 64 << 10;
const FILES: u64 = 1024;
/// The list of a term that fills a file of its own is cut where it has so many bytes.
const PART: usize = 1 << 20;

/// An index under construction.
pub(super) struct Search {
    segment: Segment,
    sorter: Sorter,
    folder: Folder,
    /// The position after the last one.
    next: u64,
    messages: u64,
    pages: u64,
    page_begun: bool,
    day: Option<i64>,
    page: files::PageFile,
    term: String,
    /// Bytes handed to the sort.
    spilled: u64,
}

impl Search {
    pub(super) fn new() -> Self {
        Self {
            segment: Segment::new(),
            sorter: Sorter::new(SORTER, None),
            folder: Folder::default(),
            next: 0,
            messages: 0,
            pages: 0,
            page_begun: false,
            day: None,
            page: files::PageFile::default(),
            term: String::new(),
            spilled: 0,
        }
    }

    /// Takes the next message.
    pub(super) fn add(&mut self, message: &Indexed<'_>) -> Result<(), ExportError> {
        let start = self.next;
        self.post(term::MESSAGES, start)?;
        if !std::mem::replace(&mut self.page_begun, true) {
            self.post(term::PAGES, start)?;
        }
        let mut text = std::mem::take(&mut self.term);
        if let Some(local) = message.local
            && self.day != Some(local.day)
        {
            self.day = Some(local.day);
            if day_term(&mut text, local.day) {
                self.post(&text, start)?;
            }
        }
        files::author_term(&mut text, message.author, message.name);
        self.post(&text, start)?;
        if !message.alias.is_empty() && message.alias != message.author {
            files::author_term(&mut text, message.alias, "");
            self.post(&text, start)?;
        }
        self.term = text;
        self.words(message.text, start + 1)?;
        self.messages += 1;
        self.page.push(message);
        Ok(())
    }

    fn words(&mut self, text: &str, mut position: u64) -> Result<(), ExportError> {
        let Self {
            segment,
            sorter,
            folder,
            spilled,
            ..
        } = self;
        folder.words(text, |word| {
            if segment.is_full() {
                spill(segment, sorter, spilled)?;
            }
            segment.add(word, position);
            position += 1;
            Ok::<_, ExportError>(())
        })?;
        self.next = position;
        Ok(())
    }

    fn post(&mut self, term: &str, position: u64) -> Result<(), ExportError> {
        if self.segment.is_full() {
            spill(&mut self.segment, &mut self.sorter, &mut self.spilled)?;
        }
        self.segment.add(term.as_bytes(), position);
        Ok(())
    }

    /// Ends a page whose entry is `name`: its file's bytes go to `out`. `None` when it has no messages.
    pub(super) fn end_page(&mut self, name: &str, out: &mut Vec<u8>) -> Option<String> {
        if !std::mem::take(&mut self.page_begun) {
            return None;
        }
        let number = self.pages;
        self.pages += 1;
        self.page.write(number, name, out);
        Some(names::search(&format!("p{number}")))
    }

    /// Writes the files of terms, the list of them and the program that reads them. `check` is asked between files
    /// whether to go on.
    pub(super) fn finish<W: Write>(
        mut self,
        archive: &mut Archive<W>,
        check: impl Fn() -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        spill(&mut self.segment, &mut self.sorter, &mut self.spilled)?;
        let Self {
            segment,
            sorter,
            spilled,
            messages,
            pages,
            next,
            ..
        } = self;
        // The merge has buffers of its own.
        drop(segment);
        let size = usize::try_from(spilled / FILES).unwrap_or(FILE).max(FILE);
        let sorted = sorter.finish().map_err(ExportError::Index)?;
        let mut items = sorted.read().map_err(ExportError::Index)?;
        let mut terms = TermFiles::new(archive, size);
        while let Some((term, payload)) = items.next().map_err(ExportError::Index)? {
            if terms.add(term, payload)? {
                check()?;
            }
        }
        let list = terms.finish()?;
        let mut head = Vec::new();
        files::index(&mut head, messages, pages, next, &list);
        for (name, bytes) in [("index", &*head), ("search", files::PROGRAM.as_bytes())] {
            archive.start_entry(&names::search(name))?;
            archive.write(bytes)?;
            archive.finish_entry()?;
        }
        Ok(())
    }
}

fn spill(segment: &mut Segment, sorter: &mut Sorter, spilled: &mut u64) -> Result<(), ExportError> {
    let take = |term: &[u8], payload: &[u8]| {
        *spilled += (term.len() + payload.len()) as u64;
        sorter.push(term, payload)
    };
    segment.empty(take).map_err(ExportError::Index)
}

/// The files of terms, written as they fill. A term that fills a file has files of its own, so that a rare one never
/// loads it.
struct TermFiles<'a, W: Write> {
    archive: &'a mut Archive<W>,
    size: usize,
    /// Terms of the file being filled, as they will stand in it.
    text: Vec<u8>,
    /// The first of them.
    first: Vec<u8>,
    term: Vec<u8>,
    /// Where the last term begins in `text`.
    begins: usize,
    /// Its last position.
    last: u64,
    /// First terms of the files written, as the list of files has them.
    list: Vec<u8>,
    files: u64,
}

impl<'a, W: Write> TermFiles<'a, W> {
    fn new(archive: &'a mut Archive<W>, size: usize) -> Self {
        Self {
            archive,
            size,
            text: Vec::new(),
            first: Vec::new(),
            term: Vec::new(),
            begins: 0,
            last: 0,
            list: Vec::new(),
            files: 0,
        }
    }

    /// Takes positions of the term of the last call, or of a later one; whether a file was written.
    fn add(&mut self, term: &[u8], payload: &[u8]) -> Result<bool, ExportError> {
        let before = self.files;
        if self.term != term {
            if self.text.len() >= self.size {
                self.write(self.text.len())?;
            }
            self.term.clear();
            self.term.extend_from_slice(term);
            self.begin();
        } else if self.begins == 0 && self.text.len() >= PART {
            self.write(self.text.len())?;
            self.begin();
        }
        let Some((ends, distances)) = payload.split_first_chunk::<ENDS>() else {
            return Err(ExportError::Index(io::ErrorKind::InvalidData.into()));
        };
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&ends[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        transcript::search::code::put(&mut self.text, number(0) - self.last);
        self.text.extend_from_slice(distances);
        self.last = number(8);
        if self.begins > 0 && self.text.len() - self.begins >= self.size {
            self.write(self.begins)?;
        }
        Ok(self.files > before)
    }

    /// Begins the list of the term.
    fn begin(&mut self) {
        if !self.text.is_empty() {
            self.text.push(b'\t');
        }
        self.begins = self.text.len();
        if self.begins == 0 {
            self.first.clone_from(&self.term);
        }
        files::term_text(&mut self.text, &String::from_utf8_lossy(&self.term));
        self.text.push(b'\t');
        self.last = 0;
    }

    /// Writes what is before `end` as a file; what is after it, one term, is the beginning of the next.
    fn write(&mut self, end: usize) -> Result<(), ExportError> {
        let name = format!("t{}", self.files);
        let mut head = Vec::new();
        files::head(&mut head, &name);
        // A tab parts terms, and does not end the last.
        let shown = self.text[..end]
            .strip_suffix(b"\t")
            .unwrap_or(&self.text[..end]);
        self.archive.start_entry(&names::search(&name))?;
        self.archive.write(&head)?;
        self.archive.write(shown)?;
        self.archive.write(files::FOOT)?;
        self.archive.finish_entry()?;
        if self.files > 0 {
            self.list.push(b'\t');
        }
        files::term_text(&mut self.list, &String::from_utf8_lossy(&self.first));
        self.files += 1;
        self.text.drain(..end);
        self.begins = 0;
        self.first.clone_from(&self.term);
        Ok(())
    }

    /// Writes the last file; the first terms of all.
    fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        if !self.text.is_empty() {
            self.write(self.text.len())?;
        }
        Ok(self.list)
    }
}
