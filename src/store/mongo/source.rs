//! Rooms, messages and uploads of a live database.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bson::{Bson, Document, doc};
use futures_util::StreamExt;
use mongodb::options::{FindOneOptions, FindOptions};
use transcript::bson::{Doc, Value, id_text};

use super::{Load, MongoDatabase, document, messages, odd};
use crate::network::Uri;
use crate::store::batches::cursor;
use crate::store::directory::Settings;
use crate::store::fields::texts_at;
use crate::store::order::{MessageKey, NO_TS};
use crate::store::{
    AvatarOf, MessageCursor, MessageQuery, MessageSource, ROLES, RawDoc, RoomId, RoomSummary,
    Selection, StoreError, Survey, UPLOAD_STORES, UploadId, Window,
};

const ROOMS: &str = "rocketchat_room";
const UPLOADS: &str = "rocketchat_uploads";
/// Uploads that are no thumbnails, as `sqlite/tables.rs` tells them apart.
fn no_thumbnail() -> Document {
    doc! {"typeGroup": {"$ne": "thumb"}, "originalFileId": {"$in": [null, ""]}}
}

/// A live database to export from.
#[derive(Clone, Debug)]
pub struct MongoSource {
    /// For what an export waits for.
    database: MongoDatabase,
    /// For what somebody waits for, before an export begins.
    prompt: MongoDatabase,
}

impl MongoSource {
    /// Reads a database that is connected.
    pub fn new(database: MongoDatabase) -> Self {
        Self {
            database: database.persistent(),
            prompt: database,
        }
    }

    /// Connects and reads.
    pub async fn open(uri: &Uri, load: Load) -> Result<Self, StoreError> {
        Ok(Self::new(MongoDatabase::connect(uri, load).await?))
    }

    /// At most `limit` rooms that a filter finds and `is_wanted` keeps, by `_id`.
    async fn rooms_of(
        &self,
        filter: Document,
        limit: usize,
        mut is_wanted: impl FnMut(Doc<'_>) -> bool + Send,
    ) -> Result<Vec<RawDoc>, StoreError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let options = FindOptions::builder().sort(doc! {"_id": 1}).build();
        let rooms = self.prompt.relaxed(ROOMS);
        self.prompt
            .each(&rooms, filter, options, |room| {
                if Doc::new(room).is_ok_and(&mut is_wanted) {
                    found.push(RawDoc(room.to_vec()));
                }
                found.len() < limit
            })
            .await?;
        Ok(found)
    }

    /// The direct rooms of two in which a user is whose name matches.
    async fn direct_rooms(
        &self,
        filter: Document,
        limit: usize,
        matches: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Vec<RawDoc>, StoreError> {
        self.rooms_of(filter, limit, |room| {
            let names = room.get("usernames").and_then(Value::array);
            let mut count = 0;
            let mut member = false;
            for name in names.unwrap_or(Doc::EMPTY).values() {
                count += 1;
                member |= matches(&id_text(name));
            }
            count == 2 && member
        })
        .await
    }

    /// The undated messages of a query, told to `visit` by their keys: almost always none.
    async fn each_undated(
        &self,
        query: &MessageQuery,
        mut visit: impl FnMut(&MessageKey<'_>) + Send,
    ) -> Result<(), StoreError> {
        if !messages::may_have_undated(&self.database, &query.room).await {
            return Ok(());
        }
        let messages = self.database.relaxed(messages::COLLECTION);
        for filter in messages::undated(query) {
            let options = FindOptions::builder()
                .projection(doc! {"ts": 1, "rid": 1})
                .build();
            self.database
                .each(&messages, filter, options, |message| {
                    let key = MessageKey::read(Doc::new(message).unwrap_or(Doc::EMPTY));
                    if messages::belongs(&key, query.window) {
                        visit(&key);
                    }
                    true
                })
                .await?;
        }
        Ok(())
    }

    /// How many messages from the beginning of a room on there are, in one walk along the index. `None` where the `ts` of
    /// some may be an instant and is no date, so that only reading them tells how long the room is.
    async fn count_at_once(&self, query: &MessageQuery) -> Result<Option<u64>, StoreError> {
        let stages = [
            doc! {"$match": messages::from_the_beginning(query)},
            doc! {"$group": {"_id": {"$type": "$ts"}, "count": {"$sum": 1_i64}}},
        ];
        let mut count = 0;
        let groups = self.database.groups(messages::COLLECTION, &stages).await?;
        for group in groups {
            let kind = group.get_str("_id").unwrap_or_default();
            if !matches!(kind, "date" | "missing" | "null" | "undefined") {
                return Ok(None);
            }
            // As small a number as holds it.
            let some = match group.get("count") {
                Some(Bson::Int32(some)) => u64::try_from(*some).ok(),
                Some(Bson::Int64(some)) => u64::try_from(*some).ok(),
                _ => None,
            };
            count += some.ok_or_else(|| odd(messages::COLLECTION, "a count is no number"))?;
        }
        Ok(Some(count))
    }

    /// The same for every query, in as many questions as it takes.
    async fn count_by_parts(&self, query: &MessageQuery) -> Result<u64, StoreError> {
        let dated = self
            .database
            .count(messages::COLLECTION, messages::dated(query))
            .await?;
        let mut undated = 0;
        self.each_undated(query, |_| undated += 1).await?;
        Ok(dated + undated)
    }

    /// Instant of a room's first (1) or last (-1) dated message.
    async fn edge(&self, query: &MessageQuery, order: i32) -> Result<Option<i64>, StoreError> {
        let options = FindOneOptions::builder()
            .sort(doc! {"ts": order})
            .projection(doc! {"ts": 1})
            .build();
        let found = self
            .database
            .first(messages::COLLECTION, messages::dated(query), options)
            .await?;
        Ok(found.and_then(|doc| Doc::new(&doc.0).ok()?.get("ts")?.millis()))
    }

    /// The document with the first `_id` of those that a filter finds.
    async fn first(
        &self,
        collection: &str,
        filter: Document,
    ) -> Result<Option<RawDoc>, StoreError> {
        let options = FindOneOptions::builder().sort(doc! {"_id": 1}).build();
        self.database.first(collection, filter, options).await
    }

    async fn summary(&self, room: RawDoc) -> Result<RoomSummary, StoreError> {
        let id = Doc::new(&room.0)
            .ok()
            .and_then(|doc| Some(id_text(doc.get("_id")?).into_owned()));
        let query = MessageQuery {
            room: RoomId(id.unwrap_or_default()),
            window: Window::default(),
            selection: Selection::All,
        };
        let (mut first, mut last) = (self.edge(&query, 1).await?, self.edge(&query, -1).await?);
        let mut undated = 0;
        self.each_undated(&query, |key| {
            undated += 1;
            if key.ts != NO_TS {
                first = Some(first.map_or(key.ts, |first| first.min(key.ts)));
                last = Some(last.map_or(key.ts, |last| last.max(key.ts)));
            }
        })
        .await?;
        let dated = self
            .database
            .count(messages::COLLECTION, messages::dated(&query))
            .await?;
        let mut filter = doc! {"rid": &query.room.0, "size": {"$gt": 0}};
        filter.extend(no_thumbnail());
        let options = FindOptions::builder().projection(doc! {"size": 1}).build();
        let mut file_bytes = 0_u64;
        let uploads = self.database.relaxed(UPLOADS);
        self.database
            .each(&uploads, filter, options, |upload| {
                let size = Doc::new(upload)
                    .ok()
                    .and_then(|doc| doc.get("size")?.integer());
                let size = size.and_then(|size| u64::try_from(size).ok());
                file_bytes = file_bytes.saturating_add(size.unwrap_or(0));
                true
            })
            .await?;
        Ok(RoomSummary {
            room,
            messages: dated + undated,
            first,
            last,
            file_bytes,
        })
    }
}

#[async_trait]
impl MessageSource for MongoSource {
    async fn rooms(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomSummary>, StoreError> {
        let filter = match after {
            Some(after) => doc! {"_id": {"$gt": &after.0}},
            None => doc! {},
        };
        let mut summaries = Vec::new();
        for room in self.rooms_of(filter, limit, |_| true).await? {
            summaries.push(self.summary(room).await?);
        }
        Ok(summaries)
    }

    async fn find_rooms(&self, name: &str, limit: usize) -> Result<Vec<RawDoc>, StoreError> {
        if let Some(room) = self.prompt.by_id(ROOMS, name).await? {
            return Ok(vec![room]);
        }
        if let Some(username) = name.strip_prefix('@') {
            let exact = self
                .direct_rooms(doc! {"t": "d", "usernames": username}, limit, |candidate| {
                    candidate == username
                })
                .await?;
            if !exact.is_empty() {
                return Ok(exact);
            }
            let folded = username.to_lowercase();
            let similar = self
                .direct_rooms(doc! {"t": "d"}, limit, |candidate| {
                    candidate.to_lowercase() == folded
                })
                .await?;
            if !similar.is_empty() {
                return Ok(similar);
            }
        }
        let bare = name.strip_prefix('#').unwrap_or(name);
        let names = doc! {"$in": [name, bare]};
        let filter = doc! {"$or": [{"name": &names}, {"fname": &names}]};
        let text = |room: Doc<'_>, key: &str| {
            room.text(key)
                .map_or_else(String::new, |text| text.to_str().into_owned())
        };
        let exact = self
            .rooms_of(filter, limit, |room| {
                ["name", "fname"].into_iter().any(|key| {
                    let candidate = text(room, key);
                    !candidate.is_empty() && (candidate == name || candidate == bare)
                })
            })
            .await?;
        if !exact.is_empty() {
            return Ok(exact);
        }
        // Names are of all scripts, and a server folds those of one language at a time: looked through here.
        let (name, bare) = (name.to_lowercase(), bare.to_lowercase());
        self.rooms_of(doc! {}, limit, |room| {
            ["name", "fname"].into_iter().any(|key| {
                let candidate = text(room, key).to_lowercase();
                !candidate.is_empty() && (candidate == name || candidate == bare)
            })
        })
        .await
    }

    async fn count(&self, query: &MessageQuery) -> Result<u64, StoreError> {
        if messages::is_from_the_beginning(query)
            && let Some(count) = self.count_at_once(query).await?
        {
            return Ok(count);
        }
        self.count_by_parts(query).await
    }

    async fn survey(&self, query: &MessageQuery) -> Result<Survey, StoreError> {
        let now = self.database.look().await?;
        let mut query = query.clone();
        if let Some(to) = query.window.to.filter(|&to| to <= now) {
            let messages = self.count(&query).await?;
            let until = Some(to);
            return Ok(Survey { messages, until });
        }
        // Clocks of those who write may be ahead of the server's: what they have written is there already.
        let mut later = query.clone();
        later.window.from = Some(now + 1);
        let mut until = self.edge(&later, -1).await?.unwrap_or(now);
        // Nothing of the query that is there is later.
        if messages::is_from_the_beginning(&query)
            && let Some(messages) = self.count_at_once(&query).await?
        {
            let until = Some(until);
            return Ok(Survey { messages, until });
        }
        self.each_undated(&query, |key| until = until.max(key.ts))
            .await?;
        query.window.to = Some(until);
        let messages = self.count_by_parts(&query).await?;
        let until = Some(until);
        Ok(Survey { messages, until })
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Box<dyn MessageCursor>, StoreError> {
        let (database, query) = (self.database.clone(), query.clone());
        Ok(cursor(move |batches| {
            messages::read(&database, &query, batches)
        }))
    }

    async fn chosen(
        &self,
        room: &RoomId,
        ids: &[String],
    ) -> Result<Box<dyn MessageCursor>, StoreError> {
        // Somebody may have written them a moment ago.
        self.database.look().await?;
        let (database, room, ids) = (self.database.clone(), room.clone(), ids.to_vec());
        Ok(cursor(move |batches| {
            messages::read_chosen(&database, &room, &ids, batches)
        }))
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<RawDoc>, StoreError> {
        self.database.by_id(UPLOADS, &id.0).await
    }

    async fn upload_stores(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let uploads = self.database.relaxed(UPLOADS);
        let stages = [
            doc! {"$match": no_thumbnail()},
            doc! {"$group": {"_id": "$store", "count": {"$sum": 1}}},
            doc! {"$sort": {"_id": 1}},
        ];
        let question = uploads.aggregate(stages);
        let mut cursor = self
            .database
            .ask(UPLOADS, async { question.batch().await })
            .await?;
        let mut stores: BTreeMap<String, u64> = BTreeMap::new();
        while let Some(batch) = self
            .database
            .ask(UPLOADS, async { cursor.next().await.transpose() })
            .await?
        {
            let docs = batch
                .doc_slices()
                .map_err(|error| self.database.failed(UPLOADS, &error))?;
            for doc in docs {
                let doc = document(doc).map_err(|reason| odd(UPLOADS, &reason))?;
                let Ok(doc) = Doc::new(doc) else { continue };
                let store = doc.text("_id").map(|store| store.to_str().into_owned());
                let count = doc.get("count").and_then(Value::integer).unwrap_or(0);
                let store = store.unwrap_or_default();
                if stores.len() < UPLOAD_STORES || stores.contains_key(&store) {
                    *stores.entry(store).or_default() += u64::try_from(count).unwrap_or(0);
                }
            }
        }
        Ok(stores)
    }

    async fn avatar(&self, of: &AvatarOf) -> Result<Option<RawDoc>, StoreError> {
        let filter = match of {
            AvatarOf::User(name) => doc! {"name": name, "rid": {"$in": [null, ""]}},
            AvatarOf::Room(room) => doc! {"rid": &room.0},
        };
        self.first("rocketchat_avatars", filter).await
    }

    async fn custom_emoji(&self, name: &str) -> Result<Option<RawDoc>, StoreError> {
        const COLLECTION: &str = "rocketchat_custom_emoji";
        match self.first(COLLECTION, doc! {"name": name}).await? {
            None => self.first(COLLECTION, doc! {"aliases": name}).await,
            found => Ok(found),
        }
    }

    async fn roles(&self, room: &RoomId, user: &str) -> Result<Vec<String>, StoreError> {
        let place = self
            .database
            .one(
                "rocketchat_subscription",
                doc! {"rid": &room.0, "u._id": user},
            )
            .await?;
        let user = self.database.by_id("users", user).await?;
        let mut roles = Vec::new();
        for doc in [place, user].into_iter().flatten() {
            for role in texts_at(Doc::new(&doc.0).unwrap_or(Doc::EMPTY), &["roles"]) {
                if roles.len() < ROLES && !roles.contains(&role) {
                    roles.push(role);
                }
            }
        }
        Ok(roles)
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        let settings = self.database.settings(ids).await?;
        Ok(Settings(settings))
    }
}
