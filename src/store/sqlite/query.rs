//! Questions about rooms and uploads, the same for a workspace and for the catalogue of a dump.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use transcript::bson::{Doc, Text, id_text};

use super::tables;
use crate::store::directory::{Settings, setting_value};
use crate::store::fields::texts_at;
use crate::store::{AvatarOf, ROLES, RawDoc, RoomId, RoomSummary, StoreError, UPLOAD_STORES};

/// Count, first and last instant of a room's messages.
pub(crate) type MessageStats = (u64, Option<i64>, Option<i64>);

fn doc(row: &Row<'_>) -> rusqlite::Result<RawDoc> {
    Ok(RawDoc(row.get_ref(0)?.as_blob()?.to_vec()))
}

/// At most `limit` rooms by id, after the one given; `stats` knows their messages.
pub(crate) fn rooms(
    connection: &Connection,
    after: Option<&RoomId>,
    limit: usize,
    stats: impl Fn(&str) -> Result<MessageStats, StoreError>,
) -> Result<Vec<RoomSummary>, StoreError> {
    let mut rooms = Vec::new();
    let mut statement = connection.prepare_cached(
        "SELECT doc, id FROM room WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![after.map(|room| &room.0), limit_of(limit)])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(1)?;
        let (messages, first, last) = stats(&id)?;
        let file_bytes: i64 = connection
            .prepare_cached(
                "SELECT coalesce(sum(size), 0) FROM upload WHERE rid = ?1 AND thumb = 0 AND size > 0",
            )?
            .query_row([&id], |row| row.get(0))?;
        rooms.push(RoomSummary {
            room: doc(row)?,
            messages,
            first,
            last,
            file_bytes: file_bytes.cast_unsigned(),
        });
    }
    Ok(rooms)
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The rooms that a user may mean by `name`; see [`crate::store::MessageSource::find_rooms`].
pub(crate) fn find_rooms(
    connection: &Connection,
    name: &str,
    limit: usize,
) -> Result<Vec<RawDoc>, StoreError> {
    let by_id = connection
        .prepare_cached("SELECT doc FROM room WHERE id = ?1")?
        .query_row([name], doc)
        .optional()?;
    if let Some(room) = by_id {
        return Ok(vec![room]);
    }
    if let Some(username) = name.strip_prefix('@') {
        let exact = direct_rooms(connection, limit, |candidate| candidate == username)?;
        if !exact.is_empty() {
            return Ok(exact);
        }
        let folded = username.to_lowercase();
        let similar = direct_rooms(connection, limit, |candidate| {
            candidate.to_lowercase() == folded
        })?;
        if !similar.is_empty() {
            return Ok(similar);
        }
    }
    let bare = name.strip_prefix('#').unwrap_or(name);
    let exact: Vec<RawDoc> = connection
        .prepare_cached(
            "SELECT doc FROM room WHERE name IN (?1, ?2) OR fname IN (?1, ?2) ORDER BY id LIMIT ?3",
        )?
        .query_map(params![name, bare, limit_of(limit)], doc)?
        .collect::<Result<_, _>>()?;
    if !exact.is_empty() {
        return Ok(exact);
    }
    // SQLite folds ASCII only, and names are of all scripts: looked through here, a room at a time.
    let (name, bare) = (name.to_lowercase(), bare.to_lowercase());
    let mut similar = Vec::new();
    let mut statement =
        connection.prepare_cached("SELECT doc, name, fname FROM room ORDER BY id")?;
    let mut rows = statement.query([])?;
    while similar.len() < limit
        && let Some(row) = rows.next()?
    {
        for column in [1, 2] {
            let candidate = row
                .get_ref(column)?
                .as_str_or_null()
                .map_err(rusqlite::Error::from)?
                .unwrap_or_default();
            let candidate = candidate.to_lowercase();
            if !candidate.is_empty() && (candidate == name || candidate == bare) {
                similar.push(doc(row)?);
                break;
            }
        }
    }
    Ok(similar)
}

/// The direct rooms of two in which a user is whose name matches.
fn direct_rooms(
    connection: &Connection,
    limit: usize,
    matches: impl Fn(&str) -> bool,
) -> Result<Vec<RawDoc>, StoreError> {
    let mut found = Vec::new();
    let mut statement =
        connection.prepare_cached("SELECT doc FROM room WHERE t = 'd' ORDER BY id")?;
    let mut rows = statement.query([])?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let names = Doc::new(bytes)
            .ok()
            .and_then(|room| room.get("usernames")?.array())
            .unwrap_or(Doc::EMPTY);
        let mut count = 0;
        let mut member = false;
        for name in names.values() {
            count += 1;
            member |= matches(&id_text(name));
        }
        if count == 2 && member {
            found.push(RawDoc(bytes.to_vec()));
        }
    }
    Ok(found)
}

/// The upload's record.
pub(crate) fn upload(connection: &Connection, id: &str) -> Result<Option<RawDoc>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT doc FROM upload WHERE id = ?1")?
        .query_row([id], doc)
        .optional()?)
}

/// Places of uploads, counted; see [`crate::store::MessageSource::upload_stores`].
pub(crate) fn upload_stores(connection: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut stores: BTreeMap<String, u64> = BTreeMap::new();
    let mut statement = connection.prepare_cached("SELECT doc FROM upload WHERE thumb = 0")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        // A damaged record names nothing; the export of its message says so.
        let store = Doc::new(bytes).ok().and_then(|doc| doc.text("store"));
        let store = store.map(Text::to_str).unwrap_or_default();
        if let Some(count) = stores.get_mut(store.as_ref()) {
            *count += 1;
        } else if stores.len() < UPLOAD_STORES {
            stores.insert(store.into_owned(), 1);
        }
    }
    Ok(stores)
}

/// The record of an avatar; see [`crate::store::MessageSource::avatar`].
pub(crate) fn avatar(connection: &Connection, of: &AvatarOf) -> Result<Option<RawDoc>, StoreError> {
    let (kind, key) = match of {
        AvatarOf::User(name) => (tables::AVATAR, name),
        AvatarOf::Room(room) => (tables::ROOM_AVATAR, &room.0),
    };
    found_by(connection, "rocketchat_avatars", kind, key)
}

/// The record of a custom emoji; see [`crate::store::MessageSource::custom_emoji`].
pub(crate) fn custom_emoji(
    connection: &Connection,
    name: &str,
) -> Result<Option<RawDoc>, StoreError> {
    const COLLECTION: &str = "rocketchat_custom_emoji";
    match found_by(connection, COLLECTION, tables::EMOJI, name)? {
        None => found_by(connection, COLLECTION, tables::EMOJI_ALIAS, name),
        found => Ok(found),
    }
}

/// The first of the documents that have this key. A file that was made before there were keys has none of them.
fn found_by(
    connection: &Connection,
    collection: &str,
    kind: &str,
    key: &str,
) -> Result<Option<RawDoc>, StoreError> {
    let sql = "SELECT doc FROM found_by JOIN document USING (id) \
               WHERE kind = ?1 AND key = ?2 AND collection = ?3 ORDER BY id LIMIT 1";
    match connection.prepare_cached(sql) {
        Ok(mut statement) => Ok(statement
            .query_row([kind, key, collection], doc)
            .optional()?),
        Err(rusqlite::Error::SqliteFailure(_, Some(reason)))
            if reason.contains("no such table") =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Roles of a user in the room, then everywhere; see [`crate::store::MessageSource::roles`].
pub(crate) fn roles(
    connection: &Connection,
    room: &RoomId,
    user: &str,
) -> Result<Vec<String>, StoreError> {
    let mut roles = Vec::new();
    let mut add = |row: &Row<'_>| {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        for role in texts_at(Doc::new(bytes).unwrap_or(Doc::EMPTY), &["roles"]) {
            if roles.len() < ROLES && !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok::<_, rusqlite::Error>(())
    };
    connection
        .prepare_cached("SELECT doc FROM subscription WHERE rid = ?1 AND uid = ?2 LIMIT 1")?
        .query_row([&room.0, user], &mut add)
        .optional()?;
    connection
        .prepare_cached("SELECT doc FROM user WHERE id = ?1")?
        .query_row([user], &mut add)
        .optional()?;
    Ok(roles)
}

/// A document of a collection without a table of its own.
pub(crate) fn document(
    connection: &Connection,
    collection: &str,
    id: &str,
) -> Result<Option<RawDoc>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT doc FROM document WHERE collection = ?1 AND id = ?2")?
        .query_row([collection, id], doc)
        .optional()?)
}

/// The settings with these ids, those that have a value.
pub(crate) fn settings(connection: &Connection, ids: &[String]) -> Result<Settings, StoreError> {
    let mut settings = Settings::default();
    for id in ids {
        if let Some(doc) = document(connection, "rocketchat_settings", id)?
            && let Some(value) = setting_value(&doc.0)
        {
            settings.0.insert(id.clone(), value);
        }
    }
    Ok(settings)
}
