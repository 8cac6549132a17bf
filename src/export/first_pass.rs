//! The first pass over a room, before anything of it is rendered: files are packed, replies met, pages cut, and what a live
//! workspace gives is kept for the second pass.
//!
//! Responsible for what is read, and in which order; not for how a file is packed, what a thread shows or where a page ends.

use std::io::Write;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use transcript::message::{Message, Visibility};

use super::archive::Archive;
use super::pages;
use super::pipeline::Batches;
use super::progress::Phase;
use super::report::FileCounts;
use super::request::{ExportRequest, Format};
use super::spool::{Spool, Spooled};
use super::threads::Collector;
use super::{ExportError, Job, attachments};
use crate::store::outline::Outline;
use crate::store::{MessageQuery, MessageSource, Selection};

/// A first pass with what it works on.
pub(super) struct FirstPass<'a, W: Write> {
    pub(super) source: &'a Arc<dyn MessageSource>,
    pub(super) job: &'a Job<'a>,
    pub(super) request: &'a ExportRequest,
    /// All messages of the export.
    pub(super) query: &'a MessageQuery,
    /// In a live workspace, which is asked for each message once: how many there will be.
    pub(super) live: Option<u64>,
    pub(super) archive: &'a mut Archive<W>,
    pub(super) files: &'a mut FileCounts,
}

impl<W: Write> FirstPass<'_, W> {
    /// Does what the form of the export needs, and gives back what it kept of a live workspace. Blocks; inside a runtime.
    pub(super) fn run(mut self) -> Result<Option<Spooled>, ExportError> {
        match (self.request.format, self.live) {
            (Format::Html, Some(messages)) => {
                let mut threads = self.threads();
                let spooled = self.keep(messages, Some(&mut threads))?;
                let outline = Box::new(Outline::of(spooled.messages()));
                let hidden = self.request.history;
                let cut = pages::cut(&Handle::current(), outline, hidden, self.job.cancel)?;
                self.finish(threads, cut)?;
                Ok(Some(spooled))
            }
            (Format::Html, None) => {
                let mut threads = self.threads();
                let cut = self.read_and_cut(&mut threads)?;
                self.finish(threads, cut)?;
                Ok(None)
            }
            _ if !self.packs() => Ok(None),
            (_, Some(messages)) => self.keep(messages, None).map(Some),
            (_, None) => self.read(None).map(|()| None),
        }
    }

    fn threads(&self) -> Collector {
        Collector::new(self.request.locale.texts())
    }

    /// Whether files are packed here: mails hold their files themselves.
    fn packs(&self) -> bool {
        self.request.attachments && matches!(self.request.format, Format::Html | Format::Json)
    }

    /// The messages that this pass is about.
    fn selection(&self) -> Selection {
        match self.request.format {
            Format::Html => Selection::WithFilesOrReplies,
            _ => Selection::WithFiles,
        }
    }

    /// Cuts pages on a thread beside the reading.
    fn read_and_cut(
        &mut self,
        threads: &mut Collector,
    ) -> Result<(pages::PageIndex, pages::Places), ExportError> {
        let (source, query) = (self.source, self.query);
        let hidden = self.request.history;
        let runtime = Handle::current();
        let cancel = self.job.cancel.child_token();
        thread::scope(|scope| {
            let beside = scope.spawn(|| {
                let outline = runtime.block_on(source.outline(query))?;
                pages::cut(&runtime, outline, hidden, &cancel)
            });
            // When the reading fails, the other need not go on.
            let failed = cancel.clone().drop_guard();
            self.read(Some(threads))?;
            failed.disarm();
            beside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn finish(
        &mut self,
        mut threads: Collector,
        (pages, mut places): (pages::PageIndex, pages::Places),
    ) -> Result<(), ExportError> {
        threads.find_firsts(&mut places)?;
        self.archive.pages = Some(pages);
        self.archive.threads = Some(threads.finish(&self.archive.ledger)?);
        Ok(())
    }

    /// Reads only the messages that this pass is about.
    fn read(&mut self, mut threads: Option<&mut Collector>) -> Result<(), ExportError> {
        let mut query = self.query.clone();
        query.selection = self.selection();
        let total = Handle::current().block_on(self.source.count(&query))?;
        self.each(query, total, |pass, doc| {
            pass.meet(doc, threads.as_deref_mut())
        })
    }

    /// Reads all messages, and keeps them.
    fn keep(
        &mut self,
        messages: u64,
        mut threads: Option<&mut Collector>,
    ) -> Result<Spooled, ExportError> {
        let mut spool = Spool::new(messages)?;
        let selection = self.selection();
        self.each(self.query.clone(), messages, |pass, doc| {
            spool.push(doc)?;
            if selection.has(doc) {
                pass.meet(doc, threads.as_deref_mut())?;
            }
            Ok(())
        })?;
        spool.finish()
    }

    fn each(
        &mut self,
        query: MessageQuery,
        total: u64,
        mut see: impl FnMut(&mut Self, &[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.job.progress.begin(Phase::Files, total);
        let mut batches = Batches::start(Arc::clone(self.source), query);
        while let Some(batch) = batches.next()? {
            for doc in batch.docs() {
                self.job.check_cancelled()?;
                self.job.progress.advance(1);
                see(self, doc)?;
            }
        }
        Ok(())
    }

    /// Packs the files of a message, and lets `threads` see a reply.
    fn meet(&mut self, doc: &[u8], threads: Option<&mut Collector>) -> Result<(), ExportError> {
        let message = Message::read(doc);
        let visibility = message.visibility();
        let history = self.request.history;
        if self.packs() && (history || visibility == Visibility::Shown) {
            attachments::pack(self.job, &message, self.archive, self.files)?;
        }
        // Old versions are no replies of their own.
        let shown = visibility == Visibility::Shown || history && visibility == Visibility::Deleted;
        if let Some(threads) = threads.filter(|_| shown) {
            threads.add(&message)?;
        }
        Ok(())
    }
}
