//! The HTML export: pages that read without network and without script.
//!
//! The entry page keeps Rocket.Chat's name, `<rid>.html`; further pages stand beside it. A page's size is bounded by
//! messages and bytes, so that a browser opens a room of a million messages as fast as one of a hundred. The entry page
//! waits in memory and is written last: only then are the counts known that its header shows.

mod body;
pub(crate) mod escape;
mod page;

use jiff::tz::TimeZone;

use crate::bson::Text;
use crate::message::{Anomalies, Field, Message};
use crate::output::{Output, ThreadRoot};
use crate::room::RoomInfo;
use crate::search::{self, Indexed};
use crate::time::{IsoWriter, Local, LocalClock};

/// Messages on a page.
const MESSAGES_PER_PAGE: u32 = 2_000;
/// A page is ended when it has this many bytes.
const BYTES_PER_PAGE: u64 = 4 * 1024 * 1024;
/// Rendered bytes are handed on in pieces of about this size.
const PIECE: usize = 64 * 1024;
/// Characters of a thread's first message that its replies show.
const EXCERPT: usize = 100;
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
    /// Files in the archive.
    pub files: u64,
    /// Files that are missing.
    pub missing: u64,
    /// Zone of the times shown.
    pub zone: TimeZone,
    /// Whether there is a search: every message is told to [`Output::index`].
    pub search: bool,
}

/// Writes messages as pages.
#[derive(Debug)]
pub struct PagedHtml {
    info: ExportInfo,
    clock: LocalClock,
    iso: IsoWriter,
    assets: page::Assets,
    out: Vec<u8>,
    /// The entry page's messages, once there is a second page.
    entry: Vec<u8>,
    text: String,
    rendered: u64,
    page: u32,
    last_page: u32,
    on_page: u32,
    bytes_on_page: u64,
    day: Option<i64>,
    group: Group,
    /// Authors met last, as they were written.
    authors: body::Authors,
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
            clock: LocalClock::new(info.zone.clone()),
            iso: IsoWriter::default(),
            assets: page::Assets::new(),
            info,
            out: Vec::with_capacity(2 * PIECE),
            entry: Vec::new(),
            text: String::new(),
            rendered: 0,
            page: 0,
            last_page: 0,
            on_page: 0,
            bytes_on_page: 0,
            day: None,
            group: Group::default(),
            authors: body::Authors::default(),
        }
    }

    /// Writes a message and, under it, the old versions of it.
    pub fn message<O: Output>(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
        out: &mut O,
    ) -> Result<Anomalies, O::Error> {
        if self.on_page >= MESSAGES_PER_PAGE
            || self.bytes_on_page + self.out.len() as u64 >= BYTES_PER_PAGE
        {
            self.end_page(true, out)?;
            self.start_page(out)?;
        }
        self.on_page += 1;
        self.rendered += 1;
        if message.get(Field::Tcount).is_some() {
            self.remember(message, out)?;
        }
        let local = message.ts().and_then(|ts| self.clock.local(ts));
        self.day_divider(local);
        let continues = self.continues(message);
        let anomalies = body::message(self, message, local, continues, history, out)?;
        if self.info.search {
            self.index(message, local, out)?;
        }
        if self.out.len() >= PIECE {
            self.flush(out)?;
        }
        Ok(anomalies)
    }

    /// Ends the last page and writes the entry page.
    pub fn finish<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.end_page(false, out)?;
        self.last_page = self.page;
        self.page = 0;
        out.start_entry(&self.page_name(0))?;
        page::head(self);
        out.write(&self.out)?;
        out.write(&self.entry)?;
        self.out.clear();
        page::foot(self, self.last_page > 0);
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
        search::visible(message, &mut self.text);
        let author = message.author();
        out.index(&Indexed {
            author: &author.label().to_str(),
            name: &author.name.to_str(),
            alias: &message.text(Field::Alias).to_str(),
            local,
            text: &self.text,
        })
    }

    fn remember<O: Output>(&mut self, message: &Message<'_>, out: &mut O) -> Result<(), O::Error> {
        self.text.clear();
        crate::system::sentence(message, &mut self.text);
        if self.text.is_empty() {
            self.text.push_str(&message.text(Field::Msg).to_str());
        }
        let end = self
            .text
            .char_indices()
            .nth(EXCERPT)
            .map_or(self.text.len(), |(at, _)| at);
        let root = ThreadRoot {
            page: self.page,
            author: message.author().label().to_str().into_owned(),
            excerpt: self.text[..end].to_owned(),
        };
        out.remember_thread(&message.id(), &root)
    }

    fn day_divider(&mut self, local: Option<Local>) {
        let Some(local) = local else { return };
        if self.day != Some(local.day) {
            self.day = Some(local.day);
            self.group.author.clear();
            page::day(&mut self.out, local.day);
        }
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

    /// Begins a page after the entry page.
    fn start_page<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.page += 1;
        self.on_page = 0;
        self.bytes_on_page = 0;
        self.day = None;
        self.group.author.clear();
        out.start_entry(&self.page_name(self.page))?;
        page::head(self);
        Ok(())
    }

    fn end_page<O: Output>(&mut self, more: bool, out: &mut O) -> Result<(), O::Error> {
        if self.page == 0 {
            self.entry = std::mem::take(&mut self.out);
        } else {
            page::foot(self, more);
            self.flush(out)?;
            out.finish_entry()?;
        }
        if self.info.search {
            out.index_page(&self.page_name(self.page))?;
        }
        Ok(())
    }

    /// Hands on what has been rendered, but for the entry page.
    fn flush<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        if self.page > 0 {
            out.write(&self.out)?;
            self.bytes_on_page += self.out.len() as u64;
            self.out.clear();
            // One message of many megabytes must not keep its memory for the rest of the room.
            self.out.shrink_to(2 * PIECE);
        }
        Ok(())
    }

    /// Name of a page's entry, counted from 0: `<rid>.html`, `<rid>-2.html`, ….
    fn page_name(&self, page: u32) -> String {
        let first = crate::names::safe(&format!("{}.html", self.info.room.id));
        match page {
            0 => first,
            page => crate::names::numbered(&first, page + 1),
        }
    }
}
