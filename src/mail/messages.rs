//! The mail with chosen messages: read, written as text and HTML, their files attached as far as they fit.
//!
//! Memory is bounded by `mail.max_bytes`: documents beyond it are refused, files that do not fit are named instead.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use jiff::tz::TimeZone;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use transcript::DocBatch;
use transcript::bson::id_text;
use transcript::locale::Locale;
use transcript::mail::ThreadRoot;
use transcript::mail::html::MailHtml;
use transcript::mail::text::PlainText;
use transcript::mail::{MailFile, MailFilePlace, Shown, thread_root, write};
use transcript::markup::Options;
use transcript::message::{Field, FileRef, Message, Visibility};
use transcript::names;
use transcript::output::Missing;
use transcript::room::RoomInfo;
use transcript::texts::filled;

use super::dates::{Dates, zone_of_user};
use super::mime::{self, Base64Lines, Part};
use super::paper::{Paper, fill};
use super::recipients::{Recipient, is_allowed};
use super::texts::Texts;
use super::{Address, Handed, Mail, MailError, recipient};
use crate::access::Decision;
use crate::app::{Service, host};
use crate::blob::BlobError;
use crate::config::Attach;
use crate::export::ExportError;
use crate::export::attachments::{Opening, incomplete, open};
use crate::export::file::FileExport;
use crate::export::markup;
use crate::export::progress::Progress;
use crate::export::request::{ExportRequest, Format};
use crate::jobs::{
    EmailExportWork, Job, JobError, JobId, MessagesMailWork, Outcome, QueueError, Work,
};
use crate::store::chosen::ChosenMessages;
use crate::store::directory::User;
use crate::store::{MessageQuery, MessageSource, RoomId, Selection, StoreError, Window};
use crate::words;

/// Characters of a room's title in subjects.
const LONGEST_TITLE: usize = 100;
/// Characters of a thread's first message that its replies show.
const EXCERPT: usize = 100;
/// Most of a file's own text that stands around its name; for the estimate of what fits.
const FILE_LINES: u64 = 2048;
/// Pictures that mail programs show.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Which messages of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with these ids.
    Ids(Vec<String>),
    /// Those of a time.
    Window(Window),
}

/// Who reads a mail: words, dates and zone.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The language's texts.
    pub texts: &'static Texts,
    /// The language's dates in the reader's zone.
    pub dates: Dates,
    /// The language of pages.
    pub locale: Locale,
}

impl Reader {
    /// A user at this instant, in milliseconds, with the zone of everybody whose own is not known.
    pub fn of(user: Option<&User>, zone: &TimeZone, now: i64) -> Self {
        let language = user.and_then(|user| user.language.as_deref());
        let offset = user.and_then(|user| user.utc_offset);
        Self::new(language.unwrap_or("en"), zone_of_user(offset, zone, now))
    }

    /// A language and a zone.
    pub fn new(language: &str, zone: TimeZone) -> Self {
        Self {
            texts: Texts::of(language),
            dates: Dates::new(language, zone),
            locale: Locale::of(language).unwrap_or_default(),
        }
    }
}

/// What is to be in a mail.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// Makes boundaries and names of pictures; the same for the same mail.
    pub id: &'a str,
    /// The room.
    pub room: &'a RoomInfo,
    /// Its messages.
    pub selection: &'a Which,
    /// What the requester wants as subject; blank for the usual one.
    pub subject: &'a str,
    /// Who sends it, in words.
    pub requester: Option<&'a str>,
    /// Who reads it.
    pub reader: &'a Reader,
    /// The only recipient, when there is one only.
    pub recipient: Option<&'a Address>,
    /// How files go with it.
    pub attach: Attach,
}

/// A mail without its recipients.
#[derive(Clone, Debug)]
pub struct Composed {
    /// `Subject`.
    pub subject: String,
    /// As [`mime::content`] writes it.
    pub content: Vec<u8>,
    /// What is in it.
    pub counts: Counts,
}

/// What is in a mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages.
    pub messages: u64,
    /// Files in it.
    pub attached: u64,
    /// Files that were too large.
    pub too_large: u64,
    /// Files that are not there.
    pub missing: u64,
}

/// Why there is no mail.
#[derive(Debug, Error)]
pub enum ComposeError {
    /// None of the messages is there.
    #[error("none of these messages is in the room")]
    Nothing,
    /// More messages than a mail may have.
    #[error(
        "a mail may have {0} messages, and these are more (mail.max_messages); export them to a file instead"
    )]
    TooMany(usize),
    /// More text than a mail may have.
    #[error(
        "a mail may have {0} bytes, and the text of these messages is more (mail.max_bytes); export them to a file instead"
    )]
    TooLarge(u64),
    /// The workspace failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ZIP could not be made.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// What people call a room, on one line.
pub fn title(room: &RoomInfo) -> String {
    let mark = match room.kind.as_str() {
        "c" | "p" if room.parent.is_none() && !room.team => "#",
        _ => "",
    };
    let mut title: String = room.title.chars().take(LONGEST_TITLE).collect();
    if title.len() < room.title.len() {
        title.push('…');
    }
    format!("{mark}{}", words::one_line(&title))
}

/// Writes the mail.
pub async fn compose(service: &Service, order: &Order<'_>) -> Result<Composed, ComposeError> {
    let config = &service.config.mail;
    let site = service.site_url().await?;
    let paper = service.mailer.paper(&site).await?;
    let docs = read(service, order).await?;
    let mut letter = Letter {
        order,
        paper: &paper,
        markup: markup::options(&*service.source).await?,
        messages: docs.docs().map(Message::read).collect(),
        files: Vec::new(),
        zip: None,
        some_too_large: false,
    };
    letter.files = vec![Vec::new(); letter.messages.len()];
    let (text, html) = letter.write();
    let limit = config.max_bytes;
    let mut used = encoded(&text) + html.as_deref().map_or(0, encoded) + 4096;
    if used > limit {
        return Err(ComposeError::TooLarge(limit));
    }
    let mut counts = Counts {
        messages: letter.messages.len() as u64,
        ..Counts::default()
    };
    let mut parts = Vec::new();
    let has_files = letter
        .messages
        .iter()
        .any(|message| message.files().next().is_some());
    match order.attach {
        Attach::Files if has_files => {
            let mut packing = Packing {
                service,
                texts: order.reader.texts,
                id: order.id,
                inline: html.is_some(),
                limit,
                used: &mut used,
                parts: &mut parts,
                places: HashMap::new(),
                counts: &mut counts,
            };
            letter.files = packing.pack(&letter.messages).await?;
            letter.some_too_large = counts.too_large > 0;
        }
        Attach::Zip => {
            let space = limit.saturating_sub(used + mime::PART_HEAD + FILE_LINES);
            let name = format!("{}.html.zip", names::safe(order.room.file_stem()));
            let (zip, missing) = zip(service, order, space).await?;
            counts.missing = missing;
            letter.zip = Some(match zip {
                Zip::Whole(bytes) => {
                    let mut part = Part {
                        name: name.clone(),
                        mime: "application/zip".to_owned(),
                        ..Part::default()
                    };
                    let mut lines = Base64Lines::default();
                    lines.push(&bytes, &mut part.lines);
                    lines.finish(&mut part.lines);
                    parts.push(part);
                    counts.attached = 1;
                    filled(order.reader.texts.zip_attached, &[&name])
                }
                Zip::TooLarge(bytes) => {
                    counts.too_large = 1;
                    filled(order.reader.texts.zip_too_large, &[&words::bytes(bytes)])
                }
            });
            letter.files = letter.left_out();
        }
        Attach::Files | Attach::None => letter.files = letter.left_out(),
    }
    let (text, html) = letter.write();
    let attached: u64 = parts
        .iter()
        .map(|part| part.lines.len() as u64 + mime::PART_HEAD)
        .sum();
    // Lines about files came after what was estimated for them.
    if encoded(&text) + html.as_deref().map_or(0, encoded) + attached > limit {
        return Err(ComposeError::TooLarge(limit));
    }
    let subject = subject(order, &config.subject, paper.site_name());
    drop(letter);
    Ok(Composed {
        subject,
        content: mime::content(order.id, &text, html.as_deref(), parts),
        counts,
    })
}

/// The requester's subject, or the usual one, in the operator's template.
fn subject(order: &Order<'_>, template: &str, site_name: &str) -> String {
    let room = title(order.room);
    let own = mime::subject(order.subject);
    let subject = if own.is_empty() {
        order.reader.texts.subject_of(&room)
    } else {
        own
    };
    fill(
        template,
        &[
            ("subject", &subject),
            ("room", &room),
            ("Site_Name", site_name),
        ],
    )
}

/// Bytes that a text becomes.
fn encoded(text: impl AsRef<[u8]>) -> u64 {
    let mut out = Vec::new();
    mime::quoted_printable(&mut out, text.as_ref());
    out.len() as u64
}

/// The documents of the messages, old versions and deleted ones left out.
async fn read(service: &Service, order: &Order<'_>) -> Result<DocBatch, ComposeError> {
    let config = &service.config.mail;
    let room = RoomId(order.room.id.clone());
    let mut cursor = match order.selection {
        Which::Ids(ids) => service.source.chosen(&room, ids).await?,
        Which::Window(window) => {
            let query = MessageQuery {
                room,
                window: *window,
                selection: Selection::All,
            };
            service.source.messages(&query).await?
        }
    };
    let mut docs = DocBatch::default();
    while let Some(batch) = cursor.next_batch().await? {
        for doc in batch.docs() {
            if Message::read(doc).visibility() != Visibility::Shown {
                continue;
            }
            if docs.len() >= config.max_messages {
                return Err(ComposeError::TooMany(config.max_messages));
            }
            if (docs.size() + doc.len()) as u64 > config.max_bytes {
                return Err(ComposeError::TooLarge(config.max_bytes));
            }
            docs.push(doc);
        }
    }
    if docs.is_empty() {
        return Err(ComposeError::Nothing);
    }
    Ok(docs)
}

/// The two parts of the mail, for people.
struct Letter<'a> {
    order: &'a Order<'a>,
    paper: &'a Paper,
    /// What the workspace's settings say about texts stored as typed.
    markup: Options,
    messages: Vec<Message<'a>>,
    /// Of each message.
    files: Vec<Vec<MailFile>>,
    /// A sentence about the ZIP.
    zip: Option<String>,
    some_too_large: bool,
}

impl Letter<'_> {
    /// Text, and HTML when the operator wants it.
    fn write(&self) -> (String, Option<String>) {
        let (order, texts) = (self.order, self.order.reader.texts);
        let heading = filled(texts.messages_title, &[&title(order.room)]);
        let by = order
            .requester
            .map(|name| filled(texts.sent_by_user, &[&words::one_line(name)]));
        let colon = texts.colon;
        let facts = format!(
            "{}{colon}{} · {}{colon}{}",
            texts.facts_messages,
            self.messages.len(),
            texts.facts_times,
            order.reader.dates.zone_in_words()
        );
        let mut remarks: Vec<&str> = self.zip.iter().map(String::as_str).collect();
        if self.some_too_large {
            remarks.push(texts.some_too_large);
        }
        let roots: HashMap<_, _> = self
            .messages
            .iter()
            .filter(|message| message.get(Field::Tcount).is_some())
            .map(|message| (message.id(), thread_root(message, EXCERPT, &texts.labels)))
            .collect();
        let [header, footer] = self.paper.text_frame(order.recipient);
        let mut text = PlainText::new(self.markup.clone());
        if !header.is_empty() {
            text.out.extend([&*header, "\n"]);
        }
        text.out.extend([&*heading, "\n"]);
        if let Some(by) = &by {
            text.out.extend([by, "\n"]);
        }
        text.out.extend([&*facts, "\n\n"]);
        let mut html = (!self.paper.plain).then(|| MailHtml::new(self.markup.clone()));
        if let Some(html) = &mut html {
            html.heading(&heading);
            html.facts(by.as_deref(), &facts);
        }
        for (message, files) in self.messages.iter().zip(&self.files) {
            let when = message.ts().map(|ts| order.reader.dates.text(ts));
            let root: Option<&ThreadRoot> = message
                .get(Field::Tmid)
                .and_then(|root| roots.get(&id_text(root)));
            let shown = Shown {
                message,
                when: when.as_deref().unwrap_or_default(),
                root,
                files,
                history: &[],
                instants: &order.reader.dates,
            };
            write(&mut text, &shown, &texts.labels);
            if let Some(html) = &mut html {
                write(html, &shown, &texts.labels);
            }
        }
        for remark in &remarks {
            text.out.extend([remark, "\n"]);
        }
        let sent_by = filled(texts.sent_by, &[self.paper.site_name()]);
        text.out.extend(["\n-- \n", &sent_by, "\n", &footer]);
        let html = html.map(|mut html| {
            html.remarks(&remarks);
            self.paper.html(texts, &heading, &html.out, order.recipient)
        });
        (text.out, html)
    }

    /// The files of each message, none of them attached.
    fn left_out(&self) -> Vec<Vec<MailFile>> {
        let left_out = |file: FileRef<'_>| MailFile {
            name: file_name(&file, &id_text(file.id)),
            size: file
                .size
                .and_then(|size| u64::try_from(size).ok())
                .map_or_else(String::new, words::bytes),
            place: MailFilePlace::LeftOut,
        };
        self.messages
            .iter()
            .map(|message| message.files().map(left_out).collect())
            .collect()
    }
}

fn file_name(file: &FileRef<'_>, id: &str) -> String {
    if file.name.is_empty() {
        id.to_owned()
    } else {
        words::one_line(&file.name.to_str())
    }
}

/// Files on their way into a mail.
struct Packing<'a> {
    service: &'a Service,
    /// In the reader's language.
    texts: &'static Texts,
    id: &'a str,
    /// Whether pictures are shown in the text.
    inline: bool,
    /// Bytes of the whole mail.
    limit: u64,
    used: &'a mut u64,
    parts: &'a mut Vec<Part>,
    /// Each file is in the mail once.
    places: HashMap<String, MailFile>,
    counts: &'a mut Counts,
}

impl Packing<'_> {
    async fn pack(&mut self, messages: &[Message<'_>]) -> Result<Vec<Vec<MailFile>>, ComposeError> {
        let mut all = Vec::with_capacity(messages.len());
        for message in messages {
            let mut files = Vec::new();
            for file in message.files() {
                let id = id_text(file.id).into_owned();
                if let Some(packed) = self.places.get(&id) {
                    files.push(packed.clone());
                    continue;
                }
                let packed = self.file(&file, &id).await?;
                files.push(packed.clone());
                self.places.insert(id, packed);
            }
            all.push(files);
        }
        Ok(all)
    }

    fn missing(&self, missing: &Missing) -> MailFilePlace {
        MailFilePlace::Missing(self.texts.absence(missing.absence).to_owned())
    }

    async fn file(&mut self, file: &FileRef<'_>, id: &str) -> Result<MailFile, ComposeError> {
        let mut shown = MailFile {
            name: file_name(file, id),
            size: String::new(),
            place: MailFilePlace::TooLarge,
        };
        *self.used += FILE_LINES;
        let opening = open(&*self.service.source, &*self.service.blobs, file, id).await?;
        let mut opened = match opening {
            Opening::Open(opened) => opened,
            Opening::Missing(missing) => {
                self.counts.missing += 1;
                shown.place = self.missing(&missing);
                return Ok(shown);
            }
        };
        shown.name = words::one_line(&opened.name);
        let expected = opened.length.or(opened.size);
        shown.size = expected.map_or_else(String::new, words::bytes);
        let space = self.limit.saturating_sub(*self.used + mime::PART_HEAD);
        if expected.is_some_and(|size| Base64Lines::length(size) > space) {
            self.counts.too_large += 1;
            return Ok(shown);
        }
        let mut part = Part {
            name: shown.name.clone(),
            mime: opened.mime.to_ascii_lowercase(),
            ..Part::default()
        };
        let (mut lines, mut size) = (Base64Lines::default(), 0);
        let missing = loop {
            match opened.reader.next_chunk().await {
                Ok(Some(chunk)) => {
                    size += chunk.len() as u64;
                    if Base64Lines::length(size) > space {
                        self.counts.too_large += 1;
                        return Ok(shown);
                    }
                    lines.push(&chunk, &mut part.lines);
                }
                Ok(None) => match opened.size {
                    Some(expected) if size < expected => {
                        break Some(incomplete(size, expected));
                    }
                    _ => break None,
                },
                Err(BlobError::Missing(missing)) => break Some(missing),
                Err(BlobError::Store(error)) => return Err(error.into()),
            }
        };
        if let Some(missing) = missing {
            self.counts.missing += 1;
            shown.place = self.missing(&missing);
            return Ok(shown);
        }
        lines.finish(&mut part.lines);
        shown.size = words::bytes(size);
        shown.place = if self.inline && PICTURES.contains(&&*part.mime) {
            let name = format!(
                "{}.{}@export-room",
                mime::word(self.id),
                self.parts.len() + 1
            );
            part.content_id = Some(name.clone());
            MailFilePlace::Inline(name)
        } else {
            MailFilePlace::Attached
        };
        *self.used += part.lines.len() as u64 + mime::PART_HEAD;
        self.counts.attached += 1;
        self.parts.push(part);
        Ok(shown)
    }
}

/// The export of the messages, with all files.
enum Zip {
    Whole(Vec<u8>),
    /// How large it is, or so far.
    TooLarge(u64),
}

/// Exports the messages as pages, into memory, when they fit into `space` bytes of base64; also how many files are missing.
async fn zip(service: &Service, order: &Order<'_>, space: u64) -> Result<(Zip, u64), ComposeError> {
    let source: Arc<dyn MessageSource> = match order.selection {
        Which::Ids(ids) => Arc::new(ChosenMessages::new(Arc::clone(&service.source), ids)),
        Which::Window(_) => Arc::clone(&service.source),
    };
    let request = ExportRequest {
        room: order.room.clone(),
        window: match order.selection {
            Which::Ids(_) => Window::default(),
            Which::Window(window) => *window,
        },
        format: Format::Html,
        attachments: true,
        history: false,
        raw: false,
        search: false,
        zone: order.reader.dates.zone().clone(),
        locale: order.reader.locale,
        style: None,
        exported_by: None,
        level: service.config.export.level,
        threads: 1,
        exported_at: service.clock.now(),
    };
    let export = FileExport {
        source,
        blobs: Arc::clone(&service.blobs),
        progress: Arc::new(Progress::default()),
        cancel: CancellationToken::new(),
        on_missing: Box::new(|_| {}),
        on_damaged: Box::new(|_| {}),
    };
    let expected = export.count(&request).await?;
    let made = tokio::task::spawn_blocking(move || {
        let out = Limited {
            bytes: Vec::new(),
            // Base64 is four for three, and line ends.
            limit: usize::try_from(space / 78 * 57).unwrap_or(usize::MAX),
            size: 0,
        };
        export.run(&request, expected, out)
    });
    let (out, report) = match made.await {
        Ok(made) => made?,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => return Err(ExportError::Cancelled.into()),
        },
    };
    let zip = if out.size > out.limit {
        Zip::TooLarge(out.size as u64)
    } else {
        Zip::Whole(out.bytes)
    };
    Ok((zip, report.files.missing))
}

/// Keeps what is written as long as it is not too much, and counts all of it.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    size: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size += bytes.len();
        if self.size <= self.limit {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.bytes = Vec::new();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a mail of a job was not sent.
#[derive(Debug, Error)]
pub enum Undelivered {
    /// It was not handed over.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// It was not written.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// It is not to be sent, for a reason that the requester is told.
    #[error("{}", .0.message)]
    Said(JobError),
}

impl From<StoreError> for Undelivered {
    fn from(error: StoreError) -> Self {
        Self::Mail(error.into())
    }
}

/// What is to be sent, by whom, from which room and to whom.
struct Permitted {
    request: EmailExportWork,
    owner: User,
    room: RoomInfo,
    to: Vec<Address>,
}

/// Looks once more whether a mail of an accepted export may be sent.
async fn permitted(
    service: &Service,
    job: &Job,
    work: &MessagesMailWork,
) -> Result<Permitted, Undelivered> {
    let gone = |code: &str, message: &str| Undelivered::Said(JobError::new(code, message));
    let export = match service.queue.job(&work.export).await {
        Ok(export) => export,
        Err(QueueError::Store(error)) => return Err(error.into()),
        Err(error) => return Err(MailError::Later(error.to_string()).into()),
    };
    let Some(Work::EmailExport(request)) = export.and_then(|export| export.work) else {
        return Err(gone(
            "export-gone",
            "The request was deleted before its mail was sent.",
        ));
    };
    let to: Vec<Address> = match work.recipient {
        Some(one) => request
            .recipients
            .get(one)
            .map(Address::from)
            .into_iter()
            .collect(),
        None => request.recipients.iter().map(Address::from).collect(),
    };
    let not_allowed = || {
        gone(
            "not-allowed",
            "You may not export this room any more. Ask the administrator or an owner of the room if you think that you should.",
        )
    };
    let owner = service.directory.user(&job.owner).await?;
    let owner = owner.filter(|owner| owner.active).ok_or_else(not_allowed)?;
    let forbidden = to
        .iter()
        .any(|to| !is_allowed(&service.config.mail, Some(&owner), &to.address));
    if forbidden {
        return Err(gone(
            "recipient-not-allowed",
            "Mail to this recipient is not allowed here any more.",
        ));
    }
    let rid = RoomId(request.rid.clone());
    let room = match service.access().may_export(&owner, &rid).await? {
        Decision::Allowed { room, by_override } => {
            if by_override {
                tracing::info!(target: "audit", job = job.id.0, rid = request.rid, user = owner.id.0, by_override, "mail begun");
            }
            room
        }
        Decision::NoRoom => {
            return Err(gone(
                "room-gone",
                "The room does not exist any more, so there is nothing to send.",
            ));
        }
        Decision::NoPermission | Decision::NoAccess => return Err(not_allowed()),
    };
    let room = RoomInfo::read(&room.0).map_err(|error| {
        StoreError::Corrupt(format!(
            "the record of room {} is damaged: {error}",
            request.rid
        ))
    })?;
    Ok(Permitted {
        request,
        owner,
        room,
        to,
    })
}

/// Writes and sends one mail of an accepted export by e-mail. Beside what became of it: the mails to those of several
/// recipients whom the server will perhaps take later.
pub async fn send_messages(
    service: &Service,
    job: &Job,
    work: &MessagesMailWork,
) -> Result<(Outcome, Vec<(JobId, MessagesMailWork)>), Undelivered> {
    let Permitted {
        request,
        owner,
        room,
        to,
    } = permitted(service, job, work).await?;
    let reader = service.reader(Some(&owner)).await?;
    let order = Order {
        id: &job.id.0,
        room: &room,
        selection: &Which::Ids(request.messages.clone()),
        subject: &request.subject,
        requester: Some(owner.display_name()),
        reader: &reader,
        recipient: match &*to {
            [one] => Some(one),
            _ => None,
        },
        attach: service.config.mail.attachments,
    };
    let Composed {
        subject,
        content,
        counts,
    } = compose(service, &order).await?;
    let site = service.site_url().await?;
    let mail = Mail {
        reply_to: recipient(&owner),
        to,
        subject,
        message_id: mime::id_of_job(&job.id.0),
        host: mime::word(host(&site)),
        date: job.created_at,
        content,
    };
    let handed = service.mailer.send(&mail).await?;
    let later = handed.refused.iter().filter(|one| one.later);
    let later = later.filter_map(|late| {
        let same = |to: &Recipient| to.address == late.address;
        request.recipients.iter().position(same)
    });
    let later = later
        .map(|one| request.late_mail(&work.export, one))
        .collect();
    let outcome = Outcome {
        report: Some(report(&mail, counts, &handed, &request.recipients)),
        ..Outcome::default()
    };
    Ok((outcome, later))
}

fn report(
    mail: &Mail,
    counts: Counts,
    handed: &Handed,
    recipients: &[Recipient],
) -> serde_json::Value {
    // Users are told by the names that they were asked for with.
    let refused: Vec<_> = handed
        .refused
        .iter()
        .filter(|refused| !refused.later)
        .filter_map(|refused| recipients.iter().find(|to| to.address == refused.address))
        .map(|to| &to.asked)
        .collect();
    serde_json::json!({
        "messageId": mail.message_id,
        "messages": counts.messages,
        "files": {"attached": counts.attached, "tooLarge": counts.too_large, "missing": counts.missing},
        "refused": refused,
        "toDirectory": handed.file.is_some(),
    })
}
