//! The ZIP under construction: entries go to the packer, what must be remembered goes to the ledger.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use transcript::output::{AuthorCard, FilePlace, Output, ThreadRoot};
use transcript::search::Indexed;
use zipstream::{EntryOptions, Method, Options, ZipStream};

use super::ExportError;
use super::ledger::Ledger;
use super::pictures::{PictureCounts, Pictures};
use super::search::Search;

/// Threads begun most recently that are kept in memory before the ledger is asked.
const RECENT_THREADS: usize = 512;

/// Name of the manifest's entry.
pub const MANIFEST: &str = "manifest.json";

/// A ZIP under construction.
pub struct Archive<W: Write> {
    /// The packer.
    pub(super) zip: ZipStream<W, File>,
    /// Names, files, threads, oddities.
    pub(super) ledger: Ledger,
    attachments: bool,
    pictures: Option<Pictures>,
    /// The search index, when there is one.
    pub(super) search: Option<Box<Search>>,
    recent: VecDeque<(String, ThreadRoot)>,
}

impl<W: Write> Archive<W> {
    /// An empty archive that is written to `out`. `attachments` tells whether files are packed at all, `pictures` where
    /// avatars and emoji come from when they are.
    pub(super) fn new(
        out: W,
        options: Options,
        attachments: bool,
        pictures: Option<Pictures>,
    ) -> Result<Self, ExportError> {
        let spool = tempfile::tempfile().map_err(ExportError::Spool)?;
        let ledger = Ledger::new()?;
        // Taken before any name from the workspace can ask for it.
        ledger.reserve_name(MANIFEST)?;
        Ok(Self {
            zip: ZipStream::new(out, spool, options)?,
            ledger,
            attachments,
            pictures,
            search: None,
            recent: VecDeque::with_capacity(RECENT_THREADS),
        })
    }
}

impl<W: Write> Archive<W> {
    /// Packs the pictures that pages show.
    pub(super) fn pack_pictures(&mut self) -> Result<PictureCounts, ExportError> {
        match &self.pictures {
            Some(pictures) => {
                pictures.pack(&self.ledger, &mut self.zip)?;
                Ok(pictures.counts.clone())
            }
            None => Ok(PictureCounts::default()),
        }
    }
}

impl<W: Write> Output for Archive<W> {
    type Error = ExportError;

    fn start_entry(&mut self, name: &str) -> Result<(), ExportError> {
        // A page is bounded by its renderer; the JSON of a whole room is not.
        let large = Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "json");
        self.zip.start_entry(EntryOptions {
            name,
            method: Method::Deflate,
            large,
        })?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        Ok(self.zip.append(bytes)?)
    }

    fn finish_entry(&mut self) -> Result<(), ExportError> {
        Ok(self.zip.finish_entry()?)
    }

    fn file(&mut self, upload: &str) -> Result<FilePlace, ExportError> {
        if !self.attachments {
            return Ok(FilePlace::LeftOut);
        }
        // Only a message that gained a file while the export ran can name one that the first pass has not met.
        let place = self.ledger.file(upload)?;
        Ok(place.unwrap_or_else(|| FilePlace::Missing(super::attachments::LATE.to_owned())))
    }

    fn author(&mut self, id: &str, username: &str) -> Result<AuthorCard, ExportError> {
        match &mut self.pictures {
            Some(pictures) => pictures.author(&self.ledger, id, username),
            None => Ok(AuthorCard::default()),
        }
    }

    fn room_avatar(&mut self) -> Result<Option<String>, ExportError> {
        match &mut self.pictures {
            Some(pictures) => pictures.room(&self.ledger),
            None => Ok(None),
        }
    }

    fn emoji(&mut self, name: &str) -> Result<Option<String>, ExportError> {
        match &mut self.pictures {
            Some(pictures) => pictures.emoji(&self.ledger, name),
            None => Ok(None),
        }
    }

    fn thumbnail(&mut self, upload: &str) -> Result<Option<String>, ExportError> {
        match &mut self.pictures {
            Some(pictures) => pictures.thumbnail(&self.ledger, upload),
            None => Ok(None),
        }
    }

    fn remember_thread(&mut self, id: &str, root: &ThreadRoot) -> Result<(), ExportError> {
        if self.recent.len() == RECENT_THREADS {
            self.recent.pop_front();
        }
        self.recent.push_back((id.to_owned(), root.clone()));
        Ok(self.ledger.remember_thread(id, root)?)
    }

    fn thread(&mut self, id: &str) -> Result<Option<ThreadRoot>, ExportError> {
        // Replies are near: search from the latest.
        if let Some((_, root)) = self.recent.iter().rev().find(|(recent, _)| recent == id) {
            return Ok(Some(root.clone()));
        }
        Ok(self.ledger.thread(id)?)
    }

    fn index(&mut self, message: &Indexed<'_>) -> Result<(), ExportError> {
        match &mut self.search {
            Some(search) => search.add(message),
            None => Ok(()),
        }
    }

    fn index_page(&mut self, name: &str) -> Result<(), ExportError> {
        let Some(search) = &mut self.search else {
            return Ok(());
        };
        let mut file = Vec::new();
        let Some(entry) = search.end_page(name, &mut file) else {
            return Ok(());
        };
        self.start_entry(&entry)?;
        self.write(&file)?;
        self.finish_entry()
    }
}
