//! Markup as text that people read where nothing can be marked: mails, the search index, excerpts.

use super::{Markup, Node, Options, Tag, Target, is_seen};
use crate::bson::{Doc, Text, Value};
use crate::message::{Field, Message};

/// What stands in the place of a spoiler. Its length says nothing about what it covers.
const COVER: &str = "███";
/// What stands around a spoiler that is marked: characters that are none in any text (Unicode, "noncharacters").
const MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// What becomes of texts that are hidden until they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilers {
    /// They stand there like any other text.
    Told,
    /// A neutral mark stands in their place: where nothing can be clicked, and nobody asked.
    Covered,
    /// They stand between U+FDD0 and U+FDD1: what finds their words covers them where it shows the text.
    Marked,
}

/// Reads texts to plain ones; its buffers are used again for the next.
#[derive(Debug, Default)]
pub struct Plain {
    markup: Markup,
    options: Options,
}

impl Plain {
    /// For a workspace with these settings.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Appends the text of a message.
    pub fn message(&mut self, message: &Message<'_>, spoilers: Spoilers, out: &mut String) {
        self.markup.read_message(message, &self.options);
        plain(&self.markup, spoilers, out);
    }

    /// Appends another text of a message: parsed (`md`) where it is stored so, else as typed.
    pub fn part(
        &mut self,
        md: Option<Doc<'_>>,
        typed: Text<'_>,
        message: &Message<'_>,
        spoilers: Spoilers,
        out: &mut String,
    ) {
        let sent = message.ts().unwrap_or_default();
        self.markup
            .read(md.map(Value::Array), typed, sent, &self.options);
        if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
            self.markup.forget_quotes(attachments);
        }
        plain(&self.markup, spoilers, out);
    }
}

/// Appends the visible text without its marks. A link's target stands behind its label where the two differ; lines end
/// with `\n`.
pub fn plain(markup: &Markup, spoilers: Spoilers, out: &mut String) {
    let begin = out.len();
    let mut list = None;
    let mut label = 0;
    // Spoilers that are open, and where the mark of the outermost ends: what is written behind it goes when it is covered.
    let mut hidden = (0_usize, 0);
    for node in markup.nodes() {
        match *node {
            Node::Start(tag) => match tag {
                Tag::Numbered => list = Some(()),
                Tag::List | Tag::Tasks => list = None,
                Tag::Item(number) => match number.filter(|_| list.is_some()) {
                    Some(number) => written(out, format_args!("{number}. ")),
                    None => out.push_str("- "),
                },
                Tag::Task(done) => out.push_str(if done { "[x] " } else { "[ ] " }),
                Tag::Link(_) | Tag::Image(_) => label = out.len(),
                Tag::Spoiler | Tag::SpoilerBlock if spoilers != Spoilers::Told => {
                    if hidden.0 == 0 {
                        match spoilers {
                            Spoilers::Marked => out.push(MARKS[0]),
                            _ => out.push_str(COVER),
                        }
                        hidden.1 = out.len();
                    }
                    hidden.0 += 1;
                }
                _ => {}
            },
            Node::End(tag) => match tag {
                Tag::Paragraph | Tag::Heading(_) | Tag::Item(_) | Tag::Task(_) | Tag::BigEmoji => {
                    out.push('\n');
                }
                Tag::Link(to) | Tag::Image(to) => link(markup, to, label, out),
                Tag::Spoiler | Tag::SpoilerBlock if hidden.0 > 0 => {
                    hidden.0 -= 1;
                    if hidden.0 == 0 {
                        match spoilers {
                            Spoilers::Marked => out.push(MARKS[1]),
                            _ => out.truncate(hidden.1),
                        }
                        out.push_str(if tag == Tag::SpoilerBlock { "\n" } else { "" });
                    }
                }
                _ => {}
            },
            Node::Text(span) | Node::Code(span) | Node::Unicode(span) | Node::Math(span) => {
                out.push_str(markup.str(span));
            }
            Node::LineBreak => out.push('\n'),
            Node::CodeBlock { lines, .. } | Node::MathBlock(lines) => {
                out.push_str(markup.str(lines));
                out.push('\n');
            }
            Node::User(span) => {
                out.push('@');
                out.push_str(markup.str(span));
            }
            Node::Channel(span) => {
                out.push('#');
                out.push_str(markup.str(span));
            }
            Node::Emoji { text, code } => {
                let code = markup.code(code);
                let text = markup.str(text);
                if text != code {
                    out.push_str(text);
                } else if let Some(emoji) = super::emoji::unicode(code) {
                    out.push_str(emoji);
                } else {
                    out.push(':');
                    out.push_str(code);
                    out.push(':');
                }
            }
            Node::Color([red, green, blue, opacity]) => {
                written(out, format_args!("#{red:02x}{green:02x}{blue:02x}"));
                if opacity != 255 {
                    written(out, format_args!("{opacity:02x}"));
                }
            }
            Node::Time { seconds, .. } => match jiff::Timestamp::from_second(seconds) {
                Ok(instant) => written(
                    out,
                    format_args!("{}", instant.strftime("%Y-%m-%d %H:%M UTC")),
                ),
                Err(_) => written(out, format_args!("{seconds}")),
            },
            Node::Cut => out.push('…'),
        }
    }
    while out.len() > begin && out.ends_with('\n') {
        out.pop();
    }
}

/// Ends a link whose label begins at `label`: its target stands behind the label, or instead of one that nobody sees.
fn link(markup: &Markup, to: Target, label: usize, out: &mut String) {
    let end = out.len();
    let label = label.min(end);
    markup.target(to, out);
    let (shown, target) = (&out[label..end], &out[end..]);
    let bare = target
        .strip_prefix("//")
        .or(target.strip_prefix("mailto:"))
        .unwrap_or(target);
    let is_seen = shown.contains(is_seen);
    if shown == target || shown == bare || is_seen && target.starts_with("tel:") {
        out.truncate(end);
    } else if is_seen {
        out.insert_str(end, " (");
        out.push(')');
    } else {
        out.drain(label..end);
    }
}

fn written(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = std::fmt::Write::write_fmt(out, arguments);
}
