//! What the operator's programs ask: whether the process lives, whether its parts work, and its figures.
//!
//! Anybody may ask; no answer has names or contents. Whoever publishes the server keeps `/metrics` to himself in the
//! proxy.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::Http;
use super::error::{ApiError, Failure, json_response};
use crate::app::Service;
use crate::jobs::{JobState, QueueError};
use crate::telemetry;

/// What was found holds for this long: finding out writes a file, and anybody may ask.
const FRESH: Duration = Duration::from_secs(1);
/// The same of the number of jobs, which are counted one by one.
const COUNTED: Duration = Duration::from_secs(10);

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

/// What was found a moment ago.
#[derive(Debug)]
struct Found<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Found<T> {
    /// What was found less than `fresh` ago, else what is found now. Whoever asks meanwhile waits for the same answer. An
    /// error is not kept.
    async fn or<E>(
        &self,
        fresh: Duration,
        find: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut last = self.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < fresh
        {
            return Ok(found.clone());
        }
        let found = find.await?;
        *last = Some((Instant::now(), found.clone()));
        Ok(found)
    }
}

/// What operators' programs asked for last.
#[derive(Debug, Default)]
pub struct Looks {
    ready: Found<Ready>,
    jobs: Found<Arc<Vec<(String, JobState, u64)>>>,
}

impl Looks {
    async fn ready(&self, service: &Service) -> Ready {
        let find = async {
            let settings = service.directory.settings(&["Site_Url"]).await.map(drop);
            let workspace = match settings {
                Ok(()) => service.queue.ready().await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = &workspace {
                tracing::error!(%error, "the workspace does not work");
            }
            let store = service.exports.ready().await;
            if let Err(error) = &store {
                tracing::error!(%error, "exports cannot be stored");
            }
            Ok::<_, Infallible>(Ready {
                status: Status::of(workspace.is_ok() && store.is_ok()),
                workspace: Status::of(workspace.is_ok()),
                store: Status::of(store.is_ok()),
            })
        };
        let Ok(ready) = self.ready.or(FRESH, find).await;
        ready
    }

    async fn jobs(
        &self,
        service: &Service,
    ) -> Result<Arc<Vec<(String, JobState, u64)>>, QueueError> {
        let find = async { service.queue.counts().await.map(Arc::new) };
        self.jobs.or(COUNTED, find).await
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
    let ready = http.looks.ready(&http.service).await;
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
    let jobs = http.looks.jobs(&http.service).await?;
    let mut response = telemetry::render(&jobs).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_found_is_not_looked_for_again_at_once() {
        let found = Found::default();
        let (long, no_time) = (Duration::from_hours(1), Duration::ZERO);
        let failed = found.or(long, async { Err("down") }).await;
        assert_eq!(failed, Err("down"));
        assert_eq!(found.or(long, async { Ok::<_, &str>(1) }).await, Ok(1));
        let again = found.or(long, async { Err("asked again") }).await;
        assert_eq!(again, Ok(1));
        assert_eq!(found.or(no_time, async { Ok::<_, &str>(2) }).await, Ok(2));
    }
}
