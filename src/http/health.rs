//! What the operator's programs ask: whether the process lives, whether its parts work, and its figures.
//!
//! Anybody may ask; no answer has names or contents. Whoever publishes the server keeps `/metrics` to himself in the
//! proxy.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Http;
use super::error::{ApiError, Failure, json_response};
use crate::telemetry;

/// What was found holds for this long: finding out writes a file, and anybody may ask.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the process, or a part of it, works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HealthStatus)]
pub enum Status {
    /// It does.
    Ok,
    /// It does not; the log says why.
    Failed,
}

impl Status {
    fn of(works: bool) -> Self {
        if works { Self::Ok } else { Self::Failed }
    }
}

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always `ok`.
    pub status: Status,
}

/// Whether requests can be answered and exports stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ready {
    /// Whether all parts work.
    pub status: Status,
    /// The database of users, rooms, messages and jobs.
    pub workspace: Status,
    /// Where exports are stored.
    pub store: Status,
}

/// Whether the parts work, as found last.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Ready)>>);

impl Readiness {
    async fn now(&self, http: &Http) -> Ready {
        // Held while finding out: whoever asks meanwhile gets the same answer.
        let mut last = self.0.lock().await;
        if let Some((found, ready)) = *last
            && found.elapsed() < FRESH
        {
            return ready;
        }
        let service = &http.service;
        let settings = service.directory.settings(&["Site_Url"]).await.map(drop);
        let workspace = match settings {
            Ok(()) => service.queue.counts().await.map(drop),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &workspace {
            tracing::error!(%error, "the workspace does not work");
        }
        let store = service.exports.ready().await;
        if let Err(error) = &store {
            tracing::error!(%error, "exports cannot be stored");
        }
        let ready = Ready {
            status: Status::of(workspace.is_ok() && store.is_ok()),
            workspace: Status::of(workspace.is_ok()),
            store: Status::of(store.is_ok()),
        };
        *last = Some((Instant::now(), ready));
        ready
    }
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/health",
    tag = "operation",
    responses((status = 200, description = "It lives", body = Live)),
)]
pub async fn live() -> Response {
    json_response(StatusCode::OK, &Live { status: Status::Ok })
}

/// Whether requests can be answered and exports stored.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operation",
    responses(
        (status = 200, description = "All parts work", body = Ready),
        (status = 503, description = "A part does not", body = Ready),
    ),
)]
pub async fn ready(State(http): State<Http>) -> Response {
    let ready = http.readiness.now(&http).await;
    let status = match ready.status {
        Status::Ok => StatusCode::OK,
        Status::Failed => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_response(status, &ready)
}

/// Figures in the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses(
        (status = 200, description = "The figures", body = String, content_type = "text/plain"),
        (status = 500, description = "A failure of the server", body = Failure),
    ),
)]
pub async fn figures(State(http): State<Http>) -> Result<Response, ApiError> {
    let jobs = http.service.queue.counts().await?;
    let mut response = telemetry::render(&jobs).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    Ok(response)
}
