//! Short codes of emoji.
//!
//! The table is made by `crates/transcript/emoji.py` from the package `emojibase-data` 17.0.0 (MIT, © Miles Johnson): the short codes of
//! `JoyPixels`, which Rocket.Chat uses, and for those that are in none of its lists GitHub's.

/// `code`, a tab, the emoji; a line each, in the order of the codes' bytes.
const TABLE: &str = include_str!("emoji.txt");

/// The emoji of a short code without colons; `None` when no list has it.
pub fn unicode(code: &str) -> Option<&'static str> {
    let (mut low, mut high) = (0, TABLE.len());
    while low < high {
        // The line that holds the middle.
        let middle = low.midpoint(high);
        let start = TABLE.as_bytes()[low..middle]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(low, |place| low + place + 1);
        let end = TABLE.as_bytes()[start..high]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(high, |place| start + place);
        let (known, emoji) = TABLE.get(start..end)?.split_once('\t')?;
        match known.cmp(code) {
            std::cmp::Ordering::Equal => return Some(emoji),
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_no_other() {
        for line in TABLE.lines() {
            let (code, emoji) = line.split_once('\t').unwrap();
            assert_eq!(unicode(code), Some(emoji), "{code}");
        }
        for code in ["", "\t", "smile\t", "no_such_emoji", "zzzz", "smil"] {
            assert_eq!(unicode(code), None, "{code}");
        }
    }

    #[test]
    fn what_emoticons_mean_is_known() {
        for code in crate::markup::emoticon::codes() {
            assert!(unicode(code).is_some(), "{code}");
        }
    }
}
