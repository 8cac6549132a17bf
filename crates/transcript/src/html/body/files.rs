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

/// Whether an entry of the archive is such a picture, by its name.
pub(super) fn is_drawn(entry: &str) -> bool {
    let extension = extension(Text(entry.as_bytes()));
    ["png", "jpg", "jpeg", "gif", "webp", "bmp", "avif"]
        .iter()
        .any(|drawn| extension.eq_ignore_ascii_case(drawn.as_bytes()))
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
            FilePlace::Missing(reason) => {
                self.markup("<p class=\"file gone\">");
                Icon::of_file(file.mime.0, extension(name)).write(&mut self.html.out);
                self.markup("<span>");
                self.around(self.html.words.file_missing, "<bdi>", name, "</bdi>");
                self.markup(" <span class=\"size\" lang=\"en\">(");
                escape::text(&mut self.html.out, reason.as_bytes());
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
        self.file_link(name, file.mime, entry);
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
        self.markup("<figure class=\"pic\"><a href=\"");
        escape::link(&mut self.html.out, entry);
        self.markup("\"><img loading=\"lazy\"");
        self.dimensions(attachment);
        self.markup(" alt=\"");
        self.name(name);
        self.markup("\" src=\"");
        escape::link(&mut self.html.out, thumbnail.as_deref().unwrap_or(entry));
        self.markup("\"></a><figcaption><bdi>");
        self.name(name);
        self.markup("</bdi>");
        self.file_size(name, size);
        self.markup("</figcaption></figure>\n");
        Ok(())
    }

    /// A picture of a message that is quoted.
    pub(super) fn quoted_picture(&mut self, entry: &str, attachment: Doc<'_>) {
        self.markup("<figure class=\"pic\"><a href=\"");
        escape::link(&mut self.html.out, entry);
        self.markup("\"><img loading=\"lazy\"");
        self.dimensions(attachment);
        self.markup(" alt=\"");
        self.name(attachment.text("title").unwrap_or_default());
        self.markup("\" src=\"");
        escape::link(&mut self.html.out, entry);
        self.markup("\"></a></figure>\n");
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

    fn file_link(&mut self, name: Text<'_>, mime: Text<'_>, entry: &str) {
        self.markup("<a href=\"");
        escape::link(&mut self.html.out, entry);
        self.markup(if can_carry_script(mime, name) {
            "\" download><bdi>"
        } else {
            "\"><bdi>"
        });
        self.name(name);
        self.markup("</bdi></a>");
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

/// Pages and drawings of strangers can carry script: they are saved, not opened in the place of this export.
fn can_carry_script(mime: Text<'_>, name: Text<'_>) -> bool {
    const BY_TYPE: [&[u8]; 4] = [b"html", b"svg", b"xml", b"javascript"];
    // What a browser goes by when it opens a file from a disk.
    const BY_NAME: [&str; 14] = [
        "htm", "html", "shtml", "xhtml", "xht", "mht", "mhtml", "svg", "svgz", "xml", "xsl", "js",
        "mjs", "hta",
    ];
    let extension = extension(name);
    BY_TYPE.iter().any(|kind| {
        mime.0
            .windows(kind.len())
            .any(|part| part.eq_ignore_ascii_case(kind))
    }) || BY_NAME
        .iter()
        .any(|kind| extension.eq_ignore_ascii_case(kind.as_bytes()))
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
    fn what_can_carry_script_is_saved_and_not_opened() {
        for (mime, name, expected) in [
            ("text/html", "a", true),
            ("IMAGE/SVG+XML", "a.png", true),
            ("text/plain", "a.HTM", true),
            ("application/octet-stream", "x.svg", true),
            ("application/pdf", "a.pdf", false),
            ("", "a.png", false),
        ] {
            assert_eq!(
                can_carry_script(Text(mime.as_bytes()), Text(name.as_bytes())),
                expected,
                "{mime} {name}"
            );
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
