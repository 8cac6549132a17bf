//! The rooms that a user can see, as much of them as anybody in them may know.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde::Serialize;
use transcript::bson::{Doc, Value};
use utoipa::ToSchema;

use super::Http;
use super::auth::Caller;
use super::call::Call;
use super::error::{ApiError, Refusals, json_response, mark};
use super::exports::iso;
use super::fields::Query;
use super::rate_limit::Allowance;
use crate::store::directory::{RoomAccess, User};
use crate::store::{RawDoc, RoomId, StoreError};

/// Rooms that are read and sent at a time.
const BATCH: usize = 100;
/// Batches that wait for a slow client.
const WAITING: usize = 2;
/// Rooms of one name that are looked at: names are unique, display names are not.
const NAMESAKES: usize = 20;

/// A room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: String,
    /// `c` public, `p` private, `d` direct, `l` omnichannel.
    pub t: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What people see as its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fname: Option<String>,
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announcement: Option<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Messages in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msgs: Option<i64>,
    /// Users in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users_count: Option<i64>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u: Option<Maker>,
    /// Who is in a direct room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usernames: Vec<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// When its last message was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<String>,
    /// The room that this discussion belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prid: Option<String>,
    /// Its team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// Whether it is its team's main room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_main: Option<bool>,
    /// Whether its messages are encrypted from end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// Whether it is archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Whether only some may write in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ro: Option<bool>,
}

/// Who made a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoomMaker)]
pub struct Maker {
    /// The user's id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// The caller's rooms.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomsAnswer {
    /// The rooms.
    pub update: Vec<Room>,
    /// Always empty: what the caller could see before is not known.
    pub remove: Vec<Room>,
    /// Always true.
    pub success: bool,
}

/// One room.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomAnswer {
    /// The room.
    pub room: Room,
    /// Always true.
    pub success: bool,
}

/// Lists the rooms that the caller can see.
#[utoipa::path(
    get,
    path = "/api/v1/rooms.get",
    tag = "rooms",
    responses((status = 200, description = "The rooms", body = RoomsAnswer), Refusals),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn get(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
) -> Result<Response, ApiError> {
    http.admit(&call, Some(&caller.user), Allowance::Usual)
        .await?;
    // What fails at once still has an answer; later the connection breaks.
    let first = http.access.visible_rooms(&caller.user, None, BATCH).await?;
    let (sender, body) = Channel::new(WAITING);
    tokio::spawn(send(http, caller.user, first, sender));
    let mut response = Response::new(Body::new(body));
    mark(response.headers_mut());
    Ok(response)
}

/// Sends all rooms, never holding more than some batches of them.
async fn send(
    http: Http,
    user: User,
    mut rooms: Vec<RawDoc>,
    mut sender: Sender<Bytes, StoreError>,
) {
    let mut text = b"{\"update\":[".to_vec();
    let mut first = true;
    loop {
        for room in rooms.iter().filter_map(read) {
            if !std::mem::take(&mut first) {
                text.push(b',');
            }
            if let Err(error) = serde_json::to_writer(&mut text, &room) {
                tracing::error!(%error, "a room cannot be written");
                return sender.abort(StoreError::Corrupt(error.to_string()));
            }
        }
        let last = rooms.last().and_then(read).map(|room| RoomId(room.id));
        let Some(last) = last.filter(|_| rooms.len() >= BATCH) else {
            break;
        };
        // A client that went away needs no more.
        if sender
            .send_data(std::mem::take(&mut text).into())
            .await
            .is_err()
        {
            return;
        }
        rooms = match http.access.visible_rooms(&user, Some(&last), BATCH).await {
            Ok(rooms) => rooms,
            Err(error) => {
                tracing::error!(%error, "the list of rooms was cut off");
                return sender.abort(error);
            }
        };
    }
    text.extend_from_slice(b"],\"remove\":[],\"success\":true}");
    // As above.
    let _ = sender.send_data(text.into()).await;
}

/// Tells about one room that the caller can see.
#[utoipa::path(
    get,
    path = "/api/v1/rooms.info",
    tag = "rooms",
    params(
        ("roomId" = Option<String>, Query, description = "The room's id"),
        ("roomName" = Option<String>, Query, description = "Its name, when there is no id"),
    ),
    responses((status = 200, description = "The room", body = RoomAnswer), Refusals),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn info(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    let (id, name) = (query.text("roomId"), query.text("roomName"));
    if id.is_none() && name.is_none() {
        return Err(ApiError::reason(
            "error-roomid-param-not-provided",
            "The parameter \"roomId\" or \"roomName\" is required",
        ));
    }
    http.admit(&call, Some(&caller.user), Allowance::Usual)
        .await?;
    let candidates = match (id, name) {
        (Some(id), _) => {
            let room = http.service.directory.room(&RoomId(id.to_owned())).await?;
            room.into_iter().collect()
        }
        (None, name) => {
            let name = name.unwrap_or_default();
            http.service.source.find_rooms(name, NAMESAKES).await?
        }
    };
    for doc in candidates {
        let Some(room) = read(&doc) else {
            continue;
        };
        if id.is_none() && room.name.as_deref() != name {
            continue;
        }
        if http
            .access
            .may_open(&caller.user, &RoomAccess::read(&doc.0)?)
            .await?
        {
            let answer = RoomAnswer {
                room,
                success: true,
            };
            return Ok(json_response(StatusCode::OK, &answer));
        }
    }
    // The same whether there is no such room or the caller may not see it.
    Err(ApiError::reason(
        "error-room-not-found",
        "The required \"roomId\" or \"roomName\" param provided does not match any channel",
    ))
}

/// Reads a room's document; `None` when it is none. What is of an odd type is left out.
fn read(room: &RawDoc) -> Option<Room> {
    let doc = Doc::new(&room.0).ok()?;
    let text = |key| {
        let text = doc.text(key)?.to_str().into_owned();
        Some(text).filter(|text| !text.is_empty())
    };
    let truth = |key| doc.get(key).map(Value::truthy);
    let time = |key| doc.get(key).and_then(Value::millis).and_then(iso);
    let number = |key| doc.get(key).and_then(Value::integer);
    let maker = doc.get("u").and_then(Value::document);
    let usernames = doc.get("usernames").and_then(Value::array);
    Some(Room {
        id: text("_id")?,
        t: text("t").unwrap_or_default(),
        name: text("name"),
        fname: text("fname"),
        topic: text("topic"),
        announcement: text("announcement"),
        description: text("description"),
        msgs: number("msgs"),
        users_count: number("usersCount"),
        u: maker.and_then(|maker| {
            Some(Maker {
                id: maker.text("_id")?.to_str().into_owned(),
                username: maker
                    .text("username")
                    .map(|name| name.to_str().into_owned()),
            })
        }),
        usernames: usernames
            .into_iter()
            .flat_map(Doc::values)
            .filter_map(Value::text)
            .map(|name| name.to_str().into_owned())
            .collect(),
        ts: time("ts"),
        lm: time("lm"),
        prid: text("prid"),
        team_id: text("teamId"),
        team_main: truth("teamMain"),
        encrypted: truth("encrypted"),
        archived: truth("archived"),
        ro: truth("ro"),
    })
}
