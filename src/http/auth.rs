//! Who calls: user id and token against the workspace's login tokens (contract §3.1).

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::Http;
use super::error::ApiError;
use crate::store::directory::{LoginToken, User, UserId};

/// Header of a user's id.
pub const USER_ID: &str = "x-user-id";
/// Header of a login token.
pub const AUTH_TOKEN: &str = "x-auth-token";
/// The setting that says how long a login token lives.
const LOGIN_EXPIRATION: &str = "Accounts_LoginExpiration";
/// Its value where it is not a positive number (contract §3.1).
const DEFAULT_DAYS: i64 = 90;
const DAY_MILLIS: i64 = 86_400_000;

/// The user whose credentials the request's headers carry.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user.
    pub user: User,
    /// The user's name; who has none may not use the API.
    pub username: String,
    /// Hash of the token that was shown, for logging out.
    pub token_hash: String,
}

impl FromRequestParts<Http> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, http: &Http) -> Result<Self, ApiError> {
        let (Some(id), Some(token)) = (
            text(&parts.headers, USER_ID),
            text(&parts.headers, AUTH_TOKEN),
        ) else {
            return Err(ApiError::NotLoggedIn);
        };
        authenticate(http, id, token).await
    }
}

/// A header's text, when it is one and not empty.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .filter(|text| !text.is_empty())
}

/// The user who has shown this id and this token. [`ApiError::NotLoggedIn`] whatever is wrong with them, except that a
/// user without a name is told so.
pub async fn authenticate(http: &Http, id: &str, token: &str) -> Result<Caller, ApiError> {
    let hash = hash(token);
    let directory = &http.service.directory;
    let Some(user) = directory.user(&UserId(id.to_owned())).await? else {
        return Err(ApiError::NotLoggedIn);
    };
    let oldest = http.service.clock.now() - expiration(http).await?;
    if !user.active || !accepts(&user.tokens, &hash, oldest) {
        return Err(ApiError::NotLoggedIn);
    }
    let Some(username) = user.username.clone() else {
        return Err(ApiError::NoUsername);
    };
    Ok(Caller {
        user,
        username,
        token_hash: hash,
    })
}

/// What is stored of a token: base64 of its SHA-256.
pub fn hash(token: &str) -> String {
    STANDARD.encode(Sha256::digest(token.as_bytes()))
}

/// Whether a token with this hash is among them and made at `oldest` or later. Looks at all of them whatever it finds.
fn accepts(tokens: &[LoginToken], hash: &str, oldest: i64) -> bool {
    let found = tokens.iter().fold(Choice::from(0), |found, token| {
        // A login token without a date cannot be shown to be valid.
        let alive = token.personal || token.when.is_some_and(|when| when >= oldest);
        found | (token.hashed.as_bytes().ct_eq(hash.as_bytes()) & Choice::from(u8::from(alive)))
    });
    found.into()
}

/// How long a login token lives, in milliseconds.
async fn expiration(http: &Http) -> Result<i64, ApiError> {
    let days = match http.service.config.security.login_expiration_days {
        Some(days) => Some(days.into()),
        None => http
            .service
            .directory
            .settings(&[LOGIN_EXPIRATION])
            .await?
            .integer(LOGIN_EXPIRATION),
    };
    let days = days.filter(|days| *days > 0).unwrap_or(DEFAULT_DAYS);
    Ok(days.saturating_mul(DAY_MILLIS))
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
