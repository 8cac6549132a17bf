//! Removes what nobody needs any more: exports that are old enough, what dead workers left, jobs long past.
//!
//! Things go in an order in which somebody who dies between two of them leaves what the next sweep finds. Processes that
//! share a queue take turns; two that sweep at once, because one of them is slow, do no harm.

use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::rows::millis;
use super::{Fence, JobId, JobState, QueueError, SweepTurn};
use crate::app::Service;
use crate::blob::BlobError;
use crate::store::StoreError;
use crate::store::user_data::UserDataFile;
use crate::words::chain;

/// How much is looked at together.
const PAGE: u16 = 100;
/// A worker that has slept through its lease may wake up and write for so long after its job has ended, in milliseconds.
const LATE: i64 = 24 * 60 * 60_000;
/// A store that refuses so many removals in a row is left alone until the next sweep.
const REFUSALS: u32 = 10;

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

/// Sweeps now and then every `store.sweep`, when no other process has, until told to stop.
pub async fn run(service: Service, stop: CancellationToken) {
    let every = service.config.store.sweep;
    loop {
        let now = service.clock.now();
        let swept = async {
            match service.queue.begin_sweep(now, every).await {
                Ok(Some(turn)) => sweep(&service, turn).await,
                Ok(None) => Swept::default(),
                Err(error) => {
                    tracing::warn!(%error, "the queue cannot be swept");
                    Swept::default()
                }
            }
        };
        let swept = tokio::select! {
            swept = swept => swept,
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
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Sweeps once. What cannot be removed is logged, and keeps nothing else from being removed.
pub async fn sweep(service: &Service, turn: SweepTurn) -> Swept {
    let mut swept = Swept::default();
    let parts = [
        expire(service, &mut swept.expired).await,
        tidy(service, turn, &mut swept.leftovers).await,
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
    let before = earlier(service.clock.now(), keep);
    // How often each store has refused in a row. What one of them refuses is no reason to keep what others have.
    let mut refusals: HashMap<String, u32> = HashMap::new();
    let mut last: Option<UserDataFile> = None;
    loop {
        let after = last
            .as_ref()
            .map(|file| (file.created_at.unwrap_or(i64::MIN), file.id.as_str()));
        let files = service
            .user_data
            .created_before(before, after, PAGE.into())
            .await?;
        for file in &files {
            if refusals.get(&file.store) == Some(&REFUSALS) {
                continue;
            }
            match remove(service, file).await {
                Ok(()) => {
                    *expired += 1;
                    refusals.remove(&file.store);
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(job = file.id, error, "an export cannot be removed");
                    *refusals.entry(file.store.clone()).or_default() += 1;
                }
            }
        }
        if files.len() < PAGE.into() {
            return Ok(());
        }
        last = files.into_iter().next_back();
    }
}

/// The record goes last: it is how an export is found whose removal was interrupted.
async fn remove(service: &Service, file: &UserDataFile) -> Result<(), SweepError> {
    match service.exports.delete(file).await {
        // What is not kept here is not ours to keep a record of.
        Ok(()) | Err(BlobError::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let id = JobId(file.id.clone());
    if let Some(job) = service.queue.job(&id).await? {
        // Nobody looks for what other claims left once the job is forgotten.
        let epoch = job.epoch;
        let last = Fence { id, epoch };
        service.exports.clean(&last, None).await?;
        service.queue.remove(&last.id).await?;
    }
    service.user_data.remove(&file.id).await?;
    tracing::info!(target: "audit", job = file.id, user = file.owner.0, "export expired");
    Ok(())
}

/// Removes the files of claims that nobody has any more. Jobs that have not ended are left to their workers.
async fn tidy(service: &Service, turn: SweepTurn, removed: &mut u64) -> Result<(), SweepError> {
    let queue = &service.queue;
    let since = turn.since.saturating_sub(LATE);
    let mut last = None;
    loop {
        let jobs = queue.untidy(since, last.as_ref(), PAGE.into()).await?;
        for job in &jobs {
            let keep = (job.state == JobState::Done).then_some(job.epoch);
            let claims = Fence {
                id: job.id.clone(),
                epoch: job.epoch,
            };
            *removed += service.exports.clean(&claims, keep).await?;
        }
        if jobs.len() < PAGE.into() {
            return Ok(queue.end_sweep(turn).await?);
        }
        last = jobs.into_iter().next_back();
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
    now.saturating_sub(millis(by))
}
