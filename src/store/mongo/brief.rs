//! What was looked up a moment ago: every request asks for the same few users, permissions and settings.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer counts: so long may a revoked token, a role that was taken away or an old setting still be used.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// Answers that are kept; a user's document is the largest of them.
const ENTRIES: usize = 256;

/// A small memory of answers.
pub(super) struct Brief<K, V> {
    /// When the question was asked, and the answer; none when what was answered before is not true any more.
    answers: Mutex<HashMap<K, (Instant, Option<V>)>>,
}

impl<K, V> Default for Brief<K, V> {
    fn default() -> Self {
        Self {
            answers: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash, V: Clone> Brief<K, V> {
    /// The answer, when it was given a moment ago.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = answers.get(key)?;
        answer.clone().filter(|_| now.duration_since(*at) < FRESH)
    }

    /// Keeps an answer to a question that was asked at `asked`, unless a later one is known.
    pub(super) fn put(&self, key: K, answer: V, asked: Instant) {
        self.keep(key, Some(answer), asked);
    }

    /// Forgets an answer that is not true any more. One that is on its way, to what was asked before `now`, is not kept
    /// either.
    pub(super) fn forget(&self, key: K, now: Instant) {
        self.keep(key, None, now);
    }

    fn keep(&self, key: K, answer: Option<V>, asked: Instant) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ENTRIES && !answers.contains_key(&key) {
            answers.retain(|_, (at, _)| asked.duration_since(*at) < FRESH);
            if answers.len() >= ENTRIES {
                answers.clear();
            }
        }
        let later = answers.get(&key).is_some_and(|(at, _)| *at > asked);
        if !later {
            answers.insert(key, (asked, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_for_a_moment_and_are_few() {
        let brief = Brief::default();
        let start = Instant::now();
        brief.put("a", 1, start);
        assert_eq!(brief.get(&"a", start + FRESH / 2), Some(1));
        assert_eq!(brief.get(&"a", start + FRESH), None);
        assert_eq!(brief.get(&"b", start), None);
        brief.put("a", 2, start);
        assert_eq!(brief.get(&"a", start), Some(2));
        brief.forget("a", start + FRESH / 2);
        assert_eq!(brief.get(&"a", start), None);
        brief.put("a", 3, start);
        assert_eq!(
            brief.get(&"a", start),
            None,
            "the answer to an earlier question"
        );
        brief.put("a", 4, start + FRESH / 2);
        assert_eq!(brief.get(&"a", start + FRESH / 2), Some(4));
        let many = Brief::default();
        for number in 0..10 * ENTRIES {
            many.put(number, number, start);
            assert!(many.answers.lock().unwrap().len() <= ENTRIES);
            assert_eq!(many.get(&number, start), Some(number));
        }
    }
}
