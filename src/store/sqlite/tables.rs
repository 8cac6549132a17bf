//! Which document goes into which table, and by what else it is found.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};
use transcript::bson::{Doc, Malformed, Value, id_text};

use crate::store::StoreError;
use crate::store::order::{Marks, NO_ID};

/// A text of the document for an indexed column.
fn column<'a>(doc: Doc<'a>, path: &[&str]) -> Option<std::borrow::Cow<'a, str>> {
    match doc.at(path)? {
        Value::Null | Value::Undefined => None,
        value => Some(id_text(value)),
    }
}

/// Whether an upload's record stands for a thumbnail that Rocket.Chat made.
fn is_thumbnail(doc: Doc<'_>) -> bool {
    doc.text("typeGroup")
        .is_some_and(|group| group.0 == b"thumb")
        || doc.get("originalFileId").is_some_and(Value::truthy)
}

/// Puts a document in its place, over the one with the same `_id`. `number` names a document without `_id`. Not for
/// messages, which are sorted first: [`put_message`].
pub(crate) fn put(
    connection: &Connection,
    collection: &str,
    bytes: &[u8],
    number: u64,
) -> Result<(), PutError> {
    let doc = Doc::new(bytes)?;
    let Some(id) = column(doc, &["_id"]) else {
        let id = format!("#{number}");
        return put_document(connection, collection, &id, bytes);
    };
    match collection {
        "rocketchat_room" => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO room VALUES(?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    id,
                    column(doc, &["t"]),
                    column(doc, &["name"]),
                    column(doc, &["fname"]),
                    bytes
                ])?;
        }
        "users" => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO user VALUES(?1, ?2, ?3)")?
                .execute(params![id, column(doc, &["username"]), bytes])?;
        }
        "rocketchat_subscription" => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO subscription VALUES(?1, ?2, ?3, ?4)")?
                .execute(params![
                    id,
                    column(doc, &["rid"]),
                    column(doc, &["u", "_id"]),
                    bytes
                ])?;
        }
        "rocketchat_uploads" => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO upload VALUES(?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    id,
                    column(doc, &["rid"]),
                    doc.get("size").and_then(Value::integer),
                    is_thumbnail(doc),
                    bytes
                ])?;
        }
        "rocketchat_user_data_files" => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO user_data_file VALUES(?1, ?2, ?3)")?
                .execute(params![id, column(doc, &["userId"]), bytes])?;
        }
        _ => match bucket(collection).and_then(|bucket| Some((bucket, chunk_key(doc)?))) {
            Some((bucket, (files_id, n))) => {
                connection
                    .prepare_cached("INSERT OR REPLACE INTO chunk VALUES(?1, ?2, ?3, ?4)")?
                    .execute(params![bucket, files_id, n, bytes])?;
            }
            None => put_document(connection, collection, &id, bytes)?,
        },
    }
    put_keys(connection, collection, &id, doc)
}

/// Users by their name in small letters.
pub(crate) const USERNAME: &str = "username";
/// Users by their addresses in small letters.
pub(crate) const EMAIL: &str = "email";
/// Users by the hashes of their tokens.
pub(crate) const TOKEN: &str = "token";
/// Members of teams by [`pair`] of team and user.
pub(crate) const TEAM_MEMBER: &str = "team_member";
/// Agents of omnichannel departments by [`pair`] of department and user.
pub(crate) const DEPARTMENT_AGENT: &str = "department_agent";
/// Records of exports of ours by `createdAt`.
pub(crate) const EXPORT: &str = "export";

/// Avatars of users by their `name`, the username.
pub(crate) const AVATAR: &str = "avatar";
/// Avatars of rooms by their `rid`.
pub(crate) const ROOM_AVATAR: &str = "room_avatar";
/// Custom emoji by their name.
pub(crate) const EMOJI: &str = "emoji";
/// Custom emoji by their other names.
pub(crate) const EMOJI_ALIAS: &str = "emoji_alias";

/// Collections that have keys, with the question for all of their documents.
const KEYED: [(&str, &str); 6] = [
    ("users", "SELECT id, doc FROM user"),
    (
        "rocketchat_team_member",
        "SELECT id, doc FROM document WHERE collection = 'rocketchat_team_member'",
    ),
    (
        "rocketchat_livechat_department_agents",
        "SELECT id, doc FROM document WHERE collection = 'rocketchat_livechat_department_agents'",
    ),
    (
        "rocketchat_user_data_files",
        "SELECT id, doc FROM user_data_file",
    ),
    (
        "rocketchat_avatars",
        "SELECT id, doc FROM document WHERE collection = 'rocketchat_avatars'",
    ),
    (
        "rocketchat_custom_emoji",
        "SELECT id, doc FROM document WHERE collection = 'rocketchat_custom_emoji'",
    ),
];

/// Two ids as one key.
pub(crate) fn pair(first: &str, second: &str) -> String {
    // The length keeps ("a", "bc") from being ("ab", "c").
    format!("{}:{first}{second}", first.len())
}

/// Notes by what else a document is found, instead of what was noted for its id.
pub(super) fn put_keys(
    connection: &Connection,
    collection: &str,
    id: &str,
    doc: Doc<'_>,
) -> Result<(), PutError> {
    let clear = |kind: &str| {
        connection
            .prepare_cached("DELETE FROM found_by WHERE kind = ?1 AND id = ?2")?
            .execute([kind, id])
    };
    let note = |kind: &str, key: &dyn ToSql| {
        connection
            .prepare_cached("INSERT OR IGNORE INTO found_by VALUES(?1, ?2, ?3)")?
            .execute(params![kind, id, key])
    };
    let note_pair = |kind: &str, first: &str, second: &str| match (
        column(doc, &[first]),
        column(doc, &[second]),
    ) {
        (Some(first), Some(second)) => note(kind, &pair(&first, &second)).map(|_| ()),
        _ => Ok(()),
    };
    match collection {
        "users" => {
            clear(USERNAME)?;
            clear(EMAIL)?;
            clear(TOKEN)?;
            if let Some(name) = column(doc, &["username"]) {
                note(USERNAME, &name.to_lowercase())?;
            }
            let emails = doc.get("emails").and_then(Value::array);
            for email in emails.unwrap_or(Doc::EMPTY).values() {
                if let Some(address) = email.document().and_then(|email| email.text("address")) {
                    note(EMAIL, &address.to_str().to_lowercase())?;
                }
            }
            let tokens = doc.at(&["services", "resume", "loginTokens"]);
            let tokens = tokens.and_then(Value::array).unwrap_or(Doc::EMPTY);
            for token in tokens.values() {
                if let Some(hashed) = token.document().and_then(|token| token.text("hashedToken")) {
                    note(TOKEN, &hashed.to_str())?;
                }
            }
        }
        "rocketchat_team_member" => {
            clear(TEAM_MEMBER)?;
            note_pair(TEAM_MEMBER, "teamId", "userId")?;
        }
        "rocketchat_livechat_department_agents" => {
            clear(DEPARTMENT_AGENT)?;
            note_pair(DEPARTMENT_AGENT, "departmentId", "agentId")?;
        }
        "rocketchat_user_data_files" => {
            clear(EXPORT)?;
            if doc.get("exportRoom").and_then(Value::document).is_some()
                && let Some(created) = doc.get("createdAt").and_then(Value::millis)
            {
                note(EXPORT, &created)?;
            }
        }
        "rocketchat_avatars" => {
            clear(AVATAR)?;
            clear(ROOM_AVATAR)?;
            if let Some(room) = column(doc, &["rid"]) {
                note(ROOM_AVATAR, &room)?;
            } else if let Some(name) = column(doc, &["name"]) {
                note(AVATAR, &name)?;
            }
        }
        "rocketchat_custom_emoji" => {
            clear(EMOJI)?;
            clear(EMOJI_ALIAS)?;
            if let Some(name) = column(doc, &["name"]) {
                note(EMOJI, &name)?;
            }
            let aliases = doc.get("aliases").and_then(Value::array);
            for alias in aliases.unwrap_or(Doc::EMPTY).values() {
                if let Some(alias) = alias.text() {
                    note(EMOJI_ALIAS, &alias.to_str())?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether the keys were noted by a program that did not look for pictures yet.
pub(super) fn lacks_pictures(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM document WHERE collection IN ('rocketchat_avatars', 'rocketchat_custom_emoji')) \
             AND NOT EXISTS(SELECT 1 FROM found_by WHERE kind IN ('avatar', 'room_avatar', 'emoji'))",
        )?
        .query_row([], |row| row.get(0))?)
}

/// Notes the keys of all documents that are there.
pub(super) fn put_all_keys(connection: &Connection) -> Result<(), StoreError> {
    for (collection, question) in KEYED {
        let mut statement = connection.prepare(question)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            Doc::new(bytes)
                .map_err(PutError::from)
                .and_then(|doc| put_keys(connection, collection, &id, doc))
                .map_err(|error| error.at(collection, 0))?;
        }
    }
    Ok(())
}

fn put_document(
    connection: &Connection,
    collection: &str,
    id: &str,
    bytes: &[u8],
) -> Result<(), PutError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO document VALUES(?1, ?2, ?3)")?
        .execute(params![collection, id, bytes])?;
    Ok(())
}

/// Puts a message over the one with the same id ([`MessageKey::id_in`](crate::store::order::MessageKey::id_in)).
pub(crate) fn put_message(
    connection: &Connection,
    rid: &str,
    ts: i64,
    id: &[u8],
    marks: Marks,
    bytes: &[u8],
) -> Result<(), rusqlite::Error> {
    // SQLite puts every blob behind every text, as the bytes are.
    let id = if id.first() == Some(&NO_ID) {
        ValueRef::Blob(id)
    } else {
        ValueRef::Text(id)
    };
    connection
        .prepare_cached("INSERT OR REPLACE INTO message VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            rid,
            ts,
            ToSqlOutput::Borrowed(id),
            marks.0,
            i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            bytes
        ])?;
    Ok(())
}

/// The bucket whose chunks the collection holds.
pub(crate) fn bucket(collection: &str) -> Option<&str> {
    collection.strip_suffix(".chunks")
}

/// File and place of a chunk.
pub(crate) fn chunk_key(doc: Doc<'_>) -> Option<(std::borrow::Cow<'_, str>, i64)> {
    let n = doc.get("n").and_then(Value::integer)?;
    Some((column(doc, &["files_id"])?, n))
}

/// Why a document could not be put.
#[derive(Debug)]
pub(crate) enum PutError {
    /// It is not BSON.
    Malformed(Malformed),
    /// The database refused.
    Sqlite(rusqlite::Error),
}

impl PutError {
    /// The error for a document that was met at this offset of a collection.
    pub(crate) fn at(self, collection: &str, offset: u64) -> StoreError {
        match self {
            Self::Malformed(malformed) => StoreError::Corrupt(format!(
                "the document at byte {offset} of {collection} is damaged: {malformed}; dump again, or load what is readable with mongorestore into an empty server and dump that"
            )),
            Self::Sqlite(error) => error.into(),
        }
    }
}

impl From<Malformed> for PutError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<rusqlite::Error> for PutError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
