//! The text of messages as HTML.
//!
//! Responsible for how marks look. What they mean is [`crate::markup`]'s; every byte of a text goes through the escaper.
//! A link is one only when its scheme is `http`, `https`, `mailto` or `tel`; of any other the target stands behind the
//! label, to be read and not followed. A picture by its address becomes a link: a page asks no other machine for anything.

use super::body::link;
use super::{PagedHtml, escape, highlight};
use crate::bson::{Doc, Text, Value};
use crate::locale::Locale;
use crate::markup::{
    Markup, Node, Options, Spoilers, Tag, Target, TimeForm, emoji as emoji_table, is_seen,
};
use crate::message::{Field, Message};
use crate::output::Output;
use crate::texts::Texts;
use crate::time::{IsoWriter, LocalClock, civil_date};

/// Reads and writes texts, with buffers that are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    markup: Markup,
    options: Options,
    target: String,
}

impl Buffers {
    /// Appends the text that was read last, without its marks.
    pub(super) fn plain(&self, spoilers: Spoilers, out: &mut String) {
        crate::markup::plain(&self.markup, spoilers, out);
    }

    /// For a workspace with these settings.
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }
}

/// Writes a text of a message: its own, or one of an attachment's; parsed (`md`) where it is stored so, else as typed.
/// Nothing is written of an empty text. The answer is whether something was cut.
pub(super) fn text<O: Output>(
    html: &mut PagedHtml,
    md: Option<Value<'_>>,
    typed: Text<'_>,
    message: &Message<'_>,
    output: &mut O,
) -> Result<bool, O::Error> {
    let texts = &mut html.texts;
    texts
        .markup
        .read(md, typed, message.ts().unwrap_or_default(), &texts.options);
    let list = |field| message.get(field).and_then(Value::array);
    if let Some(attachments) = list(Field::Attachments) {
        texts.markup.forget_quotes(attachments);
    }
    if texts.markup.nodes().is_empty() {
        return Ok(false);
    }
    let mut writer = Writer {
        out: &mut html.out,
        markup: &texts.markup,
        target: &mut texts.target,
        clock: &mut html.clock,
        iso: &mut html.iso,
        words: html.words,
        locale: html.info.locale,
        mentions: list(Field::Mentions),
        channels: list(Field::Channels),
        inline: 0,
        links: 0,
        label: 0,
        typed: false,
    };
    writer.all(output)?;
    Ok(texts.markup.deep())
}

/// Writes an emoji by its short code, with or without colons: as a picture of the workspace's own, as Unicode has it, or
/// as `:name:`.
pub(super) fn emoji<O: Output>(
    out: &mut Vec<u8>,
    code: &str,
    output: &mut O,
) -> Result<(), O::Error> {
    let code = code
        .strip_prefix(':')
        .and_then(|code| code.strip_suffix(':'))
        .unwrap_or(code);
    if let Some(entry) = output.emoji(code)? {
        out.extend_from_slice(b"<img class=\"emoji\" loading=\"lazy\" src=\"");
        escape::link(out, &entry);
        out.extend_from_slice(b"\" alt=\":");
        escape::text(out, code.as_bytes());
        out.extend_from_slice(b":\" title=\":");
        escape::text(out, code.as_bytes());
        out.extend_from_slice(b":\">");
    } else if let Some(emoji) = emoji_table::unicode(code) {
        escape::text(out, emoji.as_bytes());
    } else {
        out.push(b':');
        escape::text(out, code.as_bytes());
        out.push(b':');
    }
    Ok(())
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    markup: &'a Markup,
    target: &'a mut String,
    clock: &'a mut LocalClock,
    iso: &'a mut IsoWriter,
    words: &'static Texts,
    locale: Locale,
    mentions: Option<Doc<'a>>,
    channels: Option<Doc<'a>>,
    /// Open elements that hold text only: a block within them is not one.
    inline: usize,
    /// Open links: a link within a link is its label.
    links: usize,
    /// Where the label of the open link begins.
    label: usize,
    /// Whether the numbers of the open list stand in its text, because they are too long for a margin.
    typed: bool,
}

/// Numbers that the margin of a list has room for.
const IN_MARGIN: std::ops::RangeInclusive<i64> = 0..=99;
/// Bytes of the name of a language that are shown.
const LANGUAGE: usize = 40;

impl Writer<'_> {
    fn all<O: Output>(&mut self, output: &mut O) -> Result<(), O::Error> {
        self.out
            .extend_from_slice(b"<div class=\"text md\" dir=\"auto\">");
        let mut nodes = self.markup.nodes();
        // One line needs no element of its own.
        if let [
            Node::Start(Tag::Paragraph),
            inner @ ..,
            Node::End(Tag::Paragraph),
        ] = nodes
            && !inner.contains(&Node::End(Tag::Paragraph))
        {
            nodes = inner;
            self.inline = 1;
        }
        let mut before = None;
        for (at, &node) in nodes.iter().enumerate() {
            match node {
                Node::Start(Tag::Numbered) => {
                    self.typed = has_long_number(&nodes[at..]);
                    self.start(Tag::Numbered);
                }
                Node::Start(tag) => self.start(tag),
                Node::End(tag) => self.end(tag),
                // The line break behind a block belongs to it.
                Node::LineBreak if is_block(before) => {}
                Node::Emoji { text, code } => self.emoji(text, code, output)?,
                leaf => self.leaf(leaf),
            }
            before = Some(node);
        }
        self.out.extend_from_slice(b"</div>\n");
        Ok(())
    }

    fn start(&mut self, tag: Tag) {
        let block = self.inline == 0;
        if is_inline(tag) {
            self.inline += 1;
        }
        let markup: &[u8] = match tag {
            Tag::Paragraph if block => b"<p>",
            Tag::Heading(level) if block => {
                return escape::ours_tagged(
                    self.out,
                    "<p class=\"h",
                    format_args!("{level}"),
                    "\">",
                );
            }
            Tag::Quote if block => b"<blockquote>",
            Tag::SpoilerBlock if block => {
                let spoiler = self.words.spoiler;
                return self.element("<details class=\"hidden\"><summary>", spoiler, "</summary>");
            }
            Tag::List if block => b"<ul>",
            Tag::Numbered if block && self.typed => b"<ol class=\"typed\">",
            Tag::Numbered if block => b"<ol>",
            Tag::Tasks if block => b"<ul class=\"tasks\">",
            Tag::Item(Some(number)) if block && self.typed => {
                return escape::ours_tagged(self.out, "<li>", format_args!("{number}"), ". ");
            }
            Tag::Item(Some(number)) if block => {
                return escape::ours_tagged(
                    self.out,
                    "<li value=\"",
                    format_args!("{number}"),
                    "\">",
                );
            }
            Tag::Item(None) if block => b"<li>",
            Tag::Task(done) if block => {
                let (says, box_) = if done {
                    (self.words.done, "\">☑\u{fe0e}</span> ")
                } else {
                    (self.words.to_do, "\">☐</span> ")
                };
                return self.element("<li><span role=\"img\" aria-label=\"", says, box_);
            }
            Tag::BigEmoji => b"<span class=\"big\">",
            Tag::Bold => b"<strong>",
            Tag::Italic => b"<em>",
            Tag::Strike => b"<s>",
            Tag::Spoiler => {
                let before = "<label class=\"spoiler\"><input type=\"checkbox\" aria-label=\"";
                return self.element(before, self.words.show_spoiler, "\"><span>");
            }
            Tag::Link(target) | Tag::Image(target) => {
                self.links += 1;
                if self.links == 1 {
                    self.open_link(target, matches!(tag, Tag::Image(_)));
                }
                return;
            }
            _ => b"",
        };
        self.out.extend_from_slice(markup);
    }

    fn end(&mut self, tag: Tag) {
        if is_inline(tag) {
            self.inline = self.inline.saturating_sub(1);
        }
        let block = self.inline == 0;
        let markup: &[u8] = match tag {
            Tag::Paragraph | Tag::Heading(_) if block => b"</p>",
            Tag::Quote if block => b"</blockquote>",
            Tag::SpoilerBlock if block => b"</details>",
            Tag::List | Tag::Tasks if block => b"</ul>",
            Tag::Numbered if block => b"</ol>",
            Tag::Item(_) | Tag::Task(_) if block => b"</li>",
            Tag::BigEmoji => b"</span>",
            Tag::Bold => b"</strong>",
            Tag::Italic => b"</em>",
            Tag::Strike => b"</s>",
            Tag::Spoiler => b"</span></label>",
            Tag::Link(target) | Tag::Image(target) => {
                self.links = self.links.saturating_sub(1);
                if self.links == 0 {
                    self.close_link(target);
                }
                return;
            }
            _ => b"",
        };
        self.out.extend_from_slice(markup);
    }

    fn open_link(&mut self, target: Target, image: bool) {
        self.follow(target);
        if link::address(self.target.as_bytes()).is_some() {
            self.out.extend_from_slice(b"<a href=\"");
            escape::text(self.out, self.target.as_bytes());
            self.out.extend_from_slice(if image {
                b"\" class=\"picture\" rel=\"noopener noreferrer\">"
            } else {
                b"\" rel=\"noopener noreferrer\">"
            });
        }
        self.label = self.out.len();
    }

    fn close_link(&mut self, target: Target) {
        self.follow(target);
        if link::address(self.target.as_bytes()).is_some() {
            // Nobody can see or follow a link without a label.
            if !shows_something(&self.out[self.label..]) {
                self.out.truncate(self.label);
                escape::text(self.out, self.target.as_bytes());
            }
            self.out.extend_from_slice(b"</a>");
        } else {
            self.out.extend_from_slice(b" <span class=\"target\">(");
            escape::text(self.out, self.target.as_bytes());
            self.out.extend_from_slice(b")</span>");
        }
    }

    /// The target as a page that lies in a directory has to write it: a host without a scheme is one of the web.
    fn follow(&mut self, target: Target) {
        self.target.clear();
        self.markup.target(target, self.target);
        if self.target.starts_with("//") {
            self.target.insert_str(0, "https:");
        }
    }

    fn leaf(&mut self, node: Node) {
        let block = self.inline == 0;
        match node {
            Node::Text(span) | Node::Unicode(span) => {
                escape::text(self.out, self.markup.str(span).as_bytes());
            }
            Node::LineBreak => self.out.extend_from_slice(b"<br>"),
            Node::Code(span) => self.element("<code>", self.markup.str(span), "</code>"),
            Node::CodeBlock { language, lines } if block => {
                self.out.extend_from_slice(b"<pre class=\"code\"");
                let language = self.markup.str(language).trim();
                if !language.is_empty() {
                    let (shown, left) = escape::cut(language.as_bytes(), LANGUAGE);
                    self.out.extend_from_slice(b" data-language=\"");
                    escape::text(self.out, shown);
                    let mark = if left > 0 { "…" } else { "" };
                    self.out.extend_from_slice(mark.as_bytes());
                    self.out.push(b'"');
                }
                self.out.extend_from_slice(b"><code>");
                highlight::code(self.out, language, self.markup.str(lines));
                self.out.extend_from_slice(b"</code></pre>");
            }
            Node::CodeBlock { lines, .. } => {
                self.element("<code>", self.markup.str(lines), "</code>");
            }
            Node::User(span) => self.user(self.markup.str(span)),
            Node::Channel(span) => self.channel(self.markup.str(span)),
            Node::Color(color) => self.color(color),
            Node::MathBlock(span) if block => {
                self.element("<pre class=\"math\">", self.markup.str(span), "</pre>");
            }
            Node::Math(span) | Node::MathBlock(span) => {
                self.element("<code class=\"math\">", self.markup.str(span), "</code>");
            }
            Node::Time { seconds, form } => self.time(seconds, form),
            Node::Cut => self.element("<span class=\"cut\">[", self.words.cut_text, "]</span>"),
            Node::Start(_) | Node::End(_) | Node::Emoji { .. } => {}
        }
    }

    fn element(&mut self, before: &str, text: &str, after: &str) {
        self.out.extend_from_slice(before.as_bytes());
        escape::text(self.out, text.as_bytes());
        self.out.extend_from_slice(after.as_bytes());
    }

    fn emoji<O: Output>(
        &mut self,
        text: crate::markup::Span,
        code: crate::markup::Code,
        output: &mut O,
    ) -> Result<(), O::Error> {
        let (text, code) = (self.markup.str(text), self.markup.code(code));
        if text == code {
            return emoji(self.out, code, output);
        }
        // An emoticon keeps what was typed.
        self.element("<span title=\"", text, "\">");
        emoji(self.out, code, output)?;
        self.out.extend_from_slice(b"</span>");
        Ok(())
    }

    /// A mention counts when the message says who it is; to everybody it always does.
    fn user(&mut self, name: &str) {
        if matches!(name, "all" | "here") {
            return self.element("<span class=\"at all\">@", name, "</span>");
        }
        let known = self
            .mentions
            .into_iter()
            .flat_map(Doc::values)
            .filter_map(Value::document)
            .find(|user| {
                ["username", "name", "_id"]
                    .iter()
                    .any(|key| user.text(key) == Some(Text(name.as_bytes())))
            });
        let Some(user) = known else {
            return self.element("@", name, "");
        };
        self.out.extend_from_slice(b"<span class=\"at\"");
        let real = user.text("name").unwrap_or_default();
        if !real.is_empty() && real.0 != name.as_bytes() {
            self.out.extend_from_slice(b" title=\"");
            escape::name(self.out, real.0);
            self.out.push(b'"');
        }
        self.element(">@", name, "</span>");
    }

    fn channel(&mut self, name: &str) {
        let known = self
            .channels
            .into_iter()
            .flat_map(Doc::values)
            .filter_map(Value::document)
            .find(|room| room.text("name") == Some(Text(name.as_bytes())));
        let Some(room) = known else {
            return self.element("#", name, "");
        };
        let shown = room.text("fname").filter(|shown| !shown.is_empty());
        self.out.extend_from_slice(b"<span class=\"at\">#");
        escape::name(self.out, shown.unwrap_or(Text(name.as_bytes())).0);
        self.out.extend_from_slice(b"</span>");
    }

    /// A swatch and the colour in figures. A drawing needs no style of its own, which the pages' policy would refuse.
    fn color(&mut self, [red, green, blue, opacity]: [u8; 4]) {
        escape::ours_tagged(
            self.out,
            "<span class=\"color\"><svg viewBox=\"0 0 1 1\" aria-hidden=\"true\"><rect width=\"1\" height=\"1\" fill=\"",
            format_args!("#{red:02x}{green:02x}{blue:02x}"),
            "\"",
        );
        if opacity != 255 {
            let share = f32::from(opacity) / 255.0;
            escape::ours_tagged(
                self.out,
                " fill-opacity=\"",
                format_args!("{share:.2}"),
                "\"",
            );
        }
        escape::ours_tagged(
            self.out,
            "/></svg>",
            format_args!("#{red:02x}{green:02x}{blue:02x}"),
            "",
        );
        if opacity != 255 {
            escape::ours(self.out, format_args!("{opacity:02x}"));
        }
        self.out.extend_from_slice(b"</span>");
    }

    /// "How long ago" would be untrue on any other day, so that an instant is shown whenever it is read.
    fn time(&mut self, seconds: i64, form: TimeForm) {
        let millis = seconds.saturating_mul(1000);
        let local = self
            .clock
            .local(millis)
            .and_then(|local| Some((civil_date(local.day)?, local)));
        let (Some((date, local)), Some(iso)) = (local, self.iso.text(millis)) else {
            return escape::ours_tagged(
                self.out,
                "&lt;t:",
                format_args!("{seconds}:{}", form.letter()),
                "&gt;",
            );
        };
        self.out.extend_from_slice(b"<time datetime=\"");
        escape::text(self.out, iso.as_bytes());
        self.out.extend_from_slice(b"\">");
        let locale = self.locale;
        let day = match form {
            TimeForm::ShortTime | TimeForm::LongTime => String::new(),
            TimeForm::ShortDate => {
                locale.numeric(date, self.out);
                String::new()
            }
            TimeForm::LongDate | TimeForm::Full | TimeForm::Relative => locale.date(date),
            TimeForm::FullLong => locale.full_date(date),
        };
        escape::text(self.out, day.as_bytes());
        let clock = match form {
            TimeForm::ShortDate | TimeForm::LongDate => None,
            TimeForm::ShortTime | TimeForm::Full | TimeForm::Relative => Some(false),
            TimeForm::LongTime | TimeForm::FullLong => Some(true),
        };
        if let Some(seconds) = clock {
            self.out
                .extend_from_slice(if day.is_empty() { b"" } else { b", " });
            locale.time_of_day(local.of_day, seconds, self.out);
        }
        self.out.extend_from_slice(b"</time>");
    }
}

/// Whether one of the items of a list, which is what these nodes begin with, has a number that its margin has no room for.
fn has_long_number(list: &[Node]) -> bool {
    let mut depth = 0_usize;
    for node in list {
        match node {
            Node::Start(Tag::Item(Some(number))) if !IN_MARGIN.contains(number) => return true,
            Node::Start(_) => depth += 1,
            Node::End(_) if depth <= 1 => return false,
            Node::End(_) => depth -= 1,
            _ => {}
        }
    }
    false
}

/// Whether there is something to be seen in a label that has been written: a picture, or a character that shows.
fn shows_something(label: &[u8]) -> bool {
    let mut rest = std::str::from_utf8(label).unwrap_or_default();
    while let Some(character) = rest.chars().next() {
        if character == '<' {
            if rest.starts_with("<img ") {
                return true;
            }
            // In the values of attributes the character is written as an entity.
            rest = rest.split_once('>').map_or("", |(_, rest)| rest);
        } else if is_seen(character) {
            return true;
        } else {
            rest = &rest[character.len_utf8()..];
        }
    }
    false
}

fn is_inline(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::Paragraph
            | Tag::Heading(_)
            | Tag::BigEmoji
            | Tag::Bold
            | Tag::Italic
            | Tag::Strike
            | Tag::Spoiler
            | Tag::Link(_)
            | Tag::Image(_)
    )
}

fn is_block(node: Option<Node>) -> bool {
    matches!(
        node,
        Some(
            Node::CodeBlock { .. }
                | Node::MathBlock(_)
                | Node::End(Tag::Heading(_) | Tag::SpoilerBlock)
        )
    )
}
