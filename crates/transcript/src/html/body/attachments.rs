//! Quotes and the rich attachments of integrations (contract §5.5); those that show a file stand with their file.

use super::{Body, SHOWN, escape, files, link};
use crate::bson::{Doc, Text, Value};
use crate::markup::is_seen;
use crate::message::Message;
use crate::output::{FilePlace, Output};
use crate::texts::gap;

/// Keys that are shown, or say how something is shown.
const KNOWN: &[&[u8]] = &[
    b"type",
    b"title",
    b"title_link",
    b"title_link_download",
    b"description",
    b"descriptionMd",
    b"fileId",
    b"image_url",
    b"image_type",
    b"image_size",
    b"image_dimensions",
    b"image_preview",
    b"audio_url",
    b"audio_type",
    b"audio_size",
    b"video_url",
    b"video_type",
    b"video_size",
    b"format",
    b"size",
    b"encryption",
    b"hashes",
    b"message_link",
    b"author_name",
    b"author_icon",
    b"author_link",
    b"text",
    b"md",
    b"ts",
    b"attachments",
    b"translations",
    b"pretext",
    b"fields",
    b"thumb_url",
    b"color",
    b"collapsed",
    b"mrkdwn_in",
    b"footer",
    b"footer_icon",
    b"actions",
    b"button_alignment",
    b"fallback",
    b"id",
    b"fileCount",
    b"thumb",
];

impl<O: Output> Body<'_, O> {
    pub(super) fn attachments(
        &mut self,
        message: &Message<'_>,
        attachments: Doc<'_>,
        depth: usize,
    ) -> Result<(), O::Error> {
        let mut shown = 0;
        let mut rest = 0;
        for attachment in attachments.values() {
            let Some(attachment) = attachment.document() else {
                if attachment.truthy() {
                    self.other_value(self.html.words.attachment, attachment);
                }
                continue;
            };
            if shown == SHOWN {
                rest += 1;
                continue;
            }
            shown += 1;
            if !files::is_shown_with_file(message, attachment) {
                self.attachment(message, attachment, depth)?;
            }
        }
        self.more(rest);
        Ok(())
    }

    fn attachment(
        &mut self,
        message: &Message<'_>,
        attachment: Doc<'_>,
        depth: usize,
    ) -> Result<(), O::Error> {
        let text = |key| attachment.text(key).filter(|text| !text.is_empty());
        if text("type") == Some(Text(b"removed-file")) {
            self.markup("<div class=\"file gone\">");
            self.rich(
                None,
                text("text").unwrap_or(Text(self.html.words.file_removed.as_bytes())),
            )?;
            self.markup("</div>\n");
            return Ok(());
        }
        let is_quote = text("message_link").is_some();
        let pretext = text("pretext");
        if let Some(pretext) = pretext {
            self.rich(None, pretext)?;
        }
        self.markup(if is_quote {
            "<blockquote class=\"quote\">"
        } else {
            "<blockquote class=\"quote rich\">"
        });
        self.bar(text("color"));
        self.attachment_author(attachment, is_quote)?;
        if let Some(title) = text("title") {
            self.markup("<div class=\"title\" dir=\"auto\">");
            self.linked(text("title_link"), title);
            self.markup("</div>\n");
        } else if let Some(link) = text("title_link") {
            self.markup("<div class=\"title\">");
            self.linked(Some(link), link);
            self.markup("</div>\n");
        }
        if let Some(words) = text("text") {
            self.rich(attachment.get("md").and_then(Value::array), words)?;
        }
        if let Some(words) = text("description") {
            self.rich(
                attachment.get("descriptionMd").and_then(Value::array),
                words,
            )?;
        }
        if let Some(fields) = attachment.get("fields").and_then(Value::array) {
            self.fields(fields)?;
        }
        for key in ["image_url", "thumb_url", "audio_url", "video_url"] {
            if let Some(address) = text(key) {
                self.remote(key, address, attachment)?;
            }
        }
        if let Some(actions) = attachment.get("actions").and_then(Value::array) {
            self.actions(actions);
        }
        if let Some(translations) = attachment.get("translations").and_then(Value::document) {
            self.translations(translations);
        }
        if let Some(nested) = attachment.get("attachments").and_then(Value::array)
            && !nested.is_empty()
        {
            match depth.checked_sub(1) {
                Some(depth) => self.attachments(message, nested, depth)?,
                None => self.too_deep(),
            }
        }
        let ts = attachment.get("ts").and_then(Value::millis);
        // Integrations write 0 where they mean no time.
        let ts = ts.filter(|&ts| !is_quote && ts != 0);
        if text("footer").is_some() || ts.is_some() {
            self.markup("<div class=\"note\" dir=\"auto\">");
            self.plain_text(text("footer").unwrap_or_default());
            if let Some(ts) = ts {
                self.markup(" ");
                self.instant(ts);
            }
            self.markup("</div>\n");
        }
        self.others(attachment, |key| KNOWN.contains(&key));
        self.markup("</blockquote>\n");
        Ok(())
    }

    /// Who wrote what is quoted, when, and where it stands.
    fn attachment_author(&mut self, attachment: Doc<'_>, is_quote: bool) -> Result<(), O::Error> {
        let text = |key| attachment.text(key).filter(|text| !text.is_empty());
        let name = text("author_name");
        if name.is_none() && !is_quote {
            return Ok(());
        }
        self.markup("<div class=\"by\">");
        if let Some(name) = name {
            self.markup("<b><bdi>");
            self.linked(text("author_link"), name);
            self.markup("</bdi></b> ");
        }
        if is_quote {
            self.quoted(
                text("message_link").unwrap_or_default(),
                attachment.get("ts").and_then(Value::millis),
            )?;
        }
        self.markup("</div>\n");
        Ok(())
    }

    /// The time of a quoted message, as a link to it: into the export when it is there, else to the workspace.
    fn quoted(&mut self, address: Text<'_>, ts: Option<i64>) -> Result<(), O::Error> {
        let address_text = address.to_str();
        let inside = match link::message_id(&address_text) {
            Some(id) => self.place_of(ts.unwrap_or(i64::MIN), id)?,
            None => false,
        };
        let outside = link::address(address.0).filter(|_| !inside);
        if let Some(outside) = outside {
            link::open(&mut self.html.out, outside);
        }
        match ts {
            Some(ts) => self.instant(ts),
            None => self.say(self.html.words.quoted_message),
        }
        if inside || outside.is_some() {
            self.markup("</a>");
        }
        Ok(())
    }

    /// Opens a link to a message of this export; whether it is there.
    fn place_of(&mut self, ts: i64, id: &str) -> Result<bool, O::Error> {
        let Some(page) = self.output.find(ts, id)? else {
            return Ok(false);
        };
        self.markup("<a href=\"");
        self.html.message_link(page, id);
        self.markup("\">");
        Ok(true)
    }

    /// The coloured bar at the side: drawn, because a policy without inline styles allows no other colour than ours.
    fn bar(&mut self, colour: Option<Text<'_>>) {
        let Some(Text(colour)) = colour else { return };
        let named: [(&[u8], &str); 3] = [
            (b"good", "#2c8a3d"),
            (b"warning", "#d29d00"),
            (b"danger", "#d0312d"),
        ];
        let named = named.iter().find(|(name, _)| *name == colour);
        let is_hex = colour.first() == Some(&b'#')
            && matches!(colour.len(), 4 | 7 | 9)
            && colour[1..].iter().all(u8::is_ascii_hexdigit);
        let fill = match named {
            Some((_, fill)) => fill.as_bytes(),
            None if is_hex => colour,
            None => return,
        };
        self.markup("<svg class=\"bar\" viewBox=\"0 0 1 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"1\" height=\"1\" fill=\"");
        escape::text(&mut self.html.out, fill);
        self.markup("\"/></svg>");
    }

    fn fields(&mut self, fields: Doc<'_>) -> Result<(), O::Error> {
        if fields.is_empty() {
            return Ok(());
        }
        self.markup("<dl class=\"fields\">\n");
        let mut rest = 0;
        for (number, field) in fields.values().filter_map(Value::document).enumerate() {
            if number >= SHOWN {
                rest += 1;
                continue;
            }
            let is_short = field.get("short").is_some_and(Value::truthy);
            self.markup(if is_short {
                "<div class=\"short\"><dt dir=\"auto\">"
            } else {
                "<div><dt dir=\"auto\">"
            });
            self.plain_text(field.text("title").unwrap_or_default());
            self.markup("</dt><dd>");
            match field.get("value") {
                Some(Value::String(text)) => self.rich(None, text)?,
                Some(other) if other != Value::Null => self.json(other),
                _ => {}
            }
            self.markup("</dd></div>\n");
        }
        self.markup("</dl>\n");
        self.more(rest);
        Ok(())
    }

    /// A picture, sound or film by its address: shown when it is an upload that is here, else named. Nothing is loaded
    /// from elsewhere.
    fn remote(
        &mut self,
        key: &str,
        address: Text<'_>,
        attachment: Doc<'_>,
    ) -> Result<(), O::Error> {
        if key == "image_url"
            && let Some(upload) = files::upload_in(address)
            && let FilePlace::Packed { entry, .. } = self.output.file(upload)?
            && files::is_drawn(&entry)
        {
            self.quoted_picture(&entry, attachment);
            return Ok(());
        }
        let words = self.html.words;
        let what = match key {
            "image_url" => words.picture,
            "thumb_url" => words.thumbnail,
            "audio_url" => words.sound,
            _ => words.film,
        };
        self.markup("<div class=\"note\">");
        self.say(what);
        self.markup(" ");
        self.linked(Some(address), address);
        self.markup("</div>\n");
        Ok(())
    }

    /// Buttons, which do nothing here: what they say, and where they would lead.
    fn actions(&mut self, actions: Doc<'_>) {
        if actions.is_empty() {
            return;
        }
        self.markup("<ul class=\"acts\">");
        let mut rest = 0;
        for (number, action) in actions.values().filter_map(Value::document).enumerate() {
            if number >= SHOWN {
                rest += 1;
                continue;
            }
            let text = |key| action.text(key).filter(|text| !text.is_empty());
            self.markup("<li>");
            let label = text("text")
                .or(text("image_url"))
                .unwrap_or(Text(self.html.words.button.as_bytes()));
            self.linked(text("url"), label);
            if let Some(says) = text("msg") {
                let (before, after) = gap(self.html.words.says);
                self.markup(" <span class=\"size\">");
                self.say(before);
                self.plain_text(says);
                self.say(after);
                self.markup("</span>");
            }
            self.markup("</li>");
        }
        self.markup("</ul>\n");
        self.more(rest);
    }

    /// A text that links to an address, when that may be a link; else the text, and the address beside it.
    pub(super) fn linked(&mut self, address: Option<Text<'_>>, text: Text<'_>) {
        let Some(address) = address else {
            return self.plain_text(text);
        };
        if let Some(link) = link::address(address.0) {
            link::open(&mut self.html.out, link);
            // Nobody can see or follow a link without a label.
            let is_seen = text.to_str().contains(is_seen);
            self.plain_text(if is_seen { text } else { address });
            self.markup("</a>");
        } else {
            self.plain_text(text);
            if address != text {
                self.markup(" <span class=\"size\">");
                self.plain_text(address);
                self.markup("</span>");
            }
        }
    }

    /// A text as it is, within a line or several.
    pub(super) fn plain_text(&mut self, text: Text<'_>) {
        self.part("", Some(text), "");
    }
}
