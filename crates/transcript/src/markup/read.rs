//! The stored form, `md` (contract §5.10), whatever version of Rocket.Chat wrote it.
//!
//! Nothing in it is trusted: what has an odd shape is read as far as it can be, an unknown node shows the text that it
//! holds, and what is too deep or too much is cut.

use super::{Code, MAX_DEPTH, MAX_NODES, MAX_TEXT, Markup, Node, Span, Tag, Target, TimeForm};
use crate::bson::{Doc, Key, Text, Value};

/// Appends a list of nodes.
pub(super) fn blocks(markup: &mut Markup, blocks: Doc<'_>) {
    Reader { markup }.values(blocks, 0);
}

struct Reader<'a> {
    markup: &'a mut Markup,
}

impl Reader<'_> {
    fn values(&mut self, values: Doc<'_>, depth: usize) {
        for value in values.values() {
            if !self.value(value, depth) {
                return;
            }
        }
    }

    /// A node, a list of nodes or bare text. `false`: it is enough.
    fn value(&mut self, value: Value<'_>, depth: usize) -> bool {
        if self.is_too_much(depth) {
            return false;
        }
        match value {
            Value::Document(doc) => self.node(doc, depth),
            Value::Array(list) => self.values(list, depth + 1),
            other => {
                if let Some(text) = other.text() {
                    let span = self.keep(text);
                    self.push(Node::Text(span));
                }
            }
        }
        true
    }

    fn is_too_much(&mut self, depth: usize) -> bool {
        let markup = &mut *self.markup;
        let much =
            depth > MAX_DEPTH || markup.nodes.len() >= MAX_NODES || markup.text.len() >= MAX_TEXT;
        if much {
            markup.deep = true;
            if markup.nodes.last() != Some(&Node::Cut) {
                markup.nodes.push(Node::Cut);
            }
        }
        much
    }

    fn node(&mut self, doc: Doc<'_>, depth: usize) {
        let node = Parts::read(doc);
        let tag = match node.kind.0 {
            b"PARAGRAPH" => Tag::Paragraph,
            b"HEADING" => Tag::Heading(
                u8::try_from(node.level.and_then(Value::integer).unwrap_or(1))
                    .unwrap_or(4)
                    .clamp(1, 4),
            ),
            b"QUOTE" | b"BLOCKQUOTE" => Tag::Quote,
            b"SPOILER_BLOCK" => Tag::SpoilerBlock,
            b"UNORDERED_LIST" => Tag::List,
            b"ORDERED_LIST" => Tag::Numbered,
            b"TASKS" => Tag::Tasks,
            b"LIST_ITEM" => Tag::Item(node.number.and_then(Value::integer)),
            b"TASK" => Tag::Task(node.status.is_some_and(Value::truthy)),
            b"BIG_EMOJI" => Tag::BigEmoji,
            b"BOLD" => Tag::Bold,
            b"ITALIC" => Tag::Italic,
            b"STRIKE" => Tag::Strike,
            b"SPOILER" => Tag::Spoiler,
            b"LINK" => return self.link(&node, depth, Tag::Link),
            b"IMAGE" => return self.link(&node, depth, Tag::Image),
            b"CODE" => return self.code_block(&node),
            b"LINE_BREAK" | b"HORIZONTAL_RULE" => return self.push(Node::LineBreak),
            b"PLAIN_TEXT" => return self.leaf(&node, Node::Text),
            b"INLINE_CODE" | b"CODE_LINE" => return self.leaf(&node, Node::Code),
            b"MENTION_USER" => return self.leaf(&node, Node::User),
            b"MENTION_CHANNEL" => return self.leaf(&node, Node::Channel),
            b"INLINE_KATEX" => return self.leaf(&node, Node::Math),
            b"KATEX" => return self.leaf(&node, Node::MathBlock),
            b"EMOJI" => return self.emoji(&node),
            b"COLOR" => return self.color(&node),
            b"TIMESTAMP" => return self.time(&node),
            // What no version is known to write is shown by what it holds.
            _ => {
                if let Some(value) = node.value {
                    self.value(value, depth + 1);
                }
                return;
            }
        };
        self.push(Node::Start(tag));
        if let Some(value) = node.value {
            self.value(value, depth + 1);
        }
        self.push(Node::End(tag));
    }

    fn link(&mut self, node: &Parts<'_>, depth: usize, tag: fn(Target) -> Tag) {
        let Some(Value::Document(parts)) = node.value else {
            return;
        };
        let source = parts.get("src").and_then(text_of).unwrap_or_default();
        let source = self.keep(source);
        let tag = tag(Target::Written(source));
        self.push(Node::Start(tag));
        let labelled = self.markup.nodes.len();
        if let Some(label) = parts.get("label") {
            self.value(label, depth + 1);
        }
        if self.markup.nodes.len() == labelled {
            self.push(Node::Text(source));
        }
        self.push(Node::End(tag));
    }

    fn code_block(&mut self, node: &Parts<'_>) {
        let language = match node.language.and_then(Value::text) {
            Some(Text(b"none")) | None => Span::default(),
            Some(language) => self.keep(language),
        };
        let start = self.markup.text.len();
        if let Some(lines) = node.value.and_then(Value::array) {
            for (index, line) in lines.values().enumerate() {
                if index > 0 {
                    self.markup.text.push('\n');
                }
                if self.markup.text.len() >= MAX_TEXT {
                    self.is_too_much(0);
                    break;
                }
                if let Some(text) = text_of(line) {
                    self.keep(text);
                }
            }
        } else if let Some(text) = node.value.and_then(text_of) {
            self.keep(text);
        }
        let lines = Span::new(start, self.markup.text.len());
        self.push(Node::CodeBlock { language, lines });
    }

    fn emoji(&mut self, node: &Parts<'_>) {
        if let Some(unicode) = node.unicode.and_then(Value::text) {
            let span = self.keep(unicode);
            return self.push(Node::Unicode(span));
        }
        let text = node.value.and_then(text_of);
        let code = node.short_code.and_then(Value::text).or(text);
        let Some(code) = code else { return };
        let code = self.keep(code);
        let text = text.map_or(code, |text| self.keep(text));
        self.push(Node::Emoji {
            text,
            code: Code::Written(code),
        });
    }

    fn color(&mut self, node: &Parts<'_>) {
        let Some(Value::Document(parts)) = node.value else {
            return;
        };
        let part = |key, missing| {
            let number = parts.get(key).and_then(Value::integer).unwrap_or(missing);
            u8::try_from(number.clamp(0, 255)).unwrap_or_default()
        };
        self.push(Node::Color([
            part("r", 0),
            part("g", 0),
            part("b", 0),
            part("a", 255),
        ]));
    }

    fn time(&mut self, node: &Parts<'_>) {
        let instant = node.value.and_then(Value::document).and_then(|parts| {
            let seconds = match parts.get("timestamp")? {
                Value::String(text) => std::str::from_utf8(text.0).ok()?.trim().parse().ok()?,
                number => number.integer()?,
            };
            let letter = parts
                .text("format")
                .and_then(|text| text.0.first().copied());
            Some(Node::Time {
                seconds,
                form: letter.and_then(TimeForm::of).unwrap_or(TimeForm::ShortTime),
            })
        });
        match (instant, node.fallback.and_then(text_of)) {
            (Some(instant), _) => self.push(instant),
            (None, Some(text)) => {
                let span = self.keep(text);
                self.push(Node::Text(span));
            }
            (None, None) => {}
        }
    }

    fn leaf(&mut self, node: &Parts<'_>, leaf: fn(Span) -> Node) {
        if let Some(text) = node.value.and_then(text_of) {
            let span = self.keep(text);
            self.push(leaf(span));
        }
    }

    fn push(&mut self, node: Node) {
        self.markup.nodes.push(node);
    }

    fn keep(&mut self, text: Text<'_>) -> Span {
        let start = self.markup.text.len();
        let text = text.to_str();
        let room = MAX_TEXT.saturating_sub(start);
        self.markup
            .text
            .push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room {
            self.markup.deep = true;
        }
        Span::new(start, self.markup.text.len())
    }
}

/// The text in a node that holds nothing else, `{type, value: "…"}` within any number of its kind, or bare.
fn text_of(value: Value<'_>) -> Option<Text<'_>> {
    let mut value = value;
    for _ in 0..4 {
        match value {
            Value::Document(doc) => value = doc.get("value")?,
            Value::Array(list) => value = list.values().next()?,
            other => return other.text(),
        }
    }
    None
}

/// The keys that nodes have, found in one pass.
#[derive(Default)]
struct Parts<'a> {
    kind: Text<'a>,
    value: Option<Value<'a>>,
    level: Option<Value<'a>>,
    language: Option<Value<'a>>,
    number: Option<Value<'a>>,
    status: Option<Value<'a>>,
    unicode: Option<Value<'a>>,
    short_code: Option<Value<'a>>,
    fallback: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    fn read(doc: Doc<'a>) -> Self {
        const TYPE: Key<'_> = Key::of(b"type");
        const VALUE: Key<'_> = Key::of(b"value");
        const LEVEL: Key<'_> = Key::of(b"level");
        const LANGUAGE: Key<'_> = Key::of(b"language");
        const NUMBER: Key<'_> = Key::of(b"number");
        const STATUS: Key<'_> = Key::of(b"status");
        const UNICODE: Key<'_> = Key::of(b"unicode");
        const SHORT_CODE: Key<'_> = Key::of(b"shortCode");
        const FALLBACK: Key<'_> = Key::of(b"fallback");
        let mut parts = Self::default();
        let mut elements = doc.elements();
        while let Some(Ok((key, value))) = elements.next_keyed() {
            let place = match key {
                key if key == TYPE => {
                    parts.kind = value.text().unwrap_or_default();
                    continue;
                }
                key if key == VALUE => &mut parts.value,
                key if key == LEVEL => &mut parts.level,
                key if key == LANGUAGE => &mut parts.language,
                key if key == NUMBER => &mut parts.number,
                key if key == STATUS => &mut parts.status,
                key if key == UNICODE => &mut parts.unicode,
                key if key == SHORT_CODE => &mut parts.short_code,
                key if key == FALLBACK => &mut parts.fallback,
                _ => continue,
            };
            *place = Some(value);
        }
        parts
    }
}
