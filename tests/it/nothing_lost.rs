//! Nothing of a message is lost on its page: over a whole workspace, every text is in its article, and what articles show
//! is counted.

use std::collections::BTreeMap;

use bson::{Bson, Document};
use export_room::store::dump::Dump;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::support::cli::{entries, run, text};
use crate::support::dump::shared_workspace;

/// The articles of a room by message id, as they are in its pages.
fn articles(contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let mut articles = BTreeMap::new();
    let pages = contents
        .iter()
        .filter(|(name, _)| !name.contains('/') && name.contains(".html"));
    for (_, page) in pages {
        let page = std::str::from_utf8(page).unwrap();
        for part in page.split("<article ").skip(1) {
            let (article, _) = part.split_once("</article>").unwrap();
            let (_, rest) = article.split_once("id=\"m-").unwrap();
            let (id, _) = rest.split_once('"').unwrap();
            // A reply of a long thread stands once more on the thread's own page.
            articles
                .entry(unescaped(id))
                .or_insert_with(|| article.to_owned());
        }
    }
    articles
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// What of a text must be there whatever markup makes of it: its letters and digits, in order, in every script.
fn letters(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_alphanumeric())
        .collect()
}

/// The text content of an article, its addresses included: a link's target may stand in an attribute only.
fn content(article: &str) -> String {
    let mut content = String::new();
    let mut rest = article;
    while let Some((before, after)) = rest.split_once('<') {
        content.push_str(before);
        let (tag, after) = after.split_once('>').unwrap();
        for attribute in ["href=\"", "alt=\"", "title=\""] {
            if let Some((_, value)) = tag.split_once(attribute) {
                content.push_str(value.split('"').next().unwrap());
            }
        }
        rest = after;
    }
    content.push_str(rest);
    letters(&unescaped(&content))
}

/// The words that a text shows. Left out is what markup turns into something else: short codes of emoji, languages of
/// code, colours, timestamps, numbers and boxes of lists; and the links before the text that stand for its quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        let line = match line.split_once(char::is_whitespace) {
            Some((mark, rest))
                if mark
                    .trim_end_matches('.')
                    .chars()
                    .all(|c| c.is_ascii_digit()) =>
            {
                rest
            }
            _ => line,
        };
        if line.starts_with("```") {
            continue;
        }
        let line = without_short_codes(without_quotes(line)).replace("[x]", "");
        for token in line.split_whitespace() {
            if token.contains("color:#") || token.contains("<t:") {
                continue;
            }
            words.extend(
                token
                    .split(|character: char| !character.is_alphanumeric())
                    .filter(|word| !word.is_empty())
                    .map(str::to_owned),
            );
        }
    }
    words
}

fn without_quotes(line: &str) -> &str {
    let mut rest = line;
    while let Some((_, after)) = rest
        .strip_prefix("[ ](")
        .and_then(|link| link.split_once(')'))
    {
        rest = after.trim_start();
    }
    rest
}

fn without_short_codes(line: &str) -> String {
    let is_code = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_+-".contains(&byte)
            })
    };
    let parts: Vec<&str> = line.split(':').collect();
    let last = parts.len() - 1;
    let kept = parts.iter().enumerate().map(|(at, part)| {
        if at > 0 && at < last && is_code(part) {
            ""
        } else {
            part
        }
    });
    kept.collect::<Vec<_>>().join(":")
}

fn texts(document: &Document) -> Vec<&str> {
    let mut texts = Vec::new();
    if !document.contains_key("t") {
        texts.extend(document.get_str("msg"));
    }
    if let Ok(attachments) = document.get_array("attachments") {
        for attachment in attachments.iter().filter_map(Bson::as_document) {
            for key in ["text", "pretext", "description", "author_name", "footer"] {
                texts.extend(attachment.get_str(key));
            }
            for field in attachment
                .get_array("fields")
                .into_iter()
                .flatten()
                .filter_map(Bson::as_document)
            {
                texts.extend(field.get_str("title"));
                texts.extend(field.get_str("value"));
            }
        }
    }
    if let Ok(reactions) = document.get_document("reactions") {
        for reaction in reactions.values().filter_map(Bson::as_document) {
            let users = reaction.get_array("usernames").into_iter().flatten();
            texts.extend(users.filter_map(Bson::as_str));
        }
    }
    if let Ok(translations) = document.get_document("translations") {
        texts.extend(translations.values().filter_map(Bson::as_str));
    }
    texts
}

/// Whether an attachment of the message, or of one that it quotes, has something of this kind.
fn attached(document: &Document, key: &str) -> bool {
    document
        .get_array("attachments")
        .into_iter()
        .flatten()
        .filter_map(Bson::as_document)
        .any(|attachment| attachment.contains_key(key) || attached(attachment, key))
}

#[test]
fn no_text_of_a_workspace_is_lost_in_its_pages() {
    let Some(workspace) = shared_workspace("no_text_of_a_workspace_is_lost_in_its_pages") else {
        return;
    };
    let expected: Json =
        serde_json::from_slice(&fs_read(&workspace.join("EXPECTED.json"))).unwrap();
    let dump = workspace.join("rocketchat");
    let mut messages: BTreeMap<String, Vec<Document>> = BTreeMap::new();
    Dump::open(&dump)
        .unwrap()
        .scan(
            &|collection| collection == "rocketchat_message",
            &CancellationToken::new(),
            &mut |_| {},
            &mut |found| {
                let document = Document::from_reader(found.doc).unwrap();
                if !document.get_bool("_hidden").unwrap_or_default() {
                    let room = document.get_str("rid").unwrap().to_owned();
                    messages.entry(room).or_default().push(document);
                }
                Ok(())
            },
        )
        .unwrap();
    for (rid, messages) in messages {
        let contents = exported(&dump, &workspace.join("files"), &rid);
        let articles = articles(&contents);
        assert_eq!(articles.len(), messages.len(), "{rid}");
        for message in &messages {
            let id = match message.get("_id") {
                Some(Bson::String(id)) => id.clone(),
                Some(Bson::ObjectId(id)) => id.to_hex(),
                other => panic!("{other:?}"),
            };
            let article = &articles[&id];
            let content = content(article);
            for text in texts(message) {
                for word in words(text) {
                    assert!(
                        content.contains(&word),
                        "{rid} {id}: {word:?} of {text:?} is not in\n{article}"
                    );
                }
            }
        }
        for (key, sign) in [
            ("fields", "<dl class=\"fields\">"),
            ("actions", "<ul class=\"acts\"><li>"),
        ] {
            let stored = messages
                .iter()
                .filter(|message| attached(message, key))
                .count();
            let shown = articles
                .values()
                .filter(|article| article.contains(sign) && !article.contains("card kit"))
                .count();
            assert_eq!(stored, shown, "{rid}: {key}");
        }
        let visible = &expected["rooms"][&rid]["visible"];
        for (what, sign) in [
            ("deleted", "<span class=\"tag\">deleted"),
            ("pinned", "<span class=\"tag\">pinned"),
            ("imported", "<span class=\"tag from\">imported"),
            ("withReactions", "<ul class=\"re\">"),
            ("withBlocks", "<div class=\"card kit\">"),
            ("withLocation", "class=\"card place\""),
            ("withUrlMeta", "class=\"card preview\""),
            ("withTranslations", "<summary>Translations"),
            ("quotes", "<blockquote class=\"quote\">"),
        ] {
            let found = articles
                .values()
                .filter(|article| article.contains(sign))
                .filter(|article| match what {
                    // A message that was pinned is quoted by a system message as well, with all it has.
                    "quotes" => !article.contains(" sys\""),
                    _ => true,
                })
                .count();
            assert_eq!(visible[what], found, "{rid}: {what}");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of this test's own, of known size"
)]
fn fs_read(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn exported(
    dump: &std::path::Path,
    files: &std::path::Path,
    rid: &str,
) -> BTreeMap<String, Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let zip = directory.path().join("out.zip");
    let workspace = format!("dump:{}", text(dump));
    let ran = run(&[
        "export",
        "--workspace",
        &workspace,
        "--files",
        text(files),
        "--room",
        rid,
        "--format",
        "html",
        "--output",
        text(&zip),
    ]);
    assert!(ran.code == 0 || ran.code == 1, "{}", ran.stderr);
    entries(&zip)
}
