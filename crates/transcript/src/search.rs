//! The search of an HTML export: which words a message has, and the files that the pages load to find them.
//!
//! Every word of the export has a position: one number that grows from message to message, so that a list of positions
//! answers for words, phrases, authors and days alike. Each message begins with a position of its own that no word has,
//! which keeps phrases from reaching into the next message. `docs/formats.md` describes the files; `search.js` reads
//! them. Sorting and spilling is the export's business: nothing here does I/O.

pub mod code;
pub mod files;
mod fold;
mod visible;

pub use fold::{Folder, WORD};
pub use visible::visible;

use std::fmt::Write;

use crate::time::{Local, civil_date};

/// A message as the index takes it.
#[derive(Clone, Copy, Debug)]
pub struct Indexed<'a> {
    /// Username, else real name, else id.
    pub author: &'a str,
    /// Real name; empty when there is none.
    pub name: &'a str,
    /// The name that the message is shown under instead; empty when there is none.
    pub alias: &'a str,
    /// When, on the clock of the pages.
    pub local: Option<Local>,
    /// Everything in it that is to be found, as plain text.
    pub text: &'a str,
}

/// Terms that are no words begin with a character that no word has.
pub mod term {
    /// The beginning of every message.
    pub const MESSAGES: &str = "!";
    /// The beginning of every page.
    pub const PAGES: &str = "#";
    /// The first message of a day: `%2024-03-15`.
    pub const DAY: char = '%';
    /// The messages of an author: `@username`, or `@username`, [`NAME`] and the real name.
    pub const AUTHOR: char = '@';
    /// Between username and real name.
    pub const NAME: char = '\u{1f}';
}

/// Writes the term of a day, counted from 1970-01-01; `false` for one that no calendar has.
pub fn day_term(out: &mut String, day: i64) -> bool {
    out.clear();
    let Some(date) = civil_date(day).filter(|date| date.year() >= 0) else {
        return false;
    };
    out.push(term::DAY);
    // Writing to a string cannot fail.
    let _ = write!(out, "{date}");
    true
}
