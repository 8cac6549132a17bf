//! The one escaper. Every byte that comes from a workspace and ends in a page goes through here.

use std::fmt::Write;

use crate::scan::{Special, plain_prefix};

/// Writes text for element content and for quoted attribute values alike (HTML Living Standard §13.3).
///
/// Control characters become their visible pictures (U+2400…), except tab and line breaks; what is not UTF-8 becomes
/// U+FFFD.
pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) {
    let (plain, rest) = text.split_at(plain_prefix(text, SPECIALS));
    out.extend_from_slice(plain);
    if !rest.is_empty() {
        // The plain part is ASCII: the rest begins with a whole character.
        match std::str::from_utf8(rest) {
            Ok(_) => escaped(out, rest),
            Err(_) => escaped(out, String::from_utf8_lossy(rest).as_bytes()),
        }
    }
}

/// What ends the part of a text that is copied as it is: `&` and `'`, `<` and `>`, `"`, delete.
const SPECIALS: [Special; 4] = [
    Special {
        ignore: 1,
        byte: b'\'',
    },
    Special {
        ignore: 2,
        byte: b'>',
    },
    Special {
        ignore: 0,
        byte: b'"',
    },
    Special {
        ignore: 0,
        byte: 0x7f,
    },
];

fn escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|&byte| SPECIAL[usize::from(byte)]) {
        out.extend_from_slice(&text[..at]);
        match text[at] {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            0x7f => out.extend_from_slice("\u{2421}".as_bytes()),
            // U+2400 + n, in UTF-8.
            control => out.extend_from_slice(&[0xe2, 0x90, 0x80 | control]),
        }
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

/// Writes text as a part of a script's string in double quotes (ECMA-262 §12.9.4), on one line: tabs and line breaks
/// become spaces, so that a tab can part texts, and nothing in it can end a script element.
pub(crate) fn script(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_prefix(rest, SCRIPT_SPECIALS));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'<' => out.extend_from_slice(b"\\x3c"),
            0x80.. => {
                let (foreign, ascii) = special.split_at(foreign_prefix(special));
                out.extend_from_slice(foreign);
                rest = ascii;
                continue;
            }
            b'\t' | b'\n' | b'\r' => out.push(b' '),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [
                    HEX[usize::from(control >> 4)],
                    HEX[usize::from(control & 15)],
                ];
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(&digits);
            }
        }
        rest = after;
    }
}

/// Length of the beginning that is not ASCII.
fn foreign_prefix(text: &[u8]) -> usize {
    let end = text.iter().position(u8::is_ascii);
    end.unwrap_or(text.len())
}

const SCRIPT_SPECIALS: [Special; 4] = [
    Special {
        ignore: 0,
        byte: 0x7f,
    },
    Special {
        ignore: 0,
        byte: b'"',
    },
    Special {
        ignore: 0,
        byte: b'\\',
    },
    Special {
        ignore: 0,
        byte: b'<',
    },
];

const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = control != 0x09 && control != 0x0a && control != 0x0d;
        control += 1;
    }
    table[0x7f] = true;
    table[b'&' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'"' as usize] = true;
    table[b'\'' as usize] = true;
    table
};

/// Bytes of a name that are shown.
pub(super) const NAME: usize = 200;

/// The beginning of a text, at most `limit` bytes and whole characters, and how many bytes are left out.
pub(super) fn cut(text: &[u8], limit: usize) -> (&[u8], usize) {
    if text.len() <= limit {
        return (text, 0);
    }
    let mut end = limit;
    // Not into a character: its further bytes are 10xxxxxx.
    while end > limit.saturating_sub(4) && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    (&text[..end], text.len() - end)
}

/// Writes the name of somebody or something, at most [`NAME`] bytes of it; how many are left out.
pub(super) fn name(out: &mut Vec<u8>, name: &[u8]) -> usize {
    let (shown, left) = cut(name, NAME);
    text(out, shown);
    if left > 0 {
        out.extend_from_slice("…".as_bytes());
    }
    left
}

/// Writes a name to a page's title, which holds no elements and so no `<bdi>`: without the characters that would turn
/// round what stands behind it (Unicode Standard Annex #9, "explicit directional embedding, override and isolate").
pub(super) fn title(out: &mut Vec<u8>, text: &str) {
    let turns = |character| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name(out, text.replace(turns, "").as_bytes());
}

/// Writes an id as the value of the attribute. Control characters have their pictures, line breaks among them, which
/// browsers would change; [`fragment`] writes the same, so that links find it.
pub(super) fn id(out: &mut Vec<u8>, id: &str) {
    match pictured(id) {
        Some(pictured) => text(out, pictured.as_bytes()),
        None => text(out, id.as_bytes()),
    }
}

/// Writes an id as a part of a link's fragment.
pub(super) fn fragment(out: &mut Vec<u8>, id: &str) {
    match pictured(id) {
        Some(pictured) => link(out, &pictured),
        None => link(out, id),
    }
}

/// The text with pictures for its control characters (U+2400…); `None` when it has none.
fn pictured(text: &str) -> Option<String> {
    let picture = |character: char| match u32::from(character) {
        0x7f => '\u{2421}',
        control @ ..0x20 => char::from_u32(0x2400 + control).unwrap_or(character),
        _ => character,
    };
    let has_any = text.bytes().any(|byte| byte.is_ascii_control());
    has_any.then(|| text.chars().map(picture).collect())
}

/// Writes several lines: line breaks of any kind become `<br>`.
pub(crate) fn lines(out: &mut Vec<u8>, text: &[u8]) {
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"<br>\n");
        }
        self::text(out, line.strip_suffix(b"\r").unwrap_or(line));
    }
}

/// Writes a relative link or fragment: everything but unreserved characters and `/` is percent-encoded (RFC 3986
/// §2.3), so that nothing is left to escape.
pub(super) fn link(out: &mut Vec<u8>, target: &str) {
    for &byte in target.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
}

/// Writes our own formatted text, numbers and the like, which hold nothing to escape.
pub(super) fn ours(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    struct Ours<'a>(&'a mut Vec<u8>);
    impl Write for Ours<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self::text(self.0, text.as_bytes());
            Ok(())
        }
    }
    // Writing to a vector cannot fail.
    let _ = Ours(out).write_fmt(arguments);
}

/// Our own formatted text between two pieces of markup.
pub(super) fn ours_tagged(
    out: &mut Vec<u8>,
    before: &str,
    arguments: std::fmt::Arguments<'_>,
    after: &str,
) {
    out.extend_from_slice(before.as_bytes());
    ours(out, arguments);
    out.extend_from_slice(after.as_bytes());
}

/// Writes a text of ours, each `{}` in it filled with the next of these, of which none holds markup.
pub(super) fn filled(out: &mut Vec<u8>, template: &str, parameters: &[&dyn std::fmt::Display]) {
    let mut parameters = parameters.iter();
    for (number, piece) in template.split("{}").enumerate() {
        if number > 0
            && let Some(parameter) = parameters.next()
        {
            ours(out, format_args!("{parameter}"));
        }
        text(out, piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn markup_is_harmless() {
        let sample = b"<img src=x onerror='a(\"b\")'>&amp;\0\x1b\x7f";
        let expected =
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;amp;\u{2400}\u{241b}\u{2421}";
        assert_eq!(written(|out| text(out, sample)), expected);
        assert_eq!(
            written(|out| lines(out, b"a\r\nb\n<")),
            "a<br>\nb<br>\n&lt;"
        );
        assert_eq!(
            written(|out| link(out, "assets/a b\"#?ä.png")),
            "assets/a%20b%22%23%3F%C3%A4.png"
        );
        assert_eq!(written(|out| text(out, b"a\xffb")), "a\u{fffd}b");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(b"abc", 3), (&b"abc"[..], 0));
        assert_eq!(cut(b"abcd", 3), (&b"abc"[..], 1));
        assert_eq!(cut("aää".as_bytes(), 4), ("aä".as_bytes(), 2));
        assert_eq!(cut("😀😀".as_bytes(), 7), ("😀".as_bytes(), 4));
        // What is no text is cut somewhere, and not looked through.
        assert_eq!(cut(&[0x80; 20], 10), (&[0x80; 6][..], 14));
        let long = "n".repeat(NAME + 1);
        let shown = written(|out| assert_eq!(name(out, long.as_bytes()), 1));
        assert_eq!(shown, format!("{}…", &long[1..]));
    }

    #[test]
    fn nothing_in_a_title_turns_round_what_stands_behind_it() {
        let text = "a\u{202e}b\u{2066}<\u{2069}\u{202c} א\u{200f}";
        assert_eq!(written(|out| title(out, text)), "ab&lt; א\u{200f}");
    }

    #[test]
    fn a_link_finds_an_id_with_control_characters() {
        for (sample, expected) in [
            ("abc", "abc"),
            ("a b&", "a b&amp;"),
            (
                "a\r\n\t\0\u{7f}b",
                "a\u{240d}\u{240a}\u{2409}\u{2400}\u{2421}b",
            ),
        ] {
            let attribute = written(|out| id(out, sample));
            assert_eq!(attribute, expected);
            let decoded = written(|out| fragment(out, sample)).replace("%20", " ");
            let linked = written(|out| link(out, &attribute.replace("&amp;", "&")));
            assert_eq!(decoded, linked.replace("%20", " "));
        }
    }

    #[test]
    fn a_script_string_keeps_its_text_and_its_end() {
        let sample = "a\"b\\c</script>\n\t\u{2028}é\u{7f}\0";
        assert_eq!(
            written(|out| script(out, sample)),
            "a\\\"b\\\\c\\x3c/script>  \u{2028}é\\x7f\\x00"
        );
    }

    proptest! {
        #[test]
        fn a_script_string_is_read_back_as_the_text(sample in "[\\PC\"\\\\<]*") {
            let out = written(|out| script(out, &sample)).replace("\\x3c", "\\u003c");
            let back: String = serde_json::from_str(&format!("\"{out}\"")).unwrap();
            prop_assert_eq!(back, sample);
        }

        #[test]
        fn nothing_that_html_acts_on_is_left(sample in any::<Vec<u8>>()) {
            let out = written(|out| text(out, &sample));
            prop_assert!(!out.contains(['<', '>', '"', '\'', '\0']));
            for (at, _) in out.match_indices('&') {
                let entity = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
                prop_assert!(entity.iter().any(|entity| out[at..].starts_with(entity)));
            }
        }
    }
}
