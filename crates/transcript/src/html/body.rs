//! One message as HTML: who, when, and the order of its parts. What the parts look like is below.
//!
//! Everything is written straight into the page's buffer; the output is asked only by messages that need it, and an
//! ordinary message costs no allocation.

mod attachments;
mod author;
mod blocks;
mod extras;
mod files;
mod icons;
pub(crate) mod link;
mod previews;
mod reactions;
mod words;

pub(super) use self::author::Authors;
pub(crate) use self::files::is_shown_with_file;
use super::{PagedHtml, escape, page, threads};
use crate::bson::{Text, Value};
use crate::message::{Anomalies, Anomaly, Field, Message, User, Visibility};
use crate::output::Output;
use crate::system::{Sentence, sentence};
use crate::texts::gap;
use crate::time::{Local, civil_date};

/// Quotes within quotes, and blocks within blocks, are followed this far; Rocket.Chat itself stops at
/// `Message_QuoteChainLimit`, 2 by default.
const DEPTH: usize = 8;
/// Attachments, fields, blocks, translations of one message that are shown; what comes after is counted.
const SHOWN: usize = 200;

/// Writes a message with everything that belongs to it.
pub(super) fn message<O: Output>(
    html: &mut PagedHtml,
    message: &Message<'_>,
    local: Option<Local>,
    continues: bool,
    history: &[Message<'_>],
    output: &mut O,
) -> Result<Anomalies, O::Error> {
    let mut body = Body {
        html,
        output,
        anomalies: message.anomalies(),
        message,
    };
    body.article(message, local, continues, history)?;
    Ok(body.anomalies)
}

/// The message that is being written.
struct Body<'h, O: Output> {
    html: &'h mut PagedHtml,
    output: &'h mut O,
    anomalies: Anomalies,
    /// Whom and what its texts mention.
    message: &'h Message<'h>,
}

impl<O: Output> Body<'_, O> {
    fn article(
        &mut self,
        message: &Message<'_>,
        local: Option<Local>,
        continues: bool,
        history: &[Message<'_>],
    ) -> Result<(), O::Error> {
        self.html.text.clear();
        let kind = sentence(message, &self.html.words.sentences, &mut self.html.text);
        if kind == Sentence::Unknown {
            self.anomalies.add(Anomaly::UnknownType);
        }
        let system = matches!(kind, Sentence::Written | Sentence::Bare | Sentence::Unknown)
            && message.kind() != Some(Text(b"videoconf"));
        let id = message.id();
        self.html.open_article();
        let out = &mut self.html.out;
        out.extend_from_slice(if continues { b" cont" } else { b"" });
        out.extend_from_slice(if system { b" sys" } else { b"" });
        out.extend_from_slice(b"\" id=\"m-");
        escape::id(out, &id);
        out.extend_from_slice(b"\">");
        self.author(message, continues)?;
        permalink(self.html, &id, message.ts(), local);
        self.marks(message, kind);
        self.markup("</div>\n");
        threads::reply(self.html, message, self.output)?;
        self.words(message, kind)?;
        self.files(message)?;
        if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
            self.attachments(message, attachments, DEPTH)?;
        }
        if let Some(blocks) = message.get(Field::Blocks).and_then(Value::array) {
            self.blocks(blocks)?;
        }
        if let Some(urls) = message.get(Field::Urls).and_then(Value::array) {
            self.previews(urls);
        }
        self.extras(message);
        if let Some(reactions) = message.get(Field::Reactions).and_then(Value::document) {
            self.reactions(reactions)?;
        }
        threads::replies(self.html, message, self.output)?;
        self.versions(history)?;
        self.markup("</article>\n");
        Ok(())
    }

    /// When it was edited, and so on: only what there is.
    fn marks(&mut self, message: &Message<'_>, kind: Sentence) {
        let words = self.html.words;
        let set = |field| message.get(field).is_some_and(Value::truthy);
        let deleted =
            message.visibility() == Visibility::Deleted || message.kind() == Some(Text(b"rm"));
        if deleted {
            self.mark(words.deleted, message, Field::EditedAt, Field::EditedBy);
        } else if set(Field::EditedAt) {
            self.mark(words.edited, message, Field::EditedAt, Field::EditedBy);
        }
        if set(Field::Pinned) {
            self.mark(words.pinned, message, Field::PinnedAt, Field::PinnedBy);
        }
        for (field, text) in [
            (Field::Bot, words.integration),
            (Field::Imported, words.imported),
            (Field::SlackBotId, words.from_slack),
            (Field::SentByEmail, words.by_email),
            (Field::Private, words.private),
        ] {
            if set(field) {
                // Where messages come from is seen once for those that belong together.
                self.markup(if matches!(field, Field::Imported | Field::SlackBotId) {
                    "<span class=\"tag from\">"
                } else {
                    "<span class=\"tag\">"
                });
                self.say(text);
                self.markup("</span>");
            }
        }
        if matches!(kind, Sentence::Bare | Sentence::Unknown) {
            self.markup("<span class=\"tag\">");
            self.name(message.kind().unwrap_or_default());
            self.markup("</span>");
        }
    }

    fn mark(
        &mut self,
        [alone, by_whom]: [&'static str; 2],
        message: &Message<'_>,
        at: Field,
        by: Field,
    ) {
        self.markup("<span class=\"tag\">");
        let by = message.get(by).and_then(Value::document);
        let by = by.map(User::read).unwrap_or_default().label();
        if by.is_empty() {
            self.say(alone);
        } else {
            self.around(by_whom, "<bdi>", by, "</bdi>");
        }
        if let Some(at) = message.get(at).and_then(Value::millis) {
            self.markup(" ");
            self.instant(at);
        }
        self.markup("</span>");
    }

    /// Older versions of the message.
    fn versions(&mut self, history: &[Message<'_>]) -> Result<(), O::Error> {
        if history.is_empty() {
            return Ok(());
        }
        self.markup("<details class=\"older\"><summary>");
        let template = self.html.words.earlier;
        escape::filled(&mut self.html.out, template, &[&history.len()]);
        self.markup("</summary>\n");
        for version in history {
            self.anomalies.extend(version.anomalies());
            self.markup("<div class=\"version\" id=\"m-");
            escape::id(&mut self.html.out, &version.id());
            self.markup("\"><div class=\"note\">");
            self.marks(version, Sentence::Ordinary);
            self.markup("</div>\n");
            let md = version.get(Field::Md).and_then(Value::array);
            self.rich(md, version.text(Field::Msg))?;
            self.files(version)?;
            if let Some(attachments) = version.get(Field::Attachments).and_then(Value::array) {
                self.attachments(version, attachments, DEPTH)?;
            }
            self.markup("</div>\n");
        }
        self.markup("</details>\n");
        Ok(())
    }

    /// Our own markup, which holds nothing of a workspace.
    #[inline]
    fn markup(&mut self, markup: &str) {
        self.html.out.extend_from_slice(markup.as_bytes());
    }

    /// A text of ours.
    #[inline]
    fn say(&mut self, text: &str) {
        self.html.say(text);
    }

    /// A text of ours with a name in its gap, which stands between two pieces of markup.
    fn around(&mut self, text: &'static str, before: &str, name: Text<'_>, after: &str) {
        let (start, end) = gap(text);
        self.say(start);
        self.markup(before);
        self.name(name);
        self.markup(after);
        self.say(end);
    }

    /// A name, cut where it is longer than any that people have.
    fn name(&mut self, name: Text<'_>) {
        if escape::name(&mut self.html.out, name.0) > 0 {
            self.anomalies.add(Anomaly::TooMuch);
        }
    }

    /// A text of one line or several between two pieces of markup, or nothing when it is empty.
    fn part(&mut self, before: &str, text: Option<Text<'_>>, after: &str) {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        self.markup(before);
        let (shown, left) = escape::cut(text.0, words::LONGEST);
        escape::lines(&mut self.html.out, shown);
        self.left_out(left);
        self.markup(after);
    }

    /// An instant with date and time in the page's zone.
    fn instant(&mut self, millis: i64) {
        let local = self.html.clock.local(millis);
        let out = &mut self.html.out;
        let utc = self.html.iso.text(millis);
        let date = local.and_then(|local| civil_date(local.day));
        let (Some(utc), Some(local), Some(date)) = (utc, local, date) else {
            return escape::ours(out, format_args!("{millis} ms"));
        };
        out.extend_from_slice(b"<time datetime=\"");
        out.extend_from_slice(utc.as_bytes());
        out.extend_from_slice(b"\">");
        let locale = self.html.info.locale;
        locale.numeric(date, out);
        out.push(b' ');
        locale.time_of_day(local.of_day, false, out);
        out.extend_from_slice(b"</time>");
    }

    /// A mark where more follows than is shown: `rest` is how many things.
    fn more(&mut self, rest: usize) {
        if rest > 0 {
            self.anomalies.add(Anomaly::TooMuch);
            self.markup("<p class=\"cut\">");
            escape::filled(&mut self.html.out, self.html.words.cut, &[&rest]);
            self.markup("</p>\n");
        }
    }

    /// A mark where something is nested deeper than is followed.
    fn too_deep(&mut self) {
        self.anomalies.add(Anomaly::TooDeep);
        self.markup("<p class=\"cut\">");
        self.say(self.html.words.too_deep);
        self.markup("</p>\n");
    }
}

fn permalink(html: &mut PagedHtml, id: &str, ts: Option<i64>, local: Option<Local>) {
    let out = &mut html.out;
    out.extend_from_slice(b" <a href=\"#m-");
    escape::fragment(out, id);
    out.extend_from_slice(b"\">");
    time(html, ts, local);
    html.out.extend_from_slice(b"</a>");
}

/// `<time>` with the instant in UTC in the markup and the zone's time of day in sight.
fn time(html: &mut PagedHtml, ts: Option<i64>, local: Option<Local>) {
    let out = &mut html.out;
    let (Some(utc), Some(local)) = (ts.and_then(|ts| html.iso.text(ts)), local) else {
        return page::no_time(html, ts);
    };
    out.extend_from_slice(b"<time datetime=\"");
    out.extend_from_slice(utc.as_bytes());
    out.extend_from_slice(b"\">");
    html.info.locale.clock(local.of_day, out);
    out.extend_from_slice(b"</time>");
}
