//! One message as HTML.

use super::{PagedHtml, escape};
use crate::bson::{Doc, Text, Value, id_text};
use crate::message::{Anomalies, Anomaly, Field, FileRef, Message, User, Visibility};
use crate::output::{AuthorCard, FilePlace, Output};
use crate::system::{Sentence, sentence};
use crate::time::{IsoWriter, Local, digits};

/// Quotes within quotes are followed this far; Rocket.Chat itself stops at `Message_QuoteChainLimit`, 2 by default.
const QUOTES: usize = 8;

/// Writes a message with everything that belongs to it.
pub(super) fn message<O: Output>(
    html: &mut PagedHtml,
    message: &Message<'_>,
    local: Option<Local>,
    continues: bool,
    history: &[Message<'_>],
    output: &mut O,
) -> Result<Anomalies, O::Error> {
    let mut anomalies = message.anomalies();
    html.text.clear();
    let kind = sentence(message, &mut html.text);
    if kind == Sentence::Unknown {
        anomalies.add(Anomaly::UnknownType);
    }
    let id = message.id();
    let system = matches!(kind, Sentence::Written | Sentence::Bare | Sentence::Unknown);
    let out = &mut html.out;
    out.extend_from_slice(b"<article class=\"m");
    out.extend_from_slice(if continues { b" cont" } else { b"" });
    out.extend_from_slice(if system { b" sys" } else { b"" });
    out.extend_from_slice(b"\" id=\"m-");
    escape::text(out, id.as_bytes());
    out.extend_from_slice(b"\">");
    let card = if continues {
        AuthorCard::default()
    } else {
        let author = message.author();
        output.author(&author.id.to_str(), &author.username.to_str())?
    };
    author(out, message, &card);
    permalink(out, &mut html.iso, &id, message.ts(), local);
    tags(out, message, kind);
    out.extend_from_slice(b"</div>\n");
    if let Some(root) = message.get(Field::Tmid).filter(|root| root.truthy()) {
        reply(html, &id_text(root), output)?;
    }
    text(html, message, kind);
    files(html, message, output)?;
    let mut deep = false;
    if let Some(attachments) = message.get(Field::Attachments).and_then(Value::array) {
        quotes(&mut html.out, attachments, QUOTES, &mut deep);
    }
    extras(html, message, &mut deep);
    if deep {
        anomalies.add(Anomaly::TooDeep);
    }
    versions(html, history);
    html.out.extend_from_slice(b"</article>\n");
    for version in history {
        anomalies.extend(version.anomalies());
    }
    Ok(anomalies)
}

fn author(out: &mut Vec<u8>, message: &Message<'_>, card: &AuthorCard) {
    let author = message.author();
    let alias = message.text(Field::Alias);
    let label = if alias.is_empty() {
        author.label()
    } else {
        alias
    };
    let shown = if alias.is_empty() && !author.name.is_empty() {
        author.name
    } else {
        label
    };
    if let Some(entry) = card.avatar.as_ref().filter(|_| alias.is_empty()) {
        out.extend_from_slice(
            b"<img class=\"av\" loading=\"lazy\" width=\"36\" height=\"36\" alt=\"\" src=\"",
        );
        escape::link(out, entry);
        out.extend_from_slice(b"\"><div class=\"by\"><b><bdi>");
    } else {
        initials(out, label, shown);
    }
    escape::text(
        out,
        if shown.is_empty() {
            b"unknown author"
        } else {
            shown.0
        },
    );
    out.extend_from_slice(b"</bdi></b>");
    if !author.username.is_empty() && author.username != shown {
        out.extend_from_slice(b" <span class=\"user\">@<bdi>");
        escape::text(out, author.username.0);
        out.extend_from_slice(b"</bdi></span>");
    }
    for role in card.roles.iter() {
        escape::ours_tagged(
            out,
            "<span class=\"tag\">",
            format_args!("{}", role.label()),
            "</span>",
        );
    }
}

fn initials(out: &mut Vec<u8>, label: Text<'_>, shown: Text<'_>) {
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
    let initial = shown
        .to_str()
        .chars()
        .find(|character| character.is_alphanumeric());
    if let Some(initial) = initial {
        escape::ours(out, format_args!("{}", initial.to_uppercase()));
    }
    out.extend_from_slice(b"</span><div class=\"by\"><b><bdi>");
}

fn permalink(
    out: &mut Vec<u8>,
    iso: &mut IsoWriter,
    id: &str,
    ts: Option<i64>,
    local: Option<Local>,
) {
    out.extend_from_slice(b" <a href=\"#m-");
    escape::link(out, id);
    out.extend_from_slice(b"\">");
    time(out, iso, ts, local);
    out.extend_from_slice(b"</a>");
}

/// `<time>` with the instant in UTC in the markup and the zone's time of day in sight.
fn time(out: &mut Vec<u8>, iso: &mut IsoWriter, ts: Option<i64>, local: Option<Local>) {
    let (Some(utc), Some(local)) = (ts.and_then(|ts| iso.text(ts)), local) else {
        out.extend_from_slice(b"no time");
        return;
    };
    out.extend_from_slice(b"<time datetime=\"");
    out.extend_from_slice(utc.as_bytes());
    out.extend_from_slice(b"\">");
    let mut clock = *b"00:00:00";
    let seconds = local.of_day / 1000;
    digits(&mut clock[0..2], seconds / 3600);
    digits(&mut clock[3..5], seconds / 60 % 60);
    digits(&mut clock[6..8], seconds % 60);
    out.extend_from_slice(&clock);
    out.extend_from_slice(b"</time>");
}

fn tags(out: &mut Vec<u8>, message: &Message<'_>, kind: Sentence) {
    let set = |field| message.get(field).is_some_and(Value::truthy);
    let deleted =
        message.visibility() == Visibility::Deleted || message.kind() == Some(Text(b"rm"));
    let mut tag = |text: &str, at: Option<Field>, by: Option<Field>| {
        out.extend_from_slice(b"<span class=\"tag\">");
        escape::text(out, text.as_bytes());
        let by = by.and_then(|by| message.get(by)).and_then(Value::document);
        let by = by.map(User::read).unwrap_or_default().label();
        if !by.is_empty() {
            out.extend_from_slice(b" by <bdi>");
            escape::text(out, by.0);
            out.extend_from_slice(b"</bdi>");
        }
        let mut iso = IsoWriter::default();
        let at = at.and_then(|at| message.get(at)).and_then(Value::millis);
        if let Some(at) = at.and_then(|at| iso.text(at)) {
            out.extend_from_slice(b" <time datetime=\"");
            out.extend_from_slice(at.as_bytes());
            escape::ours_tagged(
                out,
                "\">",
                format_args!("{} {} UTC", &at[..10], &at[11..19]),
                "</time>",
            );
        }
        out.extend_from_slice(b"</span>");
    };
    if deleted {
        tag("deleted", Some(Field::EditedAt), Some(Field::EditedBy));
    } else if set(Field::EditedAt) {
        tag("edited", Some(Field::EditedAt), Some(Field::EditedBy));
    }
    if set(Field::Pinned) {
        tag("pinned", Some(Field::PinnedAt), Some(Field::PinnedBy));
    }
    if set(Field::Bot) {
        tag("bot", None, None);
    }
    if set(Field::Imported) {
        tag("imported", None, None);
    }
    if set(Field::Private) {
        tag("shown to one user only", None, None);
    }
    if matches!(kind, Sentence::Bare | Sentence::Unknown) {
        tag(&message.kind().unwrap_or_default().to_str(), None, None);
    }
}

fn reply<O: Output>(html: &mut PagedHtml, root: &str, output: &mut O) -> Result<(), O::Error> {
    let found = output.thread(root)?;
    let Some(found) = found else {
        html.out.extend_from_slice(
            b"<p class=\"reply\">Reply in a thread whose first message is not in this export</p>\n",
        );
        return Ok(());
    };
    html.out
        .extend_from_slice(b"<p class=\"reply\" dir=\"auto\">Reply in the thread of <a href=\"");
    if found.page != html.page {
        let page = html.page_name(found.page);
        escape::link(&mut html.out, &page);
    }
    html.out.extend_from_slice(b"#m-");
    escape::link(&mut html.out, root);
    html.out.extend_from_slice(b"\"><bdi>");
    escape::text(&mut html.out, found.author.as_bytes());
    html.out.extend_from_slice(b"</bdi></a>: ");
    escape::text(&mut html.out, found.excerpt.as_bytes());
    html.out.extend_from_slice(b"</p>\n");
    Ok(())
}

fn text(html: &mut PagedHtml, message: &Message<'_>, kind: Sentence) {
    let out = &mut html.out;
    let msg = message.text(Field::Msg);
    if message.kind() == Some(Text(b"e2e")) {
        out.extend_from_slice(
            b"<p class=\"note\">End-to-end encrypted: the text can only be read with a participant's key.</p>\n",
        );
        return;
    }
    let text = match kind {
        Sentence::Written => html.text.as_bytes(),
        _ => msg.0,
    };
    match message.get(Field::Msg) {
        Some(odd) if odd.text().is_none() && odd.truthy() => {
            out.extend_from_slice(b"<p class=\"note\">The text has an odd form: ");
            escape::text(out, id_text(odd).as_bytes());
            out.extend_from_slice(b"</p>\n");
        }
        _ => {}
    }
    if message.kind() == Some(Text(b"discussion-created")) {
        out.extend_from_slice(b"<p class=\"note\">Discussion</p>\n");
    }
    if !text.is_empty() {
        out.extend_from_slice(b"<div class=\"text\" dir=\"auto\">");
        escape::lines(out, text);
        out.extend_from_slice(b"</div>\n");
    }
}

fn files<O: Output>(
    html: &mut PagedHtml,
    message: &Message<'_>,
    output: &mut O,
) -> Result<(), O::Error> {
    let mut any = false;
    for file in message.files() {
        let place = output.file(&id_text(file.id))?;
        html.out.extend_from_slice(if any {
            b"<li>"
        } else {
            b"<ul class=\"files\"><li>"
        });
        any = true;
        self::file(&mut html.out, &file, &place);
        html.out.extend_from_slice(b"</li>");
    }
    if any {
        html.out.extend_from_slice(b"</ul>\n");
    }
    Ok(())
}

fn file(out: &mut Vec<u8>, file: &FileRef<'_>, place: &FilePlace) {
    let id = id_text(file.id);
    let name = if file.name.is_empty() {
        Text(id.as_bytes())
    } else {
        file.name
    };
    let entry = match place {
        FilePlace::Packed { entry, .. } => entry,
        FilePlace::Missing(reason) => {
            out.extend_from_slice(b"<span class=\"gone\">File missing: <bdi>");
            escape::text(out, name.0);
            out.extend_from_slice(b"</bdi> (");
            escape::text(out, reason.as_bytes());
            out.extend_from_slice(b")</span>");
            return;
        }
        FilePlace::LeftOut => {
            out.extend_from_slice(b"<span class=\"note\">File not exported: <bdi>");
            escape::text(out, name.0);
            out.extend_from_slice(b"</bdi></span>");
            return;
        }
    };
    let is_image = matches!(
        file.mime.0,
        b"image/png" | b"image/jpeg" | b"image/gif" | b"image/webp" | b"image/bmp" | b"image/avif"
    );
    out.extend_from_slice(b"<a href=\"");
    escape::link(out, entry);
    // Pages and drawings of strangers can carry script: they are saved, not opened in the place of this export.
    let can_carry_script = [&b"html"[..], b"svg", b"xml", b"javascript"]
        .iter()
        .any(|kind| {
            file.mime
                .0
                .windows(kind.len())
                .any(|part| part.eq_ignore_ascii_case(kind))
        });
    out.extend_from_slice(if can_carry_script {
        b"\" download>"
    } else {
        b"\">"
    });
    if is_image {
        out.extend_from_slice(b"<img loading=\"lazy\" alt=\"\" src=\"");
        escape::link(out, entry);
        out.extend_from_slice(b"\">");
    }
    out.extend_from_slice(b"<bdi>");
    escape::text(out, name.0);
    out.extend_from_slice(b"</bdi></a>");
    if let FilePlace::Packed { size, .. } = place {
        out.extend_from_slice(b" <span class=\"size\">");
        size_in_words(out, *size);
        out.extend_from_slice(b"</span>");
    }
}

fn size_in_words(out: &mut Vec<u8>, size: u64) {
    let (unit, name) = match size {
        0..1_000 => return escape::ours(out, format_args!("{size} bytes")),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    escape::ours(
        out,
        format_args!("{}.{} {name}", size / unit, size % unit * 10 / unit),
    );
}

/// Quotes, link cards of integrations and descriptions of files; a file itself has been listed already.
fn quotes(out: &mut Vec<u8>, attachments: Doc<'_>, depth: usize, deep: &mut bool) {
    let Some(depth) = depth.checked_sub(1) else {
        *deep = true;
        out.extend_from_slice(
            b"<p class=\"note\">Further quotes are nested too deeply to be shown.</p>\n",
        );
        return;
    };
    for attachment in attachments.values().filter_map(Value::document) {
        let text = |key| attachment.text(key).filter(|text| !text.is_empty());
        let is_file = text("type") == Some(Text(b"file"));
        let nested = attachment.get("attachments").and_then(Value::array);
        let fields = attachment.get("fields").and_then(Value::array);
        if is_file && text("description").is_none() && text("text").is_none() && nested.is_none() {
            continue;
        }
        out.extend_from_slice(b"<blockquote class=\"quote\" dir=\"auto\">");
        part(out, "<div>", text("pretext"), "</div>\n");
        part(
            out,
            "<div><b><bdi>",
            text("author_name"),
            "</bdi></b></div>\n",
        );
        let title = text("title").filter(|_| !is_file);
        part(out, "<div><b>", title, "</b></div>\n");
        part(out, "<div class=\"text\">", text("text"), "</div>\n");
        part(out, "<div class=\"text\">", text("description"), "</div>\n");
        if let Some(fields) = fields {
            out.extend_from_slice(b"<dl>");
            for field in fields.values().filter_map(Value::document) {
                out.extend_from_slice(b"<dt>");
                escape::lines(out, field.text("title").unwrap_or_default().0);
                out.extend_from_slice(b"</dt><dd>");
                escape::lines(out, field.text("value").unwrap_or_default().0);
                out.extend_from_slice(b"</dd>");
            }
            out.extend_from_slice(b"</dl>\n");
        }
        if let Some(nested) = nested {
            quotes(out, nested, depth, deep);
        }
        part(out, "<div class=\"note\">", text("footer"), "</div>\n");
        for key in ["title_link", "image_url"] {
            part(
                out,
                "<div class=\"note\">",
                text(key).filter(|_| !is_file),
                "</div>\n",
            );
        }
        out.extend_from_slice(b"</blockquote>\n");
    }
}

/// A text between two pieces of markup, or nothing.
fn part(out: &mut Vec<u8>, before: &str, text: Option<Text<'_>>, after: &str) {
    if let Some(text) = text {
        out.extend_from_slice(before.as_bytes());
        escape::lines(out, text.0);
        out.extend_from_slice(after.as_bytes());
    }
}

/// Texts of UI-Kit blocks, location, reactions, thread and discussion counts.
fn extras(html: &mut PagedHtml, message: &Message<'_>, deep: &mut bool) {
    let out = &mut html.out;
    if let Some(blocks) = message.get(Field::Blocks).and_then(Value::array) {
        let from = out.len();
        out.extend_from_slice(b"<div class=\"quote\" dir=\"auto\">");
        let empty = out.len();
        block_texts(out, blocks, QUOTES * 2, deep);
        if out.len() == empty {
            out.truncate(from);
        } else {
            out.extend_from_slice(b"</div>\n");
        }
    }
    let location = message.get(Field::Location).and_then(Value::document);
    let coordinates = location.and_then(|location| location.get("coordinates")?.array());
    if let Some(coordinates) = coordinates {
        let mut numbers = coordinates.values().filter_map(|value| match value {
            Value::Double(number) => Some(number),
            other => other
                .integer()
                .and_then(|number| i32::try_from(number).ok())
                .map(f64::from),
        });
        if let (Some(longitude), Some(latitude)) = (numbers.next(), numbers.next()) {
            let place = format_args!("Location: latitude {latitude}, longitude {longitude}");
            escape::ours_tagged(out, "<p class=\"note\">", place, "</p>\n");
        }
    }
    reactions(out, message);
    let mut count = |field, before: &str, one: &str, many: &str| {
        if let Some(count) = message.get(field).and_then(Value::integer) {
            let unit = if count == 1 { one } else { many };
            escape::ours_tagged(
                out,
                "<p class=\"note\">",
                format_args!("{before} {count} {unit}"),
                "</p>\n",
            );
        }
    };
    count(Field::Tcount, "Thread with", "reply", "replies");
    count(Field::Dcount, "Discussion with", "message", "messages");
}

/// Every text, label and alternative text below a block, a line each.
fn block_texts(out: &mut Vec<u8>, doc: Doc<'_>, depth: usize, deep: &mut bool) {
    let Some(depth) = depth.checked_sub(1) else {
        *deep = true;
        return;
    };
    for (key, value) in doc.elements().map_while(Result::ok) {
        match value {
            Value::String(text)
                if matches!(
                    key.0,
                    b"text" | b"altText" | b"title" | b"description" | b"hint"
                ) && !text.is_empty() =>
            {
                out.extend_from_slice(b"<div>");
                escape::lines(out, text.0);
                out.extend_from_slice(b"</div>");
            }
            Value::Document(inner) | Value::Array(inner) => block_texts(out, inner, depth, deep),
            _ => {}
        }
    }
}

fn reactions(out: &mut Vec<u8>, message: &Message<'_>) {
    let Some(reactions) = message.get(Field::Reactions).and_then(Value::document) else {
        return;
    };
    let mut any = false;
    for (emoji, reaction) in reactions.elements().map_while(Result::ok) {
        let Some(users) = reaction
            .document()
            .and_then(|doc| doc.get("usernames")?.array())
        else {
            continue;
        };
        out.extend_from_slice(if any {
            b"<li>"
        } else {
            b"<ul class=\"re\"><li>"
        });
        any = true;
        escape::text(out, emoji.0);
        for (index, user) in users.values().filter_map(Value::text).enumerate() {
            out.extend_from_slice(if index == 0 { b" <bdi>" } else { b", <bdi>" });
            escape::text(out, user.0);
            out.extend_from_slice(b"</bdi>");
        }
        out.extend_from_slice(b"</li>");
    }
    if any {
        out.extend_from_slice(b"</ul>\n");
    }
}

fn versions(html: &mut PagedHtml, history: &[Message<'_>]) {
    if history.is_empty() {
        return;
    }
    let out = &mut html.out;
    escape::ours_tagged(
        out,
        "<details><summary>",
        format_args!("Earlier versions: {}", history.len()),
        "</summary>",
    );
    for version in history {
        out.extend_from_slice(b"<div class=\"quote\" id=\"m-");
        escape::text(out, version.id().as_bytes());
        out.extend_from_slice(b"\"><div class=\"note\">");
        tags(out, version, Sentence::Ordinary);
        out.extend_from_slice(b"</div><div class=\"text\" dir=\"auto\">");
        escape::lines(out, version.text(Field::Msg).0);
        out.extend_from_slice(b"</div></div>");
    }
    out.extend_from_slice(b"</details>\n");
}
