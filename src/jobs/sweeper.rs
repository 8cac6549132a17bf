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
use crate::words::chain;

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

/// Why a part of a sweep stopped; the next one goes on.
#[derive(Debug, Error)]
enum SweepError {
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
        if swept != Swept::default() {
            let Swept {
                expired,
                leftovers,
                forgotten,
            } = swept;
            tracing::info!(expired, leftovers, forgotten, "swept");
        }
        tokio::select! {
            () = tokio::time::sleep(service.config.store.sweep) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Sweeps once. What cannot be removed is logged, and keeps nothing else from being removed.
pub async fn sweep(service: &Service) -> Swept {
    let mut swept = Swept::default();
    let parts = [
        expire(service, &mut swept.expired).await,
        tidy(service, &mut swept.leftovers).await,
        forget(service, &mut swept.forgotten).await,
    ];
    for error in parts.into_iter().filter_map(Result::err) {
        let error = chain(&error);
        tracing::warn!(error, "a part of the sweep stopped");
    }
    swept
}

/// Removes the exports older than `store.keep`.
async fn expire(service: &Service, expired: &mut u64) -> Result<(), SweepError> {
    let Some(keep) = service.config.store.keep else {
        return Ok(());
    };
    loop {
        let before = earlier(service.clock.now(), keep);
        let files = service
            .user_data
            .created_before(before, PAGE.into())
            .await?;
        let until_now = *expired;
        for file in &files {
            match remove(service, file).await {
                Ok(()) => *expired += 1,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(job = file.id, error, "an export cannot be removed");
                }
            }
        }
        // The next page begins with what could not be removed.
        if files.len() < PAGE.into() || *expired == until_now {
            return Ok(());
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
    // Nobody looks for what other claims left once the job is forgotten.
    service.exports.clean(&file.id, None).await?;
    service.queue.remove(&JobId(file.id.clone())).await?;
    service.user_data.remove(&file.id).await?;
    tracing::info!(target: "audit", job = file.id, user = file.owner.0, "export expired");
    Ok(())
}

/// Removes the files of claims that nobody has any more. Jobs that have not ended are left to their workers; those that
/// the queue does not know may be another server's.
async fn tidy(service: &Service, removed: &mut u64) -> Result<(), SweepError> {
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
            *removed += service.exports.clean(id, keep).await?;
        }
        if jobs.len() < PAGE.into() {
            return Ok(());
        }
        after = jobs.into_iter().next_back();
    }
}

/// Forgets the jobs older than `jobs.forget`.
async fn forget(service: &Service, forgotten: &mut u64) -> Result<(), SweepError> {
    let Some(keep) = service.config.jobs.forget else {
        return Ok(());
    };
    loop {
        let before = earlier(service.clock.now(), keep);
        let now = service.queue.forget(before, PAGE.into()).await?;
        *forgotten += now;
        if now < PAGE.into() {
            return Ok(());
        }
    }
}

fn earlier(now: i64, by: Duration) -> i64 {
    now.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
