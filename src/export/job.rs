//! An export that was asked for as a job: from its claim to the stored file and its record.
//!
//! Responsible for what the requester is told when it fails: a sentence without the server's internals. Those go to the
//! log.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use transcript::locale::Locale;
use transcript::room::RoomInfo;
use zipstream::ZipError;

use super::ExportError;
use super::file::{FileExport, expected_bytes};
use super::ledger::MissingFile;
use super::progress::Progress;
use super::report::{ExportReport, TOOL};
use super::request::{ExportRequest, Format, cores};
use super::target::{TargetError, Written};
use crate::access::Decision;
use crate::app::Service;
use crate::blob::user_data::{ExportWriter, Place};
use crate::jobs::steps::{self, Step};
use crate::jobs::{Failure, Fence, FileExportWork, Job, JobError, Outcome, Settlement};
use crate::mail::Occasion;
use crate::store::directory::User;
use crate::store::user_data::{FinishedExport, UserDataFile};
use crate::store::{RoomId, StoreError, Window};
use crate::words::{causes, chain};

/// Exports a room for a claim, stores the file and says how the claim ends. What was stored is there when this succeeds,
/// and only then.
pub async fn run(
    service: &Service,
    job: &Job,
    fence: &Fence,
    work: &FileExportWork,
    progress: Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Settlement, Failure> {
    let failed = |error: &(dyn Error + 'static), failure: Failure| {
        if !matches!(failure, Failure::Cancelled) {
            let error = chain(error);
            tracing::warn!(
                job = job.id.0,
                rid = work.rid,
                attempt = job.attempt,
                error,
                "export failed"
            );
        }
        failure
    };
    let unreadable = |error: StoreError| {
        let failure = of_store(&error);
        failed(&error, failure)
    };
    // Asked before there is a file: what comes after it must not fail.
    let owner = service
        .directory
        .user(&job.owner)
        .await
        .map_err(unreadable)?;
    let request = request(service, job, owner.as_ref(), work).await;
    let request = request.map_err(|error| match error {
        Unexportable::Store(error) => unreadable(error),
        Unexportable::Said(error) => Failure::Final(error),
    })?;
    let site_url = service.site_url().await.map_err(unreadable)?;
    let export = FileExport {
        source: Arc::clone(&service.source),
        blobs: Arc::clone(&service.blobs),
        progress: Arc::clone(&progress),
        cancel,
        on_missing: Box::new({
            let job = job.id.clone();
            move |missing| {
                let MissingFile {
                    message,
                    file,
                    reason,
                    ..
                } = missing;
                tracing::debug!(job = job.0, msg = message, file, reason, "file missing");
            }
        }),
        on_damaged: Box::new({
            let job = job.id.clone();
            move |message| tracing::debug!(job = job.0, msg = message, "message damaged")
        }),
    };
    let (report, written, place) = write(service, fence, request, export, progress)
        .await
        .map_err(|error| {
            let failure = of_export(&error);
            failed(&error, failure)
        })?;
    let file = UserDataFile::of_export(&FinishedExport {
        id: &job.id.0,
        owner: &job.owner,
        owner_name: owner.as_ref().map_or(&job.owner.0, User::display_name),
        rid: &work.rid,
        format: &work.format,
        date_from: work.date_from.as_deref(),
        date_to: work.date_to.as_deref(),
        from: work.from,
        to: work.to,
        size: written.bytes,
        sha256: &written.sha256,
        store: &place.store,
        extension: place.extension.as_deref(),
        path: place.path.as_ref().map(|(field, path)| (*field, &**path)),
        at: place.at.as_deref(),
        site_url: &site_url,
        tool: TOOL,
        now: service.clock.now(),
    })
    .map_err(unreadable)?;
    let no_mail = no_mail(service, owner.as_ref()).await;
    let then = match no_mail {
        Some(_) => Vec::new(),
        None => job.notice(service.clock.now()).into_iter().collect(),
    };
    Ok(Settlement::Done {
        outcome: Outcome {
            report: serde_json::to_value(&report).ok(),
            bytes: Some(written.bytes),
            sha256: Some(written.sha256),
            no_mail,
        },
        file: Some(file),
        then,
    })
}

/// Why a request cannot be carried out.
enum Unexportable {
    Store(StoreError),
    Said(JobError),
}

impl From<StoreError> for Unexportable {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is to be exported, if the owner may still do so: much may have happened since it was asked for.
async fn request(
    service: &Service,
    job: &Job,
    owner: Option<&User>,
    work: &FileExportWork,
) -> Result<ExportRequest, Unexportable> {
    let not_allowed = || {
        Unexportable::Said(JobError::new(
            "not-allowed",
            "You may not export this room any more. Ask the administrator or an owner of the room if you think that you should.",
        ))
    };
    let owner = owner.ok_or_else(not_allowed)?;
    let access = service.access();
    let room = match access.may_export(owner, &RoomId(work.rid.clone())).await? {
        Decision::Allowed { room, by_override } => {
            if by_override {
                tracing::info!(
                    target: "audit",
                    job = job.id.0,
                    rid = work.rid,
                    user = owner.id.0,
                    by_override,
                    "export begun"
                );
            }
            room
        }
        Decision::NoRoom => {
            return Err(Unexportable::Said(JobError::new(
                "room-gone",
                "The room does not exist any more, so there is nothing to export.",
            )));
        }
        Decision::NoPermission | Decision::NoAccess => return Err(not_allowed()),
    };
    let room = RoomInfo::read(&room.0).map_err(|error| {
        StoreError::Corrupt(format!(
            "the record of room {} is damaged: {error}",
            work.rid
        ))
    })?;
    let Some(format) = Format::of_name(&work.format) else {
        return Err(Unexportable::Said(JobError::new(
            "format-unknown",
            "This server does not know the format that was asked for; ask for html or json.",
        )));
    };
    let config = &service.config.export;
    Ok(ExportRequest {
        room,
        window: Window {
            from: work.from,
            to: Some(work.to),
        },
        format,
        attachments: true,
        history: config.history,
        raw: false,
        search: config.search,
        zone: service.reader(Some(owner)).await?.dates.zone().clone(),
        locale: locale(service, owner).await?,
        style: config.style_sheet.clone(),
        exported_by: Some(owner.display_name().to_owned()),
        level: config.level,
        threads: match config.threads {
            0 => cores(),
            threads => threads,
        },
        exported_at: service.clock.now(),
    })
}

/// How dates on pages are written: as the configuration says, else in the requester's language, else in the workspace's.
async fn locale(service: &Service, owner: &User) -> Result<Locale, StoreError> {
    if let Some(locale) = service.config.export.locale {
        return Ok(locale);
    }
    if let Some(locale) = owner.language.as_deref().and_then(Locale::of) {
        return Ok(locale);
    }
    let settings = service.directory.settings(&["Language"]).await?;
    Ok(settings.language().unwrap_or_default())
}

/// Why there is no stored file.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Target(#[from] TargetError),
}

async fn write(
    service: &Service,
    fence: &Fence,
    request: ExportRequest,
    export: FileExport,
    progress: Arc<Progress>,
) -> Result<(ExportReport, Written, Place), WriteError> {
    let expected = export.count(&request).await?;
    let out = service
        .exports
        .create(fence, expected_bytes(expected.messages), progress)
        .await?;
    let cancel = export.cancel.clone();
    let written = tokio::task::spawn_blocking(move || {
        let (out, report) = export.run(&request, expected, Observed { out, begun: false })?;
        steps::reached(Step::Publish);
        if cancel.is_cancelled() {
            return Err(ExportError::Cancelled.into());
        }
        let (written, place) = out.out.commit()?;
        Ok((report, written, place))
    });
    match written.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(ExportError::Cancelled.into()),
        },
    }
}

/// Tells when the first bytes are written.
struct Observed {
    out: Box<dyn ExportWriter>,
    begun: bool,
}

impl Write for Observed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        if !self.begun {
            self.begun = true;
            self.out.flush()?;
            steps::reached(Step::Write);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Why no mail will say that the export is ready; `None` when one is to be sent.
async fn no_mail(service: &Service, owner: Option<&User>) -> Option<String> {
    let Some(owner) = owner else {
        return Some("The user who asked for it is not there any more.".to_owned());
    };
    match service.mailer.obstacle(owner, Occasion::Ready).await {
        Ok(obstacle) => obstacle,
        Err(error) => {
            // The mail's own job will see.
            tracing::warn!(error = chain(&error), "mail settings cannot be read");
            None
        }
    }
}

fn no_space() -> Failure {
    Failure::Passing(JobError::new(
        "no-space",
        "There is not enough space on the server for this export. Ask the administrator to make room, then export again.",
    ))
}

fn not_written() -> Failure {
    Failure::Passing(JobError::new(
        "store-unwritable",
        "The export could not be written on the server. If it happens again, ask the administrator to look at the server's log.",
    ))
}

fn of_store(error: &StoreError) -> Failure {
    match error {
        StoreError::Cancelled => Failure::Cancelled,
        StoreError::NoSpace { .. } | StoreError::TemporaryFull { .. } => no_space(),
        StoreError::Corrupt(_) | StoreError::NotOurs(_) | StoreError::NotFilled(_) => {
            Failure::Final(JobError::new(
                "workspace-damaged",
                "What the server keeps of this room is damaged and cannot be read. Ask the administrator to look at the server's log.",
            ))
        }
        StoreError::Io { .. }
        | StoreError::Sqlite(_)
        | StoreError::Remote { .. }
        | StoreError::Server(_) => Failure::Passing(JobError::new(
            "workspace-unreadable",
            "The room could not be read. If it happens again, ask the administrator to look at the server's log.",
        )),
    }
}

fn of_export(error: &WriteError) -> Failure {
    match error {
        WriteError::Export(ExportError::Cancelled) => Failure::Cancelled,
        WriteError::Target(TargetError::NoSpace { .. }) => no_space(),
        error if is_full(error) => no_space(),
        WriteError::Export(ExportError::Store(error)) => of_store(error),
        WriteError::Target(_)
        | WriteError::Export(
            ExportError::Zip(ZipError::Output(_) | ZipError::Spool(_)) | ExportError::Spool(_),
        ) => not_written(),
        WriteError::Export(_) => Failure::Passing(JobError::internal()),
    }
}

/// Whether a full disk is behind it.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|error| {
        let error = error.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_without_the_servers_internals() {
        let path = || "/srv/private/exports".into();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let of = |error: ExportError| of_export(&error.into());
        let cases = [
            (
                of(ExportError::Zip(ZipError::Output(full()))),
                "no-space",
                true,
            ),
            (of(ExportError::Spool(full())), "no-space", true),
            (
                of_export(
                    &TargetError::Io {
                        path: path(),
                        source: full(),
                    }
                    .into(),
                ),
                "no-space",
                true,
            ),
            (
                of_export(
                    &TargetError::NoSpace {
                        directory: path(),
                        needed: 2,
                        free: 1,
                    }
                    .into(),
                ),
                "no-space",
                true,
            ),
            (
                of_export(
                    &TargetError::Io {
                        path: path(),
                        source: denied(),
                    }
                    .into(),
                ),
                "store-unwritable",
                true,
            ),
            (
                of(ExportError::Zip(ZipError::Output(denied()))),
                "store-unwritable",
                true,
            ),
            (
                of(StoreError::io("read", "/srv/private/x")(denied()).into()),
                "workspace-unreadable",
                true,
            ),
            (
                of(StoreError::Corrupt("/srv/private/x is damaged".to_owned()).into()),
                "workspace-damaged",
                false,
            ),
            (
                of(ExportError::Zip(ZipError::SpoolDamaged)),
                "internal",
                true,
            ),
        ];
        for (failure, code, again) in cases {
            let (error, passing) = match failure {
                Failure::Passing(error) => (error, true),
                Failure::Final(error) => (error, false),
                Failure::Cancelled => panic!("{code}"),
            };
            assert_eq!((error.code.as_str(), passing), (code, again));
            assert!(
                !error.message.contains('/') && error.message.ends_with('.'),
                "{}",
                error.message
            );
        }
        assert!(matches!(of(ExportError::Cancelled), Failure::Cancelled));
        assert!(matches!(
            of(StoreError::Cancelled.into()),
            Failure::Cancelled
        ));
    }
}
