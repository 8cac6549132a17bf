//! What every queue keeps of a job in the same way: its JSON, how it ends, and what is said when nobody ends it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Job, JobError, JobState, QueueError, Settlement};
use crate::store::StoreError;

/// A part of a job as it is kept.
pub(super) fn json(value: &impl Serialize) -> Result<String, QueueError> {
    let text = serde_json::to_string(value);
    text.map_err(|error| StoreError::Corrupt(format!("a job cannot be written: {error}")).into())
}

/// A part of a job that is kept. What a newer version wrote in a form of its own is not there for this one.
pub(super) fn parsed<T: DeserializeOwned>(text: Option<String>) -> Option<T> {
    serde_json::from_str(&text?).ok()
}

/// A duration as the distance of two instants.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// End and id after which a page of ended jobs begins: those of its last job, or before all that ended at `since`.
pub(super) fn last_of(since: i64, after: Option<&Job>) -> (i64, String) {
    let last = after.map(|job| (job.ended_at.unwrap_or(since), job.id.0.clone()));
    last.unwrap_or((since, String::new()))
}

/// Why a job failed that lost its worker once too often.
pub(super) fn interrupted() -> JobError {
    JobError::new(
        "interrupted",
        "The work on this was interrupted again and again, so it was given up. Try again, and if it happens once more, ask the administrator to look at the server's log.",
    )
}

/// What a settlement makes of the job.
pub(super) struct End {
    pub(super) state: JobState,
    /// Not before this instant, when it is to be begun again.
    pub(super) run_at: Option<i64>,
    /// Attempts that do not count.
    pub(super) given_back: u32,
    pub(super) outcome: Option<String>,
    pub(super) error: Option<String>,
}

impl End {
    pub(super) fn of(settlement: &Settlement) -> Result<Self, QueueError> {
        let state = |state| Self {
            state,
            run_at: None,
            given_back: 0,
            outcome: None,
            error: None,
        };
        Ok(match settlement {
            Settlement::Done { outcome, .. } => Self {
                outcome: Some(json(outcome)?),
                ..state(JobState::Done)
            },
            Settlement::Failed(error) => Self {
                error: Some(json(error)?),
                ..state(JobState::Failed)
            },
            Settlement::Retry { at, error } => Self {
                run_at: Some(*at),
                error: Some(json(error)?),
                ..state(JobState::Queued)
            },
            Settlement::Cancelled => state(JobState::Cancelled),
            Settlement::Released => Self {
                given_back: 1,
                ..state(JobState::Queued)
            },
        })
    }
}
