//! Users, what they may do, and records of exports, in a workspace file.

use std::path::Path;

use async_trait::async_trait;
use bson::spec::ElementType;
use bson::{DateTime, doc};
use rusqlite::{
    Connection, OptionalExtension, Params, Row, Transaction, TransactionBehavior, params,
};
use transcript::bson::Doc;

use super::turns::Turns;
use super::{query, rewrite, schema, tables};
use crate::store::directory::{
    Directory, LoginName, LoginToken, Settings, Subscription, TeamKind, User, UserId,
    permission_roles,
};
use crate::store::user_data::{UserDataFile, UserDataFiles};
use crate::store::{RawDoc, RoomId, StoreError};

/// Where the login tokens are in a user's document.
const TOKENS: [&str; 3] = ["services", "resume", "loginTokens"];

const BY_KEY: &str = "SELECT id FROM found_by WHERE kind = ?1 AND key = ?2 LIMIT 2";
const CREATED_BEFORE: &str = "SELECT doc FROM found_by JOIN user_data_file USING(id) WHERE kind = ?1 AND key < ?2 \
     AND (key, id) > (?3, ?4) ORDER BY key, id LIMIT ?5";
const SUBSCRIBED_ROOMS: &str = "SELECT doc FROM room WHERE id IN (SELECT rid FROM subscription WHERE uid = ?1) \
     AND id > coalesce(?2, '') ORDER BY id LIMIT ?3";
/// Rocket.Chat has a unique index over the two.
const SUBSCRIPTION: &str =
    "SELECT doc FROM subscription WHERE rid = ?1 AND uid = ?2 ORDER BY id LIMIT 1";

/// A workspace file, open for questions about users and for the little that is written about them.
#[derive(Clone, Debug)]
pub struct SqliteDirectory {
    /// Apart from the other, so that nobody who asks waits for somebody who writes.
    reads: Turns,
    writes: Turns,
}

impl SqliteDirectory {
    /// Opens a workspace that `export-room import` has finished. Blocking.
    ///
    /// [`StoreError::NotOurs`] when the file is something else, its import was not finished, or it cannot be written to.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // First, because it adds what a file of an older program lacks.
        let writes = schema::open_to_serve(path)?;
        let reads = schema::open_to_read(path)?;
        Ok(Self {
            reads: Turns::new(reads),
            writes: Turns::new(writes),
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.reads.take(|connection| question(connection)).await
    }

    async fn write(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.writes
            .take(|connection| {
                // Immediate: a transaction that reads first and then wants to write could be refused.
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                change(&transaction)?;
                transaction.commit()?;
                Ok(())
            })
            .await
    }

    /// A document of a collection without a table of its own.
    async fn document(
        &self,
        collection: &'static str,
        id: &str,
    ) -> Result<Option<RawDoc>, StoreError> {
        let id = id.to_owned();
        self.ask(move |connection| query::document(connection, collection, &id))
            .await
    }

    /// Whether a document is found by a pair of ids.
    async fn has_pair(
        &self,
        kind: &'static str,
        first: &str,
        second: &str,
    ) -> Result<bool, StoreError> {
        let key = tables::pair(first, second);
        self.ask(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT EXISTS(SELECT 1 FROM found_by WHERE kind = ?1 AND key = ?2)",
                )?
                .query_row([kind, &key], |row| row.get(0))?)
        })
        .await
    }
}

/// Writes the record of an export, over the one with the same id. For the queue, which writes it in the transaction that
/// ends the job.
pub(crate) fn put_user_data_file(
    connection: &Connection,
    file: &UserDataFile,
) -> Result<(), StoreError> {
    const COLLECTION: &str = "rocketchat_user_data_files";
    tables::put(connection, COLLECTION, &file.doc.0, 0).map_err(|error| error.at(COLLECTION, 0))
}

fn raw(row: &Row<'_>) -> rusqlite::Result<RawDoc> {
    Ok(RawDoc(row.get_ref(0)?.as_blob()?.to_vec()))
}

fn user(connection: &Connection, id: &str) -> Result<Option<User>, StoreError> {
    user_doc(connection, id)?
        .map(|doc| User::read(&doc))
        .transpose()
}

fn user_doc(connection: &Connection, id: &str) -> Result<Option<RawDoc>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT doc FROM user WHERE id = ?1")?
        .query_row([id], raw)
        .optional()?)
}

/// The one id that a question finds; `None` when it finds several.
fn only_id(
    connection: &Connection,
    sql: &str,
    key: impl Params,
) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(key)?;
    let Some(first) = rows.next()? else {
        return Ok(None);
    };
    let id = first.get(0)?;
    Ok(if rows.next()?.is_none() {
        Some(id)
    } else {
        None
    })
}

fn find_user(connection: &Connection, name: &LoginName) -> Result<Option<User>, StoreError> {
    const EXACT: &str = "SELECT id FROM user WHERE username = ?1 LIMIT 2";
    let id = match name {
        LoginName::Username(name) => match only_id(connection, EXACT, [name])? {
            Some(id) => Some(id),
            None => only_id(connection, BY_KEY, [tables::USERNAME, &name.to_lowercase()])?,
        },
        LoginName::Email(address) => {
            only_id(connection, BY_KEY, [tables::EMAIL, &address.to_lowercase()])?
        }
    };
    match id {
        Some(id) => user(connection, &id),
        None => Ok(None),
    }
}

/// Puts what `change` makes of a user's document in its place.
fn change_user(
    connection: &Connection,
    id: &UserId,
    change: impl FnOnce(&[u8]) -> Result<Vec<u8>, StoreError>,
) -> Result<(), StoreError> {
    if let Some(doc) = user_doc(connection, &id.0)? {
        let changed = change(&doc.0)?;
        connection
            .prepare_cached("UPDATE user SET doc = ?2 WHERE id = ?1")?
            .execute(params![id.0, changed])?;
        Doc::new(&changed)
            .map_err(tables::PutError::from)
            .and_then(|doc| tables::put_keys(connection, "users", &id.0, doc))
            .map_err(|error| error.at("users", 0))?;
    }
    Ok(())
}

/// The document with one login token more; of the login tokens before it the oldest go, so that `keep` stay.
fn with_token(user: &[u8], hashed: &str, now: i64, keep: usize) -> Result<Vec<u8>, StoreError> {
    let token = doc! {"when": DateTime::from_millis(now), "hashedToken": hashed}
        .to_vec()
        .map_err(|error| StoreError::Corrupt(format!("a token cannot be written: {error}")))?;
    let user = rewrite::with(user, &TOKENS, &mut |found| {
        let tokens = array_of(found);
        let mut oldest = Vec::new();
        let mut index = 0;
        rewrite::each(tokens, |_, kind, value| {
            oldest.extend(login_time(kind, value).map(|when| (when, index)));
            index += 1;
            Ok(())
        })?;
        oldest.sort_unstable();
        let surplus = (oldest.len() + 1).saturating_sub(keep).min(oldest.len());
        let last = surplus.checked_sub(1).map(|last| oldest[last]);
        index = 0;
        rewrite::array(
            tokens,
            |kind, value| {
                let goes = login_time(kind, value).is_some_and(|when| Some((when, index)) <= last);
                index += 1;
                !goes
            },
            &[&token],
        )
    })?;
    rewrite::with(&user, &["lastLogin"], &mut |_| Ok(rewrite::date(now)))
}

/// The document without a token.
fn without_token(user: &[u8], hashed: &str) -> Result<Vec<u8>, StoreError> {
    rewrite::with(user, &TOKENS, &mut |found| {
        rewrite::array(
            array_of(found),
            |kind, value| token(kind, value).is_none_or(|token| token.hashed != hashed),
            &[],
        )
    })
}

fn array_of(found: Option<rewrite::RawValueRef<'_>>) -> &[u8] {
    match found {
        Some((ElementType::Array, tokens)) => tokens,
        _ => rewrite::EMPTY,
    }
}

fn token(kind: ElementType, value: &[u8]) -> Option<LoginToken> {
    match kind {
        ElementType::EmbeddedDocument => LoginToken::read(Doc::new(value).ok()?),
        _ => None,
    }
}

/// When a login token was made; `None` for what is no login token.
fn login_time(kind: ElementType, value: &[u8]) -> Option<i64> {
    let token = token(kind, value).filter(|token| !token.personal)?;
    Some(token.when.unwrap_or(i64::MIN))
}

#[async_trait]
impl Directory for SqliteDirectory {
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let id = id.clone();
        self.ask(move |connection| user(connection, &id.0)).await
    }

    async fn token_owner(&self, hashed: &str) -> Result<Option<User>, StoreError> {
        let hashed = hashed.to_owned();
        self.ask(move |connection| {
            only_id(connection, BY_KEY, [tables::TOKEN, &hashed])?
                .map_or(Ok(None), |id| user(connection, &id))
        })
        .await
    }

    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError> {
        let name = name.clone();
        self.ask(move |connection| find_user(connection, &name))
            .await
    }

    async fn add_login_token(
        &self,
        user: &UserId,
        hashed: &str,
        now: i64,
        keep: usize,
    ) -> Result<(), StoreError> {
        let (user, hashed) = (user.clone(), hashed.to_owned());
        self.write(move |transaction| {
            change_user(transaction, &user, |doc| {
                with_token(doc, &hashed, now, keep)
            })
        })
        .await
    }

    async fn remove_login_token(&self, user: &UserId, hashed: &str) -> Result<(), StoreError> {
        let (user, hashed) = (user.clone(), hashed.to_owned());
        self.write(move |transaction| {
            change_user(transaction, &user, |doc| without_token(doc, &hashed))
        })
        .await
    }

    async fn permission_roles(&self, permission: &str) -> Result<Vec<String>, StoreError> {
        match self.document("rocketchat_permissions", permission).await? {
            Some(doc) => permission_roles(&doc.0),
            None => Ok(Vec::new()),
        }
    }

    async fn room(&self, room: &RoomId) -> Result<Option<RawDoc>, StoreError> {
        let room = room.clone();
        self.ask(move |connection| {
            Ok(connection
                .prepare_cached("SELECT doc FROM room WHERE id = ?1")?
                .query_row([&room.0], raw)
                .optional()?)
        })
        .await
    }

    async fn subscribed_rooms(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RawDoc>, StoreError> {
        let (user, after) = (user.clone(), after.cloned());
        self.ask(move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            Ok(connection
                .prepare_cached(SUBSCRIBED_ROOMS)?
                .query_map(params![user.0, after.map(|room| room.0), limit], raw)?
                .collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn subscription(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Result<Option<Subscription>, StoreError> {
        let (room, user) = (room.clone(), user.clone());
        self.ask(move |connection| {
            connection
                .prepare_cached(SUBSCRIPTION)?
                .query_row([&room.0, &user.0], raw)
                .optional()?
                .map(|doc| Subscription::read(&doc.0))
                .transpose()
        })
        .await
    }

    async fn team(&self, id: &str) -> Result<Option<TeamKind>, StoreError> {
        self.document("rocketchat_team", id)
            .await?
            .map(|doc| TeamKind::read(&doc.0))
            .transpose()
    }

    async fn is_team_member(&self, team: &str, user: &UserId) -> Result<bool, StoreError> {
        self.has_pair(tables::TEAM_MEMBER, team, &user.0).await
    }

    async fn is_department_agent(
        &self,
        department: &str,
        user: &UserId,
    ) -> Result<bool, StoreError> {
        self.has_pair(tables::DEPARTMENT_AGENT, department, &user.0)
            .await
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        self.ask(move |connection| query::settings(connection, &ids))
            .await
    }
}

#[async_trait]
impl UserDataFiles for SqliteDirectory {
    async fn file(&self, id: &str) -> Result<Option<UserDataFile>, StoreError> {
        let id = id.to_owned();
        self.ask(move |connection| {
            connection
                .prepare_cached("SELECT doc FROM user_data_file WHERE id = ?1")?
                .query_row([&id], raw)
                .optional()?
                .map(UserDataFile::read)
                .transpose()
        })
        .await
    }

    async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |transaction| {
            transaction.execute("DELETE FROM user_data_file WHERE id = ?1", [&id])?;
            transaction.execute(
                "DELETE FROM found_by WHERE kind = ?1 AND id = ?2",
                [tables::EXPORT, &id],
            )?;
            Ok(())
        })
        .await
    }

    async fn created_before(
        &self,
        instant: i64,
        after: Option<(i64, &str)>,
        limit: usize,
    ) -> Result<Vec<UserDataFile>, StoreError> {
        let (at, id) = after.unwrap_or((i64::MIN, ""));
        let id = id.to_owned();
        self.ask(move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut statement = connection.prepare_cached(CREATED_BEFORE)?;
            let mut rows = statement.query(params![tables::EXPORT, instant, at, id, limit])?;
            let mut files = Vec::new();
            while let Some(row) = rows.next()? {
                files.push(UserDataFile::read(raw(row)?)?);
            }
            Ok(files)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::ValueRef;

    use super::*;

    fn record(id: &str, created: i64) -> UserDataFile {
        let doc = doc! {
            "_id": id, "userId": "ann", "createdAt": DateTime::from_millis(created), "exportRoom": {"job": id},
        };
        UserDataFile::read(RawDoc(doc.to_vec().unwrap())).unwrap()
    }

    async fn exports(directory: &SqliteDirectory) -> Vec<(String, i64)> {
        let files = directory.created_before(100, None, 10).await.unwrap();
        let created = |file: &UserDataFile| {
            let doc = Doc::new(&file.doc.0).unwrap();
            doc.get("createdAt").unwrap().millis().unwrap()
        };
        files
            .iter()
            .map(|file| (file.id.clone(), created(file)))
            .collect()
    }

    #[tokio::test]
    async fn a_record_is_there_when_the_transaction_that_put_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("chat.db");
        drop(schema::open_to_write(&path).unwrap());
        let directory = SqliteDirectory::open(&path).unwrap();
        let mut queue = schema::open_to_serve(&path).unwrap();

        let transaction = queue.transaction().unwrap();
        put_user_data_file(&transaction, &record("e", 5)).unwrap();
        transaction.rollback().unwrap();
        assert!(directory.file("e").await.unwrap().is_none());
        assert!(exports(&directory).await.is_empty());

        // Twice, as after a crash: there is one, the last.
        for created in [5, 6] {
            let transaction = queue.transaction().unwrap();
            put_user_data_file(&transaction, &record("e", created)).unwrap();
            transaction.commit().unwrap();
        }
        assert!(directory.file("e").await.unwrap().is_some());
        assert_eq!(exports(&directory).await, [("e".to_owned(), 6)]);
    }

    #[test]
    fn what_is_committed_is_durable() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("chat.db");
        drop(schema::open_to_write(&path).unwrap());
        let connection = schema::open_to_serve(&path).unwrap();
        let pragma = |name| -> String {
            connection
                .query_row(&format!("SELECT {name} FROM pragma_{name}"), [], |row| {
                    row.get_ref(0).map(|value| match value {
                        ValueRef::Integer(number) => number.to_string(),
                        other => other.as_str().unwrap().to_owned(),
                    })
                })
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal");
        // FULL.
        assert_eq!(pragma("synchronous"), "2");
        let timeout: i64 = connection
            .query_row("PRAGMA busy_timeout", [], |row| row.get(0))
            .unwrap();
        assert_eq!(timeout, 30_000);
    }

    #[test]
    fn no_question_looks_through_a_table() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("chat.db");
        let (connection, _) = schema::open_to_write(&path).unwrap();
        for (question, index) in [
            (
                CREATED_BEFORE,
                "found_by_key (kind=? AND (key,id)>(?,?) AND key<?)",
            ),
            (BY_KEY, "found_by_key (kind=? AND key=?)"),
            (SUBSCRIBED_ROOMS, "subscription_user (uid=?)"),
            (SUBSCRIPTION, "subscription_room (rid=? AND uid=?)"),
        ] {
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {question}"))
                .unwrap();
            let mut rows = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get::<_, String>(3).unwrap());
            }
            let plan = plan.join("; ");
            assert!(plan.contains(index) && !plan.contains("SCAN"), "{plan}");
        }
    }
}
