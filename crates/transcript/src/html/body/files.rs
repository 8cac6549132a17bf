//! The files of a message: pictures, players, everything else by name, and what is missing in its place.

use super::icons::Icon;
use super::{Body, SHOWN, escape, link};
use crate::bson::{Doc, Text, Value, id_text};
use crate::html::PagedHtml;
use crate::message::{Field, FileRef, Message};
use crate::output::{FilePlace, Output};

/// Pictures larger than this are shown by their thumbnail, when the workspace has made one; in bytes.
const THUMBNAIL_FROM: u64 = 256 << 10;
/// Largest width and height in pixels that are believed.
const PIXELS: i64 = 20_000;

/// Pictures that every browser draws and that carry no script.
const DRAWN: [&[u8]; 6] = [
    b"image/png",
    b"image/jpeg",
    b"image/gif",
    b"image/webp",
    b"image/bmp",
    b"image/avif",
];

/// How the names of such pictures end.
const DRAWN_ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "gif", "webp", "bmp", "avif"];

/// How the names of other files end that a browser shows without running anything in them, or hands to another program.
/// Whatever is not here may be a page: beside an export that was opened from a disk, a page of a stranger could read it,
/// and `download` on a link does not keep a browser from opening it there (HTML standard, "downloading hyperlinks").
const OPENED_ENDINGS: [&str; 52] = [
    "7z", "aac", "avi", "bz2", "csv", "doc", "docx", "flac", "gz", "heic", "heif", "ico", "ics",
    "json", "log", "m4a", "m4v", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "odg", "odp", "ods",
    "odt", "oga", "ogg", "ogv", "opus", "pdf", "ppt", "pptx", "psd", "rar", "rtf", "tar", "tgz",
    "tif", "tiff", "tsv", "txt", "vcf", "wav", "weba", "webm", "xls", "xlsx", "xz", "zip", "zst",
];

fn ends_with(entry: &str, endings: &[&str]) -> bool {
    let extension = extension(Text(entry.as_bytes()));
    endings
        .iter()
        .any(|ending| extension.eq_ignore_ascii_case(ending.as_bytes()))
}

/// Whether an entry of the archive is a picture that a browser draws, by its name.
pub(super) fn is_drawn(entry: &str) -> bool {
    ends_with(entry, &DRAWN_ENDINGS)
}

/// Whether a link may open an entry of the archive. By the entry's name, which a browser goes by when it opens a file
/// from a disk, and not by what its sender said of it.
fn may_be_opened(entry: &str) -> bool {
    is_drawn(entry) || ends_with(entry, &OPENED_ENDINGS)
}

/// How a file is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    Audio,
    Video,
    Other,
}

impl Kind {
    fn of(mime: Text<'_>) -> Self {
        let is = |kind: &[u8]| {
            mime.0
                .get(..kind.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(kind))
        };
        if DRAWN.iter().any(|drawn| mime.0.eq_ignore_ascii_case(drawn)) {
            Self::Picture
        } else if is(b"audio/") {
            Self::Audio
        } else if is(b"video/") {
            Self::Video
        } else {
            Self::Other
        }
    }
}

/// Whether the attachment shows this upload of its message: by `fileId`, else by one of its addresses.
fn shows(attachment: Doc<'_>, id: &str) -> bool {
    if let Some(shown) = attachment.get("fileId").filter(|id| id.truthy()) {
        return id_text(shown) == id;
    }
    ["title_link", "image_url", "audio_url", "video_url"]
        .into_iter()
        .filter_map(|key| attachment.text(key))
        .any(|address| upload_in(address) == Some(id))
}

/// The upload in an address of the workspace (`/file-upload/<id>/<name>`, contract §5.5).
pub(super) fn upload_in(address: Text<'_>) -> Option<&str> {
    let address = std::str::from_utf8(address.0).ok()?;
    let (_, rest) = address.split_once("/file-upload/")?;
    let id = rest.split(['/', '?', '#']).next()?;
    (!id.is_empty()).then_some(id)
}

fn is_file(attachment: Doc<'_>) -> bool {
    attachment.text("type") == Some(Text(b"file"))
}

/// Whether the attachment is that of a file of the message, with which it is shown.
pub(crate) fn is_shown_with_file(message: &Message<'_>, attachment: Doc<'_>) -> bool {
    is_file(attachment)
        && message
            .files()
            .take(SHOWN)
            .any(|file| shows(attachment, &id_text(file.id)))
}

impl<O: Output> Body<'_, O> {
    /// Every file of the message, each in its place.
    pub(super) fn files(&mut self, message: &Message<'_>) -> Result<(), O::Error> {
        if !message.has(Field::File) && !message.has(Field::Files) {
            self.elsewhere(message);
            return Ok(());
        }
        let attachments = message
            .get(Field::Attachments)
            .and_then(Value::array)
            .unwrap_or(Doc::EMPTY);
        for (number, file) in message.files().enumerate() {
            let id = id_text(file.id);
            let place = self.output.file(&id)?;
            // Beyond what people send, a file is shown without looking for its attachment.
            let attachment = if number < SHOWN {
                attachments
                    .values()
                    .take(SHOWN)
                    .filter_map(Value::document)
                    .find(|&attachment| is_file(attachment) && shows(attachment, &id))
            } else {
                None
            };
            let shown = attachment.unwrap_or(Doc::EMPTY);
            self.file(&file, &id, &place, shown)?;
            let description = shown.text("description").filter(|text| !text.is_empty());
            let written = shown.text("text").filter(|text| !text.is_empty());
            if let Some(text) = description.or(written) {
                let md = shown.get("descriptionMd").and_then(Value::array);
                self.rich(md, text)?;
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        file: &FileRef<'_>,
        id: &str,
        place: &FilePlace,
        attachment: Doc<'_>,
    ) -> Result<(), O::Error> {
        let name = if file.name.is_empty() {
            Text(id.as_bytes())
        } else {
            file.name
        };
        let (entry, size) = match place {
            FilePlace::Packed { entry, size } => (entry, *size),
            FilePlace::Missing(missing) => {
                self.markup("<p class=\"file gone\">");
                Icon::of_file(file.mime.0, extension(name)).write(&mut self.html.out);
                self.markup("<span>");
                self.around(self.html.words.file_missing, "<bdi>", name, "</bdi>");
                self.markup(" <span class=\"size\">(");
                self.say(self.html.words.absence(missing.absence));
                if let Some(part) = &missing.part {
                    self.path(part);
                }
                self.markup(")</span></span></p>\n");
                return Ok(());
            }
            FilePlace::LeftOut => {
                self.markup("<p class=\"file left\">");
                Icon::of_file(file.mime.0, extension(name)).write(&mut self.html.out);
                self.markup("<span>");
                self.around(self.html.words.file_left_out, "<bdi>", name, "</bdi>");
                self.markup("</span></p>\n");
                return Ok(());
            }
        };
        let kind = Kind::of(file.mime);
        match kind {
            Kind::Picture => return self.picture(name, entry, size, attachment),
            Kind::Audio => {
                self.markup("<div class=\"player\"><audio controls preload=\"none\" src=\"");
                escape::link(&mut self.html.out, entry);
                self.markup("\"></audio></div>\n");
            }
            Kind::Video => {
                self.markup("<div class=\"player\"><video controls preload=\"none\"");
                self.dimensions(attachment);
                self.markup(" src=\"");
                escape::link(&mut self.html.out, entry);
                self.markup("\"></video></div>\n");
            }
            Kind::Other => {}
        }
        self.markup("<p class=\"file\">");
        Icon::of_file(file.mime.0, extension(name)).write(&mut self.html.out);
        self.markup("<span>");
        self.file_link(name, entry);
        self.file_size(name, size);
        self.markup("</span></p>\n");
        Ok(())
    }

    fn picture(
        &mut self,
        name: Text<'_>,
        entry: &str,
        size: u64,
        attachment: Doc<'_>,
    ) -> Result<(), O::Error> {
        let thumbnail = attachment
            .text("image_url")
            .filter(|_| size > THUMBNAIL_FROM)
            .and_then(upload_in);
        let thumbnail = match thumbnail {
            Some(upload) => self.output.thumbnail(upload)?,
            None => None,
        };
        self.markup("<figure class=\"pic\">");
        let shown = thumbnail.as_deref().unwrap_or(entry);
        self.drawn(name, entry, shown, attachment);
        self.markup("<figcaption>");
        // What the picture does not lead to is found by its path.
        if is_drawn(entry) {
            self.markup("<bdi>");
            self.name(name);
            self.markup("</bdi>");
        } else {
            self.file_link(name, entry);
        }
        self.file_size(name, size);
        self.markup("</figcaption></figure>\n");
        Ok(())
    }

    /// A picture of a message that is quoted.
    pub(super) fn quoted_picture(&mut self, entry: &str, attachment: Doc<'_>) {
        self.markup("<figure class=\"pic\">");
        let title = attachment.text("title").unwrap_or_default();
        self.drawn(title, entry, entry, attachment);
        self.markup("</figure>\n");
    }

    /// The entry `shown` as a picture, which leads to `entry` when that is a picture as well.
    fn drawn(&mut self, name: Text<'_>, entry: &str, shown: &str, attachment: Doc<'_>) {
        let linked = is_drawn(entry);
        if linked {
            self.markup("<a href=\"");
            escape::link(&mut self.html.out, entry);
            self.markup("\">");
        }
        self.markup("<img loading=\"lazy\"");
        self.dimensions(attachment);
        self.markup(" alt=\"");
        self.name(name);
        self.markup("\" src=\"");
        escape::link(&mut self.html.out, shown);
        self.markup("\">");
        if linked {
            self.markup("</a>");
        }
    }

    /// `width` and `height`, when they are known, so that a page does not jump while its pictures load.
    fn dimensions(&mut self, attachment: Doc<'_>) {
        let size = |key| {
            attachment
                .at(&["image_dimensions", key])
                .and_then(Value::integer)
                .filter(|size| (1..=PIXELS).contains(size))
        };
        if let (Some(width), Some(height)) = (size("width"), size("height")) {
            escape::ours_tagged(
                &mut self.html.out,
                " width=\"",
                format_args!("{width}"),
                "\"",
            );
            escape::ours_tagged(
                &mut self.html.out,
                " height=\"",
                format_args!("{height}"),
                "\"",
            );
        }
    }

    /// The file's name as a link, or with its path when it is not to be opened by a click.
    fn file_link(&mut self, name: Text<'_>, entry: &str) {
        let opened = may_be_opened(entry);
        if opened {
            self.markup("<a href=\"");
            escape::link(&mut self.html.out, entry);
            self.markup("\">");
        }
        self.markup("<bdi>");
        self.name(name);
        self.markup("</bdi>");
        if opened {
            self.markup("</a>");
        } else {
            self.path(entry);
        }
    }

    /// Where an entry of the archive is, to be read and not followed.
    fn path(&mut self, entry: &str) {
        self.markup(" <code class=\"path\" dir=\"ltr\">");
        escape::text(&mut self.html.out, entry.as_bytes());
        self.markup("</code>");
    }

    fn file_size(&mut self, name: Text<'_>, size: u64) {
        self.markup(" <span class=\"size\">");
        let extension = extension(name);
        if !extension.is_empty()
            && extension.len() <= 5
            && extension.iter().all(u8::is_ascii_alphanumeric)
        {
            for byte in extension {
                self.html.out.push(byte.to_ascii_uppercase());
            }
            self.markup(" · ");
        }
        size_in_words(self.html, size);
        self.markup("</span>");
    }

    /// Files that are named without an upload of their own: of omnichannel visitors and of imports.
    fn elsewhere(&mut self, message: &Message<'_>) {
        if let Some(visitors) = message.get(Field::FileUpload).and_then(Value::document) {
            let path = visitors.text("publicFilePath").unwrap_or_default();
            let name = path
                .0
                .rsplit(|&byte| byte == b'/')
                .next()
                .unwrap_or_default();
            let name = decoded(name);
            self.named_elsewhere(self.html.words.visitor_file, Text(&name), Text(b""));
        }
        if let Some(imported) = message.get(Field::ImportFile).and_then(Value::document) {
            let name = imported.text("name").unwrap_or_default();
            let from = imported.text("downloadUrl").unwrap_or_default();
            self.named_elsewhere(self.html.words.import_file, name, from);
        }
    }

    fn named_elsewhere(&mut self, what: &'static str, name: Text<'_>, from: Text<'_>) {
        self.markup("<p class=\"file left\">");
        Icon::of_file(b"", extension(name)).write(&mut self.html.out);
        self.markup("<span>");
        self.around(what, "<bdi>", name, "</bdi>");
        self.markup(" ");
        if let Some(address) = link::address(from.0) {
            link::open(&mut self.html.out, address);
            self.name(from);
            self.markup("</a>");
        }
        self.markup("</span></p>\n");
    }
}

/// A name from an address, its percent-encoding undone (RFC 3986 §2.1).
fn decoded(name: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*name.get(at)?).to_digit(16);
    let mut decoded = Vec::with_capacity(name.len());
    let mut at = 0;
    while at < name.len() {
        match (name[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(16 * high + low));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// The end of a file's name, without its dot.
fn extension(name: Text<'_>) -> &[u8] {
    let mut parts = name.0.rsplit(|&byte| byte == b'.');
    match (parts.next(), parts.next()) {
        (Some(extension), Some(_)) if extension.len() <= 8 => extension,
        _ => b"",
    }
}

fn size_in_words(html: &mut PagedHtml, size: u64) {
    let (out, decimal) = (&mut html.out, html.info.locale.decimal());
    let (unit, name) = match size {
        0..1_000 => return escape::filled(out, html.words.bytes, &[&size]),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    escape::ours(
        out,
        format_args!("{}{decimal}{} {name}", size / unit, size % unit * 10 / unit),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_harmless_may_be_opened() {
        for (entry, expected) in [
            ("assets/1-a.png", true),
            ("assets/1-a.PDF", true),
            ("assets/1-a.html.txt", true),
            ("assets/1-a.txt.html", false),
            ("assets/1-a.HTM", false),
            ("assets/1-a.shtm", false),
            ("assets/1-a.ehtml", false),
            ("assets/1-a.xhtml", false),
            ("assets/1-a.mht", false),
            ("assets/1-a.svg", false),
            ("assets/1-a.xml", false),
            ("assets/1-a.js", false),
            ("assets/1-a.eml", false),
            ("assets/1-a.webarchive", false),
            ("assets/1-a", false),
            ("assets/1-png", false),
        ] {
            assert_eq!(may_be_opened(entry), expected, "{entry}");
        }
    }

    #[test]
    fn names_in_addresses_are_decoded() {
        for (name, expected) in [
            ("a%20b%C3%A4", "a bä"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
        ] {
            assert_eq!(decoded(name.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn uploads_are_found_in_addresses() {
        for (address, expected) in [
            ("/file-upload/F1/a.png", Some("F1")),
            ("https://chat.test/file-upload/F1?x", Some("F1")),
            ("/file-upload//x", None),
            ("https://elsewhere.test/a.png", None),
        ] {
            assert_eq!(upload_in(Text(address.as_bytes())), expected, "{address}");
        }
    }
}
