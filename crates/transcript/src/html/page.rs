//! The frame of a page: head, header, days, navigation, footer.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{PagedHtml, escape};
use crate::time::civil_date;

/// The sheets, later ones over earlier ones.
const STYLE: &str = concat!(
    include_str!("style/base.css"),
    include_str!("style/message.css"),
    include_str!("style/markup.css"),
    include_str!("style/search.css"),
    include_str!("style/print.css"),
);
/// What pages do when script may run; without it they read and navigate all the same.
const SCRIPT: &str = include_str!("script.js");

/// Style and script as they stand in every page, and the digests that let the policy admit them and no other (CSP
/// Level 3 §2.3.1).
#[derive(Debug)]
pub(super) struct Assets {
    style: String,
    style_digest: String,
    script_digest: String,
}

impl Assets {
    pub(super) fn new() -> Self {
        let style = compact(STYLE);
        let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        Self {
            style_digest: digest(&style),
            script_digest: digest(SCRIPT),
            style,
        }
    }
}

/// A sheet of ours without its comments and indentation: it stands in every page.
fn compact(sheet: &str) -> String {
    let mut out = String::with_capacity(sheet.len());
    let mut rest = sheet;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    let lines = out.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// Everything before the messages.
pub(super) fn head(html: &mut PagedHtml) {
    let out = &mut html.out;
    let info = &html.info;
    out.extend_from_slice(b"<!DOCTYPE html>\n<html lang=\"en\"");
    if info.search {
        // Where the script finds the files of the search.
        out.extend_from_slice(b" data-search=\"search/\"");
    }
    out.extend_from_slice(
        b">\n<head>\n<meta charset=\"utf-8\">\n\
          <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file:; \
          media-src 'self' file:; base-uri 'none'; form-action 'none'; style-src 'sha256-",
    );
    out.extend_from_slice(html.assets.style_digest.as_bytes());
    out.extend_from_slice(b"'; script-src 'strict-dynamic' 'sha256-");
    out.extend_from_slice(html.assets.script_digest.as_bytes());
    out.extend_from_slice(
        b"'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
          <meta name=\"referrer\" content=\"no-referrer\">\n<title>",
    );
    escape::text(out, info.room.title.as_bytes());
    if html.page > 0 {
        escape::ours(out, format_args!(" – page {}", html.page + 1));
    }
    out.extend_from_slice(b"</title>\n<style>");
    out.extend_from_slice(html.assets.style.as_bytes());
    out.extend_from_slice(b"</style>\n<script>");
    out.extend_from_slice(SCRIPT.as_bytes());
    out.extend_from_slice(
        b"</script>\n</head>\n<body>\n<header class=\"room\">\n<h1 dir=\"auto\">",
    );
    escape::text(out, info.room.title.as_bytes());
    out.extend_from_slice(b"</h1>\n");
    if let Some(topic) = &info.room.topic {
        out.extend_from_slice(b"<p dir=\"auto\">");
        escape::lines(out, topic.as_bytes());
        out.extend_from_slice(b"</p>\n");
    }
    if html.page == 0 {
        facts(html);
    }
    html.out.extend_from_slice(b"</header>\n");
    navigation(html, html.page == 0 && html.last_page > 0);
    html.out.extend_from_slice(b"<main>\n");
    if html.page == 0 && html.rendered == 0 {
        html.out.extend_from_slice(
            b"<p class=\"note\">There are no messages in this room and window.</p>\n",
        );
    }
}

fn facts(html: &mut PagedHtml) {
    let window = match (html.info.from, html.info.to) {
        (None, None) => "all messages".to_owned(),
        (from, to) => {
            let end = |instant: Option<i64>, open: &str| {
                instant.map_or(open.to_owned(), |at| full(html, at))
            };
            format!(
                "{} to {}",
                end(from, "the first message"),
                end(to, "the last message")
            )
        }
    };
    let exported = full(html, html.info.exported_at);
    let info = &html.info;
    let zone = info.zone.iana_name().unwrap_or("fixed offset").to_owned();
    let files = match info.missing {
        0 => info.files.to_string(),
        missing => format!("{} ({missing} missing)", info.files),
    };
    let facts = [
        ("Room", info.room.id.as_str()),
        ("Type", info.room.kind_in_words()),
        ("Window", &window),
        ("Messages", &html.rendered.to_string()),
        ("Files", &files),
        ("Times in", &zone),
        ("Exported", &exported),
        ("With", &info.tool),
    ];
    let out = &mut html.out;
    out.extend_from_slice(b"<dl class=\"facts\">\n");
    for (name, value) in facts {
        out.extend_from_slice(b"<div><dt>");
        escape::text(out, name.as_bytes());
        out.extend_from_slice(b"</dt><dd>");
        escape::text(out, value.as_bytes());
        out.extend_from_slice(b"</dd></div>\n");
    }
    out.extend_from_slice(b"</dl>\n");
}

/// Date, time and offset of an instant in the page's zone.
pub(super) fn full(html: &PagedHtml, millis: i64) -> String {
    let zoned = jiff::Timestamp::from_millisecond(millis)
        .map(|at| at.to_zoned_datetime(html.info.zone.clone()));
    zoned.map_or_else(
        |_| format!("{millis} ms"),
        |zoned| zoned.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
    )
}

/// A day's heading; `day` counts from 1970-01-01.
pub(super) fn day(out: &mut Vec<u8>, day: i64) {
    let Some(date) = civil_date(day) else { return };
    let (id, text) = (date.strftime("%Y-%m-%d"), date.strftime("%A, %-d %B %Y"));
    escape::ours_tagged(
        out,
        "<h2 class=\"day\" id=\"d-",
        format_args!("{id}"),
        "\">",
    );
    escape::ours_tagged(out, "<time datetime=\"", format_args!("{id}"), "\">");
    escape::ours_tagged(out, "", format_args!("{text}"), "</time></h2>\n");
}

fn navigation(html: &mut PagedHtml, more: bool) {
    if html.page == 0 && !more {
        return;
    }
    let mut links = Vec::with_capacity(4);
    if html.page > 0 {
        links.push((html.page_name(0), "First page"));
        links.push((html.page_name(html.page - 1), "Previous page"));
    }
    if more {
        links.push((html.page_name(html.page + 1), "Next page"));
    }
    if html.page == 0 {
        links.push((html.page_name(html.last_page), "Last page"));
    }
    let out = &mut html.out;
    out.extend_from_slice(b"<nav class=\"pages\" aria-label=\"Pages\">");
    for (target, text) in links {
        out.extend_from_slice(b"<a href=\"");
        escape::link(out, &target);
        out.extend_from_slice(b"\">");
        escape::text(out, text.as_bytes());
        out.extend_from_slice(b"</a>");
    }
    out.extend_from_slice(b"</nav>\n");
}

/// Everything after the messages.
pub(super) fn foot(html: &mut PagedHtml, more: bool) {
    html.out.extend_from_slice(b"</main>\n");
    navigation(html, more);
    let out = &mut html.out;
    out.extend_from_slice(b"<footer>");
    escape::text(out, html.info.tool.as_bytes());
    escape::ours(out, format_args!(" · page {} · ", html.page + 1));
    out.extend_from_slice(
        b"manifest.json holds the digests of all files</footer>\n</body>\n</html>\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_lose_their_comments_and_keep_their_rules() {
        assert_eq!(
            compact("/* a */\nb {\n  c: d; /* e\n f */\n}\n\n"),
            "b {\nc: d;\n}"
        );
    }

    #[test]
    fn our_own_style_and_script_cannot_end_their_elements() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--"));
        }
    }
}
