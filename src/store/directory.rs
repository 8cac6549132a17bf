//! Contract of the places that know who may do what: users, roles, subscriptions, teams, settings.
//!
//! Responsible for looking up; decides nothing: that is [`crate::access`].
//!
//! The documents are read here, the same for every backend. Odd types are read as what gives less: a flag that is not
//! a truth value is not set, a second factor whose secret cannot be read is one that nobody passes. A document whose bytes
//! are damaged is not read at all, because what its damage hides may be what forbids.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use bson::Bson;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use transcript::bson::{Doc, Value};
use transcript::locale::Locale;

use super::fields::{documents_at, id_at, is_true, text_at, texts_at, whole};
use super::{RawDoc, RoomId, StoreError};

/// `_id` of a user (`users`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub String);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user as far as Export Room asks (contract §5.1). Secrets never show in its `Debug` form.
#[derive(Clone)]
pub struct User {
    /// `_id`.
    pub id: UserId,
    /// `username`; a user without one may not use the API (contract §1.4).
    pub username: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `emails`, in their order.
    pub emails: Vec<Email>,
    /// `type`: `user`, `bot`, `app` …
    pub kind: String,
    /// `active`.
    pub active: bool,
    /// `roles` with the scope `Users`.
    pub roles: Vec<String>,
    /// `language`, never empty.
    pub language: Option<String>,
    /// `utcOffset`: hours that the user's clock is ahead of UTC.
    pub utc_offset: Option<f64>,
    /// `services.resume.loginTokens`.
    pub tokens: Vec<LoginToken>,
    /// `services.password.bcrypt`.
    pub password: Option<String>,
    /// `services.totp`, when it is enabled.
    pub totp: Option<Totp>,
    /// `services.email2fa.enabled`.
    pub email_two_factor: bool,
    /// The whole document, for `GET /api/v1/me`.
    pub doc: RawDoc,
}

impl User {
    /// Reads a document of `users` (contract §5.1, §3.1). [`StoreError::Corrupt`] when its bytes are damaged.
    pub fn read(raw: &RawDoc) -> Result<Self, StoreError> {
        let doc = whole(&raw.0, "a user")?;
        let services = doc
            .get("services")
            .and_then(Value::document)
            .unwrap_or(Doc::EMPTY);
        Ok(Self {
            id: UserId(id_at(doc, &["_id"]).unwrap_or_default()),
            username: text_at(doc, &["username"]),
            name: text_at(doc, &["name"]),
            emails: documents_at(doc, &["emails"])
                .filter_map(Email::read)
                .collect(),
            kind: text_at(doc, &["type"]).unwrap_or_default(),
            active: is_true(doc, "active"),
            roles: texts_at(doc, &["roles"]),
            language: text_at(doc, &["language"]),
            utc_offset: match doc.get("utcOffset") {
                Some(Value::Double(hours)) => Some(hours),
                other => other
                    .and_then(Value::integer)
                    .and_then(|hours| i32::try_from(hours).ok())
                    .map(f64::from),
            },
            tokens: documents_at(services, &["resume", "loginTokens"])
                .filter_map(LoginToken::read)
                .collect(),
            password: text_at(services, &["password", "bcrypt"]),
            totp: services
                .at(&["totp", "enabled"])
                .is_some_and(Value::truthy)
                .then(|| Totp {
                    secret: text_at(services, &["totp", "secret"]).unwrap_or_default(),
                }),
            email_two_factor: services
                .at(&["email2fa", "enabled"])
                .is_some_and(Value::truthy),
            doc: raw.clone(),
        })
    }

    /// What the user is called in names of files: name, else username, else id (contract §6.3).
    pub fn display_name(&self) -> &str {
        self.name
            .as_deref()
            .or(self.username.as_deref())
            .unwrap_or(&self.id.0)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("active", &self.active)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// An element of `emails`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// The address, not checked.
    pub address: String,
    /// Whether its owner has confirmed it.
    pub verified: bool,
}

impl Email {
    fn read(doc: Doc<'_>) -> Option<Self> {
        Some(Self {
            address: text_at(doc, &["address"])?,
            verified: is_true(doc, "verified"),
        })
    }
}

/// An element of `services.resume.loginTokens` (contract §3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct LoginToken {
    /// Base64 of the SHA-256 of the token.
    pub hashed: String,
    /// When its user logged in, milliseconds since 1970; a personal access token has none and never expires.
    pub when: Option<i64>,
    /// Whether it is a personal access token.
    pub personal: bool,
}

impl LoginToken {
    /// Reads an element; `None` when it has no `hashedToken`.
    pub(crate) fn read(doc: Doc<'_>) -> Option<Self> {
        Some(Self {
            hashed: text_at(doc, &["hashedToken"])?,
            when: doc.get("when").and_then(Value::millis),
            personal: doc
                .text("type")
                .is_some_and(|kind| kind.0 == b"personalAccessToken"),
        })
    }
}

impl fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginToken")
            .field("when", &self.when)
            .field("personal", &self.personal)
            .finish_non_exhaustive()
    }
}

/// A user's second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp {
    /// The shared secret in base32; empty when it cannot be read.
    pub secret: String,
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totp(***)")
    }
}

/// Whom somebody who logs in means (contract §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginName {
    /// A username: exactly, else without regard to case when only one matches.
    Username(String),
    /// An address in `emails`, without regard to case, when only one user has it.
    Email(String),
}

/// A room as far as access to it depends on it (contract §4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomAccess {
    /// `_id`.
    pub id: String,
    /// `t`.
    pub kind: String,
    /// `teamId`.
    pub team: Option<String>,
    /// `prid`: the room that a discussion belongs to.
    pub parent: Option<String>,
    /// Whether `abacAttributes` are set.
    pub has_attributes: bool,
    /// `servedBy._id` of an omnichannel room.
    pub served_by: Option<UserId>,
    /// `open` of an omnichannel room.
    pub open: bool,
    /// `departmentId` of an omnichannel room.
    pub department: Option<String>,
}

impl RoomAccess {
    /// Reads a document of `rocketchat_room` (contract §5.2). [`StoreError::Corrupt`] when its bytes are damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let doc = whole(bytes, "a room")?;
        Ok(Self {
            id: id_at(doc, &["_id"]).unwrap_or_default(),
            kind: text_at(doc, &["t"]).unwrap_or_default(),
            team: id_at(doc, &["teamId"]),
            parent: id_at(doc, &["prid"]),
            has_attributes: match doc.get("abacAttributes") {
                Some(Value::Array(list) | Value::Document(list)) => !list.is_empty(),
                Some(other) => other.truthy(),
                None => false,
            },
            served_by: id_at(doc, &["servedBy", "_id"]).map(UserId),
            open: doc.get("open").is_some_and(Value::truthy),
            department: id_at(doc, &["departmentId"]),
        })
    }
}

/// A user's place in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// `roles` with the scope `Subscriptions`.
    pub roles: Vec<String>,
    /// Whether `status` is there: an invitation that was not accepted.
    pub pending: bool,
}

impl Subscription {
    /// Reads a document of `rocketchat_subscription` (contract §5.3). [`StoreError::Corrupt`] when its bytes are damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let doc = whole(bytes, "a subscription")?;
        Ok(Self {
            roles: texts_at(doc, &["roles"]),
            pending: doc.get("status").is_some(),
        })
    }
}

/// Whether a team is open to everybody (`type` of `rocketchat_team`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamKind {
    /// 0.
    Public,
    /// 1, and whatever is not understood.
    Private,
}

impl TeamKind {
    /// Reads a document of `rocketchat_team` (contract §5.9). [`StoreError::Corrupt`] when its bytes are damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let doc = whole(bytes, "a team")?;
        Ok(match doc.get("type").and_then(Value::integer) {
            Some(0) => Self::Public,
            _ => Self::Private,
        })
    }
}

/// The `roles` of a document of `rocketchat_permissions` (contract §4.1). [`StoreError::Corrupt`] when its bytes are
/// damaged.
pub fn permission_roles(bytes: &[u8]) -> Result<Vec<String>, StoreError> {
    Ok(texts_at(whole(bytes, "a permission")?, &["roles"]))
}

/// The `value` of a document of `rocketchat_settings` (contract §5.8); `None` when it is not set to anything, or to what
/// cannot be read.
pub fn setting_value(bytes: &[u8]) -> Option<Bson> {
    let value = bson::RawDocument::from_bytes(bytes)
        .ok()?
        .get("value")
        .ok()??;
    match Bson::try_from(value).ok()? {
        Bson::Null | Bson::Undefined => None,
        value => Some(value),
    }
}

/// Values of `rocketchat_settings` by id; only those that are set to something.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub HashMap<String, Bson>);

impl Settings {
    /// The settings behind [`Settings::time_zone`].
    pub const TIME_ZONE: [&str; 2] = ["Default_Timezone_For_Reporting", "Default_Custom_Timezone"];

    /// A text that is not empty.
    pub fn text(&self, id: &str) -> Option<&str> {
        self.0.get(id)?.as_str().filter(|text| !text.is_empty())
    }

    /// A truth value.
    pub fn truth(&self, id: &str) -> Option<bool> {
        match self.0.get(id)? {
            Bson::Boolean(value) => Some(*value),
            // Values overwritten by the environment may be kept as texts.
            Bson::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The workspace's time zone: the one of its reports, when that is neither the server's nor each user's own. Ask with
    /// [`Settings::TIME_ZONE`].
    pub fn time_zone(&self) -> Option<TimeZone> {
        if self.text("Default_Timezone_For_Reporting") != Some("custom") {
            return None;
        }
        TimeZone::get(self.text("Default_Custom_Timezone")?.trim()).ok()
    }

    /// The language of the workspace. Ask for `Language`.
    pub fn language(&self) -> Option<Locale> {
        Locale::of(self.text("Language")?)
    }

    /// A number, whatever the writer stored it as.
    pub fn integer(&self, id: &str) -> Option<i64> {
        match self.0.get(id)? {
            Bson::Int32(value) => Some((*value).into()),
            Bson::Int64(value) => Some(*value),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "settings are small numbers; others saturate"
            )]
            Bson::Double(value) => Some(*value as i64),
            Bson::String(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// Knows users and what they may do.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The user with this `_id`.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// The same, as it is now, where [`Directory::user`] may remember what was true some seconds ago.
    async fn user_now(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.user(id).await
    }

    /// Proves that login tokens can be written, without writing any; for `doctor`.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The user who has this login token or personal access token, valid or expired.
    async fn token_owner(&self, hashed: &str) -> Result<Option<User>, StoreError>;

    /// The user that somebody who logs in means.
    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError>;

    /// Adds a login token made at `now` (milliseconds since 1970) and sets `lastLogin`. At most `keep` login tokens
    /// stay, the oldest go; personal access tokens are not counted.
    async fn add_login_token(
        &self,
        user: &UserId,
        hashed: &str,
        now: i64,
        keep: usize,
    ) -> Result<(), StoreError>;

    /// Takes a token away, if it is there.
    async fn remove_login_token(&self, user: &UserId, hashed: &str) -> Result<(), StoreError>;

    /// The roles that have a permission; empty when nobody has.
    async fn permission_roles(&self, permission: &str) -> Result<Vec<String>, StoreError>;

    /// The room's document.
    async fn room(&self, room: &RoomId) -> Result<Option<RawDoc>, StoreError>;

    /// At most `limit` rooms that a user has a subscription of, invitations included, by `_id` after the one given.
    async fn subscribed_rooms(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RawDoc>, StoreError>;

    /// A user's subscription of a room.
    async fn subscription(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Option<Subscription>, StoreError>;

    /// What kind of team it is.
    async fn team(&self, id: &str) -> Result<Option<TeamKind>, StoreError>;

    /// Whether a user is a member of a team.
    async fn is_team_member(&self, team: &str, user: &UserId) -> Result<bool, StoreError>;

    /// Whether a user is an agent of an omnichannel department.
    async fn is_department_agent(
        &self,
        department: &str,
        user: &UserId,
    ) -> Result<bool, StoreError>;

    /// The settings with these ids, those that have a value.
    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError>;
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, Document, doc};

    use super::*;

    fn user(doc: &Document) -> User {
        User::read(&RawDoc(doc.to_vec().unwrap())).unwrap()
    }

    #[test]
    fn a_user_is_read_with_what_decides() {
        let user = user(&doc! {
            "_id": "u", "username": "ann", "name": "Ann A", "type": "user", "active": true, "roles": ["user", "admin"],
            "language": "de", "emails": [{"address": "a@x.test", "verified": true}, {"address": "b@x.test"}],
            "services": {
                "password": {"bcrypt": "$2b$10$x"},
                "totp": {"enabled": true, "secret": "ABC"},
                "email2fa": {"enabled": true},
                "resume": {"loginTokens": [
                    {"when": DateTime::from_millis(5), "hashedToken": "h1"},
                    {"type": "personalAccessToken", "createdAt": DateTime::from_millis(6), "hashedToken": "h2"},
                ]},
            },
        });
        assert_eq!(user.id.0, "u");
        assert_eq!(user.username.as_deref(), Some("ann"));
        assert_eq!(user.display_name(), "Ann A");
        assert_eq!((user.kind.as_str(), user.active), ("user", true));
        assert_eq!(user.roles, ["user", "admin"]);
        assert_eq!(user.language.as_deref(), Some("de"));
        let emails: Vec<_> = user
            .emails
            .iter()
            .map(|email| (email.address.as_str(), email.verified))
            .collect();
        assert_eq!(emails, [("a@x.test", true), ("b@x.test", false)]);
        let tokens: Vec<_> = user
            .tokens
            .iter()
            .map(|token| (token.hashed.as_str(), token.when, token.personal))
            .collect();
        assert_eq!(tokens, [("h1", Some(5), false), ("h2", None, true)]);
        assert_eq!(user.password.as_deref(), Some("$2b$10$x"));
        assert_eq!(user.totp.map(|totp| totp.secret).as_deref(), Some("ABC"));
        assert!(user.email_two_factor);
    }

    #[test]
    fn what_is_odd_in_a_user_gives_less_not_more() {
        for active in [
            doc! {},
            doc! {"active": 1},
            doc! {"active": "true"},
            doc! {"active": null},
        ] {
            assert!(!user(&active).active, "{active}");
        }
        let odd = user(&doc! {
            "_id": 7, "username": "", "name": 5, "roles": {"0": "admin"}, "emails": ["a@x.test", {"address": 1}],
            "language": "",
            "services": {"resume": {"loginTokens": ["h", {"hashedToken": ""}]}, "totp": {"enabled": true, "secret": 5}},
        });
        assert_eq!((odd.id.0.as_str(), odd.username.as_deref()), ("7", None));
        assert_eq!(odd.display_name(), "7");
        assert!(odd.roles.is_empty() && odd.emails.is_empty() && odd.tokens.is_empty());
        assert_eq!(odd.language, None);
        // A factor that cannot be read is not one that is not asked for.
        assert_eq!(odd.totp.map(|totp| totp.secret).as_deref(), Some(""));
        assert!(
            user(&doc! {"services": {"totp": {"enabled": false, "secret": "x"}}})
                .totp
                .is_none()
        );
    }

    #[test]
    fn secrets_do_not_show() {
        let user = user(&doc! {
            "_id": "u",
            "services": {
                "password": {"bcrypt": "SECRET"}, "totp": {"enabled": true, "secret": "SECRET"},
                "resume": {"loginTokens": [{"hashedToken": "SECRET"}]},
            },
        });
        let shown = format!("{user:?} {:?} {:?}", user.tokens, user.totp);
        assert!(!shown.contains("SECRET"), "{shown}");
    }

    #[test]
    fn a_room_is_read_with_what_decides() {
        let read = |doc: Document| RoomAccess::read(&doc.to_vec().unwrap()).unwrap();
        assert_eq!(
            read(doc! {
                "_id": "r", "t": "l", "teamId": "t", "prid": "p", "open": true, "departmentId": "d",
                "servedBy": {"_id": "u", "username": "ann"}, "abacAttributes": [{"key": "k", "values": ["v"]}],
            }),
            RoomAccess {
                id: "r".to_owned(),
                kind: "l".to_owned(),
                team: Some("t".to_owned()),
                parent: Some("p".to_owned()),
                has_attributes: true,
                served_by: Some(UserId("u".to_owned())),
                open: true,
                department: Some("d".to_owned()),
            }
        );
        let bare =
            read(doc! {"_id": "r", "teamId": "", "prid": null, "abacAttributes": [], "t": 5});
        assert_eq!(
            bare,
            RoomAccess {
                id: "r".to_owned(),
                ..RoomAccess::default()
            }
        );
        // A team whose id an importer wrote as another type is still a team.
        assert_eq!(read(doc! {"teamId": 5}).team.as_deref(), Some("5"));
        assert!(read(doc! {"abacAttributes": "x"}).has_attributes);
    }

    #[test]
    fn a_damaged_document_decides_nothing() {
        let mut bytes = doc! {"_id": "r", "t": "c", "n": 1, "teamId": "t"}
            .to_vec()
            .unwrap();
        let at = bytes.iter().position(|&byte| byte == b'n').unwrap() - 1;
        bytes[at] = 0x55;
        assert!(RoomAccess::read(&bytes).is_err());
        assert!(User::read(&RawDoc(bytes.clone())).is_err());
        assert!(Subscription::read(&bytes).is_err());
        assert!(TeamKind::read(&bytes).is_err());
        assert!(permission_roles(&bytes).is_err());
    }

    #[test]
    fn subscriptions_and_teams_are_read() {
        let read = |doc: Document| Subscription::read(&doc.to_vec().unwrap()).unwrap();
        assert_eq!(read(doc! {}), Subscription::default());
        assert_eq!(read(doc! {"roles": ["owner", 5]}).roles, ["owner"]);
        assert!(read(doc! {"status": "INVITED"}).pending);
        assert!(read(doc! {"status": null}).pending);
        for (doc, kind) in [
            (doc! {"type": 0}, TeamKind::Public),
            (doc! {"type": 0.0}, TeamKind::Public),
            (doc! {"type": 1}, TeamKind::Private),
            (doc! {"type": "0"}, TeamKind::Private),
            (doc! {}, TeamKind::Private),
        ] {
            assert_eq!(
                TeamKind::read(&doc.to_vec().unwrap()).unwrap(),
                kind,
                "{doc}"
            );
        }
    }

    #[test]
    fn settings_that_are_set_to_nothing_are_none() {
        let value = |doc: Document| setting_value(&doc.to_vec().unwrap());
        assert_eq!(value(doc! {"value": "x"}), Some("x".into()));
        assert_eq!(value(doc! {"value": false}), Some(false.into()));
        assert_eq!(
            value(doc! {"value": ["a"]}),
            Some(Bson::Array(vec!["a".into()]))
        );
        assert_eq!(value(doc! {"value": null}), None);
        assert_eq!(value(doc! {"packageValue": 1}), None);
        assert_eq!(setting_value(&[1, 2]), None);
    }
}
