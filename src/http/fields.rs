//! What a request says in its body or its query.

use std::fmt::Display;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::Http;
use super::error::ApiError;

/// Largest body of a route that takes a few short texts, in bytes.
const SMALL: usize = 16 << 10;
/// What is read of a body that is too large, so that its sender comes to reading our answer, in bytes.
const DISCARDED: usize = 16 << 20;

/// The fields of a body: of a JSON object, or of a form, whose values are texts. A body that is neither has none, as in
/// Rocket.Chat (contract §1.1). Of a field that is there twice the last one counts, as in JavaScript.
#[derive(Debug)]
pub struct Fields(pub Map<String, Value>);

impl Fields {
    /// Reads a body of at most `http.max_body_bytes`.
    pub async fn read(request: Request, http: &Http) -> Result<Self, ApiError> {
        let most = http.service.config.http.max_body_bytes;
        Self::read_at_most(most, request, http).await
    }

    /// Reads the body of a route that takes a few short texts only: strangers may call some of these.
    pub async fn read_small(request: Request, http: &Http) -> Result<Self, ApiError> {
        let most = http.service.config.http.max_body_bytes.min(SMALL);
        Self::read_at_most(most, request, http).await
    }

    async fn read_at_most(limit: usize, request: Request, http: &Http) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        let read = whole(request.into_body(), limit);
        let body = tokio::time::timeout(http.service.config.http.request_timeout, read).await;
        parse(&kind, &body.unwrap_or(Err(ApiError::Timeout))?)
    }
}

/// A whole body of at most `limit` bytes.
async fn whole(mut body: Body, limit: usize) -> Result<BytesMut, ApiError> {
    let mut bytes = BytesMut::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        // A client that has gone away has said nothing; there is nobody to answer.
        let Ok(frame) = frame else {
            return Ok(BytesMut::new());
        };
        let Some(part) = frame.data_ref() else {
            continue;
        };
        if discarded == 0 && bytes.len() + part.len() <= limit {
            bytes.extend_from_slice(part);
        } else {
            discarded += part.len();
            if discarded > DISCARDED {
                break;
            }
        }
    }
    if discarded > 0 {
        return Err(ApiError::TooLarge);
    }
    Ok(bytes)
}

/// Reads a body by its content type.
fn parse(kind: &str, body: &[u8]) -> Result<Fields, ApiError> {
    if kind.contains("application/json") {
        return match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            Ok(_) => Err(ApiError::params("", "must be object")),
            Err(_) => Ok(Fields(Map::new())),
        };
    }
    let form = kind.contains("application/x-www-form-urlencoded");
    let pairs = form_urlencoded::parse(if form { body } else { b"" });
    Ok(Fields(
        pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect(),
    ))
}

impl Fields {
    /// A text that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, ApiError> {
        match self.0.get(name) {
            None => Err(missing(name)),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(ApiError::params(name, "must be string")),
        }
    }

    /// A text that may be absent or `null`.
    pub fn optional(&self, name: &'static str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.required(name).map(Some),
        }
    }

    /// A list of texts that may be absent or `null`.
    pub fn list(&self, name: &'static str) -> Result<Option<Vec<&str>>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) => values
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .map(Some)
                .ok_or_else(|| ApiError::params(name, "must be string")),
            Some(_) => Err(ApiError::params(name, "must be array")),
        }
    }
}

/// A field that must be there is not.
pub fn missing(name: &'static str) -> ApiError {
    ApiError::params(name, format!("must have required property '{name}'"))
}

/// The parameters of a query. Of one that is there twice the last one counts.
#[derive(Debug)]
pub struct Query(Map<String, Value>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        Ok(Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
                .collect(),
        ))
    }
}

impl Query {
    /// A parameter that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// A whole number that is not negative, in the range that the document of the API gives it (`int64`).
    pub fn number(&self, name: &'static str) -> Result<Option<u64>, ApiError> {
        let number = |text: &str| text.parse::<i64>().ok()?.try_into().ok();
        self.text(name)
            .map(|text| number(text).ok_or_else(|| wrong(name, "must be a whole number")))
            .transpose()
    }
}

/// A parameter does not say what it should.
pub fn wrong(name: &'static str, reason: impl Display) -> ApiError {
    ApiError::params(name, reason.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_what_its_content_type_says() {
        let json = "application/json";
        let form = "application/x-www-form-urlencoded";
        let cases = [
            (json, r#"{"a":1}"#, Some(json!({"a": 1}))),
            (
                "application/json; charset=utf-8",
                r#"{"a":[]}"#,
                Some(json!({"a": []})),
            ),
            ("text/json,application/json", "{}", Some(json!({}))),
            (json, r#"{"a":1,"a":2}"#, Some(json!({"a": 2}))),
            (json, r#"{"a":1"#, Some(json!({}))),
            (json, "", Some(json!({}))),
            (json, "a=1", Some(json!({}))),
            (json, "[]", None),
            (json, "null", None),
            (json, "\"rid\"", None),
            (
                form,
                "a=1&b=x+y%26z&c&a=2",
                Some(json!({"a": "2", "b": "x y&z", "c": ""})),
            ),
            (form, r#"["a"]"#, Some(json!({"[\"a\"]": ""}))),
            ("text/plain", r#"{"a":1}"#, Some(json!({}))),
            ("", r#"{"a":1}"#, Some(json!({}))),
        ];
        for (kind, body, expected) in cases {
            let fields = parse(kind, body.as_bytes()).ok();
            let fields = fields.map(|Fields(fields)| Value::Object(fields));
            assert_eq!(fields, expected, "{kind}: {body}");
        }
    }
}
