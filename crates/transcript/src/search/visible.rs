//! What of a message is to be found: its text, and what its files, attachments and link previews are called.

use crate::bson::{Doc, Text, Value};
use crate::markup::{Plain, Spoilers};
use crate::message::{Field, Message, Visibility};
use crate::system::{Sentence, sentence};
use crate::texts::Sentences;

/// Texts within blocks are followed this deep.
const DEPTH: usize = 8;

/// Writes everything in a message that is to be found, a line for each piece, without marks. `said` is the message's own
/// text as [`crate::markup::plain`] writes it, which who has shown the message knows; `says` are the sentences that stand on the
/// page, and `plain` reads its other texts. Nothing of encrypted messages, which hold
/// no words, and of old versions, whose message has its own; quotes are found where they were said.
pub fn visible(
    message: &Message<'_>,
    said: &str,
    says: &Sentences,
    plain: &mut Plain,
    out: &mut String,
) {
    if message.visibility() == Visibility::History || message.text(Field::T).0 == b"e2e" {
        return;
    }
    match sentence(message, says, out) {
        Sentence::Written => {}
        Sentence::Own => line(out, message.get(Field::Msg)),
        Sentence::Ordinary | Sentence::Bare | Sentence::Unknown => {
            line(out, Some(Value::String(Text(said.as_bytes()))));
        }
    }
    if message.has(Field::File) || message.has(Field::Files) {
        for file in message.files() {
            line(out, Some(Value::String(file.name)));
        }
    }
    if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
        let is_file = message.has(Field::File) || message.has(Field::Files);
        for attachment in attachments.values().filter_map(Value::document) {
            self::attachment(attachment, is_file, message, plain, out);
        }
    }
    if let Some(urls) = message.get(Field::Urls).and_then(Value::array) {
        for meta in urls
            .values()
            .filter_map(|url| url.document()?.get("meta")?.document())
        {
            for key in [
                "pageTitle",
                "ogTitle",
                "oembedTitle",
                "ogDescription",
                "description",
            ] {
                line(out, meta.get(key));
            }
        }
    }
    if let Some(blocks) = message.get(Field::Blocks).and_then(Value::array) {
        self::blocks(blocks, DEPTH, message, plain, out);
    }
}

fn attachment(
    attachment: Doc<'_>,
    is_file: bool,
    message: &Message<'_>,
    plain: &mut Plain,
    out: &mut String,
) {
    if attachment.get("message_link").is_some_and(Value::truthy) {
        return;
    }
    let keys: &[&str] = if is_file
        && attachment
            .text("type")
            .is_some_and(|kind| kind.0 == b"file")
    {
        // Its title is the name of the file.
        &["description", "text"]
    } else {
        &[
            "author_name",
            "pretext",
            "title",
            "text",
            "description",
            "footer",
        ]
    };
    for &key in keys {
        let md = match key {
            "pretext" => None,
            "text" => attachment.get("md"),
            "description" => attachment.get("descriptionMd"),
            _ => {
                line(out, attachment.get(key));
                continue;
            }
        };
        rich(md, attachment.get(key), message, plain, out);
    }
    let fields = attachment.get("fields").and_then(Value::array);
    for field in fields
        .into_iter()
        .flat_map(Doc::values)
        .filter_map(Value::document)
    {
        line(out, field.get("title"));
        rich(None, field.get("value"), message, plain, out);
    }
}

fn blocks(
    blocks: Doc<'_>,
    depth: usize,
    message: &Message<'_>,
    plain: &mut Plain,
    out: &mut String,
) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let is_marked = blocks.text("type") == Some(Text(b"mrkdwn"));
    for (key, value) in blocks.elements().map_while(Result::ok) {
        match value {
            Value::Document(inner) | Value::Array(inner) => {
                self::blocks(inner, depth, message, plain, out);
            }
            Value::String(_) if key.0 == b"text" && is_marked => {
                rich(None, Some(value), message, plain, out);
            }
            Value::String(_)
                if matches!(
                    key.0,
                    b"text" | b"altText" | b"title" | b"description" | b"hint"
                ) =>
            {
                line(out, Some(value));
            }
            _ => {}
        }
    }
}

/// A text with marks, which are left out.
fn rich(
    md: Option<Value<'_>>,
    typed: Option<Value<'_>>,
    message: &Message<'_>,
    plain: &mut Plain,
    out: &mut String,
) {
    let Some(typed) = typed.and_then(Value::text).filter(|text| !text.is_empty()) else {
        return;
    };
    let before = out.len();
    if before > 0 {
        out.push('\n');
    }
    let begin = out.len();
    plain.part(
        md.and_then(Value::array),
        typed,
        message,
        Spoilers::Marked,
        out,
    );
    if out.len() == begin {
        out.truncate(before);
    }
}

fn line(out: &mut String, value: Option<Value<'_>>) {
    let Some(text) = value.and_then(Value::text).filter(|text| !text.is_empty()) else {
        return;
    };
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&text.to_str());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::bson::{Document, doc};

    #[test]
    fn what_a_page_shows_is_found_at_its_own_place() {
        let cases: &[(Document, &str)] = &[
            (doc! {"msg": "hello"}, "hello"),
            (doc! {"t": "uj", "msg": "bob"}, "joined the channel"),
            (doc! {"t": "e2e", "msg": "aGVsbG8="}, ""),
            (doc! {"t": "discussion-created", "msg": "Lunch"}, "Lunch"),
            (doc! {"msg": "old", "_hidden": true, "parent": "x"}, ""),
            (doc! {"msg": "gone", "_hidden": true}, "gone"),
            (doc! {}, ""),
            (
                doc! {
                    "msg": "", "file": {"_id": "F", "name": "plan.pdf"},
                    "attachments": [{"type": "file", "title": "plan.pdf", "description": "the plan"}],
                },
                "plan.pdf\nthe plan",
            ),
            (
                doc! {"msg": "[ ](https://x) yes", "attachments": [{"message_link": "https://x", "text": "quoted"}]},
                "yes",
            ),
            (
                doc! {"msg": "*un*~broken~ [site](https://x.org) `a*b`", "attachments": [{
                    "text": "_so_", "fields": [{"title": "*T*", "value": "*v*"}],
                }], "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Vote*"}}]},
                "unbroken site (https://x.org) a*b\nso\n*T*\nv\nVote",
            ),
            (
                doc! {"msg": "*raw*", "md": [{"type": "PARAGRAPH", "value": [{"type": "PLAIN_TEXT", "value": "stored"}]}]},
                "stored",
            ),
            (
                doc! {"msg": "", "attachments": [{
                    "author_name": "CI", "title": "Build 7", "text": "failed", "fields": [{"title": "Branch", "value": "main"}],
                }]},
                "CI\nBuild 7\nfailed\nBranch\nmain",
            ),
            (
                doc! {"msg": "it was ||the *butler*|| again"},
                "it was \u{fdd0}the butler\u{fdd1} again",
            ),
            (
                doc! {"msg": "see", "urls": [{"url": "https://x", "meta": {"pageTitle": "A page", "ogTitle": 7}}]},
                "see\nA page",
            ),
            (
                doc! {"msg": "", "blocks": [{"type": "section", "text": {"type": "plain_text", "text": "Vote"}}]},
                "Vote",
            ),
        ];
        for (doc, expected) in cases {
            let bytes = doc.to_vec().unwrap();
            let message = Message::read(&bytes);
            let (mut out, mut said) = (String::new(), String::new());
            let mut plain = Plain::default();
            plain.message(&message, Spoilers::Marked, &mut said);
            visible(&message, &said, &Sentences::ENGLISH, &mut plain, &mut out);
            assert_eq!(out, *expected, "{doc}");
        }
    }
}
