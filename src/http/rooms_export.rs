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
use transcript::message::{Message, Visibility};
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
use crate::jobs::{EmailExportWork, Enqueued, FileExportWork, JobId, NewJob, Work};
use crate::mail::mime;
use crate::mail::recipients::{self, RecipientError, Recipients};
use crate::random;
use crate::store::RoomId;

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

/// A mail will be sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mailed {
    /// Those of `toUsers` who cannot be reached.
    pub missing: Vec<String>,
    /// Those of `messages` that are not in the room, when there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_messages: Vec<String>,
    /// Always true.
    pub success: bool,
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
    messages: Vec<String>,
    subject: &'a str,
}

/// Exports a room's messages to a file, or chosen ones by e-mail.
///
/// What is accepted is carried out after the answer, even if the server stops meanwhile; `Location` says where to ask how
/// far it is. The same request while one is queued or running is answered with the same export.
///
/// By e-mail each recipient gets a mail of their own, unless the operator wants one for all. Refused are more recipients,
/// messages or text than the operator allows (`error-too-many-recipients`, `error-too-many-messages`,
/// `error-mail-too-large`), and recipients that the operator does not allow (`error-recipient-not-allowed`).
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
        (status = 200, description = "Accepted, durably; by e-mail with `missing`, the users who cannot be reached, and \
            `missingMessages`, the messages that are not in the room", body = Mailed, headers(
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
    let (enqueued, mut response) = match &asked.what {
        What::File(file) => {
            let enqueued = enqueue_file(http, caller, &asked, file).await?;
            (enqueued, Success::response())
        }
        What::Email(email) => enqueue_mail(http, caller, &rid, email).await?,
    };
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
    let location = format!("/api/v1/rooms.export.status?id={}", enqueued.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Writes an export to a file down.
async fn enqueue_file(
    http: &Http,
    caller: &Caller,
    asked: &Asked<'_>,
    file: &FileAsked<'_>,
) -> Result<Enqueued, ApiError> {
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
    let same = same(asked, file);
    enqueue(http, caller, Work::FileExport(work), asked.rid, same).await
}

/// Writes a job down.
async fn enqueue(
    http: &Http,
    caller: &Caller,
    work: Work,
    rid: &str,
    same: String,
) -> Result<Enqueued, ApiError> {
    let now = http.service.clock.now();
    let job = NewJob {
        id: JobId(random::id()),
        owner: caller.user.id.clone(),
        rid: Some(rid.to_owned()),
        same: Some(same),
        work,
        run_at: now,
    };
    reached(Step::Enqueue);
    let waiting = http.service.config.jobs.per_user_waiting;
    Ok(http.service.queue.enqueue(&job, now, waiting).await?)
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
    let subject = fields.required("subject")?;
    let more = fields.optional("additionalEmails")?.unwrap_or_default();
    addresses.extend(more.split(','));
    let mut seen = HashSet::new();
    Ok(EmailAsked {
        users,
        addresses: recipients("toEmails", addresses)?,
        messages: messages
            .into_iter()
            .filter(|id| seen.insert(*id))
            .map(str::to_owned)
            .collect(),
        subject,
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

/// Checks recipients and messages (decisions 8 to 10), and writes an export by mail down.
async fn enqueue_mail(
    http: &Http,
    caller: &Caller,
    room: &RoomId,
    asked: &EmailAsked<'_>,
) -> Result<(Enqueued, Response), ApiError> {
    let service = &http.service;
    let config = &service.config.mail;
    let Recipients { to, missing } = recipients::resolve(
        &*service.directory,
        config,
        Some(&caller.user),
        &asked.users,
        &asked.addresses,
    )
    .await
    .map_err(of_recipients)?;
    if asked.messages.len() > config.max_messages {
        return Err(ApiError::Refused {
            code: "error-too-many-messages",
            reason: Some("A mail cannot have so many messages; export them to a file"),
            details: Some(json!({"count": asked.messages.len(), "limit": config.max_messages})),
        });
    }
    let missing_messages = missing_messages(http, room, &asked.messages).await?;
    if missing_messages.len() == asked.messages.len() {
        return Err(ApiError::code("error-invalid-messages"));
    }
    if !config.messages {
        return Err(ApiError::reason(
            "error-email-unavailable",
            "Export by e-mail is switched off here",
        ));
    }
    if service.mailer.closed().await?.is_some() {
        // Why is for the operator: `doctor` tells.
        return Err(ApiError::reason(
            "error-email-unavailable",
            "Sending mail is not set up here",
        ));
    }
    let key = json!([room.0, &to, asked.messages, asked.subject]);
    let work = EmailExportWork {
        rid: room.0.clone(),
        messages: asked.messages.clone(),
        recipients: to,
        subject: mime::subject(asked.subject),
        together: config.together,
    };
    let same = digest(&key);
    let enqueued = enqueue(http, caller, Work::EmailExport(work), &room.0, same).await?;
    let answer = Mailed {
        missing,
        missing_messages,
        success: true,
    };
    Ok((enqueued, json_response(StatusCode::OK, &answer)))
}

/// Those of the messages that are not in the room, or not to be seen there any more.
async fn missing_messages(
    http: &Http,
    room: &RoomId,
    asked: &[String],
) -> Result<Vec<String>, ApiError> {
    let limit = http.service.config.mail.max_bytes;
    let mut cursor = http.service.source.chosen(room, asked).await?;
    let (mut found, mut bytes) = (HashSet::new(), 0);
    while let Some(batch) = cursor.next_batch().await? {
        for doc in batch.docs() {
            let message = Message::read(doc);
            if message.visibility() == Visibility::Shown {
                found.insert(message.id().into_owned());
                bytes += doc.len() as u64;
            }
        }
        if bytes > limit {
            return Err(ApiError::Refused {
                code: "error-mail-too-large",
                reason: Some(
                    "The text of these messages is too large for a mail; export them to a file",
                ),
                details: Some(json!({"limit": limit})),
            });
        }
    }
    let missing = asked.iter().filter(|id| !found.contains(*id));
    Ok(missing.cloned().collect())
}

fn of_recipients(error: RecipientError) -> ApiError {
    let refused = |code, reason, details| ApiError::Refused {
        code,
        reason,
        details,
    };
    match error {
        RecipientError::Nobody { missing } => refused(
            "error-invalid-recipient",
            None,
            (!missing.is_empty()).then(|| json!({"missing": missing})),
        ),
        RecipientError::Malformed(address) => refused(
            "error-invalid-email",
            None,
            Some(json!({"address": shown(&address)})),
        ),
        RecipientError::NotAllowed(asked) => refused(
            "error-recipient-not-allowed",
            Some("Mail to this recipient is not allowed here"),
            Some(json!({"recipient": shown(&asked)})),
        ),
        RecipientError::TooMany { count, limit } => refused(
            "error-too-many-recipients",
            Some("These are more recipients than are allowed here"),
            Some(json!({"count": count, "limit": limit})),
        ),
        RecipientError::Store(error) => error.into(),
    }
}

/// What is equal for equal requests: the room, the form and the instants as they were asked. The end of today is not
/// among them, so that a request without `dateTo` before midnight is the same as one after it.
fn same(asked: &Asked<'_>, file: &FileAsked<'_>) -> String {
    digest(&json!([asked.rid, file.format.name(), file.from, file.to]))
}

fn digest(key: &Value) -> String {
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
