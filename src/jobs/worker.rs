//! Does what the queue holds: claims, keeps its claims alive, settles them.
//!
//! A worker trusts the queue, not itself, about whether a job is its own: a process that was asleep for longer than its
//! lease learns it from the first write that is refused, and removes what it made.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;
use tokio::task::{self, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use super::steps::{self, Step};
use super::{
    Claim, Claimed, Failure, Fence, Job, JobError, JobId, JobProgress, JobState, MessagesMailWork,
    NewJob, Outcome, QueueError, Renewal, Settlement, Work,
};
use crate::app::Service;
use crate::export;
use crate::export::progress::{Phase, Progress, Snapshot};
use crate::mail::MailError;
use crate::mail::messages::{ComposeError, Undelivered, send_messages};
use crate::mail::notice::send_notice;
use crate::store::directory::UserId;
use crate::store::user_data::UserDataFile;
use crate::telemetry;
use crate::words::{self, chain};

/// Attempts of a mail after which it is given up when its worker dies again; a server that is away is tried for
/// `mail.give_up`, whatever the number.
const MAIL_ATTEMPTS: u32 = 100;
/// Messages that are sent by mail at a time, each for another user.
const SENDERS: usize = 4;
/// No wait between attempts is longer.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How often the end of a job is tried to be written, a heartbeat apart; after that its lease runs out.
const SETTLE_ATTEMPTS: u32 = 5;

/// Jobs without a worker whose leftovers are removed at a time. The sweeper comes to the others.
const CLEANERS: usize = 4;

/// A process's worker: at most `jobs.workers` exports at a time, and mails beside them.
pub struct Worker {
    service: Service,
    /// For people who look into the queue.
    name: String,
    /// Cancelled when what runs is to be handed to another process.
    hard: CancellationToken,
}

impl Worker {
    /// Works until told to stop. `soft`: nothing new is begun, and what runs has `jobs.grace` to finish; `hard`: what runs
    /// stops, and another process may take it at once. Returns when nothing runs any more.
    pub async fn run(service: Service, soft: CancellationToken, hard: CancellationToken) {
        let worker = Arc::new(Self {
            name: name(),
            hard: hard.child_token(),
            service,
        });
        let jobs = &worker.service.config.jobs;
        let store = worker.service.exports.describe();
        tracing::info!(workers = jobs.workers, store, "worker started");
        let mut exports = Lane::new(&[Work::FILE_EXPORT], jobs.attempts, jobs.workers);
        // A mail waits for its server, which may be silent: exports do not wait with it, and neither does the mail that an
        // export is ready wait for somebody's hundred others.
        let mut notices = Lane::new(Work::NOTICES, MAIL_ATTEMPTS, jobs.workers.min(1));
        let mut messages = Lane::new(Work::MESSAGES, MAIL_ATTEMPTS, jobs.workers.min(SENDERS));
        messages.in_turn = true;
        let mut cleaners = JoinSet::new();
        while !soft.is_cancelled() && !hard.is_cancelled() {
            for lane in [&mut notices, &mut messages, &mut exports] {
                while lane.is_free()
                    && !soft.is_cancelled()
                    && let Some((job, fence)) = worker.claim(lane, &mut cleaners).await
                {
                    let owner = job.owner.clone();
                    let task = lane.running.spawn(Arc::clone(&worker).work(job, fence));
                    lane.owners.push((task.id(), owner));
                }
            }
            let free = [&exports, &notices, &messages]
                .into_iter()
                .any(Lane::is_free);
            tokio::select! {
                () = soft.cancelled() => {}
                () = hard.cancelled() => {}
                () = worker.service.wake.notified(), if free => {}
                () = sleep(jobs.poll), if free => {}
                Some(()) = exports.ended() => {}
                Some(()) = notices.ended() => {}
                Some(()) = messages.ended() => {}
            }
        }
        let mut lanes = [exports, notices, messages];
        let running: usize = lanes.iter().map(|lane| lane.running.len()).sum();
        if running > 0 {
            tracing::info!(running, "waiting for running jobs");
        }
        let mut drained = async || {
            for lane in &mut lanes {
                while lane.ended().await.is_some() {}
            }
        };
        let cleaned = async { while cleaners.join_next().await.is_some() {} };
        tokio::select! {
            ((), ()) = async { tokio::join!(drained(), cleaned) } => {}
            () = sleep(jobs.grace) => {}
            () = hard.cancelled() => {}
        }
        worker.hard.cancel();
        drained().await;
        // What they do not come to, the sweeper does.
        cleaners.shutdown().await;
        worker.service.mailer.close().await;
    }

    /// The next job of a lane.
    async fn claim(
        self: &Arc<Self>,
        lane: &Lane,
        cleaners: &mut JoinSet<()>,
    ) -> Option<(Job, Fence)> {
        let jobs = &self.service.config.jobs;
        let now = self.service.clock.now();
        let except: Vec<_> = lane.owners.iter().map(|(_, owner)| owner.clone()).collect();
        let claim = Claim {
            worker: &self.name,
            kinds: lane.kinds,
            now,
            until: later(now, jobs.lease),
            per_owner: jobs.per_user_running,
            attempts: lane.attempts,
            except: if lane.in_turn { &except } else { &[] },
        };
        let Claimed { job, ended } = match self.service.queue.claim(&claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read");
                return None;
            }
        };
        for job in ended {
            self.bury(job, now, cleaners);
        }
        job
    }

    /// Says in the log that a job ended without its worker, and removes what that one left.
    fn bury(self: &Arc<Self>, job: Job, now: i64, cleaners: &mut JoinSet<()>) {
        steps::reached(Step::Abandoned);
        let settlement = match &job.error {
            Some(error) if job.state == JobState::Failed => Settlement::Failed(error.clone()),
            _ => Settlement::Cancelled,
        };
        // Nobody knows when its worker died.
        let took = now.saturating_sub(job.started_at.unwrap_or(now));
        let took = Duration::from_millis(took.try_into().unwrap_or_default());
        tracing::warn!(job = job.id.0, "the job has lost its worker");
        tell(&job, &settlement, took);
        // A store may hang, and jobs do not wait for it.
        while cleaners.try_join_next().is_some() {}
        if cleaners.len() < CLEANERS {
            let worker = Arc::clone(self);
            cleaners.spawn(async move { worker.clean(&job, None).await });
        } else {
            tracing::info!(job = job.id.0, "what the job left is removed later");
        }
    }

    async fn work(self: Arc<Self>, job: Job, fence: Fence) {
        steps::reached(Step::Begin);
        let begun = Instant::now();
        let Job {
            id,
            owner,
            rid,
            attempt,
            ..
        } = &job;
        tracing::info!(job = id.0, rid, user = owner.0, attempt, "job begun");
        let progress = Arc::new(Progress::default());
        let stop = self.hard.child_token();
        let attempt = tokio::spawn(carry_out(
            self.service.clone(),
            job.clone(),
            fence.clone(),
            Arc::clone(&progress),
            stop.clone(),
        ));
        let (ended, claim) = self.keep(&fence, attempt, &progress, &stop).await;
        let settlement = ended.unwrap_or_else(|failure| self.settlement(failure, &job, claim));
        let file = match &settlement {
            Settlement::Done { file, .. } => file.clone(),
            _ => None,
        };
        if claim == Kept::Lost {
            return self.abandon(&fence, file.as_ref()).await;
        }
        if file.is_some() {
            steps::reached(Step::Record);
        }
        let settlement = match self.settle(&fence, &settlement).await {
            // Asked for after the last heartbeat.
            Ok(JobState::Cancelled) => Settlement::Cancelled,
            Ok(_) => settlement,
            Err(QueueError::LeaseLost(_)) => return self.abandon(&fence, file.as_ref()).await,
            Err(error) => {
                // Nobody knows whether it was written: the file stays, and the next attempt removes it or the record
                // names it.
                let error = error.to_string();
                tracing::error!(
                    job = fence.id.0,
                    error,
                    "the end of the job cannot be written"
                );
                return;
            }
        };
        if let Settlement::Done { file: Some(_), .. } = settlement {
            steps::reached(Step::Settled);
        }
        tell(&job, &settlement, begun.elapsed());
        match &settlement {
            Settlement::Done { file: Some(_), .. } => self.clean(&job, Some(fence.epoch)).await,
            Settlement::Failed(_) | Settlement::Cancelled => self.clean(&job, None).await,
            // A job that will be begun again may have been already.
            _ => {}
        }
    }

    /// Waits for the attempt, and meanwhile renews the lease, says how far it is, and stops it when it is asked to or the
    /// job is somebody else's.
    async fn keep(
        &self,
        fence: &Fence,
        mut attempt: JoinHandle<Result<Settlement, Failure>>,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Result<Settlement, Failure>, Kept) {
        let jobs = &self.service.config.jobs;
        // The claim itself was the first.
        let mut beats = interval_at(tokio::time::Instant::now() + jobs.heartbeat, jobs.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pace = Pace::begin(Instant::now());
        let mut told = Told {
            at: Instant::now(),
            snapshot: progress.snapshot(),
            again: jobs.lease / 3,
        };
        let mut kept = Kept::Held;
        loop {
            tokio::select! {
                ended = &mut attempt => {
                    let ended = ended.unwrap_or_else(|error| {
                        // The message was told where it panicked.
                        tracing::error!(job = fence.id.0, %error, "the attempt stopped");
                        Err(Failure::Passing(JobError::internal()))
                    });
                    return (ended, kept);
                }
                _ = beats.tick(), if kept != Kept::Lost => {}
            }
            let (now, snapshot) = (Instant::now(), progress.snapshot());
            let renewal = if told.is_due(now, snapshot) {
                let until = later(self.service.clock.now(), jobs.lease);
                let progress = pace.look(now, snapshot);
                let renewed = self.service.queue.renew(fence, until, Some(&progress));
                renewed.await.inspect(|_| told.tell(now, snapshot))
            } else {
                self.look(fence).await
            };
            match renewal {
                Ok(renewal) if renewal.cancel => kept = Kept::Unwanted,
                Ok(_) => {}
                Err(QueueError::LeaseLost(_)) => kept = Kept::Lost,
                // Perhaps the next one succeeds; if not, the job is taken over, and settling it is refused.
                Err(error) => {
                    tracing::warn!(job = fence.id.0, %error, "the lease cannot be renewed");
                }
            }
            if kept != Kept::Held {
                stop.cancel();
            }
        }
    }

    /// What a renewal would tell of a claim, without one.
    async fn look(&self, fence: &Fence) -> Result<Renewal, QueueError> {
        match self.service.queue.job(&fence.id).await? {
            Some(job) if job.epoch == fence.epoch && job.state == JobState::Running => {
                Ok(Renewal {
                    cancel: job.cancel_requested,
                })
            }
            _ => Err(QueueError::LeaseLost(fence.id.clone())),
        }
    }

    fn settlement(&self, failure: Failure, job: &Job, claim: Kept) -> Settlement {
        let config = &self.service.config;
        let now = self.service.clock.now();
        let again = match job.work {
            Some(Work::FileExport(_)) | None => job.attempt < config.jobs.attempts,
            Some(_) => now < later(job.created_at, config.mail.give_up),
        };
        match failure {
            _ if claim == Kept::Unwanted => Settlement::Cancelled,
            Failure::Cancelled => Settlement::Released,
            Failure::Passing(error) if again => Settlement::Retry {
                at: later(now, wait(config.jobs.backoff, job.attempt)),
                error,
            },
            Failure::Final(error) | Failure::Passing(error) => Settlement::Failed(error),
        }
    }

    async fn settle(&self, fence: &Fence, settlement: &Settlement) -> Result<JobState, QueueError> {
        let queue = &self.service.queue;
        let mut tried = 1;
        loop {
            let now = self.service.clock.now();
            match queue.settle(fence, settlement.clone(), now).await {
                Err(QueueError::Store(error)) if tried < SETTLE_ATTEMPTS => {
                    tracing::warn!(job = fence.id.0, %error, "the end of the job cannot be written yet");
                    sleep(self.service.config.jobs.heartbeat).await;
                    tried += 1;
                }
                // A write that was told to have failed may have reached the disk: nobody else ends this claim well, and
                // the file that its record names must stay.
                Err(QueueError::LeaseLost(id)) if tried > 1 => {
                    return match queue.job(&id).await? {
                        Some(job) if job.epoch == fence.epoch && job.state == JobState::Done => {
                            Ok(JobState::Done)
                        }
                        _ => Err(QueueError::LeaseLost(id)),
                    };
                }
                other => return other,
            }
        }
    }

    /// The job is somebody else's: what was made for this claim goes.
    async fn abandon(&self, fence: &Fence, file: Option<&UserDataFile>) {
        let (job, epoch) = (&fence.id.0, fence.epoch);
        if let Some(file) = file
            && let Err(error) = self.service.exports.delete(file).await
        {
            // The sweeper will.
            tracing::warn!(job, epoch, %error, "the file of a lost claim cannot be removed");
        }
        tracing::warn!(
            job,
            epoch,
            "another worker took the job over; what this one wrote is removed"
        );
    }

    /// Removes what claims of an ended job left, but the file of one of them.
    async fn clean(&self, job: &Job, keep: Option<u64>) {
        if !matches!(job.work, Some(Work::FileExport(_))) {
            return;
        }
        let last = Fence {
            id: job.id.clone(),
            epoch: job.epoch,
        };
        match self.service.exports.clean(&last, keep).await {
            Ok(0) => {}
            Ok(files) => {
                tracing::info!(job = job.id.0, files, "removed what earlier attempts left");
            }
            Err(error) => {
                tracing::warn!(job = job.id.0, %error, "what earlier attempts left cannot be removed");
            }
        }
    }
}

/// Jobs of some kinds, and how many of them run at a time.
struct Lane {
    kinds: &'static [&'static str],
    attempts: u32,
    slots: usize,
    /// Whether each user has one job in it at a time, so that nobody's many keep others waiting.
    in_turn: bool,
    running: JoinSet<()>,
    owners: Vec<(task::Id, UserId)>,
}

impl Lane {
    fn new(kinds: &'static [&'static str], attempts: u32, slots: usize) -> Self {
        Self {
            kinds,
            attempts,
            slots,
            in_turn: false,
            running: JoinSet::new(),
            owners: Vec::new(),
        }
    }

    /// Waits until one of its jobs ends; `None` when none runs.
    async fn ended(&mut self) -> Option<()> {
        let id = match self.running.join_next_with_id().await? {
            Ok((id, ())) => id,
            Err(error) => {
                // Its lease runs out.
                tracing::error!(%error, "a worker's task stopped");
                error.id()
            }
        };
        self.owners.retain(|(task, _)| *task != id);
        Some(())
    }

    fn is_free(&self) -> bool {
        self.running.len() < self.slots
    }
}

/// What is known of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The job is ours.
    Held,
    /// The job is ours, and is to be stopped.
    Unwanted,
    /// The job is somebody else's.
    Lost,
}

async fn carry_out(
    service: Service,
    job: Job,
    fence: Fence,
    progress: Arc<Progress>,
    stop: CancellationToken,
) -> Result<Settlement, Failure> {
    match &job.work {
        Some(Work::FileExport(work)) => {
            export::job::run(&service, &job, &fence, work, progress, stop).await
        }
        Some(Work::ReadyMail(work)) => {
            let sent = async { Ok((send_notice(&service, &job, work).await?, Vec::new())) };
            deliver(&service, &job, stop, Box::pin(sent)).await
        }
        Some(Work::MessagesMail(work)) => {
            let sent = Box::pin(send_messages(&service, &job, work));
            deliver(&service, &job, stop, sent).await
        }
        Some(Work::EmailExport(work)) => Ok(Settlement::Done {
            outcome: Outcome::default(),
            file: None,
            then: mails(&service, &job, work.mails(&job.id)),
        }),
        None => {
            tracing::error!(job = job.id.0, "what is to be done cannot be read");
            Err(Failure::Final(JobError::internal()))
        }
    }
}

/// Waits for a mail to be sent, or for the wish to stop.
async fn deliver(
    service: &Service,
    job: &Job,
    stop: CancellationToken,
    sent: impl Future<Output = Result<(Outcome, Vec<(JobId, MessagesMailWork)>), Undelivered>>,
) -> Result<Settlement, Failure> {
    let sent = tokio::select! {
        // A mail that is sent is not sent again because of a wish that came too late.
        biased;
        sent = sent => sent,
        () = stop.cancelled() => return Err(Failure::Cancelled),
    };
    let (outcome, late) = sent.map_err(|error| {
        let told = chain(&error);
        tracing::warn!(
            job = job.id.0,
            attempt = job.attempt,
            error = told,
            "mail not sent"
        );
        match error {
            Undelivered::Mail(error) => of_mail(&error),
            Undelivered::Compose(error) => of_composition(&error),
            Undelivered::Said(error) => Failure::Final(error),
        }
    })?;
    steps::reached(Step::MailSent);
    Ok(Settlement::Done {
        outcome,
        file: None,
        then: mails(service, job, late),
    })
}

/// The jobs of mails that a job makes.
fn mails(service: &Service, job: &Job, mails: Vec<(JobId, MessagesMailWork)>) -> Vec<NewJob> {
    let now = service.clock.now();
    mails
        .into_iter()
        .map(|(id, work)| NewJob {
            id,
            owner: job.owner.clone(),
            rid: job.rid.clone(),
            work: Work::MessagesMail(work),
            same: None,
            run_at: now,
        })
        .collect()
}

/// What is told of a mail that was not written.
fn of_composition(error: &ComposeError) -> Failure {
    match error {
        ComposeError::Nothing => Failure::Final(JobError::new(
            "messages-gone",
            "None of the messages is in the room any more, so there is nothing to send.",
        )),
        // These sentences name limits and nothing else.
        ComposeError::TooMany(_) => {
            Failure::Final(JobError::new("too-many-messages", sentence(error)))
        }
        ComposeError::TooLarge(_) => {
            Failure::Final(JobError::new("mail-too-large", sentence(error)))
        }
        ComposeError::Store(_) | ComposeError::Export(_) => Failure::Passing(JobError::new(
            "workspace-unreadable",
            "The mail was not sent: what it is about could not be read. If that stays so, ask the administrator to look at the server's log.",
        )),
    }
}

/// An error as a sentence.
fn sentence(error: &ComposeError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(letters)
        .chain(['.'])
        .collect()
}

/// What is told of a mail that was not sent. Where the server is and what it said goes to the log.
fn of_mail(error: &MailError) -> Failure {
    match error {
        MailError::Store(_) => Failure::Passing(JobError::new(
            "workspace-unreadable",
            "The mail was not sent: what it is about could not be read. If that stays so, ask the administrator to look at the server's log.",
        )),
        MailError::Later(_) => Failure::Passing(JobError::new(
            "mail-later",
            "The mail was not sent: the mail server could not be reached, or did not take it. If that stays so, ask the administrator to look at the server's log.",
        )),
        MailError::Off(_) => Failure::Final(JobError::new(
            "mail-off",
            "The mail was not sent: sending mail is not set up.",
        )),
        MailError::Unusable(_) => Failure::Final(JobError::new(
            "mail-unusable",
            "The mail was not sent: its address, or something else in it, cannot be used with this mail server.",
        )),
        MailError::TooLarge { bytes, .. } => Failure::Final(JobError::new(
            "mail-too-large",
            format!(
                "The mail was not sent: it has {}, which is more than the mail server takes. Choose fewer messages, or export them as a file.",
                words::bytes(*bytes)
            ),
        )),
        MailError::Refused(_) => Failure::Final(JobError::new(
            "mail-refused",
            "The mail was not sent: the mail server refused it for good. Look at its address, or ask the administrator to look at the server's log.",
        )),
    }
}

/// Logs and counts the end of a claim.
fn tell(job: &Job, settlement: &Settlement, took: Duration) {
    let (state, error) = match settlement {
        Settlement::Done { .. } => ("done", None),
        Settlement::Failed(error) => ("failed", Some(error)),
        Settlement::Retry { error, .. } => ("retried", Some(error)),
        Settlement::Cancelled => ("cancelled", None),
        Settlement::Released => ("released", None),
    };
    let kind = match &job.work {
        Some(Work::FileExport(_)) => "file_export",
        Some(Work::ReadyMail(_)) => "ready_mail",
        Some(Work::EmailExport(_)) => "email_export",
        Some(Work::MessagesMail(_)) => "messages_mail",
        None => "unknown",
    };
    let seconds = took.as_secs_f64();
    let (messages, files, bytes) = match settlement {
        Settlement::Done { outcome, .. } => figures(outcome),
        _ => Default::default(),
    };
    telemetry::job_ended(kind, state, took);
    telemetry::exported(messages, files, bytes);
    let Job {
        id,
        owner,
        rid,
        attempt,
        ..
    } = job;
    let code = error.map(|error| error.code.as_str());
    tracing::info!(
        job = id.0,
        kind,
        rid,
        user = owner.0,
        attempt,
        state,
        code,
        messages,
        files,
        bytes,
        seconds,
        "job ended"
    );
    if kind == "file_export" {
        match settlement {
            Settlement::Done { .. } => tracing::info!(
                target: "audit", job = id.0, rid, user = owner.0, messages, files, bytes, "export finished"
            ),
            Settlement::Failed(_) => {
                tracing::info!(target: "audit", job = id.0, rid, user = owner.0, code, "export failed");
            }
            _ => {}
        }
    }
}

/// Messages, files and bytes of an export.
fn figures(outcome: &Outcome) -> (u64, u64, u64) {
    let count = |path: &str| {
        let count = outcome
            .report
            .as_ref()
            .and_then(|report| report.pointer(path));
        count.and_then(Value::as_u64).unwrap_or_default()
    };
    (
        count("/messages/rendered"),
        count("/files/packed"),
        outcome.bytes.unwrap_or_default(),
    )
}

/// What this process is called among those that share a queue, on other machines as well.
fn name() -> String {
    let process = std::process::id();
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) => format!("process {process} on {}", host.trim()),
        Err(_) => format!("process {process}"),
    }
}

/// An instant so much after another, milliseconds since 1970.
fn later(now: i64, by: Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

/// Wait after an attempt: doubled with each; a part of it is left to chance, so that what failed together is not tried
/// together again.
fn wait(backoff: Duration, attempt: u32) -> Duration {
    let doubled = backoff.saturating_mul(
        1_u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    doubled
        .min(LONGEST_WAIT)
        .mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// What of a claim was written last: a heartbeat without news only looks, because each write waits for the disk and
/// keeps others from writing.
struct Told {
    at: Instant,
    snapshot: Snapshot,
    /// News or not, the lease is renewed after this.
    again: Duration,
}

impl Told {
    fn is_due(&self, now: Instant, snapshot: Snapshot) -> bool {
        snapshot != self.snapshot || now.duration_since(self.at) >= self.again
    }

    fn tell(&mut self, now: Instant, snapshot: Snapshot) {
        (self.at, self.snapshot) = (now, snapshot);
    }
}

/// How fast a job is.
struct Pace {
    phase: Phase,
    /// When the phase was not seen yet.
    since: Instant,
    looked: Instant,
}

impl Pace {
    fn begin(now: Instant) -> Self {
        Self {
            phase: Phase::Count,
            since: now,
            looked: now,
        }
    }

    /// The progress for people, over the whole phase: what the last second was like says little.
    fn look(&mut self, now: Instant, snapshot: Snapshot) -> JobProgress {
        if snapshot.phase != self.phase {
            self.phase = snapshot.phase;
            self.since = self.looked;
        }
        self.looked = now;
        let Snapshot {
            done, total, bytes, ..
        } = snapshot;
        let millis = now.duration_since(self.since).as_millis();
        let rate = (u128::from(done) * 1000)
            .checked_div(millis)
            .unwrap_or_default();
        let left = u128::from(total.saturating_sub(done));
        // Who has done nothing yet cannot know how long the rest takes.
        let eta = (left * millis).div_ceil(1000).checked_div(u128::from(done));
        let counted = matches!(snapshot.phase, Phase::Files | Phase::Messages);
        JobProgress {
            phase: snapshot.phase.name().to_owned(),
            done,
            total,
            bytes,
            rate: u64::try_from(rate).unwrap_or(u64::MAX),
            eta_seconds: eta
                .filter(|_| counted && millis > 0)
                .and_then(|eta| u64::try_from(eta).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn waits_double_up_to_an_hour_and_differ() {
        let base = Duration::from_secs(5);
        for (attempt, longest) in [
            (1, 5),
            (2, 10),
            (3, 20),
            (10, 2560),
            (11, 3600),
            (40, 3600),
            (u32::MAX, 3600),
        ] {
            let longest = Duration::from_secs(longest);
            let waits: Vec<_> = (0..20).map(|_| wait(base, attempt)).collect();
            assert!(
                waits
                    .iter()
                    .all(|wait| *wait <= longest && *wait >= longest / 2),
                "{attempt}: {waits:?}"
            );
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{attempt}");
        }
    }

    #[test]
    fn failed_mails_are_told_without_the_servers_internals() {
        let said = || "10.0.0.5:587: Connection refused (os error 111)".to_owned();
        let io = || std::io::Error::other("/srv/private");
        let mut told = Vec::new();
        for (error, code, again) in [
            (MailError::Later(said()), "mail-later", true),
            (MailError::Refused(said()), "mail-refused", false),
            (
                MailError::TooLarge {
                    bytes: 23_400_000,
                    said: said(),
                },
                "mail-too-large",
                false,
            ),
            (MailError::Unusable(said()), "mail-unusable", false),
            (MailError::Off("secret".to_owned()), "mail-off", false),
            (
                StoreError::io("read", "/srv/private/x")(io()).into(),
                "workspace-unreadable",
                true,
            ),
        ] {
            let (failed, passing) = match of_mail(&error) {
                Failure::Passing(failed) => (failed, true),
                Failure::Final(failed) => (failed, false),
                Failure::Cancelled => panic!("{code}"),
            };
            assert_eq!((&*failed.code, passing), (code, again));
            let message = failed.message;
            assert!(
                !message.contains(['/', '(', '1']) && message.ends_with('.'),
                "{message}"
            );
            told.push(message);
        }
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 6, "each has a sentence of its own");
    }

    #[test]
    fn a_heartbeat_writes_only_news_and_the_lease() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let snapshot = |done| Snapshot {
            phase: Phase::Messages,
            done,
            total: 9,
            bytes: 7,
        };
        let mut told = Told {
            at: start,
            snapshot: snapshot(1),
            again: Duration::from_secs(20),
        };
        assert!(!told.is_due(at(5), snapshot(1)), "nothing new");
        assert!(told.is_due(at(5), snapshot(2)), "progress");
        told.tell(at(5), snapshot(2));
        assert!(!told.is_due(at(24), snapshot(2)));
        assert!(told.is_due(at(25), snapshot(2)), "the lease");
        told.tell(at(25), snapshot(2));
        assert!(!told.is_due(at(30), snapshot(2)));
    }

    #[test]
    fn rate_and_estimate_are_those_of_the_phase() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::begin(start);
        let mut look = |seconds, phase, done, total| {
            let snapshot = Snapshot {
                phase,
                done,
                total,
                bytes: 7,
            };
            let progress = pace.look(at(seconds), snapshot);
            (progress.rate, progress.eta_seconds)
        };
        assert_eq!(look(0, Phase::Count, 0, 0), (0, None));
        assert_eq!(look(10, Phase::Count, 0, 0), (0, None));
        assert_eq!(
            look(11, Phase::Messages, 0, 1000),
            (0, None),
            "nothing is done yet"
        );
        assert_eq!(look(12, Phase::Messages, 200, 1000), (100, Some(8)));
        assert_eq!(look(20, Phase::Messages, 1000, 1000), (100, Some(0)));
        assert_eq!(
            look(21, Phase::Messages, 1001, 1000).1,
            Some(0),
            "more than was counted"
        );
        assert_eq!(look(22, Phase::Seal, 0, 0), (0, None));
    }
}
