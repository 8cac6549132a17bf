//! What the program tells about itself: its log, and figures for Prometheus.
//!
//! All names of figures are here; names of the log's fields are in `docs/logging.md`. Labels are of closed sets: what a
//! caller sends never becomes one.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use tracing_subscriber::EnvFilter;

use crate::config::{self, LogFormat};
use crate::jobs::{JobState, Work};

/// Requests answered, by `route`, `method` and `status`.
const REQUESTS: &str = "export_room_http_requests_total";
/// Seconds until the head of an answer, by `route`.
const REQUEST_SECONDS: &str = "export_room_http_request_seconds";
/// Requests that are being answered.
const IN_FLIGHT: &str = "export_room_http_requests_in_flight";
/// Bytes of exports sent to those who downloaded them.
const DOWNLOADED: &str = "export_room_downloaded_bytes_total";
/// Requests to file stores that were made again, by `store` and `operation`.
const STORE_RETRIES: &str = "export_room_store_retries_total";
/// Jobs, by `kind` and `state`.
const JOBS: &str = "export_room_jobs";
/// Seconds of an attempt, by `kind` and `outcome`.
const JOB_SECONDS: &str = "export_room_job_seconds";
/// Messages in finished exports.
const MESSAGES: &str = "export_room_exported_messages_total";
/// Files in finished exports.
const FILES: &str = "export_room_exported_files_total";
/// Bytes of finished exports.
const BYTES: &str = "export_room_exported_bytes_total";

/// Questions that a database server lost, and that were asked again.
const CURSORS_LOST: &str = "export_room_cursors_lost_total";
/// Times at which the primary was asked instead of a member that did not answer.
const PRIMARY_ASKED: &str = "export_room_primary_asked_total";

/// Bounds of [`REQUEST_SECONDS`]: from an answer out of memory to a password check that waits.
const REQUEST_BOUNDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Bounds of [`JOB_SECONDS`]: from a mail to a room of years.
const JOB_BOUNDS: [f64; 8] = [0.1, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14400.0];
/// How often observations are added up; until then each takes a few bytes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why the log cannot be started.
#[derive(Debug, Error)]
pub enum LogError {
    /// `log.level` cannot be read.
    #[error("log.level `{0}` is no level and no filter")]
    Level(String),
    /// There is one already.
    #[error("the log cannot be started: {0}")]
    Started(String),
}

/// Sends the log to standard error, as configured.
pub fn start_log(log: &config::Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&log.level).map_err(|_| LogError::Level(log.level.clone()))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| LogError::Started(error.to_string()))
}

/// The figures of this process. What is counted before the first call is lost.
fn figures() -> &'static PrometheusHandle {
    static FIGURES: OnceLock<PrometheusHandle> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let builder = [
            (REQUEST_SECONDS, &REQUEST_BOUNDS),
            (JOB_SECONDS, &JOB_BOUNDS),
        ]
        .into_iter()
        .try_fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
        })
        .expect("the bounds are constants and not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("figures are recorded elsewhere already");
        }
        describe();
        handle
    })
}

fn describe() {
    describe_counter!(REQUESTS, "Requests answered.");
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time until the head of an answer."
    );
    describe_gauge!(IN_FLIGHT, "Requests that are being answered.");
    describe_counter!(
        DOWNLOADED,
        Unit::Bytes,
        "Bytes of exports sent to those who downloaded them."
    );
    describe_gauge!(JOBS, "Jobs by kind and state.");
    describe_histogram!(JOB_SECONDS, Unit::Seconds, "Time of an attempt.");
    describe_counter!(
        STORE_RETRIES,
        "Requests to file stores that failed and were made again."
    );
    describe_counter!(
        CURSORS_LOST,
        "Questions that a database server lost, and that were asked again."
    );
    describe_counter!(
        PRIMARY_ASKED,
        "Times at which the primary was asked instead of a member that did not answer."
    );
    describe_counter!(MESSAGES, "Messages in finished exports.");
    describe_counter!(FILES, "Files in finished exports.");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of finished exports.");
}

/// Begins to record figures, and adds observations up until it is dropped.
pub fn record() -> AbortOnDropHandle<()> {
    let figures = figures();
    let upkeep: JoinHandle<()> = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            figures.run_upkeep();
        }
    });
    AbortOnDropHandle::new(upkeep)
}

/// All figures in the text format of Prometheus, with these numbers of jobs.
pub fn render(jobs: &[(String, JobState, u64)]) -> String {
    let figures = figures();
    for kind in Work::KINDS {
        // Without the version of its form.
        let name = kind.split('/').next().unwrap_or(kind);
        for state in JobState::ALL {
            let count: u64 = jobs
                .iter()
                .filter(|(other, other_state, _)| other == kind && *other_state == state)
                .map(|(_, _, count)| count)
                .sum();
            #[expect(clippy::cast_precision_loss, reason = "fewer jobs than 2^53")]
            gauge!(JOBS, "kind" => name, "state" => state.name()).set(count as f64);
        }
    }
    figures.render()
}

/// A request that is being answered, until it is dropped.
pub struct InFlight(());

impl InFlight {
    /// One more.
    pub fn begin() -> Self {
        gauge!(IN_FLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1.0);
    }
}

/// A request was answered. `route` is the route as registered, empty when there is none.
pub fn answered(route: &str, method: &str, status: u16, took: Duration) {
    let route = if route.is_empty() { "none" } else { route }.to_owned();
    // Clients invent methods; labels are of a closed set.
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let method = known
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other");
    let status = status.to_string();
    counter!(REQUESTS, "route" => route.clone(), "method" => method, "status" => status)
        .increment(1);
    histogram!(REQUEST_SECONDS, "route" => route).record(took);
}

/// Bytes of an export were handed to a connection.
pub fn downloaded(bytes: u64) {
    counter!(DOWNLOADED).increment(bytes);
}

/// A request to a file store failed and is made again; `store` and `operation` are of closed sets.
pub fn store_retried(store: &'static str, operation: &'static str) {
    counter!(STORE_RETRIES, "store" => store, "operation" => operation).increment(1);
}

/// A question was lost and is asked again.
pub fn question_lost() {
    counter!(CURSORS_LOST).increment(1);
}

/// A member did not answer, and the primary is asked from now on.
pub fn primary_asked() {
    counter!(PRIMARY_ASKED).increment(1);
}

/// An attempt at a job ended; `outcome` is a name of a closed set.
pub fn job_ended(kind: &'static str, outcome: &'static str, took: Duration) {
    histogram!(JOB_SECONDS, "kind" => kind, "outcome" => outcome).record(took);
}

/// An export is finished.
pub fn exported(messages: u64, files: u64, bytes: u64) {
    counter!(MESSAGES).increment(messages);
    counter!(FILES).increment(files);
    counter!(BYTES).increment(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn figures_are_rendered_with_closed_labels() {
        let _recording = record();
        let flight = InFlight::begin();
        answered("/a/{id}", "GET", 200, Duration::from_millis(20));
        answered("", "BREW", 404, Duration::ZERO);
        job_ended("file_export", "done", Duration::from_secs(2));
        exported(7, 2, 100);
        downloaded(5);
        store_retried("AmazonS3", "read");
        let kind = Work::FILE_EXPORT.to_owned();
        let text = render(&[
            (kind, JobState::Queued, 3),
            ("odd\"/1".to_owned(), JobState::Done, 9),
        ]);
        drop(flight);
        for line in [
            r#"export_room_http_requests_total{route="/a/{id}",method="GET",status="200"} 1"#,
            r#"export_room_http_requests_total{route="none",method="other",status="404"} 1"#,
            r#"export_room_http_request_seconds_bucket{route="/a/{id}",le="0.025"} 1"#,
            r#"export_room_jobs{kind="file_export",state="queued"} 3"#,
            r#"export_room_jobs{kind="file_export",state="done"} 0"#,
            r#"export_room_job_seconds_bucket{kind="file_export",outcome="done",le="5"} 1"#,
            "export_room_exported_messages_total 7",
            "export_room_exported_files_total 2",
            "export_room_exported_bytes_total 100",
            "export_room_downloaded_bytes_total 5",
            r#"export_room_store_retries_total{store="AmazonS3",operation="read"} 1"#,
            "export_room_http_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("odd") && !text.contains("BREW"));
    }
}
