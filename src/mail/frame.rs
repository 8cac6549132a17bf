//! The operator's HTML around mails: what of it is taken out, and what it says as plain text.
//!
//! Responsible for reading HTML that comes in pieces: the header opens what the footer closes, so that no parser of whole
//! documents keeps it as it is. Not for what is put into it.

/// What a reader sees of HTML, as lines of text; a link's address stands behind its label.
pub(super) fn words_of(html: &str) -> String {
    let mut lines = vec![String::new()];
    let (mut rest, mut link) = (html, None);
    while !rest.is_empty() {
        let end = rest.find('<').unwrap_or(rest.len());
        let text = rest[..end]
            .replace("&nbsp;", " ")
            .replace("&copy;", "©")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&");
        if let Some(line) = lines.last_mut() {
            for word in text.split_inclusive(char::is_whitespace) {
                line.push_str(word.trim_end());
                if word.ends_with(char::is_whitespace) && !line.is_empty() && !line.ends_with(' ') {
                    line.push(' ');
                }
            }
        }
        rest = &rest[end..];
        let Some(tag) = rest.strip_prefix('<') else {
            break;
        };
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let name = name.to_ascii_lowercase();
        let closes = tag.starts_with('/');
        let (attributes, after) = attributes(&tag[name.len() + usize::from(closes)..]);
        rest = after;
        match name.as_str() {
            "head" | "style" | "script" | "title" if !closes => {
                let close = format!("</{name}");
                let end = rest.to_ascii_lowercase().find(&close).unwrap_or(rest.len());
                rest = &rest[end..];
            }
            "a" if closes => {
                if let (Some(address), Some(line)) = (link.take(), lines.last_mut())
                    && !line.ends_with(address)
                {
                    line.extend([" (", address, ")"]);
                }
            }
            "a" => {
                let href = attributes.iter().find(|(name, _)| name == "href");
                link = href
                    .map(|(_, address)| *address)
                    .filter(|address| !address.is_empty());
            }
            "br" | "p" | "div" | "tr" | "table" | "li" | "hr" | "h1" | "h2" | "h3" | "h4"
            | "center" => {
                lines.push(String::new());
            }
            _ => {}
        }
    }
    let mut out = String::new();
    for line in lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
    {
        out.extend([line, "\n"]);
    }
    out
}

/// Elements that load or run something, or hold what does.
const LOADS: [&str; 20] = [
    "link", "iframe", "frame", "frameset", "object", "embed", "applet", "base", "source", "track",
    "video", "audio", "picture", "input", "button", "form", "svg", "image", "use", "math",
];
/// Attributes that say only how something looks or reads, or where a reader may go.
const HARMLESS: [&str; 36] = [
    "align",
    "alt",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "charset",
    "class",
    "color",
    "cols",
    "colspan",
    "content",
    "dir",
    "face",
    "height",
    "href",
    "hspace",
    "id",
    "lang",
    "name",
    "nowrap",
    "rel",
    "role",
    "rows",
    "rowspan",
    "size",
    "src",
    "start",
    "style",
    "target",
    "title",
    "type",
    "valign",
    "vspace",
    "width",
    "xmlns",
];

/// HTML without what a mail program would load or run: of a picture its alternative text stays. What is not known to be
/// harmless goes.
pub(super) fn without_remote(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let closes = rest.starts_with("</");
        let inner = &rest[if closes { 2 } else { 1 }..];
        let length = inner
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(inner.len());
        let name = inner[..length].to_ascii_lowercase();
        if name.is_empty() {
            // A comment, which some programs read, a declaration, or a bare sign.
            let skipped = match rest.strip_prefix("<!--") {
                Some(comment) => comment.find("-->").map_or(rest.len(), |end| 4 + end + 3),
                None => 1,
            };
            out.push_str(if skipped == 1 { "<" } else { "" });
            rest = &rest[skipped..];
            continue;
        }
        let (attributes, after) = attributes(&inner[length..]);
        rest = after;
        if closes {
            if !LOADS.contains(&&*name) && name != "script" {
                out.extend(["</", &name, ">"]);
            }
            continue;
        }
        let value = |wanted: &str| {
            attributes
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| *value)
        };
        match name.as_str() {
            "script" | "style" => {
                let close = format!("</{name}");
                let end = rest.to_ascii_lowercase().find(&close).unwrap_or(rest.len());
                if name == "style" {
                    out.extend(["<style>", &without_urls(&rest[..end]), "</style>"]);
                }
                rest = rest[end..]
                    .find('>')
                    .map_or("", |shut| &rest[end + shut + 1..]);
                continue;
            }
            "img" if !value("src").unwrap_or("").trim_start().starts_with("cid:") => {
                out.push_str(value("alt").unwrap_or(""));
                continue;
            }
            "meta" if value("http-equiv").is_some() => continue,
            name if LOADS.contains(&name) => continue,
            _ => {}
        }
        out.extend(["<", &name]);
        for (attribute, value) in &attributes {
            let is_link = name == "a" || name == "area";
            let fits = match attribute.as_str() {
                "href" => {
                    is_link
                        && !value
                            .trim_start()
                            .to_ascii_lowercase()
                            .starts_with("javascript:")
                }
                "src" => name == "img",
                "style" => without_urls(value) == *value,
                other => HARMLESS.contains(&other),
            };
            // No quotes could stand around one that has both.
            if fits && !(value.contains('"') && value.contains('\'')) {
                let quote = if value.contains('"') { "'" } else { "\"" };
                out.extend([" ", attribute, "=", quote, value, quote]);
            }
        }
        out.push('>');
    }
    out.push_str(rest);
    out
}

/// The attributes of a tag, names in lower case, and what follows the tag.
fn attributes(tag: &str) -> (Vec<(String, &str)>, &str) {
    let mut found = Vec::new();
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/' || c == '=');
        if let Some(after) = rest.strip_prefix('>') {
            return (found, after);
        }
        if rest.is_empty() {
            return (found, rest);
        }
        let end = |text: &str, ends: &[char]| {
            text.find(|c: char| c.is_ascii_whitespace() || ends.contains(&c))
                .unwrap_or(text.len())
        };
        let (name, after) = rest.split_at(end(rest, &['=', '>', '/']).max(1).min(rest.len()));
        rest = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
            let quoted = ['"', '\''].into_iter().find_map(|quote| {
                let inner = after.strip_prefix(quote)?;
                Some(inner.split_once(quote).unwrap_or((inner, "")))
            });
            (value, rest) = quoted.unwrap_or_else(|| after.split_at(end(after, &['>'])));
        }
        found.push((name.to_ascii_lowercase(), value));
    }
}

/// Styles that name no place to load from: everything that can begin one, and the backslash that can hide it, goes.
pub(super) fn without_urls(style: &str) -> String {
    let mut out = style.replace('\\', "");
    for begins in ["url(", "@import", "image-set(", "src(", "expression("] {
        while let Some(at) = out.to_ascii_lowercase().find(begins) {
            out.replace_range(at..at + begins.len(), "no-(");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_frame_loads_nothing() {
        for (html, expected) in [
            ("<p>a</p>", "<p>a</p>"),
            (
                "<a href='https://x'><IMG width=1 src=\"[Site_Url_Slash]assets/logo.png\" alt=\"Rocket.chat\"></a>",
                "<a href=\"https://x\">Rocket.chat</a>",
            ),
            ("<img src='cid:x'><img src=http://x>", "<img src=\"cid:x\">"),
            ("<img src=http://x alt='logo cid:1'>", "logo cid:1"),
            (
                "<link rel=stylesheet href=x><script>a<b</SCRIPT>c<script>d",
                "c",
            ),
            (
                "<style>@import 'x';a{b:url(http://x)}</style>",
                "<style>no-( 'x';a{b:no-(http://x)}</style>",
            ),
            (
                "<STYLE>a{b:URL(x);c:u\\72l(y);d:image-set(\"z\" 1x)}</Style>e",
                "<style>a{b:no-(x);c:u72l(y);d:no-(\"z\" 1x)}</style>e",
            ),
            (
                "<p style='background:Url(x)' class=a onclick=\"b>c\">d</p>",
                "<p class=\"a\">d</p>",
            ),
            (
                "<td background='http://x' bgcolor=red>a</td>",
                "<td bgcolor=\"red\">a</td>",
            ),
            (
                "<table\nBACKGROUND=\"http://x\"width=1>",
                "<table width=\"1\">",
            ),
            (
                "<input type=image src=x><iframe src=y></iframe><svg><image href=z /></svg>",
                "",
            ),
            ("<picture><source srcset=x><img src=y alt=z></picture>", "z"),
            (
                "<meta http-equiv=refresh content='0;url=x'><meta charset=utf-8>",
                "<meta charset=\"utf-8\">",
            ),
            ("<a href=' JavaScript:x'>a</a>", "<a>a</a>"),
            ("<!--[if mso]><img src=x><![endif]-->a", "a"),
            (
                "<!DOCTYPE html><p title='a\"b'>",
                "<!DOCTYPE html><p title='a\"b'>",
            ),
            ("<p title='never closed", "<p title=\"never closed\">"),
            ("<p title", "<p title=\"\">"),
            ("a < b", "a < b"),
        ] {
            assert_eq!(without_remote(html), expected, "{html}");
        }
    }

    #[test]
    fn the_operators_frame_has_words_for_plain_text() {
        for (html, expected) in [
            ("", ""),
            (
                "<head><title>t</title><style>p{}</style></head><p>ACME&nbsp;Ltd &amp; Sons",
                "ACME Ltd & Sons\n",
            ),
            (
                "Imprint:\n <b>ACME</b><br>\n1 Road",
                "Imprint: ACME\n1 Road\n",
            ),
            (
                "<a href='https://x.org/i'>Imprint</a> <a href=\"https://y\">https://y</a>",
                "Imprint (https://x.org/i) https://y\n",
            ),
            (
                "<table><tr><td>[Site_Name]</td></tr></table><!-- no -->",
                "[Site_Name]\n",
            ),
            ("a < b", "a\n"),
        ] {
            assert_eq!(words_of(html), expected, "{html}");
        }
    }
}
