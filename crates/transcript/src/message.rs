//! One message of `rocketchat_message` (contract §5.4), borrowed from its BSON document.

use std::borrow::Cow;

use crate::bson::{Doc, Key, Malformed, Slot, Text, Value, id_text};

/// Declares the known keys once: the enum and its list. The first 64 can be in sets of fields ([`Field::bit`]).
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)*) => {
        /// The known keys of a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])* $name,)* }

        impl Field {
            /// How many there are.
            pub(crate) const COUNT: usize = [$(Self::$name),*].len();

            const ALL: [(Self, Key<'static>); Self::COUNT] = [$((Self::$name, Key::of($key))),*];

            /// Whether some version of Rocket.Chat writes this key.
            pub fn is_known(key: &[u8]) -> bool {
                Self::of(Key::of(key)).is_some()
            }
        }
    };
}

fields! {
    /// Display name override.
    Alias = b"alias",
    /// Avatar override.
    Avatar = b"avatar",
    /// Emoji instead of an avatar.
    Emoji = b"emoji",
    /// Integration marker.
    Bot = b"bot",
    /// First message of the thread that this one replies to.
    Tmid = b"tmid",
    /// Thread reply shown in the room as well.
    Tshow = b"tshow",
    /// Replies in the thread that this message started.
    Tcount = b"tcount",
    /// Last reply of the thread.
    Tlm = b"tlm",
    /// Followers of the thread.
    Replies = b"replies",
    /// Discussion room.
    Drid = b"drid",
    /// Messages in the discussion.
    Dcount = b"dcount",
    /// Last message of the discussion.
    Dlm = b"dlm",
    /// Reactions.
    Reactions = b"reactions",
    /// Mentioned users.
    Mentions = b"mentions",
    /// Mentioned channels.
    Channels = b"channels",
    /// Links with their previews.
    Urls = b"urls",
    /// UI-Kit layout.
    Blocks = b"blocks",
    /// GeoJSON point.
    Location = b"location",
    /// Automatic translations.
    Translations = b"translations",
    /// Who translated.
    TranslationProvider = b"translationProvider",
    /// Role given or taken.
    Role = b"role",
    /// Comment of an omnichannel event.
    Comment = b"comment",
    /// Visitor's page.
    Navigation = b"navigation",
    /// Omnichannel transfer.
    TransferData = b"transferData",
    /// Omnichannel transcript request.
    RequestData = b"requestData",
    /// Omnichannel service level.
    SlaData = b"slaData",
    /// Omnichannel priority.
    PriorityData = b"priorityData",
    /// End of a call.
    WebRtcCallEndTs = b"webRtcCallEndTs",
    /// File of an omnichannel visitor.
    FileUpload = b"fileUpload",
    /// Legacy buttons.
    ActionLinks = b"actionLinks",
    /// Snippet.
    SnippetId = b"snippetId",
    /// Snippet.
    SnippetName = b"snippetName",
    /// State of end-to-end encryption.
    E2e = b"e2e",
    /// Names mentioned in an encrypted message.
    E2eMentions = b"e2eMentions",
    /// Shown to one user only.
    Private = b"private",
    /// Imported.
    Imported = b"imported",
    /// Ids in the source of an import.
    ImportIds = b"importIds",
    /// File of an import.
    ImportFile = b"_importFile",
    /// Slack bridge.
    SlackBotId = b"slackBotId",
    /// Slack bridge.
    SlackTs = b"slackTs",
    /// Came by e-mail.
    SentByEmail = b"sentByEmail",
    /// E-mail it came with.
    Email = b"email",
    /// Matrix event.
    Federation = b"federation",
    /// Operator's own fields.
    CustomFields = b"customFields",
    /// When the database drops the message.
    ExpireAt = b"expireAt",
    /// Legacy rendering.
    Html = b"html",
    /// System type.
    T = b"t",
    /// Edited or deleted at.
    EditedAt = b"editedAt",
    /// Edited or deleted by.
    EditedBy = b"editedBy",
    /// Edit-history copy, or deleted with history.
    Hidden = b"_hidden",
    /// First file.
    File = b"file",
    /// All files.
    Files = b"files",
    /// Id.
    Id = b"_id",
    /// Room.
    Rid = b"rid",
    /// Sent at.
    Ts = b"ts",
    /// Author.
    U = b"u",
    /// Raw text, or the parameter of a system message.
    Msg = b"msg",
    /// Parsed text.
    Md = b"md",
    /// Grouping in the interface.
    Groupable = b"groupable",
    /// Personal stars: exported only as part of a whole document.
    Starred = b"starred",
    /// Pinned.
    Pinned = b"pinned",
    /// Pinned at.
    PinnedAt = b"pinnedAt",
    /// Pinned by.
    PinnedBy = b"pinnedBy",
    /// Attachments.
    Attachments = b"attachments",
    /// Encrypted content.
    Content = b"content",
    /// The message that a history copy is an old version of.
    Parent = b"parent",
    /// Token of an omnichannel visitor, a credential: exported only as part of a whole document.
    Token = b"token",
    /// Read receipts pending.
    Unread = b"unread",
    /// Legacy rendering.
    Tokens = b"tokens",
    /// Client-side marker.
    Temp = b"temp",
    /// Read receipts archived.
    ReceiptsArchived = b"receiptsArchived",
    /// Whether links were to be looked up.
    ParseUrls = b"parseUrls",
    /// Last change of the record.
    UpdatedAt = b"_updatedAt",
}

/// Places in the table of keys: a power of two, a few times as many as there are keys.
const PLACES: usize = 512;

/// For each hash the number of the key there, plus one; 0 is free. Keys that meet take the next place.
const TABLE: [u8; PLACES] = {
    assert!(Field::COUNT < 256, "numbers of keys fit a byte");
    let mut table = [0; PLACES];
    let mut number = 0;
    while number < Field::COUNT {
        let mut place = hash(Field::ALL[number].1);
        while table[place] != 0 {
            place = (place + 1) % PLACES;
        }
        #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
        {
            table[place] = number as u8 + 1;
        }
        number += 1;
    }
    table
};

/// The place of a key: the highest bits of a product depend on all bits of its factor (Fibonacci hashing).
const fn hash(key: Key<'_>) -> usize {
    let mixed = (key.word ^ key.text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "as many bits as `PLACES` has"
    )]
    {
        (mixed >> (u64::BITS - PLACES.trailing_zeros())) as usize
    }
}

impl Field {
    /// Its bit in a set of fields; none for those that are declared too late.
    pub(crate) const fn bit(self) -> u64 {
        match 1_u64.checked_shl(self as u32) {
            Some(bit) => bit,
            None => 0,
        }
    }

    /// The field of a key. A chain of comparisons would take longer than reading the value.
    #[inline]
    fn of(key: Key<'_>) -> Option<Self> {
        let mut place = hash(key);
        loop {
            let number = usize::from(TABLE[place]).checked_sub(1)?;
            let (field, name) = Self::ALL[number];
            if name == key {
                return Some(field);
            }
            place = (place + 1) % PLACES;
        }
    }
}

/// Why a document is in the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// An ordinary message.
    Shown,
    /// An old version of the message with the id in `parent`.
    History,
    /// Deleted, and kept because the workspace keeps history.
    Deleted,
}

/// Something odd in one message. Counted and reported, never a reason to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// The document breaks off or is malformed; what came before is exported.
    Damaged,
    /// No `_id`.
    NoId,
    /// No `ts` that can be read.
    NoTimestamp,
    /// No author.
    NoAuthor,
    /// `msg` is something other than text.
    OddText,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A `t` that no version of Rocket.Chat is known to write.
    UnknownType,
    /// A key that no version of Rocket.Chat is known to write.
    UnknownField,
    /// Nested deeper than is followed; cut with a mark.
    TooDeep,
    /// More than a page shows of one message; cut with a mark.
    TooMuch,
    /// A history copy whose message is not there.
    OrphanHistory,
}

impl Anomaly {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Damaged,
        Self::NoId,
        Self::NoTimestamp,
        Self::NoAuthor,
        Self::OddText,
        Self::NotUtf8,
        Self::UnknownType,
        Self::UnknownField,
        Self::TooDeep,
        Self::TooMuch,
        Self::OrphanHistory,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damaged => "damaged-document",
            Self::NoId => "no-id",
            Self::NoTimestamp => "no-timestamp",
            Self::NoAuthor => "no-author",
            Self::OddText => "text-of-odd-type",
            Self::NotUtf8 => "not-utf-8",
            Self::UnknownType => "unknown-type",
            Self::UnknownField => "unknown-field",
            Self::TooDeep => "nested-too-deeply",
            Self::TooMuch => "too-much-for-a-page",
            Self::OrphanHistory => "history-without-message",
        }
    }
}

/// A few anomalies of one message; a set without allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies(u16);

impl Anomalies {
    /// Adds one.
    pub fn add(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u16;
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is in the set.
    pub fn contains(self, anomaly: Anomaly) -> bool {
        self.0 & 1 << anomaly as u16 != 0
    }

    /// Those that are in the set.
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL
            .into_iter()
            .filter(move |&anomaly| self.contains(anomaly))
    }
}

/// A user as a message carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct User<'a> {
    /// `_id`.
    pub id: Text<'a>,
    /// `username`.
    pub username: Text<'a>,
    /// `name`, the real name.
    pub name: Text<'a>,
}

impl<'a> User<'a> {
    /// Reads `{_id, username, name}`; what is missing or not text stays empty.
    pub fn read(doc: Doc<'a>) -> Self {
        const ID: Key<'_> = Key::of(b"_id");
        const USERNAME: Key<'_> = Key::of(b"username");
        const NAME: Key<'_> = Key::of(b"name");
        let mut user = Self::default();
        let mut elements = doc.elements();
        while let Some(Ok((key, value))) = elements.next_keyed() {
            let Some(text) = value.text() else { continue };
            let place = match key {
                key if key == ID => &mut user.id,
                key if key == USERNAME => &mut user.username,
                key if key == NAME => &mut user.name,
                _ => continue,
            };
            *place = text;
        }
        user
    }

    /// Username, else real name, else id.
    pub fn label(self) -> Text<'a> {
        [self.username, self.name, self.id]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }
}

/// A file of a message: an entry of `files`, or `file`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileRef<'a> {
    /// `_id` of the upload.
    pub id: Value<'a>,
    /// File name.
    pub name: Text<'a>,
    /// MIME type.
    pub mime: Text<'a>,
    /// Size in bytes as the message says.
    pub size: Option<i64>,
    /// The whole entry.
    pub doc: Doc<'a>,
}

impl<'a> FileRef<'a> {
    /// Reads a file entry. `None` when it is a thumbnail or names no upload.
    pub fn read(doc: Doc<'a>) -> Option<Self> {
        let mut file = Self {
            id: Value::Null,
            name: Text::default(),
            mime: Text::default(),
            size: None,
            doc,
        };
        for (key, value) in doc.elements().map_while(Result::ok) {
            match key.0 {
                b"_id" => file.id = value,
                b"name" => file.name = value.text().unwrap_or_default(),
                b"type" => file.mime = value.text().unwrap_or_default(),
                b"size" => file.size = value.integer(),
                b"typeGroup" if value.text() == Some(Text(b"thumb")) => return None,
                _ => {}
            }
        }
        file.id.truthy().then_some(file)
    }
}

/// A message, borrowed from its document.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    doc: Doc<'a>,
    /// A bit for each of the first 64 fields that is there and no empty list or object.
    present: u64,
    slots: [Slot; Field::COUNT],
    author: User<'a>,
    anomalies: Anomalies,
}

impl<'a> Message<'a> {
    /// Reads a whole document in one pass. Never fails: what cannot be read is left out and counted.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Self {
        let (doc, damaged) = match Doc::new(bytes) {
            Ok(doc) if bytes.len() < Slot::MAX_DOCUMENT => (doc, false),
            Ok(_) | Err(Malformed(_)) => (Doc::EMPTY, true),
        };
        let mut message = Self {
            doc,
            present: 0,
            slots: [Slot::default(); Field::COUNT],
            author: User::default(),
            anomalies: Anomalies::default(),
        };
        if damaged {
            message.anomalies.add(Anomaly::Damaged);
        }
        let mut elements = doc.elements();
        while let Some(element) = elements.next_slot() {
            let Ok((key, slot)) = element else {
                message.anomalies.add(Anomaly::Damaged);
                break;
            };
            match Field::of(key) {
                // The first of two equal keys counts, as in MongoDB.
                Some(field) if message.slots[field as usize].is_empty() => {
                    message.slots[field as usize] = slot;
                    if !elements.was_empty(slot) {
                        message.present |= field.bit();
                    }
                }
                Some(_) => {}
                None => message.anomalies.add(Anomaly::UnknownField),
            }
        }
        if let Some(user) = message.get(Field::U).and_then(Value::document) {
            message.author = User::read(user);
        }
        message.judge();
        message
    }

    fn judge(&mut self) {
        if !matches!(self.get(Field::Id), Some(value) if value != Value::Null) {
            self.anomalies.add(Anomaly::NoId);
        }
        if self.ts().is_none() {
            self.anomalies.add(Anomaly::NoTimestamp);
        }
        if self.author.label().is_empty() {
            self.anomalies.add(Anomaly::NoAuthor);
        }
        match self.get(Field::Msg) {
            Some(Value::String(text)) => {
                if !text.0.is_ascii() && std::str::from_utf8(text.0).is_err() {
                    self.anomalies.add(Anomaly::NotUtf8);
                }
            }
            None | Some(Value::Null | Value::Undefined) => {}
            Some(_) => self.anomalies.add(Anomaly::OddText),
        }
    }

    /// The whole document.
    pub fn doc(&self) -> Doc<'a> {
        self.doc
    }

    /// The value of a known key.
    #[inline]
    pub fn get(&self, field: Field) -> Option<Value<'a>> {
        let slot = self.slots[field as usize];
        if slot.is_empty() {
            None
        } else {
            self.doc.value_at(slot)
        }
    }

    /// Whether a known key is there at all.
    #[inline]
    pub fn has(&self, field: Field) -> bool {
        !self.slots[field as usize].is_empty()
    }

    /// Those of some fields that are there, and no empty list or object, in the order of their declaration; `of` has the [`Field::bit`] of each.
    #[inline]
    pub(crate) fn present(&self, of: u64) -> impl Iterator<Item = Field> + use<> {
        let mut left = self.present & of;
        std::iter::from_fn(move || {
            let (field, _) = Field::ALL.get(left.trailing_zeros() as usize)?;
            left &= left.checked_sub(1)?;
            Some(*field)
        })
    }

    /// Whether one of some fields is there and no empty list or object; `of` has the [`Field::bit`] of each.
    #[inline]
    pub(crate) fn has_any(&self, of: u64) -> bool {
        self.present & of != 0
    }

    /// The text of a known key; empty when it is missing or not text.
    #[inline]
    pub fn text(&self, field: Field) -> Text<'a> {
        self.doc
            .text_at(self.slots[field as usize])
            .unwrap_or_default()
    }

    /// `_id` as text; empty when missing.
    pub fn id(&self) -> Cow<'a, str> {
        self.get(Field::Id).map_or(Cow::Borrowed(""), id_text)
    }

    /// Sent at, milliseconds since 1970-01-01T00:00:00Z.
    #[inline]
    pub fn ts(&self) -> Option<i64> {
        self.get(Field::Ts).and_then(Value::millis)
    }

    /// The author.
    pub fn author(&self) -> User<'a> {
        self.author
    }

    /// `t`; `None` for an ordinary message.
    pub fn kind(&self) -> Option<Text<'a>> {
        let kind = self.text(Field::T);
        (!kind.is_empty()).then_some(kind)
    }

    /// Whether this is an ordinary message or a hidden copy (contract §5.4).
    pub fn visibility(&self) -> Visibility {
        if !self.get(Field::Hidden).is_some_and(Value::truthy) {
            Visibility::Shown
        } else if self.get(Field::Parent).is_some_and(Value::truthy) {
            Visibility::History
        } else {
            Visibility::Deleted
        }
    }

    /// The files that belong to the message, thumbnails left out: `files` when it is there, else `file`
    /// (contract §6.6).
    pub fn files(&self) -> impl Iterator<Item = FileRef<'a>> + use<'a> {
        let several = self.get(Field::Files).and_then(Value::array);
        let single = match several {
            Some(_) => None,
            None => self.get(Field::File),
        };
        several
            .into_iter()
            .flat_map(Doc::values)
            .chain(single)
            .filter_map(|value| FileRef::read(value.document()?))
    }

    /// What is odd about the message so far.
    pub fn anomalies(&self) -> Anomalies {
        self.anomalies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bson::doc;

    fn check(doc: &::bson::Document, test: impl FnOnce(Message<'_>)) {
        let bytes = doc.to_vec().unwrap();
        test(Message::read(&bytes));
    }

    fn ids(message: &Message<'_>) -> Vec<String> {
        message
            .files()
            .map(|file| id_text(file.id).into_owned())
            .collect()
    }

    #[test]
    fn files_win_over_file_and_thumbnails_are_left_out() {
        let file = doc! {"_id": "F", "name": "f.txt"};
        let thumb = doc! {"_id": "T", "typeGroup": "thumb"};
        check(&doc! {"file": &file}, |message| {
            assert_eq!(ids(&message), ["F"]);
        });
        check(
            &doc! {"file": {"_id": "X"}, "files": [&file, &thumb, {"_id": "G"}]},
            |message| {
                assert_eq!(ids(&message), ["F", "G"]);
            },
        );
        check(&doc! {"file": &file, "files": []}, |message| {
            assert!(ids(&message).is_empty());
        });
        check(&doc! {"file": "odd", "msg": "x"}, |message| {
            assert!(ids(&message).is_empty());
        });
    }

    #[test]
    fn oddities_are_named_and_never_stop_the_reading() {
        let cases = [
            (
                doc! {"ts": 1_i64, "u": {"username": "a"}, "msg": ""},
                vec![Anomaly::NoId],
            ),
            (
                doc! {"_id": "m", "u": {"username": "a"}},
                vec![Anomaly::NoTimestamp],
            ),
            (
                doc! {"_id": "m", "ts": 1_i64, "u": 5},
                vec![Anomaly::NoAuthor],
            ),
            (
                doc! {"_id": "m", "ts": 1_i64, "u": {"_id": "a"}, "msg": 5},
                vec![Anomaly::OddText],
            ),
            (
                doc! {"_id": "m", "ts": 1_i64, "u": {"_id": "a"}, "zz": 5},
                vec![Anomaly::UnknownField],
            ),
            (doc! {"_id": "m", "ts": 1_i64, "u": {"_id": "a"}}, vec![]),
        ];
        for (doc, expected) in cases {
            check(&doc, |message| {
                assert_eq!(
                    message.anomalies().iter().collect::<Vec<_>>(),
                    expected,
                    "{doc}"
                );
            });
        }
    }

    #[test]
    fn what_stands_before_the_damage_is_read() {
        let mut bytes = doc! {"_id": "m", "msg": "kept", "ts": 1_i64, "u": {"_id": "a"}}
            .to_vec()
            .unwrap();
        let at = bytes
            .windows(3)
            .position(|window| window == b"\x12ts")
            .unwrap();
        bytes[at] = 0x55;
        let message = Message::read(&bytes);
        assert_eq!(message.text(Field::Msg).to_str(), "kept");
        assert!(
            message
                .anomalies()
                .iter()
                .any(|anomaly| anomaly == Anomaly::Damaged)
        );
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        for (field, key) in Field::ALL {
            assert_eq!(Field::of(key), Some(field), "{field:?}");
            let key = key.text;
            for other in [
                &key[1..],
                &[key, b"x"].concat(),
                &[b"x", &key[1..]].concat(),
                &key.to_ascii_uppercase(),
            ] {
                let known = Field::ALL.iter().any(|(_, key)| key.text == other);
                assert_eq!(Field::is_known(other), known, "{other:?}");
            }
        }
        assert!(!Field::is_known(b""));
    }

    #[test]
    fn hidden_documents_are_told_apart() {
        check(&doc! {"_id": "m"}, |message| {
            assert_eq!(message.visibility(), Visibility::Shown);
        });
        check(&doc! {"_hidden": true, "parent": "p"}, |message| {
            assert_eq!(message.visibility(), Visibility::History);
        });
        check(&doc! {"_hidden": true}, |message| {
            assert_eq!(message.visibility(), Visibility::Deleted);
        });
        check(&doc! {"_hidden": false, "parent": "p"}, |message| {
            assert_eq!(message.visibility(), Visibility::Shown);
        });
    }
}
