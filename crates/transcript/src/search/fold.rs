//! Text as the words that are looked for: without case, accents and forms of presentation.
//!
//! `search.js` does the same with what is typed; both are tested with the cases of `fold.json`. In scripts that do not
//! part words by spaces every character is a word, and what is typed becomes a phrase.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters of a word that count; a longer word is found by its beginning.
pub const WORD: usize = 32;

/// Folds texts, with buffers that are reused.
#[derive(Debug, Default)]
pub struct Folder {
    folded: String,
    word: String,
}

impl Folder {
    /// Calls `each` with every word of a text, in order.
    pub fn words<E>(
        &mut self,
        text: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = text.as_bytes();
        let mut word = [0; WORD];
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            let mut seen = 0;
            // A run of what may be a word: ASCII letters and digits, and everything beyond ASCII.
            while let Some(&byte) = bytes.get(at) {
                let folded = ASCII[usize::from(byte)];
                if folded == 0 {
                    break;
                }
                if let Some(place) = word.get_mut(at - start) {
                    *place = folded;
                }
                seen |= byte;
                at += 1;
            }
            if seen >= 0x80 {
                self.fold(&text[start..at], &mut each)?;
            } else if at > start {
                each(&word[..(at - start).min(WORD)])?;
            }
            at += 1;
        }
        Ok(())
    }

    fn fold<E>(
        &mut self,
        run: &str,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { folded, word } = self;
        folded.clear();
        let base = run.nfkd().filter(|&character| !is_dropped(character));
        for character in base.nfc().flat_map(char::to_lowercase) {
            match plain_letters(character) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(character),
            }
        }
        let mut length = 0;
        for character in folded.chars() {
            let alone = stands_alone(character);
            let joins = !alone && (character.is_alphanumeric() || is_combining_mark(character));
            if joins {
                if length < WORD {
                    word.push(character);
                }
                length += 1;
                continue;
            }
            if length > 0 {
                each(word.as_bytes())?;
                word.clear();
                length = 0;
            }
            if alone {
                each(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        if length > 0 {
            each(word.as_bytes())?;
            word.clear();
        }
        Ok(())
    }
}

/// What a byte adds to a run: itself in lower case, nothing (0) when it is ASCII and neither letter nor digit.
const ASCII: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // The index of a table of bytes is a byte.
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let own = byte as u8;
        if own >= 0x80 || own.is_ascii_alphanumeric() {
            table[byte] = own.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// Accents of European scripts, points of Hebrew and Arabic, and what only steers how text is shown. The marks of other
/// scripts are letters to their readers.
fn is_dropped(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'
        | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}'..='\u{6e8}'
        | '\u{6ea}'..='\u{6ed}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{feff}')
}

/// Letters that have no decomposition, and that people type as others.
fn plain_letters(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ı' => "i",
        'ł' => "l",
        'ŧ' => "t",
        'ς' => "σ",
        _ => return None,
    })
}

/// Characters of scripts without spaces between words, and pictures.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2600}'..='\u{27bf}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{1f000}'..='\u{1faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        let each = |word: &[u8]| {
            words.push(std::str::from_utf8(word).unwrap().to_owned());
            Ok::<_, Infallible>(())
        };
        let Ok(()) = Folder::default().words(text, each);
        words
    }

    #[test]
    fn texts_have_the_words_that_the_pages_expect() {
        let cases: Vec<(String, Vec<String>)> =
            serde_json::from_str(include_str!("fold.json")).unwrap();
        assert!(cases.len() > 30);
        for (text, expected) in cases {
            assert_eq!(words(&text), expected, "{text}");
        }
    }

    #[test]
    fn ascii_and_the_rest_are_folded_alike() {
        for text in ["Hello World x_y don't 3.14", &"Abc9".repeat(20)] {
            let mut slow = Vec::new();
            let each = |word: &[u8]| {
                slow.push(String::from_utf8(word.to_vec()).unwrap());
                Ok::<_, Infallible>(())
            };
            let Ok(()) = Folder::default().fold(text, &mut { each });
            assert_eq!(words(text), slow);
        }
    }

    proptest! {
        #[test]
        fn words_are_short_and_hold_no_separators(text in any::<String>()) {
            for word in words(&text) {
                prop_assert!((1..=WORD).contains(&word.chars().count()));
                prop_assert!(!word.contains(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric()));
            }
        }
    }
}
