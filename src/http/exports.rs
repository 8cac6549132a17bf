//! A user's exports: how far they are, which there are, stopping and removing them.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use transcript::time::IsoWriter;
use utoipa::ToSchema;

use super::Http;
use super::auth::Caller;
use super::call::Call;
use super::error::{ApiError, BodyRefusals, Refusals, json_response};
use super::fields::{Fields, Query};
use super::rate_limit::Allowance;
use super::rooms_export::Success;
use crate::jobs::steps::{Step, reached};
use crate::jobs::{
    CancelOutcome, EmailExportWork, Fence, FileExportWork, Job, JobFilter, JobId, JobProgress,
    JobState, Work,
};
use crate::store::user_data::UserDataFile;

/// Exports on a page when nobody says how many, as in Rocket.Chat.
const PAGE: u64 = 50;
/// Most exports on a page; `count=0` asks for as many (Rocket.Chat's `API_Upper_Count_Limit`).
const LARGEST_PAGE: u64 = 100;
/// Most mails of an export that are told of.
const MAILS: usize = 100;

/// An export.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Export)]
pub struct Shown {
    /// Its id; its file has the same.
    pub id: String,
    /// The room.
    pub rid: String,
    /// Where it is: `queued`, `running`, `done`, `failed` or `cancelled`.
    #[schema(examples("running"))]
    pub state: &'static str,
    /// `file`, or `email` for messages by mail.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `html` or `json`, of a file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// `dateFrom` as it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_from: Option<String>,
    /// `dateTo` as it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_to: Option<String>,
    /// First instant of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Last instant of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was last begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// How often it was begun.
    pub attempt: u32,
    /// How far it is, once it has begun.
    #[serde(flatten)]
    pub progress: Progress,
    /// Why it, or its last attempt, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failed>,
    /// Where its file is, once it is there and until it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_url: Option<String>,
    /// The file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The file's size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of the file, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What is in it and what is missing, as in its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
    /// What became of the mail that says that it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// What became of the mails of an export by mail, to at most 100 recipients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mails: Vec<MailTo>,
    /// Messages of an export by mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<usize>,
}

/// A mail of an export by mail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExportMailTo)]
pub struct MailTo {
    /// Who gets it, as was asked: users are told by name, not by address.
    pub to: Vec<String>,
    /// Where it is, as for exports; `done` is handed over.
    #[schema(examples("done"))]
    pub state: &'static str,
    /// Why it is not sent, or not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failed>,
    /// What is in it, once it is sent, and who of several recipients was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
}

/// How far an export is.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What it does: `count`, `files`, `messages`, `seal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Messages done in this phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// Messages of this phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Bytes of the file written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Messages per second in this phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Seconds that this phase will take yet, by that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
}

/// Why an export, or its last attempt, failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExportError)]
pub struct Failed {
    /// For programs.
    pub code: String,
    /// For people: what happened and what to do.
    pub message: String,
}

/// A mail that says that an export is ready.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExportMail)]
pub struct Mail {
    /// `none` when none is sent, else where it is, as for exports; `done` is handed over.
    #[schema(examples("done"))]
    pub state: &'static str,
    /// Why it is not sent, or not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One export.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportAnswer {
    /// The export.
    pub export: Shown,
    /// Always true.
    pub success: bool,
}

/// A page of exports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportsAnswer {
    /// The exports.
    pub exports: Vec<Shown>,
    /// How many are on this page.
    pub count: usize,
    /// How many came before it.
    pub offset: u64,
    /// How many there are.
    pub total: u64,
    /// Always true.
    pub success: bool,
}

/// Names an export.
#[derive(Debug, ToSchema)]
pub struct ExportName {
    /// The export's id.
    pub id: String,
}

/// Tells how far an export is.
///
/// May be called ten times as often as other routes.
#[utoipa::path(
    get,
    path = "/api/v1/rooms.export.status",
    tag = "exports",
    params(("id" = String, Query, description = "The export's id")),
    responses((status = 200, description = "The export", body = ExportAnswer), Refusals),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn status(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    let id = query.required("id")?;
    http.admit(&call, Some(&caller.user), Allowance::Polling)
        .await?;
    let job = own(&http, &caller, id).await?;
    let site = http.service.site_url().await?;
    let answer = ExportAnswer {
        export: show(&http, job, &site).await?,
        success: true,
    };
    Ok(json_response(StatusCode::OK, &answer))
}

/// Lists the caller's exports.
#[utoipa::path(
    get,
    path = "/api/v1/rooms.export.list",
    tag = "exports",
    params(
        ("rid" = Option<String>, Query, description = "Only of this room"),
        ("count" = Option<u64>, Query, description = "So many; 50 by default, at most 100, and 0 asks for 100"),
        ("offset" = Option<u64>, Query, description = "Skip so many"),
        ("type" = Option<String>, Query, description = "`file`, the default, or `email`"),
        ("sort" = Option<String>, Query, description = "`{\"createdAt\":-1}`, newest first, or `{\"createdAt\":1}`"),
    ),
    responses((status = 200, description = "A page of exports", body = ExportsAnswer), Refusals),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn list(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
    query: Query,
) -> Result<Response, ApiError> {
    let count = match query.number("count")?.unwrap_or(PAGE) {
        0 => LARGEST_PAGE,
        count => count.min(LARGEST_PAGE),
    };
    let offset = query.number("offset")?.unwrap_or(0);
    let kind = match query.text("type") {
        None | Some("file") => Work::FILE_EXPORT,
        Some("email") => Work::EMAIL_EXPORT,
        Some(_) => {
            return Err(ApiError::params(
                "type",
                "must be equal to one of the allowed values",
            ));
        }
    };
    let filter = JobFilter {
        owner: &caller.user.id,
        kind,
        rid: query.text("rid"),
        offset,
        count,
        oldest_first: query
            .text("sort")
            .map(is_oldest_first)
            .transpose()?
            .unwrap_or(false),
    };
    http.admit(&call, Some(&caller.user), Allowance::Usual)
        .await?;
    let (jobs, total) = http.service.queue.jobs(&filter).await?;
    let site = http.service.site_url().await?;
    let mut exports = Vec::with_capacity(jobs.len());
    for job in jobs {
        exports.push(show(&http, job, &site).await?);
    }
    let answer = ExportsAnswer {
        count: exports.len(),
        exports,
        offset,
        total,
        success: true,
    };
    Ok(json_response(StatusCode::OK, &answer))
}

/// Stops an export and removes what it has written.
#[utoipa::path(
    post,
    path = "/api/v1/rooms.export.cancel",
    tag = "exports",
    request_body = ExportName,
    responses(
        (status = 200, description = "It is cancelled, or will be at once", body = Success),
        Refusals,
        BodyRefusals,
    ),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn cancel(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let job = named(&http, &call, &caller, request).await?;
    let now = http.service.clock.now();
    let queue = &http.service.queue;
    let mut outcome = queue.cancel(&job.id, now).await?;
    if let (Some(Work::EmailExport(work)), Some(CancelOutcome::Ended(JobState::Done))) =
        (&job.work, &outcome)
    {
        for (mail, _) in work.possible_mails(&job.id) {
            if let Some(stopped @ (CancelOutcome::Cancelled | CancelOutcome::Requested)) =
                queue.cancel(&mail, now).await?
            {
                outcome = Some(stopped);
            }
        }
    }
    match outcome {
        None => Err(unknown()),
        Some(CancelOutcome::Ended(JobState::Done | JobState::Failed)) => Err(ApiError::reason(
            "error-export-ended",
            "The export has ended already",
        )),
        Some(_) => {
            audit(&call, &caller, &job.id, "export cancelled");
            Ok(Success::response())
        }
    }
}

/// Removes an export that has ended: its file, and what is known of it.
#[utoipa::path(
    post,
    path = "/api/v1/rooms.export.delete",
    tag = "exports",
    request_body = ExportName,
    responses(
        (status = 200, description = "It is gone", body = Success),
        Refusals,
        BodyRefusals,
    ),
    security(("userId" = [], "authToken" = [])),
)]
pub async fn delete(
    State(http): State<Http>,
    call: Call,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let job = named(&http, &call, &caller, request).await?;
    if !job.state.is_ended() {
        return Err(ApiError::reason(
            "error-export-running",
            "The export has not ended; cancel it first",
        ));
    }
    let service = &http.service;
    // A mail that is still to be sent would have a dead link.
    let mail = job.id.of_mail();
    service.queue.cancel(&mail, service.clock.now()).await?;
    if let Some(Work::EmailExport(work)) = &job.work {
        for (mail, _) in work.possible_mails(&job.id) {
            service.queue.cancel(&mail, service.clock.now()).await?;
            service.queue.remove(&mail).await?;
        }
    }
    if let Some(file) = record(&http, &job).await? {
        service.exports.delete(&file).await?;
        // Without the file the record is found again by whoever repeats this, without the record the file is not.
        reached(Step::Delete);
        service.user_data.remove(&file.id).await?;
    }
    // Nobody looks for what other claims left once the job is forgotten.
    let last = Fence {
        id: job.id.clone(),
        epoch: job.epoch,
    };
    service.exports.clean(&last, None).await?;
    // A mail that is just being handed over stays, and is forgotten with other mails.
    service.queue.remove(&mail).await?;
    service.queue.remove(&job.id).await?;
    audit(&call, &caller, &job.id, "export deleted");
    Ok(Success::response())
}

/// The caller's export that a body names, once the call is counted.
async fn named(
    http: &Http,
    call: &Call,
    caller: &Caller,
    request: Request,
) -> Result<Job, ApiError> {
    let fields = Fields::read_small(request, http).await?;
    let id = fields.required("id")?;
    http.admit(call, Some(&caller.user), Allowance::Usual)
        .await?;
    own(http, caller, id).await
}

/// The caller's export with this id. Whether somebody else has one is not told.
async fn own(http: &Http, caller: &Caller, id: &str) -> Result<Job, ApiError> {
    let job = http.service.queue.job(&JobId(id.to_owned())).await?;
    let is_export =
        |work: &Option<Work>| !matches!(work, Some(Work::ReadyMail(_) | Work::MessagesMail(_)));
    job.filter(|job| job.owner == caller.user.id && is_export(&job.work))
        .ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::code("error-invalid-export")
}

/// The record of an export's file, while it is there.
async fn record(http: &Http, job: &Job) -> Result<Option<UserDataFile>, ApiError> {
    let record = http.service.user_data.file(&job.id.0).await?;
    Ok(record.filter(|record| record.owner == job.owner))
}

async fn show(http: &Http, job: Job, site: &str) -> Result<Shown, ApiError> {
    let mut shown = Shown {
        state: job.state.name(),
        created_at: iso(job.created_at),
        started_at: job.started_at.and_then(iso),
        ended_at: job.ended_at.and_then(iso),
        attempt: job.attempt,
        ..Shown::default()
    };
    if job.state == JobState::Done {
        if let Some(file) = record(http, &job).await? {
            shown.file_url = Some(format!("{site}/data-export/{}", file.id));
            shown.file_name = Some(
                percent_decode_str(&file.name)
                    .decode_utf8_lossy()
                    .into_owned(),
            );
        }
        shown.mail = mail(http, &job).await?;
    } else if job.state == JobState::Failed {
        shown.mail = mail(http, &job).await?;
    }
    shown.id = job.id.0;
    shown.rid = job.rid.unwrap_or_default();
    shown.kind = "file";
    // A newer version's work is there, but not understood.
    match job.work {
        Some(Work::FileExport(work)) => show_work(&mut shown, work),
        Some(Work::EmailExport(work)) => {
            shown.kind = "email";
            shown.messages = Some(work.messages.len());
            if job.state == JobState::Done {
                show_mails(http, &mut shown, &work).await?;
            }
        }
        _ => {}
    }
    if let Some(progress) = job.progress {
        shown.progress = show_progress(progress, job.state);
    }
    if let Some(error) = job.error {
        shown.error = Some(Failed {
            code: error.code,
            message: error.message,
        });
    }
    if let Some(outcome) = job.outcome {
        shown.size = outcome.bytes;
        shown.sha256 = outcome.sha256;
        shown.report = outcome.report;
    }
    Ok(shown)
}

fn show_work(shown: &mut Shown, work: FileExportWork) {
    shown.format = work.format;
    shown.date_from = work.date_from;
    shown.date_to = work.date_to;
    shown.from = work.from.and_then(iso);
    shown.to = iso(work.to);
}

/// The mails of an export by mail: it has ended when all of them have, and failed when one of them has.
async fn show_mails(
    http: &Http,
    shown: &mut Shown,
    work: &EmailExportWork,
) -> Result<(), ApiError> {
    let (mut open, mut failed, mut cancelled) = (false, false, false);
    let export = JobId(shown.id.clone());
    for (id, mail) in work.possible_mails(&export) {
        // Those that ended long ago are forgotten.
        let Some(job) = http.service.queue.job(&id).await? else {
            continue;
        };
        open |= !job.state.is_ended();
        failed |= job.state == JobState::Failed;
        cancelled |= job.state == JobState::Cancelled;
        if shown.mails.len() == MAILS {
            continue;
        }
        let recipients = match mail.recipient {
            Some(one) => work.recipients.get(one..=one).unwrap_or_default(),
            None => &work.recipients,
        };
        shown.mails.push(MailTo {
            to: recipients.iter().map(|to| to.asked.clone()).collect(),
            state: job.state.name(),
            error: job.error.map(|error| Failed {
                code: error.code,
                message: error.message,
            }),
            report: job.outcome.and_then(|outcome| outcome.report),
        });
    }
    let state = match (open, failed, cancelled) {
        (true, ..) => JobState::Running,
        (_, true, _) => JobState::Failed,
        (_, _, true) => JobState::Cancelled,
        _ => JobState::Done,
    };
    shown.state = state.name();
    if open {
        shown.ended_at = None;
    }
    Ok(())
}

fn show_progress(progress: JobProgress, state: JobState) -> Progress {
    Progress {
        phase: Some(progress.phase),
        done: Some(progress.done),
        total: Some(progress.total),
        bytes: Some(progress.bytes),
        rate: Some(progress.rate),
        // What has stopped will not be ready in any time.
        eta_seconds: progress.eta_seconds.filter(|_| state == JobState::Running),
    }
}

async fn mail(http: &Http, job: &Job) -> Result<Option<Mail>, ApiError> {
    let none = job
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.no_mail.clone());
    if none.is_some() {
        return Ok(Some(Mail {
            state: "none",
            reason: none,
        }));
    }
    let mail = http.service.queue.job(&job.id.of_mail()).await?;
    Ok(
        mail.map(|mail| match mail.outcome.and_then(|sent| sent.no_mail) {
            // What kept it from being sent was seen when it was to be.
            Some(reason) => Mail {
                state: "none",
                reason: Some(reason),
            },
            None => Mail {
                state: mail.state.name(),
                reason: mail
                    .error
                    .filter(|_| mail.state != JobState::Done)
                    .map(|error| error.message),
            },
        }),
    )
}

/// An instant as JavaScript writes it.
pub(super) fn iso(millis: i64) -> Option<String> {
    IsoWriter::default().text(millis).map(str::to_owned)
}

/// Reads `sort` as Rocket.Chat's clients write it.
fn is_oldest_first(sort: &str) -> Result<bool, ApiError> {
    let order: Option<Value> = serde_json::from_str(sort).ok();
    let order = order.as_ref().and_then(Value::as_object);
    match order.map(|order| (order.len(), order.get("createdAt").and_then(Value::as_i64))) {
        Some((1, Some(1))) => Ok(true),
        Some((1, Some(-1)) | (0, None)) => Ok(false),
        _ => Err(ApiError::params(
            "sort",
            "must be {\"createdAt\":1} or {\"createdAt\":-1}",
        )),
    }
}

fn audit(call: &Call, caller: &Caller, job: &JobId, what: &'static str) {
    tracing::info!(
        target: "audit",
        user = caller.user.id.0,
        username = caller.username,
        ip = %call.client,
        job = job.0,
        "{what}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sort_knows_one_field_in_two_directions() {
        for (sort, expected) in [
            (r#"{"createdAt":-1}"#, Some(false)),
            (r#"{ "createdAt": 1 }"#, Some(true)),
            ("{}", Some(false)),
            (r#"{"createdAt":2}"#, None),
            (r#"{"createdAt":1,"rid":1}"#, None),
            (r#"{"rid":1}"#, None),
            ("createdAt", None),
            ("[]", None),
        ] {
            assert_eq!(is_oldest_first(sort).ok(), expected, "{sort}");
        }
    }
}
