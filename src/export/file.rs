//! One file export: a room's messages and files into one ZIP.

use std::io::Write;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use transcript::bson::Value;
use transcript::html::{ExportInfo, PagedHtml};
use transcript::json::JsonLines;
use transcript::message::{Anomalies, Anomaly, Field, Message, Visibility};
use transcript::names;

use super::archive::Archive;
use super::first_pass::FirstPass;
use super::ledger::MissingFile;
use super::mails::{self, Mails};
use super::pages::PageIndex;
use super::pictures::Pictures;
use super::pipeline::Batches;
use super::progress::{Phase, Progress};
use super::report::{ExportReport, MessagePlace, Oddities, TOOL, write_manifest};
use super::request::{ExportRequest, Format};
use super::search::Search;
use super::spool::Spooled;
use super::{ExportError, Job, markup, threads};
use crate::blob::BlobStore;
use crate::mail::dates::Dates;
use crate::store::{DocBatch, MessageQuery, MessageSource, RoomId, Selection, Window};

/// Messages between two looks at the counters and the cancellation.
const STRIDE: u64 = 256;
/// A group of messages of one millisecond is rendered without waiting for its end when it has this many bytes, or this
/// many messages.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
const GROUP_MESSAGES: usize = 4096;

/// A line of JSON or HTML takes about this much of the ZIP.
const BYTES_PER_MESSAGE: u64 = 120;

/// About how large the ZIP of so many messages will be, without their files.
pub fn expected_bytes(messages: u64) -> u64 {
    messages.saturating_mul(BYTES_PER_MESSAGE)
}

/// What an export will read, as it was before it began.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Messages, counted by the source apart from reading them.
    pub messages: u64,
    /// The window: with an end, where messages may come while it is read.
    window: Window,
    /// Whether others may write messages meanwhile.
    is_live: bool,
}

/// A file export with the parts it needs.
pub struct FileExport {
    /// Where messages come from.
    pub source: Arc<dyn MessageSource>,
    /// Where file contents come from.
    pub blobs: Arc<dyn BlobStore>,
    /// Told how far the export is.
    pub progress: Arc<Progress>,
    /// Asked whether to stop.
    pub cancel: CancellationToken,
    /// Told of every file that is missing, when it is found to be.
    pub on_missing: Box<dyn Fn(&MissingFile) + Send + Sync>,
    /// Told the `_id` of every message that is damaged.
    pub on_damaged: Box<dyn Fn(&str) + Send + Sync>,
}

impl FileExport {
    /// How many messages the export will read, counted by the source apart from reading them, and where it will end.
    pub async fn count(&self, request: &ExportRequest) -> Result<Expected, ExportError> {
        self.progress.begin(Phase::Count, 0);
        let survey = self.source.survey(&query(request, request.window)).await?;
        let mut window = request.window;
        window.to = survey.until.or(window.to);
        Ok(Expected {
            messages: survey.messages,
            window,
            is_live: survey.until.is_some(),
        })
    }

    /// Writes the ZIP to `out`, front to back, and gives `out` back. `expected` is what [`FileExport::count`] said;
    /// reading another number makes the export incomplete, unless it is what others have changed meanwhile. Blocks: call it
    /// on a thread for that, inside a runtime.
    pub fn run<W: Write>(
        &self,
        request: &ExportRequest,
        expected: Expected,
        out: W,
    ) -> Result<(W, ExportReport), ExportError> {
        let job = Job {
            source: &*self.source,
            blobs: &*self.blobs,
            progress: &self.progress,
            cancel: &self.cancel,
            on_missing: &*self.on_missing,
        };
        let options = zipstream::Options {
            threads: request.threads,
            level: request.level,
        };
        let mut report = ExportReport::default();
        let pictures = request.attachments.then(|| {
            Pictures::new(
                Arc::clone(&self.source),
                Arc::clone(&self.blobs),
                self.cancel.clone(),
                RoomId(request.room.id.clone()),
            )
        });
        let mut archive = Archive::new(out, options, request.attachments, pictures)?;
        if request.search && request.format == Format::Html {
            archive.search = Some(Box::new(Search::new()));
        }
        let query = query(request, expected.window);
        report.messages.expected = expected.messages;
        let first_pass = FirstPass {
            source: &self.source,
            job: &job,
            request,
            query: &query,
            live: expected.is_live.then_some(expected.messages),
            archive: &mut archive,
            files: &mut report.files,
        };
        let spooled = first_pass.run()?;
        job.progress
            .begin(Phase::Messages, report.messages.expected);
        let mut rendering = Rendering {
            history: request.history,
            on_damaged: &*self.on_damaged,
            renderer: self.renderer(request, &report, &archive)?,
            report,
            oddities: Oddities::default(),
            archive,
            group: DocBatch::default(),
            group_ts: None,
            last_ts: None,
            last_id: String::new(),
        };
        rendering.renderer.begin(&mut rendering.archive)?;
        let mut batches = self.messages(&query, spooled.as_ref());
        while let Some(batch) = batches.next()? {
            for doc in batch.docs() {
                rendering.doc(doc)?;
                if rendering.report.messages.read.is_multiple_of(STRIDE) {
                    job.check_cancelled()?;
                    job.progress.advance(STRIDE);
                }
            }
        }
        rendering.end_group()?;
        rendering.finish(&job)?;
        let Rendering {
            mut report,
            oddities,
            mut archive,
            last_ts,
            last_id,
            ..
        } = rendering;
        report.last = report
            .first
            .is_some()
            .then(|| MessagePlace::new(last_id, last_ts));
        report.pictures = archive.pack_pictures()?;
        job.progress.advance(report.messages.read % STRIDE);
        job.check_cancelled()?;
        job.progress.begin(Phase::Seal, 0);
        if let Some(search) = archive.search.take() {
            search.finish(&mut archive, || job.check_cancelled())?;
        }
        let after = if expected.is_live && report.messages.read != expected.messages {
            Some(Handle::current().block_on(job.source.count(&query))?)
        } else {
            None
        };
        report.reconcile(after);
        write_manifest(&mut archive, request, &report, &oddities)?;
        let (out, _) = archive.zip.finish()?;
        Ok((out, report))
    }

    /// The messages to render: those that were kept, else the source's. Inside a runtime.
    fn messages(&self, query: &MessageQuery, spooled: Option<&Spooled>) -> Batches {
        match spooled.map(Spooled::messages) {
            Some(messages) => Batches::of(async { Ok(messages) }),
            None => Batches::start(Arc::clone(&self.source), query.clone()),
        }
    }

    /// The renderer of the form that is asked for.
    fn renderer<W: Write>(
        &self,
        request: &ExportRequest,
        report: &ExportReport,
        archive: &Archive<W>,
    ) -> Result<Renderer<'_>, ExportError> {
        Ok(match request.format {
            Format::Json => {
                let wanted = names::safe(&format!("{}.json", request.room.file_stem()));
                let entry = archive.ledger.reserve_name(&wanted)?;
                Renderer::Json(JsonLines::new(entry, request.raw))
            }
            Format::Html => {
                let options = Handle::current().block_on(markup::options(&*self.source))?;
                let html = PagedHtml::new(ExportInfo {
                    room: request.room.clone(),
                    tool: TOOL.to_owned(),
                    from: request.window.from,
                    to: request.window.to,
                    exported_at: request.exported_at,
                    files: report.files.packed,
                    missing: report.files.missing,
                    zone: request.zone.clone(),
                    search: request.search,
                    locale: request.locale,
                    style: request.style.clone(),
                    exported_by: request.exported_by.clone(),
                    pages: archive.pages.as_ref().map_or(1, PageIndex::pages),
                });
                Renderer::Html(Box::new(html.with_markup(options)))
            }
            Format::Eml | Format::Mbox => Renderer::Mails(Box::new(Mails::new(
                mails::Parts {
                    source: Arc::clone(&self.source),
                    blobs: Arc::clone(&self.blobs),
                    cancel: self.cancel.clone(),
                    on_missing: &*self.on_missing,
                },
                &request.room,
                Dates::new("en", request.zone.clone()),
                Handle::current().block_on(markup::options(&*self.source))?,
                request.attachments,
                request.format == Format::Mbox,
            ))),
        })
    }
}

fn query(request: &ExportRequest, window: Window) -> MessageQuery {
    MessageQuery {
        room: RoomId(request.room.id.clone()),
        window,
        selection: Selection::All,
    }
}

/// The renderers: a closed set, so an enum.
enum Renderer<'a> {
    Json(JsonLines),
    Html(Box<PagedHtml>),
    Mails(Box<Mails<'a>>),
}

impl Renderer<'_> {
    fn begin<W: Write>(&mut self, archive: &mut Archive<W>) -> Result<(), ExportError> {
        match self {
            Self::Json(json) => json.begin(archive),
            Self::Html(html) => html.begin(archive),
            Self::Mails(mails) => mails.begin(archive),
        }
    }

    fn message<W: Write>(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
        archive: &mut Archive<W>,
    ) -> Result<Anomalies, ExportError> {
        match self {
            Self::Json(json) => json.message(message, history, archive),
            Self::Html(html) => html.message(message, history, archive),
            Self::Mails(mails) => mails.message(message, history, archive),
        }
    }
}

/// The second pass: messages into their renderer, counted.
struct Rendering<'a, W: Write> {
    history: bool,
    on_damaged: &'a (dyn Fn(&str) + Send + Sync),
    renderer: Renderer<'a>,
    report: ExportReport,
    oddities: Oddities,
    archive: Archive<W>,
    /// With history: the messages of one millisecond. A version has the `ts` of its message (contract §5.4), so that
    /// a message and all its versions meet here.
    group: DocBatch,
    group_ts: Option<i64>,
    last_ts: Option<i64>,
    last_id: String,
}

impl<W: Write> Rendering<'_, W> {
    fn doc(&mut self, doc: &[u8]) -> Result<(), ExportError> {
        self.report.messages.read += 1;
        let message = Message::read(doc);
        if !self.history {
            return match message.visibility() {
                Visibility::Shown => self.render(&message, &[]),
                Visibility::History => {
                    self.report.messages.history += 1;
                    Ok(())
                }
                Visibility::Deleted => {
                    self.report.messages.deleted += 1;
                    Ok(())
                }
            };
        }
        let full =
            self.group.size() + doc.len() > GROUP_BYTES || self.group.len() >= GROUP_MESSAGES;
        if message.ts() != self.group_ts || full {
            self.end_group()?;
            self.group_ts = message.ts();
        }
        self.group.push(doc);
        Ok(())
    }

    /// Ends the messages; writes what comes behind them: pages of threads, the calendar, the entry page.
    fn finish(&mut self, job: &Job<'_>) -> Result<(), ExportError> {
        let archive = &mut self.archive;
        let html = match &mut self.renderer {
            Renderer::Json(json) => return json.finish(archive),
            Renderer::Html(html) => html,
            Renderer::Mails(mails) => {
                self.report.files = std::mem::take(&mut mails.files);
                return mails.finish(archive);
            }
        };
        html.end_messages(archive)?;
        let kept = match &mut archive.threads {
            Some(threads) => Some(threads.take_kept().map_err(ExportError::Spool)?),
            None => None,
        };
        if let Some(kept) = kept {
            let mut kept = kept.read().map_err(ExportError::Spool)?;
            while let Some((key, doc)) = kept.next().map_err(ExportError::Spool)? {
                job.check_cancelled()?;
                html.thread_message(threads::number_of(key), &Message::read(doc), archive)?;
            }
        }
        html.finish(archive)
    }

    /// Renders the group: every message with its versions under it; versions whose message is gone and deleted
    /// messages in their own place.
    fn end_group(&mut self) -> Result<(), ExportError> {
        let group = std::mem::take(&mut self.group);
        let (mut versions, mut messages) = (Vec::new(), Vec::new());
        for doc in group.docs() {
            let message = Message::read(doc);
            match message.visibility() {
                Visibility::History => versions.push(message),
                Visibility::Shown | Visibility::Deleted => messages.push(message),
            }
        }
        let at = |version: &Message<'_>| version.get(Field::EditedAt).and_then(Value::millis);
        versions.sort_by(|a, b| {
            (a.text(Field::Parent).0, at(a)).cmp(&(b.text(Field::Parent).0, at(b)))
        });
        let mut placed = vec![false; versions.len()];
        for message in &messages {
            let id = message.id();
            let from =
                versions.partition_point(|version| version.text(Field::Parent).0 < id.as_bytes());
            let to =
                versions.partition_point(|version| version.text(Field::Parent).0 <= id.as_bytes());
            self.render(message, &versions[from..to])?;
            self.report.messages.history += (to - from) as u64;
            placed[from..to].fill(true);
        }
        for (orphan, _) in versions.iter().zip(placed).filter(|(_, placed)| !placed) {
            let mut odd = Anomalies::default();
            odd.add(Anomaly::OrphanHistory);
            self.oddities.add(odd, orphan, &self.archive)?;
            self.render(orphan, &[])?;
        }
        Ok(())
    }

    fn render(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
    ) -> Result<(), ExportError> {
        let anomalies = self.renderer.message(message, history, &mut self.archive)?;
        if !anomalies.is_empty() {
            if anomalies.iter().any(|anomaly| anomaly == Anomaly::Damaged) {
                self.report.messages.damaged += 1;
                (self.on_damaged)(&message.id());
            }
            self.oddities.add(anomalies, message, &self.archive)?;
        }
        let report = &mut self.report;
        report.messages.rendered += 1;
        report.count_type(message);
        if report.first.is_none() {
            report.first = Some(MessagePlace::new(message.id().into_owned(), message.ts()));
        }
        self.last_ts = message.ts();
        self.last_id.clear();
        self.last_id.push_str(&message.id());
        Ok(())
    }
}
