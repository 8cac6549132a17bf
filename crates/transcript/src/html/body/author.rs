//! Who wrote: avatar or initials, names, roles. Authors met last are kept as they were written.

use super::{Body, escape, link};
use crate::bson::{Doc, Text, Value};
use crate::message::{Field, Message, User};
use crate::output::{AuthorCard, Output};
use crate::texts::Texts;

/// Authors that are kept; a power of two, and a few times as many as write in most rooms.
const PLACES: usize = 1024;
/// Documents of users that are kept are no longer than this, in bytes; others are written anew each time.
const KEPT: usize = 512;

/// Authors as they were written, each in the place that its document's bytes say.
#[derive(Debug, Default)]
pub(in crate::html) struct Authors(Vec<Place>);

#[derive(Clone, Debug, Default)]
struct Place {
    /// The bytes of `u`.
    key: Vec<u8>,
    /// With avatar and everything, for the first message of a group.
    first: Vec<u8>,
    /// For the messages that go on.
    again: Vec<u8>,
}

/// The place of a document's bytes, from its end, where names differ, and its length (Fibonacci hashing).
fn place(key: &[u8]) -> usize {
    let tail = &key[key.len().saturating_sub(64)..];
    let hash = tail.rchunks(8).fold(key.len() as u64, |hash, bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        (hash ^ u64::from_le_bytes(word))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    });
    // The highest bits depend on all bytes.
    usize::from((hash >> 48) as u16) % PLACES
}

impl<O: Output> Body<'_, O> {
    /// Writes the author, and opens the line that time and marks stand in.
    pub(super) fn author(
        &mut self,
        message: &Message<'_>,
        continues: bool,
    ) -> Result<(), O::Error> {
        let is_plain =
            !message.has(Field::Alias) && !message.has(Field::Avatar) && !message.has(Field::Emoji);
        let key = message
            .get(Field::U)
            .and_then(Value::document)
            .map_or(&b""[..], Doc::bytes);
        if !is_plain || key.len() > KEPT {
            return self.author_anew(message, continues);
        }
        if self.html.authors.0.is_empty() {
            self.html.authors.0.resize(PLACES, Place::default());
        }
        let place = place(key);
        let kept = &self.html.authors.0[place];
        // An empty document has no bytes, and neither has a place that was never taken.
        if kept.key != key || kept.first.is_empty() {
            let card = self.card(message.author())?;
            let mut kept = std::mem::take(&mut self.html.authors.0[place]);
            kept.key.clear();
            kept.key.extend_from_slice(key);
            kept.first.clear();
            kept.again.clear();
            let (user, words) = (message.author(), self.html.words);
            face(&mut kept.first, user, Text(b""), card.avatar.as_deref());
            names(&mut kept.first, words, user, Text(b""), Some(&card));
            names(&mut kept.again, words, user, Text(b""), None);
            self.html.authors.0[place] = kept;
        }
        let kept = &self.html.authors.0[place];
        let written = if continues { &kept.again } else { &kept.first };
        self.html.out.extend_from_slice(written);
        Ok(())
    }

    /// An author who shows another name or picture, as integrations do.
    fn author_anew(&mut self, message: &Message<'_>, continues: bool) -> Result<(), O::Error> {
        let user = message.author();
        let alias = message.text(Field::Alias);
        if continues {
            names(&mut self.html.out, self.html.words, user, alias, None);
            return Ok(());
        }
        let card = self.card(user)?;
        let emoji = message.text(Field::Emoji);
        let avatar = message.text(Field::Avatar);
        if !emoji.is_empty() {
            self.markup("<span class=\"av e\">");
            self.emoji(emoji)?;
            self.markup("</span>");
        } else if let Some(name) = avatar_of(avatar) {
            // Pictures elsewhere are not loaded; that of a user may be here.
            let other = self.output.author("", &name.to_str())?;
            face(&mut self.html.out, user, alias, other.avatar.as_deref());
        } else {
            let own = card
                .avatar
                .as_deref()
                .filter(|_| alias.is_empty() && avatar.is_empty());
            face(&mut self.html.out, user, alias, own);
        }
        names(
            &mut self.html.out,
            self.html.words,
            user,
            alias,
            Some(&card),
        );
        Ok(())
    }

    fn card(&mut self, user: User<'_>) -> Result<AuthorCard, O::Error> {
        self.output
            .author(&user.id.to_str(), &user.username.to_str())
    }
}

/// The username in the address of an avatar on the workspace's own server (`/avatar/<username>`).
fn avatar_of(address: Text<'_>) -> Option<Text<'_>> {
    let path = match std::str::from_utf8(address.0).ok()? {
        own if own.starts_with('/') => own,
        other => {
            let other = link::address(other.as_bytes())?;
            let host = link::host(other);
            &other[other.find(host)? + host.len()..]
        }
    };
    let (_, name) = path.rsplit_once("/avatar/")?;
    let name = name.split(['?', '#', '/']).next()?;
    (!name.is_empty()).then_some(Text(name.as_bytes()))
}

/// The name that people see, and whether it is another one than the user's.
fn shown<'a>(user: User<'a>, alias: Text<'a>) -> Text<'a> {
    if !alias.is_empty() {
        alias
    } else if user.name.is_empty() {
        user.label()
    } else {
        user.name
    }
}

fn face(out: &mut Vec<u8>, user: User<'_>, alias: Text<'_>, avatar: Option<&str>) {
    if let Some(entry) = avatar {
        out.extend_from_slice(
            b"<img class=\"av\" loading=\"lazy\" width=\"36\" height=\"36\" alt=\"\" src=\"",
        );
        escape::link(out, entry);
        out.extend_from_slice(b"\">");
        return;
    }
    let label = if alias.is_empty() {
        user.label()
    } else {
        alias
    };
    let colour = label
        .0
        .iter()
        .fold(0_u8, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte))
        % 8;
    escape::ours_tagged(
        out,
        "<span class=\"av c",
        format_args!("{colour}"),
        "\" aria-hidden=\"true\">",
    );
    let (start, _) = escape::cut(shown(user, alias).0, escape::NAME);
    let initial = Text(start)
        .to_str()
        .chars()
        .find(|character| character.is_alphanumeric());
    if let Some(initial) = initial {
        escape::ours(out, format_args!("{}", initial.to_uppercase()));
    }
    out.extend_from_slice(b"</span>");
}

/// Opens the line with the author's names; `card` is there when the roles are to be shown.
fn names(
    out: &mut Vec<u8>,
    words: &Texts,
    user: User<'_>,
    alias: Text<'_>,
    card: Option<&AuthorCard>,
) {
    let shown = shown(user, alias);
    out.extend_from_slice(b"<div class=\"by\"><b><bdi>");
    escape::name(
        out,
        if shown.is_empty() {
            words.unknown_author.as_bytes()
        } else {
            shown.0
        },
    );
    out.extend_from_slice(b"</bdi></b>");
    let Some(card) = card else { return };
    if !user.username.is_empty() && user.username != shown {
        out.extend_from_slice(b" <span class=\"user\">@<bdi>");
        escape::name(out, user.username.0);
        out.extend_from_slice(b"</bdi></span>");
    }
    for role in card.roles.iter() {
        out.extend_from_slice(b"<span class=\"tag role\">");
        escape::name(out, role.label(words).as_bytes());
        out.extend_from_slice(b"</span>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avatars_on_the_own_server_are_known() {
        for (address, expected) in [
            ("/avatar/alice", Some("alice")),
            (
                "http://localhost:3000/avatar/rocket.cat?etag=x",
                Some("rocket.cat"),
            ),
            ("https://evil.test/x.png", None),
            ("javascript:/avatar/alice", None),
            ("/avatar/", None),
            ("", None),
        ] {
            let found = avatar_of(Text(address.as_bytes()));
            assert_eq!(
                found,
                expected.map(|name| Text(name.as_bytes())),
                "{address}"
            );
        }
    }
}
