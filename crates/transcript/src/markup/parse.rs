//! Rocket.Chat's dialect, parsed with the same result as the npm package `@rocket.chat/message-parser` 0.31.35.
//!
//! The dialect is defined by an ordered choice: at each place the first construct that fits counts, and what fits none is
//! text. A construct that does not close is given up, and its place is tried again as something else. What was once found
//! missing in the rest of a text is remembered, so that a text full of openings is not searched from each of them, and the
//! work on all that is given up has a limit, beyond which the rest is plain text.
//!
//! Every function takes a place and gives the place behind what it found, with its nodes appended; `None` leaves the
//! nodes as they were.

use super::characters::{is_alphanumeric, is_blank, is_local, is_name};
use super::{Code, MAX_NODES, Node, Options, Span, Tag, Target, TimeForm, after, domain, emoticon};

/// Emoticons count only when something fits behind them, which may be an emoticon: this many are looked at.
const LOOKAHEAD: u32 = 24;
/// Steps for each byte of a text, and for each text.
const STEPS_PER_BYTE: u64 = 64;
const STEPS: u64 = 1 << 16;

/// Appends the nodes of a text. `sent` is the message's instant in milliseconds. `false`: the work became too much, and
/// the rest is plain text.
pub(super) fn text(
    text: &str,
    sent: i64,
    options: &Options,
    nodes: &mut Vec<Node>,
    scratch: &mut String,
) -> bool {
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        nodes,
        scratch,
        options,
        sent,
        in_bold: false,
        in_italic: false,
        in_strike: false,
        in_reference: false,
        after_text: false,
        after_text_bold: false,
        after_text_italic: false,
        lookahead: 0,
        steps: STEPS + STEPS_PER_BYTE * text.len() as u64,
        local: Run::default(),
        host: Run::default(),
        word: Run::default(),
        same: Run::default(),
        gap: Run::default(),
        last: [None; 128],
        last_target: None,
        no_math: usize::MAX,
        no_math_block: usize::MAX,
        stuck: 0,
    };
    parser.document()
}

/// A stretch that was measured: from any place inside, it ends at the same place.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    fn end(self, at: usize) -> Option<usize> {
        (self.start <= at && at < self.end).then_some(self.end)
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each says what the place is inside of or behind"
)]
struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    nodes: &'a mut Vec<Node>,
    scratch: &'a mut String,
    options: &'a Options,
    sent: i64,
    /// A construct is not looked for inside itself.
    in_bold: bool,
    in_italic: bool,
    in_strike: bool,
    in_reference: bool,
    /// Emoji directly behind ordinary text are text: one flag for lines, one for bold, one for italic text.
    after_text: bool,
    after_text_bold: bool,
    after_text_italic: bool,
    lookahead: u32,
    /// How much more may be tried.
    steps: u64,
    local: Run,
    host: Run,
    word: Run,
    same: Run,
    gap: Run,
    /// The last place of a byte in the text plus one, once it was asked for.
    last: [Option<usize>; 128],
    /// The last `](` of the text plus one, once it was asked for.
    last_target: Option<usize>,
    /// From here on no formula ends.
    no_math: usize,
    no_math_block: usize,
    /// Up to here something may begin at any place.
    stuck: usize,
}

impl Parser<'_> {
    fn document(&mut self) -> bool {
        if self.big_emoji().is_some() {
            return true;
        }
        let mut at = 0;
        while at < self.bytes.len() {
            if self.steps == 0 || self.nodes.len() >= MAX_NODES {
                self.rest_as_text(at);
                return false;
            }
            let Some(next) = self.block(at).or_else(|| self.paragraph(at)) else {
                // Every character fits something; only an exhausted budget does not.
                self.rest_as_text(at);
                return false;
            };
            at = next;
        }
        true
    }

    fn rest_as_text(&mut self, at: usize) {
        let mut next = at;
        for line in self.text[at..].split_inclusive('\n') {
            let start = next;
            next += line.len();
            let end = start + line.trim_end_matches(['\n', '\r']).len();
            if self.nodes.len() >= 2 * MAX_NODES {
                self.nodes.push(Node::Cut);
                return;
            }
            self.nodes.push(Node::Start(Tag::Paragraph));
            self.nodes.push(Node::Text(Span::new(start, end)));
            self.nodes.push(Node::End(Tag::Paragraph));
        }
    }

    // Blocks.

    fn block(&mut self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'>' => self.quote(at),
            b'|' => self.spoiler_block(at),
            b'`' => self.code_block(at),
            b'#' => self.heading(at),
            b'-' => self
                .items(at, Tag::Tasks, Self::task)
                .or_else(|| self.items(at, Tag::List, Self::hyphen_item)),
            b'*' => self.items(at, Tag::List, Self::asterisk_item),
            b'0'..=b'9' => self.items(at, Tag::Numbered, Self::numbered_item),
            b'\\' | b'$' => self.math_block(at),
            b' ' | b'\t' | b'\r' | b'\n' => {
                let end = self.line_end(self.skip_blanks(at))?;
                self.nodes.push(Node::LineBreak);
                Some(end)
            }
            _ => None,
        }
    }

    fn paragraph(&mut self, at: usize) -> Option<usize> {
        self.within(Tag::Paragraph, |parser| parser.line(at))
    }

    fn quote(&mut self, at: usize) -> Option<usize> {
        self.within(Tag::Quote, |parser| {
            let mut end = parser.quote_line(at)?;
            while let Some(next) = parser.quote_line(end) {
                end = next;
            }
            Some(end)
        })
    }

    fn quote_line(&mut self, at: usize) -> Option<usize> {
        let start = self.skip_blanks(self.literal(at, ">")?);
        if let Some(end) = self.line_end(start) {
            self.nodes.push(Node::Start(Tag::Paragraph));
            self.nodes.push(Node::End(Tag::Paragraph));
            return Some(end);
        }
        self.paragraph(start)
    }

    fn spoiler_block(&mut self, at: usize) -> Option<usize> {
        self.within(Tag::SpoilerBlock, |parser| {
            let first = parser.literal(at, "||")?;
            let first = parser.line_end(first)?;
            let mut end = first;
            while !parser.starts(end, "||")
                && let Some(next) = parser.paragraph(end)
            {
                end = next;
            }
            if end == first {
                return None;
            }
            let end = parser.line_end(end).unwrap_or(end);
            parser.literal(end, "||")
        })
    }

    fn code_block(&mut self, at: usize) -> Option<usize> {
        let language = self.literal(at, "```")?;
        let is_language =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_' | b'-' | b'.');
        let language_end = self.while_byte(language, is_language);
        let content = self.line_end(language_end)?;
        // A line break directly behind the opening is no line of its own.
        let start = content + usize::from(self.byte(content) == Some(b'\n'));
        let mut end = content;
        let mut lines = 0_u64;
        loop {
            let line = if self.byte(end) == Some(b'\n') {
                end + 1
            } else if lines == 0 {
                end
            } else {
                break;
            };
            let line_end = self.code_line(line);
            if line_end == line && (line == end || self.starts(line, "```")) {
                // Neither text nor an empty line.
                break;
            }
            end = line_end;
            lines += 1;
            self.spend(1)?;
        }
        if lines == 0 {
            return None;
        }
        let close = self.line_end(end)?;
        let close = self.literal(close, "```")?;
        self.nodes.push(Node::CodeBlock {
            language: Span::new(language, language_end),
            lines: Span::new(start, end),
        });
        Some(close)
    }

    /// End of the code in a line.
    fn code_line(&self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        let line = rest
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
            .unwrap_or(rest.len());
        let marks = rest[..line].windows(3).position(|bytes| bytes == b"```");
        at + marks.unwrap_or(line)
    }

    fn heading(&mut self, at: usize) -> Option<usize> {
        let marks = self.while_byte(at, |byte| byte == b'#').min(at + 4);
        let level = u8::try_from(marks - at).ok()?;
        let start = self.skip_blanks(marks);
        let end = self.rest_of_line(start);
        if start == marks || end == start {
            return None;
        }
        self.nodes.extend([
            Node::Start(Tag::Heading(level)),
            Node::Text(Span::new(start, end)),
            Node::End(Tag::Heading(level)),
        ]);
        Some(end)
    }

    fn items(
        &mut self,
        at: usize,
        list: Tag,
        item: fn(&mut Self, usize) -> Option<usize>,
    ) -> Option<usize> {
        self.within(list, |parser| {
            let mut end = item(parser, at)?;
            while let Some(next) = item(parser, end) {
                end = next;
            }
            Some(end)
        })
    }

    fn task(&mut self, at: usize) -> Option<usize> {
        let flag = self.literal(at, "- [")?;
        let done = match self.byte(flag)? {
            b'x' => true,
            b' ' => false,
            _ => return None,
        };
        let marks = self.literal(flag + 1, "]")?;
        let start = self.skip_blanks(marks);
        if start == marks {
            return None;
        }
        self.within(Tag::Task(done), |parser| parser.line(start))
    }

    fn numbered_item(&mut self, at: usize) -> Option<usize> {
        let digits = self.while_byte(at, |byte| byte.is_ascii_digit());
        if digits == at {
            return None;
        }
        let marks = self.literal(digits, ".")?;
        let start = self.skip_blanks(marks);
        if start == marks {
            return None;
        }
        let number = self.text[at..digits].parse().unwrap_or(i64::MAX);
        self.within(Tag::Item(Some(number)), |parser| parser.line(start))
    }

    fn hyphen_item(&mut self, at: usize) -> Option<usize> {
        let marks = self.literal(at, "-")?;
        let start = self.skip_blanks(marks);
        if start == marks {
            return None;
        }
        self.within(Tag::Item(None), |parser| parser.line(start))
    }

    fn asterisk_item(&mut self, at: usize) -> Option<usize> {
        let marks = self.literal(at, "*")?;
        let start = self.skip_blanks(marks);
        if start == marks {
            return None;
        }
        self.within(Tag::Item(None), |parser| {
            let first = parser.nodes.len();
            let mut end = start;
            loop {
                parser.after_text = false;
                let next = match parser.item(end) {
                    None if parser.byte(end) != Some(b'*') => parser.any(end),
                    found => found,
                };
                parser.after_text = false;
                match next {
                    Some(next) => end = next,
                    None => break,
                }
            }
            if end == start || parser.byte(end) == Some(b'*') {
                return None;
            }
            parser.reduce(first);
            Some(parser.line_end(end).unwrap_or(end))
        })
    }

    fn math_block(&mut self, at: usize) -> Option<usize> {
        let start = self.math_mark(at, "\\[", "$$")?;
        if start >= self.no_math_block {
            return None;
        }
        let Some(end) =
            (start..self.bytes.len()).find(|&end| self.math_mark(end, "\\]", "$$").is_some())
        else {
            self.no_math_block = start;
            return None;
        };
        self.nodes.push(Node::MathBlock(Span::new(start, end)));
        Some(end + 2)
    }

    fn math_mark(&self, at: usize, parenthesis: &str, dollar: &str) -> Option<usize> {
        let found = |wanted: bool, mark| if wanted { self.literal(at, mark) } else { None };
        found(self.options.katex_parenthesis, parenthesis)
            .or_else(|| found(self.options.katex_dollar, dollar))
    }

    // Lines.

    /// What stands in a line, to its end and over it.
    fn line(&mut self, at: usize) -> Option<usize> {
        let first = self.nodes.len();
        self.after_text = false;
        let mut end = at;
        loop {
            end = self.words(end);
            let found = if let Some(next) = self.item(end) {
                self.after_text = false;
                Some(next)
            } else if let Some(next) = self.any(end) {
                self.after_text = true;
                Some(next)
            } else {
                None
            };
            match found {
                Some(next) => end = next,
                None => break,
            }
        }
        if end == at {
            self.nodes.truncate(first);
            return None;
        }
        let end = self.line_end(end).unwrap_or(end);
        self.after_text = false;
        self.reduce(first);
        Some(end)
    }

    /// Passes over words in which nothing can begin.
    fn words(&mut self, at: usize) -> usize {
        // Space at the beginning is a piece of its own: an emoji before it touches no text.
        let is_blank = |character| is_blank(char::encode_utf8(character, &mut [0; 4]));
        if at < self.stuck || self.character(at).is_none_or(is_blank) {
            return at;
        }
        let rest = &self.bytes[at..];
        let mut space = 0;
        let mut end = 0;
        for (index, &byte) in rest.iter().enumerate() {
            match BEGINS[usize::from(byte)] {
                Begins::Nothing => {}
                Begins::Space => {
                    if end < index || index == 0 {
                        space = index;
                    }
                    end = index + 1;
                }
                // A full stop at the end of a word joins no host.
                Begins::Host if rest.get(index + 1).is_none_or(|&next| is_space(next)) => {}
                Begins::Letter if !rest[index..].starts_with(b"localhost") => {}
                Begins::Line => return self.pass(at, index, index),
                Begins::Host | Begins::Letter | Begins::Much => {
                    self.stuck = at + index;
                    return self.pass(at, space, end);
                }
            }
        }
        self.pass(at, rest.len(), rest.len())
    }

    /// Text up to `space` and the space up to `end`, as the two pieces that the grammar would see.
    fn pass(&mut self, at: usize, space: usize, end: usize) -> usize {
        if space > 0 {
            self.push_text(at, at + space);
        }
        if end > space {
            self.push_text(at + space, at + end);
        }
        if end > 0 {
            self.after_text = false;
        }
        at + end
    }

    /// One construct.
    fn item(&mut self, at: usize) -> Option<usize> {
        let byte = self.byte(at)?;
        self.spend(1)?;
        match byte {
            b' ' | b'\t' => return self.whitespace(at),
            b'\n' | b'\r' => return None,
            _ => {}
        }
        if byte == b'<'
            && let Some(end) = self.timestamp(at)
        {
            return Some(end);
        }
        if matches!(byte, b'[' | b'<')
            && let Some(end) = self.reference(at)
        {
            return Some(end);
        }
        if byte == b'+'
            && let Some((end, digits)) = self.phone(at)
        {
            let span = Span::new(at, end);
            if digits < 5 {
                self.nodes.push(Node::Text(span));
            } else {
                self.push_link(Target::Phone(span), span);
            }
            return Some(end);
        }
        if let Some(end) = self.address(at).or_else(|| self.auto_link(at)) {
            return Some(end);
        }
        let found = match byte {
            b'|' => self.spoiler(at),
            b'*' => self.run_with_gap(at).or_else(|| self.bold(at)),
            b'_' => self.run_with_gap(at).or_else(|| self.italic(at)),
            b'~' => self.run_with_gap(at).or_else(|| self.strike(at)),
            byte if byte.is_ascii_alphanumeric() => self.italic(at),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        let emoji = !self.after_text;
        if let Some(end) = self.mention(at, emoji) {
            return Some(end);
        }
        if !self.after_text
            && let Some(end) = self.emoji(at)
        {
            return Some(end);
        }
        let found = match byte {
            b'`' => self.code(at),
            b'!' => self.image(at),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        if !self.after_text
            && let Some((end, node)) = self.emoticon(at)
            && (self.beside_emoticon(end) || self.looks_ahead(|parser| parser.item(end)))
        {
            self.after_text = false;
            self.nodes.push(node);
            return Some(end);
        }
        match byte {
            b'c' => self.color(at),
            b'\\' => self.math(at).or_else(|| self.escaped(at)),
            b'$' => self.math(at),
            _ => None,
        }
    }

    /// Any character but a line's end, with the number or host that hangs on it.
    fn any(&mut self, at: usize) -> Option<usize> {
        let character = self.character(at)?;
        if matches!(character, '\n' | '\r') {
            return None;
        }
        let mut end = at + character.len_utf8();
        if let Some((phone, _)) = self.phone(end) {
            end = phone;
        }
        if let Some(url) = self.url(end) {
            end = url;
        }
        self.push_text(at, end);
        Some(end)
    }

    fn whitespace(&mut self, at: usize) -> Option<usize> {
        let end = self.skip_blanks(at);
        (end > at).then(|| {
            self.push_text(at, end);
            end
        })
    }

    fn escaped(&mut self, at: usize) -> Option<usize> {
        matches!(self.byte(at + 1)?, b'*' | b'_' | b'~' | b'`' | b'#' | b'.').then(|| {
            self.push_text(at + 1, at + 2);
            at + 2
        })
    }

    fn math(&mut self, at: usize) -> Option<usize> {
        let start = self.math_mark(at, "\\(", "$")?;
        if start >= self.no_math {
            return None;
        }
        let found =
            (start..self.bytes.len()).find_map(|end| Some((end, self.math_mark(end, "\\)", "$")?)));
        let Some((end, behind)) = found else {
            self.no_math = start;
            return None;
        };
        self.nodes.push(Node::Math(Span::new(start, end)));
        Some(behind)
    }

    fn code(&mut self, at: usize) -> Option<usize> {
        let start = self.literal(at, "`")?;
        let end = self.while_byte(start, |byte| !matches!(byte, b'`' | b'\n'));
        let close = self.literal(end, "`")?;
        (end > start).then(|| {
            self.nodes.push(Node::Code(Span::new(start, end)));
            close
        })
    }

    fn color(&mut self, at: usize) -> Option<usize> {
        if !self.options.colors {
            return None;
        }
        let start = self.literal(at, "color:#")?;
        let end = self
            .while_byte(start, |byte| byte.is_ascii_hexdigit())
            .min(start + 8);
        let digits = &self.bytes[start..end];
        // As many pairs as there are, up to four, else as many single digits.
        let (width, count) = match digits.len() {
            length @ 6.. => (2, length / 2),
            length @ 3.. => (1, length.min(4)),
            _ => return None,
        };
        let end = start + width * count;
        if self.character(end).is_some_and(is_any_text) {
            return None;
        }
        let mut color = [0, 0, 0, 255];
        for (value, digits) in color.iter_mut().zip(digits.chunks(width)) {
            let text = std::str::from_utf8(digits).ok()?;
            let number = u8::from_str_radix(text, 16).ok()?;
            *value = if width == 1 { number * 17 } else { number };
        }
        self.nodes.push(Node::Color(color));
        Some(end)
    }

    fn spoiler(&mut self, at: usize) -> Option<usize> {
        let start = self.literal(at, "||")?;
        if !self.occurs_behind(start, b'|') {
            return None;
        }
        self.within(Tag::Spoiler, |parser| {
            let first = parser.nodes.len();
            let mut end = start;
            while !parser.starts(end, "||") {
                parser.after_text = false;
                if let Some(next) = parser.item(end) {
                    end = next;
                    continue;
                }
                parser.after_text = true;
                match parser.any(end) {
                    Some(next) => end = next,
                    None => break,
                }
            }
            if end == start {
                return None;
            }
            let close = parser.literal(end, "||")?;
            parser.reduce(first);
            Some(close)
        })
    }

    // Emphasis.

    /// Marks, space, marks: text.
    fn run_with_gap(&mut self, at: usize) -> Option<usize> {
        let mark = self.byte(at)?;
        let space = self.same_end(at);
        let behind = self.skip_blanks(space);
        if behind == space || self.byte(behind) != Some(mark) {
            return None;
        }
        let end = self.same_end(behind);
        self.push_text(at, end);
        Some(end)
    }

    /// End of a run of one byte.
    fn same_end(&mut self, at: usize) -> usize {
        if let Some(end) = self.same.end(at) {
            return end;
        }
        let byte = self.byte(at);
        let end = self.while_byte(at, |other| Some(other) == byte);
        self.same = Run { start: at, end };
        end
    }

    fn bold(&mut self, at: usize) -> Option<usize> {
        if self.in_bold || self.byte(at)? != b'*' || !self.occurs_behind(at + 1, b'*') {
            return None;
        }
        self.in_bold = true;
        let found = self
            .marked(at, "**", Tag::Bold, Self::bold_content)
            .or_else(|| self.marked(at, "*", Tag::Bold, Self::bold_content));
        self.in_bold = false;
        found
    }

    fn strike(&mut self, at: usize) -> Option<usize> {
        if self.in_strike || self.byte(at)? != b'~' || !self.occurs_behind(at + 1, b'~') {
            return None;
        }
        self.in_strike = true;
        let found = self
            .marked(at, "~~", Tag::Strike, Self::strike_content)
            .or_else(|| self.marked(at, "~", Tag::Strike, Self::strike_content));
        self.in_strike = false;
        found
    }

    fn marked(
        &mut self,
        at: usize,
        mark: &str,
        tag: Tag,
        content: fn(&mut Self, usize) -> Option<usize>,
    ) -> Option<usize> {
        let start = self.literal(at, mark)?;
        self.within(tag, |parser| {
            let end = content(parser, start)?;
            parser.literal(end, mark)
        })
    }

    fn bold_content(&mut self, at: usize) -> Option<usize> {
        self.after_text_bold = false;
        let first = self.nodes.len();
        let mut end = at;
        loop {
            if let Some(next) = self.bold_item(end) {
                end = next;
            } else if let Some(next) = self.any_but(end, b'*') {
                self.after_text_bold = true;
                end = next;
            } else {
                break;
            }
        }
        if end == at {
            return None;
        }
        self.after_text_bold = false;
        self.reduce(first);
        Some(end)
    }

    fn bold_item(&mut self, at: usize) -> Option<usize> {
        let end = self.bold_pattern(at)?;
        self.after_text_bold = false;
        Some(end)
    }

    fn bold_pattern(&mut self, at: usize) -> Option<usize> {
        if let Some(end) = self
            .common(at, !self.after_text_bold)?
            .or_else(|| self.italic(at))
            .or_else(|| self.strike(at))
        {
            return Some(end);
        }
        if self.after_text_bold {
            return None;
        }
        if let Some(end) = self.emoji(at) {
            return Some(end);
        }
        let (end, node) = self.emoticon(at)?;
        if self.beside_emoticon(end) || self.looks_ahead(|parser| parser.bold_item(end)) {
            self.nodes.push(node);
            return Some(end);
        }
        None
    }

    /// What bold, italic and struck text have in common; `emoji` says whether one may stand here. The outer `None`: nothing more may be tried.
    #[expect(clippy::option_option, reason = "found, not found, and enough")]
    fn common(&mut self, at: usize, emoji: bool) -> Option<Option<usize>> {
        let byte = self.byte(at)?;
        self.spend(1)?;
        let found = match byte {
            b' ' | b'\t' => return Some(self.whitespace(at)),
            b'`' => self.code(at),
            b'[' | b'<' => self.reference(at),
            _ => None,
        };
        Some(found.or_else(|| self.mention(at, emoji)))
    }

    fn italic(&mut self, at: usize) -> Option<usize> {
        if self.in_italic {
            return None;
        }
        self.in_italic = true;
        let found = self.italic_forms(at);
        self.in_italic = false;
        found
    }

    fn italic_forms(&mut self, at: usize) -> Option<usize> {
        if self.byte(at)? != b'_' {
            // A word with a mark behind it is text.
            let word = self.word_end(at)?;
            let mut end = self.literal(word, "_")?;
            if self.byte(end) == Some(b'_') {
                end += 1;
            }
            self.push_text(at, end);
            return Some(end);
        }
        let mark = if self.byte(at + 1) == Some(b'_') {
            "__"
        } else {
            "_"
        };
        let start = at + mark.len();
        if !self.occurs_behind(start, b'_') {
            return None;
        }
        let first = self.nodes.len();
        let fresh = !self.after_text_italic;
        self.nodes.push(Node::Start(Tag::Italic));
        let found = self.italic_content(start);
        if let Some(end) = found
            && let Some(close) = self.literal(end, mark)
        {
            // Marks inside a word are text.
            let tail = if mark == "__" {
                self.while_byte(close, |byte| byte.is_ascii_alphanumeric())
            } else {
                self.while_byte(close, |byte| byte.is_ascii_alphabetic())
            };
            if tail > close {
                self.nodes[first] = Node::Text(Span::new(at, start));
                self.push_text(end, tail);
                self.reduce(first);
                return Some(tail);
            }
            if fresh {
                self.nodes.push(Node::End(Tag::Italic));
                self.after_text_italic = false;
                return Some(close);
            }
        }
        self.nodes.truncate(first);
        let mut close = None;
        if !fresh {
            self.after_text_italic = false;
            close = self.marked(at, mark, Tag::Italic, Self::italic_content);
        }
        if close.is_some() || mark == "__" {
            self.after_text_italic = false;
        }
        close
    }

    fn italic_content(&mut self, at: usize) -> Option<usize> {
        let first = self.nodes.len();
        let mut end = at;
        loop {
            if let Some(next) = self.italic_item(end) {
                end = next;
            } else if let Some(next) = self.any_but(end, b'_') {
                self.after_text_italic = true;
                end = next;
            } else {
                break;
            }
        }
        if end == at {
            return None;
        }
        self.reduce(first);
        Some(end)
    }

    fn italic_item(&mut self, at: usize) -> Option<usize> {
        let end = self.italic_pattern(at)?;
        self.after_text_italic = false;
        Some(end)
    }

    fn italic_pattern(&mut self, at: usize) -> Option<usize> {
        if let Some(end) = self
            .common(at, !self.after_text_italic)?
            .or_else(|| self.bold(at))
            .or_else(|| self.strike(at))
        {
            return Some(end);
        }
        if self.after_text_italic {
            return None;
        }
        if let Some(end) = self.emoji(at) {
            return Some(end);
        }
        let (end, node) = self.emoticon(at)?;
        if self.beside_emoticon(end)
            || self.looks_ahead(|parser| parser.italic_item(end))
            || self.byte(end) == Some(b'_')
        {
            self.nodes.push(node);
            return Some(end);
        }
        None
    }

    fn strike_content(&mut self, at: usize) -> Option<usize> {
        let first = self.nodes.len();
        let mut end = at;
        while let Some(next) = self.strike_item(end) {
            end = next;
        }
        if end == at {
            return None;
        }
        self.reduce(first);
        Some(end)
    }

    fn strike_item(&mut self, at: usize) -> Option<usize> {
        if self.byte(at)? == b'<'
            && let Some(end) = self.timestamp(at)
        {
            return Some(end);
        }
        if let Some(end) = self
            .common(at, true)?
            .or_else(|| self.italic(at))
            .or_else(|| self.bold(at))
            .or_else(|| self.emoji(at))
        {
            return Some(end);
        }
        if let Some((end, node)) = self.emoticon(at) {
            self.nodes.push(node);
            return Some(end);
        }
        self.any_but(at, b'~')
    }

    /// A character of a line that is neither a space nor the mark that would end what it is in.
    fn any_but(&mut self, at: usize, mark: u8) -> Option<usize> {
        let character = self.character(at)?;
        if matches!(character, '\n' | ' ') || character == char::from(mark) {
            return None;
        }
        self.spend(1)?;
        let end = at + character.len_utf8();
        self.push_text(at, end);
        Some(end)
    }

    // Links.

    fn reference(&mut self, at: usize) -> Option<usize> {
        if self.in_reference {
            return None;
        }
        self.in_reference = true;
        let found = if self.byte(at)? == b'[' {
            self.titled_link(at)
        } else {
            self.piped_link(at)
        };
        self.in_reference = false;
        found
    }

    /// `[title](target)`.
    fn titled_link(&mut self, at: usize) -> Option<usize> {
        let start = self.literal(at, "[")?;
        let text = self.text;
        let last = self
            .last_target
            .get_or_insert_with(|| text.rfind("](").map_or(0, |place| place + 1));
        if start >= *last {
            return None;
        }
        let first = self.nodes.len();
        self.nodes.push(Node::LineBreak);
        let found = self.title(start, first + 1).and_then(|end| {
            let href = self.literal(end, "](")?;
            let (href_end, target) = self.link_target(href, true)?;
            Some((end, target, self.literal(href_end, ")")?))
        });
        let Some((title_end, target, end)) = found else {
            self.nodes.truncate(first);
            return None;
        };
        if title_end == start {
            self.nodes.truncate(first);
            self.push_link(target, Self::shown(target));
            return Some(end);
        }
        self.nodes[first] = Node::Start(Tag::Link(target));
        self.nodes.push(Node::End(Tag::Link(target)));
        Some(end)
    }

    fn title(&mut self, at: usize, first: usize) -> Option<usize> {
        let mut end = at;
        loop {
            self.spend(1)?;
            let Some(character) = self.character(end) else {
                break;
            };
            let found = match character {
                ' ' | '\t' => self.whitespace(end),
                '*' => self.bold(end),
                '~' => self.strike(end),
                '_' => self.italic(end),
                other if other.is_ascii_alphanumeric() => self.italic(end),
                _ => None,
            };
            if let Some(next) = found {
                end = next;
                continue;
            }
            if character == ']' && (self.target_begins(end) || self.next_link_begins(end)) {
                break;
            }
            let next = end + character.len_utf8();
            self.push_text(end, next);
            end = next;
        }
        self.reduce(first);
        Some(end)
    }

    /// `](` with something behind it.
    fn target_begins(&self, at: usize) -> bool {
        self.starts(at, "](") && at + 2 < self.bytes.len()
    }

    /// `] […](`: what was open is not a title, but what follows is.
    fn next_link_begins(&self, at: usize) -> bool {
        self.literal(at, "] [").is_some_and(|start| {
            let end = self.while_byte(start, |byte| byte != b']');
            self.starts(end, "](")
        })
    }

    /// `<target|title>`.
    fn piped_link(&mut self, at: usize) -> Option<usize> {
        let href = self.literal(at, "<")?;
        if !self.occurs_behind(href, b'|') {
            return None;
        }
        let (end, target) = self.link_target(href, false)?;
        let title = self.literal(end, "|")?;
        let title_end = self.while_byte(title, |byte| {
            byte >= 0x20 && !matches!(byte, b'<' | b'>' | b'|')
        });
        let close = self.literal(title_end, ">")?;
        if title_end == title {
            return None;
        }
        self.spend((close - at) as u64)?;
        self.push_link(target, Span::new(title, title_end));
        Some(close)
    }

    /// `![label](target)`.
    fn image(&mut self, at: usize) -> Option<usize> {
        let label = self.literal(at, "![")?;
        // Without text there is no label, and then no space either.
        let text = self.skip_blanks(label);
        let mut end = text;
        while let Some(character) = self.character(end).filter(|&other| is_any_text(other)) {
            end += character.len_utf8();
            self.spend(1)?;
        }
        let label_end = if end > text {
            self.skip_blanks(end)
        } else {
            label
        };
        let href = self.literal(label_end, "](")?;
        let (end, target) = self.link_target(href, true)?;
        let close = self.literal(end, ")")?;
        let shown = if label_end > label {
            Span::new(label, label_end)
        } else {
            Self::shown(target)
        };
        self.nodes.extend([
            Node::Start(Tag::Image(target)),
            Node::Text(shown),
            Node::End(Tag::Image(target)),
        ]);
        Some(close)
    }

    /// A target as links and images write it: a URL, anything with a scheme, a phone number.
    fn link_target(&mut self, at: usize, in_parentheses: bool) -> Option<(usize, Target)> {
        let body: fn(&mut Self, usize) -> usize = if in_parentheses {
            Self::body_in_parentheses
        } else {
            Self::body
        };
        let end = if let Some(head) = self.url_head(at) {
            Some(body(self, head))
        } else {
            self.scheme(at).and_then(|head| {
                let end = body(self, head);
                (end > head).then_some(end)
            })
        };
        if let Some(end) = end {
            self.spend((end - at) as u64)?;
            return Some((end, Target::Written(Span::new(at, end))));
        }
        let (end, _) = self.phone(at)?;
        Some((end, Target::Phone(Span::new(at, end))))
    }

    /// What is shown of a target without a label.
    fn shown(target: Target) -> Span {
        match target {
            Target::Written(span)
            | Target::Host(span)
            | Target::Address(span)
            | Target::Phone(span) => span,
        }
    }

    /// A URL in the midst of text.
    fn auto_link(&mut self, at: usize) -> Option<usize> {
        let head = self.url_head(at)?;
        let end = self.auto_body(head);
        let span = Span::new(at, end);
        let written = &self.text[at..end];
        if domain::is_linked(written, self.options, self.scratch) {
            let target = if written.starts_with("//") || domain::is_absolute(written) {
                Target::Written(span)
            } else {
                Target::Host(span)
            };
            self.push_link(target, span);
        } else {
            self.nodes.push(Node::Text(span));
        }
        Some(end)
    }

    /// Everything up to a space, but for punctuation before it.
    fn auto_body(&mut self, at: usize) -> usize {
        let end = self.gap_end(at);
        let mut body = end;
        while body > at && is_extra(self.bytes[body - 1]) {
            body -= 1;
        }
        body
    }

    /// The next space or end of a line.
    fn gap_end(&mut self, at: usize) -> usize {
        if let Some(end) = self.gap.end(at) {
            return end;
        }
        let end = self.while_byte(at, |byte| !is_space(byte));
        self.gap = Run { start: at, end };
        end
    }

    /// A URL that hangs on other text.
    fn url(&mut self, at: usize) -> Option<usize> {
        let head = self.url_head(at)?;
        Some(self.body(head))
    }

    fn url_head(&mut self, at: usize) -> Option<usize> {
        if self.steps == 0 {
            return None;
        }
        if let Some(scheme) = self.scheme(at)
            && let Some(end) = self.authority(scheme)
        {
            return Some(end);
        }
        self.host_and_port(at)
    }

    fn scheme(&self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..)?;
        let length = rest
            .iter()
            .take(32)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'))
            .count();
        (length > 0 && rest.get(length) == Some(&b':')).then_some(at + length + 1)
    }

    fn authority(&mut self, at: usize) -> Option<usize> {
        let start = self.literal(at, "//")?;
        let is_user = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'$' | b'&' | b'+' | b'_' | b'#' | b'?' | b'-')
        };
        let user = self.while_byte(start, is_user);
        let mut end = user;
        if user > start && self.byte(user) == Some(b':') {
            let password = self.while_byte(user + 1, is_user);
            if password > user + 1 {
                end = password;
            }
        }
        let host = if user > start && self.byte(end) == Some(b'@') {
            end + 1
        } else {
            start
        };
        self.host_and_port(host)
    }

    fn host_and_port(&mut self, at: usize) -> Option<usize> {
        let name = self.domain_name(at)?;
        let port = self
            .literal(name, ":")
            .map(|port| (port, self.while_byte(port, |byte| byte.is_ascii_digit())));
        Some(match port {
            Some((start, end)) if end > start => end,
            _ => name,
        })
    }

    fn domain_name(&mut self, at: usize) -> Option<usize> {
        if let Some(end) = self.literal(at, "localhost") {
            return Some(end);
        }
        if self.byte(at)? == b'_' {
            return None;
        }
        let mut end = self.host_end(at);
        let label = end;
        if end == at {
            return None;
        }
        while self.byte(end) == Some(b'.') {
            let next = self.host_end(end + 1);
            if next == end + 1 {
                break;
            }
            end = next;
        }
        (end > label).then_some(end)
    }

    /// End of a part of a host. `-` and `_` belong to it together with the character behind them, whatever it is but a
    /// space or one of those that no host has.
    fn host_end(&mut self, at: usize) -> usize {
        if let Some(end) = self.host.end(at) {
            return end;
        }
        let simple = self.while_byte(at, is_host);
        let mut end = simple;
        while matches!(self.byte(end), Some(b'-' | b'_')) {
            let Some(joined) = self.character(end + 1).filter(|&other| !is_no_host(other)) else {
                break;
            };
            end = self.while_byte(end + 1 + joined.len_utf8(), is_host);
        }
        if end == simple {
            self.host = Run { start: at, end };
        } else {
            // From within a pair it may end elsewhere, so that nothing is remembered.
            self.steps = self.steps.saturating_sub((end - at) as u64);
        }
        end
    }

    /// What follows a host: up to punctuation before a space, or to what no URL holds.
    fn body(&mut self, at: usize) -> usize {
        let gap = self.gap_end(at);
        let mut end = at;
        while end < gap {
            let byte = self.bytes[end];
            if !is_url(byte) && byte != b'(' {
                return end;
            }
            if is_extra(byte) {
                let extra = self.while_byte(end, is_extra);
                if extra >= gap {
                    return end;
                }
                // Brackets and the like among them may still end it.
                while end < extra && (is_url(self.bytes[end]) || self.bytes[end] == b'(') {
                    end += 1;
                }
                if end < extra {
                    return end;
                }
            } else {
                end += 1;
            }
        }
        end
    }

    /// The same in `(…)`, where parentheses have to be in pairs.
    fn body_in_parentheses(&mut self, at: usize) -> usize {
        let is_mark = |byte: u8| {
            matches!(
                byte,
                b'.' | b',' | b'!' | b'%' | b'*' | b'"' | b'\'' | b':' | b';' | b'='
            )
        };
        let mut end = at;
        while let Some(byte) = self.byte(end) {
            if is_mark(byte) {
                let marks = self.while_byte(end, is_mark);
                if self.byte(marks).is_some_and(is_space) {
                    return end;
                }
                end = marks;
            } else if byte == b'(' {
                let inner = self.while_byte(end + 1, |byte| {
                    !is_space(byte) && (is_url(byte) || byte == b'(')
                });
                match self.literal(inner, ")") {
                    Some(behind) => end = behind,
                    None => return end,
                }
            } else if is_url(byte) && !is_space(byte) {
                end += 1;
            } else {
                return end;
            }
        }
        end
    }

    /// `+` and digits: the end, and how many digits.
    fn phone(&self, at: usize) -> Option<(usize, usize)> {
        let start = self.literal(at, "+")?;
        let digits = |at: usize| {
            let end = self.while_byte(at, |byte| byte.is_ascii_digit());
            (end > at).then_some(end)
        };
        if let Some(prefix) = digits(start) {
            let count = prefix - start;
            return Some(match self.literal(prefix, "-").and_then(digits) {
                Some(end) => (end, count + end - prefix - 1),
                None => (prefix, count),
            });
        }
        let inner = self.literal(start, "(")?;
        let inner_end = digits(inner)?;
        let prefix = self.literal(inner_end, ")")?;
        let count = inner_end - inner;
        if let Some(end) = self.literal(prefix, "-").and_then(digits) {
            return Some((end, count + end - prefix - 1));
        }
        let end = digits(prefix)?;
        let count = count + end - prefix;
        Some(match self.literal(end, "-").and_then(digits) {
            Some(behind) => (behind, count + behind - end - 1),
            None => (end, count),
        })
    }

    /// An e-mail address.
    fn address(&mut self, at: usize) -> Option<usize> {
        if !self.occurs_behind(at, b'@') {
            return None;
        }
        // The prefix is not taken for a part of the address, unless there is none.
        let start = self.literal(at, "mailto:").unwrap_or(at);
        let local = self.local_end(start)?;
        let host = self.literal(local, "@")?;
        let end = self.domain_name(host)?;
        let span = Span::new(start, end);
        if domain::is_mail_host(&self.text[start..end], self.scratch) {
            self.push_link(Target::Address(span), span);
        } else {
            self.nodes.push(Node::Text(span));
        }
        Some(end)
    }

    /// End of the part before the `@`.
    fn local_end(&mut self, at: usize) -> Option<usize> {
        if !is_local(self.character(at)?) {
            return None;
        }
        if let Some(end) = self.local.end(at) {
            return Some(end);
        }
        let mut end = at;
        while let Some(character) = self.character(end) {
            let fits = is_local(character)
                || character.is_ascii() && is_local_special(character)
                || character == '.' && self.character(end + 1).is_some_and(is_local);
            if !fits {
                break;
            }
            end += character.len_utf8();
        }
        self.local = Run { start: at, end };
        Some(end)
    }

    // Names, emoji, instants.

    /// `@name` and `#name`; directly behind a character both are text.
    fn mention(&mut self, at: usize, emoji: bool) -> Option<usize> {
        let character = self.character(at)?;
        // To the grammar a character beyond the Basic Multilingual Plane is two, and an emoji is tried at the first.
        if is_any_text(character)
            && (character <= '\u{ffff}' || !emoji || self.unicode_emoji(at).is_none())
            && let Some(end) = self
                .mention_in_word(at, character, b'@')
                .or_else(|| self.user(at))
                .or_else(|| self.mention_in_word(at, character, b'#'))
        {
            return Some(end);
        }
        let start = self.literal(at, "#")?;
        let end = self.name_end(start)?;
        self.nodes.push(Node::Channel(Span::new(start, end)));
        Some(end)
    }

    fn user(&mut self, at: usize) -> Option<usize> {
        if self.byte(at)? != b'@' {
            return None;
        }
        let start = self.same_end(at);
        let mut end = self.name_end(start)?;
        // `@name:server` and `@name@server`.
        if matches!(self.byte(end), Some(b':' | b'@'))
            && let Some(server) = self.name_end(end + 1)
        {
            end = server;
        }
        self.nodes.push(Node::User(Span::new(start, end)));
        Some(end)
    }

    fn mention_in_word(&mut self, at: usize, character: char, sign: u8) -> Option<usize> {
        let signs = at + character.len_utf8();
        let start = if sign == b'@' {
            self.same_sign_end(signs)
        } else if self.byte(signs) == Some(sign) {
            signs + 1
        } else {
            signs
        };
        if start == signs {
            return None;
        }
        let first = self
            .character(start)
            .filter(|&first| is_alphanumeric(first))?;
        let end = start + first.len_utf8();
        // Of several signs one is left.
        self.push_text(at, signs);
        self.push_text(start - 1, end);
        Some(end)
    }

    fn same_sign_end(&mut self, at: usize) -> usize {
        if self.byte(at) == Some(b'@') {
            self.same_end(at)
        } else {
            at
        }
    }

    fn name_end(&self, at: usize) -> Option<usize> {
        let end = self.while_character(at, is_name);
        (end > at).then_some(end)
    }

    fn emoji(&mut self, at: usize) -> Option<usize> {
        if self.byte(at)? == b':' {
            let end = self.while_byte(at + 1, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'.')
            });
            let close = self.literal(end, ":")?;
            if end == at + 1 {
                return None;
            }
            let text = Span::new(at + 1, end);
            self.nodes.push(Node::Emoji {
                text,
                code: Code::Written(text),
            });
            return Some(close);
        }
        let end = self.unicode_emoji(at)?;
        self.nodes.push(Node::Unicode(Span::new(at, end)));
        Some(end)
    }

    fn unicode_emoji(&self, at: usize) -> Option<usize> {
        let character = self.character(at).filter(|other| !other.is_ascii())?;
        let next = at + character.len_utf8();
        match character {
            '\u{1f600}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6fa}' => Some(next),
            '\u{1f900}'..='\u{1f9ff}' => Some(self.joined(next).unwrap_or(next)),
            '\u{1f300}'..='\u{1f5ff}' => {
                let mut start = at;
                loop {
                    let end = self.pictograph(start)?;
                    let end = match self.character(end) {
                        Some('\u{1f3fb}'..='\u{1f3ff}') => end + 4,
                        _ => end,
                    };
                    match self.character(end) {
                        Some('\u{200d}') => start = end + 3,
                        _ => return Some(end),
                    }
                }
            }
            '\u{2300}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' => Some(self.variation(next)),
            '\u{1f100}'..='\u{1f1ff}' => match self.character(next)? {
                '\u{1f100}'..='\u{1f1ff}' => Some(next + 4),
                _ => None,
            },
            _ => None,
        }
    }

    fn pictograph(&self, at: usize) -> Option<usize> {
        match self.character(at)? {
            '\u{1f300}'..='\u{1f5ff}' => Some(self.variation(at + 4)),
            _ => None,
        }
    }

    fn joined(&self, at: usize) -> Option<usize> {
        let mut end = self.pictograph(at)?;
        while self.character(end) == Some('\u{200d}')
            && let Some(next) = self.pictograph(end + 3)
        {
            end = next;
        }
        Some(end)
    }

    fn variation(&self, at: usize) -> usize {
        match self.character(at) {
            Some('\u{fe00}'..='\u{fe0f}') => at + 3,
            _ => at,
        }
    }

    fn emoticon(&mut self, at: usize) -> Option<(usize, Node)> {
        if !self.options.emoticons {
            return None;
        }
        let (length, code) = emoticon::at_start(&self.bytes[at..])?;
        let end = at + length;
        Some((
            end,
            Node::Emoji {
                text: Span::new(at, end),
                code: Code::Meant(code),
            },
        ))
    }

    fn beside_emoticon(&self, at: usize) -> bool {
        self.byte(at)
            .is_none_or(|byte| is_space(byte) || byte == b'*')
    }

    /// Whether something fits, without keeping it.
    fn looks_ahead(&mut self, pattern: impl FnOnce(&mut Self) -> Option<usize>) -> bool {
        if self.lookahead >= LOOKAHEAD {
            return true;
        }
        self.lookahead += 1;
        let kept = self.nodes.len();
        let found = pattern(self).is_some();
        self.nodes.truncate(kept);
        self.lookahead -= 1;
        found
    }

    fn big_emoji(&mut self) -> Option<usize> {
        let mut at = self.while_byte(0, is_space);
        self.nodes.push(Node::Start(Tag::BigEmoji));
        for _ in 0..3 {
            if let Some(end) = self.emoji(at) {
                at = end;
            } else if let Some((end, node)) = self.emoticon(at) {
                self.nodes.push(node);
                at = end;
            } else {
                break;
            }
            at = self.while_byte(at, is_space);
        }
        if self.nodes.len() == 1 || at < self.bytes.len() {
            self.nodes.clear();
            return None;
        }
        self.nodes.push(Node::End(Tag::BigEmoji));
        Some(at)
    }

    fn timestamp(&mut self, at: usize) -> Option<usize> {
        let start = self.literal(at, "<t:")?;
        let (end, seconds) = self.instant(start)?;
        let (end, form) = match self.literal(end, ":") {
            Some(letter) => (letter + 1, TimeForm::of(self.byte(letter)?)?),
            None => (end, TimeForm::ShortTime),
        };
        let end = self.literal(end, ">")?;
        self.nodes.push(Node::Time { seconds, form });
        Some(end)
    }

    /// Seconds since 1970, a date with time (UTC where it has no offset), or a time of the message's day with an offset.
    fn instant(&self, at: usize) -> Option<(usize, i64)> {
        let digits = |at: usize, count: usize| {
            let text = self.text.get(at..at + count)?;
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<i64>().ok()).flatten()
        };
        if let Some(seconds) = digits(at, 10) {
            return Some((at + 10, seconds));
        }
        let offset = |at: usize| {
            let sign = match self.byte(at)? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let hours = digits(at + 1, 2)?;
            let minutes = digits(self.literal(at + 3, ":")?, 2)?;
            let fits = hours < 24 && minutes < 60;
            Some((at + 6, fits.then_some(sign * (hours * 3600 + minutes * 60))))
        };
        let clock = |at: usize| {
            let hours = digits(at, 2)?;
            let minutes = digits(self.literal(at + 2, ":")?, 2)?;
            let short = at + 5;
            let seconds = self.literal(short, ":").and_then(|at| digits(at, 2));
            let end = if seconds.is_some() { short + 3 } else { short };
            let seconds = seconds.unwrap_or_default();
            let whole = hours == 24 && minutes == 0 && seconds == 0;
            let fits = (hours < 24 || whole) && minutes < 60 && seconds < 60;
            Some((end, fits.then_some(hours * 3600 + minutes * 60 + seconds)))
        };
        // What is no instant is the beginning of 1970, and what does not fit 32 bits is cut, as in JavaScript.
        let sum = |day: Option<i64>, clock: Option<i64>, offset: Option<i64>| {
            let seconds = day
                .zip(clock)
                .zip(offset)
                .map_or(0, |((day, clock), offset)| day * 86_400 + clock - offset);
            #[expect(clippy::cast_possible_truncation, reason = "as in JavaScript")]
            let seconds = seconds as i32;
            i64::from(seconds)
        };
        let date = || {
            let year = digits(at, 4)?;
            let month = digits(self.literal(at + 4, "-")?, 2)?;
            let day = digits(self.literal(at + 7, "-")?, 2)?;
            let start = self.literal(at + 10, "T")?;
            let (end, time) = clock(start)?;
            if end != start + 8 {
                return None;
            }
            // The 31st of a short month is a day of the next, as in JavaScript.
            let first =
                jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1);
            let day = first
                .ok()
                .filter(|_| (1..=31).contains(&day))
                .and_then(|first| {
                    let since = first.since(jiff::civil::date(1970, 1, 1)).ok()?;
                    Some(i64::from(since.get_days()) + day - 1)
                });
            let end = self
                .literal(end, ".")
                .filter(|&millis| digits(millis, 3).is_some())
                .map_or(end, |millis| millis + 3);
            let (end, offset) = offset(end).unwrap_or((end, Some(0)));
            Some((end, sum(day, time, offset)))
        };
        date().or_else(|| {
            let (end, time) = clock(at)?;
            // Rocket.Chat knows no time of day without an offset.
            let (end, offset) = offset(end).unwrap_or((end, None));
            let today = self.sent.div_euclid(86_400_000);
            Some((end, sum(Some(today), time, offset)))
        })
    }

    // What everything above is made of.

    /// Puts what is found into a container.
    fn within(
        &mut self,
        tag: Tag,
        content: impl FnOnce(&mut Self) -> Option<usize>,
    ) -> Option<usize> {
        let first = self.nodes.len();
        self.nodes.push(Node::Start(tag));
        let found = content(self);
        if found.is_some() {
            self.nodes.push(Node::End(tag));
        } else {
            self.nodes.truncate(first);
        }
        found
    }

    fn push_link(&mut self, target: Target, shown: Span) {
        self.nodes.extend([
            Node::Start(Tag::Link(target)),
            Node::Text(shown),
            Node::End(Tag::Link(target)),
        ]);
    }

    fn push_text(&mut self, start: usize, end: usize) {
        self.nodes.push(Node::Text(Span::new(start, end)));
    }

    /// Joins pieces of text, and turns emoji that touch others or text into text again.
    fn reduce(&mut self, first: usize) {
        #[derive(Clone, Copy, PartialEq)]
        enum Beside {
            Nothing,
            Emoji,
            Text,
            Blank,
        }
        let text = self.text;
        let beside = |node: Option<&Node>| match node {
            Some(Node::Emoji { .. } | Node::Unicode(_)) => Beside::Emoji,
            Some(Node::Text(span)) if is_blank(&text[span.start as usize..span.end as usize]) => {
                Beside::Blank
            }
            Some(Node::Text(_)) => Beside::Text,
            _ => Beside::Nothing,
        };
        let mut previous = Beside::Nothing;
        let mut write = first;
        let mut read = first;
        while read < self.nodes.len() {
            let next = after(self.nodes, read);
            let mut node = self.nodes[read];
            let kind = beside(Some(&node));
            if let Node::Emoji { text, code } = node {
                let touches = |beside| matches!(beside, Beside::Emoji | Beside::Text);
                if touches(previous) || touches(beside(self.nodes.get(next))) {
                    node = Node::Text(match code {
                        Code::Meant(_) => text,
                        // With its colons.
                        Code::Written(_) => Span {
                            start: text.start - 1,
                            end: text.end + 1,
                        },
                    });
                }
            }
            previous = kind;
            let joined = match (write > first).then(|| &mut self.nodes[write - 1]) {
                Some(Node::Text(before)) => match node {
                    Node::Text(span) if before.end == span.start => {
                        before.end = span.end;
                        true
                    }
                    _ => false,
                },
                _ => false,
            };
            if !joined {
                self.nodes.copy_within(read..next, write);
                self.nodes[write] = node;
                write += next - read;
            }
            read = next;
        }
        self.nodes.truncate(write);
    }

    /// Takes from what may still be tried. `None` when there is nothing left.
    fn spend(&mut self, steps: u64) -> Option<()> {
        self.steps = self.steps.saturating_sub(steps);
        (self.steps > 0).then_some(())
    }

    /// Whether a byte stands at a place or behind it.
    fn occurs_behind(&mut self, at: usize, byte: u8) -> bool {
        let bytes = self.bytes;
        let last = self.last[usize::from(byte & 127)].get_or_insert_with(|| {
            bytes
                .iter()
                .rposition(|&other| other == byte)
                .map_or(0, |place| place + 1)
        });
        at < *last
    }

    /// End of a word of ASCII letters and digits.
    fn word_end(&mut self, at: usize) -> Option<usize> {
        if let Some(end) = self.word.end(at) {
            return Some(end);
        }
        let end = self.while_byte(at, |byte| byte.is_ascii_alphanumeric());
        self.word = Run { start: at, end };
        (end > at).then_some(end)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn character(&self, at: usize) -> Option<char> {
        match self.byte(at)? {
            byte if byte.is_ascii() => Some(char::from(byte)),
            _ => self.text.get(at..)?.chars().next(),
        }
    }

    fn starts(&self, at: usize, literal: &str) -> bool {
        self.bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(literal.as_bytes()))
    }

    fn literal(&self, at: usize, literal: &str) -> Option<usize> {
        self.starts(at, literal).then_some(at + literal.len())
    }

    fn while_byte(&self, at: usize, fits: impl Fn(u8) -> bool) -> usize {
        let Some(rest) = self.bytes.get(at..) else {
            return at;
        };
        at + rest
            .iter()
            .position(|&byte| !fits(byte))
            .unwrap_or(rest.len())
    }

    fn while_character(&self, at: usize, fits: impl Fn(char) -> bool) -> usize {
        let Some(rest) = self.text.get(at..) else {
            return at;
        };
        at + rest
            .find(|character| !fits(character))
            .unwrap_or(rest.len())
    }

    fn skip_blanks(&self, at: usize) -> usize {
        self.while_byte(at, |byte| matches!(byte, b' ' | b'\t'))
    }

    fn rest_of_line(&self, at: usize) -> usize {
        self.while_byte(at, |byte| !matches!(byte, b'\n' | b'\r'))
    }

    fn line_end(&self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'\r' if self.byte(at + 1) == Some(b'\n') => Some(at + 2),
            b'\n' | b'\r' => Some(at + 1),
            _ => None,
        }
    }
}

/// What may begin at a byte in a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    Nothing,
    /// Space between words.
    Space,
    /// The end of the line.
    Line,
    /// A full stop joins parts of a host.
    Host,
    /// The first letter of `localhost`.
    Letter,
    /// Anything.
    Much,
}

const BEGINS: [Begins; 256] = {
    let mut table = [Begins::Nothing; 256];
    let much = b"*_~`[<>|\\@#:;=+$().'%";
    let mut index = 0;
    while index < much.len() {
        table[much[index] as usize] = Begins::Much;
        index += 1;
    }
    table[b'.' as usize] = Begins::Host;
    table[b'l' as usize] = Begins::Letter;
    table[b' ' as usize] = Begins::Space;
    table[b'\t' as usize] = Begins::Space;
    table[b'\n' as usize] = Begins::Line;
    table[b'\r' as usize] = Begins::Line;
    // Emoji: U+2300 to U+27BF, and beyond the Basic Multilingual Plane.
    table[0xe2] = Begins::Much;
    table[0xf0] = Begins::Much;
    table
};

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Printable characters but `()*`, brackets, `\^_`, the backtick, braces, `|` and `~`; everything that is not ASCII.
fn is_any_text(character: char) -> bool {
    matches!(character, '\u{20}'..='\u{27}' | '\u{2b}'..='\u{5a}' | 'a'..='z')
        || !character.is_ascii()
}

/// What stands in a URL, but for parentheses.
fn is_url(byte: u8) -> bool {
    byte >= 0x20 && !matches!(byte, b'(' | b')' | b'\\' | b'|' | 0x7f)
}

/// Punctuation that does not belong to a URL before a space.
fn is_extra(byte: u8) -> bool {
    matches!(
        byte,
        b'.' | b',' | b'!' | b'%' | b'~' | b'*' | b'"' | b'\'' | b':' | b';' | b'(' | b')' | b'='
    )
}

/// What parts of a host are made of, but for `-` and `_`.
fn is_host(byte: u8) -> bool {
    !is_extra(byte)
        && !is_no_host(char::from(byte))
        && !matches!(byte, b'$' | b'@' | b'&' | b'+' | b'_' | b'#' | b'?' | b'-')
}

fn is_no_host(character: char) -> bool {
    matches!(
        character,
        ' ' | '\t' | '\n' | '\r' | '\\' | '/' | '|' | '>' | '<' | '%' | '`' | '[' | ']'
    )
}

fn is_local_special(character: char) -> bool {
    matches!(
        character,
        '!' | '#'
            | '$'
            | '%'
            | '&'
            | '\''
            | '*'
            | '+'
            | '/'
            | '='
            | '?'
            | '^'
            | '_'
            | '`'
            | '{'
            | '|'
            | '}'
            | '~'
            | '-'
    )
}
