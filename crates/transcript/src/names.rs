//! Safe names of ZIP entries: the only place that makes them.
//!
//! Follows Rocket.Chat's `filenamify` 4.3 (contract §6.3) where that is safe, so that ordinary names are the same
//! names; differs where it lost the extension, counted characters instead of bytes, or let through what a file system
//! or a reader trips over.

/// Longest name in bytes, without its directory. Windows' limit is on the whole path, Linux' on 255 bytes.
pub const MAX_NAME: usize = 120;

/// Longest extension in bytes, with its dot, that is kept when a name is cut.
const MAX_EXTENSION: usize = 16;

/// The name of a file's entry: `assets/<id>-<name>`.
pub fn asset(id: &str, name: &str) -> String {
    format!("assets/{}", safe(&format!("{id}-{name}")))
}

/// Directory of avatars.
pub const AVATARS: &str = "assets/avatars";
/// Directory of custom emoji.
pub const EMOJI: &str = "assets/emoji";
/// Directory of thumbnails.
pub const THUMBNAILS: &str = "assets/thumbnails";

/// The name of a picture's entry in [`AVATARS`], [`EMOJI`] or [`THUMBNAILS`]; `extension` is one that we know the picture by.
pub fn picture(directory: &str, name: &str, extension: &str) -> String {
    format!("{directory}/{}", safe(&format!("{name}.{extension}")))
}

/// Whether an entry is a picture and no file of a message.
pub fn is_picture(entry: &str) -> bool {
    [AVATARS, EMOJI, THUMBNAILS].iter().any(|directory| {
        entry
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
    })
}

/// Name of an entry of the search: `search/<name>.js`; the name is ours, not the workspace's.
pub fn search(name: &str) -> String {
    format!("search/{name}.js")
}

/// Name of a message's entry among mails: when it was sent, ISO 8601 in UTC, then its id, so that names sort by time.
pub fn mail(sent: Option<&str>, id: &str) -> String {
    let sent = sent.and_then(|sent| sent.get(..19)).unwrap_or("undated");
    let sent: String = sent.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("mails/{}", safe(&format!("{sent}-{id}.eml")))
}

/// One safe path component made of any text: never empty, at most [`MAX_NAME`] bytes, no separator, no control or
/// direction character, no leading or trailing dot, space or dash, no name that Windows reserves, extension kept.
pub fn safe(wanted: &str) -> String {
    let mut name = String::with_capacity(wanted.len().min(4 * MAX_NAME));
    for character in wanted.chars() {
        let character = if is_unsafe(character) { '-' } else { character };
        if character != '-' || !name.ends_with('-') {
            name.push(character);
        }
    }
    let mut name = cut(trim(&name), MAX_NAME);
    if name.is_empty() {
        name.push_str("unnamed");
    }
    let stem = name.split('.').next().unwrap_or_default().len();
    if is_reserved(name[..stem].trim_end()) {
        // An underscore: a trailing dash would be trimmed when a safe name is made safe once more.
        name = cut(&name, MAX_NAME - 1);
        name.insert(stem, '_');
    }
    name
}

/// `name` with `-<number>` before its extension: the second, third … entry of the same name.
pub fn numbered(name: &str, number: u32) -> String {
    suffixed(name, &format!("-{number}"))
}

/// `name` with a suffix of ours before its extension.
pub(crate) fn suffixed(name: &str, suffix: &str) -> String {
    let (directory, file) = name
        .rsplit_once('/')
        .map_or(("", name), |(directory, file)| (directory, file));
    let (stem, extension) = split_extension(file);
    let room = MAX_NAME.saturating_sub(suffix.len() + extension.len());
    let stem = &stem[..stem.floor_char_boundary(room)];
    let slash = if directory.is_empty() { "" } else { "/" };
    format!("{directory}{slash}{stem}{suffix}{extension}")
}

/// The form under which two names are the same file on a file system that ignores case.
pub fn folded(name: &str) -> String {
    name.to_lowercase()
}

fn is_unsafe(character: char) -> bool {
    matches!(character, '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*')
        || character.is_control()
        // Zero-width, direction and line characters, byte-order mark, and the rest of what renders as nothing.
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
                | '\u{fffe}' | '\u{ffff}'
        )
}

fn trim(name: &str) -> &str {
    name.trim_matches(|character: char| matches!(character, '.' | '-') || character.is_whitespace())
}

fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION => name.split_at(dot),
        _ => (name, ""),
    }
}

fn cut(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let stem = &stem[..stem.floor_char_boundary(limit - extension.len())];
    format!("{}{extension}", trim(stem))
}

/// `CON`, `NUL`, `COM1` … in any case, which Windows takes for devices, with or without an extension.
fn is_reserved(stem: &str) -> bool {
    let stem = stem.to_ascii_lowercase();
    if matches!(
        stem.as_str(),
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$"
    ) {
        return true;
    }
    let Some(number) = stem
        .strip_prefix("com")
        .or_else(|| stem.strip_prefix("lpt"))
    else {
        return false;
    };
    let mut number = number.chars();
    matches!(
        (number.next(), number.next()),
        (Some('0'..='9' | '¹' | '²' | '³'), None)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_rocket_chat_where_they_are_safe() {
        let cases = [
            ("abc-x.png", "abc-x.png"),
            ("abc-x--y.png", "abc-x-y.png"),
            (
                "abc-a/b\\c:d*e?f\"g<h>i|j.txt",
                "abc-a-b-c-d-e-f-g-h-i-j.txt",
            ),
            ("..x", "x"),
            ("con", "con_"),
            ("-lead.json", "lead.json"),
            (
                "Überblick – Größe (final).pdf",
                "Überblick – Größe (final).pdf",
            ),
        ];
        for (wanted, expected) in cases {
            assert_eq!(safe(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn hostile_names_are_harmless() {
        let cases = [
            ("", "unnamed"),
            ("../../etc/passwd", "etc-passwd"),
            ("/etc/hosts", "etc-hosts"),
            ("C:\\temp\\report.txt", "C-temp-report.txt"),
            ("..", "unnamed"),
            ("con.txt", "con_.txt"),
            ("NUL", "NUL_"),
            ("com1.log", "com1_.log"),
            ("com10.log", "com10.log"),
            ("new\nline.txt", "new-line.txt"),
            ("a\u{202e}gnp.exe", "a-gnp.exe"),
            ("trailing dots...", "trailing dots"),
            (" space .txt ", "space .txt"),
            ("a\0b", "a-b"),
        ];
        for (wanted, expected) in cases {
            assert_eq!(safe(wanted), expected, "{wanted:?}");
        }
        assert_eq!(asset("F1", "../x"), "assets/F1-..-x");
    }

    #[test]
    fn a_reserved_name_stays_within_the_limit() {
        // Found by fuzzing: the mark went in after the cut.
        let name = safe(&format!("con.{}", "x".repeat(200)));
        assert!(
            name.len() <= MAX_NAME && name.starts_with("con_."),
            "{name}"
        );
    }

    #[test]
    fn cutting_keeps_the_extension_and_whole_characters() {
        let long = format!("{}.tar.gz", "ä".repeat(200));
        let name = safe(&long);
        assert!(
            name.len() <= MAX_NAME && split_extension(&name).1 == ".gz",
            "{name}"
        );
        let second = numbered(&format!("assets/{name}"), 12);
        assert!(
            second.ends_with("-12.gz") && second.len() <= MAX_NAME + "assets/".len(),
            "{second}"
        );
        assert_eq!(numbered("a.txt", 2), "a-2.txt");
        assert_eq!(numbered("noext", 3), "noext-3");
    }

    proptest! {
        #[test]
        fn any_text_makes_a_safe_name(wanted in any::<String>()) {
            check_safe(&safe(&wanted))?;
            let asset = asset(&wanted, &wanted);
            check_safe(asset.strip_prefix("assets/").unwrap())?;
            check_safe(&numbered(&safe(&wanted), 4_000_000_000))?;
        }

        #[test]
        fn making_a_safe_name_safe_changes_nothing(wanted in any::<String>()) {
            let once = safe(&wanted);
            prop_assert_eq!(safe(&once), once);
        }
    }

    fn check_safe(name: &str) -> Result<(), TestCaseError> {
        prop_assert!(!name.is_empty() && name.len() <= MAX_NAME);
        prop_assert!(
            !name.contains(['/', '\\', ':', '\0', '\n', '"', '<', '>', '|', '?', '*']),
            "{:?}",
            name
        );
        prop_assert!(
            !name.starts_with('.') && !name.ends_with(['.', ' ']),
            "{:?}",
            name
        );
        prop_assert!(!is_reserved(name.split('.').next().unwrap()), "{:?}", name);
        Ok(())
    }
}
