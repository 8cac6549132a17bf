//! Every answer that is not a success: the one place that knows their forms (contract §1.5, endpoint specification).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoResponses, ToSchema};

use crate::blob::BlobError;
use crate::jobs::QueueError;
use crate::login::{LoginError, Malformed, Refusal};
use crate::store::StoreError;

/// `Content-Type` of every API answer: exactly this, without a charset.
pub const JSON: &str = "application/json";
/// Code of parameters that cannot be used.
const PARAMS: &str = "error-invalid-params";

/// A request was not answered as asked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Always false.
    pub success: bool,
    /// For people: a reason, if any, and the code in brackets.
    #[schema(examples("[error-invalid-room]"))]
    pub error: String,
    /// For programs: the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("error-invalid-room"))]
    pub error_type: Option<&'static str>,
    /// What is wrong; with `error-invalid-params` the first field that is wrong, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, examples(json!({"field": "rid", "reason": "must be string"})))]
    pub details: Option<Value>,
}

impl Failure {
    /// A text without a code.
    fn text(error: impl Into<String>) -> Self {
        Self {
            success: false,
            error: error.into(),
            error_type: None,
            details: None,
        }
    }

    /// A code with its reason (contract §1.5).
    fn coded(code: &'static str, reason: Option<&str>, details: Option<Value>) -> Self {
        let error = match reason {
            Some(reason) => format!("{reason} [{code}]"),
            None => format!("[{code}]"),
        };
        Self {
            success: false,
            error,
            error_type: Some(code),
            details,
        }
    }
}

/// The credentials are missing or wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginRequired {
    /// Always `error`.
    #[schema(examples("error"))]
    pub status: &'static str,
    /// A sentence.
    #[schema(examples("You must be logged in to do this."))]
    pub message: &'static str,
}

impl LoginRequired {
    const ANSWER: Self = Self {
        status: "error",
        message: "You must be logged in to do this.",
    };
}

/// Somebody could not log in (contract §3.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginFailure {
    /// Always false.
    pub success: bool,
    /// Always `error`.
    #[schema(examples("error"))]
    pub status: &'static str,
    /// For programs: `Unauthorized` when user, password or token are wrong, else what else is wrong.
    #[schema(examples("Unauthorized", "totp-required"))]
    pub error: &'static str,
    /// With `totp-required`: `method` and `availableMethods` of the second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, examples(json!({"method": "totp", "availableMethods": ["totp"]})))]
    pub details: Option<Value>,
    /// For people.
    pub message: &'static str,
}

impl LoginFailure {
    fn of(refusal: Option<Refusal>) -> Self {
        const UNAUTHORIZED: &str = "Unauthorized";
        let method = refusal.and_then(Refusal::method);
        Self {
            success: false,
            status: "error",
            error: refusal.map_or(UNAUTHORIZED, Refusal::code),
            details: method.map(|method| json!({"method": method, "availableMethods": [method]})),
            message: refusal.map_or(UNAUTHORIZED, Refusal::message),
        }
    }
}

/// What any route for users may answer, for the documentation.
#[derive(Debug, IntoResponses)]
pub enum Refusals {
    /// Parameters that cannot be used, or what they name is not there for the caller.
    #[response(status = 400)]
    Parameters(Failure),
    /// Not logged in.
    #[response(status = 401)]
    NotLoggedIn(LoginRequired),
    /// The caller has no username, or not the permission.
    #[response(status = 403)]
    Forbidden(Failure),
    /// Too many calls, or too many exports that wait; see the `X-RateLimit` headers.
    #[response(status = 429)]
    TooMany(Failure),
    /// A failure of the server; the log tells it under the answer's `X-Request-Id`.
    #[response(status = 500)]
    Internal(Failure),
}

/// What a route that reads a body may answer in addition.
#[derive(Debug, IntoResponses)]
pub enum BodyRefusals {
    /// The body took too long.
    #[response(status = 408)]
    Timeout(Failure),
    /// The body is larger than 16 KiB; of `rooms.export` than the operator allows, 1 MiB by default.
    #[response(status = 413)]
    TooLarge(Failure),
}

/// Why a request is refused.
#[derive(Debug)]
pub enum ApiError {
    /// 401: no or wrong credentials.
    NotLoggedIn,
    /// 403: the permission is missing.
    NoPermission,
    /// 403: the user has no name yet (contract §1.4).
    NoUsername,
    /// 401 of a login; without a refusal user, password or token are wrong.
    LoginFailed(Option<Refusal>),
    /// 404: users log in elsewhere.
    LoginOff,
    /// 403: exports may not be downloaded.
    DownloadOff,
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

impl ApiError {
    /// Its name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not-logged-in",
            Self::NoPermission | Self::NoUsername => "error-unauthorized",
            Self::LoginFailed(refusal) => LoginFailure::of(*refusal).error,
            Self::LoginOff => "login-off",
            Self::DownloadOff => "download-off",
            Self::Refused { code, .. } => code,
            Self::Params { .. } | Self::TooLarge => PARAMS,
            Self::Timeout => "timeout",
            Self::TooManyRequests { .. } | Self::TooManyExports(_) => "error-too-many-requests",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Internal(_) => "internal",
        }
    }

    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotLoggedIn | Self::LoginFailed(_) => StatusCode::UNAUTHORIZED,
            Self::NoPermission | Self::NoUsername | Self::DownloadOff => StatusCode::FORBIDDEN,
            Self::Refused { .. } | Self::Params { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyRequests { .. } | Self::TooManyExports(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound | Self::LoginOff => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(self) -> Failure {
        match self {
            Self::NotLoggedIn => Failure::text(LoginRequired::ANSWER.message),
            Self::NoPermission => Failure::text(
                "User does not have the permissions required for this action [error-unauthorized]",
            ),
            Self::LoginFailed(refusal) => Failure::text(LoginFailure::of(refusal).message),
            Self::LoginOff => Failure::text(
                "Logging in is switched off here. Log in to Rocket.Chat, and use the token that it gives you",
            ),
            Self::DownloadOff => Failure::text(
                "Downloads of exports are switched off by the administrator [error-unauthorized]",
            ),
            Self::NoUsername => Failure::text("Users must have a username [error-unauthorized]"),
            Self::Refused {
                code,
                reason,
                details,
            } => Failure::coded(code, reason, details),
            Self::Params { field, reason } => {
                let details = json!({"field": field, "reason": reason});
                Failure::coded(PARAMS, None, Some(details))
            }
            Self::TooLarge => Failure::coded(PARAMS, None, None),
            Self::Timeout => Failure::text("Request timeout"),
            Self::TooManyRequests { wait } => Failure::text(format!(
                "Error, too many requests. Please slow down. You must wait {wait} seconds before trying this endpoint again. [error-too-many-requests]"
            )),
            Self::TooManyExports(count) => Failure::text(format!(
                "{count} of your exports are waiting already. Wait until one has ended, or cancel one. [error-too-many-requests]"
            )),
            Self::NotFound => Failure::text("Resource not found"),
            Self::MethodNotAllowed => Failure::text("Method not allowed"),
            Self::Internal(_) => Failure::text("Internal server error"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Malformed> for ApiError {
    fn from(malformed: Malformed) -> Self {
        Self::params(malformed.field, malformed.reason)
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Unauthorized => Self::LoginFailed(None),
            LoginError::Refused(refusal) => Self::LoginFailed(Some(refusal)),
            LoginError::Busy => Self::TooManyRequests { wait: 1 },
            other => Self::Internal(other.into()),
        }
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            tracing::error!(error = format!("{error:#}"), "request failed");
        }
        let status = self.status();
        match self {
            Self::NotLoggedIn => json_response(status, &LoginRequired::ANSWER),
            // The one of them that has its keys in another order (contract §3.2).
            Self::LoginFailed(None) => {
                let LoginFailure { error, message, .. } = LoginFailure::of(None);
                let body = json!({"success": false, "error": error, "status": "error", "message": message});
                json_response(status, &body)
            }
            Self::LoginFailed(refusal) => json_response(status, &LoginFailure::of(refusal)),
            other => json_response(status, &other.body()),
        }
    }
}

/// A JSON answer with exactly our content type, and never kept by anybody on the way (contract §1.6).
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_else(|_| "{\"success\":false}".to_owned());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    mark(response.headers_mut());
    response
}

/// The headers of a JSON answer.
pub fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}
