//! Downloading an export: by its owner and nobody else, with ranges and conditions (contract §7, RFC 9110).
//!
//! Rocket.Chat sends `Cache-Control: max-age=31536000`. We say `private, no-cache`: nobody between us and the owner keeps
//! the file, and the owner's browser asks again, so that a deleted export is gone and a logged-out user gets nothing.

mod range;

use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tracing::Instrument;
use transcript::names;
use transcript::output::Absence;
use utoipa::ToSchema;

use self::range::{Span, Wanted};
use super::Http;
use super::auth::{AUTH_TOKEN, Caller, USER_ID, authenticate};
use super::call::Call;
use super::error::{ApiError, BodyRefusals, Failure, LoginFailure, LoginRequired};
use super::fields::{Fields, Query};
use super::page::{self, Offer};
use super::session::admit_login;
use crate::blob::{BlobError, BlobReader};
use crate::login::LoginRequest;
use crate::store::user_data::UserDataFile;
use crate::telemetry;

/// Where exports are; contract §7.
const PREFIX: &str = "/data-export/";
/// Credentials in queries and cookies (contract §3.5).
const UID: &str = "rc_uid";
const TOKEN: &str = "rc_token";
/// The workspace's switch for downloads.
const ENABLED: &str = "UserData_EnableDownload";
/// Chunks that wait for a slow client.
const WAITING: usize = 1;
/// What may stand in an extended parameter as it is: `attr-char` of RFC 8187 §3.2.1.
const PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Sends the ZIP of an export to its owner.
///
/// Credentials are looked for in the query (`rc_uid`, `rc_token`), in cookies of the same names, and in the headers.
/// Several ranges at a time are answered with the whole file. A browser without rights gets a page that says what to do.
#[utoipa::path(
    method(get, head),
    path = "/data-export/{fileId}",
    tag = "exports",
    params(
        ("fileId" = String, Path, description = "The export's id"),
        ("rc_uid" = Option<String>, Query, description = "The user's id"),
        ("rc_token" = Option<String>, Query, description = "The user's token"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-Range" = Option<String>, Header, description = "`ETag` or `Last-Modified` that the range is of"),
        ("If-None-Match" = Option<String>, Header, description = "An `ETag` that the client has"),
        ("If-Modified-Since" = Option<String>, Header, description = "A `Last-Modified` that the client has"),
    ),
    responses(
        (status = 200, description = "The ZIP", content_type = "application/zip", body = String, headers(
            ("ETag" = String, description = "Changes with the contents"),
            ("Last-Modified" = String, description = "When it was stored"),
            ("Content-Disposition" = String, description = "Its name"),
            ("Accept-Ranges" = String, description = "`bytes`"),
        )),
        (status = 206, description = "A part of it", content_type = "application/zip", body = String, headers(
            ("Content-Range" = String, description = "Which part"),
        )),
        (status = 304, description = "The client has it already"),
        (status = 401, description = "Not logged in", content(
            (LoginRequired = "application/json"), (String = "text/html"),
        )),
        (status = 403, description = "Somebody else's, or downloads are switched off", content(
            (Failure = "application/json"), (String = "text/html"),
        )),
        (status = 404, description = "Not here, or not any more", content(
            (Failure = "application/json"), (String = "text/html"),
        )),
        (status = 416, description = "There is no such part", headers(
            ("Content-Range" = String, description = "The size"),
        )),
        (status = 500, description = "A failure of the server", content(
            (Failure = "application/json"), (String = "text/html"),
        )),
    ),
    security((), ("userId" = [], "authToken" = [])),
)]
pub async fn download(
    State(http): State<Http>,
    call: Call,
    id: Result<Path<String>, PathRejection>,
    query: Query,
    parts: Parts,
) -> Response {
    // What is no text is the id of nothing.
    let Path(id) = id.unwrap_or_else(|_| Path(String::new()));
    match answer(&http, &call, &id, &query, &parts).await {
        Ok(response) => response,
        Err(error) => {
            tracing::info!(
                target: "audit",
                job = names::safe(&id),
                ip = %call.client,
                reason = error.name(),
                "download refused"
            );
            if page::wanted(&parts.headers) {
                let next = format!("{PREFIX}{id}");
                refuse_by_page(&http, &parts.headers, error, (&next, "")).await
            } else {
                error.into_response()
            }
        }
    }
}

async fn answer(
    http: &Http,
    call: &Call,
    id: &str,
    query: &Query,
    parts: &Parts,
) -> Result<Response, ApiError> {
    let settings = http.service.directory.settings(&[ENABLED]).await?;
    let enabled = http.service.config.security.download;
    if !enabled.or(settings.truth(ENABLED)).unwrap_or(true) {
        return Err(ApiError::DownloadOff);
    }
    let callers = callers(http, query, &parts.headers).await?;
    let file = http.service.user_data.file(id).await?;
    let file = file
        .filter(|file| file.complete)
        .ok_or(ApiError::NotFound)?;
    let owner = callers.iter().find(|caller| caller.user.id == file.owner);
    let owner = owner.ok_or(ApiError::NoPermission)?;
    send(http, call, owner, &file, parts).await
}

/// Who calls, by each of the three ways; at least one.
async fn callers(http: &Http, query: &Query, headers: &HeaderMap) -> Result<Vec<Caller>, ApiError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ways = [
        (query.text(UID), query.text(TOKEN)),
        (cookie(headers, UID), cookie(headers, TOKEN)),
        (header(USER_ID), header(AUTH_TOKEN)),
    ];
    let mut callers = Vec::new();
    let mut refused = ApiError::NotLoggedIn;
    for way in ways {
        let (Some(id), Some(token)) = way else {
            continue;
        };
        match authenticate(http, id, token).await {
            Ok(caller) => callers.push(caller),
            Err(error @ ApiError::Internal(_)) => return Err(error),
            Err(error) => refused = error,
        }
    }
    if callers.is_empty() {
        return Err(refused);
    }
    Ok(callers)
}

/// The value of a cookie (RFC 6265 §4.2.1).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.trim_matches('"'))
}

async fn send(
    http: &Http,
    call: &Call,
    owner: &Caller,
    file: &UserDataFile,
    parts: &Parts,
) -> Result<Response, ApiError> {
    let tag = tag(file);
    let stored = file.uploaded_at.and_then(stored_at);
    let modified = stored.map(httpdate::fmt_http_date);
    let conditions = range::Conditions {
        tag: &tag,
        modified: stored,
        size: file.size,
    };
    let wanted = conditions.evaluate(&parts.method, &parts.headers);
    let mut response = match wanted {
        Wanted::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::Unsatisfiable => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            insert(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{}", file.size),
            );
            response
        }
        Wanted::Whole(span) | Wanted::Part(span) => {
            let body = open(http, file, span).await?;
            tracing::info!(
                target: "audit",
                user = owner.user.id.0,
                username = owner.username,
                ip = %call.client,
                job = file.id,
                from = span.from,
                bytes = span.length,
                "download started"
            );
            let body = match parts.method {
                Method::HEAD => Body::empty(),
                _ => body.stream(file.id.clone()),
            };
            let mut response = Response::new(body);
            insert(&mut response, header::CONTENT_TYPE, "application/zip");
            insert(
                &mut response,
                header::CONTENT_LENGTH,
                &span.length.to_string(),
            );
            insert(
                &mut response,
                header::CONTENT_DISPOSITION,
                &disposition(&file.name),
            );
            if matches!(wanted, Wanted::Part(_)) {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let last = span.from + span.length - 1;
                let range = format!("bytes {}-{last}/{}", span.from, file.size);
                insert(&mut response, header::CONTENT_RANGE, &range);
            }
            response
        }
    };
    insert(&mut response, header::ETAG, &tag);
    if let Some(modified) = modified {
        insert(&mut response, header::LAST_MODIFIED, &modified);
    }
    for (name, value) in [
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        insert(&mut response, name, value);
    }
    Ok(response)
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A strong validator: the digest of the contents, or what Rocket.Chat's records have instead.
fn tag(file: &UserDataFile) -> String {
    let digest = file.sha256.as_deref();
    match digest.filter(|digest| digest.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        Some(digest) => format!("\"{digest}\""),
        None => format!("\"{:x}-{:x}\"", file.size, file.uploaded_at.unwrap_or(0)),
    }
}

/// An instant to the second, as headers have it; `None` when they cannot.
fn stored_at(millis: i64) -> Option<SystemTime> {
    /// 9999-12-31T23:59:59Z, the last that RFC 9110 §5.6.7 can write.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(millis / 1000).ok()?;
    (seconds <= LAST).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Both forms of the name (RFC 6266 §4.3). The record's name is percent-encoded once already (contract §6.7).
fn disposition(encoded: &str) -> String {
    let name = names::safe(&percent_decode_str(encoded).decode_utf8_lossy());
    let plain: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' | ';' => '_',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '_',
        })
        .collect();
    let extended = utf8_percent_encode(&name, PARAMETER);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}")
}

/// A file that is there, its first bytes read.
struct Opened {
    reader: Box<dyn BlobReader>,
    first: Option<Bytes>,
    length: u64,
}

/// Opens a part of a file and reads its first bytes, so that what is missing is known before the answer begins.
async fn open(http: &Http, file: &UserDataFile, span: Span) -> Result<Opened, ApiError> {
    let missing = |error: BlobError| match error {
        BlobError::Missing(missing) => {
            tracing::error!(
                job = file.id,
                reason = missing.reason,
                "the file of an export is missing"
            );
            ApiError::NotFound
        }
        error @ BlobError::Store(_) => error.into(),
    };
    let opened = http.service.exports.open(file, span.from).await;
    let mut reader = opened.map_err(missing)?;
    let short = |there: u64| {
        let expected = file.size;
        let id = &file.id;
        ApiError::Internal(anyhow::anyhow!(
            "the file of export {id} has {there} bytes instead of {expected}"
        ))
    };
    if let Some(there) = reader.length().filter(|there| *there != file.size) {
        return Err(short(there));
    }
    let first = match span.length {
        0 => None,
        _ => Some(
            reader
                .next_chunk()
                .await
                .map_err(missing)?
                .ok_or_else(|| short(span.from))?,
        ),
    };
    Ok(Opened {
        reader,
        first,
        length: span.length,
    })
}

impl Opened {
    /// Hands it on as far as the client takes it. A client that goes away ends it.
    fn stream(self, job: String) -> Body {
        let (sender, body) = Channel::new(WAITING);
        tokio::spawn(self.pump(sender, job).in_current_span());
        Body::new(body)
    }

    async fn pump(mut self, mut sender: Sender<Bytes, BlobError>, job: String) {
        let mut left = self.length;
        let mut next = self.first.take();
        while left > 0 {
            let chunk = match next.take() {
                Some(chunk) => Ok(Some(chunk)),
                None => self.reader.next_chunk().await,
            };
            let mut chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    tracing::error!(job, missing = left, "the file of an export is too short");
                    return sender.abort(BlobError::missing(
                        Absence::Incomplete,
                        "the file ends early",
                    ));
                }
                Err(error) => {
                    tracing::error!(job, %error, missing = left, "a download was cut off");
                    return sender.abort(error);
                }
            };
            let length = usize::try_from(left).unwrap_or(usize::MAX);
            chunk.truncate(length);
            let size = chunk.len() as u64;
            if sender.send_data(chunk).await.is_err() {
                tracing::info!(job, missing = left, "the client left a download");
                return;
            }
            telemetry::downloaded(size);
            left -= size;
        }
    }
}

/// What the form of the page sends.
#[derive(Debug, ToSchema)]
#[schema(as = DownloadLogin)]
pub struct LoginForm {
    /// Username or address.
    pub username: String,
    /// The password.
    pub password: String,
    /// A code of the second factor.
    pub code: Option<String>,
    /// Where to go then: an address below `/data-export/`.
    pub next: Option<String>,
}

/// Logs a browser in that was shown the page: sets the cookies and goes to the export.
///
/// Another site cannot use it: a browser that says that the request comes from elsewhere is shown the form instead, and
/// the cookies are `SameSite=Lax`. Clients that are no browsers say nothing, and have no cookies to lose.
#[utoipa::path(
    post,
    path = "/data-export-login",
    tag = "exports",
    request_body(content((LoginForm = "application/x-www-form-urlencoded"))),
    responses(
        BodyRefusals,
        (status = 303, description = "Logged in; `Location` is the export", headers(
            ("Location" = String, description = "The export"),
        )),
        (status = 400, description = "Something is missing", body = Failure),
        (status = 401, description = "Wrong, or not allowed to log in", content(
            (LoginFailure = "application/json"), (String = "text/html"),
        )),
        (status = 404, description = "Users do not log in here, or there is nowhere to go", content(
            (Failure = "application/json"), (String = "text/html"),
        )),
        (status = 429, description = "Too many calls", content(
            (Failure = "application/json"), (String = "text/html"),
        )),
        (status = 500, description = "A failure of the server", content(
            (Failure = "application/json"), (String = "text/html"),
        )),
    ),
)]
pub async fn log_in(State(http): State<Http>, call: Call, request: Request) -> Response {
    let headers = request.headers().clone();
    // Counted before the body is read. The body of a call too many is read as well: the page shows its form again.
    let admitted = admit_login(&http, &call).await;
    let fields = match Fields::read_small(request, &http).await {
        Ok(fields) => fields,
        Err(error) => return error.into_response(),
    };
    let result = match admitted {
        Ok(()) => try_log_in(&http, &call, &headers, &fields).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(response) => response,
        Err(error) if page::wanted(&headers) => {
            let text = |name| fields.0.get(name).and_then(serde_json::Value::as_str);
            let next = text("next").unwrap_or_default();
            let name = text("username").unwrap_or_default();
            refuse_by_page(&http, &headers, error, (next, name)).await
        }
        Err(error) => error.into_response(),
    }
}

async fn try_log_in(
    http: &Http,
    call: &Call,
    headers: &HeaderMap,
    fields: &Fields,
) -> Result<Response, ApiError> {
    let site = http.service.site_url().await?;
    if !comes_from_us(headers, &site) {
        return Err(ApiError::NotLoggedIn);
    }
    let next = fields.optional("next")?.unwrap_or_default();
    if !is_export(next) {
        return Err(ApiError::NotFound);
    }
    let name = fields.required("username")?;
    let code = fields.optional("code")?.unwrap_or_default();
    let request = LoginRequest::typed(name, fields.required("password")?, code);
    let found = http.logins.log_in(request, call.client).await?;
    let secure = if site.starts_with("https://") {
        "; Secure"
    } else {
        ""
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    insert(&mut response, header::LOCATION, next);
    insert(&mut response, header::CACHE_CONTROL, "no-store");
    for (name, value) in [(UID, &found.user.id.0), (TOKEN, &found.token)] {
        let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

/// Whether an address is one of an export, and nothing else: a redirect to it stays here.
fn is_export(address: &str) -> bool {
    address.strip_prefix(PREFIX).is_some_and(|id| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
        !id.is_empty() && id.bytes().all(plain) && !matches!(id, "." | "..")
    })
}

/// Whether a browser does not say that a request comes from another site (Fetch Metadata; Fetch, "append a request
/// `Origin` header"). `Origin` may name the site as users know it or as the proxy does.
fn comes_from_us(headers: &HeaderMap, site: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(from) = text("sec-fetch-site") {
        return from == "same-origin";
    }
    let Some(origin) = text("origin") else {
        return true;
    };
    let host = |url: &str| url.split_once("://").map(|(_, rest)| rest.to_owned());
    let origin = host(origin);
    let site = host(site).map(|site| site.split('/').next().unwrap_or_default().to_owned());
    origin.is_some() && (origin == site || origin.as_deref() == text("host"))
}

/// A refusal as a page, with a form to log in where that helps and is possible here.
async fn refuse_by_page(
    http: &Http,
    headers: &HeaderMap,
    error: ApiError,
    (next, name): (&str, &str),
) -> Response {
    if let ApiError::Internal(error) = &error {
        tracing::error!(error = format!("{error:#}"), "request failed");
    }
    let helps = matches!(
        error,
        ApiError::NotLoggedIn
            | ApiError::NoPermission
            | ApiError::LoginFailed(_)
            | ApiError::TooManyRequests { .. }
    );
    let site = http.service.site_url().await.unwrap_or_default();
    let offer = match () {
        () if helps && http.service.config.security.login && is_export(next) => {
            Offer::Form { next, name }
        }
        () if helps => Offer::Chat(&site),
        () => Offer::Nothing,
    };
    page::of(headers, &error, &offer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_once_and_have_a_plain_form() {
        for (encoded, plain, extended) in [
            ("a.zip", "a.zip", "a.zip"),
            ("a%20b.zip", "a b.zip", "a%20b.zip"),
            ("%C3%9Cberblick.zip", "_berblick.zip", "%C3%9Cberblick.zip"),
            (
                "it's%3B%20%22so%22.zip",
                "it's_ -so-.zip",
                "it%27s%3B%20-so-.zip",
            ),
            ("100%25.zip", "100_.zip", "100%25.zip"),
            ("%0D%0Aset-cookie.zip", "set-cookie.zip", "set-cookie.zip"),
            ("..%2F..%2Fetc%2Fpasswd", "etc-passwd", "etc-passwd"),
        ] {
            let expected = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
            assert_eq!(disposition(encoded), expected, "{encoded}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            "a=b; xrc_uid=no; rc_uid=u1".parse().unwrap(),
        );
        headers.append(header::COOKIE, "rc_token=\"t=1\"".parse().unwrap());
        assert_eq!(cookie(&headers, UID), Some("u1"));
        assert_eq!(cookie(&headers, TOKEN), Some("t=1"));
        assert_eq!(cookie(&headers, "rc"), None);
        assert_eq!(cookie(&HeaderMap::new(), UID), None);
    }

    #[test]
    fn a_redirect_leads_to_an_export_only() {
        for (address, expected) in [
            ("/data-export/abc", true),
            ("/data-export/a%20b", true),
            ("/data-export/", false),
            ("/data-export/..", false),
            ("/data-export/../x", false),
            ("/data-export/a/b", false),
            ("/data-export/a\\b", false),
            ("/data-export/a?b", false),
            ("/data-export/a\r\nb", false),
            ("//evil.test/data-export/a", false),
            ("https://evil.test/data-export/a", false),
            ("", false),
        ] {
            assert_eq!(is_export(address), expected, "{address}");
        }
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://chat.test"),
                ],
                false,
            ),
            (&[("origin", "https://chat.test")], true),
            (
                &[("origin", "http://inside:3100"), ("host", "inside:3100")],
                true,
            ),
            (
                &[("origin", "https://evil.test"), ("host", "inside:3100")],
                false,
            ),
            (&[("origin", "null"), ("host", "inside:3100")], false),
        ];
        for (given, expected) in cases {
            let headers: HeaderMap = given
                .iter()
                .map(|(name, value)| {
                    let name = name.parse::<header::HeaderName>().unwrap();
                    (name, HeaderValue::from_static(value))
                })
                .collect();
            assert_eq!(
                comes_from_us(&headers, "https://chat.test/sub"),
                *expected,
                "{given:?}"
            );
        }
    }
}
