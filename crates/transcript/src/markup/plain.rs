//! Markup as text that people read where nothing can be marked: mails, the search index, excerpts.

use super::{Markup, Node, Options, Tag};
use crate::bson::{Doc, Text, Value};
use crate::message::{Field, Message};

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
    pub fn message(&mut self, message: &Message<'_>, out: &mut String) {
        self.markup.read_message(message, &self.options);
        plain(&self.markup, out);
    }

    /// Appends another text of a message: parsed (`md`) where it is stored so, else as typed.
    pub fn part(
        &mut self,
        md: Option<Doc<'_>>,
        typed: Text<'_>,
        message: &Message<'_>,
        out: &mut String,
    ) {
        let sent = message.ts().unwrap_or_default();
        self.markup
            .read(md.map(Value::Array), typed, sent, &self.options);
        if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
            self.markup.forget_quotes(attachments);
        }
        plain(&self.markup, out);
    }
}

/// Appends the visible text without its marks. A link's target stands behind its label where the two differ; lines end
/// with `\n`.
pub fn plain(markup: &Markup, out: &mut String) {
    let begin = out.len();
    let mut list = None;
    let mut label = 0;
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
                _ => {}
            },
            Node::End(tag) => match tag {
                Tag::Paragraph | Tag::Heading(_) | Tag::Item(_) | Tag::Task(_) | Tag::BigEmoji => {
                    out.push('\n');
                }
                Tag::Link(to) | Tag::Image(to) => {
                    let end = out.len();
                    markup.target(to, out);
                    let (shown, target) = (&out[label.min(end)..end], &out[end..]);
                    let bare = target
                        .strip_prefix("//")
                        .or(target.strip_prefix("mailto:"))
                        .unwrap_or(target);
                    if shown == target
                        || shown == bare
                        || target.starts_with("tel:") && !shown.trim().is_empty()
                    {
                        out.truncate(end);
                    } else if !shown.trim().is_empty() {
                        out.insert_str(end, " (");
                        out.push(')');
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

fn written(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = std::fmt::Write::write_fmt(out, arguments);
}
