//! The HTML export: pages that read without network and without script.
//!
//! The entry page keeps Rocket.Chat's name, `<rid>.html`; further pages, the calendar and the pages of long threads stand
//! beside it. Pages are cut before the first message is rendered ([`Output::page`]), so that every message knows on which
//! page any other stands, before and behind it. The entry page waits in memory and is written last: only then are the
//! counts known that its header shows.

pub(crate) mod body;
mod calendar;
pub(crate) mod escape;
mod highlight;
mod markup;
mod page;
mod threads;

use std::borrow::Cow;

use jiff::tz::TimeZone;

use crate::bson::Text;
use crate::locale::Locale;
use crate::markup::Plain;
use crate::message::{Anomalies, Field, Message};
use crate::output::{Day, Output};
use crate::room::RoomInfo;
use crate::search::{self, Indexed};
use crate::texts::Texts;
use crate::time::{IsoWriter, Local, LocalClock};

pub use threads::{author_of, excerpt};

/// Messages on a page; `docs/performance.md` has the figures behind it.
pub const MESSAGES_PER_PAGE: u32 = 1_000;
/// Bytes of documents on a page, unless it has one message only.
pub const BYTES_PER_PAGE: u64 = 2 * 1024 * 1024;
/// Replies that the first message of a thread lists; a thread with more has a page of its own as well.
pub const LISTED: u64 = 50;
/// Rendered bytes are handed on in pieces of about this size.
const PIECE: usize = 64 * 1024;
/// Messages of one author within this time, in milliseconds, are shown as one group.
const GROUP: i64 = 5 * 60_000;

/// Text as element content or quoted attribute value, through the one escaper: for pages and mails that are made elsewhere.
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape::text(&mut out, text.as_bytes());
    // The escaper keeps what is UTF-8 as it is.
    String::from_utf8_lossy(&out).into_owned()
}

/// Text as a part of a script's string, through the one escaper.
pub(crate) fn script_text(out: &mut Vec<u8>, text: &str) {
    escape::script(out, text);
}

/// What headers and footers say about the export as a whole.
#[derive(Clone, Debug)]
pub struct ExportInfo {
    /// The room.
    pub room: RoomInfo,
    /// Program and version.
    pub tool: String,
    /// Start of the window, milliseconds; `None` is open.
    pub from: Option<i64>,
    /// End of the window, milliseconds, inclusive; `None` is open.
    pub to: Option<i64>,
    /// When the export was made, milliseconds.
    pub exported_at: i64,
    /// Who made it, as people call them; `None` when nobody says.
    pub exported_by: Option<String>,
    /// Files in the archive.
    pub files: u64,
    /// Files that are missing.
    pub missing: u64,
    /// Zone of the times shown.
    pub zone: TimeZone,
    /// Whether there is a search: every message is told to [`Output::index`].
    pub search: bool,
    /// The language of the page, and how dates and numbers are written.
    pub locale: Locale,
    /// A style sheet of the user's own, put after ours; [`check_style`] has found nothing wrong with it.
    pub style: Option<String>,
    /// Pages that messages are on, at least one.
    pub pages: u32,
}

/// Why a style sheet of the user's own cannot stand in a page; `None` when it can.
pub fn check_style(sheet: &str) -> Option<&'static str> {
    let closes = sheet
        .as_bytes()
        .windows(7)
        .any(|part| part.eq_ignore_ascii_case(b"</style"));
    closes.then_some("it contains the closing tag of a style element, which would end it")
}

/// Which file is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    /// A page of the room, counted from 0.
    Room(u32),
    /// A page of a long thread: its number, and its page counted from 0.
    Thread(u32, u32),
    /// A page of the calendar, counted from 0.
    Calendar(u32),
}

/// Writes messages as pages.
#[derive(Debug)]
pub struct PagedHtml {
    info: ExportInfo,
    /// `<rid>.html`.
    entry_name: String,
    /// The words around what people wrote.
    words: &'static Texts,
    clock: LocalClock,
    iso: IsoWriter,
    assets: page::Assets,
    texts: markup::Buffers,
    /// Reads texts for the search and for excerpts.
    plain: Plain,
    /// The text of the message, without its marks; empty without a search.
    said: String,
    out: Vec<u8>,
    /// The entry page's messages, once there is a second page.
    entry: Vec<u8>,
    text: String,
    rendered: u64,
    here: Here,
    /// First place of the next page.
    next: Option<(i64, Vec<u8>)>,
    /// The day whose messages are being counted.
    counting: Option<Day>,
    /// The day whose heading stands above.
    day: Option<i64>,
    group: Group,
    /// Authors met last, as they were written.
    authors: body::Authors,
    /// Messages and bytes on the page of a thread.
    on_page: (u32, u64),
}

/// The author and time of the message before, for grouping.
#[derive(Debug, Default)]
struct Group {
    author: String,
    ts: i64,
}

impl PagedHtml {
    /// A renderer for a room.
    pub fn new(info: ExportInfo) -> Self {
        Self {
            words: info.locale.texts(),
            clock: LocalClock::new(info.zone.clone()),
            iso: IsoWriter::default(),
            assets: page::Assets::new(info.style.as_deref(), info.locale),
            entry_name: crate::names::safe(&format!("{}.html", info.room.id)),
            texts: markup::Buffers::default(),
            plain: Plain::default(),
            said: String::new(),
            info,
            out: Vec::with_capacity(2 * PIECE),
            entry: Vec::new(),
            text: String::new(),
            rendered: 0,
            here: Here::Room(0),
            next: None,
            counting: None,
            day: None,
            group: Group::default(),
            authors: body::Authors::default(),
            on_page: (0, 0),
        }
    }

    /// Begins: to be called once, before the first message.
    pub fn begin<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.look_ahead(0, out)
    }

    /// With the workspace's settings for texts that are stored as typed; else they are Rocket.Chat's defaults.
    #[must_use]
    pub fn with_markup(mut self, options: crate::markup::Options) -> Self {
        self.plain = Plain::new(options.clone());
        self.texts = markup::Buffers::new(options);
        self
    }

    /// Writes a message and, under it, the old versions of it.
    pub fn message<O: Output>(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
        out: &mut O,
    ) -> Result<Anomalies, O::Error> {
        self.turn_pages(Some(message), out)?;
        self.rendered += 1;
        let local = message.ts().and_then(|ts| self.clock.local(ts));
        if let Some(local) = local {
            self.count_day(local.day, out)?;
        }
        self.article(message, local, history, out)
    }

    fn article<O: Output>(
        &mut self,
        message: &Message<'_>,
        local: Option<Local>,
        history: &[Message<'_>],
        out: &mut O,
    ) -> Result<Anomalies, O::Error> {
        let day = local.map(|local| local.day);
        if self.day != day {
            self.day = day;
            self.group.author.clear();
            page::day(self, local);
        }
        let continues = self.continues(message);
        let anomalies = body::message(self, message, local, continues, history, out)?;
        if self.info.search && matches!(self.here, Here::Room(_)) {
            self.index(message, local, out)?;
        }
        if self.out.len() >= PIECE {
            self.flush(out)?;
        }
        Ok(anomalies)
    }

    /// Ends the pages of the room: from now on only [`PagedHtml::thread_message`] and [`PagedHtml::finish`].
    pub fn end_messages<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.turn_pages(None, out)?;
        self.end_page(out)?;
        if let Some(day) = self.counting.take() {
            out.remember_day(&day)?;
        }
        Ok(())
    }

    /// Writes a message on the page of the thread with this number. They come by number, the first message of each thread
    /// before its replies.
    pub fn thread_message<O: Output>(
        &mut self,
        number: u32,
        message: &Message<'_>,
        out: &mut O,
    ) -> Result<(), O::Error> {
        let page = match self.here {
            Here::Thread(open, page) if open == number => {
                let (messages, bytes) = self.on_page;
                let full = messages >= MESSAGES_PER_PAGE || bytes >= 2 * BYTES_PER_PAGE;
                if full { page + 1 } else { page }
            }
            _ => 0,
        };
        if self.here != Here::Thread(number, page) {
            let more = page > 0;
            self.end_thread(more, out)?;
            self.here = Here::Thread(number, page);
            self.start_page(out)?;
            threads::head(self, number, page, message, out)?;
        }
        self.on_page.0 += 1;
        let local = message.ts().and_then(|ts| self.clock.local(ts));
        // What is odd about it has been counted in its place.
        self.article(message, local, &[], out).map(|_| ())
    }

    /// Ends the last thread, writes the calendar and the entry page.
    pub fn finish<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.end_thread(false, out)?;
        calendar::write(self, out)?;
        self.here = Here::Room(0);
        out.start_entry(&self.entry_name)?;
        page::head(self, out)?;
        out.write(&self.out)?;
        out.write(&self.entry)?;
        self.out.clear();
        page::foot(self, out)?;
        out.write(&self.out)?;
        self.out.clear();
        out.finish_entry()
    }

    fn index<O: Output>(
        &mut self,
        message: &Message<'_>,
        local: Option<Local>,
        out: &mut O,
    ) -> Result<(), O::Error> {
        self.text.clear();
        search::visible(
            message,
            &self.said,
            &self.words.sentences,
            &mut self.plain,
            &mut self.text,
        );
        let author = message.author();
        out.index(&Indexed {
            author: &author.label().to_str(),
            name: &author.name.to_str(),
            alias: &message.text(Field::Alias).to_str(),
            local,
            text: &self.text,
        })
    }

    /// Ends pages until the one is open that the message belongs to, or the last one. Never turns back: a version whose
    /// message is gone may come late among those of its millisecond.
    fn turn_pages<O: Output>(
        &mut self,
        message: Option<&Message<'_>>,
        out: &mut O,
    ) -> Result<(), O::Error> {
        while let (Some((ts, id)), Here::Room(page)) = (&self.next, self.here) {
            if let Some(message) = message {
                let own = message.ts().unwrap_or(i64::MIN);
                if own < *ts || own == *ts && *order_id(message) < **id {
                    return Ok(());
                }
            }
            self.end_page(out)?;
            self.here = Here::Room(page + 1);
            self.start_page(out)?;
            page::head(self, out)?;
            self.look_ahead(page + 1, out)?;
        }
        Ok(())
    }

    fn look_ahead<O: Output>(&mut self, page: u32, out: &mut O) -> Result<(), O::Error> {
        self.next = out.page(page + 1)?.map(|bounds| (bounds.ts, bounds.id));
        Ok(())
    }

    fn count_day<O: Output>(&mut self, day: i64, out: &mut O) -> Result<(), O::Error> {
        match (&mut self.counting, self.here) {
            (Some(counting), _) if counting.day == day => counting.messages += 1,
            (counting, Here::Room(page)) => {
                let new = Day {
                    day,
                    page,
                    messages: 1,
                };
                if let Some(done) = counting.replace(new) {
                    out.remember_day(&done)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the message goes on where the one before stopped: same author, shortly after, nothing between.
    fn continues(&mut self, message: &Message<'_>) -> bool {
        let ts = message.ts().unwrap_or(i64::MIN);
        let plain = message.kind().is_none() && message.text(Field::Alias) == Text(b"");
        let label = message.author().id;
        let same = plain
            && self.group.author.as_bytes() == label.0
            && !label.is_empty()
            && ts.saturating_sub(self.group.ts) < GROUP;
        if !same {
            self.group.author.clear();
            if plain {
                self.group.author.push_str(&label.to_str());
            }
        }
        self.group.ts = ts;
        same
    }

    /// Begins a file other than the entry page.
    fn start_page<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.on_page = (0, 0);
        self.day = None;
        self.group.author.clear();
        out.start_entry(&self.name(self.here))
    }

    /// Ends a page of the room.
    fn end_page<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        if self.here == Here::Room(0) {
            self.entry = std::mem::take(&mut self.out);
        } else {
            page::foot(self, out)?;
            self.close(out)?;
        }
        if self.info.search {
            out.index_page(&self.name(self.here))?;
        }
        Ok(())
    }

    fn end_thread<O: Output>(&mut self, more: bool, out: &mut O) -> Result<(), O::Error> {
        if let Here::Thread(number, page) = self.here {
            threads::foot(self, number, page, more);
            self.close(out)?;
        }
        Ok(())
    }

    fn close<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.flush(out)?;
        out.finish_entry()
    }

    /// Hands on what has been rendered, but for the entry page.
    fn flush<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        if self.here != Here::Room(0) {
            out.write(&self.out)?;
            self.on_page.1 += self.out.len() as u64;
            self.out.clear();
            // One message of many megabytes must not keep its memory for the rest of the room.
            self.out.shrink_to(2 * PIECE);
        }
        Ok(())
    }

    /// Name of a file's entry: `<rid>.html`, `<rid>-2.html`, …, `<rid>-thread-1.html`, `<rid>-calendar.html`, ….
    fn name(&self, here: Here) -> String {
        let entry = &self.entry_name;
        let numbered = |what: &str, page: u32| match page {
            0 => crate::names::suffixed(entry, what),
            page => crate::names::suffixed(entry, &format!("{what}-{}", page + 1)),
        };
        match here {
            Here::Room(0) => entry.clone(),
            Here::Room(page) => crate::names::numbered(entry, page + 1),
            Here::Thread(number, page) => numbered(&format!("-thread-{number}"), page),
            Here::Calendar(page) => numbered("-calendar", page),
        }
    }

    /// Begins a message's element, up to the first of its classes: each message has one whose first class is `m`, and what
    /// a thread's page shows once more is told from it.
    fn open_article(&mut self) {
        self.out.extend_from_slice(match self.here {
            Here::Thread(..) => b"<article class=\"again m".as_slice(),
            Here::Room(_) | Here::Calendar(_) => b"<article class=\"m",
        });
    }

    /// Writes the link to a message on a page of the room, as the value of `href`.
    fn message_link(&mut self, page: u32, id: &str) {
        if self.here != Here::Room(page) {
            let name = self.name(Here::Room(page));
            escape::link(&mut self.out, &name);
        }
        self.out.extend_from_slice(b"#m-");
        escape::fragment(&mut self.out, id);
    }

    /// Writes the name of the room.
    fn room(&mut self) {
        escape::name(&mut self.out, self.info.room.title.as_bytes());
    }

    /// Writes a text of ours.
    fn say(&mut self, text: &str) {
        escape::text(&mut self.out, text.as_bytes());
    }

    /// Writes `<a href="…">` to a file.
    fn open_link(&mut self, to: Here) {
        self.out.extend_from_slice(b"<a href=\"");
        let name = self.name(to);
        escape::link(&mut self.out, &name);
        self.out.extend_from_slice(b"\">");
    }
}

/// The message's `_id` as bytes whose order is the order of messages of one instant: one without comes behind all that
/// have one.
fn order_id<'a>(message: &Message<'a>) -> Cow<'a, [u8]> {
    const NONE: &[u8] = &[0xff; 40];
    match message.id() {
        id if id.is_empty() => Cow::Borrowed(NONE),
        Cow::Borrowed(id) => Cow::Borrowed(id.as_bytes()),
        Cow::Owned(id) => Cow::Owned(id.into_bytes()),
    }
}
