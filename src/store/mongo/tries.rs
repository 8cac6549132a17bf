//! How often what came to nothing is asked again, and how long is waited between.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::MongoDatabase;
use crate::store::StoreError;

/// How often a question is asked again at one place: together with the waits between, longer than elections and restarts
/// take.
const ATTEMPTS: u32 = 14;
/// No attempt at one place begins later than this after the first was lost, however long each of them took: a server that
/// accepts everything and says nothing must not hold a job for hours.
const GIVE_UP: Duration = Duration::from_mins(3);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A question that came to nothing.
pub(super) struct Lost {
    pub(super) error: StoreError,
    /// Whether asking again may help.
    pub(super) passing: bool,
}

impl Lost {
    pub(super) fn of(database: &MongoDatabase, what: &str, error: &mongodb::error::Error) -> Self {
        Self {
            passing: super::is_passing(error),
            error: database.failed(what, error),
        }
    }

    /// A server that is stuck is as good as one that is gone.
    pub(super) fn silent(database: &MongoDatabase, what: &str) -> Self {
        database.prefer_primary(what);
        Self {
            passing: true,
            error: database.silent(what),
        }
    }
}

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            passing: false,
        }
    }
}

/// The attempts at one place.
pub(super) struct Tries {
    count: u32,
    since: Option<Instant>,
    give_up: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self::during(GIVE_UP)
    }
}

impl Tries {
    /// Attempts that begin within this time after the first was lost.
    pub(super) fn during(give_up: Duration) -> Self {
        Self {
            count: 0,
            since: None,
            give_up,
        }
    }

    /// An attempt came to nothing: how long to wait before the next, or the error when there is none.
    pub(super) fn lost(&mut self, collection: &str, lost: Lost) -> Result<Duration, StoreError> {
        if !lost.passing {
            return Err(lost.error);
        }
        self.count += 1;
        crate::telemetry::question_lost();
        let attempt = self.count;
        let since = *self.since.get_or_insert_with(Instant::now);
        if attempt > ATTEMPTS || since.elapsed() > self.give_up {
            tracing::warn!(
                collection,
                attempt,
                "a question that the database lost is given up"
            );
            return Err(lost.error);
        }
        let error = crate::words::chain(&lost.error);
        tracing::warn!(
            collection,
            attempt,
            error,
            "a question that the database lost is asked again"
        );
        let longest = FIRST_WAIT
            .saturating_mul(1 << attempt.min(16))
            .min(LONGEST_WAIT);
        Ok(longest.mul_f64(rand::rng().random_range(0.5..=1.0)))
    }
}
