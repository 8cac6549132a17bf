//! A room of `rocketchat_room` (contract §5.2), as headers and file names need it.

use crate::bson::{Doc, Malformed, Text, Value, id_text};
use crate::locale::Locale;

/// What exports say about their room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomInfo {
    /// `_id`.
    pub id: String,
    /// `t`: `c` public, `p` private, `d` direct, `l` omnichannel, others as stored.
    pub kind: String,
    /// `name`, the slug; absent for direct rooms.
    pub name: Option<String>,
    /// What people call the room: `fname`, else `name`, else the usernames of a direct room, else the visitor's
    /// name, else the id.
    pub title: String,
    /// `topic`.
    pub topic: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `announcement`.
    pub announcement: Option<String>,
    /// `usernames` of a direct room.
    pub usernames: Vec<String>,
    /// Parent room of a discussion.
    pub parent: Option<String>,
    /// Whether it is the main room of a team.
    pub team: bool,
    /// `encrypted`.
    pub encrypted: bool,
}

impl RoomInfo {
    /// Reads a room's document; what is missing or of an odd type stays empty.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut room = Self::default();
        let (mut fname, mut visitor) = (None, None);
        let text = |value: Value<'_>| value.text().filter(|text| !text.is_empty()).map(owned);
        for element in Doc::new(bytes)?.elements() {
            let (key, value) = element?;
            match key.0 {
                b"_id" => room.id = id_text(value).into_owned(),
                b"t" => room.kind = text(value).unwrap_or_default(),
                b"name" => room.name = text(value),
                b"fname" => fname = text(value),
                b"topic" => room.topic = text(value),
                b"description" => room.description = text(value),
                b"announcement" => room.announcement = text(value),
                b"usernames" => {
                    let names = value.array().into_iter().flat_map(Doc::values);
                    room.usernames = names.filter_map(Value::text).map(owned).collect();
                }
                b"prid" => room.parent = text(value),
                b"teamMain" => room.team = value.truthy(),
                b"encrypted" => room.encrypted = value.truthy(),
                b"v" => {
                    visitor = value.document().and_then(|visitor| {
                        ["name", "username"]
                            .into_iter()
                            .find_map(|key| text(visitor.get(key)?))
                    });
                }
                _ => {}
            }
        }
        room.title = [fname, room.name.clone()]
            .into_iter()
            .flatten()
            .next()
            .or_else(|| (!room.usernames.is_empty()).then(|| room.usernames.join(", ")))
            .or(visitor)
            .unwrap_or_else(|| room.id.clone());
        Ok(room)
    }

    /// What files are called after: the name, but the id for direct rooms and rooms without one (contract §6.3). As
    /// stored: [`crate::names::safe`] makes it a file name.
    pub fn file_stem(&self) -> &str {
        let name = self.name.as_deref().filter(|_| self.kind != "d");
        name.unwrap_or(&self.id)
    }

    /// The kind of room in English words.
    pub fn kind_in_words(&self) -> &str {
        Locale::default().texts().kind(self)
    }
}

fn owned(text: Text<'_>) -> String {
    text.to_str().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bson::{Document, doc};

    fn check(doc: &Document, title: &str, kind: &str) {
        let room = RoomInfo::read(&doc.to_vec().unwrap()).unwrap();
        assert_eq!(
            (room.title.as_str(), room.kind_in_words()),
            (title, kind),
            "{doc}"
        );
    }

    #[test]
    fn files_are_called_after_the_name_but_for_direct_rooms() {
        for (doc, stem) in [
            (
                doc! {"_id": "R", "t": "c", "name": "general", "fname": "General"},
                "general",
            ),
            (doc! {"_id": "R", "t": "d", "name": "odd"}, "R"),
            (doc! {"_id": "R", "t": "l"}, "R"),
        ] {
            let room = RoomInfo::read(&doc.to_vec().unwrap()).unwrap();
            assert_eq!(room.file_stem(), stem, "{doc}");
        }
    }

    #[test]
    fn every_kind_of_room_has_a_title() {
        check(
            &doc! {"_id": "R", "t": "c", "name": "general"},
            "general",
            "channel",
        );
        check(
            &doc! {"_id": "R", "t": "p", "name": "x7", "fname": "Plans", "prid": "P"},
            "Plans",
            "discussion",
        );
        check(
            &doc! {"_id": "R", "t": "d", "usernames": ["a", "b"]},
            "a, b",
            "direct messages",
        );
        check(
            &doc! {"_id": "R", "t": "l", "v": {"username": "guest-7"}},
            "guest-7",
            "omnichannel conversation",
        );
        check(
            &doc! {"_id": "R", "t": "p", "name": "t", "teamMain": true},
            "t",
            "team",
        );
        check(&doc! {"_id": "R"}, "R", "");
    }
}
