//! What of a message is to be found: its text, and what its files, attachments and link previews are called.

use crate::bson::{Doc, Value};
use crate::message::{Field, Message, Visibility};
use crate::system::{Sentence, sentence};

/// Texts within blocks are followed this deep.
const DEPTH: usize = 8;

/// Writes everything in a message that is to be found, a line for each piece. Nothing of encrypted messages, which hold
/// no words, and of old versions, whose message has its own; quotes are found where they were said.
pub fn visible(message: &Message<'_>, out: &mut String) {
    if message.visibility() == Visibility::History || message.text(Field::T).0 == b"e2e" {
        return;
    }
    if matches!(
        sentence(message, out),
        Sentence::Ordinary | Sentence::Own | Sentence::Bare | Sentence::Unknown
    ) {
        line(out, message.get(Field::Msg));
    }
    if message.has(Field::File) || message.has(Field::Files) {
        for file in message.files() {
            line(out, Some(Value::String(file.name)));
        }
    }
    if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
        let is_file = message.has(Field::File) || message.has(Field::Files);
        for attachment in attachments.values().filter_map(Value::document) {
            self::attachment(attachment, is_file, out);
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
        self::blocks(blocks, DEPTH, out);
    }
}

fn attachment(attachment: Doc<'_>, is_file: bool, out: &mut String) {
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
    for key in keys {
        line(out, attachment.get(key));
    }
    let fields = attachment.get("fields").and_then(Value::array);
    for field in fields
        .into_iter()
        .flat_map(Doc::values)
        .filter_map(Value::document)
    {
        line(out, field.get("title"));
        line(out, field.get("value"));
    }
}

fn blocks(blocks: Doc<'_>, depth: usize, out: &mut String) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for (key, value) in blocks.elements().map_while(Result::ok) {
        match value {
            Value::Document(inner) | Value::Array(inner) => self::blocks(inner, depth, out),
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
                "[ ](https://x) yes",
            ),
            (
                doc! {"msg": "", "attachments": [{
                    "author_name": "CI", "title": "Build 7", "text": "failed", "fields": [{"title": "Branch", "value": "main"}],
                }]},
                "CI\nBuild 7\nfailed\nBranch\nmain",
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
            let mut out = String::new();
            visible(&Message::read(&bytes), &mut out);
            assert_eq!(out, *expected, "{doc}");
        }
    }
}
