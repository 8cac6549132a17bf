//! Words for people: numbers, sizes, instants, and foreign text on one line, from which nothing can move a cursor, fake a line
//! or add a header.

use std::error::Error;

/// Characters of a line; what a workspace says can be as long as it likes.
const LONGEST: usize = 1000;

/// `text` on one line without control and direction characters, cut where nobody reads on.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|character| match character {
            '\n' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

/// An error and its causes, for the log.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// An error, what caused it, and so on.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

/// A whole number with thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that fits.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|&(unit, _)| bytes >= unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// An instant, milliseconds since 1970, to the minute.
pub(crate) fn instant(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| "an instant that no calendar has".to_owned(),
        |instant| instant.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_sizes_and_instants_are_readable() {
        assert_eq!(super::number(0), "0");
        assert_eq!(super::number(1_234_567), "1,234,567");
        assert_eq!(super::bytes(999), "999 B");
        assert_eq!(super::bytes(1_550_000), "1.5 MB");
        assert_eq!(super::instant(1_700_000_000_000), "2023-11-14 22:13 UTC");
    }

    #[test]
    fn terminals_are_not_taken_over() {
        assert_eq!(
            super::one_line("a\u{1b}[2J\nb\u{202e}c\u{2028}d\u{61c}"),
            "a\u{fffd}[2J b\u{fffd}c d\u{fffd}"
        );
    }
}
