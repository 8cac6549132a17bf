//! `POST /api/v1/rooms.export`: reads what is asked, checks it in the order of the specification, and writes the job
//! down before it says yes.

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::Http;
use super::auth::Caller;
use super::call::Call;
use super::error::{ApiError, BodyRefusals, Failure, Refusals, json_response};
use super::fields::{Fields, missing};
use super::rate_limit::Allowance;
use crate::access::Decision;
use crate::export::request::{Edge, Format, parse_date};
use crate::jobs::steps::{Step, reached};
use crate::jobs::{FileExportWork, JobId, NewJob, Work};
use crate::mail;
use crate::random;
use crate::store::RoomId;
use crate::store::directory::{LoginName, UserId};

/// All fields, in the order of the specification's table, and the one that only the web client sends.
const FIELDS: [&str; 10] = [
    "rid",
    "type",
    "dateFrom",
    "dateTo",
    "format",
    "toUsers",
    "toEmails",
    "messages",
    "subject",
    "additionalEmails",
];
/// Most elements of `toUsers` and of `toEmails` together with `additionalEmails`: each is looked up or mailed.
const RECIPIENTS: usize = 500;
/// How much of a caller's text stands in answers and logs, in characters.
const SHOWN: usize = 100;
const DAY_MILLIS: i64 = 86_400_000;

/// The body, for the documentation: what is wrong with one is said in the specification's words.
/// Fields of the other type are ignored, whatever they are; other fields are an error.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = RoomsExport, examples(json!({
    "rid": "iu7jtPAhvEeAS5tNq", "type": "file", "dateFrom": "2000-01-01", "dateTo": "2021-11-25", "format": "html",
    "toUsers": ["test.user"], "toEmails": ["test@test.com"],
    "messages": ["yd6NBgNoiWATgDoFt", "BoCjicj9DdYoMHHeo", "tajMB3aX3sawFWe8W"], "subject": "Test Subject "
})))]
pub struct Body {
    /// The room's id.
    pub rid: String,
    /// A file to download, or a mail.
    pub r#type: Kind,
    /// File: first day, `YYYY-MM-DD` in UTC, or an RFC 3339 instant. Default: everything before `dateTo`.
    pub date_from: Option<String>,
    /// File: last day, included, or an instant. Default: today.
    pub date_to: Option<String>,
    /// File, required: the form of the export.
    pub format: Option<FormatName>,
    /// Mail: usernames or ids of recipients.
    pub to_users: Option<Vec<String>>,
    /// Mail: addresses of recipients.
    pub to_emails: Option<Vec<String>>,
    /// Mail, required: ids of the messages.
    pub messages: Option<Vec<String>>,
    /// Mail, required: the subject.
    pub subject: Option<String>,
    /// Mail: further addresses, separated by commas.
    pub additional_emails: Option<String>,
}

/// The two kinds of exports.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By mail.
    Email,
    /// To a file.
    File,
}

/// The two forms of files.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FormatName {
    /// Pages.
    Html,
    /// Lines of JSON.
    Json,
}

/// It is done, or will be.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success {
    /// Always true.
    pub success: bool,
}

impl Success {
    /// The answer.
    pub fn response() -> Response {
        json_response(StatusCode::OK, &Self { success: true })
    }
}

/// What is asked, understood as far as the body alone allows.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    rid: &'a str,
    what: What<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum What<'a> {
    File(FileAsked<'a>),
    Email(EmailAsked<'a>),
}

#[derive(Debug, PartialEq, Eq)]
struct FileAsked<'a> {
    date_from: Option<&'a str>,
    date_to: Option<&'a str>,
    from: Option<i64>,
    to: Option<i64>,
    format: Format,
}

#[derive(Debug, PartialEq, Eq)]
struct EmailAsked<'a> {
    users: Vec<&'a str>,
    addresses: Vec<&'a str>,
    messages: Vec<&'a str>,
}

/// Exports a room's messages to a file.
///
/// Requests for an export by e-mail are checked and then refused (`error-email-unavailable`): this version sends none.
/// A file export is carried out after the answer, even if the server stops meanwhile; `Location` says where to ask how
/// far it is. The same request while one is queued or running is answered with the same export.
#[utoipa::path(
    post,
    path = "/api/v1/rooms.export",
    tag = "exports",
    request_body(content(
        (Body = "application/json"),
        (Body = "application/x-www-form-urlencoded"),
    )),
    responses(
        Refusals,
        BodyRefusals,
        (status = 200, description = "Accepted, durably", body = Success, headers(
            ("Location" = String, description = "Where the export's state is told"),
            ("X-RateLimit-Limit" = u32, description = "Calls in an interval"),
            ("X-RateLimit-Remaining" = u32, description = "Calls left in this interval"),
            ("X-RateLimit-Reset" = i64, description = "When the next interval begins, milliseconds since 1970"),
        )),
        (status = 400, description = "Room, format or parameters are refused", body = Failure),
    ),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn export(
    State(http): State<Http>,
    call: Call,
    caller: Result<Caller, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = caller.inspect_err(|error| {
        // Whoever it was has not proved to be anybody.
        tracing::info!(target: "audit", ip = %call.client, reason = error.name(), "export refused");
    })?;
    let fields = Fields::read(request, &http).await;
    let rid = fields.as_ref().ok().and_then(|fields| fields.0.get("rid"));
    let rid = shown(rid.and_then(Value::as_str).unwrap_or_default());
    let result = match &fields {
        Ok(fields) => accept(&http, &call, &caller, fields).await,
        Err(_) => fields.map(|_| Success::response()),
    };
    if let Err(error) = &result {
        tracing::info!(
            target: "audit",
            user = caller.user.id.0,
            username = caller.username,
            rid,
            ip = %call.client,
            reason = error.name(),
            "export refused"
        );
    }
    result
}

/// Carries the request as far as it goes before it is answered. The order of the checks is decision 1 of the
/// specification.
async fn accept(
    http: &Http,
    call: &Call,
    caller: &Caller,
    fields: &Fields,
) -> Result<Response, ApiError> {
    let asked = parse(fields)?;
    http.admit(call, Some(&caller.user), Allowance::Usual)
        .await?;
    let rid = RoomId(asked.rid.to_owned());
    let by_override = match http.access.may_export(&caller.user, &rid).await? {
        Decision::Allowed { by_override, .. } => by_override,
        Decision::NoPermission => return Err(ApiError::NoPermission),
        Decision::NoRoom => return Err(ApiError::code("error-invalid-room")),
        Decision::NoAccess => return Err(ApiError::reason("error-not-allowed", "Not Allowed")),
    };
    let file = match &asked.what {
        What::File(file) => file,
        What::Email(email) => return Err(refuse_email(http, &rid, email).await?),
    };
    let now = http.service.clock.now();
    let to = file.to.unwrap_or_else(|| end_of_day(now));
    if file.from.is_some_and(|from| from > to) {
        return Err(ApiError::reason(
            "error-invalid-dates",
            "From date cannot be after To date",
        ));
    }
    let work = FileExportWork {
        rid: asked.rid.to_owned(),
        format: file.format.name().to_owned(),
        date_from: file.date_from.map(str::to_owned),
        date_to: file.date_to.map(str::to_owned),
        from: file.from,
        to,
    };
    let job = NewJob {
        id: JobId(random::id()),
        owner: caller.user.id.clone(),
        rid: Some(work.rid.clone()),
        same: Some(same(&asked, file)),
        work: Work::FileExport(work),
        run_at: now,
    };
    reached(Step::Enqueue);
    let waiting = http.service.config.jobs.per_user_waiting;
    let enqueued = http.service.queue.enqueue(&job, now, waiting).await?;
    reached(Step::Answer);
    http.service.wake.notify_one();
    tracing::info!(
        target: "audit",
        user = caller.user.id.0,
        username = caller.username,
        rid = shown(asked.rid),
        ip = %call.client,
        job = enqueued.id.0,
        existing = enqueued.existing,
        by_override,
        "export requested"
    );
    let mut response = Success::response();
    let location = format!("/api/v1/rooms.export.status?id={}", enqueued.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Reads the fields in the order of the specification's table; the first problem is the answer.
fn parse(fields: &Fields) -> Result<Asked<'_>, ApiError> {
    let rid = fields.required("rid")?;
    let what = match fields.required("type")? {
        "file" => What::File(parse_file(fields)?),
        "email" => What::Email(parse_email(fields)?),
        _ => {
            return Err(ApiError::params(
                "type",
                "must be equal to one of the allowed values",
            ));
        }
    };
    match fields.0.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        Some(unknown) => Err(ApiError::params(
            shown(unknown),
            "must NOT have additional properties",
        )),
        None => Ok(Asked { rid, what }),
    }
}

fn parse_file(fields: &Fields) -> Result<FileAsked<'_>, ApiError> {
    let date = |name, edge| {
        let text = fields.optional(name)?;
        let instant = text.map(|text| {
            parse_date(text, edge).ok_or(ApiError::params(name, "must match format \"date\""))
        });
        Ok::<_, ApiError>((text, instant.transpose()?))
    };
    let (date_from, from) = date("dateFrom", Edge::From)?;
    let (date_to, to) = date("dateTo", Edge::To)?;
    let format = match fields.0.get("format").and_then(Value::as_str) {
        Some("html") => Format::Html,
        Some("json") => Format::Json,
        _ => return Err(ApiError::code("error-invalid-format")),
    };
    Ok(FileAsked {
        date_from,
        date_to,
        from,
        to,
        format,
    })
}

fn parse_email(fields: &Fields) -> Result<EmailAsked<'_>, ApiError> {
    let users = recipients("toUsers", fields.list("toUsers")?.unwrap_or_default())?;
    let mut addresses = fields.list("toEmails")?.unwrap_or_default();
    if !fields.0.contains_key("messages") {
        return Err(missing("messages"));
    }
    let messages = match fields.list("messages")? {
        None => return Err(ApiError::params("messages", "must be array")),
        Some(messages) if messages.is_empty() => {
            return Err(ApiError::params(
                "messages",
                "must NOT have fewer than 1 items",
            ));
        }
        Some(messages) => messages,
    };
    fields.required("subject")?;
    let more = fields.optional("additionalEmails")?.unwrap_or_default();
    addresses.extend(more.split(','));
    Ok(EmailAsked {
        users,
        addresses: recipients("toEmails", addresses)?,
        messages,
    })
}

/// Recipients without blank and repeated ones (decision 8).
fn recipients<'a>(name: &'static str, list: Vec<&'a str>) -> Result<Vec<&'a str>, ApiError> {
    let mut seen = HashSet::new();
    let list: Vec<_> = list
        .into_iter()
        .map(str::trim)
        .filter(|recipient| !recipient.is_empty() && seen.insert(*recipient))
        .collect();
    if list.len() > RECIPIENTS {
        let reason = format!("must NOT have more than {RECIPIENTS} items");
        return Err(ApiError::params(name, reason));
    }
    Ok(list)
}

/// Why an export by mail that its caller may make is not made: recipients that cannot be used, messages none of which
/// is in the room, else that this version sends none (decisions 8 to 10).
async fn refuse_email(
    http: &Http,
    room: &RoomId,
    asked: &EmailAsked<'_>,
) -> Result<ApiError, ApiError> {
    let refused = |code, details| ApiError::Refused {
        code,
        reason: None,
        details,
    };
    if asked.users.is_empty() && asked.addresses.is_empty() {
        return Ok(refused("error-invalid-recipient", None));
    }
    let malformed = asked
        .addresses
        .iter()
        .find(|address| !mail::is_address(address));
    if let Some(address) = malformed {
        let details = json!({"address": shown(address)});
        return Ok(refused("error-invalid-email", Some(details)));
    }
    let mut missing = Vec::new();
    for user in &asked.users {
        if !has_address(http, user).await? {
            missing.push(*user);
        }
    }
    if asked.addresses.is_empty() && missing.len() == asked.users.len() {
        let details = json!({"missing": missing});
        return Ok(refused("error-invalid-recipient", Some(details)));
    }
    let messages: Vec<String> = asked.messages.iter().map(|&id| id.to_owned()).collect();
    let mut found = http.service.source.chosen(room, &messages).await?;
    if found.next_batch().await?.is_none() {
        return Ok(refused("error-invalid-messages", None));
    }
    Ok(ApiError::reason(
        "error-email-unavailable",
        "Export by e-mail is not available in this version",
    ))
}

/// Whether a username, or a user's id, leads to an address.
async fn has_address(http: &Http, name: &str) -> Result<bool, ApiError> {
    let directory = &http.service.directory;
    let user = match directory
        .find_user(&LoginName::Username(name.to_owned()))
        .await?
    {
        Some(user) => Some(user),
        None => directory.user(&UserId(name.to_owned())).await?,
    };
    Ok(user.is_some_and(|user| {
        user.emails
            .iter()
            .any(|email| mail::is_address(&email.address))
    }))
}

/// What is equal for equal requests: the room, the form and the instants as they were asked. The end of today is not
/// among them, so that a request without `dateTo` before midnight is the same as one after it.
fn same(asked: &Asked<'_>, file: &FileAsked<'_>) -> String {
    let key = json!([asked.rid, file.format.name(), file.from, file.to]);
    STANDARD.encode(Sha256::digest(key.to_string().as_bytes()))
}

/// The last millisecond of the day of an instant, in UTC.
fn end_of_day(now: i64) -> i64 {
    now.div_euclid(DAY_MILLIS) * DAY_MILLIS + DAY_MILLIS - 1
}

/// As much of a caller's text as is shown.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_its_last_millisecond() {
        for (now, end) in [
            (0, DAY_MILLIS - 1),
            (DAY_MILLIS - 1, DAY_MILLIS - 1),
            (DAY_MILLIS, 2 * DAY_MILLIS - 1),
        ] {
            assert_eq!(end_of_day(now), end);
        }
    }

    #[test]
    fn requests_are_the_same_when_they_ask_the_same() {
        let same = |body: Value| {
            let Value::Object(fields) = body else {
                panic!("{body}");
            };
            let fields = Fields(fields);
            let asked = parse(&fields).unwrap();
            let What::File(file) = &asked.what else {
                panic!("{asked:?}");
            };
            same(&asked, file)
        };
        let first = json!({"rid": "r", "type": "file", "format": "html", "dateFrom": "2024-03-15"});
        let with = |field: &str, value: Value| {
            let mut body = first.clone();
            body[field] = value;
            body
        };
        for equal in [
            with("dateFrom", json!("2024-03-15T00:00:00Z")),
            with("dateTo", Value::Null),
            with("subject", json!("x")),
        ] {
            assert_eq!(same(equal.clone()), same(first.clone()), "{equal}");
        }
        for other in [
            with("rid", json!("q")),
            with("format", json!("json")),
            with("dateFrom", Value::Null),
            with("dateTo", json!("2024-03-15")),
        ] {
            assert_ne!(same(other.clone()), same(first.clone()), "{other}");
        }
    }
}
