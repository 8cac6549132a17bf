//! Logging in and out, who one is, and what server this is: as much as standard clients need (contract §3.2 to §3.4).

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use transcript::bson::{Doc, MAX_DEPTH, Value, id_text};
use utoipa::ToSchema;

use super::Http;
use super::auth::Caller;
use super::call::Call;
use super::error::{ApiError, BodyRefusals, Failure, LoginFailure, Refusals, json_response};
use super::exports::iso;
use super::fields::Fields;
use super::rate_limit::Allowance;
use crate::login::LoginRequest;
use crate::store::StoreError;
use crate::store::directory::User;

/// The version of Rocket.Chat that answers here are like: clients parse it, and decide by it what to ask for. Three
/// numbers, which every parser takes; Rocket.Chat tells strangers two of them.
const VERSION: &str = "8.3.0";
/// Header of a second factor's code.
const CODE: &str = "x-2fa-code";

/// What [`me`] tells of a user's document (contract §3.4).
const TOLD: [&str; 25] = [
    "_id",
    "name",
    "username",
    "nickname",
    "emails",
    "status",
    "statusDefault",
    "statusText",
    "statusConnection",
    "bio",
    "avatarOrigin",
    "utcOffset",
    "language",
    "enableAutoAway",
    "idleTimeLimit",
    "roles",
    "active",
    "defaultRoom",
    "customFields",
    "requirePasswordChange",
    "requirePasswordChangeReason",
    "statusLivechat",
    "banners",
    "_updatedAt",
    "avatarETag",
];

/// Who logs in. Also accepted: `username` or `email` instead of `user`, and an object with one of them as `user`.
#[derive(Debug, ToSchema)]
#[schema(as = Login, examples(json!({"user": "alice", "password": "correct horse battery staple"})))]
pub struct Body {
    /// A username, or an address, which has an @; or an object with one of them.
    pub user: Option<Name>,
    /// The username.
    pub username: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The password as it is, or `{"digest": "<its SHA-256 in hexadecimal>", "algorithm": "sha-256"}`.
    pub password: Option<Password>,
    /// A code of the second factor; the header `X-2fa-Code` is the same.
    pub code: Option<String>,
    /// A token that was given out before, instead of everything else.
    pub resume: Option<String>,
}

/// Who logs in, by either form that clients send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = LoginName)]
pub enum Name {
    /// A username, or an address.
    Text(String),
    /// One of them, named.
    Named {
        /// The username.
        username: Option<String>,
        /// The address.
        email: Option<String>,
    },
}

/// A password, by either form that clients send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = LoginPassword)]
pub enum Password {
    /// As it is.
    Clear(String),
    /// Its digest.
    Digest {
        /// SHA-256 in hexadecimal.
        digest: String,
        /// Always `sha-256`.
        algorithm: String,
    },
}

/// Logged in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoginAnswer)]
pub struct Answer {
    /// Always `success`.
    #[schema(examples("success"))]
    pub status: &'static str,
    /// The credentials.
    pub data: Credentials,
    /// Always true.
    pub success: bool,
}

/// What further requests show.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// For `X-User-Id`.
    pub user_id: String,
    /// For `X-Auth-Token`.
    pub auth_token: String,
    /// The user, as `GET /api/v1/me` tells.
    #[schema(value_type = Object)]
    pub me: Map<String, Json>,
}

/// Gives a token for a username or address and a password.
#[utoipa::path(
    post,
    path = "/api/v1/login",
    tag = "session",
    request_body(content(
        (Body = "application/json"),
        (Body = "application/x-www-form-urlencoded"),
    )),
    responses(
        BodyRefusals,
        (status = 200, description = "Logged in", body = Answer),
        (status = 400, description = "Something is missing or no text", body = Failure),
        (status = 401, description = "Wrong, or not allowed to log in", body = LoginFailure),
        (status = 404, description = "Users do not log in here", body = Failure),
        (status = 429, description = "Too many calls", body = Failure),
        (status = 500, description = "A failure of the server", body = Failure),
    ),
)]
pub async fn login(
    State(http): State<Http>,
    call: Call,
    request: Request,
) -> Result<Response, ApiError> {
    admit_login(&http, &call).await?;
    let code = request.headers().get(CODE).cloned();
    let code = code.as_ref().and_then(|code| code.to_str().ok());
    let fields = Fields::read_small(request, &http).await?;
    let request = LoginRequest::read(&fields.0, code)?;
    let found = http.logins.log_in(request, call.client).await?;
    let answer = Answer {
        status: "success",
        data: Credentials {
            user_id: found.user.id.0.clone(),
            auth_token: found.token,
            me: whole(&http, &found.user).await?,
        },
        success: true,
    };
    Ok(json_response(StatusCode::OK, &answer))
}

/// Whether somebody may log in here, and not too often. Asked before the body is read, which strangers send.
pub(super) async fn admit_login(http: &Http, call: &Call) -> Result<(), ApiError> {
    if !http.service.config.security.login {
        return Err(ApiError::LoginOff);
    }
    http.admit(call, None, Allowance::Usual).await
}

/// Logged out.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedOut {
    /// Always `success`.
    #[schema(examples("success"))]
    pub status: &'static str,
    /// What happened.
    pub data: Message,
}

/// A sentence.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// The sentence.
    #[schema(examples("You've been logged out!"))]
    pub message: &'static str,
}

/// Takes the token away that the request shows.
#[utoipa::path(
    method(get, post),
    path = "/api/v1/logout",
    tag = "session",
    responses(Refusals, (status = 200, description = "Logged out", body = LoggedOut)),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn logout(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
) -> Result<Response, ApiError> {
    http.admit(&call, Some(&caller.user), Allowance::Usual)
        .await?;
    let directory = &http.service.directory;
    directory
        .remove_login_token(&caller.user.id, &caller.token_hash)
        .await?;
    tracing::info!(
        target: "audit",
        user = caller.user.id.0,
        username = caller.username,
        ip = %call.client,
        "logged out"
    );
    let answer = LoggedOut {
        status: "success",
        data: Message {
            message: "You've been logged out!",
        },
    };
    Ok(json_response(StatusCode::OK, &answer))
}

/// Who the caller is.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "session",
    responses(Refusals, (status = 200, description = "The user, without secrets", body = Object)),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn me(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
) -> Result<Response, ApiError> {
    http.admit(&call, Some(&caller.user), Allowance::Polling)
        .await?;
    let mut user = whole(&http, &caller.user).await?;
    user.insert("success".to_owned(), true.into());
    Ok(json_response(StatusCode::OK, &user))
}

/// What server this is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Info {
    /// The version of Rocket.Chat whose answers these are like.
    #[schema(examples("8.3.0"))]
    pub version: &'static str,
    /// Always true.
    pub success: bool,
}

/// What server this is, for clients that ask before they log in.
#[utoipa::path(
    get,
    path = "/api/info",
    tag = "session",
    responses((status = 200, description = "The version", body = Info)),
)]
pub async fn info() -> Response {
    let answer = Info {
        version: VERSION,
        success: true,
    };
    json_response(StatusCode::OK, &answer)
}

/// What server this is, under the address that some clients ask.
#[utoipa::path(
    get,
    path = "/api/v1/info",
    tag = "session",
    responses((status = 200, description = "The version", body = Info)),
)]
pub async fn info_of_v1() -> Response {
    info().await
}

/// A user as `me` shows it. The login's 401 and this one have nothing in common but their status.
async fn whole(http: &Http, user: &User) -> Result<Map<String, Json>, StoreError> {
    let site = http.service.site_url().await?;
    let doc = Doc::new(&user.doc.0)
        .map_err(|error| StoreError::Corrupt(format!("a user cannot be read: {error}")))?;
    Ok(shown(user, doc, &site))
}

/// What may be told of a user: what is listed, and nothing else of the document.
fn shown(user: &User, doc: Doc<'_>, site: &str) -> Map<String, Json> {
    let mut me = Map::new();
    for key in TOLD {
        if let Some(value) = doc.get(key) {
            me.insert(key.to_owned(), as_json(value, MAX_DEPTH));
        }
    }
    let verified = user.emails.iter().find(|email| email.verified);
    if let Some(email) = verified {
        me.insert("email".to_owned(), email.address.clone().into());
    }
    let preferences = doc
        .at(&["settings", "preferences"])
        .filter(|preferences| preferences.document().is_some())
        .map_or_else(|| json!({}), |preferences| as_json(preferences, MAX_DEPTH));
    me.insert(
        "settings".to_owned(),
        json!({"profile": {}, "preferences": preferences, "calendar": {}}),
    );
    if let Some(username) = &user.username {
        let username = utf8_percent_encode(username, NON_ALPHANUMERIC);
        me.insert(
            "avatarUrl".to_owned(),
            format!("{site}/avatar/{username}").into(),
        );
    }
    let services = doc.get("services").and_then(Value::document);
    // What another service gave to log in with holds its access token.
    let is_oauth = services.unwrap_or(Doc::EMPTY).values().any(|service| {
        service
            .document()
            .is_some_and(|service| service.get("accessToken").is_some())
    });
    me.insert("isOAuthUser".to_owned(), is_oauth.into());
    let mut flags = Map::new();
    if user.password.is_some() {
        flags.insert("password".to_owned(), json!({"exists": true}));
    }
    for factor in ["totp", "email2fa"] {
        let enabled = services.and_then(|services| services.at(&[factor, "enabled"]));
        if let Some(enabled) = enabled {
            flags.insert(factor.to_owned(), json!({"enabled": enabled.truthy()}));
        }
    }
    me.insert("services".to_owned(), flags.into());
    me
}

/// A value as Rocket.Chat's API shows it: dates as ISO texts, ids as texts. What JSON has no form for is `null`.
fn as_json(value: Value<'_>, depth: usize) -> Json {
    let Some(depth) = depth.checked_sub(1) else {
        return Json::Null;
    };
    match value {
        Value::String(text) | Value::Symbol(text) => text.to_str().into(),
        Value::Bool(truth) => truth.into(),
        Value::DateTime(millis) => iso(millis).into(),
        Value::ObjectId(_) => id_text(value).into(),
        Value::Document(doc) => doc
            .elements()
            .map_while(Result::ok)
            .map(|(key, value)| (key.to_str().into_owned(), as_json(value, depth)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list
            .values()
            .map(|value| as_json(value, depth))
            .collect::<Vec<_>>()
            .into(),
        Value::Double(number) => match value.integer() {
            Some(whole) => whole.into(),
            None => number.into(),
        },
        Value::Int32(number) => number.into(),
        Value::Int64(number) => number.into(),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, doc};

    use super::*;
    use crate::store::RawDoc;

    #[test]
    fn a_user_is_told_without_secrets() {
        let doc = doc! {
            "_id": "u1",
            "username": "al ice",
            "emails": [
                {"address": "old@x.test", "verified": false},
                {"address": "new@x.test", "verified": true},
            ],
            "type": "user",
            "active": true,
            "roles": ["user"],
            "utcOffset": 2.0,
            "_updatedAt": DateTime::from_millis(1_000),
            "settings": {"preferences": {"language": "de"}, "secret": 1},
            "services": {
                "password": {"bcrypt": "SECRET-BCRYPT"},
                "totp": {"enabled": true, "secret": "SECRET-TOTP", "hashedBackup": ["SECRET-BACKUP"]},
                "email2fa": {"enabled": false},
                "resume": {"loginTokens": [{"hashedToken": "SECRET-TOKEN"}]},
                "github": {"accessToken": "SECRET-GITHUB"},
            },
            "e2e": {"private_key": "SECRET-KEY"},
            "inviteToken": "SECRET-INVITE",
        };
        let user = User::read(&RawDoc(doc.to_vec().unwrap())).unwrap();
        let me = shown(&user, Doc::new(&user.doc.0).unwrap(), "https://x.test");
        assert_eq!(
            Json::Object(me),
            json!({
                "_id": "u1",
                "username": "al ice",
                "emails": [
                    {"address": "old@x.test", "verified": false},
                    {"address": "new@x.test", "verified": true},
                ],
                "utcOffset": 2,
                "roles": ["user"],
                "active": true,
                "_updatedAt": "1970-01-01T00:00:01.000Z",
                "email": "new@x.test",
                "settings": {"profile": {}, "preferences": {"language": "de"}, "calendar": {}},
                "avatarUrl": "https://x.test/avatar/al%20ice",
                "isOAuthUser": true,
                "services": {
                    "password": {"exists": true},
                    "totp": {"enabled": true},
                    "email2fa": {"enabled": false},
                },
            })
        );
    }
}
