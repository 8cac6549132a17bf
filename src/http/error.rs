//! Every answer that is not a success: the one place that knows their forms (contract §1.5, endpoint specification).

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::jobs::QueueError;
use crate::store::StoreError;

/// `Content-Type` of every API answer: exactly this, without a charset.
pub const JSON: &str = "application/json";

/// Why a request is refused.
#[derive(Debug)]
pub enum ApiError {
    /// 401: no or wrong credentials.
    NotLoggedIn,
    /// 403: the permission is missing.
    NoPermission,
    /// 403: the user has no name yet (contract §1.4).
    NoUsername,
    /// 400 in Rocket.Chat's form, with a reason or without.
    Refused {
        /// `errorType`.
        code: &'static str,
        /// In front of the code in `error`.
        reason: Option<&'static str>,
        /// `details`.
        details: Option<Value>,
    },
    /// 400 `error-invalid-params`, with the field and what is wrong with it.
    Params {
        /// The field; empty when it is the body.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// 413, in the form of `error-invalid-params`.
    TooLarge,
    /// 408: the body took too long.
    Timeout,
    /// 429: so many seconds to wait.
    TooManyRequests {
        /// Seconds until the next call is answered.
        wait: u64,
    },
    /// 429: this many exports of the user wait already.
    TooManyExports(u32),
    /// 404 of the API.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 500: details go to the log, here, and nowhere else.
    Internal(anyhow::Error),
}

impl ApiError {
    /// 400 with a code and no reason: `[code]`.
    pub fn code(code: &'static str) -> Self {
        Self::Refused {
            code,
            reason: None,
            details: None,
        }
    }

    /// 400 with a reason: `reason [code]`.
    pub fn reason(code: &'static str, reason: &'static str) -> Self {
        Self::Refused {
            code,
            reason: Some(reason),
            details: None,
        }
    }

    /// 400 `error-invalid-params`.
    pub fn params(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Params {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::TooMany(count) => Self::TooManyExports(count),
            other => Self::Internal(other.into()),
        }
    }
}

/// A JSON answer with exactly our content type, and never kept by anybody on the way (contract §1.6).
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_else(|_| "{\"success\":false}".to_owned());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON.parse().expect("a constant"));
    headers.insert(
        header::CACHE_CONTROL,
        "no-store".parse().expect("a constant"),
    );
    headers.insert(header::PRAGMA, "no-cache".parse().expect("a constant"));
    response
}

fn refused(code: &str, reason: Option<&str>, details: Option<Value>) -> Value {
    let error = match reason {
        Some(reason) => format!("{reason} [{code}]"),
        None => format!("[{code}]"),
    };
    let mut body = Map::new();
    body.insert("success".to_owned(), false.into());
    body.insert("error".to_owned(), error.into());
    body.insert("errorType".to_owned(), code.into());
    if let Some(details) = details {
        body.insert("details".to_owned(), details);
    }
    body.into()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::NotLoggedIn => (
                StatusCode::UNAUTHORIZED,
                json!({"status": "error", "message": "You must be logged in to do this."}),
            ),
            Self::NoPermission => (
                StatusCode::FORBIDDEN,
                json!({"success": false, "error": "User does not have the permissions required for this action [error-unauthorized]"}),
            ),
            Self::NoUsername => (
                StatusCode::FORBIDDEN,
                json!({"success": false, "error": "Users must have a username [error-unauthorized]"}),
            ),
            Self::Refused {
                code,
                reason,
                details,
            } => (StatusCode::BAD_REQUEST, refused(code, reason, details)),
            Self::Params { field, reason } => (
                StatusCode::BAD_REQUEST,
                refused(
                    "error-invalid-params",
                    None,
                    Some(json!({"field": field, "reason": reason})),
                ),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                refused("error-invalid-params", None, None),
            ),
            Self::Timeout => (
                StatusCode::REQUEST_TIMEOUT,
                json!({"success": false, "error": "Request timeout"}),
            ),
            Self::TooManyRequests { wait } => (
                StatusCode::TOO_MANY_REQUESTS,
                json!({"success": false, "error": format!("Error, too many requests. Please slow down. You must wait {wait} seconds before trying this endpoint again. [error-too-many-requests]")}),
            ),
            Self::TooManyExports(count) => (
                StatusCode::TOO_MANY_REQUESTS,
                json!({"success": false, "error": format!("{count} of your exports are waiting already. Wait until one has ended, or cancel one. [error-too-many-requests]")}),
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                json!({"success": false, "error": "Resource not found"}),
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                json!({"success": false, "error": "Method not allowed"}),
            ),
            Self::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "request failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    json!({"success": false, "error": "Internal server error"}),
                )
            }
        };
        json_response(status, &body)
    }
}
