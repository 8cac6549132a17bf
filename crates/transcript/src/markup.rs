//! The text of messages: one model of Rocket.Chat's markup, whichever way it is stored.
//!
//! Responsible for what the marks in a text mean. A message carries its text parsed (`md`, contract §5.10) or only as it
//! was typed (`msg`); both are read into the same flat sequence of [`Node`]s. Not for how they look: that is
//! `html/markup.rs` for pages and `plain` for mails and the search index.
//!
//! A [`Markup`] keeps its buffers from text to text, so that ordinary messages are read without allocating. Depth, nodes
//! and length are limited, and so is the work on a text: what is beyond is cut with [`Node::Cut`] or left as plain text,
//! and [`Markup::deep`] says so.

mod characters;
mod domain;
pub mod emoji;
mod emoticon;
mod parse;
mod plain;
mod read;

pub(crate) use characters::is_seen;
pub use plain::{Plain, Spoilers, plain};

use crate::bson::{Doc, Text, Value};
use crate::message::{Field, Message};

/// Containers within containers are followed this far.
pub const MAX_DEPTH: usize = 32;
/// Nodes of one text.
pub const MAX_NODES: usize = 100_000;
/// Bytes of one text; Rocket.Chat's own limit (`Message_MaxAllowedSize`) is 5,000 characters unless it was raised.
pub const MAX_TEXT: usize = 1024 * 1024;

/// What the workspace's settings say about markup. Matters only where `md` is missing: a stored `md` was made with the
/// settings of its day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Options {
    /// `color:#…` (`HexColorPreview_Enabled`).
    pub colors: bool,
    /// `:)` and its like; the server always asks for them.
    pub emoticons: bool,
    /// `$…$` and `$$…$$` (`Katex_Enabled` and `Katex_Dollar_Syntax`).
    pub katex_dollar: bool,
    /// `\(…\)` and `\[…\]` (`Katex_Enabled` and `Katex_Parenthesis_Syntax`).
    pub katex_parenthesis: bool,
    /// Domains that are linked although no public suffix list knows them (`Message_CustomDomain_AutoLink`).
    pub custom_domains: Vec<String>,
}

impl Default for Options {
    /// Rocket.Chat's defaults.
    fn default() -> Self {
        Self {
            colors: true,
            emoticons: true,
            katex_dollar: false,
            katex_parenthesis: true,
            custom_domains: Vec::new(),
        }
    }
}

/// A piece of [`Markup`]'s text: byte offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        // Texts are limited to MAX_TEXT.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: offset(start),
            end: offset(end.max(start)),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The text is the target.
    Written(Span),
    /// The text is a host without a scheme: `//` stands before it.
    Host(Span),
    /// The text is an address: `mailto:` stands before it.
    Address(Span),
    /// The text's digits, after `tel:`.
    Phone(Span),
}

/// What holds other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// One line of text.
    Paragraph,
    /// A heading with its level, 1 to 4.
    Heading(u8),
    /// Paragraphs that are quoted.
    Quote,
    /// Paragraphs that are hidden until they are asked for.
    SpoilerBlock,
    /// Items without numbers.
    List,
    /// Items with numbers.
    Numbered,
    /// Tasks.
    Tasks,
    /// An item of a list, with its number if it has one.
    Item(Option<i64>),
    /// A task, and whether it is done.
    Task(bool),
    /// Up to three emoji and nothing else.
    BigEmoji,
    /// Bold text.
    Bold,
    /// Italic text.
    Italic,
    /// Text struck through.
    Strike,
    /// Text that is hidden until it is asked for.
    Spoiler,
    /// A link; what it holds is its label.
    Link(Target),
    /// A picture by its address; what it holds is its label.
    Image(Target),
}

/// The short code of an emoji.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// As the text has it, without colons.
    Written(Span),
    /// What an emoticon stands for.
    Meant(&'static str),
}

/// How a timestamp is shown (`t`, `T`, `d`, `D`, `f`, `F`, `R` of the source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    /// Hours and minutes.
    ShortTime,
    /// Hours, minutes and seconds.
    LongTime,
    /// Date in digits.
    ShortDate,
    /// Date in words.
    LongDate,
    /// Date in words, hours and minutes.
    Full,
    /// Date in words with the day of the week, hours, minutes and seconds.
    FullLong,
    /// How long ago.
    Relative,
}

impl TimeForm {
    fn of(letter: u8) -> Option<Self> {
        Some(match letter {
            b't' => Self::ShortTime,
            b'T' => Self::LongTime,
            b'd' => Self::ShortDate,
            b'D' => Self::LongDate,
            b'f' => Self::Full,
            b'F' => Self::FullLong,
            b'R' => Self::Relative,
            _ => return None,
        })
    }

    /// The letter of the source.
    pub fn letter(self) -> char {
        match self {
            Self::ShortTime => 't',
            Self::LongTime => 'T',
            Self::ShortDate => 'd',
            Self::LongDate => 'D',
            Self::Full => 'f',
            Self::FullLong => 'F',
            Self::Relative => 'R',
        }
    }
}

/// A step through a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// What follows is inside.
    Start(Tag),
    /// The container that was started last ends.
    End(Tag),
    /// Text.
    Text(Span),
    /// An empty line.
    LineBreak,
    /// Code in a line.
    Code(Span),
    /// Lines of code.
    CodeBlock {
        /// What is written behind the opening marks; empty when nothing is.
        language: Span,
        /// The lines, parted by `\n`.
        lines: Span,
    },
    /// `@name`, without the sign.
    User(Span),
    /// `#name`, without the sign.
    Channel(Span),
    /// An emoji by its short code or emoticon.
    Emoji {
        /// What is written: the short code without colons, or the emoticon.
        text: Span,
        /// Its short code.
        code: Code,
    },
    /// An emoji as such.
    Unicode(Span),
    /// A colour: red, green, blue, opacity.
    Color([u8; 4]),
    /// A formula in a line, in TeX.
    Math(Span),
    /// A formula on its own, in TeX.
    MathBlock(Span),
    /// An instant.
    Time {
        /// Seconds since 1970-01-01T00:00:00Z.
        seconds: i64,
        /// How it is shown.
        form: TimeForm,
    },
    /// Something was here that is too deep, too long or too much.
    Cut,
}

/// The text of a message, parsed; its buffers are used again for the next one.
#[derive(Debug, Default)]
pub struct Markup {
    text: String,
    nodes: Vec<Node>,
    scratch: String,
    deep: bool,
}

/// Buffers that one text of unusual size has grown are given back before the next.
const KEPT: usize = 256 * 1024;

impl Markup {
    /// Reads the text of a message: `md` where there is one, else `msg`.
    pub fn read_message(&mut self, message: &Message<'_>, options: &Options) {
        let sent = message.ts().unwrap_or_default();
        self.read(
            message.get(Field::Md),
            message.text(Field::Msg),
            sent,
            options,
        );
        if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
            self.forget_quotes(attachments);
        }
    }

    /// Takes away the links that made quotes. Before the text of a message that quotes others stands `[ ](address)` of
    /// each, of which Rocket.Chat shows nothing; the quote itself is one of the message's attachments.
    pub fn forget_quotes(&mut self, attachments: Doc<'_>) {
        let mut at = 0;
        while let Some(&node) = self.nodes.get(at) {
            let Node::Start(Tag::Link(Target::Written(target))) = node else {
                at += 1;
                continue;
            };
            let end = after(&self.nodes, at);
            let blank = self.nodes[at + 1..end - 1].iter().all(|&node| match node {
                Node::Text(span) => self.str(span).trim().is_empty(),
                _ => false,
            });
            if !blank || !is_quoted(attachments, self.str(target), MAX_DEPTH) {
                at += 1;
                continue;
            }
            if let Some(&Node::Text(span)) = self.nodes.get(end) {
                let text = self.str(span);
                let start = span.start as usize + text.len() - text.trim_start().len();
                self.nodes[end] = Node::Text(Span::new(start, span.end as usize));
            }
            self.nodes.drain(at..end);
            // A line of its own goes with it.
            if at > 0
                && self.nodes[at - 1] == Node::Start(Tag::Paragraph)
                && self.nodes.get(at) == Some(&Node::End(Tag::Paragraph))
            {
                at -= 1;
                self.nodes.drain(at..at + 2);
            }
        }
    }

    /// Reads a text that is stored as `md`, or as typed in `msg` where `md` is no list with something in it. `sent` is
    /// the instant of the message in milliseconds: `<t:10:00>` means a time on its day.
    pub fn read(&mut self, md: Option<Value<'_>>, msg: Text<'_>, sent: i64, options: &Options) {
        match md.and_then(Value::array) {
            Some(blocks) if !blocks.is_empty() => {
                self.clear();
                read::blocks(self, blocks);
            }
            _ => self.parse(&msg.to_str(), sent, options),
        }
    }

    /// Reads a text as typed, with the same result as the npm package `@rocket.chat/message-parser` 0.31.35.
    pub fn parse(&mut self, msg: &str, sent: i64, options: &Options) {
        self.clear();
        let end = msg.floor_char_boundary(MAX_TEXT);
        self.text.push_str(&msg[..end]);
        if self.text.is_empty() {
            return;
        }
        let complete = parse::text(
            &self.text,
            sent,
            options,
            &mut self.nodes,
            &mut self.scratch,
        );
        if end < msg.len() {
            self.nodes.push(Node::Cut);
        }
        self.deep = !complete || end < msg.len();
    }

    fn clear(&mut self) {
        self.text.clear();
        self.nodes.clear();
        self.scratch.clear();
        self.text.shrink_to(KEPT);
        self.nodes.shrink_to(KEPT / size_of::<Node>());
        self.scratch.shrink_to(KEPT);
        self.deep = false;
    }

    /// The nodes in order. Each [`Node::Start`] has its [`Node::End`].
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The text of a span.
    pub fn str(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// The short code of an emoji, without colons.
    pub fn code(&self, code: Code) -> &str {
        match code {
            Code::Written(span) => self.str(span),
            Code::Meant(code) => code,
        }
    }

    /// Appends a link's target to a buffer, as Rocket.Chat stores it in `src`.
    pub fn target(&self, target: Target, out: &mut String) {
        match target {
            Target::Written(span) => out.push_str(self.str(span)),
            Target::Host(span) => {
                out.push_str("//");
                out.push_str(self.str(span));
            }
            Target::Address(span) => {
                out.push_str("mailto:");
                out.push_str(self.str(span));
            }
            Target::Phone(span) => {
                out.push_str("tel:");
                out.extend(self.str(span).chars().filter(char::is_ascii_digit));
            }
        }
    }

    /// Whether something was cut or left unparsed, because it is too deep, too long or too much.
    pub fn deep(&self) -> bool {
        self.deep
    }
}

/// Whether one of the attachments quotes the message of this address.
fn is_quoted(attachments: Doc<'_>, address: &str, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    attachments
        .values()
        .filter_map(Value::document)
        .any(|attachment| {
            attachment.text("message_link") == Some(Text(address.as_bytes()))
                || attachment
                    .get("attachments")
                    .and_then(Value::array)
                    .is_some_and(|nested| is_quoted(nested, address, depth))
        })
}

/// Index behind a node and what it holds.
fn after(nodes: &[Node], at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, node) in nodes[at..].iter().enumerate() {
        match node {
            Node::Start(_) => depth += 1,
            Node::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + offset + 1;
        }
    }
    nodes.len()
}

#[cfg(test)]
mod tests;
