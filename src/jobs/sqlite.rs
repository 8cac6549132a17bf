//! The queue in the workspace file, so that the record of a file and the end of its job are written together.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{
    Connection, OptionalExtension, Row, ToSql, Transaction, TransactionBehavior, named_params,
    params,
};

use super::rows::{End, interrupted, json, last_of, millis, parsed};
use super::{
    CancelOutcome, Claim, Claimed, Enqueued, Fence, Job, JobFilter, JobId, JobProgress, JobQueue,
    JobState, NewJob, QueueError, Renewal, Settlement, SweepTurn, Work,
};
use crate::store::StoreError;
use crate::store::directory::UserId;
use crate::store::sqlite::turns::Turns;
use crate::store::sqlite::{put_user_data_file, schema};

/// The table of jobs. An index for each question, so that no question looks at all jobs that ever were:
///
/// - `job_same`: the equal request that waits or runs. One that is to stop is not the one that is asked for again.
/// - `job_open`: jobs of a user that wait or run.
/// - `job_due`: the next to begin.
/// - `job_running`: those that run: few, by the number of workers. Without the lease, whose every renewal would write
///   the index as well.
/// - `job_listed`, `job_listed_room`: a user's pages.
/// - `job_ended`: what can be forgotten.
/// - `job_counted`: counts without rows.
/// - `job_untidy`: exports that may have left something: few.
///
/// `sweep` is who swept when.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS job(id TEXT PRIMARY KEY, owner TEXT NOT NULL, rid TEXT, kind TEXT NOT NULL, work TEXT NOT NULL,
  same TEXT, state TEXT NOT NULL, attempt INTEGER NOT NULL, epoch INTEGER NOT NULL, created_at INTEGER NOT NULL,
  started_at INTEGER, ended_at INTEGER, run_at INTEGER NOT NULL, worker TEXT, lease_until INTEGER,
  cancel_requested INTEGER NOT NULL, has_file INTEGER NOT NULL, progress TEXT, outcome TEXT, error TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS job_same ON job(owner, same)
  WHERE same IS NOT NULL AND state IN ('queued', 'running') AND cancel_requested = 0;
CREATE INDEX IF NOT EXISTS job_open ON job(owner, kind) WHERE state IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS job_due ON job(kind, run_at, created_at, id) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS job_running ON job(owner, kind) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS job_listed ON job(owner, kind, created_at, id);
CREATE INDEX IF NOT EXISTS job_listed_room ON job(owner, rid, kind, created_at, id);
CREATE INDEX IF NOT EXISTS job_ended ON job(ended_at) WHERE has_file = 0 AND state IN ('done', 'failed', 'cancelled');
CREATE INDEX IF NOT EXISTS job_counted ON job(kind, state);
CREATE INDEX IF NOT EXISTS job_untidy ON job(kind, ended_at, id)
  WHERE state IN ('done', 'failed', 'cancelled') AND epoch > has_file;
CREATE TABLE IF NOT EXISTS sweep(one INTEGER PRIMARY KEY CHECK(one = 1), began INTEGER NOT NULL, since INTEGER NOT NULL);
";

/// What [`job_of`] reads.
const COLUMNS: &str = "id, owner, rid, kind, work, state, attempt, epoch, created_at, started_at, ended_at, run_at, \
    lease_until, cancel_requested, progress, outcome, error";

/// The queue of a workspace file. Several processes may have the same.
#[derive(Clone, Debug)]
pub struct SqliteQueue {
    writes: Turns,
    /// Who only looks does not wait for a write to reach the disk.
    reads: Turns,
}

impl SqliteQueue {
    /// Opens the queue of a workspace; makes its table when there is none. Blocks.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writes = schema::open_to_serve(path)?;
        writes.execute_batch(TABLE)?;
        let reads = schema::open_to_serve(path)?;
        Ok(Self {
            writes: Turns::new(writes),
            reads: Turns::new(reads),
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueueError> {
        Ok(self.reads.take(|connection| question(connection)).await?)
    }

    /// Runs `change` in one transaction that nobody else's comes between. What it refuses is rolled back.
    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let outcome = self.writes.take(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            match change(&transaction) {
                Ok(value) => {
                    transaction.commit()?;
                    Ok(Ok(value))
                }
                Err(refusal) => Ok(Err(refusal)),
            }
        });
        outcome.await?
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl ToSql for JobState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for JobState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::of_name(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

fn unsigned<T: TryFrom<i64> + Default>(number: i64) -> T {
    // We wrote it, and never below zero.
    T::try_from(number).unwrap_or_default()
}

fn job_of(row: &Row<'_>) -> rusqlite::Result<Job> {
    let kind: String = row.get("kind")?;
    let known = Work::KINDS.contains(&kind.as_str());
    Ok(Job {
        id: JobId(row.get("id")?),
        owner: UserId(row.get("owner")?),
        rid: row.get("rid")?,
        work: parsed(row.get("work")?).filter(|_| known),
        state: row.get("state")?,
        attempt: unsigned(row.get("attempt")?),
        created_at: row.get("created_at")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        run_at: row.get("run_at")?,
        epoch: unsigned(row.get("epoch")?),
        lease_until: row.get("lease_until")?,
        cancel_requested: row.get("cancel_requested")?,
        progress: parsed(row.get("progress")?),
        outcome: parsed(row.get("outcome")?),
        error: parsed(row.get("error")?),
    })
}

fn find(connection: &Connection, id: &JobId) -> rusqlite::Result<Option<Job>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM job WHERE id = ?1"))?
        .query_row([&id.0], job_of)
        .optional()
}

/// Writes a job down; one with the same id stays as it is.
fn insert(connection: &Connection, job: &NewJob, now: i64) -> Result<(), QueueError> {
    connection
        .prepare_cached(
            "INSERT INTO job(id, owner, rid, kind, work, same, state, attempt, epoch, created_at, run_at, \
             cancel_requested, has_file) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 'queued', 0, 0, ?7, ?8, 0, 0) \
             ON CONFLICT(id) DO NOTHING",
        )?
        .execute(params![
            job.id.0,
            job.owner.0,
            job.rid,
            job.work.kind(),
            json(&job.work)?,
            job.same,
            now,
            job.run_at,
        ])?;
    Ok(())
}

/// Ends the jobs whose worker died and that are not to be begun again.
fn end_abandoned(
    connection: &Connection,
    kinds: &str,
    now: i64,
    attempts: u32,
) -> Result<Vec<Job>, QueueError> {
    let error = json(&interrupted())?;
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE job INDEXED BY job_running SET state = iif(cancel_requested, 'cancelled', 'failed'), ended_at = :now, \
           error = iif(cancel_requested, error, :error), worker = NULL, lease_until = NULL \
         WHERE state = 'running' AND lease_until <= :now AND (cancel_requested OR attempt >= :attempts) \
           AND kind IN (SELECT value FROM json_each(:kinds)) RETURNING {COLUMNS}"
    ))?;
    let ended = statement.query_map(
        named_params! {
            ":now": now, ":error": error, ":attempts": attempts, ":kinds": kinds,
        },
        job_of,
    )?;
    let ended: Vec<Job> = ended.collect::<Result<_, _>>()?;
    for job in &ended {
        insert_notice(connection, job, now)?;
    }
    Ok(ended)
}

/// Writes down the mail about a job that has failed.
fn insert_notice(connection: &Connection, job: &Job, now: i64) -> Result<(), QueueError> {
    match job.notice(now) {
        Some(notice) if job.state == JobState::Failed => insert(connection, &notice, now),
        _ => Ok(()),
    }
}

/// The job to begin: queued and due, its owner below his limit, or one whose lease ran out; of these the one that
/// should have begun first. One whose lease ran out counts as running all the time, so that taking it over keeps the
/// limit.
const NEXT: &str = "
SELECT job.id FROM (
  SELECT (
    SELECT id FROM job INDEXED BY job_due
    WHERE state = 'queued' AND kind = wanted.value AND run_at <= :now
      AND owner NOT IN (SELECT value FROM json_each(:except))
      AND (kind <> :limited OR (SELECT count(*) FROM job AS other INDEXED BY job_running
        WHERE other.state = 'running' AND other.owner = job.owner AND other.kind = :limited) < :per_owner)
    ORDER BY run_at, created_at, id LIMIT 1) AS id
  FROM json_each(:kinds) AS wanted
  UNION ALL
  SELECT id FROM job INDEXED BY job_running
  WHERE state = 'running' AND lease_until <= :now AND kind IN (SELECT value FROM json_each(:kinds))
) AS candidate JOIN job ON job.id = candidate.id
ORDER BY job.run_at, job.created_at, job.id LIMIT 1";

#[async_trait]
impl JobQueue for SqliteQueue {
    async fn enqueue(&self, job: &NewJob, now: i64, waiting: u32) -> Result<Enqueued, QueueError> {
        let job = job.clone();
        self.write(move |transaction| {
            if let Some(same) = &job.same {
                let existing: Option<String> = transaction
                    .prepare_cached(
                        "SELECT id FROM job INDEXED BY job_same WHERE owner = ?1 AND same = ?2 \
                         AND state IN ('queued', 'running') AND cancel_requested = 0",
                    )?
                    .query_row(params![job.owner.0, same], |row| row.get(0))
                    .optional()?;
                if let Some(id) = existing {
                    return Ok(Enqueued {
                        id: JobId(id),
                        existing: true,
                    });
                }
            }
            let open: u32 = transaction
                .prepare_cached(
                    "SELECT count(*) FROM job INDEXED BY job_open WHERE owner = ?1 AND kind = ?2 \
                     AND state IN ('queued', 'running')",
                )?
                .query_row(params![job.owner.0, job.work.kind()], |row| row.get(0))?;
            if open >= waiting {
                return Err(QueueError::TooMany(open));
            }
            insert(transaction, &job, now)?;
            Ok(Enqueued {
                id: job.id,
                existing: false,
            })
        })
        .await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, QueueError> {
        let kinds = json(&claim.kinds)?;
        let worker = claim.worker.to_owned();
        let (now, until) = (claim.now, claim.until);
        let (per_owner, attempts) = (claim.per_owner, claim.attempts);
        let next = {
            let kinds = kinds.clone();
            let except: Vec<&str> = claim.except.iter().map(|owner| owner.0.as_str()).collect();
            let except = json(&except)?;
            move |connection: &Connection| -> rusqlite::Result<Option<String>> {
                connection
                    .prepare_cached(NEXT)?
                    .query_row(
                        named_params! {
                            ":now": now, ":kinds": kinds, ":limited": Work::FILE_EXPORT, ":per_owner": per_owner,
                            ":except": except,
                        },
                        |row| row.get(0),
                    )
                    .optional()
            }
        };
        // Idle workers look often; they must not keep others from writing.
        let look = next.clone();
        if self
            .read(move |connection| Ok(look(connection)?))
            .await?
            .is_none()
        {
            return Ok(Claimed::default());
        }
        self.write(move |transaction| {
            let ended = end_abandoned(transaction, &kinds, now, attempts)?;
            let Some(id) = next(transaction)? else {
                return Ok(Claimed { job: None, ended });
            };
            let job = transaction
                .prepare_cached(&format!(
                    "UPDATE job SET state = 'running', attempt = attempt + 1, epoch = epoch + 1, started_at = ?2, \
                     worker = ?3, lease_until = ?4, progress = NULL WHERE id = ?1 RETURNING {COLUMNS}"
                ))?
                .query_row(params![id, now, worker, until], job_of)?;
            let fence = Fence {
                id: job.id.clone(),
                epoch: job.epoch,
            };
            Ok(Claimed {
                job: Some((job, fence)),
                ended,
            })
        })
        .await
    }

    async fn renew(
        &self,
        fence: &Fence,
        until: i64,
        progress: Option<&JobProgress>,
    ) -> Result<Renewal, QueueError> {
        let progress = progress.map(json).transpose()?;
        let fence = fence.clone();
        self.write(move |transaction| {
            let cancel: Option<bool> = transaction
                .prepare_cached(
                    "UPDATE job SET lease_until = ?3, progress = coalesce(?4, progress) \
                     WHERE id = ?1 AND epoch = ?2 AND state = 'running' RETURNING cancel_requested",
                )?
                .query_row(
                    params![fence.id.0, fence.epoch.cast_signed(), until, progress],
                    |row| row.get(0),
                )
                .optional()?;
            match cancel {
                Some(cancel) => Ok(Renewal { cancel }),
                None => Err(QueueError::LeaseLost(fence.id)),
            }
        })
        .await
    }

    async fn settle(
        &self,
        fence: &Fence,
        settlement: Settlement,
        now: i64,
    ) -> Result<JobState, QueueError> {
        let fence = fence.clone();
        self.write(move |transaction| {
            let unwanted: Option<bool> = transaction
                .prepare_cached(
                    "SELECT cancel_requested FROM job WHERE id = ?1 AND epoch = ?2 AND state = 'running'",
                )?
                .query_row(params![fence.id.0, fence.epoch.cast_signed()], |row| row.get(0))
                .optional()?;
            // Who asked to stop it was told that it will: nothing else may become of it.
            let settlement = match unwanted {
                None => return Err(QueueError::LeaseLost(fence.id)),
                Some(true) => Settlement::Cancelled,
                Some(false) => settlement,
            };
            let end = End::of(&settlement)?;
            transaction
                .prepare_cached(
                    "UPDATE job SET state = :state, ended_at = iif(:state = 'queued', NULL, :now), \
                       run_at = coalesce(:run_at, run_at), attempt = attempt - :given_back, has_file = :has_file, \
                       progress = iif(:state = 'done', NULL, progress), outcome = :outcome, \
                       error = iif(:state = 'done', NULL, coalesce(:error, error)), worker = NULL, lease_until = NULL \
                     WHERE id = :id",
                )?
                .execute(named_params! {
                    ":id": fence.id.0, ":now": now, ":state": end.state,
                    ":run_at": end.run_at, ":given_back": end.given_back, ":outcome": end.outcome,
                    ":error": end.error,
                    ":has_file": matches!(settlement, Settlement::Done { file: Some(_), .. }),
                })?;
            if let Settlement::Done { file, then, .. } = &settlement {
                if let Some(file) = file {
                    put_user_data_file(transaction, file)?;
                }
                for job in then {
                    insert(transaction, job, now)?;
                }
            }
            if let Some(job) = find(transaction, &fence.id)? {
                insert_notice(transaction, &job, now)?;
            }
            Ok(end.state)
        })
        .await
    }

    async fn cancel(&self, id: &JobId, now: i64) -> Result<Option<CancelOutcome>, QueueError> {
        let id = id.clone();
        self.write(move |transaction| {
            let state: Option<JobState> = transaction
                .prepare_cached("SELECT state FROM job WHERE id = ?1")?
                .query_row([&id.0], |row| row.get(0))
                .optional()?;
            let Some(state) = state else {
                return Ok(None);
            };
            Ok(Some(match state {
                JobState::Queued => {
                    transaction
                        .prepare_cached("UPDATE job SET state = 'cancelled', cancel_requested = 1, ended_at = ?2 WHERE id = ?1")?
                        .execute(params![id.0, now])?;
                    CancelOutcome::Cancelled
                }
                JobState::Running => {
                    transaction
                        .prepare_cached("UPDATE job SET cancel_requested = 1 WHERE id = ?1")?
                        .execute([&id.0])?;
                    CancelOutcome::Requested
                }
                ended => CancelOutcome::Ended(ended),
            }))
        })
        .await
    }

    async fn job(&self, id: &JobId) -> Result<Option<Job>, QueueError> {
        let id = id.clone();
        self.read(move |connection| Ok(find(connection, &id)?))
            .await
    }

    async fn jobs(&self, filter: &JobFilter<'_>) -> Result<(Vec<Job>, u64), QueueError> {
        let (owner, kind) = (filter.owner.0.clone(), filter.kind.to_owned());
        let rid = filter.rid.map(str::to_owned);
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (offset, count) = (signed(filter.offset), signed(filter.count));
        let order = if filter.oldest_first { "ASC" } else { "DESC" };
        // Each is a question of its own, so that each has its index.
        let (from, room) = match &rid {
            Some(_) => ("job INDEXED BY job_listed_room", "rid = ?3"),
            None => ("job INDEXED BY job_listed", "?3 IS NULL"),
        };
        let from = format!("FROM {from} WHERE owner = ?1 AND kind = ?2 AND {room}");
        self.read(move |connection| {
            // One transaction, so that the page and the number are of one moment.
            let transaction = connection.unchecked_transaction()?;
            let total: i64 = transaction
                .prepare_cached(&format!("SELECT count(*) {from}"))?
                .query_row(params![owner, kind, rid], |row| row.get(0))?;
            let jobs = transaction
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} {from} ORDER BY created_at {order}, id {order} LIMIT ?4 OFFSET ?5"
                ))?
                .query_map(params![owner, kind, rid, count, offset], job_of)?
                .collect::<Result<_, _>>()?;
            Ok((jobs, unsigned(total)))
        })
        .await
    }

    async fn remove(&self, id: &JobId) -> Result<bool, QueueError> {
        let id = id.clone();
        self.write(move |transaction| {
            let removed = transaction
                .prepare_cached(
                    "DELETE FROM job WHERE id = ?1 AND state IN ('done', 'failed', 'cancelled')",
                )?
                .execute([&id.0])?;
            Ok(removed > 0)
        })
        .await
    }

    async fn forget(&self, instant: i64, limit: u32) -> Result<u64, QueueError> {
        self.write(move |transaction| {
            let forgotten = transaction
                .prepare_cached(
                    "DELETE FROM job WHERE rowid IN (SELECT rowid FROM job INDEXED BY job_ended \
                     WHERE has_file = 0 AND state IN ('done', 'failed', 'cancelled') AND ended_at < ?1 LIMIT ?2)",
                )?
                .execute(params![instant, limit])?;
            Ok(forgotten as u64)
        })
        .await
    }

    async fn begin_sweep(
        &self,
        now: i64,
        every: Duration,
    ) -> Result<Option<SweepTurn>, QueueError> {
        let recent = now.saturating_sub(millis(every));
        self.write(move |transaction| {
            // One that begins later than now was begun before the clock was set back.
            let since = transaction
                .prepare_cached(
                    "INSERT INTO sweep(one, began, since) VALUES(1, ?1, ?2) ON CONFLICT(one) DO UPDATE SET began = ?1 \
                     WHERE began <= ?3 OR began > ?1 RETURNING since",
                )?
                .query_row(params![now, i64::MIN, recent], |row| row.get(0))
                .optional()?;
            Ok(since.map(|since| SweepTurn { began: now, since }))
        })
        .await
    }

    async fn end_sweep(&self, turn: SweepTurn) -> Result<(), QueueError> {
        self.write(move |transaction| {
            transaction
                .prepare_cached("UPDATE sweep SET since = max(since, ?1)")?
                .execute([turn.began])?;
            Ok(())
        })
        .await
    }

    async fn untidy(
        &self,
        since: i64,
        after: Option<&Job>,
        limit: u32,
    ) -> Result<Vec<Job>, QueueError> {
        let (at, id) = last_of(since, after);
        self.read(move |connection| {
            let jobs = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM job INDEXED BY job_untidy WHERE kind = ?1 \
                     AND state IN ('done', 'failed', 'cancelled') AND epoch > has_file \
                     AND (ended_at, id) > (?2, ?3) ORDER BY ended_at, id LIMIT ?4"
                ))?
                .query_map(params![Work::FILE_EXPORT, at, id, limit], job_of)?
                .collect::<Result<_, _>>()?;
            Ok(jobs)
        })
        .await
    }

    async fn ready(&self) -> Result<(), QueueError> {
        self.job(&JobId(String::new())).await.map(drop)
    }

    async fn check(&self) -> Result<(), QueueError> {
        // Takes the lock for writing and finds nothing to forget: no job ended before time began.
        self.forget(i64::MIN, 1).await.map(drop)
    }

    async fn counts(&self) -> Result<Vec<(String, JobState, u64)>, QueueError> {
        self.read(|connection| {
            let counts = connection
                .prepare_cached("SELECT kind, state, count(*) FROM job INDEXED BY job_counted GROUP BY kind, state")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, unsigned(row.get(2)?))))?
                .collect::<Result<_, _>>()?;
            Ok(counts)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_for_the_next_job_does_not_look_at_those_that_ended() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLE).unwrap();
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {NEXT}"))
            .unwrap();
        let mut steps = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        // Due jobs by kind and time, running ones, and the candidates themselves.
        for step in &steps {
            let all = step.contains("job USING INDEX job_running") || !step.starts_with("SCAN job");
            assert!(all, "{steps:#?}");
        }
        for step in [
            "SEARCH job USING INDEX job_due (kind=? AND run_at<?)",
            "SEARCH other USING INDEX job_running (owner=? AND kind=?)",
        ] {
            assert!(
                steps
                    .iter()
                    .any(|found| found.replace("COVERING ", "") == step),
                "{steps:#?}"
            );
        }
    }
}
