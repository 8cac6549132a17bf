//! A message as mails show it: one walk over the message, and two sheets of paper that it is written on, text and HTML.
//!
//! What depends on the reader, words, dates and what became of files, comes from outside.

pub mod html;
pub mod text;

use crate::bson::{Doc, Text, Value, id_text};
use crate::message::{Field, Message, User, Visibility};
use crate::system::{Sentence, sentence};
use crate::texts::filled;

/// Quotes within quotes are followed this far.
const QUOTES: usize = 8;

/// The words around messages, in one language. `{}` stands for what is filled in.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is the word that it is called after")]
pub struct Labels {
    pub edited: &'static str,
    pub deleted: &'static str,
    pub pinned: &'static str,
    pub bot: &'static str,
    pub imported: &'static str,
    pub private: &'static str,
    pub unknown_author: &'static str,
    pub no_time: &'static str,
    /// The author of a thread's first message and how it begins.
    pub reply: &'static str,
    pub reply_elsewhere: &'static str,
    pub encrypted: &'static str,
    pub discussion: &'static str,
    pub nested_too_deep: &'static str,
    /// Latitude and longitude.
    pub location: &'static str,
    /// How many replies.
    pub thread: &'static str,
    /// How many messages.
    pub discussion_of: &'static str,
    pub earlier: &'static str,
    pub attached: &'static str,
    pub too_large: &'static str,
    pub not_attached: &'static str,
    /// Why a file is missing.
    pub missing: &'static str,
}

impl Labels {
    /// In English.
    pub const ENGLISH: Self = Self {
        edited: "edited",
        deleted: "deleted",
        pinned: "pinned",
        bot: "bot",
        imported: "imported",
        private: "shown to one user only",
        unknown_author: "unknown author",
        no_time: "no time",
        reply: "Reply in the thread of {}: {}",
        reply_elsewhere: "Reply in a thread whose first message is not shown here",
        encrypted: "End-to-end encrypted: the text can only be read with a participant's key.",
        discussion: "Discussion",
        nested_too_deep: "Further quotes are nested too deeply to be shown.",
        location: "Location: latitude {}, longitude {}",
        thread: "Replies in the thread: {}",
        discussion_of: "Messages in the discussion: {}",
        earlier: "Earlier version:",
        attached: "attached",
        too_large: "not attached, too large for a mail",
        not_attached: "not attached",
        missing: "missing: {}",
    };
}

/// A file of a message, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFile {
    /// Its name.
    pub name: String,
    /// Its size in words; empty when nobody knows.
    pub size: String,
    /// Where it is.
    pub place: MailFilePlace,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailFilePlace {
    /// A picture, shown in its place; the `Content-ID` without brackets.
    Inline(String),
    /// A part of the mail.
    Attached,
    /// Too large.
    TooLarge,
    /// Files were not asked for.
    LeftOut,
    /// Not there, and why.
    Missing(String),
}

/// A message with what its reader needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The message.
    pub message: &'a Message<'a>,
    /// When it was sent, in the reader's words; empty when nobody knows.
    pub when: &'a str,
    /// The first message of its thread, when it is a reply and that one is known.
    pub root: Option<&'a ThreadRoot>,
    /// Its files, in order.
    pub files: &'a [MailFile],
    /// Old versions of it.
    pub history: &'a [Message<'a>],
}

/// What stands above a message.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The name shown.
    pub name: Text<'a>,
    /// The username, when it is another.
    pub username: Text<'a>,
    /// When.
    pub when: &'a str,
    /// Remarks.
    pub tags: Vec<String>,
    /// Whether it is a system message.
    pub system: bool,
}

/// What a message is written on.
pub trait Sheet {
    /// Begins a message.
    fn begin(&mut self, head: &Head<'_>);
    /// A remark of ours, in which foreign names may stand.
    fn note(&mut self, text: &str);
    /// What people wrote.
    fn body(&mut self, text: Text<'_>);
    /// The text of a message, with its marks where the sheet can show them; as typed where it cannot.
    fn words(&mut self, message: &Message<'_>) {
        let text = typed(message);
        if !text.is_empty() {
            self.body(text);
        }
    }
    /// A name or a title.
    fn strong(&mut self, text: Text<'_>);
    /// Begins a quote or a card.
    fn open(&mut self);
    /// Ends it.
    fn close(&mut self);
    /// A file, with the remark about it.
    fn file(&mut self, file: &MailFile, remark: &str);
    /// Reactions: each an emoji and who reacted, as one text.
    fn reactions(&mut self, reactions: &[String]);
    /// Ends a message.
    fn end(&mut self);
}

/// Writes a message.
pub fn write(sheet: &mut impl Sheet, shown: &Shown<'_>, labels: &Labels) {
    let message = shown.message;
    let mut said = String::new();
    let kind = sentence(message, &mut said);
    sheet.begin(&head(shown, kind, labels));
    if message.get(Field::Tmid).is_some_and(Value::truthy) {
        match shown.root {
            Some(root) => sheet.note(&filled(labels.reply, &[&root.author, &root.excerpt])),
            None => sheet.note(labels.reply_elsewhere),
        }
    }
    text(sheet, message, kind, &said, labels);
    for file in shown.files {
        let remark = match &file.place {
            MailFilePlace::Inline(_) | MailFilePlace::Attached => labels.attached.to_owned(),
            MailFilePlace::TooLarge => labels.too_large.to_owned(),
            MailFilePlace::LeftOut => labels.not_attached.to_owned(),
            MailFilePlace::Missing(reason) => filled(labels.missing, &[reason]),
        };
        sheet.file(file, &remark);
    }
    if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
        cards(sheet, attachments, QUOTES, labels);
    }
    extras(sheet, message, labels);
    for version in shown.history {
        sheet.open();
        sheet.note(labels.earlier);
        sheet.body(version.text(Field::Msg));
        sheet.close();
    }
    sheet.end();
}

fn head<'a>(shown: &Shown<'a>, kind: Sentence, labels: &Labels) -> Head<'a> {
    let message = shown.message;
    let author = message.author();
    let alias = message.text(Field::Alias);
    let name = [alias, author.name, author.label()]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or(Text(labels.unknown_author.as_bytes()));
    let set = |field| message.get(field).is_some_and(Value::truthy);
    let mut tags = Vec::new();
    if message.visibility() == Visibility::Deleted || message.kind() == Some(Text(b"rm")) {
        tags.push(labels.deleted.to_owned());
    } else if set(Field::EditedAt) {
        tags.push(labels.edited.to_owned());
    }
    for (field, label) in [
        (Field::Pinned, labels.pinned),
        (Field::Bot, labels.bot),
        (Field::Imported, labels.imported),
        (Field::Private, labels.private),
    ] {
        if set(field) {
            tags.push(label.to_owned());
        }
    }
    if matches!(kind, Sentence::Bare | Sentence::Unknown) {
        tags.push(message.kind().unwrap_or_default().to_str().into_owned());
    }
    Head {
        username: if author.username == name {
            Text::default()
        } else {
            author.username
        },
        name,
        when: if shown.when.is_empty() {
            labels.no_time
        } else {
            shown.when
        },
        tags,
        system: matches!(kind, Sentence::Written | Sentence::Bare | Sentence::Unknown),
    }
}

fn text(
    sheet: &mut impl Sheet,
    message: &Message<'_>,
    kind: Sentence,
    said: &str,
    labels: &Labels,
) {
    if message.kind() == Some(Text(b"e2e")) {
        return sheet.note(labels.encrypted);
    }
    if message.kind() == Some(Text(b"discussion-created")) {
        sheet.note(labels.discussion);
    }
    match (kind, message.get(Field::Msg)) {
        (Sentence::Written, _) => sheet.body(Text(said.as_bytes())),
        (_, Some(odd)) if odd.text().is_none() && odd.truthy() => sheet.note(&id_text(odd)),
        _ => {
            if !message.text(Field::Msg).is_empty() {
                sheet.words(message);
            }
        }
    }
}

/// Quotes, link cards of integrations and descriptions of files; a file itself has been listed already.
fn cards(sheet: &mut impl Sheet, attachments: Doc<'_>, depth: usize, labels: &Labels) {
    let Some(depth) = depth.checked_sub(1) else {
        return sheet.note(labels.nested_too_deep);
    };
    for card in attachments.values().filter_map(Value::document) {
        let text = |key| card.text(key).filter(|text| !text.is_empty());
        let is_file = text("type") == Some(Text(b"file"));
        let nested = card.get("attachments").and_then(Value::array);
        if is_file && text("description").is_none() && text("text").is_none() && nested.is_none() {
            continue;
        }
        sheet.open();
        if let Some(pretext) = text("pretext") {
            sheet.body(pretext);
        }
        for key in ["author_name", "title"] {
            if let Some(text) = text(key).filter(|_| !is_file || key != "title") {
                sheet.strong(text);
            }
        }
        for key in ["text", "description"] {
            if let Some(text) = text(key) {
                sheet.body(text);
            }
        }
        let fields = card.get("fields").and_then(Value::array);
        for field in fields
            .unwrap_or(Doc::EMPTY)
            .values()
            .filter_map(Value::document)
        {
            sheet.strong(field.text("title").unwrap_or_default());
            sheet.body(field.text("value").unwrap_or_default());
        }
        if let Some(nested) = nested {
            cards(sheet, nested, depth, labels);
        }
        for key in ["footer", "title_link", "image_url"] {
            if let Some(text) = text(key).filter(|_| !is_file) {
                sheet.note(&text.to_str());
            }
        }
        sheet.close();
    }
}

/// Texts of UI-Kit blocks, location, reactions, thread and discussion counts.
fn extras(sheet: &mut impl Sheet, message: &Message<'_>, labels: &Labels) {
    if let Some(blocks) = message.get(Field::Blocks).and_then(Value::array) {
        let mut texts = Vec::new();
        block_texts(&mut texts, blocks, 2 * QUOTES);
        if !texts.is_empty() {
            sheet.open();
            for text in texts {
                sheet.body(text);
            }
            sheet.close();
        }
    }
    let location = message.get(Field::Location).and_then(Value::document);
    if let Some(place) = location.and_then(|location| location.get("coordinates")?.array()) {
        let mut numbers = place.values().filter_map(|value| match value {
            Value::Double(number) => Some(number),
            other => other
                .integer()
                .and_then(|number| i32::try_from(number).ok())
                .map(f64::from),
        });
        if let (Some(longitude), Some(latitude)) = (numbers.next(), numbers.next()) {
            let (latitude, longitude) = (latitude.to_string(), longitude.to_string());
            sheet.note(&filled(labels.location, &[&latitude, &longitude]));
        }
    }
    let reactions = reactions(message);
    if !reactions.is_empty() {
        sheet.reactions(&reactions);
    }
    for (field, label) in [
        (Field::Tcount, labels.thread),
        (Field::Dcount, labels.discussion_of),
    ] {
        if let Some(count) = message.get(field).and_then(Value::integer) {
            sheet.note(&filled(label, &[&count.to_string()]));
        }
    }
}

/// Every text, label and alternative text below a block.
fn block_texts<'a>(out: &mut Vec<Text<'a>>, doc: Doc<'a>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for (key, value) in doc.elements().map_while(Result::ok) {
        match value {
            Value::String(text)
                if matches!(
                    key.0,
                    b"text" | b"altText" | b"title" | b"description" | b"hint"
                ) && !text.is_empty() =>
            {
                out.push(text);
            }
            Value::Document(inner) | Value::Array(inner) => block_texts(out, inner, depth),
            _ => {}
        }
    }
}

fn reactions(message: &Message<'_>) -> Vec<String> {
    let reactions = message.get(Field::Reactions).and_then(Value::document);
    let mut out = Vec::new();
    for (emoji, reaction) in reactions
        .unwrap_or(Doc::EMPTY)
        .elements()
        .map_while(Result::ok)
    {
        let users = reaction
            .document()
            .and_then(|doc| doc.get("usernames")?.array());
        let Some(users) = users else { continue };
        let names: Vec<_> = users
            .values()
            .filter_map(Value::text)
            .map(Text::to_str)
            .collect();
        out.push(format!("{} {}", emoji.to_str(), names.join(", ")));
    }
    out
}

/// The text as it was typed, without the links in front of it that made quotes: Rocket.Chat shows the quote itself, one of
/// the attachments, in their place.
fn typed<'a>(message: &Message<'a>) -> Text<'a> {
    let Text(mut text) = message.text(Field::Msg);
    let attachments = message.get(Field::Attachments).and_then(Value::array);
    let mut quotes = attachments
        .unwrap_or(Doc::EMPTY)
        .values()
        .filter_map(|card| card.document()?.text("message_link"));
    while quotes.next().is_some()
        && let Some(link) = text.strip_prefix(b"[ ](")
        && let Some(end) = link.iter().position(|&byte| byte == b')')
    {
        text = link[end + 1..].trim_ascii_start();
    }
    Text(text)
}

/// The first message of a thread, as its replies show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadRoot {
    /// Its author.
    pub author: String,
    /// The beginning of its text.
    pub excerpt: String,
}

/// How a thread's first message is shown by its replies: who, and the beginning of the text.
pub fn thread_root(message: &Message<'_>, longest: usize) -> ThreadRoot {
    let mut text = String::new();
    sentence(message, &mut text);
    if text.is_empty() {
        text.push_str(&typed(message).to_str());
    }
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default().trim();
    let end = line
        .char_indices()
        .nth(longest)
        .map_or(line.len(), |(at, _)| at);
    ThreadRoot {
        author: User::label(message.author()).to_str().into_owned(),
        excerpt: if end < line.len() {
            format!("{}…", &line[..end])
        } else {
            line.to_owned()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::html::MailHtml;
    use crate::mail::text::PlainText;
    use crate::markup::Options;
    use ::bson::doc;

    /// A message as HTML and as text, and what a reply says of it.
    fn written(doc: &::bson::Document, options: Options) -> [String; 3] {
        let bytes = doc.to_vec().unwrap();
        let message = Message::read(&bytes);
        let shown = Shown {
            message: &message,
            when: "",
            root: None,
            files: &[],
            history: &[],
        };
        let (mut html, mut text) = (MailHtml::new(options), PlainText::default());
        write(&mut html, &shown, &Labels::ENGLISH);
        write(&mut text, &shown, &Labels::ENGLISH);
        let html = String::from_utf8(html.out).unwrap();
        [html, text.out, thread_root(&message, 100).excerpt]
    }

    #[test]
    fn links_that_made_quotes_are_not_shown() {
        let quote = doc! {"message_link": "https://x.org/c?msg=a", "text": "the quoted"};
        for (text, attachments, says) in [
            (
                "[ ](https://x.org/c?msg=a) I agree",
                vec![&quote],
                "I agree",
            ),
            (
                "[ ](https://x.org/c?msg=a)\n[ ](https://x.org/c?msg=b) both",
                vec![&quote, &quote],
                "both",
            ),
            ("[ ](https://x.org/c?msg=a)", vec![&quote], ""),
            ("no link", vec![&quote], "no link"),
            ("[ ](never closed", vec![&quote], "[ ](never closed"),
            (
                "[ ](https://x.org) typed",
                vec![],
                "[ ](https://x.org) typed",
            ),
        ] {
            let message = doc! {"_id": "m", "msg": text, "attachments": attachments};
            let [html, plain, root] = written(&message, Options::default());
            assert_eq!(root, says);
            assert!(plain.contains(says), "{plain}");
            if says.is_empty() || !says.starts_with('[') {
                assert!(
                    !html.contains("[ ](") && !plain.contains("[ ]("),
                    "{html}\n{plain}"
                );
            }
        }
    }

    #[test]
    fn texts_as_typed_are_read_by_the_workspaces_settings() {
        let message = doc! {"_id": "m", "msg": "$$a^2$$ color:#ff0000"};
        let off = Options {
            colors: false,
            katex_dollar: false,
            ..Options::default()
        };
        let on = Options {
            katex_dollar: true,
            ..Options::default()
        };
        let [html, ..] = written(&message, off);
        assert!(html.contains("$$a^2$$ color:#ff0000"), "{html}");
        let [html, ..] = written(&message, on);
        assert!(
            !html.contains("$$") && !html.contains("color:#ff0000<"),
            "{html}"
        );
    }
}
