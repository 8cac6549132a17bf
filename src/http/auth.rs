//! Who calls: user id and token against the workspace's login tokens (contract §3.1).

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Http;
use super::error::ApiError;
use crate::login::tokens;
use crate::store::directory::{User, UserId};

/// Header of a user's id.
pub const USER_ID: &str = "x-user-id";
/// Header of a login token.
pub const AUTH_TOKEN: &str = "x-auth-token";

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
    let hash = tokens::hash(token);
    let directory = &http.service.directory;
    let id = UserId(id.to_owned());
    let Some(mut user) = directory.user(&id).await? else {
        return Err(ApiError::NotLoggedIn);
    };
    let days = http.service.config.security.login_expiration_days;
    let now = http.service.clock.now();
    let oldest = tokens::oldest(directory.as_ref(), days, now).await?;
    // A token may be younger than what is remembered of its user: logged in a moment ago, by another server.
    if !tokens::accepts(&user.tokens, &hash, oldest)
        && let Some(now) = directory.user_now(&id).await?
    {
        user = now;
    }
    if !user.active || !tokens::accepts(&user.tokens, &hash, oldest) {
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
