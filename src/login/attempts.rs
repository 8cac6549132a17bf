//! What is remembered of attempts to log in: failures of users and addresses, and codes that were used.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::Refusal;
use crate::network;
use crate::store::directory::{LoginName, Settings, UserId};

/// Names, users and addresses that are remembered, each; about 100 bytes each. Whoever failed longest ago is forgotten first.
const REMEMBERED: usize = 10_000;
const MILLIS_PER_MINUTE: i64 = 60_000;

/// When users and addresses are blocked (contract §3.2).
pub(super) struct Limits {
    user: Option<Limit>,
    address: Option<Limit>,
}

struct Limit {
    failures: u32,
    millis: i64,
}

impl Limits {
    /// The settings it is read from.
    pub(super) const SETTINGS: [&'static str; 7] = [
        "Block_Multiple_Failed_Logins_Enabled",
        "Block_Multiple_Failed_Logins_By_User",
        "Block_Multiple_Failed_Logins_By_Ip",
        "Block_Multiple_Failed_Logins_Attempts_Until_Block_by_User",
        "Block_Multiple_Failed_Logins_Time_To_Unblock_By_User_In_Minutes",
        "Block_Multiple_Failed_Logins_Attempts_Until_Block_By_Ip",
        "Block_Multiple_Failed_Logins_Time_To_Unblock_By_Ip_In_Minutes",
    ];

    /// As the workspace says, else as Rocket.Chat does by default.
    pub(super) fn of(settings: &Settings) -> Self {
        let [
            enabled,
            by_user,
            by_address,
            user,
            user_minutes,
            address,
            address_minutes,
        ] = Self::SETTINGS;
        let limit = |switch, failures, default, minutes| {
            let on = [enabled, switch]
                .iter()
                .all(|id| settings.truth(id).unwrap_or(true));
            let failures = settings.integer(failures).unwrap_or(default);
            let minutes = settings.integer(minutes).unwrap_or(5);
            let limit = Limit {
                failures: u32::try_from(failures).unwrap_or(0),
                millis: minutes.saturating_mul(MILLIS_PER_MINUTE),
            };
            Some(limit).filter(|limit| on && limit.failures > 0)
        };
        Self {
            user: limit(by_user, user, 10, user_minutes),
            address: limit(by_address, address, 50, address_minutes),
        }
    }
}

/// A name as somebody typed it, whoever it belongs to. Its hash: names are as long as their sender likes, and people type
/// passwords there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Typed([u8; 32]);

impl Typed {
    pub(super) fn of(name: &LoginName) -> Self {
        let (LoginName::Username(name) | LoginName::Email(name)) = name;
        Self(Sha256::digest(name.to_lowercase()).into())
    }
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Attempts {
    names: Remembered<Typed, u32>,
    users: Remembered<UserId, u32>,
    /// By their networks.
    addresses: Remembered<IpAddr, u32>,
    /// The last period of each user whose code was used.
    codes: Remembered<UserId, u64>,
}

impl Attempts {
    /// Counts an attempt as failed, until it is known to be none. Attempts while blocked do not make the block longer.
    pub(super) fn begin(
        &mut self,
        address: IpAddr,
        name: Option<&Typed>,
        limits: &Limits,
        now: i64,
    ) -> Result<(), Refusal> {
        let address = network::of(address);
        if self
            .addresses
            .is_blocked(&address, limits.address.as_ref(), now)
        {
            return Err(Refusal::AddressBlocked);
        }
        if let Some(name) = name {
            if self.names.is_blocked(name, limits.user.as_ref(), now) {
                return Err(Refusal::UserBlocked);
            }
            self.names.count(name, now);
        }
        self.addresses.count(&address, now);
        Ok(())
    }

    /// Counts the attempt for the user whom the name belongs to: whether his password may be looked at. Several names of
    /// one user are no further attempts, and nobody is told that they are of one user.
    pub(super) fn may_try(&mut self, user: &UserId, limits: &Limits, now: i64) -> bool {
        let blocked = self.users.is_blocked(user, limits.user.as_ref(), now);
        if !blocked {
            self.users.count(user, now);
        }
        !blocked
    }

    /// The attempt was none: the proof was right.
    pub(super) fn take_back(&mut self, address: IpAddr, account: Option<(&Typed, &UserId)>) {
        self.addresses.uncount(&network::of(address));
        if let Some((name, user)) = account {
            self.names.uncount(name);
            self.users.uncount(user);
        }
    }

    /// The user is logged in: what failed before is forgotten. The address keeps its other failures, or somebody with one
    /// account could guess at all others.
    pub(super) fn succeed(&mut self, address: IpAddr, name: &Typed, user: &UserId) {
        self.addresses.uncount(&network::of(address));
        self.names.entries.remove(name);
        self.users.entries.remove(user);
    }

    /// Uses the code of a period, unless it or a later one was used before (RFC 6238 §5.2).
    pub(super) fn spend(&mut self, user: &UserId, period: u64) -> bool {
        let fresh = self
            .codes
            .entries
            .get(user)
            .is_none_or(|(_, last)| *last < period);
        if fresh {
            let at = i64::try_from(period).unwrap_or(i64::MAX);
            self.codes.put(user, at, period);
        }
        fresh
    }
}

/// A map of bounded size, with the instant of each value.
struct Remembered<K, V> {
    entries: HashMap<K, (i64, V)>,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Remembered<K, V> {
    fn put(&mut self, key: &K, at: i64, value: V) {
        if self.entries.len() >= REMEMBERED && !self.entries.contains_key(key) {
            let oldest = self.entries.iter().min_by_key(|(_, (at, _))| *at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key.clone(), (at, value));
    }
}

impl<K: Clone + Eq + Hash> Remembered<K, u32> {
    /// Blocked for a while after the last failure; after that all is forgotten.
    fn is_blocked(&mut self, key: &K, limit: Option<&Limit>, now: i64) -> bool {
        let (Some(limit), Some(&(last, failures))) = (limit, self.entries.get(key)) else {
            return false;
        };
        if now >= last.saturating_add(limit.millis) {
            self.entries.remove(key);
            return false;
        }
        failures >= limit.failures
    }

    fn count(&mut self, key: &K, now: i64) {
        let before = self.entries.get(key).map_or(0, |(_, failures)| *failures);
        self.put(key, now, before.saturating_add(1));
    }

    fn uncount(&mut self, key: &K) {
        if let Some((_, failures)) = self.entries.get_mut(key) {
            *failures = failures.saturating_sub(1);
            if *failures == 0 {
                self.entries.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::Bson;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn limits(settings: &[(&str, Bson)]) -> Limits {
        let settings = settings
            .iter()
            .map(|(id, value)| ((*id).to_owned(), value.clone()));
        Limits::of(&Settings(settings.collect()))
    }

    #[test]
    fn settings_say_when_somebody_is_blocked() {
        let [
            enabled,
            by_user,
            by_address,
            user,
            user_minutes,
            address,
            minutes,
        ] = Limits::SETTINGS;
        let user_limit = |limits: Limits| limits.user.map(|limit| (limit.failures, limit.millis));
        let address_limit =
            |limits: Limits| limits.address.map(|limit| (limit.failures, limit.millis));
        assert_eq!(user_limit(limits(&[])), Some((10, 300_000)));
        assert_eq!(address_limit(limits(&[])), Some((50, 300_000)));
        assert_eq!(user_limit(limits(&[(enabled, false.into())])), None);
        assert_eq!(address_limit(limits(&[(enabled, false.into())])), None);
        assert_eq!(user_limit(limits(&[(by_user, false.into())])), None);
        assert_eq!(address_limit(limits(&[(by_address, false.into())])), None);
        assert_eq!(user_limit(limits(&[(user, 0.into())])), None);
        assert_eq!(
            user_limit(limits(&[(user, 3.into()), (user_minutes, 1.into())])),
            Some((3, 60_000))
        );
        assert_eq!(
            address_limit(limits(&[(address, 4.into()), (minutes, 2.into())])),
            Some((4, 120_000))
        );
    }

    fn typed(name: &str) -> Typed {
        Typed::of(&LoginName::Username(name.to_owned()))
    }

    fn id(user: &str) -> UserId {
        UserId(user.to_owned())
    }

    #[test]
    fn a_name_is_blocked_for_a_while_after_so_many_failures() {
        let limits = limits(&[]);
        let (alice, bob) = (typed("alice"), typed("bob"));
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            assert_eq!(attempts.begin(HOME, Some(&alice), &limits, 1000), Ok(()));
        }
        let blocked = Err(Refusal::UserBlocked);
        assert_eq!(attempts.begin(HOME, Some(&alice), &limits, 1000), blocked);
        assert_eq!(
            attempts.begin(HOME, Some(&typed("Alice")), &limits, 300_999),
            blocked
        );
        assert_eq!(attempts.begin(HOME, Some(&bob), &limits, 1000), Ok(()));
        assert_eq!(attempts.begin(HOME, Some(&alice), &limits, 301_000), Ok(()));
    }

    #[test]
    fn a_user_is_blocked_for_a_while_after_so_many_failures() {
        let limits = limits(&[]);
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            assert!(attempts.may_try(&id("alice"), &limits, 1000));
        }
        assert!(!attempts.may_try(&id("alice"), &limits, 1000));
        assert!(!attempts.may_try(&id("alice"), &limits, 300_999));
        assert!(attempts.may_try(&id("bob"), &limits, 1000));
        assert!(attempts.may_try(&id("alice"), &limits, 301_000));
    }

    #[test]
    fn success_forgets_a_users_failures_but_not_the_addresses() {
        let limits = limits(&[]);
        let mut attempts = Attempts::default();
        for name in 0..49 {
            let name = typed(&name.to_string());
            assert_eq!(attempts.begin(HOME, Some(&name), &limits, 0), Ok(()));
        }
        let one = typed("1");
        assert_eq!(attempts.begin(HOME, Some(&one), &limits, 0), Ok(()));
        assert!(attempts.may_try(&id("1"), &limits, 0));
        attempts.succeed(HOME, &one, &id("1"));
        assert!(!attempts.names.entries.contains_key(&one) && attempts.users.entries.is_empty());
        let (x, y) = (typed("x"), typed("y"));
        assert_eq!(attempts.begin(HOME, Some(&x), &limits, 0), Ok(()));
        assert_eq!(
            attempts.begin(HOME, Some(&y), &limits, 0),
            Err(Refusal::AddressBlocked)
        );
    }

    #[test]
    fn what_was_taken_back_does_not_count() {
        let limits = limits(&[]);
        let (name, user) = (typed("alice"), id("alice"));
        let mut attempts = Attempts::default();
        for _ in 0..100 {
            assert_eq!(attempts.begin(HOME, Some(&name), &limits, 0), Ok(()));
            assert!(attempts.may_try(&user, &limits, 0));
            attempts.take_back(HOME, Some((&name, &user)));
        }
        assert!(attempts.names.entries.is_empty() && attempts.addresses.entries.is_empty());
        assert!(attempts.users.entries.is_empty());
    }

    #[test]
    fn a_code_is_used_once() {
        let (alice, bob) = (id("alice"), id("bob"));
        let mut attempts = Attempts::default();
        assert!(attempts.spend(&alice, 100));
        assert!(!attempts.spend(&alice, 100));
        assert!(!attempts.spend(&alice, 99));
        assert!(attempts.spend(&bob, 99));
        assert!(attempts.spend(&alice, 101));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let limits = limits(&[("Block_Multiple_Failed_Logins_By_Ip", false.into())]);
        let mut attempts = Attempts::default();
        for now in 0..i64::try_from(REMEMBERED).unwrap() + 5 {
            let name = typed(&now.to_string());
            attempts.begin(HOME, Some(&name), &limits, now).unwrap();
        }
        assert_eq!(attempts.names.entries.len(), REMEMBERED);
        assert!(!attempts.names.entries.contains_key(&typed("4")));
        assert!(attempts.names.entries.contains_key(&typed("5")));
    }
}
