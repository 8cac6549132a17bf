//! Removes what nobody needs any more: exports that are old enough, what dead workers left, jobs long past.
//!
//! Things go in an order in which somebody who dies between two of them leaves what the next sweep finds. Several
//! processes may sweep at once.

use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::{JobId, JobState, QueueError};
use crate::app::Service;
use crate::blob::BlobError;
use crate::store::StoreError;
use crate::store::user_data::UserDataFile;

/// How much is looked at together.
const PAGE: u16 = 100;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Exports that were older than `store.keep`.
    pub expired: u64,
    /// Files that dead workers left.
    pub leftovers: u64,
    /// Jobs that were older than `jobs.forget`.
    pub forgotten: u64,
}

/// Why a sweep stopped; the next one goes on.
#[derive(Debug, Error)]
pub enum SweepError {
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The records failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place of the exports failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Sweeps now and then every `store.sweep`, until told to stop.
pub async fn run(service: Service, stop: CancellationToken) {
    loop {
        let swept = tokio::select! {
            swept = sweep(&service) => swept,
            () = stop.cancelled() => return,
        };
        match swept {
            Ok(swept) if swept == Swept::default() => {}
            Ok(Swept {
                expired,
                leftovers,
                forgotten,
            }) => {
                tracing::info!(expired, leftovers, forgotten, "swept");
            }
            Err(error) => tracing::warn!(%error, "sweeping stopped"),
        }
        tokio::select! {
            () = tokio::time::sleep(service.config.store.sweep) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Sweeps once.
pub async fn sweep(service: &Service) -> Result<Swept, SweepError> {
    Ok(Swept {
        expired: expire(service).await?,
        leftovers: tidy(service).await?,
        forgotten: forget(service).await?,
    })
}

/// Removes the exports older than `store.keep`.
async fn expire(service: &Service) -> Result<u64, SweepError> {
    let Some(keep) = service.config.store.keep else {
        return Ok(0);
    };
    let mut expired = 0;
    loop {
        let before = earlier(service.clock.now(), keep);
        let files = service
            .user_data
            .created_before(before, PAGE.into())
            .await?;
        for file in &files {
            remove(service, file).await?;
            expired += 1;
        }
        if files.len() < PAGE.into() {
            return Ok(expired);
        }
    }
}

/// The record goes last: it is how an export is found whose removal was interrupted.
async fn remove(service: &Service, file: &UserDataFile) -> Result<(), SweepError> {
    match service.exports.delete(file).await {
        // What is not kept here is not ours to keep a record of.
        Ok(()) | Err(BlobError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    service.queue.remove(&JobId(file.id.clone())).await?;
    service.user_data.remove(&file.id).await?;
    tracing::info!(target: "audit", job = file.id, user = file.owner.0, "export expired");
    Ok(())
}

/// Removes the files of claims that nobody has any more. Jobs that have not ended are left to their workers; those that
/// the queue does not know may be another server's.
async fn tidy(service: &Service) -> Result<u64, SweepError> {
    let mut removed = 0;
    let mut after: Option<String> = None;
    loop {
        let jobs = service.exports.jobs(after.as_deref(), PAGE.into()).await?;
        for id in &jobs {
            let Some(job) = service.queue.job(&JobId(id.clone())).await? else {
                continue;
            };
            let keep = match job.state {
                JobState::Queued | JobState::Running => continue,
                JobState::Done => Some(job.epoch),
                JobState::Failed | JobState::Cancelled => None,
            };
            removed += service.exports.clean(id, keep).await?;
        }
        if jobs.len() < PAGE.into() {
            return Ok(removed);
        }
        after = jobs.into_iter().next_back();
    }
}

/// Forgets the jobs older than `jobs.forget`.
async fn forget(service: &Service) -> Result<u64, SweepError> {
    let Some(keep) = service.config.jobs.forget else {
        return Ok(0);
    };
    let mut forgotten = 0;
    loop {
        let before = earlier(service.clock.now(), keep);
        let now = service.queue.forget(before, PAGE.into()).await?;
        forgotten += now;
        if now < PAGE.into() {
            return Ok(forgotten);
        }
    }
}

fn earlier(now: i64, by: Duration) -> i64 {
    now.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
