//! Writes mails as bytes: heads (RFC 5322), bodies (RFC 2045), names in parameters (RFC 2231).
//!
//! Heads go through the mail library, which encodes and folds them; bodies are encoded here, in pieces, so that no
//! attachment is held whole. A boundary begins with `=_`, which neither quoted-printable nor base64 can produce.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{self, ContentDisposition, HeaderName, HeaderValue, Headers};
use lettre::message::{Mailbox, Mailboxes};

use super::{Address, MailError, address};
use crate::words;

/// No encoded line is longer, its end not counted (RFC 2045 §6.7, §6.8).
const LINE: usize = 76;
/// The last millisecond of the years that dates of mails have.
const LAST: u64 = 253_402_300_799_999;
/// Bytes that fill a line of base64.
const BASE64_LINE: usize = LINE / 4 * 3;

/// What stands above a mail. Texts are put on one line before they become headers, so that none can add a header.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `From`.
    pub from: &'a Mailbox,
    /// `To`.
    pub to: &'a [Address],
    /// `Reply-To`.
    pub reply_to: Option<&'a Address>,
    /// `Subject`, not encoded.
    pub subject: &'a str,
    /// `Message-ID` without angle brackets.
    pub message_id: &'a str,
    /// `Date`, milliseconds since 1970.
    pub date: i64,
}

impl Head<'_> {
    /// The headers, without the empty line that ends them. [`MailError::Unusable`] when an address or the id cannot
    /// be one.
    pub(super) fn headers(&self) -> Result<Headers, MailError> {
        let mut headers = Headers::new();
        headers.set(header::From::from(Mailboxes::from(self.from.clone())));
        let mut to = Mailboxes::new();
        for recipient in self.to {
            to.push(mailbox(recipient)?);
        }
        if !self.to.is_empty() {
            headers.set(header::To::from(to));
        }
        if let Some(reply_to) = self.reply_to {
            headers.set(header::ReplyTo::from(Mailboxes::from(mailbox(reply_to)?)));
        }
        headers.set(header::Subject::from(in_header(self.subject)));
        let date = u64::try_from(self.date).unwrap_or_default().min(LAST);
        headers.set(header::Date::new(
            SystemTime::UNIX_EPOCH + Duration::from_millis(date),
        ));
        if !is_id(self.message_id) {
            return Err(MailError::Unusable(format!(
                "the Message-ID {:?} cannot be sent",
                self.message_id
            )));
        }
        headers.set(header::MessageId::from(format!("<{}>", self.message_id)));
        // Keeps holiday notices and mailing lists from answering (RFC 3834 §5).
        headers.insert_raw(raw("Auto-Submitted", "auto-generated".to_owned()));
        Ok(headers)
    }
}

/// The headers of a message that stands for one of a chat: as [`Head`], without what tells programs not to answer, and
/// with the ids of the message that it answers. `MIME-Version` is among them.
pub(crate) fn archived_head(
    out: &mut Vec<u8>,
    from: &Address,
    to: &Address,
    subject: &str,
    (message_id, date): (&str, i64),
    answers: Option<&str>,
) -> Result<(), MailError> {
    let head = Head {
        from: &mailbox(from)?,
        to: std::slice::from_ref(to),
        reply_to: None,
        subject,
        message_id,
        date,
    };
    let mut headers = head.headers()?;
    headers.remove_raw("Auto-Submitted");
    out.extend_from_slice(headers.to_string().as_bytes());
    if let Some(root) = answers.filter(|root| is_id(root)) {
        let lines = format!("In-Reply-To: <{root}>\r\nReferences: <{root}>\r\n");
        out.extend_from_slice(lines.as_bytes());
    }
    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
    Ok(())
}

/// Characters of a subject or a name in a header. A line has at most 998 bytes (RFC 5322 §2.1.1), and cannot be broken
/// where no blank is.
const LONGEST: usize = 250;

/// A text for a header: on one line of bounded length, and nothing in it passes for an encoded word (RFC 2047 §2), which the library would
/// write as it is and readers would decode.
fn in_header(text: &str) -> String {
    let line = words::one_line(text);
    let (mut shown, cut) = match line.char_indices().nth(LONGEST) {
        Some((end, _)) => (line[..end].to_owned(), "…"),
        None => (line, ""),
    };
    shown.push_str(cut);
    shown.replace("=?", "= ?")
}

/// As much of a subject that somebody wrote as a mail shows, on one line, and one character more where there is more, which
/// becomes a mark.
pub(crate) fn subject(text: &str) -> String {
    let line = words::one_line(&text.trim().replace('\r', ""));
    line.chars().take(LONGEST + 1).collect()
}

/// Whether this can stand between the brackets of a `Message-ID`.
pub(super) fn is_id(id: &str) -> bool {
    id.contains('@')
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte))
}

fn mailbox(to: &Address) -> Result<Mailbox, MailError> {
    let parsed = address(&to.address).ok_or_else(|| {
        MailError::Unusable(words::one_line(&format!(
            "`{}` is no mail address",
            to.address
        )))
    })?;
    let name = to.name.as_deref().map(in_header);
    Ok(Mailbox::new(name, parsed))
}

/// A header of ours whose value is ASCII and short.
fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// A part with bytes: an attachment, or a picture for the HTML.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// File name.
    pub name: String,
    /// MIME type as the workspace says.
    pub mime: String,
    /// `Content-ID` without brackets, of a picture that is shown in its place.
    pub content_id: Option<String>,
    /// The bytes, as lines of base64.
    pub lines: Vec<u8>,
}

/// Bytes that the headers of a part take at most, boundary included, names of usual length assumed.
pub const PART_HEAD: u64 = 1024;

/// A whole entity: its headers, the empty line, its body. `id` makes the boundaries; the same input gives the same bytes.
/// Without HTML pictures are attachments as well.
pub fn content(id: &str, text: &str, html: Option<&str>, parts: Vec<Part>) -> Vec<u8> {
    let mut out = b"MIME-Version: 1.0\r\n".to_vec();
    let boundary = |number: u8| format!("=_{}_{number}", word(id));
    let (inline, attached): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| part.content_id.is_some() && html.is_some());
    let mixed = (!attached.is_empty()).then(|| boundary(1));
    if let Some(mixed) = &mixed {
        multipart(&mut out, "mixed", mixed, "");
        begin(&mut out, mixed);
    }
    match html {
        None => text_entity(&mut out, "plain", text),
        Some(html) => {
            let alternative = boundary(2);
            multipart(&mut out, "alternative", &alternative, "");
            begin(&mut out, &alternative);
            text_entity(&mut out, "plain", text);
            begin(&mut out, &alternative);
            if inline.is_empty() {
                text_entity(&mut out, "html", html);
            } else {
                let related = boundary(3);
                multipart(&mut out, "related", &related, "; type=\"text/html\"");
                begin(&mut out, &related);
                text_entity(&mut out, "html", html);
                for part in inline {
                    begin(&mut out, &related);
                    // Each is let go when it is written.
                    part_entity(&mut out, &part);
                }
                end(&mut out, &related);
            }
            end(&mut out, &alternative);
        }
    }
    if let Some(mixed) = &mixed {
        for part in attached {
            begin(&mut out, mixed);
            // Each is let go when it is written.
            part_entity(&mut out, &part);
        }
        end(&mut out, mixed);
    }
    out
}

/// Headers of a multipart entity, and the empty line.
pub(crate) fn multipart(out: &mut Vec<u8>, kind: &str, boundary: &str, more: &str) {
    out.extend_from_slice(
        format!("Content-Type: multipart/{kind};\r\n boundary=\"{boundary}\"{more}\r\n\r\n")
            .as_bytes(),
    );
}

/// The line before a part.
pub(crate) fn begin(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
}

/// The line after the last part.
pub(crate) fn end(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
}

/// A text with its headers.
pub(crate) fn text_entity(out: &mut Vec<u8>, kind: &str, text: &str) {
    out.extend_from_slice(
        format!(
            "Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        )
        .as_bytes(),
    );
    quoted_printable(out, text.as_bytes());
}

fn part_entity(out: &mut Vec<u8>, part: &Part) {
    part_head(out, &part.name, &part.mime, part.content_id.as_deref());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&part.lines);
}

/// Headers of a part with bytes in base64, without the empty line.
pub(crate) fn part_head(out: &mut Vec<u8>, name: &str, mime: &str, content_id: Option<&str>) {
    let name = transcript::names::safe(name);
    let mut headers = Headers::new();
    let mut kind = media_type(mime).to_owned();
    // Without a charset a text is ASCII (RFC 2046 §4.1.2). Nobody has kept which one it has; what is written today is UTF-8.
    if kind
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("text/"))
    {
        kind.push_str("; charset=utf-8");
    }
    headers.insert_raw(raw("Content-Type", kind));
    headers.insert_raw(raw("Content-Transfer-Encoding", "base64".to_owned()));
    headers.set(match content_id {
        Some(_) => ContentDisposition::inline_with_name(&name),
        None => ContentDisposition::attachment(&name),
    });
    out.extend_from_slice(headers.to_string().as_bytes());
    if let Some(id) = content_id {
        out.extend_from_slice(format!("Content-ID: <{id}>\r\n").as_bytes());
    }
}

/// A media type that may stand above base64: composite types may not (RFC 2046 §5), and what is none is bytes.
fn media_type(mime: &str) -> &str {
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match mime.split_once('/') {
        Some((kind, subtype))
            if is_token(kind)
                && is_token(subtype)
                && mime.len() < LINE
                && !["message", "multipart"]
                    .iter()
                    .any(|composite| kind.eq_ignore_ascii_case(composite)) =>
        {
            mime
        }
        _ => "application/octet-stream",
    }
}

/// Quoted-printable (RFC 2045 §6.7) with CRLF for line breaks of either kind. Lines that some mail server changes, those
/// with a dot or `From ` in front, are encoded as well (RFC 2049 §3).
pub(crate) fn quoted_printable(out: &mut Vec<u8>, text: &[u8]) {
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut column = 0;
        for (at, &byte) in line.iter().enumerate() {
            if column + if is_plain(line, at, column) { 1 } else { 3 } >= LINE {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            if is_plain(line, at, column) {
                out.push(byte);
                column += 1;
            } else {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend_from_slice(&[
                    b'=',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]);
                column += 3;
            }
        }
    }
}

/// Whether a byte of a line may stand for itself in a column.
fn is_plain(line: &[u8], at: usize, column: usize) -> bool {
    match line[at] {
        b' ' | b'\t' => at + 1 < line.len(),
        b'.' => column > 0,
        b'F' => column > 0 || !line[at..].starts_with(b"From "),
        b'=' => false,
        byte => byte.is_ascii_graphic(),
    }
}

/// Lines of base64, written in pieces.
#[derive(Debug, Default)]
pub struct Base64Lines {
    /// Less than a line.
    carry: Vec<u8>,
}

impl Base64Lines {
    /// Bytes that so many bytes become, line ends included.
    pub fn length(bytes: u64) -> u64 {
        bytes.div_ceil(BASE64_LINE as u64) * (LINE as u64 + 2)
    }

    /// Encodes a piece.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        if !self.carry.is_empty() {
            let (fill, rest) = piece.split_at(piece.len().min(BASE64_LINE - self.carry.len()));
            self.carry.extend_from_slice(fill);
            piece = rest;
            if self.carry.len() < BASE64_LINE {
                return;
            }
            line(&self.carry, out);
            self.carry.clear();
        }
        let mut lines = piece.chunks_exact(BASE64_LINE);
        for whole in &mut lines {
            line(whole, out);
        }
        self.carry.extend_from_slice(lines.remainder());
    }

    /// Encodes what is left.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.carry.is_empty() {
            line(&self.carry, out);
            self.carry.clear();
        }
    }
}

fn line(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = [0; LINE];
    // A line of ours fits.
    let length = STANDARD.encode_slice(bytes, &mut text).unwrap_or_default();
    out.extend_from_slice(&text[..length]);
    out.extend_from_slice(b"\r\n");
}

/// Only what may stand on either side of a Message-ID's `@` (RFC 5322 §3.6.4), and in a boundary.
pub(crate) fn word(text: &str) -> String {
    let word: String = text
        .chars()
        .take(60)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let mut word = word.trim_matches('.').to_owned();
    while word.contains("..") {
        word = word.replace("..", ".");
    }
    if word.is_empty() {
        "export-room".to_owned()
    } else {
        word
    }
}

/// The `Message-ID` of a job's mail, without brackets. Of the job alone: what the operator sets between two attempts, such
/// as the workspace's address, must not make another mail of it.
pub(crate) fn id_of_job(job: &str) -> String {
    format!("{}@export-room.invalid", word(job))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_id_is_a_word_at_the_host() {
        use crate::app::host;
        for (site, expected) in [
            ("https://chat.example.org", "chat.example.org"),
            ("http://chat.example.org:3000/base", "chat.example.org"),
            ("http://[::1]:3100", "--1"),
            ("https://user@bücher.example", "b-cher.example"),
            ("", "export-room"),
        ] {
            assert_eq!(word(host(site)), expected, "{site}");
        }
    }

    #[test]
    fn texts_are_encoded_so_that_they_survive() {
        let cases = [
            ("", ""),
            ("a\nb\r\n", "a\r\nb\r\n"),
            ("ü=\r", "=C3=BC=3D"),
            ("From here\n.\n..\n", "=46rom here\r\n=2E\r\n=2E.\r\n"),
            ("end \n\t\n", "end=20\r\n=09\r\n"),
            ("\0\u{7f}", "=00=7F"),
            ("a\rb", "a=0Db"),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            quoted_printable(&mut out, text.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn media_types_are_types() {
        for (mime, expected) in [
            ("image/png", "image/png"),
            ("", "application/octet-stream"),
            ("image/png\r\nX: y", "application/octet-stream"),
            ("Message/rfc822", "application/octet-stream"),
            ("multipart/mixed", "application/octet-stream"),
            ("image", "application/octet-stream"),
        ] {
            assert_eq!(media_type(mime), expected);
        }
    }

    #[test]
    fn parts_of_text_say_in_which_characters_they_are() {
        for (mime, expected) in [
            ("text/plain", "Content-Type: text/plain; charset=utf-8\r\n"),
            ("TEXT/csv", "Content-Type: TEXT/csv; charset=utf-8\r\n"),
            ("image/png", "Content-Type: image/png\r\n"),
        ] {
            let mut out = Vec::new();
            part_head(&mut out, "a", mime, None);
            let out = String::from_utf8(out).unwrap();
            assert!(out.contains(expected), "{out}");
        }
    }

    #[test]
    fn no_text_adds_a_header() {
        let from: Mailbox = "Chat <from@example.org>".parse().unwrap();
        for evil in [
            "x\r\nBcc: evil@example.org",
            "x\nBcc: evil@example.org",
            "x\rBcc: evil@example.org",
            "x\r\n\r\nbody",
            "ü\r\nBcc: evil@example.org",
            "\u{2028}Bcc: evil@example.org\0",
        ] {
            let to = [Address {
                name: Some(evil.to_owned()),
                address: "to@example.org".to_owned(),
            }];
            let mut head = Head {
                from: &from,
                to: &to,
                reply_to: Some(&to[0]),
                subject: evil,
                message_id: "a@b",
                date: 1_700_000_000_000,
            };
            let mut out = head.headers().unwrap().to_string().into_bytes();
            part_head(&mut out, evil, evil, Some("id@x"));
            let out = String::from_utf8(out).unwrap();
            assert!(
                !out.replace("\r\n", "\n").contains('\r')
                    && !out
                        .lines()
                        .any(|line| line.is_empty() || line.to_lowercase().starts_with("bcc")),
                "{evil:?}: {out}"
            );
            head.message_id = evil;
            assert!(matches!(head.headers(), Err(MailError::Unusable(_))));
            let address = format!("to@example.org{evil}");
            assert!(super::address(&address).is_none(), "{address:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_short_and_are_no_boundary(text in any::<Vec<u8>>(), repeat in 1_usize..40) {
            let mut out = Vec::new();
            quoted_printable(&mut out, &text.repeat(repeat));
            for line in out.split(|&byte| byte == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                prop_assert!(line.len() <= LINE && line.is_ascii());
                prop_assert!(!line.starts_with(b"--=_") && !line.starts_with(b".") && !line.starts_with(b"From "));
            }
        }

        #[test]
        fn base64_does_not_depend_on_the_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let mut lines = Base64Lines::default();
            let mut out = Vec::new();
            lines.push(first, &mut out);
            lines.push(second, &mut out);
            lines.finish(&mut out);
            prop_assert!(out.len() as u64 <= Base64Lines::length(bytes.len() as u64));
            out.retain(|byte| !b"\r\n".contains(byte));
            prop_assert_eq!(STANDARD.decode(&out).unwrap(), bytes);
        }
    }
}
