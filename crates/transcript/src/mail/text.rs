//! Messages as plain text: names and times at the margin, what people wrote two columns in, quotes behind `>`.
//!
//! Nothing that somebody wrote begins at the margin, so that no text can pass for a message of another person.

use super::{Head, MailFile, Sheet};
use crate::bson::Text;

/// Text under construction.
#[derive(Debug, Default)]
pub struct PlainText {
    /// What has been written.
    pub out: String,
    depth: usize,
}

impl PlainText {
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

    fn strong(&mut self, text: Text<'_>) {
        self.body(text);
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
