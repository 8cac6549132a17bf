//! Finding the first byte that needs care, eight at a time: most text has none.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A byte to look for, after setting the bits of `ignore`: one comparison finds two bytes that differ in one bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Special {
    /// Bits that are set in text and target alike.
    pub(crate) ignore: u8,
    /// The byte.
    pub(crate) byte: u8,
}

/// Length of the beginning of `text` that holds printable ASCII and none of the special bytes.
#[inline]
pub(crate) fn plain_prefix<const N: usize>(text: &[u8], specials: [Special; N]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = marks(*word, specials);
        if marks != 0 {
            return index * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |&byte: &u8| {
        !(0x20..0x80).contains(&byte)
            || specials
                .iter()
                .any(|special| byte | special.ignore == special.byte)
    };
    words.len() * 8 + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Whether these bytes are printable ASCII and none of them is special.
#[inline]
pub(crate) fn is_plain<const N: usize>(word: [u8; 8], specials: [Special; N]) -> bool {
    marks(word, specials) == 0
}

/// Marks what is not ASCII, below the space, or special, in the highest bit of its byte. (Zero bytes in a word: "Bit
/// Twiddling Hacks", Sean Eron Anderson; the lowest mark is exact, marks above it may not be.)
#[inline]
fn marks<const N: usize>(word: [u8; 8], specials: [Special; N]) -> u64 {
    let word = u64::from_le_bytes(word);
    let mut marks = word | word.wrapping_sub(ONES * 0x20) & !word;
    for special in specials {
        let zero = (word | (ONES * u64::from(special.ignore))) ^ (ONES * u64::from(special.byte));
        marks |= zero.wrapping_sub(ONES) & !zero;
    }
    marks & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPECIALS: [Special; 2] = [
        Special {
            ignore: 0,
            byte: b'"',
        },
        Special {
            ignore: 1,
            byte: b'\'',
        },
    ];

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(text in proptest::collection::vec(prop_oneof![8 => 0x20_u8..0x7f, 1 => any::<u8>()], 0..40)) {
            let expected = text.iter().position(|&byte| !(0x20..=0x7f).contains(&byte) || matches!(byte, b'"' | b'&' | b'\''));
            prop_assert_eq!(plain_prefix(&text, SPECIALS), expected.unwrap_or(text.len()));
            if let Some(first) = text.first_chunk() {
                prop_assert_eq!(is_plain(*first, SPECIALS), expected.is_none_or(|at| at >= 8));
            }
        }
    }
}
