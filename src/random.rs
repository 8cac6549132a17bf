//! Ids and secrets that nobody can guess, in Rocket.Chat's forms.

use rand::RngExt;

/// Letters and digits that are not mistaken for each other (contract §3.1).
const UNMISTAKABLE: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";
/// What needs no escape in a URL (contract §3.1).
const URL_SAFE: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
/// Hexadecimal digits in both cases (contract §6.7).
const HEXADECIMAL: &[u8] = b"0123456789abcdefABCDEF";

/// An id as `Random.id` makes it: 17 characters.
pub fn id() -> String {
    draw(UNMISTAKABLE, 17)
}

/// A login token as `Random.secret` makes it: 43 characters.
pub fn secret() -> String {
    draw(URL_SAFE, 43)
}

/// The `token` of a stored file: 10 hexadecimal digits.
pub fn file_token() -> String {
    draw(HEXADECIMAL, 10)
}

fn draw(letters: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(letters[rng.random_range(..letters.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_secrets_have_their_form_and_differ() {
        for (make, length, letters) in [
            (id as fn() -> String, 17, UNMISTAKABLE),
            (secret, 43, URL_SAFE),
            (file_token, 10, HEXADECIMAL),
        ] {
            let made = make();
            assert_eq!(made.len(), length);
            assert!(made.bytes().all(|byte| letters.contains(&byte)), "{made}");
            assert_ne!(made, make());
        }
    }
}
