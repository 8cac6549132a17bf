//! What a message says: its text or the sentence of its type, and what stands in the place of an encrypted one.

use super::icons::Icon;
use super::{Body, escape};
use crate::bson::{Doc, Text, Value, id_text};
use crate::html::markup;
use crate::markup::Spoilers;
use crate::message::{Anomaly, Field, Message};
use crate::output::Output;
use crate::system::Sentence;
use crate::texts::{counted, gap};

/// Longest text that is shown, in bytes: two hundred times what a server allows by default (`Message_MaxAllowedSize`).
pub(super) const LONGEST: usize = 1 << 20;

impl<O: Output> Body<'_, O> {
    /// The text of the message.
    pub(super) fn words(&mut self, message: &Message<'_>, kind: Sentence) -> Result<(), O::Error> {
        self.html.said.clear();
        match kind {
            Sentence::Written => {
                self.markup("<div class=\"text\" dir=\"auto\">");
                let (shown, left) = escape::cut(self.html.text.as_bytes(), LONGEST);
                escape::lines(&mut self.html.out, shown);
                self.left_out(left);
                self.markup("</div>\n");
                return Ok(());
            }
            Sentence::Own if message.kind() == Some(Text(b"e2e")) => {
                self.encrypted(message);
                return Ok(());
            }
            Sentence::Own => {
                self.discussion(message);
                return Ok(());
            }
            Sentence::Ordinary | Sentence::Bare | Sentence::Unknown => {}
        }
        match message.get(Field::Msg) {
            Some(odd) if odd.text().is_none() && odd.truthy() => {
                self.markup("<p class=\"note\">");
                self.say(self.html.words.odd_text);
                self.markup(" ");
                let odd = id_text(odd);
                let (shown, left) = escape::cut(odd.as_bytes(), LONGEST);
                escape::text(&mut self.html.out, shown);
                self.left_out(left);
                self.markup("</p>\n");
            }
            _ => {}
        }
        let md = message.get(Field::Md).and_then(Value::array);
        self.rich(md, message.text(Field::Msg))?;
        if self.html.info.search {
            self.html.texts.plain(Spoilers::Marked, &mut self.html.said);
        }
        Ok(())
    }

    /// A text with its markup, parsed (`md`) or as written; nothing when it is empty.
    pub(super) fn rich(&mut self, md: Option<Doc<'_>>, text: Text<'_>) -> Result<(), O::Error> {
        let md = md.map(Value::Array);
        if markup::text(self.html, md, text, self.message, self.output)? {
            self.anomalies.add(Anomaly::TooDeep);
        }
        Ok(())
    }

    /// A mark where so many bytes of a text are left out.
    pub(super) fn left_out(&mut self, left: usize) {
        if left > 0 {
            self.anomalies.add(Anomaly::TooMuch);
            self.markup("<span class=\"cut\">");
            escape::filled(&mut self.html.out, self.html.words.cut_bytes, &[&left]);
            self.markup("</span>\n");
        }
    }

    fn encrypted(&mut self, message: &Message<'_>) {
        self.markup("<p class=\"card lock\">");
        Icon::Lock.write(&mut self.html.out);
        self.markup("<span>");
        self.say(self.html.words.encrypted);
        let content = message.get(Field::Content).and_then(Value::document);
        let algorithm = content.and_then(|content| content.text("algorithm"));
        let sealed = content
            .and_then(|content| content.text("ciphertext"))
            .unwrap_or_else(|| message.text(Field::Msg));
        if !sealed.is_empty() {
            self.markup(" <span class=\"size\">");
            let template = self.html.words.characters_sealed;
            escape::filled(&mut self.html.out, template, &[&sealed.0.len()]);
            if let Some(algorithm) = algorithm.filter(|text| !text.is_empty()) {
                self.markup(" · <bdi>");
                self.name(algorithm);
                self.markup("</bdi>");
            }
            self.markup("</span>");
        }
        self.markup("</span></p>\n");
    }

    /// A discussion that began with this message (contract §9).
    fn discussion(&mut self, message: &Message<'_>) {
        self.markup("<div class=\"card talk\">");
        Icon::Talk.write(&mut self.html.out);
        let words = self.html.words;
        self.markup("<div><div class=\"label\">");
        self.say(words.discussion);
        self.markup("</div><b><bdi>");
        self.name(message.text(Field::Msg));
        self.markup("</bdi></b>");
        let count = message.get(Field::Dcount).and_then(Value::integer);
        if let Some(count) = count.and_then(|count| u64::try_from(count).ok()) {
            self.markup(" <span class=\"size\">");
            let shown = self.html.info.locale.number(count);
            escape::filled(&mut self.html.out, counted(words.count, count), &[&shown]);
            self.markup("</span>");
        }
        if let Some(last) = message.get(Field::Dlm).and_then(Value::millis) {
            let (before, after) = gap(words.last);
            self.markup(" <span class=\"size\">· ");
            self.say(before);
            self.instant(last);
            self.say(after);
            self.markup("</span>");
        }
        // A discussion is a room of its own, and an export has one room: its id is what exports the other.
        if let Some(room) = message.get(Field::Drid).filter(|room| room.truthy()) {
            self.markup("<div class=\"note\">");
            let room = id_text(room);
            self.around(
                words.discussion_elsewhere,
                "<code>",
                Text(room.as_bytes()),
                "</code>",
            );
            self.markup("</div>");
        }
        self.markup("</div></div>\n");
    }
}
