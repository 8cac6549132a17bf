//! Ids and secrets that nobody can guess, in Rocket.Chat's forms (contract §3.1).

use rand::RngExt;

/// Letters and digits that are not mistaken for each other.
const UNMISTAKABLE: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz";
/// What fits into a URL.
const URL_SAFE: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// An id: 17 characters.
pub fn id() -> String {
    draw(UNMISTAKABLE, 17)
}

/// A login token: 43 characters.
pub fn secret() -> String {
    draw(URL_SAFE, 43)
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
        ] {
            let made = make();
            assert_eq!(made.len(), length);
            assert!(made.bytes().all(|byte| letters.contains(&byte)), "{made}");
            assert_ne!(made, make());
        }
    }
}
