//! What else a message has: place, translations, counts, and everything that has no form of its own.

use super::icons::Icon;
use super::{Body, SHOWN, escape};
use crate::bson::{Doc, Text, Value};
use crate::json;
use crate::message::{Anomaly, Field, Message};
use crate::output::Output;
use crate::texts::Texts;

/// Levels of a value without a form of its own that are shown.
const LEVELS: usize = 6;
/// Bytes of such a value that are shown.
const LONGEST: usize = 4 * 1024;

/// Fields that are shown as they are, with what people call them.
const AS_THEY_ARE: [(Field, Called); 8] = [
    (Field::CustomFields, |words| words.custom_fields),
    (Field::Comment, |words| words.comment),
    (Field::TransferData, |words| words.transfer),
    (Field::RequestData, |words| words.request),
    (Field::SlaData, |words| words.service_level),
    (Field::PriorityData, |words| words.priority),
    (Field::ActionLinks, |words| words.buttons),
    (Field::Html, |_| "HTML"),
];

/// What people call something, in their language.
type Called = fn(&Texts) -> &'static str;

impl<O: Output> Body<'_, O> {
    pub(super) fn extras(&mut self, message: &Message<'_>) {
        if let Some(location) = message.get(Field::Location).and_then(Value::document) {
            self.location(location);
        }
        if let Some(translations) = message.get(Field::Translations).and_then(Value::document) {
            self.translations(translations);
        }
        if let Some(mentioned) = message.get(Field::E2eMentions).and_then(Value::document) {
            self.other_value(self.html.words.mentioned, Value::Document(mentioned));
        }
        // The sentence of a system message has said what its data says.
        if message.kind().is_none() || message.has(Field::CustomFields) {
            for (field, what) in AS_THEY_ARE {
                if let Some(value) = message.get(field).filter(|value| value.truthy())
                    && (message.kind().is_none() || field == Field::CustomFields)
                {
                    self.other_value(what(self.html.words), value);
                }
            }
        }
        if message
            .anomalies()
            .iter()
            .any(|anomaly| anomaly == Anomaly::UnknownField)
        {
            self.others(message.doc(), Field::is_known);
        }
    }

    fn location(&mut self, location: Doc<'_>) {
        let coordinates = location.get("coordinates").and_then(Value::array);
        let mut numbers =
            coordinates
                .unwrap_or(Doc::EMPTY)
                .values()
                .filter_map(|value| match value {
                    Value::Double(number) => Some(number),
                    other => i32::try_from(other.integer()?).ok().map(f64::from),
                });
        let (Some(longitude), Some(latitude)) = (numbers.next(), numbers.next()) else {
            return self.other_value(self.html.words.location, Value::Document(location));
        };
        if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
            return self.other_value(self.html.words.location, Value::Document(location));
        }
        self.markup("<p class=\"card place\">");
        Icon::Place.write(&mut self.html.out);
        let words = self.html.words;
        self.markup("<span>");
        self.say(words.location);
        escape::ours_tagged(
            &mut self.html.out,
            " · <a rel=\"noopener noreferrer\" href=\"https://www.openstreetmap.org/?mlat=",
            format_args!("{latitude}"),
            "&amp;mlon=",
        );
        escape::ours_tagged(&mut self.html.out, "", format_args!("{longitude}"), "\">");
        let out = &mut self.html.out;
        escape::filled(out, words.coordinates, &[&latitude, &longitude]);
        self.markup("</a></span></p>\n");
    }

    /// Automatic translations, by language.
    pub(super) fn translations(&mut self, translations: Doc<'_>) {
        if translations.is_empty() {
            return;
        }
        self.markup("<details class=\"other\"><summary>");
        self.say(self.html.words.translations);
        self.markup("</summary><dl>\n");
        let mut rest = 0;
        for (number, (language, text)) in translations.elements().map_while(Result::ok).enumerate()
        {
            if number >= SHOWN {
                rest += 1;
                continue;
            }
            self.markup("<dt><bdi>");
            self.name(language);
            self.markup("</bdi></dt><dd dir=\"auto\"");
            let is_tag = (2..=12).contains(&language.0.len())
                && language
                    .0
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            if is_tag && language != Text(b"original") {
                self.markup(" lang=\"");
                escape::text(&mut self.html.out, language.0);
                self.markup("\"");
            }
            self.markup(">");
            match text {
                Value::String(text) => self.plain_text(text),
                other => self.json(other),
            }
            self.markup("</dd>\n");
        }
        self.markup("</dl>");
        self.more(rest);
        self.markup("</details>\n");
    }

    /// The fields of a document that nobody knows.
    pub(super) fn others(&mut self, doc: Doc<'_>, is_known: impl Fn(&[u8]) -> bool) {
        let mut count = 0;
        for (key, value) in doc.elements().map_while(Result::ok) {
            if is_known(key.0) || matches!(value, Value::Null | Value::Undefined) {
                continue;
            }
            if count < SHOWN {
                if count == 0 {
                    self.markup("<details class=\"other\"><summary>");
                    self.say(self.html.words.other_fields);
                    self.markup("</summary><dl>\n");
                }
                self.markup("<dt><bdi>");
                self.name(key);
                self.markup("</bdi></dt><dd dir=\"auto\">");
                match value {
                    Value::String(text) => self.plain_text(text),
                    other => self.json(other),
                }
                self.markup("</dd>\n");
            }
            count += 1;
        }
        if count > 0 {
            self.markup("</dl>");
            self.more(count.saturating_sub(SHOWN));
            self.markup("</details>\n");
        }
    }

    /// Something that has no form of its own.
    pub(super) fn other_value(&mut self, what: &str, value: Value<'_>) {
        self.markup("<details class=\"other\"><summary>");
        self.say(what);
        self.markup("</summary><div dir=\"auto\">");
        match value {
            Value::String(text) => self.plain_text(text),
            other => self.json(other),
        }
        self.markup("</div></details>\n");
    }

    /// A value as JSON.
    pub(super) fn json(&mut self, value: Value<'_>) {
        let mut text = Vec::new();
        if !json::plain(&mut text, value, &mut self.html.iso, LEVELS) {
            self.anomalies.add(Anomaly::TooDeep);
        }
        let (shown, left) = escape::cut(&text, LONGEST);
        escape::lines(&mut self.html.out, shown);
        self.left_out(left);
    }
}
