//! Numbers as printable ASCII that stands in a script's string as it is, one character for the smallest.
//!
//! Not base64: here a byte of the file is a unit of the data, so that deflate sees the skew of the numbers, and the
//! pages decode without an array of bytes in between.

/// Digits that end a number.
const LAST: u64 = 60;
/// Digits that are followed by another.
const MORE: u64 = 32;

/// A digit below 92 as a character: `#` to `~`, with `!` in the place of the backslash.
fn digit(value: u64) -> u8 {
    // Below 92.
    let byte = b'#' + u8::try_from(value).unwrap_or_default();
    if byte == b'\\' { b'!' } else { byte }
}

/// The longest number's digits.
const DIGITS: usize = 14;

/// Appends a number.
#[inline]
pub fn put(out: &mut Vec<u8>, number: u64) {
    if number < LAST {
        out.push(digit(number));
    } else {
        let (digits, from) = long(number);
        out.extend_from_slice(&digits[from..]);
    }
}

/// The digits of a number, from the index given to the end.
#[inline]
pub fn long(number: u64) -> ([u8; DIGITS], usize) {
    let mut digits = [0; DIGITS];
    let mut at = DIGITS - 1;
    digits[at] = digit(number % LAST);
    let mut rest = number / LAST;
    // Bijective: no number is written in two ways.
    while rest > 0 {
        rest -= 1;
        at -= 1;
        digits[at] = digit(LAST + rest % MORE);
        rest /= MORE;
    }
    (digits, at)
}

/// A number and how many bytes it took; `None` where there is none.
pub fn get(text: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in text.iter().enumerate().take(DIGITS) {
        let digit = match byte {
            b'!' => u64::from(b'\\' - b'#'),
            b'\\' => return None,
            byte => u64::from(byte.checked_sub(b'#')?),
        };
        if digit < LAST {
            return Some((value.checked_mul(LAST)?.checked_add(digit)?, index + 1));
        }
        value = value.checked_mul(MORE)?.checked_add(digit - LAST + 1)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(number: u64) {
        let mut out = b"x".to_vec();
        put(&mut out, number);
        assert_eq!(get(&out[1..]), Some((number, out.len() - 1)), "{number}");
        assert!(
            out.iter()
                .all(|byte| (b'!'..=b'~').contains(byte) && !b"\"\\".contains(byte))
        );
    }

    #[test]
    fn numbers_at_the_limits_of_their_lengths_come_back() {
        for number in [
            0,
            59,
            60,
            1979,
            1980,
            63_419,
            63_420,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            check(number);
        }
        let length = |number| DIGITS - long(number).1;
        assert_eq!(
            [59, 60, 1979, 1980, 63_419, 63_420].map(length),
            [1, 2, 2, 3, 3, 4]
        );
    }

    proptest! {
        #[test]
        fn every_number_comes_back(number in any::<u64>(), shift in 0_u32..64) {
            check(number >> shift);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in any::<Vec<u8>>()) {
            if let Some((number, length)) = get(&bytes) {
                prop_assert!(length <= bytes.len());
                check(number);
            }
        }
    }
}
