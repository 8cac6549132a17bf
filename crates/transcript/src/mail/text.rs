//! Messages as plain text: names and times at the margin, what people wrote two columns in, quotes behind `>`.
//!
//! Nothing that somebody wrote begins at the margin, so that no text can pass for a message of another person.

use std::borrow::Cow;

use super::{Head, MailFile, Sheet, Words};
use crate::bson::Text;
use crate::markup::{Markup, Node, Options};

/// Text under construction.
#[derive(Debug, Default)]
pub struct PlainText {
    /// What has been written.
    pub out: String,
    depth: usize,
    options: Options,
    /// The text that was read last, when it may have instants in it.
    markup: Markup,
}

impl PlainText {
    /// For a workspace with these settings for texts that are stored as typed.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// A text as typed, but for the instants in it, of which nobody can read the figures.
    fn with_instants<'a>(&mut self, words: &Words<'a>) -> Cow<'a, str> {
        let text = words.typed().to_str();
        let mut marks = Vec::new();
        let mut from = 0;
        while let Some(begin) = text[from..].find("<t:").map(|at| from + at) {
            let Some(length) = text[begin..].find('>') else {
                break;
            };
            from = begin + length + 1;
            marks.push(begin..from);
        }
        if marks.is_empty() {
            return text;
        }
        words.read(&mut self.markup, &self.options);
        let instants: Vec<_> = self
            .markup
            .nodes()
            .iter()
            .filter_map(|&node| match node {
                Node::Time { seconds, form } => Some(words.instant(seconds, form)),
                _ => None,
            })
            .collect();
        // Otherwise some only look like it, within code for example.
        if instants.len() != marks.len() {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (mark, instant) in marks.into_iter().zip(&instants) {
            out.push_str(&text[from..mark.start]);
            out.push_str(instant);
            from = mark.end;
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    fn margin(&mut self) {
        self.out.push_str("  ");
        for _ in 0..self.depth {
            self.out.push_str("> ");
        }
    }

    /// Lines of any length, at the depth of the quote that is open.
    fn lines(&mut self, text: &str) {
        for line in text.split(is_line_break) {
            self.margin();
            clean(&mut self.out, line);
            let end = self.out.trim_end_matches(' ').len();
            self.out.truncate(end);
            self.out.push('\n');
        }
    }
}

impl Sheet for PlainText {
    fn begin(&mut self, head: &Head<'_>) {
        self.depth = 0;
        name(&mut self.out, &head.name.to_str());
        if !head.username.is_empty() {
            self.out.push_str(" (@");
            name(&mut self.out, &head.username.to_str());
            self.out.push(')');
        }
        self.out.push_str(" · ");
        self.out.push_str(head.when);
        for tag in &head.tags {
            self.out.push_str(" [");
            name(&mut self.out, tag);
            self.out.push(']');
        }
        self.out.push('\n');
    }

    fn note(&mut self, text: &str) {
        self.margin();
        self.out.push('(');
        name(&mut self.out, text);
        self.out.push_str(")\n");
    }

    fn body(&mut self, text: Text<'_>) {
        let text = text.to_str();
        self.lines(text.trim_end_matches(['\r', '\n']));
    }

    fn words(&mut self, words: &Words<'_>) {
        let text = self.with_instants(words);
        if !text.is_empty() {
            self.body(Text(text.as_bytes()));
        }
    }

    fn strong(&mut self, text: Text<'_>) {
        self.body(text);
    }

    fn link(&mut self, address: Text<'_>) {
        self.note(&address.to_str());
    }

    fn open(&mut self) {
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn file(&mut self, file: &MailFile, remark: &str) {
        self.margin();
        self.out.push('[');
        name(&mut self.out, &file.name);
        if !file.size.is_empty() {
            self.out.push_str(", ");
            self.out.push_str(&file.size);
        }
        self.out.push_str(": ");
        name(&mut self.out, remark);
        self.out.push_str("]\n");
    }

    fn reactions(&mut self, reactions: &[String]) {
        self.margin();
        for (index, reaction) in reactions.iter().enumerate() {
            if index > 0 {
                self.out.push_str(" · ");
            }
            name(&mut self.out, reaction);
        }
        self.out.push('\n');
    }

    fn end(&mut self) {
        self.out.push('\n');
    }
}

/// What ends a line for some reader of mail.
fn is_line_break(character: char) -> bool {
    matches!(
        character,
        '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// A line without control characters.
fn clean(out: &mut String, line: &str) {
    let line = line.strip_suffix('\r').unwrap_or(line);
    for character in line.chars() {
        match character {
            '\t' => out.push('\t'),
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
}

/// A name: on one line, and not changing the direction of what follows it.
fn name(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
                out.push('\u{fffd}');
            }
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
}
