//! Contract of the queue: work that was accepted is written down before anybody is told so, and is done although
//! processes die.
//!
//! ```text
//! queued ──claim──► running ──settle──► done
//!   ▲                 │ ├──────────────► failed
//!   └──── retry ──────┘ └──────────────► cancelled
//!         lease ran out: claimable again, epoch + 1
//! ```
//!
//! Every write about a running job names its [`Fence`]: a worker that slept through its lease is refused.

pub mod mongo;
mod rows;
pub mod sqlite;
pub mod steps;
pub mod sweeper;
pub mod worker;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::mail::recipients::Recipient;
use crate::store::StoreError;
use crate::store::directory::UserId;
use crate::store::user_data::UserDataFile;

/// `_id` of a job; an export's record and file have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub String);

impl JobId {
    /// The job that sends the mail of the export with this id.
    #[must_use]
    pub fn of_mail(&self) -> Self {
        Self(format!("{self}-mail"))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be done. Kept as JSON; a form that a newer version wrote is left for that version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Export a room to a file.
    FileExport(FileExportWork),
    /// Tell the requester by mail how an export to a file has ended.
    ReadyMail(ReadyMailWork),
    /// Send messages by mail: makes the mails' own jobs.
    EmailExport(EmailExportWork),
    /// Write and send one of these mails.
    MessagesMail(MessagesMailWork),
}

impl Work {
    /// Kinds that this version understands, with the version of their form; what [`JobQueue::claim`] is told.
    pub const KINDS: [&'static str; 4] = [
        "file_export/1",
        "ready_mail/1",
        "email_export/1",
        "messages_mail/1",
    ];
    /// The kind of exports to a file.
    pub const FILE_EXPORT: &'static str = Self::KINDS[0];
    /// The kind of mails that say how an export to a file has ended.
    pub const NOTICES: &'static [&'static str] = &[Self::KINDS[1]];
    /// The kinds of what sends messages by mail.
    pub const MESSAGES: &'static [&'static str] = Self::KINDS.split_at(2).1;
    /// The kind of exports by mail.
    pub const EMAIL_EXPORT: &'static str = Self::KINDS[2];

    /// Kind and version of the form.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FileExport(_) => Self::KINDS[0],
            Self::ReadyMail(_) => Self::KINDS[1],
            Self::EmailExport(_) => Self::KINDS[2],
            Self::MessagesMail(_) => Self::KINDS[3],
        }
    }
}

/// A file export as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileExportWork {
    /// The room.
    pub rid: String,
    /// `html` or `json`.
    pub format: String,
    /// `dateFrom` as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_from: Option<String>,
    /// `dateTo` as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_to: Option<String>,
    /// First instant, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Last instant; fixed when the request was accepted, so that new messages do not chase the export.
    pub to: i64,
}

/// An export by mail as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailExportWork {
    /// The room.
    pub rid: String,
    /// `_id`s of messages of the room.
    pub messages: Vec<String>,
    /// Who gets them.
    pub recipients: Vec<Recipient>,
    /// What was written as subject, as far as a mail shows it.
    pub subject: String,
    /// Whether all get the same mail.
    pub together: bool,
}

impl EmailExportWork {
    /// The mails of the export with this id.
    pub fn mails(&self, export: &JobId) -> Vec<(JobId, MessagesMailWork)> {
        if self.together {
            return vec![mail(export, 1, None)];
        }
        (0..self.recipients.len())
            .map(|index| mail(export, index + 1, Some(index)))
            .collect()
    }

    /// The mail to one of several recipients whom the server could not take when it took the others' common mail.
    pub fn late_mail(&self, export: &JobId, recipient: usize) -> (JobId, MessagesMailWork) {
        mail(export, recipient + 2, Some(recipient))
    }

    /// All mails that the export may have had, late ones as well.
    pub fn possible_mails(&self, export: &JobId) -> Vec<(JobId, MessagesMailWork)> {
        let mut mails = self.mails(export);
        if self.together {
            let late = (0..self.recipients.len()).map(|one| self.late_mail(export, one));
            mails.extend(late);
        }
        mails
    }
}

fn mail(export: &JobId, number: usize, recipient: Option<usize>) -> (JobId, MessagesMailWork) {
    (
        JobId(format!("{export}-mail-{number}")),
        MessagesMailWork {
            export: export.clone(),
            recipient,
        },
    )
}

/// One mail of an export by mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessagesMailWork {
    /// The export.
    pub export: JobId,
    /// Which of its recipients gets it; `None` is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<usize>,
}

/// A mail that says how an export to a file has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadyMailWork {
    /// The export.
    pub export: JobId,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker, or for the time of its next attempt.
    Queued,
    /// A worker has it, or had it when it died.
    Running,
    /// Ended well.
    Done,
    /// Ended badly, with an error.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in rows and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing happens to the job any more.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// How far a job is, as its worker said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobProgress {
    /// `count`, `files`, `messages`, `seal`.
    pub phase: String,
    /// Messages done in this phase.
    pub done: u64,
    /// Messages of this phase.
    pub total: u64,
    /// Bytes of the ZIP written.
    pub bytes: u64,
    /// Messages per second in this phase, over its whole length.
    pub rate: u64,
    /// Seconds that the phase will take yet, by that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
}

/// Why a job, or an attempt, failed; for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// A name for programs: `room-gone`, `not-allowed`, `no-space`, `workspace-unreadable`, `interrupted`, `internal` …
    pub code: String,
    /// A sentence that says what happened and what to do.
    pub message: String,
}

impl JobError {
    /// An error with this name and sentence.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// Something that must not happen has happened.
    pub fn internal() -> Self {
        Self::new(
            "internal",
            "Something went wrong on the server. If it happens again, ask the administrator to look at the server's log.",
        )
    }
}

/// Why an attempt came to nothing. What it wrote is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was told to stop.
    Cancelled,
    /// Trying again does not help.
    Final(JobError),
    /// Trying again may help.
    Passing(JobError),
}

/// What a job has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The report of an export, as in its manifest; or what became of a mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<serde_json::Value>,
    /// Size of the ZIP in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of the ZIP, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why no mail is sent, when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_mail: Option<String>,
}

/// A job to be enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Who asked for it.
    pub owner: UserId,
    /// The room, when it is about one.
    pub rid: Option<String>,
    /// What is to be done.
    pub work: Work,
    /// The same for equal requests of the same user: one of them is queued or running at a time. Jobs without one are
    /// never taken for each other.
    pub same: Option<String>,
    /// Not before this instant, milliseconds since 1970.
    pub run_at: i64,
}

/// A job as the queue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who asked for it.
    pub owner: UserId,
    /// The room, when it is about one.
    pub rid: Option<String>,
    /// What is to be done; `None` when a newer version wrote it.
    pub work: Option<Work>,
    /// Where it is.
    pub state: JobState,
    /// How often it was begun.
    pub attempt: u32,
    /// Written down at, milliseconds since 1970.
    pub created_at: i64,
    /// Last begun at.
    pub started_at: Option<i64>,
    /// Ended at.
    pub ended_at: Option<i64>,
    /// While queued: not before this instant.
    pub run_at: i64,
    /// The claim that counts: higher than every claim before it.
    pub epoch: u64,
    /// Until when its worker has it, while running.
    pub lease_until: Option<i64>,
    /// Whether somebody asked to stop it.
    pub cancel_requested: bool,
    /// How far it is.
    pub progress: Option<JobProgress>,
    /// What it has come to.
    pub outcome: Option<Outcome>,
    /// Why it, or its last attempt, failed.
    pub error: Option<JobError>,
}

impl Job {
    /// The job that tells the requester how this export to a file has ended; `None` for all other work.
    pub fn notice(&self, run_at: i64) -> Option<NewJob> {
        matches!(self.work, Some(Work::FileExport(_))).then(|| NewJob {
            id: self.id.of_mail(),
            owner: self.owner.clone(),
            rid: self.rid.clone(),
            work: Work::ReadyMail(ReadyMailWork {
                export: self.id.clone(),
            }),
            same: None,
            run_at,
        })
    }
}

/// A claim of a job: nobody else's writes about it count while this is the newest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The job.
    pub id: JobId,
    /// The claim's number.
    pub epoch: u64,
}

/// Who asks for work.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Name of the worker, for people who look into the queue.
    pub worker: &'a str,
    /// Kinds of work it takes; see [`Work::KINDS`].
    pub kinds: &'a [&'a str],
    /// Now, milliseconds since 1970.
    pub now: i64,
    /// Until when it has the job without a renewal.
    pub until: i64,
    /// Exports of one user that run at a time, over all workers.
    pub per_owner: u32,
    /// Attempts after which a job whose worker died is failed instead of claimed again.
    pub attempts: u32,
    /// Users of whose waiting jobs none is taken: they have their turn already.
    pub except: &'a [UserId],
}

/// What somebody who asked for work is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The work, when there is some.
    pub job: Option<(Job, Fence)>,
    /// Jobs that lost their worker and have ended with this claim, failed or cancelled. Nobody else is told of them, and
    /// what their workers wrote may still be there. At most as many as ran.
    pub ended: Vec<Job>,
}

/// What became of a request to enqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The job that does it.
    pub id: JobId,
    /// Whether it was there already.
    pub existing: bool,
}

/// What a worker learns when it renews its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Whether somebody asked to stop the job.
    pub cancel: bool,
}

/// How a claim ends.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each running job"
)]
pub enum Settlement {
    /// The work is done. Record and end are written together, or not at all.
    Done {
        /// What it has come to.
        outcome: Outcome,
        /// The record of the file that was made.
        file: Option<UserDataFile>,
        /// What is to be done next. A job that is there already stays as it is.
        then: Vec<NewJob>,
    },
    /// It cannot be done. Of an export to a file the notice ([`Job::notice`]) is written with the end, or neither is.
    Failed(JobError),
    /// It may succeed later.
    Retry {
        /// Not before this instant.
        at: i64,
        /// Why this attempt failed.
        error: JobError,
    },
    /// Somebody asked for it.
    Cancelled,
    /// The worker stops; another may take over at once, and the attempt does not count.
    Released,
}

/// What became of a request to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It had not begun: it is cancelled.
    Cancelled,
    /// It runs: its worker will stop and clean up.
    Requested,
    /// It had ended before.
    Ended(JobState),
}

/// Which jobs to list.
#[derive(Clone, Debug)]
pub struct JobFilter<'a> {
    /// Whose.
    pub owner: &'a UserId,
    /// Of this kind.
    pub kind: &'a str,
    /// Of this room.
    pub rid: Option<&'a str>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub count: u64,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
}

/// A sweep that a process may make, while the others leave it to that one. Instants are on the queue's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepTurn {
    /// Now.
    pub began: i64,
    /// When the last sweep began that came to its end: what ended long before it was looked at.
    pub since: i64,
}

/// Why the queue refused.
#[derive(Debug, Error)]
pub enum QueueError {
    /// The claim is not the newest any more, or the job is gone: whatever was done for it is to be thrown away.
    #[error("job {0} has been taken over")]
    LeaseLost(JobId),
    /// The user has so many jobs waiting already.
    #[error("{0} jobs are waiting already")]
    TooMany(u32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A durable queue. Instants are milliseconds since 1970.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Writes a job down, durably, unless an equal one ([`NewJob::same`]) of the same owner is queued or running.
    /// [`QueueError::TooMany`] when the owner has `waiting` jobs of this kind that are queued or running.
    async fn enqueue(&self, job: &NewJob, now: i64, waiting: u32) -> Result<Enqueued, QueueError>;

    /// Takes the job that has waited longest: one that is queued and due, or whose lease ran out. A job whose worker died
    /// once too often is failed instead, as [`Settlement::Failed`] does it; one that was to be cancelled then is cancelled.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, QueueError>;

    /// Keeps a claimed job until the given instant and says how far it is.
    async fn renew(
        &self,
        fence: &Fence,
        until: i64,
        progress: Option<&JobProgress>,
    ) -> Result<Renewal, QueueError>;

    /// Ends a claim, and says what the job is now. One that somebody asked to stop is cancelled, however it is settled:
    /// nothing of the settlement is written, and what was made for it is to be thrown away.
    async fn settle(
        &self,
        fence: &Fence,
        settlement: Settlement,
        now: i64,
    ) -> Result<JobState, QueueError>;

    /// Asks to stop a job; `None` when there is none.
    async fn cancel(&self, id: &JobId, now: i64) -> Result<Option<CancelOutcome>, QueueError>;

    /// One job.
    async fn job(&self, id: &JobId) -> Result<Option<Job>, QueueError>;

    /// A page of jobs, and how many there are in all.
    async fn jobs(&self, filter: &JobFilter<'_>) -> Result<(Vec<Job>, u64), QueueError>;

    /// Takes an ended job away, with what it has left to be written; `false` when it is not there or has not ended.
    async fn remove(&self, id: &JobId) -> Result<bool, QueueError>;

    /// Takes away at most `limit` jobs that ended before an instant and have no file: failed and cancelled ones, and
    /// mails. How many were taken away.
    async fn forget(&self, instant: i64, limit: u32) -> Result<u64, QueueError>;

    /// The turn to sweep, unless some process has had it within the interval `every`.
    async fn begin_sweep(&self, now: i64, every: Duration)
    -> Result<Option<SweepTurn>, QueueError>;

    /// Says that a sweep has come to its end.
    async fn end_sweep(&self, turn: SweepTurn) -> Result<(), QueueError>;

    /// At most `limit` exports to a file that ended at an instant of the queue's clock or later and may have left more
    /// than the file that counts: those that failed or were cancelled after they were begun, and those that were begun
    /// again. In the order of their ends and ids, after the one given.
    async fn untidy(
        &self,
        since: i64,
        after: Option<&Job>,
        limit: u32,
    ) -> Result<Vec<Job>, QueueError>;

    /// Proves that the queue can be asked, soon and without looking at its jobs.
    async fn ready(&self) -> Result<(), QueueError>;

    /// Proves that jobs, and records of exports, can be written, changed and removed; for `doctor`.
    async fn check(&self) -> Result<(), QueueError>;

    /// How many jobs there are, by kind and state.
    async fn counts(&self) -> Result<Vec<(String, JobState, u64)>, QueueError>;
}
