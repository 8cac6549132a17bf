//! The JSON export: one object per message and line.
//!
//! Every key that Rocket.Chat writes has its name, type and meaning and comes first, in the same order:
//! `msg, username, ts, attachments, type` (contract §6.4). What is missing there follows. No HTML escaping, real
//! names, every system text, files mapped to their own attachments (contract §11.1, faults 10, 11, 14, 15, 17).

mod value;

use crate::bson::{Doc, MAX_DEPTH, Text, Value, id_text};
use crate::message::{Anomalies, Anomaly, Field, FileRef, Message, User, Visibility};
use crate::output::{FilePlace, Output};
use crate::system::{Sentence, sentence};
use crate::texts::Sentences;
use crate::time::IsoWriter;

use value::{Style, key, string};

/// Writes a value as JSON for people, at most `depth` levels of it; whether that was all.
pub(crate) fn plain(
    out: &mut Vec<u8>,
    value: Value<'_>,
    iso: &mut IsoWriter,
    depth: usize,
) -> bool {
    value::write(out, value, Style::Plain, iso, depth).is_ok()
}

/// Rendered bytes are handed on in pieces of about this size.
const PIECE: usize = 64 * 1024;

/// Declares the keys of a message that are written as they are stored, under the name given, in this order, which is that
/// of [`Field`].
macro_rules! as_stored {
    ($($field:ident = $name:literal,)*) => {
        /// The fields, as the bits of [`Message::present`].
        const AS_STORED: u64 = {
            let mut bits = 0;
            $(
                assert!(bits < Field::$field.bit(), "the order is that of the fields");
                bits |= Field::$field.bit();
            )*
            bits
        };

        /// What is written before the value of each.
        const STORED_KEYS: [&str; Field::COUNT] = {
            let mut keys = [""; Field::COUNT];
            $(keys[Field::$field as usize] = concat!(",\"", $name, "\":");)*
            keys
        };
    };
}

as_stored! {
    Alias = "alias",
    Avatar = "avatar",
    Emoji = "emoji",
    Bot = "bot",
    Tmid = "tmid",
    Tshow = "tshow",
    Tcount = "tcount",
    Tlm = "tlm",
    Replies = "replies",
    Drid = "drid",
    Dcount = "dcount",
    Dlm = "dlm",
    Reactions = "reactions",
    Mentions = "mentions",
    Channels = "channels",
    Urls = "urls",
    Blocks = "blocks",
    Location = "location",
    Translations = "translations",
    TranslationProvider = "translationProvider",
    Role = "role",
    Comment = "comment",
    Navigation = "navigation",
    TransferData = "transferData",
    RequestData = "requestData",
    SlaData = "slaData",
    PriorityData = "priorityData",
    WebRtcCallEndTs = "webRtcCallEndTs",
    FileUpload = "fileUpload",
    ActionLinks = "actionLinks",
    SnippetId = "snippetId",
    SnippetName = "snippetName",
    E2e = "e2e",
    E2eMentions = "e2eMentions",
    Private = "private",
    Imported = "imported",
    ImportIds = "importIds",
    ImportFile = "importFile",
    SlackBotId = "slackBotId",
    SlackTs = "slackTs",
    SentByEmail = "sentByEmail",
    Email = "email",
    Federation = "federation",
    CustomFields = "customFields",
    ExpireAt = "expireAt",
    Html = "html",
}

/// Without any of these fields a message was neither edited nor deleted.
const EDITED: u64 =
    Field::EditedAt.bit() | Field::EditedBy.bit() | Field::Hidden.bit() | Field::T.bit();

/// Without any of these fields a message has no files.
const WITH_FILES: u64 = Field::File.bit() | Field::Files.bit();

/// Keys of an attachment that Rocket.Chat copies, in its order (contract §6.4).
const ATTACHMENT: &[&str] = &[
    "type",
    "title",
    "title_link",
    "image_url",
    "audio_url",
    "video_url",
    "message_link",
    "image_type",
    "image_size",
    "video_size",
    "video_type",
    "audio_size",
    "audio_type",
];

/// Keys of an attachment that are not exported: derived from its text, or a blur of an image that is in the archive.
const DERIVED: &[&str] = &["md", "descriptionMd", "image_preview"];

/// Writes messages as lines of JSON.
#[derive(Debug)]
pub struct JsonLines {
    raw: bool,
    entry: String,
    line: Vec<u8>,
    text: String,
    iso: IsoWriter,
    empty: bool,
}

impl JsonLines {
    /// A renderer that writes one entry of this name; `raw` adds each whole document as relaxed extended JSON
    /// (MongoDB Extended JSON v2) under `raw`.
    pub fn new(entry: String, raw: bool) -> Self {
        Self {
            raw,
            entry,
            line: Vec::with_capacity(2 * PIECE),
            text: String::new(),
            iso: IsoWriter::default(),
            empty: true,
        }
    }

    /// Begins the entry.
    pub fn begin<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        out.start_entry(&self.entry)
    }

    /// Writes a message and, under it, the old versions of it.
    pub fn message<O: Output>(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
        out: &mut O,
    ) -> Result<Anomalies, O::Error> {
        self.empty = false;
        let anomalies = self.object(message, history, out)?;
        self.line.push(b'\n');
        if self.line.len() >= PIECE {
            out.write(&self.line)?;
            self.line.clear();
            // One message of many megabytes must not keep its memory for the rest of the room.
            self.line.shrink_to(2 * PIECE);
        }
        Ok(anomalies)
    }

    /// Ends the entry. Without messages it holds one newline, as Rocket.Chat's does.
    pub fn finish<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        if self.empty {
            self.line.push(b'\n');
        }
        out.write(&self.line)?;
        self.line.clear();
        out.finish_entry()
    }

    fn object<O: Output>(
        &mut self,
        message: &Message<'_>,
        history: &[Message<'_>],
        out: &mut O,
    ) -> Result<Anomalies, O::Error> {
        let mut anomalies = message.anomalies();
        self.line.push(b'{');
        let kind = self.text(message, &mut anomalies);
        self.author(message);
        self.timestamp(message);
        let files = Files::look_up(message, out)?;
        if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
            key(&mut self.line, "attachments");
            self.attachments(attachments, message, &files, MAX_DEPTH, &mut anomalies);
        }
        if let Some(kind) = message.kind() {
            key(&mut self.line, "type");
            string(&mut self.line, kind.0);
        }
        self.rest(message, kind, &mut anomalies);
        self.files(&files);
        if !history.is_empty() {
            key(&mut self.line, "history");
            self.line.push(b'[');
            for (index, version) in history.iter().enumerate() {
                if index > 0 {
                    self.line.push(b',');
                }
                // Versions have no versions: the recursion ends here.
                anomalies.extend(self.object(version, &[], out)?);
            }
            self.line.push(b']');
        }
        if self.raw {
            key(&mut self.line, "raw");
            self.value(
                Value::Document(message.doc()),
                Style::Extended,
                &mut anomalies,
            );
        }
        self.line.push(b'}');
        Ok(anomalies)
    }

    /// `msg`: the text, or the sentence of a system message.
    fn text(&mut self, message: &Message<'_>, anomalies: &mut Anomalies) -> Sentence {
        self.text.clear();
        let mut kind = sentence(message, &Sentences::ENGLISH, &mut self.text);
        // The one sentence that Rocket.Chat's export words otherwise than its interface; the comment is kept in
        // `comment` and `parameter`.
        if message.kind() == Some(Text(b"livechat-close")) {
            "Conversation Finished".clone_into(&mut self.text);
        }
        if kind == Sentence::Unknown {
            anomalies.add(Anomaly::UnknownType);
        }
        self.line.extend_from_slice(b"\"msg\":");
        if kind == Sentence::Written {
            string(&mut self.line, self.text.as_bytes());
        } else {
            match message.get(Field::Msg) {
                Some(Value::String(text)) => string(&mut self.line, text.0),
                None | Some(Value::Null | Value::Undefined) => string(&mut self.line, b""),
                Some(odd) => {
                    self.value(odd, Style::Plain, anomalies);
                    kind = Sentence::Ordinary;
                }
            }
        }
        kind
    }

    fn author(&mut self, message: &Message<'_>) {
        self.optional("username", message.author().username);
    }

    fn timestamp(&mut self, message: &Message<'_>) {
        key(&mut self.line, "ts");
        match message.ts().and_then(|ts| self.iso.ascii(ts)) {
            Some(text) => {
                self.line.push(b'"');
                self.line.extend_from_slice(text);
                self.line.push(b'"');
            }
            None => self.line.extend_from_slice(b"null"),
        }
    }

    /// Everything that Rocket.Chat's export leaves out, in a fixed order. What is null or empty says nothing.
    fn rest(&mut self, message: &Message<'_>, kind: Sentence, anomalies: &mut Anomalies) {
        key(&mut self.line, "_id");
        match message.get(Field::Id) {
            Some(Value::String(id)) => string(&mut self.line, id.0),
            _ => string(&mut self.line, message.id().as_bytes()),
        }
        let author = message.author();
        self.optional("uid", author.id);
        self.optional("name", author.name);
        if kind == Sentence::Written {
            self.optional("parameter", message.text(Field::Msg));
        }
        if message.has_any(EDITED) {
            self.event("edited", message, Field::EditedAt, Field::EditedBy);
        }
        if message.get(Field::Pinned).is_some_and(Value::truthy) {
            self.event("pinned", message, Field::PinnedAt, Field::PinnedBy);
        }
        for field in message.present(AS_STORED) {
            match message.get(field) {
                None | Some(Value::Null | Value::Undefined | Value::String(Text(b""))) => {}
                Some(value) => {
                    let key = STORED_KEYS[field as usize];
                    self.line.extend_from_slice(key.as_bytes());
                    self.value(value, Style::Plain, anomalies);
                }
            }
        }
        if anomalies.contains(Anomaly::UnknownField) {
            key(&mut self.line, "other");
            self.line.push(b'{');
            let unknown = message
                .doc()
                .elements()
                .map_while(Result::ok)
                .filter(|(name, _)| !Field::is_known(name.0));
            for (index, (name, value)) in unknown.enumerate() {
                if index > 0 {
                    self.line.push(b',');
                }
                string(&mut self.line, name.0);
                self.line.push(b':');
                self.value(value, Style::Plain, anomalies);
            }
            self.line.push(b'}');
        }
    }

    #[inline]
    fn optional(&mut self, name: &str, text: Text<'_>) {
        if !text.is_empty() {
            key(&mut self.line, name);
            string(&mut self.line, text.0);
        }
    }

    /// `edited`, which is `deleted` for removed messages, and `pinned`: when and by whom.
    fn event(&mut self, name: &str, message: &Message<'_>, at: Field, by: Field) {
        let (at, by) = (message.get(at), message.get(by));
        let deleted = name == "edited"
            && (message.visibility() == Visibility::Deleted || message.kind() == Some(Text(b"rm")));
        if at.is_none() && by.is_none() && !deleted && name == "edited" {
            return;
        }
        key(&mut self.line, if deleted { "deleted" } else { name });
        self.line.push(b'{');
        let at = at.and_then(Value::millis).and_then(|at| self.iso.text(at));
        if let Some(at) = at {
            self.line.extend_from_slice(b"\"at\":\"");
            self.line.extend_from_slice(at.as_bytes());
            self.line.push(b'"');
        }
        let by = by
            .and_then(Value::document)
            .map(User::read)
            .unwrap_or_default()
            .label();
        if !by.is_empty() {
            if at.is_some() {
                self.line.push(b',');
            }
            self.line.extend_from_slice(b"\"by\":");
            string(&mut self.line, by.0);
        }
        self.line.push(b'}');
    }

    fn attachments(
        &mut self,
        attachments: Doc<'_>,
        message: &Message<'_>,
        files: &Files<'_>,
        depth: usize,
        anomalies: &mut Anomalies,
    ) {
        self.line.push(b'[');
        let mut first = true;
        for attachment in attachments.values() {
            if !std::mem::take(&mut first) {
                self.line.push(b',');
            }
            match (attachment, depth.checked_sub(1)) {
                (Value::Document(doc), Some(depth)) => {
                    self.attachment(doc, message, files, depth, anomalies);
                }
                (other, Some(_)) => self.value(other, Style::Plain, anomalies),
                (_, None) => {
                    anomalies.add(Anomaly::TooDeep);
                    self.line.extend_from_slice(b"null");
                }
            }
        }
        self.line.push(b']');
    }

    fn attachment(
        &mut self,
        doc: Doc<'_>,
        message: &Message<'_>,
        files: &Files<'_>,
        depth: usize,
        anomalies: &mut Anomalies,
    ) {
        let mut known = [None; ATTACHMENT.len()];
        for (name, value) in doc.elements().map_while(Result::ok) {
            if let Some(index) = ATTACHMENT.iter().position(|key| key.as_bytes() == name.0) {
                known[index].get_or_insert(value);
            }
        }
        self.line.push(b'{');
        for (name, value) in ATTACHMENT.iter().zip(known) {
            if let Some(value) = value {
                self.member(name);
                self.value(value, Style::Plain, anomalies);
            }
        }
        self.member("url");
        // title_link, image_url, audio_url, video_url, message_link: the first that is set.
        let url = known[2..7].iter().flatten().find(|value| value.truthy());
        self.value(url.copied().unwrap_or(Value::Null), Style::Plain, anomalies);
        let has_file = message
            .get(Field::File)
            .and_then(Value::document)
            .is_some_and(|file| file.get("_id").is_some_and(Value::truthy));
        self.member("remote");
        self.line
            .extend_from_slice(if has_file { b"false" } else { b"true" });
        let file = files.of_attachment(doc);
        if let Some((file, place)) = file {
            self.member("fileId");
            string(&mut self.line, id_text(file.id).as_bytes());
            if !file.name.is_empty() {
                self.member("fileName");
                string(&mut self.line, file.name.0);
            }
            self.place(place);
        }
        for (name, value) in doc.elements().map_while(Result::ok) {
            let name_text = std::str::from_utf8(name.0).unwrap_or_default();
            // A key of the workspace must not stand beside ours of the same name: readers take the last.
            let written = ATTACHMENT.contains(&name_text)
                || matches!(name_text, "url" | "remote")
                || file.is_some()
                    && matches!(name_text, "fileId" | "fileName" | "path" | "missing");
            if written || DERIVED.contains(&name_text) {
                continue;
            }
            if self.line.last() != Some(&b'{') {
                self.line.push(b',');
            }
            string(&mut self.line, name.0);
            self.line.push(b':');
            match value {
                Value::Array(nested) if name_text == "attachments" => {
                    self.attachments(nested, message, files, depth, anomalies);
                }
                value => self.value(value, Style::Plain, anomalies),
            }
        }
        self.line.push(b'}');
    }

    /// `files`: what became of every file of the message.
    fn files(&mut self, files: &Files<'_>) {
        if files.0.is_empty() {
            return;
        }
        key(&mut self.line, "files");
        self.line.push(b'[');
        for (index, (file, place)) in files.0.iter().enumerate() {
            if index > 0 {
                self.line.push(b',');
            }
            self.line.extend_from_slice(b"{\"_id\":");
            string(&mut self.line, id_text(file.id).as_bytes());
            self.optional("name", file.name);
            self.optional("type", file.mime);
            if let Some(size) = file.size {
                key(&mut self.line, "size");
                value::integer(&mut self.line, size);
            }
            self.place(place);
            self.line.push(b'}');
        }
        self.line.push(b']');
    }

    fn place(&mut self, place: &FilePlace) {
        match place {
            FilePlace::Packed { entry, .. } => {
                key(&mut self.line, "path");
                string(&mut self.line, entry.as_bytes());
            }
            FilePlace::Missing(missing) => {
                key(&mut self.line, "missing");
                string(&mut self.line, missing.reason.as_bytes());
            }
            FilePlace::LeftOut => {}
        }
    }

    fn member(&mut self, name: &str) {
        if self.line.last() == Some(&b'{') {
            string(&mut self.line, name.as_bytes());
            self.line.push(b':');
        } else {
            key(&mut self.line, name);
        }
    }

    fn value(&mut self, value: Value<'_>, style: Style, anomalies: &mut Anomalies) {
        if value::write(&mut self.line, value, style, &mut self.iso, MAX_DEPTH).is_err() {
            anomalies.add(Anomaly::TooDeep);
        }
    }
}

/// The files of a message with their places. Nearly always empty, and then nothing is allocated.
struct Files<'a>(Vec<(FileRef<'a>, FilePlace)>);

impl<'a> Files<'a> {
    fn look_up<O: Output>(message: &Message<'a>, out: &mut O) -> Result<Self, O::Error> {
        let mut files = Vec::new();
        if !message.has_any(WITH_FILES) {
            return Ok(Self(files));
        }
        for file in message.files() {
            let place = out.file(&id_text(file.id))?;
            files.push((file, place));
        }
        Ok(Self(files))
    }

    /// The file that an attachment shows: by its `fileId`, else by the id in its links, else the only one there is
    /// for an attachment of type `file`.
    fn of_attachment(&self, attachment: Doc<'_>) -> Option<&(FileRef<'a>, FilePlace)> {
        if self.0.is_empty() {
            return None;
        }
        if let Some(id) = attachment.get("fileId").filter(|id| id.truthy()) {
            return self.0.iter().find(|(file, _)| file.id == id);
        }
        let by_link = ["title_link", "image_url", "audio_url", "video_url"]
            .into_iter()
            .filter_map(|key| attachment.text(key))
            .find_map(|link| {
                let link = link.to_str();
                self.0
                    .iter()
                    .find(|(file, _)| link.split('/').any(|part| part == id_text(file.id)))
            });
        by_link.or_else(|| match self.0.as_slice() {
            [only] if attachment.text("type") == Some(Text(b"file")) => Some(only),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
