//! Which pages of other origins may call the API (contract §1.6, §1.8).

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Http;
use super::error::ApiError;

const ENABLED: &str = "API_Enable_CORS";
const ORIGINS: &str = "API_CORS_Origin";
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Origin, X-Requested-With, Content-Type, Accept, X-User-Id, X-Auth-Token, x-visitor-token, Authorization",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD, PATCH");
const ANY: HeaderValue = HeaderValue::from_static("*");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");

/// Adds what answers of the API have. Credentials travel in headers that a page sets itself, so that any origin may
/// read the answers to its own requests.
pub fn allow(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
}

/// The answer to `OPTIONS`.
pub async fn preflight(http: &Http, request: &HeaderMap) -> Result<Response, ApiError> {
    if !request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) && !request.contains_key(ORIGIN) {
        return Ok(plain(StatusCode::OK, "OK"));
    }
    let config = &http.service.config.http;
    let settings = http.service.directory.settings(&[ENABLED, ORIGINS]).await?;
    if !config.cors.or(settings.truth(ENABLED)).unwrap_or(false) {
        return Ok(plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "CORS not enabled. Go to \"Admin > General > REST Api\" to enable it.",
        ));
    }
    let origins = config.cors_origin.as_deref();
    let origins = origins.or(settings.text(ORIGINS)).unwrap_or("*").trim();
    let mut response = plain(StatusCode::OK, "OK");
    let headers = response.headers_mut();
    if origins == "*" {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    } else {
        let origin = request.get(ORIGIN);
        let Some(origin) = origin.filter(|origin| is_listed(origins, origin)) else {
            return Ok(plain(StatusCode::FORBIDDEN, "Invalid origin"));
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    Ok(response)
}

fn is_listed(origins: &str, origin: &HeaderValue) -> bool {
    origins.split(',').any(|listed| {
        listed
            .trim()
            .as_bytes()
            .eq_ignore_ascii_case(origin.as_bytes())
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], text).into_response()
}
