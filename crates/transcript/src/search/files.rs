//! The files of the search, as scripts that each hand one piece to `exportRoom`, the function of `search.js`: a page that
//! was opened from a directory may run scripts beside it, and read nothing else.

use std::collections::HashMap;

use super::code::put;
use super::{Indexed, term};
use crate::html::script_text;

/// What reads the other files.
pub const PROGRAM: &str = include_str!("search.js");

/// Bytes of a message's text that results show.
const EXCERPT: usize = 400;
/// Bytes of an author's names.
const NAMES: usize = 120;

/// The beginning of the file that holds piece `name`, up to its text.
pub fn head(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"exportRoom(\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"");
}

/// The end of a file.
pub const FOOT: &[u8] = b"\");\n";

/// Writes the list of the files: how many messages, pages and positions there are, and the first term of every file of
/// terms, parted by tabs and escaped already.
pub fn index(out: &mut Vec<u8>, messages: u64, pages: u64, positions: u64, firsts: &[u8]) {
    head(out, "index");
    for number in [messages, pages, positions] {
        put(out, number);
    }
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(firsts);
    out.extend_from_slice(FOOT);
}

/// Appends a term as it stands in a file.
pub fn term_text(out: &mut Vec<u8>, term: &str) {
    script_text(out, term);
}

/// The term of an author, cut where a name is longer than any that the field allows.
pub fn author_term(out: &mut String, author: &str, name: &str) {
    out.clear();
    out.push(term::AUTHOR);
    push_one_line(out, cut(author, NAMES));
    if !name.is_empty() && name != author {
        out.push(term::NAME);
        push_one_line(out, cut(name, NAMES));
    }
}

/// Terms hold no control characters but [`term::NAME`], which parts them.
fn push_one_line(out: &mut String, text: &str) {
    if text.contains(char::is_control) {
        out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    } else {
        out.push_str(text);
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What results show of the messages of one page. Bounded as the page is.
#[derive(Debug, Default)]
pub struct PageFile {
    authors: HashMap<String, u64>,
    author_list: Vec<u8>,
    records: Vec<u8>,
    key: String,
    minute: i64,
}

impl PageFile {
    /// Adds the page's next message.
    pub fn push(&mut self, message: &Indexed<'_>) {
        let Self {
            authors,
            author_list,
            records,
            key,
            minute,
        } = self;
        let shown = match (message.alias, message.name) {
            ("", "") => message.author,
            ("", name) => name,
            (alias, _) => alias,
        };
        key.clear();
        push_one_line(key, cut(shown, NAMES));
        let author = if let Some(&number) = authors.get(key) {
            number
        } else {
            let number = authors.len() as u64;
            authors.insert(key.clone(), number);
            author_list.push(b'\t');
            script_text(author_list, key);
            number
        };
        records.push(b'\t');
        put(records, author << 1 | u64::from(message.local.is_none()));
        let now = message.local.map_or(*minute, |local| {
            local
                .day
                .saturating_mul(1440)
                .saturating_add(i64::from(local.of_day / 60_000))
        });
        put(records, zigzag(now.wrapping_sub(*minute)));
        *minute = now;
        records.push(b'\t');
        let text = message.text.trim();
        let shown = cut(text, EXCERPT);
        script_text(records, shown);
        if shown.len() < text.len() {
            records.extend_from_slice("…".as_bytes());
        }
    }

    /// Writes the file of page `number`, whose entry is `page`, and makes room for the next one.
    pub fn write(&mut self, number: u64, page: &str, out: &mut Vec<u8>) {
        head(out, &format!("p{number}"));
        script_text(out, page);
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(self.author_list.get(1..).unwrap_or_default());
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(self.records.get(1..).unwrap_or_default());
        out.extend_from_slice(FOOT);
        self.authors.clear();
        self.author_list.clear();
        self.records.clear();
        self.minute = 0;
    }
}

/// Small numbers of either sign as small ones without a sign: 0, −1, 1, −2, ….
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Local;

    #[test]
    fn a_page_lists_what_results_show() {
        let mut file = PageFile::default();
        let local = |minute: u32| {
            Some(Local {
                day: 1,
                of_day: minute * 60_000 + 59_999,
                offset: 0,
            })
        };
        let bob = Indexed {
            author: "bob",
            name: "Bob \"B\" B",
            alias: "",
            local: local(3),
            text: " say\t\"hi\"\n</script> ",
        };
        file.push(&bob);
        file.push(&Indexed {
            alias: "hook",
            local: local(2),
            text: &"é".repeat(300),
            ..bob
        });
        file.push(&Indexed {
            local: None,
            text: "",
            ..bob
        });
        let mut out = Vec::new();
        file.write(7, "GENERAL-8.html", &mut out);
        let expected = format!(
            "exportRoom(\"p7\",\"GENERAL-8.html\",\"Bob \\\"B\\\" B\thook\",\"#{minute}\tsay \\\"hi\\\" \\x3c/script>\t%$\t{}…\t$#\t\");\n",
            "é".repeat(200),
            minute = {
                let mut digits = Vec::new();
                put(&mut digits, 2 * 1443);
                String::from_utf8(digits).unwrap()
            },
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut again = Vec::new();
        file.write(8, "x.html", &mut again);
        assert_eq!(again, b"exportRoom(\"p8\",\"x.html\",\"\",\"\");\n");
    }

    #[test]
    fn authors_are_terms_with_both_names() {
        let cases = [
            ("bob", "", "@bob"),
            ("bob", "bob", "@bob"),
            ("bob", "Bob B.", "@bob\u{1f}Bob B."),
            ("a\tb\u{1f}", "c\nd", "@a b \u{1f}c d"),
        ];
        for (author, name, expected) in cases {
            let mut out = String::new();
            author_term(&mut out, author, name);
            assert_eq!(out, expected);
        }
    }
}
