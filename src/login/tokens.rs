//! What a token is worth: its stored form, and whether it is accepted (contract §3.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::store::StoreError;
use crate::store::directory::{Directory, LoginToken};

/// The setting that says how long a login token lives.
const LOGIN_EXPIRATION: &str = "Accounts_LoginExpiration";
/// Its value where it is not a positive number (contract §3.1).
const DEFAULT_DAYS: i64 = 90;
const DAY_MILLIS: i64 = 86_400_000;

/// What is stored of a token: base64 of its SHA-256.
pub fn hash(token: &str) -> String {
    STANDARD.encode(Sha256::digest(token.as_bytes()))
}

/// Whether a token with this hash is among them and made at `oldest` or later. Looks at all of them whatever it finds.
pub fn accepts(tokens: &[LoginToken], hash: &str, oldest: i64) -> bool {
    let found = tokens.iter().fold(Choice::from(0), |found, token| {
        // A login token without a date cannot be shown to be valid.
        let alive = token.personal || token.when.is_some_and(|when| when >= oldest);
        found | (token.hashed.as_bytes().ct_eq(hash.as_bytes()) & Choice::from(u8::from(alive)))
    });
    found.into()
}

/// When the oldest login token that is accepted now was made: `days` ago when the operator says so, else by the
/// workspace's `Accounts_LoginExpiration`.
pub async fn oldest(
    directory: &dyn Directory,
    days: Option<u32>,
    now: i64,
) -> Result<i64, StoreError> {
    let days = match days {
        Some(days) => Some(days.into()),
        None => directory
            .settings(&[LOGIN_EXPIRATION])
            .await?
            .integer(LOGIN_EXPIRATION),
    };
    let days = days.filter(|days| *days > 0).unwrap_or(DEFAULT_DAYS);
    Ok(now.saturating_sub(days.saturating_mul(DAY_MILLIS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_the_base64_of_its_digest() {
        // Contract, appendix A.
        assert_eq!(hash("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn only_a_token_that_is_there_and_alive_is_accepted() {
        let login = |token: &str, when| LoginToken {
            hashed: hash(token),
            when,
            personal: false,
        };
        let personal = LoginToken {
            hashed: hash("personal"),
            when: None,
            personal: true,
        };
        let tokens = [
            login("old", Some(999)),
            login("new", Some(1000)),
            login("undated", None),
            personal,
        ];
        for (token, expected) in [
            ("old", false),
            ("new", true),
            ("undated", false),
            ("personal", true),
            ("other", false),
            ("", false),
        ] {
            assert_eq!(accepts(&tokens, &hash(token), 1000), expected, "{token}");
        }
        assert!(!accepts(&tokens, "", 1000));
        assert!(!accepts(&[], &hash("new"), 0));
    }
}
