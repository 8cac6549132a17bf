use std::collections::HashMap;

use async_trait::async_trait;
use bson::Bson;
use serde_json::{Value, json};

use super::*;
use crate::store::directory::{Email, LoginToken, Subscription, TeamKind, Totp, UserId};
use crate::store::{RawDoc, RoomId};

/// Secret of RFC 6238's test vectors, `12345678901234567890`, as workspaces keep it.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// Seconds since 1970 of one of them, whose code has the last six digits `081804`.
const THEN: i64 = 1_111_111_109;
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Users and settings, and the tokens that were added.
#[derive(Default)]
struct Fake {
    users: Vec<User>,
    settings: HashMap<String, Bson>,
    added: Mutex<Vec<(String, String, i64, usize)>>,
}

#[async_trait]
impl Directory for Fake {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        Ok(self.users.iter().find(|user| user.id == *id).cloned())
    }

    async fn token_owner(&self, hashed: &str) -> Result<Option<User>, StoreError> {
        let has = |user: &&User| user.tokens.iter().any(|token| token.hashed == hashed);
        Ok(self.users.iter().find(has).cloned())
    }

    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError> {
        let is = |user: &&User| match name {
            LoginName::Username(name) => user.username.as_ref() == Some(name),
            LoginName::Email(email) => user.emails.iter().any(|known| known.address == *email),
        };
        Ok(self.users.iter().find(is).cloned())
    }

    async fn add_login_token(
        &self,
        user: &UserId,
        hashed: &str,
        now: i64,
        keep: usize,
    ) -> Result<(), StoreError> {
        let added = (user.0.clone(), hashed.to_owned(), now, keep);
        self.added.lock().unwrap().push(added);
        Ok(())
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        let wanted = self.settings.iter();
        let wanted = wanted.filter(|(id, _)| ids.contains(&id.as_str()));
        Ok(Settings(
            wanted
                .map(|(id, value)| (id.clone(), value.clone()))
                .collect(),
        ))
    }

    async fn remove_login_token(&self, _: &UserId, _: &str) -> Result<(), StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn permission_roles(&self, _: &str) -> Result<Vec<String>, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn room(&self, _: &RoomId) -> Result<Option<RawDoc>, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn subscribed_rooms(
        &self,
        _: &UserId,
        _: Option<&RoomId>,
        _: usize,
    ) -> Result<Vec<RawDoc>, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn subscription(
        &self,
        _: &RoomId,
        _: &UserId,
    ) -> Result<Option<Subscription>, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn team(&self, _: &str) -> Result<Option<TeamKind>, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn is_team_member(&self, _: &str, _: &UserId) -> Result<bool, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
    async fn is_department_agent(&self, _: &str, _: &UserId) -> Result<bool, StoreError> {
        unreachable!("logging in asks for users and settings only")
    }
}

/// A user whose password is `abc`, kept at the lowest cost.
fn user(name: &str) -> User {
    let digest = PasswordDigest::of("abc");
    User {
        id: UserId(format!("id-of-{name}")),
        username: Some(name.to_owned()),
        name: None,
        emails: vec![Email {
            address: format!("{name}@x.test"),
            verified: false,
        }],
        kind: "user".to_owned(),
        active: true,
        roles: vec!["user".to_owned()],
        language: None,
        utc_offset: None,
        tokens: Vec::new(),
        password: Some(bcrypt::hash(digest.hex(), 4).unwrap()),
        totp: None,
        email_two_factor: false,
        doc: RawDoc(Vec::new()),
    }
}

fn with(mut user: User, change: impl FnOnce(&mut User)) -> User {
    change(&mut user);
    user
}

fn fake(users: Vec<User>, settings: &[(&str, Bson)]) -> Arc<Fake> {
    let settings = settings
        .iter()
        .map(|(id, value)| ((*id).to_owned(), value.clone()));
    Arc::new(Fake {
        users,
        settings: settings.collect(),
        added: Mutex::default(),
    })
}

fn logins(directory: &Arc<Fake>, seconds: i64) -> Logins {
    let directory = Arc::clone(directory) as Arc<dyn Directory>;
    Logins::new(directory, Clock::Fixed(seconds * 1000), None)
}

/// What a login comes to: the user's id, or the code of what is wrong.
async fn outcome(logins: &Logins, body: Value) -> String {
    let request = LoginRequest::read(body.as_object().unwrap(), None);
    let request = request.expect("the shape of a login");
    match logins.log_in(request, HOME).await {
        Ok(found) => found.user.id.0,
        Err(LoginError::Refused(refusal)) => refusal.code().to_owned(),
        Err(other) => other.to_string(),
    }
}

fn password(name: &str, password: &str) -> Value {
    json!({"user": name, "password": password})
}

#[tokio::test]
async fn a_password_gives_a_token_whose_hash_is_stored() {
    let directory = fake(vec![user("alice")], &[]);
    let logins = logins(&directory, THEN);
    for name in ["alice", "alice@x.test"] {
        let request = password(name, "abc");
        let request = LoginRequest::read(request.as_object().unwrap(), None).unwrap();
        let found = logins.log_in(request, HOME).await;
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.token.len(), 43);
        let added = directory.added.lock().unwrap().pop();
        let hash = tokens::hash(&found.token);
        assert_eq!(
            added,
            Some(("id-of-alice".to_owned(), hash, THEN * 1000, 50))
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_its_order() {
    let app = |user: &mut User| "app".clone_into(&mut user.kind);
    let inactive = |user: &mut User| user.active = false;
    let no_roles = |user: &mut User| user.roles.clear();
    let admin = |user: &mut User| user.roles = vec!["admin".to_owned()];
    let verified = |user: &mut User| user.emails[0].verified = true;
    let totp = |user: &mut User| {
        user.totp = Some(Totp {
            secret: SECRET.to_owned(),
        });
    };
    let users = vec![
        user("alice"),
        with(user("no-password"), |user| user.password = None),
        with(user("argon"), |user| {
            user.password = Some("$argon2id$v=19$m=4096".to_owned());
        }),
        with(user("costly"), |user| {
            user.password = Some(format!("$2b$31${}", "a".repeat(53)));
        }),
        with(user("app"), |user| {
            app(user);
            inactive(user);
        }),
        with(user("inactive"), |user| {
            inactive(user);
            no_roles(user);
        }),
        with(user("no-roles"), |user| {
            no_roles(user);
            totp(user);
        }),
        with(user("unverified"), totp),
        with(user("admin"), admin),
        with(user("verified"), |user| {
            verified(user);
            totp(user);
        }),
        with(user("mailed"), |user| {
            verified(user);
            user.email_two_factor = true;
        }),
    ];
    let directory = fake(users, &[(EMAIL_VERIFICATION, true.into())]);
    let logins = logins(&directory, THEN);
    for (name, given, expected) in [
        ("alice", "wrong", "Unauthorized"),
        ("nobody", "abc", "Unauthorized"),
        ("nobody@x.test", "abc", "Unauthorized"),
        ("no-password", "abc", "Unauthorized"),
        ("argon", "abc", "Unauthorized"),
        ("costly", "abc", "Unauthorized"),
        ("app", "wrong", "Unauthorized"),
        ("app", "abc", "error-app-user-is-not-allowed-to-login"),
        ("inactive", "abc", "error-user-is-not-activated"),
        ("no-roles", "abc", "error-user-has-no-roles"),
        ("alice", "abc", "error-invalid-email"),
        ("unverified", "abc", "error-invalid-email"),
        ("admin", "abc", "id-of-admin"),
        ("verified", "abc", "totp-required"),
        ("mailed", "abc", "totp-required"),
    ] {
        assert_eq!(
            outcome(&logins, password(name, given)).await,
            expected,
            "{name} {given}"
        );
    }
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_works_once() {
    let totp = Totp {
        secret: "gezd gnbv gy3t qojq gezd gnbv gy3t qojq".to_owned(),
    };
    let alice = with(user("alice"), |user| user.totp = Some(totp));
    let directory = fake(vec![alice], &[]);
    let logins = logins(&directory, THEN);
    let with_code = |code: &str| json!({"user": "alice", "password": "abc", "code": code});
    for (code, expected) in [
        ("", "totp-required"),
        ("000000", "totp-invalid"),
        ("nonsense", "totp-invalid"),
        ("081804", "id-of-alice"),
        ("081804", "totp-invalid"),
        // RFC 6238, appendix B: the code of 1111111111, one period later.
        ("050471", "id-of-alice"),
    ] {
        assert_eq!(outcome(&logins, with_code(code)).await, expected, "{code}");
    }
}

#[test]
fn codes_around_the_present_one_are_accepted_as_far_as_the_setting_says() {
    let period = |code, seconds, around| matching_period(SECRET, code, seconds, around);
    let then = THEN.unsigned_abs();
    assert_eq!(period("081804", then, 0), Some(then / 30));
    assert_eq!(period("081804", then + 30, 0), None);
    assert_eq!(period("081804", then + 30, 1), Some(then / 30));
    assert_eq!(period("081804", then - 30, 1), Some(then / 30));
    assert_eq!(period("081804", then + 60, 1), None);
    assert_eq!(period("81804", then, 1), None);
    assert_eq!(matching_period("", "081804", then, 1), None);
    assert_eq!(matching_period("!", "081804", then, 1), None);
}

#[tokio::test]
async fn tokens_log_in_as_long_as_they_live() {
    let day = 86_400_000;
    let now = THEN * 1000;
    let token = |token: &str, when, personal| LoginToken {
        hashed: tokens::hash(token),
        when,
        personal,
    };
    let tokens = vec![
        token("new", Some(now - 89 * day), false),
        token("old", Some(now - 91 * day), false),
        token("personal", None, true),
    ];
    let erin = vec![token("erins", Some(now), false)];
    let users = vec![
        // A token is proof enough: neither password nor code is asked for.
        with(user("alice"), |user| {
            user.tokens = tokens;
            user.email_two_factor = true;
        }),
        with(user("erin"), |user| {
            user.tokens = erin;
            user.active = false;
        }),
    ];
    let directory = fake(users, &[(LDAP, true.into())]);
    let logins = logins(&directory, THEN);
    for (token, expected) in [
        ("new", "id-of-alice"),
        ("personal", "id-of-alice"),
        ("old", "Unauthorized"),
        ("other", "Unauthorized"),
        ("", "Unauthorized"),
        ("erins", "error-user-is-not-activated"),
    ] {
        let outcome = outcome(&logins, json!({"resume": token})).await;
        assert_eq!(outcome, expected, "{token}");
    }
    assert!(directory.added.lock().unwrap().is_empty());
}

#[tokio::test]
async fn passwords_of_ldap_are_not_checked() {
    let directory = fake(vec![user("alice")], &[(LDAP, true.into())]);
    let logins = logins(&directory, THEN);
    let outcome = outcome(&logins, password("alice", "abc")).await;
    assert_eq!(outcome, "error-ldap-login-not-supported");
}

#[tokio::test]
async fn a_user_and_an_address_are_blocked_after_failures() {
    let by_user = "Block_Multiple_Failed_Logins_Attempts_Until_Block_by_User";
    let by_ip = "Block_Multiple_Failed_Logins_Attempts_Until_Block_By_Ip";
    let settings = [(by_user, 2.into()), (by_ip, 5.into())];
    let totp = Totp {
        secret: SECRET.to_owned(),
    };
    let users = vec![
        user("alice"),
        user("bob"),
        with(user("heidi"), |user| user.totp = Some(totp)),
    ];
    let directory = fake(users, &settings);
    let logins = logins(&directory, THEN);
    let heidi = |code: &str| json!({"user": "heidi", "password": "abc", "code": code});
    for (body, expected) in [
        (password("alice", "wrong"), "Unauthorized"),
        // Success forgets what was before.
        (password("alice", "abc"), "id-of-alice"),
        (password("alice", "wrong"), "Unauthorized"),
        (password("alice", "wrong"), "Unauthorized"),
        (password("alice", "abc"), "error-login-blocked-for-user"),
        (password("bob", "abc"), "id-of-bob"),
        // Asking for the code is no failure, a wrong code is.
        (heidi(""), "totp-required"),
        (heidi(""), "totp-required"),
        (heidi("000000"), "totp-invalid"),
        (heidi("000001"), "totp-invalid"),
        // Five have failed from this address.
        (password("bob", "abc"), "error-login-blocked-for-ip"),
    ] {
        assert_eq!(outcome(&logins, body.clone()).await, expected, "{body}");
    }
}

#[tokio::test]
async fn names_of_one_user_share_their_failures_and_nobody_learns_it() {
    let by_user = "Block_Multiple_Failed_Logins_Attempts_Until_Block_by_User";
    let directory = fake(vec![user("alice")], &[(by_user, 2.into())]);
    let logins = logins(&directory, THEN);
    let blocked = "error-login-blocked-for-user";
    // Each name has its own block, as those of two users or of nobody have.
    for (body, expected) in [
        (password("alice", "wrong"), "Unauthorized"),
        (password("alice", "wrong"), "Unauthorized"),
        (password("alice", "wrong"), blocked),
        (password("alice@x.test", "wrong"), "Unauthorized"),
        // Right, but the user has had all attempts.
        (password("alice@x.test", "abc"), "Unauthorized"),
        (password("alice@x.test", "abc"), blocked),
    ] {
        assert_eq!(outcome(&logins, body.clone()).await, expected, "{body}");
    }
}

#[tokio::test]
async fn nobody_has_a_name_of_more_than_256_characters() {
    for (length, whose) in [(256, None), (257, Some("Unauthorized"))] {
        let name = "ä".repeat(length);
        let directory = fake(vec![user(&name)], &[]);
        let logins = logins(&directory, THEN);
        let expected = whose.map_or(format!("id-of-{name}"), str::to_owned);
        assert_eq!(outcome(&logins, password(&name, "abc")).await, expected);
    }
}

#[tokio::test]
async fn users_who_are_not_there_are_blocked_like_others() {
    let by_user = "Block_Multiple_Failed_Logins_Attempts_Until_Block_by_User";
    let directory = fake(Vec::new(), &[(by_user, 1.into())]);
    let logins = logins(&directory, THEN);
    assert_eq!(
        outcome(&logins, password("nobody", "x")).await,
        "Unauthorized"
    );
    let again = outcome(&logins, password("Nobody", "x")).await;
    assert_eq!(again, "error-login-blocked-for-user");
}

#[test]
fn the_hash_of_nobody_costs_what_others_cost_and_fits_nothing() {
    let parts: HashParts = NOBODY.parse().unwrap();
    assert_eq!(parts.get_cost(), 10);
    assert!(!bcrypt::verify("abc", NOBODY).unwrap());
    assert!(!matches(None, &PasswordDigest::of("abc")));
}
