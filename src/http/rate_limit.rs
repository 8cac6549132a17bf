//! How often a client may call a route (contract §1.7).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, Method};

use super::Http;
use super::call::Call;
use super::error::ApiError;
use crate::network;
use crate::store::directory::User;

const ENABLED: &str = "API_Enable_Rate_Limiter";
const CALLS: &str = "API_Enable_Rate_Limiter_Limit_Calls_Default";
const INTERVAL: &str = "API_Enable_Rate_Limiter_Limit_Time_Default";
const BYPASS: &str = "api-bypass-rate-limit";
/// Rocket.Chat's default of calls in an interval.
const DEFAULT_CALLS: u32 = 10;
/// Rocket.Chat's default interval in milliseconds.
const DEFAULT_INTERVAL: u32 = 60_000;
/// Clients and routes that are remembered, about 10 MB. When so many have called within their intervals, further
/// ones are answered without being counted: refusing them would let one crowd lock everybody out.
const KEYS: usize = 100_000;
/// How often a full table is searched for what can be forgotten, in milliseconds: the search looks at all of it.
const SWEEP: i64 = 1_000;

/// How many of Rocket.Chat's default calls a route answers in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// As many as any route.
    Usual,
    /// Ten times as many: asking again is what these routes are for, and they cost little.
    Polling,
}

impl Allowance {
    fn of(self, calls: u32) -> u32 {
        match self {
            Self::Usual => calls,
            Self::Polling => calls.saturating_mul(10),
        }
    }
}

/// What is left after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls in an interval.
    pub limit: u32,
    /// Calls left in this one.
    pub remaining: u32,
    /// When the next one begins, milliseconds since 1970.
    pub reset: i64,
}

impl Quota {
    /// Says it in an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert("x-ratelimit-limit", self.limit.into());
        headers.insert("x-ratelimit-remaining", self.remaining.into());
        headers.insert("x-ratelimit-reset", self.reset.into());
    }
}

/// Counts calls, in memory: a restart forgets them, and each process counts for itself, as in Rocket.Chat.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    windows: HashMap<Key, Window>,
    swept: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The client's network.
    client: IpAddr,
    route: String,
    method: Method,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    calls: u32,
    ends: i64,
}

impl RateLimiter {
    /// Counts a call at `now`: what is left, and whether the call is one of those that are answered. `None` when the
    /// table is full.
    fn count(&self, key: Key, limit: u32, interval: i64, now: i64) -> Option<(Quota, bool)> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.windows.len() >= KEYS && !table.windows.contains_key(&key) {
            if now - table.swept >= SWEEP {
                table.swept = now;
                table.windows.retain(|_, window| window.ends > now);
            }
            if table.windows.len() >= KEYS {
                return None;
            }
        }
        let fresh = Window {
            calls: 0,
            ends: now.saturating_add(interval),
        };
        let window = table.windows.entry(key).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window.calls = window.calls.saturating_add(1);
        let quota = Quota {
            limit,
            remaining: limit.saturating_sub(window.calls),
            reset: window.ends,
        };
        Some((quota, window.calls <= limit))
    }
}

impl Http {
    /// Counts a call, unless nobody counts or this user is not counted. An error when there were too many.
    pub async fn admit(
        &self,
        call: &Call,
        user: Option<&User>,
        allowance: Allowance,
    ) -> Result<(), ApiError> {
        let config = &self.service.config.rate_limit;
        let settings = self.service.directory.settings(&[ENABLED, CALLS, INTERVAL]);
        let settings = settings.await?;
        if !config.enabled.or(settings.truth(ENABLED)).unwrap_or(true) {
            return Ok(());
        }
        if let Some(user) = user
            && self.access.has_permission(user, BYPASS, None).await?
        {
            return Ok(());
        }
        let positive = |id| {
            let value = u32::try_from(settings.integer(id)?).ok();
            value.filter(|value| *value > 0)
        };
        let calls = config.calls.or_else(|| positive(CALLS));
        let interval = config.interval_ms.or_else(|| positive(INTERVAL));
        let key = Key {
            client: network::of(call.client),
            route: call.route.clone(),
            method: call.method.clone(),
        };
        let now = self.service.clock.now();
        let counted = self.rate_limiter.count(
            key,
            allowance.of(calls.unwrap_or(DEFAULT_CALLS)),
            interval.unwrap_or(DEFAULT_INTERVAL).into(),
            now,
        );
        let Some((quota, admitted)) = counted else {
            return Ok(());
        };
        // Only the first count of a call is told; there is one.
        let _ = call.quota.set(quota);
        if admitted {
            return Ok(());
        }
        let wait = u64::try_from(quota.reset - now).unwrap_or(0);
        Err(ApiError::TooManyRequests {
            wait: wait.div_ceil(1000),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key {
            client: IpAddr::from(number.to_be_bytes()),
            route: "/x".to_owned(),
            method: Method::GET,
        }
    }

    #[test]
    fn calls_are_counted_until_their_interval_ends() {
        let limiter = RateLimiter::default();
        for (now, remaining, reset, admitted) in [
            (1000, 1, 2000, true),
            (1500, 0, 2000, true),
            (1999, 0, 2000, false),
            (2000, 1, 3000, true),
        ] {
            let quota = Quota {
                limit: 2,
                remaining,
                reset,
            };
            assert_eq!(limiter.count(key(1), 2, 1000, now), Some((quota, admitted)));
        }
        // Another address has its own.
        assert!(limiter.count(key(2), 2, 1000, 1999).unwrap().1);
    }

    #[test]
    fn a_full_table_does_not_grow_and_forgets_what_has_ended() {
        let limiter = RateLimiter::default();
        for number in 0..u32::try_from(KEYS).unwrap() {
            assert!(limiter.count(key(number), 1, 1000, 5000).is_some());
        }
        assert_eq!(limiter.count(key(u32::MAX), 1, 1000, 5500), None);
        // Who is in it stays counted.
        assert!(!limiter.count(key(7), 1, 1000, 5500).unwrap().1);
        assert!(limiter.count(key(u32::MAX), 1, 1000, 6500).is_some());
        assert_eq!(limiter.0.lock().unwrap().windows.len(), 1);
    }
}
