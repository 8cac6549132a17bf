//! `export-room doctor`: looks at every part that the server would use, and says how to repair what is wrong.
//!
//! Opens everything as the server does, which makes what the server would make: the directory of the exports and the
//! tables of the queue. What it writes to try a place it removes again, and it sends no mail.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use transcript::DocBatch;
use transcript::bson::{Doc, Value};

use super::service::ServiceOptions;
use super::{FAILED, INCOMPLETE};
use crate::access::MAIL_MESSAGES;
use crate::app::{Address, App, Service, host};
use crate::blob::{RemoteKind, StoreKind};
use crate::jobs::JobState;
use crate::mail::MailError;
use crate::network::Uri;
use crate::store::directory::UserId;
use crate::store::{MessageQuery, RoomId, RoomSummary, Selection, StoreError, Window};
use crate::words;

/// Rooms that are looked through for one that has messages.
const ROOMS: usize = 50;
/// Bytes on the disk of the exports below which a warning is due.
const LITTLE_SPACE: u64 = 1 << 30;
/// A clock before this instant, 2025-01-01, was never set.
const CLOCK_NEVER_SET: i64 = 1_735_689_600_000;
/// How far the newest message may be ahead of the clock, in milliseconds.
const CLOCKS_DIFFER: i64 = 60 * 60_000;

const EXPORTS: &str = "exports";
const REPAIR_EXPORTS: &str = "name a directory in store.directory that the server may write to";
const FILES: &str = "files";
const GRANT_READ: &str =
    "see that the database can be reached, and grant its user to read what docs/operating.md lists";
const REPAIR_FILES: &str = "name a copy of FileUpload_FileSystemPath in workspace.files";

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all is well, 1 there are warnings, 2 something does not work."
)]
pub(super) struct DoctorOptions {
    #[command(flatten)]
    service: ServiceOptions,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Check {
    part: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<&'static str>,
}

/// What was looked at so far.
#[derive(Debug, Default, Serialize)]
struct Findings {
    checks: Vec<Check>,
}

impl Findings {
    fn ok(&mut self, part: &'static str, found: impl Display) {
        self.add(part, Verdict::Ok, found, None);
    }

    fn warn(&mut self, part: &'static str, found: impl Display, repair: &'static str) {
        self.add(part, Verdict::Warn, found, Some(repair));
    }

    fn fail(&mut self, part: &'static str, found: impl Display, repair: &'static str) {
        self.add(part, Verdict::Fail, found, Some(repair));
    }

    fn add(
        &mut self,
        part: &'static str,
        verdict: Verdict,
        found: impl Display,
        repair: Option<&'static str>,
    ) {
        self.checks.push(Check {
            part,
            verdict,
            found: words::one_line(&found.to_string()),
            repair,
        });
    }

    fn write(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            return writeln!(out);
        }
        for check in &self.checks {
            let verdict = match check.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            let repair = check
                .repair
                .map_or_else(String::new, |repair| format!(". Repair: {repair}"));
            writeln!(
                out,
                "{verdict}  {:<13}  {}{repair}",
                check.part, check.found
            )?;
        }
        Ok(())
    }

    fn exit_code(&self) -> ExitCode {
        match self.checks.iter().map(|check| check.verdict).max() {
            None | Some(Verdict::Ok) => ExitCode::SUCCESS,
            Some(Verdict::Warn) => INCOMPLETE.into(),
            Some(Verdict::Fail) => FAILED.into(),
        }
    }
}

pub(super) async fn run(app: App, options: DoctorOptions) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    examine(&app, &options.service, &mut findings).await;
    findings.write(options.json)?;
    Ok(findings.exit_code())
}

async fn examine(app: &App, options: &ServiceOptions, findings: &mut Findings) {
    let config = match options.load(&[]) {
        Ok(config) => config,
        Err(error) => {
            for problem in error.0 {
                findings.fail(
                    "configuration",
                    problem,
                    "correct it; `export-room config default` explains every setting",
                );
            }
            return;
        }
    };
    findings.ok("configuration", "every setting is known and valid");
    listen(config.http.listen, findings).await;
    let (store, uploads) = (config.store.directory(), config.workspace.files.clone());
    let service = match app.on_passing_time().service(config).await {
        Ok(service) => service,
        Err(error) => {
            let (part, repair) = match &error {
                StoreError::Io { path, .. } if *path == store => (EXPORTS, REPAIR_EXPORTS),
                StoreError::Io { path, .. } if Some(path) == uploads.as_ref() => {
                    (FILES, REPAIR_FILES)
                }
                _ => (
                    "workspace",
                    "name a workspace with --workspace: sqlite:FILE, made by `export-room import`, or mongodb://HOST/DATABASE",
                ),
            };
            findings.fail(part, told(error), repair);
            return;
        }
    };
    let newest = workspace(&service, findings).await;
    clock(&service, newest, findings);
    permissions(&service, findings).await;
    files(&service, findings).await;
    queue(&service, findings).await;
    logins(&service, findings).await;
    exports(&service, findings).await;
    mail(&service, findings).await;
    site_url(&service, findings).await;
}

/// The repair for a workspace of its kind: of a file, or of a live database.
fn of_kind(service: &Service, file: &'static str, live: &'static str) -> &'static str {
    match service.config.workspace.address.reveal().parse() {
        Ok(Address::Mongo(_)) => live,
        _ => file,
    }
}

/// What helps when the workspace cannot be read.
fn import_again(service: &Service) -> &'static str {
    of_kind(service, "import the dump again into a new file", GRANT_READ)
}

/// An error with its reasons, on one line.
fn told(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

async fn listen(address: SocketAddr, findings: &mut Findings) {
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => findings.ok("listen", format_args!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => findings.warn(
            "listen",
            format_args!("something answers on {address} already"),
            "nothing, if that is this server; else choose another address in http.listen",
        ),
        Err(error) => findings.fail(
            "listen",
            format_args!("cannot listen on {address}: {error}"),
            "choose an address of this machine and a port from 1024 in http.listen",
        ),
    }
}

/// Reads one message, and gives back when the newest message was sent.
async fn workspace(service: &Service, findings: &mut Findings) -> Option<i64> {
    let repair = of_kind(
        service,
        "import the dump again into a new file, or restore the file from a backup",
        GRANT_READ,
    );
    let rooms = match service.source.rooms(None, ROOMS).await {
        Ok(rooms) => rooms,
        Err(error) => {
            findings.fail("workspace", told(error), repair);
            return None;
        }
    };
    let newest = rooms.iter().filter_map(|room| room.last).max();
    let Some(room) = rooms.iter().find(|room| room.messages > 0) else {
        findings.warn(
            "workspace",
            format_args!("{} can be read, but has no messages", address(service)),
            of_kind(
                service,
                "import a dump that has the collection rocketchat_message",
                "name the database of Rocket.Chat's MONGO_URL",
            ),
        );
        return newest;
    };
    match first_authors(service, room).await {
        Ok(authors) => {
            findings.ok(
                "workspace",
                format_args!("the messages of {} can be read", address(service)),
            );
            users(service, &authors, findings).await;
        }
        Err(error) => findings.fail("workspace", told(error), repair),
    }
    newest
}

/// Where the workspace is, without a password.
fn address(service: &Service) -> Uri {
    service.config.workspace.address.reveal().to_owned().into()
}

/// Ids of the authors of a room's first messages.
async fn first_authors(service: &Service, room: &RoomSummary) -> Result<Vec<String>, StoreError> {
    let id = |doc: Doc<'_>| {
        doc.get("_id")
            .and_then(Value::text)
            .map(|id| id.to_str().into_owned())
    };
    let room = Doc::new(&room.room.0).ok().and_then(id).unwrap_or_default();
    let query = MessageQuery {
        room: RoomId(room),
        window: Window::default(),
        selection: Selection::All,
    };
    let mut cursor = service.source.messages(&query).await?;
    let batch = cursor.next_batch().await?;
    let docs = batch.iter().flat_map(DocBatch::docs);
    let mut authors: Vec<_> = docs
        .take(100)
        .filter_map(|doc| id(Doc::new(doc).ok()?.get("u")?.document()?))
        .collect();
    authors.sort();
    authors.dedup();
    Ok(authors)
}

async fn users(service: &Service, authors: &[String], findings: &mut Findings) {
    for author in authors {
        match service.directory.user(&UserId(author.clone())).await {
            Ok(Some(_)) => {
                findings.ok("users", "authors of messages are users of the workspace");
                return;
            }
            Ok(None) => {}
            Err(error) => {
                findings.fail("users", told(error), import_again(service));
                return;
            }
        }
    }
    findings.warn(
        "users",
        "no author of the first messages is a user of the workspace",
        of_kind(
            service,
            "without the collection users nobody can log in: import a dump that has it",
            "without them nobody can log in: name the database of Rocket.Chat's MONGO_URL",
        ),
    );
}

fn clock(service: &Service, newest: Option<i64>, findings: &mut Findings) {
    let now = service.clock.now();
    let shown = words::instant(now);
    if now < CLOCK_NEVER_SET || newest.is_some_and(|newest| newest > now + CLOCKS_DIFFER) {
        findings.fail(
            "clock",
            format_args!("says {shown}, which is before the newest message or this program"),
            "set the machine's clock: logins expire and exports are removed by it",
        );
    } else {
        findings.ok("clock", shown);
    }
}

async fn permissions(service: &Service, findings: &mut Findings) {
    match service.directory.permission_roles(MAIL_MESSAGES).await {
        Ok(roles) if roles.is_empty() => findings.fail(
            "permissions",
            format_args!("no role has the permission {MAIL_MESSAGES}: nobody may export"),
            of_kind(
                service,
                "grant it to roles in Rocket.Chat (Workspace, Permissions) and import again, with rocketchat_permissions",
                "grant it to roles in Rocket.Chat (Workspace, Permissions)",
            ),
        ),
        Ok(roles) => findings.ok(
            "permissions",
            format_args!("{MAIL_MESSAGES}: {}", roles.join(", ")),
        ),
        Err(error) => findings.fail("permissions", told(error), import_again(service)),
    }
}

async fn files(service: &Service, findings: &mut Findings) {
    let stores = match service.source.upload_stores().await {
        Ok(stores) => stores,
        Err(error) => {
            findings.fail(FILES, told(error), import_again(service));
            return;
        }
    };
    let (mut inside, mut beside, mut elsewhere) = (0, 0, Vec::new());
    let mut remote = BTreeMap::new();
    for (store, count) in &stores {
        match StoreKind::of(store) {
            StoreKind::GridFs => inside += count,
            StoreKind::FileSystem => beside += count,
            StoreKind::Remote(kind) => *remote.entry(kind).or_default() += count,
            StoreKind::Unsaid => elsewhere.push(format!("{count} nowhere")),
            StoreKind::Other(other) => elsewhere.push(format!("{count} in {other}")),
        }
    }
    for (kind, count) in remote {
        remote_files(service, kind, count, findings).await;
    }
    let files = &service.config.workspace.files;
    let found = format!(
        "{} in the workspace, {} in a directory{}",
        words::number(inside),
        words::number(beside),
        files
            .as_ref()
            .map_or_else(String::new, |files| format!(" ({})", files.display())),
    );
    if beside > 0 && files.is_none() {
        findings.warn(
            FILES,
            format_args!("{found}, and none is named: those will be missing"),
            REPAIR_FILES,
        );
    } else if !elsewhere.is_empty() {
        findings.warn(
            FILES,
            format_args!(
                "{found}; not read: {}, which will be missing",
                elsewhere.join(", ")
            ),
            of_kind(
                service,
                "move these uploads to GridFS or a FileSystem store before the dump",
                "move these uploads to one of the stores of docs/operating.md",
            ),
        );
    } else {
        findings.ok(FILES, found);
    }
}

/// Files in a store that is reached over the network.
async fn remote_files(service: &Service, kind: RemoteKind, count: u64, findings: &mut Findings) {
    let found = format!("{} in {}", words::number(count), kind.name());
    let Some(stores) = &service.stores else {
        findings.warn(
            FILES,
            format_args!("{found}, which is not contacted: those will be missing"),
            "set blobs.remote = true",
        );
        return;
    };
    match stores.describe(kind).await {
        Ok(Some(place)) => findings.ok(FILES, format_args!("{found} ({place})")),
        Ok(None) => findings.warn(
            FILES,
            format_args!("{found}, and nothing says where that is: those will be missing"),
            match kind {
                RemoteKind::S3 => "set s3.bucket",
                RemoteKind::GoogleCloud => "set gcs.bucket",
                RemoteKind::WebDav => "set webdav.url",
            },
        ),
        Err(error) => findings.fail(FILES, told(error), "correct [s3], [gcs] or [webdav]"),
    }
}

async fn queue(service: &Service, findings: &mut Findings) {
    let written = service.queue.check().await;
    match (written, service.queue.counts().await) {
        (Ok(()), Ok(counts)) => {
            let of = |state| -> u64 {
                counts
                    .iter()
                    .filter(|(_, other, _)| *other == state)
                    .map(|(.., count)| count)
                    .sum()
            };
            findings.ok(
                "queue",
                format_args!(
                    "writable; {} waiting, {} running, {} failed",
                    words::number(of(JobState::Queued)),
                    words::number(of(JobState::Running)),
                    words::number(of(JobState::Failed)),
                ),
            );
        }
        (Err(error), _) | (_, Err(error)) => findings.fail(
            "queue",
            told(error),
            "let the user that runs the server write to the workspace file and its directory; of a live database grant its user what docs/operating.md lists",
        ),
    }
}

/// Whether those who log in here can be given tokens.
async fn logins(service: &Service, findings: &mut Findings) {
    if !service.config.security.login {
        return;
    }
    match service.directory.check().await {
        Ok(()) => findings.ok("logins", "tokens can be written"),
        Err(error) => findings.fail(
            "logins",
            told(error),
            "grant the database's user to update users, or set security.login = false and let users log in at Rocket.Chat",
        ),
    }
}

async fn exports(service: &Service, findings: &mut Findings) {
    let place = service.exports.describe();
    if let Err(error) = service.exports.check().await {
        findings.fail(EXPORTS, told(error), REPAIR_EXPORTS);
        return;
    }
    let Some(directory) = service.exports.directory().map(Path::to_owned) else {
        findings.ok(
            EXPORTS,
            format_args!("{place}: an object was written, read and removed"),
        );
        return;
    };
    let free = match rustix::fs::statvfs(&directory) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            findings.fail(EXPORTS, told(error), REPAIR_EXPORTS);
            return;
        }
    };
    match unreadable(service, &directory).await {
        Ok(None) => {}
        Ok(Some(why)) => {
            findings.warn(
                EXPORTS,
                format_args!("{place} is writable, but Rocket.Chat may not read exports there: {why}"),
                "let the directory's group read them, as \"A directory of both\" in docs/operating.md says",
            );
            return;
        }
        Err(error) => {
            findings.fail(EXPORTS, told(error), REPAIR_EXPORTS);
            return;
        }
    }
    if free < LITTLE_SPACE {
        findings.warn(
            EXPORTS,
            format_args!("only {} are free in {place}", words::bytes(free)),
            "make space, or name a directory on another disk in store.directory",
        );
    } else if is_temporary(&directory) {
        findings.warn(
            EXPORTS,
            format_args!(
                "{place} is writable, {} are free; the system removes old files there by itself",
                words::bytes(free)
            ),
            "name a directory in store.directory that nobody cleans",
        );
    } else {
        findings.ok(
            EXPORTS,
            format_args!("{place} is writable, {} are free", words::bytes(free)),
        );
    }
}

/// Why a Rocket.Chat that is to serve exports from a directory may not read them.
async fn unreadable(
    service: &Service,
    directory: &Path,
) -> Result<Option<&'static str>, StoreError> {
    if !service.is_shared(directory).await? {
        return Ok(None);
    }
    let found = directory
        .metadata()
        .map_err(StoreError::io("read", directory))?;
    let us = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let owner = (found.uid(), found.gid());
    let group_readable = service.config.store.group_readable;
    Ok(hidden(owner, found.mode(), us, group_readable))
}

/// Why the owner of a directory may not read files that we make in it. Users and groups by their numbers.
fn hidden(
    (owner, group): (u32, u32),
    mode: u32,
    (user, own_group): (u32, u32),
    group_readable: bool,
) -> Option<&'static str> {
    const SET_GROUP: u32 = 0o2000;
    if owner == user {
        None
    } else if !group_readable {
        Some("the directory is another user's, and exports are for the server's user only")
    } else if mode & SET_GROUP == 0 && group != own_group {
        Some("the directory is another user's, and exports get the group of the server's user")
    } else {
        None
    }
}

/// Whether the directory is among the temporary files, which systems remove by themselves.
fn is_temporary(directory: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(directory).starts_with(real(&std::env::temp_dir()))
}

async fn mail(service: &Service, findings: &mut Findings) {
    let config = &service.config.mail;
    if !config.ready && !config.failed && !config.messages {
        findings.ok(
            "mail",
            "switched off (mail.ready, mail.failed, mail.messages)",
        );
        return;
    }
    match service.mailer.check().await {
        Ok(found) => findings.ok("mail", found),
        Err(error @ MailError::Unusable(_)) => findings.warn(
            "mail",
            told(error),
            "set [mail], or mail.ready = false; exports are made without, and found in the list of exports",
        ),
        Err(error) => findings.fail(
            "mail",
            told(error),
            "start the mail server, or correct [mail], or set mail.ready = false",
        ),
    }
}

async fn site_url(service: &Service, findings: &mut Findings) {
    const PART: &str = "site URL";
    const REPAIR: &str = "set http.site_url to the address that users have in their browsers";
    let url = match service.site_url().await {
        Ok(url) => url,
        Err(error) => {
            findings.fail(PART, told(error), REPAIR);
            return;
        }
    };
    let host = host(&url);
    let encrypted = url.starts_with("https://");
    let here = host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    let odd = url.chars().any(|c| c.is_whitespace() || c.is_control());
    if host.is_empty() || odd || !(encrypted || url.starts_with("http://")) {
        findings.fail(
            PART,
            format_args!("`{url}` is no address of a site"),
            REPAIR,
        );
    } else if here {
        findings.warn(
            PART,
            format_args!("links in mails will begin with {url}, which works on this machine only"),
            REPAIR,
        );
    } else if encrypted {
        findings.ok(PART, format_args!("links begin with {url}"));
    } else {
        findings.warn(
            PART,
            format_args!("users reach the server at {url}, without encryption"),
            "put a proxy with TLS before the server, and its https address into http.site_url",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owns_the_directory_must_be_able_to_read_what_is_in_it() {
        let (theirs, ours) = ((7, 70), (8, 80));
        for (owner, mode, us, group_readable, hidden_by) in [
            (ours, 0o700, ours, false, None),
            (theirs, 0o2770, ours, false, Some("server's user only")),
            (theirs, 0o770, ours, true, Some("the group of")),
            (theirs, 0o2770, ours, true, None),
            (theirs, 0o770, (8, 70), true, None),
        ] {
            let found = hidden(owner, mode, us, group_readable);
            let fits = match (found, hidden_by) {
                (Some(found), Some(part)) => found.contains(part),
                (found, part) => found.is_none() && part.is_none(),
            };
            assert!(
                fits,
                "{owner:?} {mode:o} {us:?} {group_readable}: {found:?}"
            );
        }
    }

    #[test]
    fn the_worst_finding_decides() {
        let mut findings = Findings::default();
        let code = |findings: &Findings| format!("{:?}", findings.exit_code());
        assert_eq!(code(&findings), format!("{:?}", ExitCode::SUCCESS));
        findings.fail("b", "x", "y");
        findings.warn("a", "x", "y");
        findings.ok("c", "x");
        assert_eq!(code(&findings), format!("{:?}", ExitCode::from(FAILED)));
    }
}
