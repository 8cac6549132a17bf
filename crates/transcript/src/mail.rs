//! A message as mails show it: one walk over the message, and two sheets of paper that it is written on, text and HTML.
//!
//! What depends on the reader, words, dates and what became of files, comes from outside.

pub mod html;
pub mod text;

use std::borrow::Cow;
use std::fmt;

use crate::bson::{Doc, Text, Value, id_text};
use crate::html::body::is_shown_with_file;
use crate::markup::{Markup, Options, Plain, Spoilers, TimeForm, emoji};
use crate::message::{Field, Message, User, Visibility};
use crate::system::{Sentence, sentence};
use crate::texts::{Sentences, filled};

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
    /// Those of system messages.
    pub sentences: &'static Sentences,
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
        sentences: &Sentences::ENGLISH,
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
    /// Not there, and why, in words for the reader.
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
    /// How instants within texts are written.
    pub instants: &'a dyn Instants,
}

/// Writes the instants that stand in texts (`<t:…>`), in the reader's zone and language.
pub trait Instants: fmt::Debug {
    /// Milliseconds since 1970, as much of it as the form tells; `None` when no calendar has it.
    fn instant(&self, millis: i64, form: TimeForm) -> Option<String>;
}

/// What people wrote: the text of a message, or one of a quote or a card.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Parsed, where it is stored so.
    md: Option<Value<'a>>,
    typed: Text<'a>,
    /// The attachments that stand below it; links of those that are quotes are not shown with it.
    quotes: Doc<'a>,
    /// When the message was sent.
    sent: i64,
    instants: &'a dyn Instants,
}

impl<'a> Words<'a> {
    fn of(message: &Message<'a>, instants: &'a dyn Instants) -> Self {
        let attachments = message.get(Field::Attachments).and_then(Value::array);
        Self {
            md: message.get(Field::Md),
            typed: message.text(Field::Msg),
            quotes: attachments.unwrap_or(Doc::EMPTY),
            sent: message.ts().unwrap_or_default(),
            instants,
        }
    }

    /// As it was typed, without the links that made quotes.
    fn typed(&self) -> Text<'a> {
        typed(self.typed, self.quotes)
    }

    /// With its marks.
    fn read(&self, markup: &mut Markup, options: &Options) {
        markup.read(self.md, self.typed, self.sent, options);
        markup.forget_quotes(self.quotes);
    }

    /// An instant in it, for its reader.
    fn instant(&self, seconds: i64, form: TimeForm) -> String {
        let written = self.instants.instant(seconds.saturating_mul(1000), form);
        written.unwrap_or_else(|| format!("<t:{seconds}:{}>", form.letter()))
    }
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
    /// A text that is shown as it is.
    fn body(&mut self, text: Text<'_>);
    /// What people wrote, with its marks where the sheet can show them; as typed where it cannot.
    fn words(&mut self, words: &Words<'_>);
    /// A name or a title.
    fn strong(&mut self, text: Text<'_>);
    /// Where something is: the whole address, which leads there where the sheet and the address allow it.
    fn link(&mut self, address: Text<'_>);
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
    let kind = sentence(message, labels.sentences, &mut said);
    sheet.begin(&head(shown, kind, labels));
    if message.get(Field::Tmid).is_some_and(Value::truthy) {
        match shown.root {
            Some(root) => sheet.note(&filled(labels.reply, &[&root.author, &root.excerpt])),
            None => sheet.note(labels.reply_elsewhere),
        }
    }
    text(sheet, shown, kind, &said, labels);
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
        cards(sheet, shown, attachments, QUOTES, labels);
    }
    extras(sheet, message, labels);
    for version in shown.history {
        sheet.open();
        sheet.note(labels.earlier);
        if is_encrypted(version) {
            sheet.note(labels.encrypted);
        } else {
            sheet.words(&Words::of(version, shown.instants));
        }
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

/// Whether the text of the message is not for those who have no key.
fn is_encrypted(message: &Message<'_>) -> bool {
    message.kind() == Some(Text(b"e2e"))
}

fn text(sheet: &mut impl Sheet, shown: &Shown<'_>, kind: Sentence, said: &str, labels: &Labels) {
    let message = shown.message;
    if is_encrypted(message) {
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
                sheet.words(&Words::of(message, shown.instants));
            }
        }
    }
}

/// Quotes, link cards of integrations and descriptions of files. The message's own files have been listed already; one of
/// a quoted message is named here.
fn cards(
    sheet: &mut impl Sheet,
    shown: &Shown<'_>,
    attachments: Doc<'_>,
    depth: usize,
    labels: &Labels,
) {
    let is_own = depth == QUOTES;
    let Some(depth) = depth.checked_sub(1) else {
        return sheet.note(labels.nested_too_deep);
    };
    for card in attachments.values().filter_map(Value::document) {
        let text = |key| card.text(key).filter(|text| !text.is_empty());
        let nested = card.get("attachments").and_then(Value::array);
        let is_listed = is_own && is_shown_with_file(shown.message, card);
        if is_listed && text("description").is_none() && text("text").is_none() && nested.is_none()
        {
            continue;
        }
        let words = |md, typed| Words {
            md,
            typed,
            quotes: nested.unwrap_or(Doc::EMPTY),
            sent: shown.message.ts().unwrap_or_default(),
            instants: shown.instants,
        };
        sheet.open();
        if let Some(pretext) = text("pretext") {
            sheet.words(&words(None, pretext));
        }
        if let Some(name) = text("author_name") {
            sheet.strong(name);
        }
        if let Some(address) = text("author_link") {
            sheet.link(address);
        }
        if !is_listed {
            if let Some(title) = text("title") {
                sheet.strong(title);
            }
            addresses(sheet, card);
        }
        for (key, md) in [("text", "md"), ("description", "descriptionMd")] {
            if let Some(typed) = text(key) {
                sheet.words(&words(card.get(md), typed));
            }
        }
        let list = |key| card.get(key).and_then(Value::array).unwrap_or(Doc::EMPTY);
        for field in list("fields").values().filter_map(Value::document) {
            sheet.strong(field.text("title").unwrap_or_default());
            match field.get("value") {
                Some(Value::String(typed)) => sheet.words(&words(None, typed)),
                Some(odd) if odd.truthy() => sheet.note(&id_text(odd)),
                _ => {}
            }
        }
        for button in list("actions").values().filter_map(Value::document) {
            let text = |key| button.text(key).filter(|text| !text.is_empty());
            if let Some(says) = text("text") {
                sheet.strong(says);
            }
            for key in ["url", "image_url"] {
                if let Some(address) = text(key) {
                    sheet.link(address);
                }
            }
            if let Some(typed) = text("msg") {
                sheet.body(typed);
            }
        }
        if let Some(nested) = nested {
            cards(sheet, shown, nested, depth, labels);
        }
        if let Some(footer) = text("footer").filter(|_| !is_listed) {
            sheet.note(&footer.to_str());
        }
        if let Some(address) = text("message_link") {
            sheet.link(address);
        }
        sheet.close();
    }
}

/// Where a card leads and what it shows, each address once. A file is in one place: the others are smaller pictures of it.
fn addresses(sheet: &mut impl Sheet, card: Doc<'_>) {
    let is_file = card.text("type") == Some(Text(b"file"));
    let keys = [
        "title_link",
        "image_url",
        "audio_url",
        "video_url",
        "thumb_url",
    ];
    let all = keys.map(|key| card.text(key).unwrap_or_default());
    for (at, &address) in all.iter().enumerate() {
        if !address.is_empty() && !all[..at].contains(&address) {
            sheet.link(address);
            if is_file {
                return;
            }
        }
    }
}

/// Texts and addresses of UI-Kit blocks, location, reactions, thread and discussion counts.
fn extras(sheet: &mut impl Sheet, message: &Message<'_>, labels: &Labels) {
    if let Some(blocks) = message.get(Field::Blocks).and_then(Value::array) {
        let mut texts = Vec::new();
        block_texts(&mut texts, blocks, 2 * QUOTES);
        if !texts.is_empty() {
            sheet.open();
            for text in texts {
                match text {
                    BlockText::Words(words) => sheet.body(words),
                    BlockText::Address(address) => sheet.link(address),
                }
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

/// What is told of a block.
enum BlockText<'a> {
    Words(Text<'a>),
    /// Where a button or an option leads.
    Address(Text<'a>),
}

/// Every text, label, alternative text and address below a block.
fn block_texts<'a>(out: &mut Vec<BlockText<'a>>, doc: Doc<'a>, depth: usize) {
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
                out.push(BlockText::Words(text));
            }
            Value::String(address) if key.0 == b"url" && !address.is_empty() => {
                out.push(BlockText::Address(address));
            }
            Value::Document(inner) | Value::Array(inner) => block_texts(out, inner, depth),
            _ => {}
        }
    }
}

fn reactions(message: &Message<'_>) -> Vec<String> {
    // A workspace's own emoji has no character.
    let shown = |code: &str| {
        let bare = code
            .strip_prefix(':')
            .and_then(|code| code.strip_suffix(':'));
        let known = emoji::unicode(bare.unwrap_or(code));
        known.map_or_else(|| Cow::Owned(code.to_owned()), Cow::Borrowed)
    };
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
        out.push(format!("{} {}", shown(&emoji.to_str()), names.join(", ")));
    }
    out
}

/// A text as it was typed, without the links in front of it that made quotes: Rocket.Chat shows the quote itself, one of
/// the attachments, in their place.
fn typed<'a>(Text(mut text): Text<'a>, attachments: Doc<'_>) -> Text<'a> {
    let mut quotes = attachments
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

/// How a thread's first message is shown by its replies: who, and the beginning of the text, or that nobody can read it.
pub fn thread_root(message: &Message<'_>, longest: usize, labels: &Labels) -> ThreadRoot {
    let author = User::label(message.author()).to_str().into_owned();
    if is_encrypted(message) {
        let excerpt = labels.encrypted.to_owned();
        return ThreadRoot { author, excerpt };
    }
    let mut text = String::new();
    sentence(message, labels.sentences, &mut text);
    if text.is_empty() {
        let quotes = message.get(Field::Attachments).and_then(Value::array);
        let typed = typed(message.text(Field::Msg), quotes.unwrap_or(Doc::EMPTY)).to_str();
        // A subject is read before anybody opens the mail.
        if typed.contains("||") {
            Plain::default().message(message, Spoilers::Covered, &mut text);
        } else {
            text.push_str(&typed);
        }
    }
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default().trim();
    let end = line
        .char_indices()
        .nth(longest)
        .map_or(line.len(), |(at, _)| at);
    ThreadRoot {
        author,
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

    /// Tells what it was asked.
    #[derive(Debug)]
    struct Told;

    impl Instants for Told {
        fn instant(&self, millis: i64, form: TimeForm) -> Option<String> {
            (millis > 0).then(|| format!("at {millis} as {}", form.letter()))
        }
    }

    /// A message as HTML and as text, and what a reply says of it.
    fn written(doc: &::bson::Document, options: Options) -> [String; 3] {
        let bytes = doc.to_vec().unwrap();
        let message = Message::read(&bytes);
        let root = thread_root(&message, 100, &Labels::ENGLISH);
        let shown = Shown {
            message: &message,
            when: "",
            // A reply to what looks like itself.
            root: Some(&root),
            files: &[],
            history: &[Message::read(&bytes)],
            instants: &Told,
        };
        let mut text = PlainText::new(options.clone());
        let mut html = MailHtml::new(options);
        write(&mut html, &shown, &Labels::ENGLISH);
        write(&mut text, &shown, &Labels::ENGLISH);
        let html = String::from_utf8(html.out).unwrap();
        [html, text.out, root.excerpt]
    }

    #[test]
    fn no_name_looks_like_another_message() {
        let forged = "Eve\n\nAlice @alice · 7:00 PM\nI approve the payment";
        let message = doc! {
            "_id": "m", "msg": "hi", "alias": forged, "u": {"username": forged},
            "reactions": {forged: {"usernames": [forged]}}, "tmid": "root",
            "attachments": [{"title": forged, "fields": [{"title": forged, "value": "x"}]}],
        };
        let [html, text, _] = written(&message, Options::default());
        assert!(html.contains("I approve the payment"), "{html}");
        assert!(!html.contains("<br>"), "{html}");
        assert!(
            !text.lines().any(|line| line.starts_with("Alice")),
            "{text}"
        );
    }

    #[test]
    fn one_long_word_makes_no_mail_wide() {
        let long = "x".repeat(300);
        let message = doc! {
            "_id": "m", "msg": &long, "alias": &long, "u": {"username": &long},
            "reactions": {&long: {"usernames": [&long]}}, "attachments": [{"title": &long, "text": &long}],
        };
        let [html, ..] = written(&message, Options::default());
        for (at, _) in html.match_indices(&long) {
            // Whatever holds it, or what holds that, may break it.
            let before = &html[at.saturating_sub(400)..at];
            assert!(before.contains("overflow-wrap:anywhere"), "{before}");
        }
    }

    /// As for a workspace with Rocket.Chat's own settings.
    fn shown(attachments: ::bson::Array) -> [String; 2] {
        let message = doc! {"_id": "m", "msg": "", "attachments": attachments};
        let [html, text, _] = written(&message, Options::default());
        [html, text]
    }

    #[test]
    fn subjects_cover_spoilers() {
        for (msg, expected) in [
            ("it was ||the *butler*|| again", "it was ███ again"),
            ("*a* or b", "*a* or b"),
            ("a || b", "a || b"),
        ] {
            let [_, _, root] = written(&doc! {"_id": "m", "msg": msg}, Options::default());
            assert_eq!(root, expected);
        }
    }

    #[test]
    fn files_of_quotes_are_named_and_ones_own_are_listed_already() {
        let file = doc! {"type": "file", "title": "a <b>.pdf", "title_link": "https://x.org/file-upload/F1/a.pdf",
        "image_url": "https://x.org/file-upload/T1/a.pdf", "description": "the _plan_"};
        let quote = doc! {"message_link": "https://x.org/c?msg=a", "author_name": "ann", "text": "see", "attachments": [&file]};
        let [html, text] = shown(vec![quote.into()]);
        assert!(
            text.contains(
                "  > ann\n  > see\n  > > a <b>.pdf\n  > > (https://x.org/file-upload/F1/a.pdf)\n  > > the _plan_\n  > (https://x.org/c?msg=a)\n"
            ),
            "{text}"
        );
        for expected in [
            "a &lt;b&gt;.pdf</div>",
            "href=\"https://x.org/file-upload/F1/a.pdf\">https://x.org/file-upload/F1/a.pdf</a>",
            "the <em>plan</em>",
            "href=\"https://x.org/c?msg=a\">https://x.org/c?msg=a</a>",
        ] {
            assert!(html.contains(expected), "{expected}\n{html}");
        }
        assert!(!html.contains("T1") && !html.contains("<img"), "{html}");
        for (files, is_named) in [
            (doc! {"files": [{"_id": "F1", "name": "a.pdf"}]}, false),
            (doc! {"files": []}, true),
        ] {
            let mut message = doc! {"_id": "m", "msg": "", "attachments": [&file]};
            message.extend(files);
            let [html, text, _] = written(&message, Options::default());
            assert_eq!(html.contains("a &lt;b&gt;.pdf"), is_named, "{html}");
            assert_eq!(text.contains("F1/a.pdf"), is_named, "{text}");
            assert!(text.contains("the _plan_"), "{text}");
        }
    }

    #[test]
    fn nobody_sees_what_is_encrypted() {
        let message =
            doc! {"_id": "m", "t": "e2e", "msg": "c2VjcmV0IGNpcGhlcg==", "u": {"username": "ann"}};
        let [html, text, root] = written(&message, Options::default());
        for shown in [html, text, root] {
            assert!(shown.contains("End-to-end encrypted: "), "{shown}");
            assert!(!shown.contains("c2Vj"), "{shown}");
        }
    }

    #[test]
    fn texts_of_cards_have_their_marks() {
        let bold = |text: &str| {
            doc! {"type": "PARAGRAPH", "value": [{"type": "BOLD", "value": [{"type": "PLAIN_TEXT", "value": text}]}]}
        };
        let inner =
            doc! {"message_link": "https://x.org/c?msg=b", "text": "typed", "md": [bold("parsed")]};
        let quote = doc! {"message_link": "https://x.org/c?msg=a", "author_name": "ann",
        "text": "[ ](https://x.org/c?msg=b) see [here](https://x.org/here)", "attachments": [inner]};
        let card = doc! {"pretext": "*one*", "text": "_two_", "description": "three",
        "descriptionMd": [bold("four")], "fields": [{"title": "F", "value": "~five~"}, {"title": "G", "value": 6}]};
        let [html, text] = shown(vec![quote.into(), card.into()]);
        for expected in [
            "see <a class=\"er-link\" dir=\"auto\" style=\"color:#095ad2\" href=\"https://x.org/here\">here</a>",
            "<strong>parsed</strong>",
            "<strong>one</strong>",
            "<em>two</em>",
            "<strong>four</strong>",
            "<s>five</s>",
            ">6</div>",
        ] {
            assert!(html.contains(expected), "{expected}\n{html}");
        }
        for expected in [
            "  > see [here](https://x.org/here)\n  > > typed\n",
            "  > *one*\n  > _two_\n  > three\n  > F\n  > ~five~\n  > G\n  > (6)\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!html.contains("[ ](") && !text.contains("[ ]("));
    }

    #[test]
    fn a_label_that_passes_for_another_address_does_not_hide_where_a_link_leads() {
        for (typed, told) in [
            ("[https://bank.example](https://x.org/a?b&c)", true),
            ("[bank.example](https://x.org/a?b&c)", true),
            ("[**https**://bank.example/](https://x.org/a?b&c)", true),
            ("[https://x.org](https://x.org/a?b&c)", true),
            ("[bank.example/login now](https://x.org/a?b&c)", true),
            ("[bank**.**example](https://x.org/a?b&c)", true),
            ("[bank。example](https://x.org/a?b&c)", true),
            ("[bank.\u{200b}example](https://x.org/a?b&c)", true),
            ("[192.0.2.1](https://x.org/a?b&c)", true),
            ("[bank․example](https://x.org/a?b&c)", true),
            (
                "[bank.example\u{202e}](https://x.org/elpmaxe.knab//:sptth)",
                true,
            ),
            ("[ann@bank.example](https://x.org/?ann@bank.example)", true),
            ("[x.org/a?b&c](https://evil-x.org/a?b&c)", true),
            // The end of the address is not the address.
            ("[x.org/a?b&c](https://evil.org/x.org/a?b&c)", true),
            ("[here](https://x.org/a?b&c)", false),
            ("[version 2.0](https://x.org/a?b&c)", false),
            ("[https://x.org/a?b&c](https://x.org/a?b&c)", false),
            ("[x.org/a?b&c](https://x.org/a?b&c)", false),
            ("[**x.org/a?b&c**](https://x.org/a?b&c)", false),
            ("[x.org](https://x.org/)", false),
            ("[Mr. Smith](https://x.org/a?b&c)", false),
        ] {
            let [html, ..] = written(&doc! {"_id": "m", "msg": typed}, Options::default());
            let is_told = html.contains("</a> (<bdi dir=\"ltr\">https://");
            assert_eq!(is_told, told, "{typed}\n{html}");
        }
        // As the editor stores it.
        let label =
            doc! {"type": "INLINE_CODE", "value": {"type": "PLAIN_TEXT", "value": "bank.example"}};
        let link = doc! {"type": "LINK", "value": {"src": {"type": "PLAIN_TEXT", "value": "https://x.org"}, "label": [label]}};
        let md = [doc! {"type": "PARAGRAPH", "value": [link]}];
        let [html, ..] = written(
            &doc! {"_id": "m", "msg": "", "md": &md[..]},
            Options::default(),
        );
        assert!(
            html.contains("</a> (<bdi dir=\"ltr\">https://x.org</bdi>)"),
            "{html}"
        );
        for unseen in ["\u{200b}", "\u{3164}"] {
            let typed = format!("[{unseen}](https://x.org)");
            let [html, ..] = written(&doc! {"_id": "m", "msg": typed}, Options::default());
            assert!(
                html.contains("<bdi dir=\"ltr\">https://x.org</bdi></a>"),
                "{html}"
            );
        }
        let [html, ..] = written(
            &doc! {"_id": "m", "msg": "www.x.org and x.org"},
            Options::default(),
        );
        assert!(!html.contains("</a> ("), "{html}");
    }

    #[test]
    fn where_buttons_of_blocks_lead_is_told() {
        let button = |text: &str, url: &str| doc! {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url};
        let message = doc! {"_id": "m", "msg": "", "blocks": [{"type": "actions", "elements": [
            button("Open", "https://x.org/go?a&b"), button("Run", "javascript:alert(1)"), button("Stay", ""),
        ]}]};
        let [html, text, _] = written(&message, Options::default());
        assert!(
            text.contains(
                "  > Open\n  > (https://x.org/go?a&b)\n  > Run\n  > (javascript:alert(1))\n  > Stay\n"
            ),
            "{text}"
        );
        for expected in [
            "href=\"https://x.org/go?a&amp;b\">https://x.org/go?a&amp;b</a>",
            ">javascript:alert(1)</div>",
        ] {
            assert!(html.contains(expected), "{expected}\n{html}");
        }
        assert!(!html.contains("href=\"javascript"), "{html}");
    }

    #[test]
    fn addresses_of_cards_are_told_and_nothing_is_loaded() {
        let card = doc! {"author_name": "bot", "author_link": "https://x.org/author", "title": "T",
        "title_link": "https://x.org/title", "image_url": "https://x.org/title", "thumb_url": "https://x.org/thumb",
        "audio_url": "https://x.org/audio", "video_url": "/file-upload/V/v.mp4", "message_link": "javascript:alert(1)",
        "actions": [{"type": "button", "text": "Go", "url": "https://x.org/go?a&b"}, {"text": "Say", "msg": "*yes*"}]};
        let [html, text] = shown(vec![card.into()]);
        assert!(
            text.contains(
                "  > bot\n  > (https://x.org/author)\n  > T\n  > (https://x.org/title)\n  > (https://x.org/audio)\n  \
                 > (/file-upload/V/v.mp4)\n  > (https://x.org/thumb)\n  > Go\n  > (https://x.org/go?a&b)\n  > Say\n  \
                 > *yes*\n  > (javascript:alert(1))\n"
            ),
            "{text}"
        );
        for expected in [
            "href=\"https://x.org/author\">https://x.org/author</a>",
            "href=\"https://x.org/thumb\">",
            "href=\"https://x.org/audio\">",
            "href=\"https://x.org/go?a&amp;b\">https://x.org/go?a&amp;b</a>",
            ">/file-upload/V/v.mp4</div>",
            ">javascript:alert(1)</div>",
            ">*yes*</div>",
        ] {
            assert!(html.contains(expected), "{expected}\n{html}");
        }
        assert_eq!(html.matches("href=\"https://x.org/title\"").count(), 1);
        for loads in ["src=", "href=\"javascript", "href=\"/"] {
            assert!(!html.contains(loads), "{loads}\n{html}");
        }
    }

    #[test]
    fn links_without_a_label_show_where_they_lead() {
        let message = doc! {"_id": "m", "msg": "[ ](https://x.org/gone) why"};
        let [html, ..] = written(&message, Options::default());
        assert!(html.contains(">https://x.org/gone</bdi></a>"), "{html}");
    }

    #[test]
    fn reactions_are_emoji_where_there_are_such() {
        let ann = doc! {"usernames": ["ann"]};
        let message = doc! {"_id": "m", "msg": "", "reactions": {":+1:": &ann, ":party_parrot:": &ann, "odd": &ann}};
        let [html, text, _] = written(&message, Options::default());
        assert!(
            text.contains("  👍\u{fe0f} ann · :party_parrot: ann · odd ann\n"),
            "{text}"
        );
        for expected in [">👍\u{fe0f} ann<", ">:party_parrot: ann<"] {
            assert!(html.contains(expected), "{html}");
        }
    }

    #[test]
    fn instants_in_texts_are_those_of_the_reader() {
        let quote = doc! {"author_name": "ann", "text": "from <t:1709647620:D>"};
        let message = doc! {"_id": "m", "msg": "at <t:1709647620:R> or <t:0000000000>", "attachments": [quote]};
        let [html, text, _] = written(&message, Options::default());
        for shown in [&html, &text] {
            for expected in ["at at 1709647620000 as R or ", "from at 1709647620000 as D"] {
                assert!(shown.contains(expected), "{expected}\n{shown}");
            }
        }
        assert!(html.contains("or &lt;t:0:t&gt;"), "{html}");
        // What is code is no instant, and then nothing is guessed.
        let message = doc! {"_id": "m", "msg": "`<t:1709647620:R>` makes <t:1709647620:R>"};
        let [html, text, _] = written(&message, Options::default());
        assert!(html.contains("makes at 1709647620000 as R"), "{html}");
        assert!(text.contains("`<t:1709647620:R>` makes <t:17"), "{text}");
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
