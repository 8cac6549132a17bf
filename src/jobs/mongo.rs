//! The queue in the live database, in the collection `export_room_jobs`: any number of processes on any machines share
//! it, and only changes of single documents are needed, so that no server is too simple for it.
//!
//! Limits are kept by unique indexes. A job that is open has a `place`, its owner and a number below the limit of jobs
//! that may wait; an export that runs has a `seat` in the same way. Who takes a number that somebody else has taken
//! meanwhile is refused by the index and looks again. Equal requests have the same `same`.
//!
//! A job that ends well and leaves a record, or further jobs, carries them in `pending` from the same change that ends it.
//! They are written to their own places next, and `pending` is taken away: by who ended the job, or, when that process
//! died in between, by whoever looks for work or at the job next.
//!
//! Instants are those of the server's clock, which all processes share; see `ServerTime`.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::{Bson, DateTime, Document, doc};
use mongodb::options::{FindOneAndUpdateOptions, IndexOptions, ReturnDocument};
use mongodb::{Collection, IndexModel};

use super::rows::{End, interrupted, json, last_of, millis, parsed};
use super::{
    CancelOutcome, Claim, Claimed, Enqueued, Fence, Job, JobFilter, JobId, JobProgress, JobQueue,
    JobState, NewJob, QueueError, Renewal, Settlement, SweepTurn, Work,
};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::directory::UserId;
use crate::store::mongo::MongoDatabase;
use crate::store::mongo::directory::USER_DATA_FILES;
use crate::store::user_data::UserDataFile;

/// The collection of jobs. Not Rocket.Chat's own, whose entries its cron job takes.
pub(crate) const COLLECTION: &str = "export_room_jobs";
/// What `doctor` writes and removes.
const PROBE: &str = "export-room-probe";
/// How often a change is tried that others come before.
const RACES: usize = 100;
/// Jobs that are looked at together, of which the first that nobody else takes is taken.
const CANDIDATES: i64 = 16;
/// Jobs that are run at a time; a queue with more workers than this has other worries.
const RUNNING: i64 = 10_000;
/// Jobs whose record is written for a process that died, at a time.
const PENDING: i64 = 100;
/// How long what was refused is left alone.
const REFUSED: Duration = Duration::from_mins(1);
/// The document that says who swept when. It is no job: it has no state.
const SWEEP: &str = "export-room-sweep";
/// The years 1 to 9999, which is what every client of a database can show.
const DATES: (i64, i64) = (-62_135_596_800_000, 253_402_300_799_999);

/// The queue of a live database.
#[derive(Debug)]
pub struct MongoQueue {
    database: MongoDatabase,
    jobs: Collection<Document>,
    time: ServerTime,
}

impl MongoQueue {
    /// Opens the queue of a database; makes its indexes when they are not there. Several processes may do so at once.
    pub async fn open(database: MongoDatabase) -> Result<Self, StoreError> {
        let jobs = database.durable(COLLECTION);
        let index = |name: &str, keys: Document, mut options: IndexOptions| {
            options.name = Some(name.to_owned());
            IndexModel::builder().keys(keys).options(options).build()
        };
        let plain = || IndexOptions::builder().build();
        // Of documents that have the field: few.
        let sparse = || IndexOptions::builder().sparse(true).build();
        let unique = || IndexOptions::builder().sparse(true).unique(true).build();
        let due = doc! {"state": 1, "kind": 1, "runAt": 1, "createdAt": 1, "_id": 1};
        let listed = doc! {"owner": 1, "kind": 1, "createdAt": 1, "_id": 1};
        let untidy = doc! {"kind": 1, "endedAt": 1, "_id": 1, "epoch": 1, "hasFile": 1};
        let indexes = [
            index("same", doc! {"same": 1}, unique()),
            index("place", doc! {"place": 1}, unique()),
            index("seat", doc! {"seat": 1}, unique()),
            index("pending", doc! {"pending.since": 1}, sparse()),
            // The next to begin, those that run, and the counts.
            index("due", due, plain()),
            // A user's open jobs, and pages of all.
            index("listed", listed, plain()),
            // What can be forgotten.
            index("ended", doc! {"hasFile": 1, "endedAt": 1}, plain()),
            // What may have left something, without a look at the others.
            index("untidy", untidy, plain()),
        ];
        let question = jobs.create_indexes(indexes);
        database.ask(COLLECTION, async { question.await }).await?;
        let queue = Self {
            database,
            jobs,
            time: ServerTime::default(),
        };
        queue.time.look(&queue.database).await?;
        Ok(queue)
    }

    async fn find(&self, filter: Document) -> Result<Option<Document>, StoreError> {
        let question = self.jobs.find_one(filter);
        self.database
            .ask(COLLECTION, async { question.await })
            .await
    }

    /// All that are found: few.
    async fn all(
        &self,
        filter: Document,
        sort: Document,
        limit: i64,
    ) -> Result<Vec<Document>, StoreError> {
        let question = self.jobs.find(filter).sort(sort).limit(limit);
        self.page(question).await
    }

    async fn page(
        &self,
        question: mongodb::action::Find<'_, Document>,
    ) -> Result<Vec<Document>, StoreError> {
        let read = async {
            let mut cursor = question.await?;
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(cursor.deserialize_current()?);
            }
            Ok(found)
        };
        self.database.ask(COLLECTION, read).await
    }

    /// Changes the job that a filter finds and gives it back as it is then; `None` when there is none, or when a unique
    /// index refuses the change.
    async fn change(
        &self,
        filter: Document,
        change: Document,
    ) -> Result<Option<Document>, StoreError> {
        let options = FindOneAndUpdateOptions::builder()
            .return_document(ReturnDocument::After)
            .build();
        let question = self
            .jobs
            .find_one_and_update(filter, change)
            .with_options(options);
        let changed = self
            .database
            .ask_unless_taken(COLLECTION, async { question.await })
            .await?;
        Ok(changed.flatten())
    }

    /// Writes a job down; `false` when one of its keys is taken.
    async fn insert(&self, job: &Document) -> Result<bool, StoreError> {
        let question = self.jobs.insert_one(job);
        let inserted = self
            .database
            .ask_unless_taken(COLLECTION, async { question.await })
            .await?;
        Ok(inserted.is_some())
    }

    /// Writes what an ended job has left to be written. Once or several times is the same.
    async fn fulfil(&self, id: &str, pending: &Document) -> Result<(), StoreError> {
        if let Ok(record) = pending.get_document("file") {
            let records = self.database.durable(USER_DATA_FILES);
            let question = records.insert_one(record);
            self.database
                .ask_unless_taken(USER_DATA_FILES, async { question.await })
                .await?;
        }
        for job in documents(pending, "then") {
            self.insert(job).await?;
        }
        let question = self
            .jobs
            .update_one(doc! {"_id": id}, doc! {"$unset": {"pending": ""}});
        let written = self
            .database
            .ask(COLLECTION, async { question.await })
            .await?;
        if written.matched_count == 0 {
            // It was removed meanwhile, and what it left with it.
            self.revoke(id, pending).await?;
        }
        Ok(())
    }

    /// Takes back what an ended job has left to be written, whether it was written or not. What has begun is left alone.
    async fn revoke(&self, id: &str, pending: &Document) -> Result<(), StoreError> {
        if pending.get_document("file").is_ok() {
            let records = self.database.durable(USER_DATA_FILES);
            let question = records.delete_one(doc! {"_id": id});
            let removed = async { question.await };
            self.database.ask(USER_DATA_FILES, removed).await?;
        }
        let then: Vec<_> = documents(pending, "then")
            .filter_map(|job| job.get("_id"))
            .collect();
        let waiting = doc! {"_id": {"$in": then}, "state": JobState::Queued.name()};
        let question = self.jobs.delete_many(waiting);
        let removed = async { question.await };
        self.database.ask(COLLECTION, removed).await?;
        Ok(())
    }

    /// Writes what an ended job has left to be written, if it has; whether nothing is left.
    async fn catch_up(&self, job: &Document) -> bool {
        let (Ok(id), Ok(pending)) = (job.get_str("_id"), job.get_document("pending")) else {
            return true;
        };
        match self.fulfil(id, pending).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(job = id, %error, "what an ended job leaves cannot be written yet");
                false
            }
        }
    }

    /// Jobs as others are told of them: what belongs to the end of one is written before, if it can be, so that who is told
    /// that an export is done finds it. What was refused is left to those who look for work.
    async fn told(&self, jobs: &[Document]) -> Vec<Job> {
        let mut is_refused = false;
        for job in jobs {
            let refused_before = job
                .get_document("pending")
                .is_ok_and(|pending| pending.contains_key("again"));
            if !is_refused && !refused_before {
                is_refused = !self.catch_up(job).await;
            }
        }
        jobs.iter().map(job_of).collect()
    }

    /// Writes what jobs of processes that died have left. What is refused is tried again after a while, and keeps nobody
    /// from other work.
    async fn fulfil_others(&self, now: i64) -> Result<(), StoreError> {
        let pending = doc! {
            "pending.since": {"$exists": true}, "pending.again": {"$not": {"$gt": date(now)}},
        };
        for job in self.all(pending, doc! {}, PENDING).await? {
            if self.catch_up(&job).await {
                continue;
            }
            let again = date(now.saturating_add(millis(REFUSED)));
            let waiting = doc! {"_id": job.get("_id"), "pending.since": {"$exists": true}};
            self.change(waiting, doc! {"$set": {"pending.again": again}})
                .await?;
        }
        Ok(())
    }

    /// Whether a job is open, and stays written down whatever election comes: a change of it waits for the majority, and
    /// with it for everything before. Whoever read it may have read what is taken back.
    async fn confirm(&self, id: &str, now: i64) -> Result<bool, StoreError> {
        let open = doc! {"_id": id, "state": {"$in": open_states()}};
        let asked = doc! {"$set": {"askedAt": date(now)}};
        Ok(self.change(open, asked).await?.is_some())
    }

    /// Ends the jobs whose worker died and that are not to be begun again; each is in `ended` when it has ended.
    async fn end_abandoned(
        &self,
        running: &[Document],
        claim: &Claim<'_>,
        now: i64,
        ended: &mut Vec<Job>,
    ) -> Result<(), QueueError> {
        for job in running {
            let cancelled = flag(job, "cancelRequested");
            let tried = number(job, "attempt") >= i64::from(claim.attempts);
            if !is_lost(job, claim, now) || !(cancelled || tried) {
                continue;
            }
            let mut filter = of_claim(job, now);
            filter.insert("cancelRequested", cancelled);
            let mut set = doc! {"state": JobState::Cancelled.name(), "endedAt": date(now)};
            if !cancelled {
                set.insert("state", JobState::Failed.name());
                set.insert("error", json(&interrupted())?);
                if let Some(pending) = notice(job, now)? {
                    set.insert("pending", pending);
                }
            }
            let change = doc! {"$set": set, "$unset": no_longer_open()};
            ended.extend(self.change(filter, change).await?.map(|job| job_of(&job)));
        }
        Ok(())
    }

    /// Ends what is to be ended, and takes a job when one waits.
    async fn take_next(
        &self,
        claim: &Claim<'_>,
        ended: &mut Vec<Job>,
    ) -> Result<Option<(Job, Fence)>, QueueError> {
        let asked = Instant::now();
        self.time.look(&self.database).await?;
        let now = self.time.there(claim.now);
        self.fulfil_others(now).await?;
        for _ in 0..RACES {
            let filter = doc! {"state": JobState::Running.name()};
            let running = self.all(filter, doc! {}, RUNNING).await?;
            self.end_abandoned(&running, claim, now, ended).await?;
            let running: Vec<_> = running
                .into_iter()
                .filter(|job| {
                    let id = job.get_str("_id").unwrap_or_default();
                    ended.iter().all(|ended| ended.id.0 != id)
                })
                .collect();
            let candidates = self.candidates(&running, claim, now).await?;
            if candidates.is_empty() {
                break;
            }
            for job in &candidates {
                // A lease begins when it is taken: the questions before may have been answered slowly.
                let late = Some(millis(asked.elapsed())).filter(|late| *late >= ServerTime::NONE);
                let until = claim.until.saturating_add(late.unwrap_or(0));
                let until = self.time.there(until);
                if let Some(taken) = self.take(job, &running, claim, now, until).await? {
                    return Ok(Some(taken));
                }
            }
        }
        Ok(None)
    }

    /// Jobs that could be begun, the one that should have begun first in front.
    async fn candidates(
        &self,
        running: &[Document],
        claim: &Claim<'_>,
        now: i64,
    ) -> Result<Vec<Document>, QueueError> {
        let mut seats: HashMap<&str, u32> = HashMap::new();
        for job in running {
            if let (Ok(owner), Ok(Work::FILE_EXPORT)) = (job.get_str("owner"), job.get_str("kind"))
            {
                *seats.entry(owner).or_default() += 1;
            }
        }
        let full: Vec<&str> = seats
            .into_iter()
            .filter(|(_, seats)| *seats >= claim.per_owner)
            .map(|(owner, _)| owner)
            .collect();
        let mut candidates: Vec<Document> = running
            .iter()
            .filter(|job| is_lost(job, claim, now))
            .cloned()
            .collect();
        let (limited, free): (Vec<&str>, Vec<&str>) = claim
            .kinds
            .iter()
            .partition(|kind| **kind == Work::FILE_EXPORT);
        for (kinds, mut owners) in [(limited, full), (free, Vec::new())] {
            if kinds.is_empty() {
                continue;
            }
            owners.extend(claim.except.iter().map(|owner| owner.0.as_str()));
            let mut filter = doc! {
                "state": JobState::Queued.name(), "kind": {"$in": kinds}, "runAt": {"$lte": date(now)},
            };
            if !owners.is_empty() {
                filter.insert("owner", doc! {"$nin": owners});
            }
            let sort = doc! {"runAt": 1, "createdAt": 1, "_id": 1};
            candidates.extend(self.all(filter, sort, CANDIDATES).await?);
        }
        candidates.sort_by_cached_key(|job| {
            let id = job.get_str("_id").unwrap_or_default().to_owned();
            (instant(job, "runAt"), instant(job, "createdAt"), id)
        });
        Ok(candidates)
    }

    /// Takes a job; `None` when somebody else has, or the last seat of its owner.
    async fn take(
        &self,
        job: &Document,
        running: &[Document],
        claim: &Claim<'_>,
        now: i64,
        until: i64,
    ) -> Result<Option<(Job, Fence)>, QueueError> {
        let mut set = doc! {
            "state": JobState::Running.name(), "startedAt": date(now), "worker": claim.worker,
            "leaseUntil": date(until),
        };
        let queued = says(job, "state", JobState::Queued.name());
        let filter = if queued {
            // One whose lease ran out keeps its seat.
            if says(job, "kind", Work::FILE_EXPORT) {
                let owner = job.get_str("owner").unwrap_or_default();
                let taken = running.iter().filter_map(|job| {
                    let taken = job.get_document("seat").ok()?;
                    says(taken, "owner", owner).then(|| number(taken, "n"))
                });
                let n = first_free(&taken.collect());
                set.insert("seat", doc! {"owner": owner, "n": n});
            }
            doc! {"_id": job.get("_id"), "epoch": job.get("epoch"), "state": JobState::Queued.name()}
        } else {
            of_claim(job, now)
        };
        let change = doc! {
            "$set": set, "$inc": {"attempt": 1, "epoch": 1_i64}, "$unset": {"progress": ""},
        };
        let Some(taken) = self.change(filter, change).await? else {
            return Ok(None);
        };
        let job = job_of(&taken);
        let fence = Fence {
            id: job.id.clone(),
            epoch: job.epoch,
        };
        Ok(Some((job, fence)))
    }
}

/// Which lease of which job ran out.
fn of_claim(job: &Document, now: i64) -> Document {
    doc! {
        "_id": job.get("_id"), "epoch": job.get("epoch"), "state": JobState::Running.name(),
        "leaseUntil": {"$lte": date(now)},
    }
}

/// Whether a running job has lost its worker, and is of the kinds that are asked for.
fn is_lost(job: &Document, claim: &Claim<'_>, now: i64) -> bool {
    let of_kind = job
        .get_str("kind")
        .is_ok_and(|kind| claim.kinds.contains(&kind));
    of_kind && instant(job, "leaseUntil").is_none_or(|until| until <= now)
}

/// What a failed job leaves to be written: the mail about it, where it has one.
fn notice(job: &Document, now: i64) -> Result<Option<Document>, QueueError> {
    let Some(notice) = job_of(job).notice(now) else {
        return Ok(None);
    };
    let then = vec![document(&notice, now, now)?];
    Ok(Some(doc! {"since": date(now), "then": then}))
}

/// The smallest number that is not taken.
fn first_free(taken: &HashSet<i64>) -> i64 {
    let mut n = 0;
    while taken.contains(&n) {
        n += 1;
    }
    n
}

/// Fields that only an open job has.
fn no_longer_open() -> Document {
    doc! {"worker": "", "leaseUntil": "", "seat": "", "place": "", "same": ""}
}

fn date(millis: i64) -> DateTime {
    DateTime::from_millis(millis.clamp(DATES.0, DATES.1))
}

fn instant(job: &Document, key: &str) -> Option<i64> {
    job.get_datetime(key)
        .ok()
        .map(|time| time.timestamp_millis())
}

fn says(job: &Document, key: &str, expected: &str) -> bool {
    job.get_str(key).is_ok_and(|text| text == expected)
}

fn flag(job: &Document, key: &str) -> bool {
    job.get_bool(key).unwrap_or(false)
}

/// A number that we wrote, with whatever width it came back.
fn number(job: &Document, key: &str) -> i64 {
    match job.get(key) {
        Some(Bson::Int32(number)) => (*number).into(),
        Some(Bson::Int64(number)) => *number,
        _ => 0,
    }
}

fn text(job: &Document, key: &str) -> Option<String> {
    job.get_str(key).ok().map(str::to_owned)
}

fn documents<'a>(of: &'a Document, key: &str) -> impl Iterator<Item = &'a Document> {
    let list = of.get_array(key).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Bson::as_document)
}

/// A new job as it is kept.
fn document(job: &NewJob, now: i64, run_at: i64) -> Result<Document, QueueError> {
    let mut document = doc! {
        "_id": &job.id.0, "owner": &job.owner.0, "kind": job.work.kind(), "work": json(&job.work)?,
        "state": JobState::Queued.name(), "attempt": 0, "epoch": 0_i64, "createdAt": date(now),
        "runAt": date(run_at), "cancelRequested": false, "hasFile": false,
    };
    if let Some(rid) = &job.rid {
        document.insert("rid", rid);
    }
    if let Some(same) = &job.same {
        document.insert("same", same_of(&job.owner, same));
    }
    Ok(document)
}

fn same_of(owner: &UserId, same: &str) -> Document {
    doc! {"owner": &owner.0, "request": same}
}

fn job_of(job: &Document) -> Job {
    let kind = job.get_str("kind").unwrap_or_default();
    let known = Work::KINDS.contains(&kind);
    let state = job.get_str("state").ok().and_then(JobState::of_name);
    Job {
        id: JobId(text(job, "_id").unwrap_or_default()),
        owner: UserId(text(job, "owner").unwrap_or_default()),
        rid: text(job, "rid"),
        work: parsed(text(job, "work")).filter(|_| known),
        // What another version calls by a name of its own is none of our business.
        state: state.unwrap_or(JobState::Running),
        attempt: number(job, "attempt").try_into().unwrap_or_default(),
        created_at: instant(job, "createdAt").unwrap_or_default(),
        started_at: instant(job, "startedAt"),
        ended_at: instant(job, "endedAt"),
        run_at: instant(job, "runAt").unwrap_or_default(),
        epoch: number(job, "epoch").try_into().unwrap_or_default(),
        lease_until: instant(job, "leaseUntil"),
        cancel_requested: flag(job, "cancelRequested"),
        progress: parsed(text(job, "progress")),
        outcome: parsed(text(job, "outcome")),
        error: parsed(text(job, "error")),
    }
}

/// A record as it is written.
fn record(file: &UserDataFile) -> Result<Document, QueueError> {
    let document = Document::from_reader(file.doc.0.as_slice());
    document.map_err(|error| {
        StoreError::Corrupt(format!(
            "the record of an export cannot be written: {error}"
        ))
        .into()
    })
}

fn ended_states() -> Vec<&'static str> {
    let ended = JobState::ALL.into_iter().filter(|state| state.is_ended());
    ended.map(JobState::name).collect()
}

fn open_states() -> Vec<&'static str> {
    let open = JobState::ALL.into_iter().filter(|state| !state.is_ended());
    open.map(JobState::name).collect()
}

/// Others come before every change: the server is overrun, or something is wrong with it.
fn overrun() -> QueueError {
    StoreError::Server(format!(
        "{COLLECTION}: others have changed it again and again; try later"
    ))
    .into()
}

#[async_trait]
impl JobQueue for MongoQueue {
    async fn enqueue(&self, job: &NewJob, now: i64, waiting: u32) -> Result<Enqueued, QueueError> {
        let enqueued = |id: &str, existing| Enqueued {
            id: JobId(id.to_owned()),
            existing,
        };
        let (now, run_at) = (self.time.there(now), self.time.there(job.run_at));
        for _ in 0..RACES {
            if let Some(same) = &job.same {
                let existing = self.find(doc! {"same": same_of(&job.owner, same)}).await?;
                if let Some(id) = existing.as_ref().and_then(|job| job.get_str("_id").ok()) {
                    if self.confirm(id, now).await? {
                        return Ok(enqueued(id, true));
                    }
                    continue;
                }
            }
            let mut document = document(job, now, run_at)?;
            if waiting < u32::MAX {
                let kind = job.work.kind();
                let filter =
                    doc! {"owner": &job.owner.0, "kind": kind, "state": {"$in": open_states()}};
                let open = self.all(filter, doc! {}, i64::from(waiting)).await?;
                if open.len() >= usize::try_from(waiting).unwrap_or(usize::MAX) {
                    return Err(QueueError::TooMany(waiting));
                }
                let taken = open.iter().filter_map(|job| {
                    let place = job.get_document("place").ok()?;
                    Some(number(place, "n"))
                });
                let n = first_free(&taken.collect());
                document.insert("place", doc! {"owner": &job.owner.0, "kind": kind, "n": n});
            }
            // It is there when only the answer to an attempt before was lost.
            if self.insert(&document).await? || self.confirm(&job.id.0, now).await? {
                return Ok(enqueued(&job.id.0, false));
            }
        }
        Err(overrun())
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, QueueError> {
        let mut ended = Vec::new();
        match self.take_next(claim, &mut ended).await {
            Ok(job) => Ok(Claimed { job, ended }),
            // What has ended has ended: nobody else would be told.
            Err(error) if !ended.is_empty() => {
                tracing::warn!(%error, "no job can be taken");
                Ok(Claimed { job: None, ended })
            }
            Err(error) => Err(error),
        }
    }

    async fn renew(
        &self,
        fence: &Fence,
        until: i64,
        progress: Option<&JobProgress>,
    ) -> Result<Renewal, QueueError> {
        let mut set = doc! {"leaseUntil": date(self.time.there(until))};
        if let Some(progress) = progress {
            set.insert("progress", json(progress)?);
        }
        match self.change(held(fence), doc! {"$set": set}).await? {
            Some(job) => Ok(Renewal {
                cancel: flag(&job, "cancelRequested"),
            }),
            None => Err(QueueError::LeaseLost(fence.id.clone())),
        }
    }

    async fn settle(
        &self,
        fence: &Fence,
        settlement: Settlement,
        now: i64,
    ) -> Result<JobState, QueueError> {
        let now = self.time.there(now);
        let (mut filter, mut unwanted) = (held(fence), held(fence));
        filter.insert("cancelRequested", false);
        unwanted.insert("cancelRequested", true);
        let mut change = ending(&End::of(&settlement)?, now, &self.time);
        let mut pending = None;
        if let Settlement::Done { file, then, .. } = &settlement {
            let mut rest = Document::new();
            if let Some(file) = file {
                rest.insert("file", record(file)?);
            }
            let mut jobs = Vec::new();
            for job in then {
                jobs.push(document(job, now, self.time.there(job.run_at))?);
            }
            if file.is_some() || !jobs.is_empty() {
                rest.insert("since", date(now));
                rest.insert("then", jobs);
                let set = change.entry("$set".to_owned()).or_insert(Bson::Null);
                if let Bson::Document(set) = set {
                    set.insert("pending", rest.clone());
                    set.insert("hasFile", file.is_some());
                }
                pending = Some(rest);
            }
        }
        if let Settlement::Failed(_) = settlement
            && let Some(job) = self.find(held(fence)).await?
            && let Some(rest) = notice(&job, now)?
        {
            if let Some(Bson::Document(set)) = change.get_mut("$set") {
                set.insert("pending", rest.clone());
            }
            pending = Some(rest);
        }
        let state = End::of(&settlement)?.state;
        if self.change(filter, change).await?.is_some() {
            if let Some(pending) = &pending {
                self.fulfil(&fence.id.0, pending).await?;
            }
            return Ok(state);
        }
        // Who asked to stop it was told that it will: nothing else may become of it.
        let cancelled = ending(&End::of(&Settlement::Cancelled)?, now, &self.time);
        if self.change(unwanted, cancelled).await?.is_some() {
            return Ok(JobState::Cancelled);
        }
        // The end may have been written by an attempt of which only the answer was lost.
        let ours = doc! {
            "_id": &fence.id.0, "epoch": fence.epoch.cast_signed(), "state": state.name(),
            "pending.since": {"$exists": true},
        };
        if let Some(job) = self.find(ours).await?
            && let Ok(pending) = job.get_document("pending")
        {
            self.fulfil(&fence.id.0, pending).await?;
            return Ok(state);
        }
        Err(QueueError::LeaseLost(fence.id.clone()))
    }

    async fn cancel(&self, id: &JobId, now: i64) -> Result<Option<CancelOutcome>, QueueError> {
        let now = date(self.time.there(now));
        let of = |state: JobState| doc! {"_id": &id.0, "state": state.name()};
        for _ in 0..RACES {
            let waiting = doc! {
                "$set": {"state": JobState::Cancelled.name(), "cancelRequested": true, "endedAt": now},
                "$unset": no_longer_open(),
            };
            if self.change(of(JobState::Queued), waiting).await?.is_some() {
                return Ok(Some(CancelOutcome::Cancelled));
            }
            // It is not the one that is asked for again.
            let running = doc! {"$set": {"cancelRequested": true}, "$unset": {"same": ""}};
            if self.change(of(JobState::Running), running).await?.is_some() {
                return Ok(Some(CancelOutcome::Requested));
            }
            match self.job(id).await? {
                None => return Ok(None),
                Some(job) if job.state.is_ended() => {
                    return Ok(Some(CancelOutcome::Ended(job.state)));
                }
                Some(_) => {}
            }
        }
        Err(overrun())
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, QueueError> {
        let found: Vec<_> = self.find(doc! {"_id": &id.0}).await?.into_iter().collect();
        Ok(self.told(&found).await.pop())
    }

    async fn jobs(&self, filter: &JobFilter<'_>) -> Result<(Vec<Job>, u64), QueueError> {
        let mut wanted = doc! {"owner": &filter.owner.0, "kind": filter.kind};
        if let Some(rid) = filter.rid {
            wanted.insert("rid", rid);
        }
        let question = self.jobs.count_documents(wanted.clone());
        let total = self
            .database
            .ask(COLLECTION, async { question.await })
            .await?;
        // To a server no limit at all is a limit of none.
        if filter.count == 0 || filter.offset >= total {
            return Ok((Vec::new(), total));
        }
        let order = if filter.oldest_first { 1 } else { -1 };
        let question = self
            .jobs
            .find(wanted)
            .sort(doc! {"createdAt": order, "_id": order})
            .skip(filter.offset)
            .limit(filter.count.min(total).try_into().unwrap_or(i64::MAX));
        let page = self.page(question).await?;
        Ok((self.told(&page).await, total))
    }

    async fn remove(&self, id: &JobId) -> Result<bool, QueueError> {
        let ended = doc! {"_id": &id.0, "state": {"$in": ended_states()}};
        let question = self.jobs.find_one_and_delete(ended);
        let removed = self
            .database
            .ask(COLLECTION, async { question.await })
            .await?;
        // Who is writing it at this moment finds that the job is gone, and takes it back as well.
        if let Some(job) = &removed
            && let Ok(pending) = job.get_document("pending")
        {
            self.revoke(&id.0, pending).await?;
        }
        Ok(removed.is_some())
    }

    async fn forget(&self, instant: i64, limit: u32) -> Result<u64, QueueError> {
        let old = doc! {
            "hasFile": false, "endedAt": {"$lt": date(self.time.there(instant))},
            "state": {"$in": ended_states()}, "pending.since": {"$exists": false},
        };
        let found = self.all(old.clone(), doc! {}, limit.into()).await?;
        let ids: Vec<_> = found.iter().filter_map(|job| job.get("_id")).collect();
        let mut these = doc! {"_id": {"$in": ids}};
        these.extend(old);
        let question = self.jobs.delete_many(these);
        let forgotten = self
            .database
            .ask(COLLECTION, async { question.await })
            .await?;
        Ok(forgotten.deleted_count)
    }

    async fn begin_sweep(
        &self,
        now: i64,
        every: Duration,
    ) -> Result<Option<SweepTurn>, QueueError> {
        self.time.look(&self.database).await?;
        let now = self.time.there(now);
        let recent = date(now.saturating_sub(millis(every)));
        // One that begins later than now was begun before the clock was set back.
        let free = doc! {
            "_id": SWEEP, "$or": [{"began": {"$lte": recent}}, {"began": {"$gt": date(now)}}],
        };
        let question = self
            .jobs
            .find_one_and_update(free, doc! {"$set": {"began": date(now)}})
            .upsert(true)
            .return_document(ReturnDocument::After);
        let begun = self
            .database
            .ask_unless_taken(COLLECTION, async { question.await })
            .await?;
        Ok(begun.flatten().map(|sweep| SweepTurn {
            began: now,
            since: instant(&sweep, "since").unwrap_or(i64::MIN),
        }))
    }

    async fn end_sweep(&self, turn: SweepTurn) -> Result<(), QueueError> {
        let since = doc! {"$max": {"since": date(turn.began)}};
        self.change(doc! {"_id": SWEEP}, since).await?;
        Ok(())
    }

    async fn untidy(
        &self,
        since: i64,
        after: Option<&Job>,
        limit: u32,
    ) -> Result<Vec<Job>, QueueError> {
        let (at, id) = last_of(since, after);
        let later = [
            doc! {"endedAt": {"$gt": date(at)}},
            doc! {"endedAt": date(at), "_id": {"$gt": id}},
        ];
        let untidy = [
            doc! {"epoch": {"$gt": 1_i64}},
            doc! {"epoch": 1_i64, "hasFile": false},
        ];
        // Only what has ended has an end. Every field is in the index, so that no other job is looked at.
        let wanted = doc! {
            "kind": Work::FILE_EXPORT, "endedAt": {"$gte": date(at)},
            "$and": [{"$or": &later}, {"$or": &untidy}],
        };
        let order = doc! {"endedAt": 1, "_id": 1};
        let found = self.all(wanted, order, limit.into()).await?;
        Ok(found.iter().map(job_of).collect())
    }

    async fn ready(&self) -> Result<(), QueueError> {
        self.find(doc! {"_id": SWEEP}).await?;
        Ok(())
    }

    async fn check(&self) -> Result<(), QueueError> {
        let records = self.database.durable(USER_DATA_FILES);
        let probe = doc! {"_id": PROBE};
        for (name, collection) in [(COLLECTION, &self.jobs), (USER_DATA_FILES, &records)] {
            // One that was left behind is as good.
            let written = collection.insert_one(&probe);
            self.database
                .ask_unless_taken(name, async { written.await })
                .await?;
            if name == COLLECTION {
                let changed = collection.update_one(probe.clone(), doc! {"$set": {"epoch": 0_i64}});
                self.database.ask(name, async { changed.await }).await?;
            }
            let removed = collection.delete_one(probe.clone());
            self.database.ask(name, async { removed.await }).await?;
        }
        Ok(())
    }

    async fn counts(&self) -> Result<Vec<(String, JobState, u64)>, QueueError> {
        let all: Vec<_> = JobState::ALL.into_iter().map(JobState::name).collect();
        // Named, so that the index on them has the answer and no job is looked at.
        let stages = [
            doc! {"$match": {"state": {"$in": all}}},
            doc! {"$group": {"_id": {"kind": "$kind", "state": "$state"}, "count": {"$sum": 1}}},
        ];
        let question = self.jobs.aggregate(stages);
        let read = async {
            let mut cursor = question.await?;
            let mut counts = Vec::new();
            while cursor.advance().await? {
                counts.push(cursor.deserialize_current()?);
            }
            Ok(counts)
        };
        let counts = self.database.ask(COLLECTION, read).await?;
        let count_of = |group: &Document| {
            let of = group.get_document("_id").ok()?;
            let state = JobState::of_name(of.get_str("state").ok()?)?;
            let count = u64::try_from(number(group, "count")).ok()?;
            Some((text(of, "kind")?, state, count))
        };
        Ok(counts.iter().filter_map(count_of).collect())
    }
}

/// The job while this claim of it is the newest.
fn held(fence: &Fence) -> Document {
    doc! {
        "_id": &fence.id.0, "epoch": fence.epoch.cast_signed(), "state": JobState::Running.name(),
    }
}

/// The change that ends a claim.
fn ending(end: &End, now: i64, time: &ServerTime) -> Document {
    let mut set = doc! {"state": end.state.name(), "hasFile": false};
    let mut unset = doc! {"worker": "", "leaseUntil": "", "seat": ""};
    if end.state.is_ended() {
        set.insert("endedAt", date(now));
        unset = no_longer_open();
    }
    if let Some(at) = end.run_at {
        set.insert("runAt", date(time.there(at)));
    }
    match &end.outcome {
        Some(outcome) => set.insert("outcome", outcome),
        None => unset.insert("outcome", ""),
    };
    if let Some(error) = &end.error {
        set.insert("error", error);
    }
    if end.state == JobState::Done {
        unset.extend(doc! {"progress": "", "error": ""});
    }
    let mut change = doc! {"$set": set, "$unset": unset};
    if end.given_back > 0 {
        change.insert("$inc", doc! {"attempt": -i64::from(end.given_back)});
    }
    change
}

/// What time it is to the server. Leases are compared across machines, whose clocks differ; the server has one clock for
/// all of them. Differences of less than a second, which every answer takes, are none.
#[derive(Debug, Default)]
struct ServerTime {
    ahead: AtomicI64,
    looked: Mutex<Option<Instant>>,
}

impl ServerTime {
    /// How long a difference counts: so soon another server's clock is known after an election.
    const FRESH: Duration = Duration::from_mins(1);
    const NONE: i64 = 1000;

    /// Asks the server, unless it was asked a moment ago.
    async fn look(&self, database: &MongoDatabase) -> Result<(), StoreError> {
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.is_some_and(|looked| looked.elapsed() < Self::FRESH) {
                return Ok(());
            }
            *looked = Some(Instant::now());
        }
        let ahead = database.clock_ahead(Clock::System).await?;
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        if ahead.abs() >= Self::NONE && before.abs() < Self::NONE {
            tracing::warn!(
                milliseconds = ahead,
                "the database's clock is ahead of this machine's; leases follow the database's"
            );
        }
        Ok(())
    }

    /// An instant of ours on the server's clock.
    fn there(&self, instant: i64) -> i64 {
        let ahead = self.ahead.load(Ordering::Relaxed);
        if ahead.abs() < Self::NONE {
            return instant;
        }
        instant.saturating_add(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_by_more_than_an_answer_takes_are_compared() {
        let time = ServerTime::default();
        for (ahead, there) in [(0, 5), (999, 5), (-999, 5), (90_000, 90_005), (-1000, -995)] {
            time.ahead.store(ahead, Ordering::Relaxed);
            assert_eq!(time.there(5), there, "{ahead}");
            assert_eq!(time.there(i64::MAX), i64::MAX.saturating_add(there - 5));
        }
    }

    #[test]
    fn the_smallest_number_that_nobody_has_is_taken() {
        for (taken, expected) in [(&[][..], 0), (&[0, 1, 3], 2), (&[1], 0)] {
            assert_eq!(first_free(&taken.iter().copied().collect()), expected);
        }
    }
}
