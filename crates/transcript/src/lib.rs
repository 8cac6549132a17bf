//! Rocket.Chat messages, read from BSON and rendered.
//!
//! Responsible for what a message *is* and how it is *shown*: the zero-copy reader of its document, the sentences of
//! system messages, the JSON and HTML exports, the names of entries. Not for where documents come from or where bytes
//! go: no I/O, no async, no clock; the same input gives the same bytes. No message can make rendering fail; only the
//! [`output::Output`] can.
//!
//! Facts about Rocket.Chat are cited as "contract §…", the project's collected description of its schemas and
//! exports; `docs/rocketchat-schema.md` has what matters here.

#![warn(missing_docs)]

mod batch;
pub mod bson;
pub mod html;
pub mod json;
pub mod locale;
pub mod mail;
pub mod markup;
pub mod message;
pub mod names;
pub mod output;
pub mod room;
mod scan;
pub mod search;
pub mod system;
pub mod texts;
pub mod time;

pub use batch::DocBatch;
