//! Links out of the export: which addresses of a workspace become links at all.

use super::escape;

/// Longest address that becomes a link, in bytes; browsers cut at about 2 MiB, people never type more than this.
const LONGEST: usize = 8 * 1024;

/// Schemes of links: nothing that runs, reads files or opens programs.
const SCHEMES: [&str; 4] = ["http://", "https://", "mailto:", "tel:"];

/// The address as it may stand in a link; `None` when it may not be one and is only shown.
///
/// Browsers drop line breaks and tabs from an address and white space around it (WHATWG URL §4.4): what holds any is
/// no address here.
pub(crate) fn address(text: &[u8]) -> Option<&str> {
    if text.len() > LONGEST || text.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let is_known = |scheme: &&str| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && text.len() > scheme.len()
    };
    SCHEMES.iter().any(is_known).then_some(text)
}

/// Writes the beginning of a link out of the export, to be followed by its text and `</a>`.
pub(super) fn open(out: &mut Vec<u8>, address: &str) {
    out.extend_from_slice(b"<a rel=\"noopener noreferrer\" href=\"");
    escape::text(out, address.as_bytes());
    out.extend_from_slice(b"\">");
}

/// The host of an address, without user and port.
pub(super) fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The id in the link to a message: `…?msg=<id>` (contract §5.5).
pub(super) fn message_id(link: &str) -> Option<&str> {
    let (_, query) = link.split_once('?')?;
    let query = query.split('#').next()?;
    let id = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("msg="))?;
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_schemes_become_links() {
        for text in [
            "http://a.test/x?y#z",
            "HTTPS://A.test",
            "mailto:a@b.test",
            "tel:+49",
            "https://ä.test/ü",
        ] {
            assert_eq!(address(text.as_bytes()), Some(text));
        }
        for text in [
            "",
            "http://",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " http://a.test",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "//a.test",
            "/file-upload/x",
            "http:/a.test",
            "ht\ttp://a.test",
            "blob:http://a.test/x",
            "view-source:http://a.test",
        ] {
            assert_eq!(address(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(address(&[b'a'; 10_000]), None);
    }

    #[test]
    fn hosts_and_messages_are_found() {
        for (text, expected) in [
            ("https://a.test:8080/x", "a.test"),
            ("https://good.test@evil.test/x", "evil.test"),
            ("https://a.test\\@b.test", "a.test"),
            ("mailto:a@b.test", ""),
        ] {
            assert_eq!(host(text), expected, "{text}");
        }
        for (link, expected) in [
            ("http://c/channel/general?msg=abc", Some("abc")),
            ("http://c/channel/general?x=1&msg=abc#y", Some("abc")),
            ("http://c/channel/general?tab=msg", None),
            ("http://c/channel/general?msg=", None),
            ("", None),
        ] {
            assert_eq!(message_id(link), expected, "{link}");
        }
    }
}
