//! The ZIP under construction: entries go to the packer, what must be remembered goes to the ledger.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use transcript::message::Message;
use transcript::output::{AuthorCard, Day, FilePlace, Output, PageBounds, Reply, Thread};
use transcript::search::Indexed;
use zipstream::{EntryOptions, Method, Options, ZipStream};

use super::ExportError;
use super::ledger::Ledger;
use super::pages::PageIndex;
use super::pictures::{PictureCounts, Pictures};
use super::search::Search;
use super::threads::Threads;

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
    /// On which pages messages stand; set when pages are cut.
    pub(super) pages: Option<PageIndex>,
    /// Set with `pages`.
    pub(super) threads: Option<Threads>,
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
            pages: None,
            threads: None,
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
        // A page is bounded by its renderer; the JSON or the mailbox of a whole room is not.
        let large = Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "json" || kind == "mbox");
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
        Ok(place.unwrap_or_else(|| FilePlace::Missing(super::attachments::late())))
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

    fn page(&mut self, number: u32) -> Result<Option<PageBounds>, ExportError> {
        match &self.pages {
            Some(pages) => pages.bounds(number),
            None => Ok(None),
        }
    }

    fn find(&mut self, ts: i64, id: &str) -> Result<Option<u32>, ExportError> {
        match &self.pages {
            Some(pages) if pages.may_have(id) => Ok(Some(pages.page_of(ts, id.as_bytes())?)),
            _ => Ok(None),
        }
    }

    fn starts_thread(&mut self, ts: i64, id: &str) -> Result<bool, ExportError> {
        match &mut self.threads {
            Some(threads) => threads.begun.meet(ts, id, &self.ledger),
            None => Ok(false),
        }
    }

    fn thread(&mut self, first: &str) -> Result<Option<&Thread>, ExportError> {
        match &mut self.threads {
            Some(threads) => {
                let thread = threads.begun.get(first, &self.ledger)?;
                Ok(thread.map(|thread| &*thread))
            }
            None => Ok(None),
        }
    }

    fn remember_thread(
        &mut self,
        first: &str,
        author: &str,
        excerpt: &str,
    ) -> Result<(), ExportError> {
        if let Some(threads) = &mut self.threads
            && let Some(thread) = threads.begun.get(first, &self.ledger)?
        {
            author.clone_into(&mut thread.author);
            excerpt.clone_into(&mut thread.excerpt);
        }
        Ok(())
    }

    fn replies(
        &mut self,
        first: &str,
        each: &mut dyn FnMut(&Reply<'_>),
    ) -> Result<(), ExportError> {
        let (Some(threads), Some(pages)) = (&mut self.threads, &self.pages) else {
            return Ok(());
        };
        for listed in threads.begun.replies(first)? {
            each(&Reply {
                id: listed.id,
                ts: listed.ts,
                page: pages.page_of(listed.ts, listed.id.as_bytes())?,
                author: listed.author,
                excerpt: listed.excerpt,
            });
        }
        Ok(())
    }

    fn keep_for_thread(
        &mut self,
        number: u32,
        first: bool,
        message: &Message<'_>,
    ) -> Result<(), ExportError> {
        match &mut self.threads {
            Some(threads) => threads
                .keep(number, first, message)
                .map_err(ExportError::Spool),
            None => Ok(()),
        }
    }

    fn remember_day(&mut self, day: &Day) -> Result<(), ExportError> {
        Ok(self.ledger.add_day(day)?)
    }

    fn days(&mut self, after: i64, limit: usize) -> Result<Vec<Day>, ExportError> {
        Ok(self.ledger.days(after, limit)?)
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
