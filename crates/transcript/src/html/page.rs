//! The frame of a page: head, header, days, navigation, footer.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{Here, PagedHtml, calendar, escape, markup};
use crate::bson::Text;
use crate::locale::Locale;
use crate::message::Message;
use crate::output::{Output, PageBounds};
use crate::texts::{counted, filled, gap};
use crate::time::{Local, civil_date};

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

/// Bytes of a room's topic, description and announcement that its first page shows, each.
const ABOUT: usize = 2 * 1024;
/// An empty document.
const NOTHING: &[u8] = &[5, 0, 0, 0, 0];

/// Style and script as they stand in every page, and the digests that let the policy admit them and no other (CSP
/// Level 3 §2.3.1).
#[derive(Debug)]
pub(super) struct Assets {
    /// `<style>` and `<script>` elements.
    elements: String,
    policy: String,
}

impl Assets {
    /// What stands in every page: ours, and after our style the user's own.
    pub(super) fn new(own_style: Option<&str>, locale: Locale) -> Self {
        let style = compact(STYLE);
        let script = SCRIPT.replace("{ /* texts */ }", &literal(locale));
        let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        let mut styles = format!("'sha256-{}'", digest(&style));
        let mut elements = format!("<style>{style}</style>\n");
        if let Some(own) = own_style {
            styles.extend([" 'sha256-", &digest(own), "'"]);
            elements.extend(["<style>", own, "</style>\n"]);
        }
        elements.extend(["<script>", &script, "</script>\n"]);
        Self {
            policy: format!(
                "default-src 'none'; img-src 'self' file:; media-src 'self' file:; base-uri 'none'; form-action 'none'; \
                 style-src {styles}; script-src 'strict-dynamic' 'sha256-{}'",
                digest(&script)
            ),
            elements,
        }
    }
}

/// The texts as the script writes them down, and how it writes dates.
fn literal(locale: Locale) -> String {
    let mut out = vec![b'{'];
    for (name, text) in locale
        .texts()
        .script
        .named()
        .into_iter()
        .chain(locale.named())
    {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b":\"");
        escape::script(&mut out, text);
        out.extend_from_slice(b"\",");
    }
    out.push(b'}');
    // The escaper keeps what is UTF-8 as it is.
    String::from_utf8_lossy(&out).into_owned()
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

/// Everything up to the body's first element.
pub(super) fn opening(html: &mut PagedHtml, title: &str, page: u32) {
    let calendar = html.name(Here::Calendar(0));
    let out = &mut html.out;
    let words = html.words;
    escape::ours_tagged(
        out,
        "<!DOCTYPE html>\n<html lang=\"",
        format_args!("{}", html.info.locale.tag()),
        "\" data-calendar=\"",
    );
    escape::link(out, &calendar);
    if html.info.search {
        // Where the script finds the files of the search.
        out.extend_from_slice(b"\" data-search=\"search/");
    }
    out.extend_from_slice(
        b"\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"",
    );
    // Of quotation marks it has single ones only, which a value in double ones may have.
    out.extend_from_slice(html.assets.policy.as_bytes());
    out.extend_from_slice(
        b"\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
          <meta name=\"referrer\" content=\"no-referrer\">\n<title>",
    );
    if !title.is_empty() {
        escape::title(out, title);
        out.extend_from_slice(" · ".as_bytes());
    }
    escape::title(out, &html.info.room.title);
    if page > 0 {
        out.extend_from_slice(" · ".as_bytes());
        escape::filled(out, words.page_number, &[&(page + 1)]);
    }
    out.extend_from_slice(b"</title>\n");
    out.extend_from_slice(html.assets.elements.as_bytes());
    out.extend_from_slice(b"</head>\n<body>\n<a class=\"skip\" href=\"#messages\">");
    escape::text(out, words.skip.as_bytes());
    out.extend_from_slice(b"</a>\n");
}

/// The footer and the end of a file.
pub(super) fn closing(html: &mut PagedHtml) {
    let exported = full(html, html.info.exported_at);
    let out = &mut html.out;
    out.extend_from_slice(b"<footer>\n<p>");
    escape::filled(out, html.words.exported_with, &[&exported, &html.info.tool]);
    let (before, after) = gap(html.words.digests);
    out.push(b' ');
    escape::text(out, before.as_bytes());
    out.extend_from_slice(b"<code>manifest.json</code>");
    escape::text(out, after.as_bytes());
    out.extend_from_slice(b"</p>\n</footer>\n</body>\n</html>\n");
}

/// Everything before the messages of a page of the room.
pub(super) fn head<O: Output>(html: &mut PagedHtml, output: &mut O) -> Result<(), O::Error> {
    let Here::Room(page) = html.here else {
        return Ok(());
    };
    let bounds = output.page(page)?.unwrap_or_default();
    opening(html, "", page);
    if page == 0 {
        entry_header(html, output)?;
    } else {
        html.out.extend_from_slice(b"<header class=\"head\">\n<h1>");
        html.open_link(Here::Room(0));
        html.out.extend_from_slice(b"<bdi>");
        html.room();
        html.out
            .extend_from_slice(b"</bdi></a></h1>\n<p class=\"sub\">");
        let range = range(html, &bounds);
        escape::text(&mut html.out, range.as_bytes());
        html.out.extend_from_slice(b"</p>\n");
        html.out.extend_from_slice(b"</header>\n");
    }
    navigation(html, page, html.words.pages, output)?;
    html.out.extend_from_slice(b"<main id=\"messages\">\n");
    if page == 0 && html.rendered == 0 {
        html.out.extend_from_slice(b"<p class=\"empty\">");
        html.say(html.words.empty);
        html.out.extend_from_slice(b"</p>\n");
    }
    Ok(())
}

/// Everything after the messages of a page of the room.
pub(super) fn foot<O: Output>(html: &mut PagedHtml, output: &mut O) -> Result<(), O::Error> {
    html.out.extend_from_slice(b"</main>\n");
    if let Here::Room(page) = html.here {
        navigation(html, page, html.words.pages_at_end, output)?;
    }
    closing(html);
    Ok(())
}

fn entry_header<O: Output>(html: &mut PagedHtml, output: &mut O) -> Result<(), O::Error> {
    let avatar = output.room_avatar()?;
    let out = &mut html.out;
    out.extend_from_slice(b"<header class=\"room\">\n");
    if let Some(entry) = avatar {
        out.extend_from_slice(b"<img class=\"face\" width=\"64\" height=\"64\" alt=\"\" src=\"");
        escape::link(out, &entry);
        out.extend_from_slice(b"\">\n");
    }
    let room = html.info.room.clone();
    out.extend_from_slice(b"<p class=\"where\">");
    escape::text(out, html.words.kind(&room).as_bytes());
    out.extend_from_slice(b"</p>\n<h1 dir=\"auto\">");
    html.room();
    html.out.extend_from_slice(b"</h1>\n");
    // They have marks as messages have, and mention nobody.
    let nobody = Message::read(NOTHING);
    for (class, text) in [
        ("topic", room.topic.clone()),
        ("about", room.description.clone()),
        ("announcement", room.announcement.clone()),
    ] {
        if let Some(text) = text {
            escape::ours_tagged(
                &mut html.out,
                "<div class=\"",
                format_args!("{class}"),
                "\">",
            );
            let mut text = text;
            if text.len() > ABOUT {
                text.truncate(text.floor_char_boundary(ABOUT));
                text.push('…');
            }
            markup::text(html, None, Text(text.as_bytes()), &nobody, output)?;
            html.out.extend_from_slice(b"</div>\n");
        }
    }
    facts(html);
    calendar::months(html, output)?;
    html.out.extend_from_slice(b"</header>\n");
    Ok(())
}

fn facts(html: &mut PagedHtml) {
    let (locale, words) = (html.info.locale, html.words);
    let end = |html: &PagedHtml, instant: Option<i64>, open: &str| {
        instant.map_or(open.to_owned(), |at| full(html, at))
    };
    let window = match (html.info.from, html.info.to) {
        (None, None) => words.all_messages.to_owned(),
        (from, to) => filled(
            words.from_to,
            &[
                &end(html, from, words.first_message),
                &end(html, to, words.last_message),
            ],
        ),
    };
    let exported = full(html, html.info.exported_at);
    let info = &html.info;
    let files = match info.missing {
        0 => locale.number(info.files),
        missing => filled(
            words.some_missing,
            &[&locale.number(info.files), &locale.number(missing)],
        ),
    };
    let pages = info.pages.into();
    let messages = filled(
        counted(words.on_pages, pages),
        &[&locale.number(html.rendered), &locale.number(pages)],
    );
    let mut facts = vec![
        (words.room, info.room.id.clone()),
        (words.window, window),
        (words.messages, messages),
        (words.files, files),
        (words.times_in, zone_in_words(html)),
        (words.exported, exported),
    ];
    facts.extend(info.exported_by.clone().map(|by| (words.by, by)));
    facts.push((words.with, info.tool.clone()));
    let out = &mut html.out;
    out.extend_from_slice(b"<dl class=\"facts\">\n");
    for (name, value) in facts {
        out.extend_from_slice(b"<div><dt>");
        escape::text(out, name.as_bytes());
        out.extend_from_slice(b"</dt><dd dir=\"auto\">");
        escape::name(out, value.as_bytes());
        out.extend_from_slice(b"</dd></div>\n");
    }
    out.extend_from_slice(b"</dl>\n");
}

/// The zone with its offset when the export was made.
fn zone_in_words(html: &PagedHtml) -> String {
    let name = html.info.zone.iana_name();
    let local = html.clock.clone().local(html.info.exported_at);
    match (name, local) {
        (Some("UTC"), _) | (None, None) => "UTC".to_owned(),
        (Some(name), None) => name.to_owned(),
        (Some(name), Some(local)) => filled(
            html.words.when_exported,
            &[name, &Offset(local.offset).to_string()],
        ),
        // A requester's own offset, the same all year.
        (None, Some(local)) => format!("UTC{}", Offset(local.offset)),
    }
}

/// Writes the zone's name.
pub(super) fn zone(html: &mut PagedHtml) {
    let zone = match html.info.zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone_in_words(html),
    };
    escape::text(&mut html.out, zone.as_bytes());
}

/// Seconds east of UTC as `+02:00`.
struct Offset(i64);

impl std::fmt::Display for Offset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = self.0.abs() / 60;
        let sign = if self.0 < 0 { '−' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Date, time and offset of an instant in the page's zone.
fn full(html: &PagedHtml, millis: i64) -> String {
    let local = html.clock.clone().local(millis);
    let date = local.and_then(|local| Some((local, civil_date(local.day)?)));
    let Some((local, date)) = date else {
        return format!("{millis} ms");
    };
    let mut clock = Vec::with_capacity(11);
    html.info.locale.clock(local.of_day, &mut clock);
    format!(
        "{}, {} UTC{}",
        html.info.locale.date(date),
        String::from_utf8_lossy(&clock),
        Offset(local.offset)
    )
}

/// Writes `<time>` for an instant: the time of day, and the date before it unless it is that of `day`.
pub(super) fn moment(html: &mut PagedHtml, millis: i64, day: Option<i64>) {
    let local = html.clock.local(millis);
    let utc = html.iso.text(millis);
    let out = &mut html.out;
    let (Some(utc), Some(local)) = (utc, local) else {
        return no_time(html, Some(millis));
    };
    out.extend_from_slice(b"<time datetime=\"");
    out.extend_from_slice(utc.as_bytes());
    out.extend_from_slice(b"\">");
    if day != Some(local.day)
        && let Some(date) = civil_date(local.day)
    {
        let date = html.info.locale.date(date);
        escape::text(out, date.as_bytes());
        out.extend_from_slice(b", ");
    }
    html.info.locale.clock(local.of_day, out);
    out.extend_from_slice(b"</time>");
}

/// What stands where a time does, for an instant that no calendar has, or none at all.
pub(super) fn no_time(html: &mut PagedHtml, millis: Option<i64>) {
    if let Some(millis) = millis {
        let out = &mut html.out;
        escape::ours_tagged(out, "<span title=\"", format_args!("{millis} ms"), "\">");
    }
    html.say(html.words.no_time);
    if millis.is_some() {
        html.out.extend_from_slice(b"</span>");
    }
}

/// A day's heading, with the offset that its first message has; without a day, one that ends the day before.
pub(super) fn day(html: &mut PagedHtml, local: Option<Local>) {
    let local = local.and_then(|local| Some((local, civil_date(local.day)?)));
    let Some((local, date)) = local else {
        html.out.extend_from_slice(b"<h2 class=\"day\">");
        html.say(html.words.no_time);
        return html.out.extend_from_slice(b"</h2>\n");
    };
    let out = &mut html.out;
    let id = date.strftime("%Y-%m-%d");
    escape::ours_tagged(
        out,
        "<h2 class=\"day\" id=\"d-",
        format_args!("{id}"),
        "\">",
    );
    escape::ours_tagged(out, "<time datetime=\"", format_args!("{id}"), "\">");
    escape::text(out, html.info.locale.full_date(date).as_bytes());
    out.extend_from_slice(b"</time> <span class=\"offset\">UTC");
    if local.offset != 0 {
        escape::ours(out, format_args!("{}", Offset(local.offset)));
    }
    out.extend_from_slice(b"</span></h2>\n");
}

/// The days of a page: `4 July 2008 – 2 October 2008`.
fn range(html: &mut PagedHtml, bounds: &PageBounds) -> String {
    let locale = html.info.locale;
    let mut date = |instant: Option<i64>| {
        let local = html.clock.local(instant?)?;
        Some(locale.date(civil_date(local.day)?))
    };
    match (date(bounds.first), date(bounds.last)) {
        (Some(first), Some(last)) if first != last => format!("{first} – {last}"),
        (Some(day), _) | (None, Some(day)) => day,
        (None, None) => String::new(),
    }
}

fn navigation<O: Output>(
    html: &mut PagedHtml,
    page: u32,
    label: &str,
    output: &mut O,
) -> Result<(), O::Error> {
    let pages = html.info.pages;
    if pages < 2 {
        return Ok(());
    }
    let last = pages - 1;
    escape::ours_tagged(
        &mut html.out,
        "<nav class=\"pages\" aria-label=\"",
        format_args!("{label}"),
        "\"><ul>\n",
    );
    let words = html.words;
    for (there, to, text, near) in [
        (page > 0, 0, words.first_page, false),
        (page > 0, page.saturating_sub(1), words.previous_page, true),
        (page < last, page + 1, words.next_page, true),
        (page < last, last, words.last_page, false),
    ] {
        if text == words.next_page {
            html.out.extend_from_slice(b"<li class=\"here\">");
            escape::filled(&mut html.out, words.page_of, &[&(page + 1), &pages]);
            html.out.extend_from_slice(b"</li>\n");
        }
        if !there {
            continue;
        }
        let bounds = output.page(to)?.unwrap_or_default();
        let range = range(html, &bounds);
        html.out.extend_from_slice(b"<li>");
        html.open_link(Here::Room(to));
        html.say(text);
        if !range.is_empty() && near {
            html.out.extend_from_slice(b" <small>");
            escape::text(&mut html.out, range.as_bytes());
            html.out.extend_from_slice(b"</small>");
        }
        html.out.extend_from_slice(b"</a></li>\n");
    }
    html.out.extend_from_slice(b"<li class=\"all\">");
    html.open_link(Here::Calendar(0));
    html.say(words.calendar);
    html.out.extend_from_slice(b"</a></li>\n</ul></nav>\n");
    Ok(())
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

    /// The colours of a property on light and on dark pages, each as red, green and blue.
    fn colours(name: &str) -> [[u8; 3]; 2] {
        let declaration = format!("--{name}: light-dark(#");
        let (_, rest) = STYLE.split_once(&declaration).unwrap();
        let (value, _) = rest.split_once(");").unwrap();
        let (light, dark) = value.split_once(", #").unwrap();
        [light, dark].map(|hex| {
            assert_eq!(hex.len(), 6, "{name}");
            [0, 2, 4].map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        })
    }

    /// The contrast of two colours (WCAG 2.2, "contrast ratio" and "relative luminance").
    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let luminance = |colour: [u8; 3]| {
            let [red, green, blue] = colour.map(|part| {
                let part = f64::from(part) / 255.0;
                if part <= 0.040_45 {
                    part / 12.92
                } else {
                    ((part + 0.055) / 1.055).powf(2.4)
                }
            });
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn contrast_is_what_the_standard_says() {
        let near = |found: f64, expected: f64| (found - expected).abs() < 0.01;
        assert!(near(contrast([0; 3], [255; 3]), 21.0));
        assert!(near(contrast([255; 3], [255; 3]), 1.0));
        // The grey that is the lightest on white (WCAG, technique G18).
        assert!(near(contrast([0x76; 3], [255; 3]), 4.54));
    }

    #[test]
    fn every_ink_is_legible_on_every_ground_that_it_stands_on() {
        let texts: &[&str] = &["fg", "muted", "accent", "bad"];
        let pairs: &[(&str, &[&str])] = &[
            ("bg", texts),
            ("soft", texts),
            // A message that was jumped to, and words that were searched for.
            ("mark", texts),
            (
                "code-bg",
                &["code-fg", "muted", "s0", "s1", "s2", "s3", "s4"],
            ),
            // Initials are written in the colour of the paper.
            ("bg", &["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"]),
        ];
        let mut faint = Vec::new();
        for (ground, inks) in pairs {
            for ink in *inks {
                for (theme, number) in [("light", 0), ("dark", 1)] {
                    let found = contrast(colours(ground)[number], colours(ink)[number]);
                    // Level AA, for text of any size (WCAG 2.2, 1.4.3).
                    if found < 4.5 {
                        faint.push(format!("{ink} on {ground}, {theme}: {found:.2}"));
                    }
                }
            }
        }
        assert!(faint.is_empty(), "{faint:#?}");
    }

    #[test]
    fn no_colour_stands_where_the_theme_does_not_reach_it() {
        // A colour outside the palette would be the same on light and dark pages.
        for (number, line) in compact(STYLE).lines().enumerate() {
            let plain =
                line.contains(": #") || line.contains(" #") && !line.contains("light-dark(");
            let paper = ["--bg: #fff;", "--soft: #f6f5f2;"].contains(&line);
            assert!(!plain || paper, "{number}: {line}");
        }
    }

    #[test]
    fn our_own_style_and_script_cannot_end_their_elements() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--"));
        }
    }
}
