//! Contract of the places that know who may do what: users, roles, subscriptions, teams, settings.
//!
//! Responsible for looking up; decides nothing: that is [`crate::access`].

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use bson::Bson;
use serde::{Deserialize, Serialize};

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
    /// The shared secret in base32.
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
    /// An address in `emails`, without regard to case.
    Email(String),
}

/// A room as far as access to it depends on it (contract §4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomAccess {
    /// `_id`.
    pub id: String,
    /// `t`.
    pub kind: String,
    /// `teamId`, else empty.
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

/// A user's place in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// `roles` with the scope `Subscriptions`.
    pub roles: Vec<String>,
    /// Whether `status` is set: an invitation that was not accepted.
    pub pending: bool,
}

/// Whether a team is open to everybody (`type` of `rocketchat_team`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamKind {
    /// 0.
    Public,
    /// 1, and whatever is not understood.
    Private,
}

/// Values of `rocketchat_settings` by id; only those that are set to something.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub HashMap<String, Bson>);

impl Settings {
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
