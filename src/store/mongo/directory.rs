//! Users, what they may do, and records of exports, in a live database.
//!
//! What decides about a room (subscription, team, the room itself) is asked for every time; users, permissions and settings,
//! which every request needs, are remembered for [`FRESH`](super::brief::FRESH).

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bson::{Bson, DateTime, Document, doc};
use mongodb::options::{Collation, CollationStrength, FindOptions};
use transcript::bson::{Doc, id_text};

use super::MongoDatabase;
use super::brief::Brief;
use crate::store::directory::{
    Directory, LoginName, Settings, Subscription, TeamKind, User, UserId, permission_roles,
};
use crate::store::user_data::{UserDataFile, UserDataFiles};
use crate::store::{RawDoc, RoomId, StoreError};

const USERS: &str = "users";
const ROOMS: &str = "rocketchat_room";
const SUBSCRIPTIONS: &str = "rocketchat_subscription";
/// Records of exports' files (contract §6.7).
pub(crate) const USER_DATA_FILES: &str = "rocketchat_user_data_files";
/// Where the login tokens are in a user's document.
const TOKENS: &str = "services.resume.loginTokens";
/// Users that are looked at for one name; more of the same name are nobody's.
const NAMESAKES: i64 = 50;

/// Users and records of a live database.
#[derive(Clone)]
pub struct MongoDirectory {
    database: MongoDatabase,
    remembered: Arc<Remembered>,
}

#[derive(Default)]
struct Remembered {
    users: Brief<String, Option<User>>,
    permissions: Brief<String, Vec<String>>,
    settings: Brief<String, Option<Bson>>,
}

impl MongoDirectory {
    /// Asks a database that is connected.
    pub fn new(database: MongoDatabase) -> Self {
        Self {
            database,
            remembered: Arc::default(),
        }
    }

    /// The one user that a filter finds and `is_meant` keeps; `None` when there are several.
    async fn only_user(
        &self,
        filter: Document,
        folded: bool,
        is_meant: impl Fn(&User) -> bool,
    ) -> Result<Option<User>, StoreError> {
        // Rocket.Chat has indexes of usernames and addresses with this collation.
        let collation = folded.then(|| {
            Collation::builder()
                .locale("en")
                .strength(CollationStrength::Secondary)
                .build()
        });
        let options = FindOptions::builder()
            .limit(NAMESAKES)
            .collation(collation)
            .build();
        let users = self.database.current(USERS);
        let mut meant = None;
        for doc in self.database.all(&users, filter, options).await? {
            let user = User::read(&doc)?;
            if is_meant(&user) {
                if meant.is_some() {
                    return Ok(None);
                }
                meant = Some(user);
            }
        }
        Ok(meant)
    }

    async fn change_user(&self, filter: Document, change: Document) -> Result<bool, StoreError> {
        let users = self.database.current(USERS);
        let question = users.update_one(filter, change);
        let changed = self.database.ask(USERS, async { question.await }).await?;
        Ok(changed.matched_count > 0)
    }
}

#[async_trait]
impl Directory for MongoDirectory {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let asked = Instant::now();
        if let Some(user) = self.remembered.users.get(&id.0, asked) {
            return Ok(user);
        }
        let doc = self.database.by_id(USERS, &id.0).await?;
        let user = doc.map(|doc| User::read(&doc)).transpose()?;
        // Who is not there may come any moment.
        if user.is_some() {
            self.remembered.users.put(id.0.clone(), user.clone(), asked);
        }
        Ok(user)
    }

    async fn user_now(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.remembered.users.forget(id.0.clone(), Instant::now());
        self.user(id).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        // Of nobody: whether it may be done is looked at before that.
        let nobody = doc! {"_id": "export-room-probe"};
        let change = doc! {"$pull": {TOKENS: {"hashedToken": ""}}};
        self.change_user(nobody, change).await.map(drop)
    }

    async fn token_owner(&self, hashed: &str) -> Result<Option<User>, StoreError> {
        let filter = doc! {format!("{TOKENS}.hashedToken"): hashed};
        self.only_user(filter, false, |user| {
            user.tokens.iter().any(|token| token.hashed == hashed)
        })
        .await
    }

    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError> {
        match name {
            LoginName::Username(name) if name.is_empty() => Ok(None),
            LoginName::Username(name) => {
                let filter = || doc! {"username": name};
                let exact = self.only_user(filter(), false, |_| true).await?;
                if exact.is_some() {
                    return Ok(exact);
                }
                let folded = name.to_lowercase();
                self.only_user(filter(), true, |user| {
                    user.username
                        .as_ref()
                        .is_some_and(|name| name.to_lowercase() == folded)
                })
                .await
            }
            LoginName::Email(address) => {
                let folded = address.to_lowercase();
                self.only_user(doc! {"emails.address": address}, true, |user| {
                    user.emails
                        .iter()
                        .any(|email| email.address.to_lowercase() == folded)
                })
                .await
            }
        }
    }

    async fn add_login_token(
        &self,
        user: &UserId,
        hashed: &str,
        now: i64,
        keep: usize,
    ) -> Result<(), StoreError> {
        let now = DateTime::from_millis(now);
        let token = doc! {"when": now, "hashedToken": hashed};
        let push = doc! {"$push": {TOKENS: &token}, "$set": {"lastLogin": now}};
        let has_tokens = doc! {"_id": &user.0, TOKENS: {"$type": "array"}};
        if !self.change_user(has_tokens, push).await? {
            // A part of the path may be there and be null: the deepest one that is a document takes the rest.
            let resume = doc! {"loginTokens": [&token]};
            let deep = doc! {"_id": &user.0, TOKENS: null, "services": {"$type": "object"}};
            let set = doc! {"$set": {"services.resume": &resume, "lastLogin": now}};
            if !self.change_user(deep, set).await? {
                let bare = doc! {"_id": &user.0, "services": null};
                let set = doc! {"$set": {"services": {"resume": resume}, "lastLogin": now}};
                self.change_user(bare, set).await?;
            }
        }
        self.remembered.users.forget(user.0.clone(), Instant::now());
        let Some(changed) = self.user(user).await? else {
            return Ok(());
        };
        let mut logins: Vec<_> = changed
            .tokens
            .iter()
            .filter(|token| !token.personal)
            .map(|token| (token.when.unwrap_or(i64::MIN), &token.hashed))
            .filter(|(_, other)| *other != hashed)
            .collect();
        logins.sort();
        let surplus = (logins.len() + 1).saturating_sub(keep).min(logins.len());
        if surplus > 0 {
            let oldest: Vec<_> = logins[..surplus].iter().map(|(_, hash)| *hash).collect();
            let pull = doc! {"$pull": {TOKENS: {"hashedToken": {"$in": oldest}, "type": {"$ne": "personalAccessToken"}}}};
            self.change_user(doc! {"_id": &user.0}, pull).await?;
            self.remembered.users.forget(user.0.clone(), Instant::now());
        }
        Ok(())
    }

    async fn remove_login_token(&self, user: &UserId, hashed: &str) -> Result<(), StoreError> {
        let filter = doc! {"_id": &user.0, format!("{TOKENS}.hashedToken"): hashed};
        let pull = doc! {"$pull": {TOKENS: {"hashedToken": hashed}}};
        self.change_user(filter, pull).await?;
        self.remembered.users.forget(user.0.clone(), Instant::now());
        Ok(())
    }

    async fn permission_roles(&self, permission: &str) -> Result<Vec<String>, StoreError> {
        let asked = Instant::now();
        let key = permission.to_owned();
        if let Some(roles) = self.remembered.permissions.get(&key, asked) {
            return Ok(roles);
        }
        let roles = match self
            .database
            .by_id("rocketchat_permissions", permission)
            .await?
        {
            Some(doc) => permission_roles(&doc.0)?,
            None => Vec::new(),
        };
        self.remembered.permissions.put(key, roles.clone(), asked);
        Ok(roles)
    }

    async fn room(&self, room: &RoomId) -> Result<Option<RawDoc>, StoreError> {
        self.database.by_id(ROOMS, &room.0).await
    }

    async fn subscribed_rooms(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RawDoc>, StoreError> {
        let mut rooms = Vec::new();
        let mut after = after.map_or_else(String::new, |room| room.0.clone());
        // A page of subscriptions may name rooms that are gone.
        while rooms.len() < limit {
            let wanted = limit - rooms.len();
            let options = FindOptions::builder()
                .sort(doc! {"rid": 1})
                .limit(i64::try_from(wanted).unwrap_or(i64::MAX))
                .projection(doc! {"rid": 1})
                .build();
            let filter = doc! {"u._id": &user.0, "rid": {"$gt": &after}};
            let subscriptions = self.database.current(SUBSCRIPTIONS);
            let found = self.database.all(&subscriptions, filter, options).await?;
            let rid = |doc: &RawDoc| {
                let doc = Doc::new(&doc.0).ok()?;
                Some(id_text(doc.get("rid")?).into_owned())
            };
            let ids: Vec<_> = found.iter().filter_map(rid).collect();
            let Some(last) = ids.last() else { break };
            after.clone_from(last);
            let options = FindOptions::builder().sort(doc! {"_id": 1}).build();
            let collection = self.database.current(ROOMS);
            let filter = doc! {"_id": {"$in": &ids}};
            rooms.extend(self.database.all(&collection, filter, options).await?);
            if found.len() < wanted {
                break;
            }
        }
        Ok(rooms)
    }

    async fn subscription(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Option<Subscription>, StoreError> {
        self.database
            .one(SUBSCRIPTIONS, doc! {"rid": &room.0, "u._id": &user.0})
            .await?
            .map(|doc| Subscription::read(&doc.0))
            .transpose()
    }

    async fn team(&self, id: &str) -> Result<Option<TeamKind>, StoreError> {
        self.database
            .by_id("rocketchat_team", id)
            .await?
            .map(|doc| TeamKind::read(&doc.0))
            .transpose()
    }

    async fn is_team_member(&self, team: &str, user: &UserId) -> Result<bool, StoreError> {
        let filter = doc! {"teamId": team, "userId": &user.0};
        let found = self.database.one("rocketchat_team_member", filter).await?;
        Ok(found.is_some())
    }

    async fn is_department_agent(
        &self,
        department: &str,
        user: &UserId,
    ) -> Result<bool, StoreError> {
        let filter = doc! {"departmentId": department, "agentId": &user.0};
        let found = self
            .database
            .one("rocketchat_livechat_department_agents", filter)
            .await?;
        Ok(found.is_some())
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        let asked = Instant::now();
        let mut settings = Settings::default();
        let mut unknown = Vec::new();
        for &id in ids {
            match self.remembered.settings.get(&id.to_owned(), asked) {
                Some(Some(value)) => {
                    settings.0.insert(id.to_owned(), value);
                }
                Some(None) => {}
                None => unknown.push(id),
            }
        }
        if unknown.is_empty() {
            return Ok(settings);
        }
        let mut found = self.database.settings(&unknown).await?;
        for id in unknown {
            let value = found.remove(id);
            if let Some(value) = &value {
                settings.0.insert(id.to_owned(), value.clone());
            }
            self.remembered.settings.put(id.to_owned(), value, asked);
        }
        Ok(settings)
    }
}

#[async_trait]
impl UserDataFiles for MongoDirectory {
    async fn file(&self, id: &str) -> Result<Option<UserDataFile>, StoreError> {
        self.database
            .by_id(USER_DATA_FILES, id)
            .await?
            .map(UserDataFile::read)
            .transpose()
    }

    async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let files = self.database.current(USER_DATA_FILES);
        let question = files.delete_one(doc! {"_id": id});
        self.database
            .ask(USER_DATA_FILES, async { question.await })
            .await?;
        Ok(())
    }

    async fn created_before(
        &self,
        instant: i64,
        after: Option<(i64, &str)>,
        limit: usize,
    ) -> Result<Vec<UserDataFile>, StoreError> {
        let options = FindOptions::builder()
            .sort(doc! {"createdAt": 1, "_id": 1})
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .build();
        let mut filter = doc! {
            "exportRoom": {"$type": "object"},
            "createdAt": {"$lt": DateTime::from_millis(instant)},
        };
        if let Some((at, id)) = after {
            let at = DateTime::from_millis(at);
            let later = doc! {"createdAt": {"$gt": at}};
            filter.insert("$or", [later, doc! {"createdAt": at, "_id": {"$gt": id}}]);
        }
        let files = self.database.current(USER_DATA_FILES);
        let found = self.database.all(&files, filter, options).await?;
        found.into_iter().map(UserDataFile::read).collect()
    }
}
