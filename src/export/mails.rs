//! The export as mails: one RFC 5322 message for each message of the room, as files (`eml`) or one after the other
//! (`mbox`), so that mail programs and archives show threads as threads.
//!
//! Files are parts of their message, streamed: of one that breaks off a further part tells, because what stands above it
//! is written already. An mbox is of the form mboxrd: lines end with LF, and `From ` at the beginning of a line, `>` in
//! front of it or not, gets one `>` more.

use std::io::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use transcript::bson::id_text;
use transcript::mail::html::{DARK, MailHtml};
use transcript::mail::text::PlainText;
use transcript::mail::{Labels, MailFile, MailFilePlace, Shown, thread_root, write};
use transcript::markup::Options;
use transcript::message::{Anomalies, Anomaly, Field, FileRef, Message};
use transcript::names;
use transcript::output::Output;
use transcript::room::RoomInfo;
use transcript::system::{Sentence, sentence};
use transcript::texts::Sentences;
use transcript::time::IsoWriter;
use zipstream::{EntryOptions, Method};

use super::ExportError;
use super::archive::Archive;
use super::attachments::{Opened, Opening, incomplete, open};
use super::ledger::MissingFile;
use super::report::{FileCounts, hex};
use crate::blob::{BlobError, BlobStore};
use crate::mail::Address;
use crate::mail::dates::Dates;
use crate::mail::messages::title;
use crate::mail::mime::{self, Base64Lines};
use crate::store::MessageSource;
use crate::words;

/// Characters of a message's beginning in subjects.
const EXCERPT: usize = 70;
/// Rendered bytes are handed on when there are so many.
const PIECE: usize = 64 * 1024;
/// Marks a part with a file of a message; `verify` counts these.
pub(crate) const FILE_HEADER: &str = "X-Rocketchat-File";
/// Domains that no mail can reach (RFC 2606): answers to a chat from an archive have nowhere to go.
const USERS: &str = "users.rocketchat.invalid";
const ROOMS: &str = "rocketchat.invalid";

/// Writes messages as mails.
pub(super) struct Mails<'a> {
    source: Arc<dyn MessageSource>,
    blobs: Arc<dyn BlobStore>,
    cancel: CancellationToken,
    on_missing: &'a (dyn Fn(&MissingFile) + Send + Sync),
    room: RoomInfo,
    room_title: String,
    dates: Dates,
    /// Write the texts of each mail.
    text: PlainText,
    html: MailHtml,
    attachments: bool,
    mbox: bool,
    iso: IsoWriter,
    /// What of a mail is not handed on yet.
    out: Vec<u8>,
    mailboxed: Vec<u8>,
    pub(super) files: FileCounts,
}

/// The parts of an export that mails need.
pub(super) struct Parts<'a> {
    pub(super) source: Arc<dyn MessageSource>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) cancel: CancellationToken,
    pub(super) on_missing: &'a (dyn Fn(&MissingFile) + Send + Sync),
}

impl<'a> Mails<'a> {
    /// For a room. `mbox`: one after the other.
    pub(super) fn new(
        parts: Parts<'a>,
        room: &RoomInfo,
        dates: Dates,
        markup: Options,
        attachments: bool,
        mbox: bool,
    ) -> Self {
        Self {
            source: parts.source,
            blobs: parts.blobs,
            cancel: parts.cancel,
            on_missing: parts.on_missing,
            room_title: title(room),
            room: room.clone(),
            dates,
            text: PlainText::new(markup.clone()),
            html: MailHtml::new(markup),
            attachments,
            mbox,
            iso: IsoWriter::default(),
            out: Vec::new(),
            mailboxed: Vec::new(),
            files: FileCounts::default(),
        }
    }

    /// Begins the mailbox.
    pub(super) fn begin<W: Write>(&self, archive: &mut Archive<W>) -> Result<(), ExportError> {
        if !self.mbox {
            return Ok(());
        }
        let wanted = names::safe(&format!("{}.mbox", self.room.file_stem()));
        let name = archive.ledger.reserve_name(&wanted)?;
        archive.start_entry(&name)
    }

    /// Ends it.
    pub(super) fn finish<W: Write>(&self, archive: &mut Archive<W>) -> Result<(), ExportError> {
        if self.mbox {
            archive.finish_entry()
        } else {
            Ok(())
        }
    }

    /// Writes a message, with the old versions of it, and its files.
    pub(super) fn message<W: Write>(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
        archive: &mut Archive<W>,
    ) -> Result<Anomalies, ExportError> {
        let mut anomalies = message.anomalies();
        for version in history {
            anomalies.extend(version.anomalies());
        }
        if sentence(message, &Sentences::ENGLISH, &mut String::new()) == Sentence::Unknown {
            anomalies.add(Anomaly::UnknownType);
        }
        let id = own_id(message);
        let root = message.get(Field::Tmid).filter(|root| root.truthy());
        let root_id = root.map(|root| id_text(root).into_owned());
        let thread = match &root_id {
            Some(root) => archive.ledger.root(root)?,
            None => None,
        };
        if message.get(Field::Tcount).is_some() {
            archive
                .ledger
                .remember_root(&id, &thread_root(message, EXCERPT, &Labels::ENGLISH))?;
        }
        if self.mbox {
            self.envelope(message);
        } else {
            let sent = message.ts().and_then(|ts| self.iso.text(ts));
            let wanted = names::mail(sent, &id);
            let name = archive.ledger.reserve_name(&wanted)?;
            archive.zip.start_entry(EntryOptions {
                name: &name,
                method: Method::Deflate,
                // A text is bounded by its document; files are not.
                large: self.attachments && message.files().next().is_some(),
            })?;
        }
        let subject = match &thread {
            Some(root) => format!("Re: [{}] {}", self.room_title, root.excerpt),
            None if root_id.is_some() => format!("Re: [{}]", self.room_title),
            None => format!(
                "[{}] {}",
                self.room_title,
                thread_root(message, EXCERPT, &Labels::ENGLISH).excerpt
            ),
        };
        self.head(message, &id, root_id.as_deref(), subject.trim())?;
        let files = self.look(message)?;
        let when = message.ts().map(|ts| self.dates.text(ts));
        let shown = Shown {
            message,
            when: when.as_deref().unwrap_or_default(),
            root: thread.as_ref(),
            files: &files,
            history,
            instants: &self.dates,
        };
        let mixed = boundary(&id, 1);
        let has_parts = self.attachments && message.files().next().is_some();
        if has_parts {
            mime::multipart(&mut self.out, "mixed", &mixed, "");
            mime::begin(&mut self.out, &mixed);
        }
        texts(
            &mut self.out,
            (&mut self.text, &mut self.html),
            &shown,
            &boundary(&id, 2),
        );
        if has_parts {
            for (file, looked) in message.files().zip(&files) {
                self.file(message, &file, looked, &mixed, archive)?;
            }
            mime::end(&mut self.out, &mixed);
        }
        if self.mbox {
            // Mails end with an empty line.
            self.out.extend_from_slice(b"\n");
        }
        self.flush(archive)?;
        if !self.mbox {
            archive.finish_entry()?;
        }
        Ok(anomalies)
    }

    /// The line before a mail in a mailbox: an address and the time as asctime(3) writes it.
    fn envelope(&mut self, message: &Message<'_>) {
        let at = message.ts().unwrap_or_default();
        let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
        let line = format!(
            "From {} {}\n",
            sender(message),
            at.strftime("%a %b %e %H:%M:%S %Y")
        );
        // Not through the quoting of lines.
        self.mailboxed.extend_from_slice(line.as_bytes());
    }

    fn head(
        &mut self,
        message: &Message<'_>,
        id: &str,
        root: Option<&str>,
        subject: &str,
    ) -> Result<(), ExportError> {
        let author = message.author();
        let alias = message.text(Field::Alias);
        let name = [alias, author.name, author.label()]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        let name = words::one_line(&name.to_str());
        let from = Address {
            name: Some(name).filter(|name| !name.trim().is_empty()),
            address: sender(message),
        };
        let to = Address {
            name: Some(self.room_title.clone()),
            address: format!("{}@{ROOMS}", short(&coded(&self.room.id), 64)),
        };
        let message_id = message_id(&self.room.id, id);
        let date = message.ts().unwrap_or_default();
        let root = root.map(|root| self::message_id(&self.room.id, root));
        mime::archived_head(
            &mut self.out,
            &from,
            &to,
            subject,
            (&message_id, date),
            root.as_deref(),
        )
        .map_err(ExportError::Mail)
    }

    /// What can be known of the files before they are read.
    fn look(&self, message: &Message<'_>) -> Result<Vec<MailFile>, ExportError> {
        let mut files = Vec::new();
        for file in message.files() {
            let id = id_text(file.id);
            let mut shown = MailFile {
                name: if file.name.is_empty() {
                    id.clone().into_owned()
                } else {
                    words::one_line(&file.name.to_str())
                },
                size: String::new(),
                place: MailFilePlace::LeftOut,
            };
            if self.attachments {
                let looked = open(&*self.source, &*self.blobs, &file, &id);
                match Handle::current().block_on(looked)? {
                    Opening::Open(opened) => {
                        let size = opened.length.or(opened.size);
                        shown.size = size.map_or_else(String::new, words::bytes);
                        shown.place = MailFilePlace::Attached;
                    }
                    Opening::Missing(missing) => {
                        shown.place = MailFilePlace::Missing(missing.reason);
                    }
                }
            }
            files.push(shown);
        }
        Ok(files)
    }

    /// A file as a part. One that is not there, or not whole, is told of as a part of its own.
    fn file<W: Write>(
        &mut self,
        message: &Message<'_>,
        file: &FileRef<'_>,
        looked: &MailFile,
        boundary: &str,
        archive: &mut Archive<W>,
    ) -> Result<(), ExportError> {
        let id = id_text(file.id);
        self.files.referenced += 1;
        let opening = open(&*self.source, &*self.blobs, file, &id);
        let lost = match Handle::current().block_on(opening)? {
            Opening::Missing(missing) => Some(missing.reason),
            Opening::Open(opened) => {
                mime::begin(&mut self.out, boundary);
                mime::part_head(&mut self.out, &opened.name, &opened.mime, None);
                let mark = format!("{FILE_HEADER}: {}\r\n\r\n", short(&coded(&id), 200));
                self.out.extend_from_slice(mark.as_bytes());
                let (size, lost) = self.bytes(opened, archive)?;
                if lost.is_none() {
                    self.files.packed += 1;
                    self.files.bytes += size;
                }
                lost
            }
        };
        if let Some(reason) = lost {
            self.files.missing += 1;
            mime::begin(&mut self.out, boundary);
            let told = format!("{}: {reason}\n", looked.name);
            mime::text_entity(&mut self.out, "plain", &told);
            let missing = MissingFile::new(message, file, reason);
            archive.ledger.add_missing(&missing)?;
            (self.on_missing)(&missing);
        }
        Ok(())
    }

    /// The bytes of a file: how many, and why it is not whole, if it is not.
    fn bytes<W: Write>(
        &mut self,
        opened: Opened,
        archive: &mut Archive<W>,
    ) -> Result<(u64, Option<String>), ExportError> {
        let Opened {
            mut reader,
            size: recorded,
            ..
        } = opened;
        let (mut lines, mut size) = (Base64Lines::default(), 0);
        let lost = loop {
            if self.cancel.is_cancelled() {
                return Err(ExportError::Cancelled);
            }
            match Handle::current().block_on(reader.next_chunk()) {
                Ok(Some(chunk)) => {
                    size += chunk.len() as u64;
                    lines.push(&chunk, &mut self.out);
                    if self.out.len() >= PIECE {
                        self.flush(archive)?;
                    }
                }
                Ok(None) => match recorded {
                    Some(expected) if size < expected => {
                        break Some(incomplete(size, expected).reason);
                    }
                    _ => break None,
                },
                Err(BlobError::Missing(missing)) => break Some(missing.reason),
                Err(BlobError::Store(error)) => return Err(error.into()),
            }
        };
        lines.finish(&mut self.out);
        Ok((size, lost))
    }

    /// Hands on what is written.
    fn flush<W: Write>(&mut self, archive: &mut Archive<W>) -> Result<(), ExportError> {
        if self.mbox {
            quoted(&self.out, &mut self.mailboxed);
            archive.write(&self.mailboxed)?;
            self.mailboxed.clear();
            self.mailboxed.shrink_to(2 * PIECE);
        } else {
            archive.write(&self.out)?;
        }
        self.out.clear();
        self.out.shrink_to(2 * PIECE);
        Ok(())
    }
}

/// Writes a message as text and HTML.
fn texts(
    out: &mut Vec<u8>,
    (text, html): (&mut PlainText, &mut MailHtml),
    shown: &Shown<'_>,
    boundary: &str,
) {
    text.out.clear();
    write(text, shown, &Labels::ENGLISH);
    html.out.clear();
    write(html, shown, &Labels::ENGLISH);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\n\
         <style>@media (prefers-color-scheme:dark){{{DARK}}}</style></head>\n\
         <body style=\"font-family:system-ui,sans-serif\">\n{}</body></html>\n",
        String::from_utf8_lossy(&html.out)
    );
    mime::multipart(out, "alternative", boundary, "");
    mime::begin(out, boundary);
    mime::text_entity(out, "plain", &text.out);
    mime::begin(out, boundary);
    mime::text_entity(out, "html", &page);
    mime::end(out, boundary);
}

/// Writes whole lines as a mailbox has them. All CR of ours are parts of line ends.
fn quoted(lines: &[u8], out: &mut Vec<u8>) {
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let unquoted = line.iter().position(|&byte| byte != b'>').unwrap_or(0);
        if line[unquoted..].starts_with(b"From ") {
            out.push(b'>');
        }
        out.extend(line.iter().filter(|&&byte| byte != b'\r'));
    }
}

/// `_id`, or what stands for it in a message that has none: the same for the same document.
fn own_id(message: &Message<'_>) -> String {
    let id = message.id();
    if id.is_empty() {
        hex(&Sha256::digest(message.doc().bytes()))
    } else {
        id.into_owned()
    }
}

/// The `Message-ID` of a message of a room, without brackets: the same in every export.
fn message_id(room: &str, message: &str) -> String {
    format!(
        "{}@{}.{ROOMS}",
        short(&coded(message), 200),
        short(&coded(room), 200).replace('%', "-")
    )
}

/// An address for an author, which is none.
fn sender(message: &Message<'_>) -> String {
    let label = message.author().label().to_str().into_owned();
    let local = if label.is_empty() {
        "unknown".to_owned()
    } else {
        short(&coded(&label), 64)
    };
    format!("{local}@{USERS}")
}

fn boundary(id: &str, number: u8) -> String {
    format!("=_{}_{number}", mime::word(id))
}

/// A text in characters that may stand in any part of an address (RFC 5322 §3.2.3): different texts stay different.
fn coded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            out.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // Nothing is no part of an address.
    if out.is_empty() {
        out.push('%');
    }
    out
}

/// A text that is not too long: the digest of one that is.
fn short(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        text.to_owned()
    } else {
        hex(&Sha256::digest(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_look_like_envelopes_are_quoted() {
        let mut out = Vec::new();
        quoted(
            b"From a\r\n>From b\r\n>>From c\r\nFromage\r\n>>\r\n d From\r\n",
            &mut out,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            ">From a\n>>From b\n>>>From c\nFromage\n>>\n d From\n"
        );
    }

    #[test]
    fn ids_are_different_when_messages_are() {
        let long = "x".repeat(300);
        let ids = [
            "a b",
            "a-b",
            "a.b",
            "a%b",
            "",
            "ü",
            "A B",
            &long,
            &long[1..],
        ];
        let mut seen: Vec<_> = ids.iter().map(|id| message_id("R", id)).collect();
        for id in &seen {
            assert!(id.len() < 500 && id.is_ascii() && !id.contains(' '), "{id}");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), ids.len());
        assert_eq!(
            message_id("GENERAL", "abc"),
            "abc@GENERAL.rocketchat.invalid"
        );
    }
}
