//! `export-room export`: one room to a ZIP.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;
use transcript::locale::Locale;
use transcript::names;
use transcript::room::RoomInfo;

use super::service::variables;
use super::{INCOMPLETE, WorkspaceOption, show};
use crate::app::{App, Workspace};
use crate::config::{Config, Log};
use crate::export::ExportError;
use crate::export::file::{FileExport, expected_bytes};
use crate::export::ledger::MissingFile;
use crate::export::progress::{Progress, Snapshot};
use crate::export::report::ExportReport;
use crate::export::request::{DEFAULT_LEVEL, Edge, ExportRequest, Format, cores, parse_date};
use crate::export::style;
use crate::export::target::{Content, Target, Written};
use crate::store::directory::Settings;
use crate::store::{MessageSource, Window};
use crate::telemetry::start_log;

/// Candidates listed for an ambiguous room.
const CANDIDATES: usize = 20;

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub(super) struct ExportOptions {
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// The room: its id, its name (general, #general), or @username for the direct room with that user.
    #[arg(long, value_name = "RID|NAME")]
    room: String,
    /// The form of the messages.
    #[arg(short, long, value_enum)]
    format: FormatOption,
    /// First day (YYYY-MM-DD, UTC) or instant (RFC 3339) to export.
    #[arg(long, value_name = "DATE", visible_alias = "after")]
    date_from: Option<String>,
    /// Last day or instant to export, included.
    #[arg(long, value_name = "DATE", visible_alias = "before")]
    date_to: Option<String>,
    /// The ZIP to write; - is the standard output [default: NAME.FORMAT.zip here].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the ZIP if it exists.
    #[arg(long)]
    force: bool,
    /// Leave the files out.
    #[arg(long)]
    no_attachments: bool,
    /// Directory of the files that the server kept in a FileSystem store.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// A configuration file that says how file stores are reached, in its sections `blobs`, `s3`, `gcs` and `webdav`, and
    /// zone and language of pages, in `export`
    /// [default: /etc/export-room.toml, when it is there].
    #[arg(long, env = "EXPORT_ROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Contact no S3, Google Cloud Storage or WebDAV: list their files as missing.
    #[arg(long)]
    offline: bool,
    /// Compression, 0 (none) to 9 (smallest).
    #[arg(long, default_value_t = DEFAULT_LEVEL, value_parser = clap::value_parser!(u8).range(0..=9))]
    level: u8,
    /// Threads that compress [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// Time zone of the pages, for example Europe/Berlin [default: the configured one, else the workspace's, else UTC].
    #[arg(long, value_name = "TZ")]
    timezone: Option<String>,
    /// Language of the pages: en, en-US, de, fr, es, pt-BR, ru, ja or zh [default: the configured one, else the
    /// workspace's, else en].
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// A style sheet of your own for the pages, put after ours.
    #[arg(long, value_name = "FILE")]
    style: Option<PathBuf>,
    /// Who exports, as the pages say it [default: the user of the system].
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Show old versions under their message, and deleted messages that the server kept.
    #[arg(long)]
    history: bool,
    /// Leave the search out of HTML pages: smaller and faster.
    #[arg(long)]
    no_search: bool,
    /// Add each whole document to the JSON, as relaxed extended JSON.
    #[arg(long)]
    raw: bool,
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value_t = ProgressOption::Auto)]
    progress: ProgressOption,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatOption {
    /// Pages to read.
    Html,
    /// One JSON object per message and line.
    Json,
    /// A mail for each message, each a file.
    Eml,
    /// A mail for each message, in one mailbox.
    Mbox,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressOption {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A line now and then.
    Plain,
    /// A JSON object a line, for programs.
    Json,
    /// Nothing but errors and what is missing.
    None,
}

pub(super) async fn run(app: App, options: ExportOptions) -> anyhow::Result<ExitCode> {
    let window = window(options.date_from.as_deref(), options.date_to.as_deref())?;
    let asked_zone = options.timezone.as_deref().map(zone).transpose()?;
    let asked_locale = options.locale.as_deref().map(locale).transpose()?;
    let style = options.style.as_deref().map(read_style).transpose()?;
    let format = match options.format {
        FormatOption::Html => Format::Html,
        FormatOption::Json => Format::Json,
        FormatOption::Eml => Format::Eml,
        FormatOption::Mbox => Format::Mbox,
    };
    if options.raw && format != Format::Json {
        bail!("--raw adds documents to the JSON export; say --format json with it");
    }
    let config = Config::load(options.config.as_deref(), variables(), &[])?;
    // A store, or a database, that is asked again is seen.
    start_log(&Log {
        level: "warn".to_owned(),
        ..config.log
    })?;
    let contacted = config.blobs.remote && !options.offline;
    let stores = contacted.then(|| config.file_stores());
    let workspace = options
        .workspace
        .open(&app, options.files.as_deref(), stores)
        .await?;
    let room = find_room(&*workspace.source, &options.room).await?;
    let [reports, custom] = Settings::TIME_ZONE;
    let wanted = [reports, custom, "Language"];
    let settings = workspace.source.settings(&wanted).await?;
    let zone = asked_zone
        .or(config.export.timezone)
        .or_else(|| settings.time_zone());
    let locale = asked_locale
        .or(config.export.locale)
        .or_else(|| settings.language());
    let request = ExportRequest {
        window,
        format,
        attachments: !options.no_attachments,
        history: options.history,
        raw: options.raw,
        search: !options.no_search,
        zone: zone.unwrap_or(TimeZone::UTC),
        locale: locale.unwrap_or_default(),
        style,
        exported_by: Some(options.by.unwrap_or_else(operator)),
        level: options.level,
        threads: options.threads.map_or_else(cores, usize::from),
        exported_at: app.clock.now(),
        room,
    };
    let output = options
        .output
        .unwrap_or_else(|| default_output(&request.room, format));
    export(
        &app,
        workspace,
        request,
        output,
        options.force,
        options.progress,
    )
    .await
}

/// Runs an export to a file or, for `-`, to the standard output, with progress, summary and exit code.
pub(super) async fn export(
    app: &App,
    workspace: Workspace,
    request: ExportRequest,
    output: PathBuf,
    force: bool,
    progress_option: ProgressOption,
) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let progress = Arc::new(Progress::default());
    let to_stdout = output.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        bail!(
            "a ZIP does not belong on a terminal; send it to a file or pipe, or name a file with -o"
        );
    }
    let display = Arc::new(Display::new(progress_option));
    let export = FileExport {
        source: workspace.source,
        blobs: workspace.blobs,
        progress: Arc::clone(&progress),
        cancel: app.cancel.clone(),
        on_missing: Box::new({
            let display = Arc::clone(&display);
            move |missing| display.missing(missing)
        }),
        on_damaged: Box::new({
            let display = Arc::clone(&display);
            move |message| display.damaged(message)
        }),
    };
    let expected = export.count(&request).await?;
    let needed = expected_bytes(expected.messages);
    let replace = force.then_some(Content::Zip);
    let target = open(app, &output, replace, needed, Arc::clone(&progress)).await?;
    let history = request.history;
    let room = request.room.id.clone();
    let work = tokio::task::spawn_blocking(move || {
        let (target, report) = export.run(&request, expected, target)?;
        let written = target.commit()?;
        anyhow::Ok((written, report))
    });
    let (written, report) = watch(&display, &progress, started, work)
        .await
        .map_err(explain)
        .with_context(|| format!("export of room {room}"))?;
    let place = if to_stdout {
        "standard output".to_owned()
    } else {
        output.display().to_string()
    };
    display.finished(&place, &written, &report, history, started.elapsed());
    Ok(if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        INCOMPLETE.into()
    })
}

/// Opens what `-o` names, `-` for the standard output, as [`Target::file`] does.
pub(super) async fn open(
    app: &App,
    path: &Path,
    replace: Option<Content>,
    needed: u64,
    progress: Arc<Progress>,
) -> anyhow::Result<Target> {
    let path = path.to_owned();
    let target = tokio::task::spawn_blocking(move || {
        if path.as_os_str() == "-" {
            Ok(Target::stream(Box::new(io::stdout()), progress))
        } else {
            Target::file(&path, replace, needed, progress)
        }
    });
    // Opening a pipe waits for its reader, who may never come.
    tokio::select! {
        target = target => Ok(target.context("the output could not be opened")??),
        () = app.cancel.cancelled() => Err(ExportError::Cancelled.into()),
    }
}

/// Shows progress until the work is done.
async fn watch<T>(
    display: &Display,
    progress: &Progress,
    started: Instant,
    work: tokio::task::JoinHandle<anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut ticks = tokio::time::interval(display.interval());
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                display.clear();
                return result.context("the export stopped unexpectedly")?;
            }
            _ = ticks.tick() => display.show(progress.snapshot(), started.elapsed()),
        }
    }
}

/// A failed write says more than "I/O error".
fn explain(error: anyhow::Error) -> anyhow::Error {
    let full = error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
    });
    match error.downcast_ref() {
        Some(ExportError::Cancelled) => error,
        _ if full => {
            error.context("the disk is full; free some space or choose another place with -o")
        }
        _ => error,
    }
}

/// The window of two dates.
pub(super) fn window(from: Option<&str>, to: Option<&str>) -> anyhow::Result<Window> {
    let read = |text: Option<&str>, option: &str, edge| {
        text.map(|text| {
            parse_date(text, edge)
                .with_context(|| format!("{option} {text}: say a day like 2024-03-15 or an instant like 2024-03-15T14:00:00Z"))
        })
        .transpose()
    };
    let window = Window {
        from: read(from, "--date-from", Edge::From)?,
        to: read(to, "--date-to", Edge::To)?,
    };
    if let (Some(from), Some(to)) = (window.from, window.to)
        && from > to
    {
        bail!("--date-from is after --date-to; nothing could be in between");
    }
    Ok(window)
}

pub(super) fn zone(name: &str) -> anyhow::Result<TimeZone> {
    TimeZone::get(name).ok().with_context(|| {
        format!("--timezone {name}: there is no such zone; say one like Europe/Berlin or UTC")
    })
}

fn locale(tag: &str) -> anyhow::Result<Locale> {
    Locale::of(tag).with_context(|| {
        let known: Vec<_> = Locale::tags().collect();
        format!("--locale {tag}: say one of {}", known.join(", "))
    })
}

fn read_style(path: &Path) -> anyhow::Result<String> {
    style::read(path).with_context(|| format!("--style {}", path.display()))
}

/// Who runs the command, as the environment says, else the system: services and containers often have no such variables.
pub(super) fn operator() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| {
            let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
            account(&accounts, rustix::process::getuid().as_raw())
        })
}

/// The name of the account with this number among those of the machine; the number when it is none of them.
fn account(accounts: &str, uid: u32) -> String {
    let number = uid.to_string();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == number).then_some(name)
    });
    name.map_or_else(|| format!("uid {number}"), str::to_owned)
}

/// The one room that the user means.
pub(super) async fn find_room(source: &dyn MessageSource, name: &str) -> anyhow::Result<RoomInfo> {
    let found = source.find_rooms(name, CANDIDATES + 1).await?;
    let shown = show::one_line(name);
    let mut rooms = Vec::with_capacity(found.len());
    for doc in &found {
        rooms.push(
            RoomInfo::read(&doc.0)
                .with_context(|| format!("the record of room {shown} is damaged"))?,
        );
    }
    match rooms.len() {
        0 => bail!(
            "there is no room `{shown}` in this workspace; `export-room rooms` lists those there are"
        ),
        1 => Ok(rooms.remove(0)),
        count => {
            let mut list = String::new();
            for room in rooms.iter().take(CANDIDATES) {
                list.extend([
                    "; ",
                    &room.id,
                    " (",
                    room.kind_in_words(),
                    " ",
                    &room.title,
                    ")",
                ]);
            }
            let more = if count > CANDIDATES { "; and more" } else { "" };
            bail!(
                "several rooms are called {shown}; name one by its id{}{more}",
                show::one_line(&list)
            )
        }
    }
}

/// `NAME.FORMAT.zip`: the name is cut, not what tells the formats apart.
fn default_output(room: &RoomInfo, format: Format) -> PathBuf {
    let stem = names::safe(room.file_stem());
    let stem = &stem[..stem.floor_char_boundary(100)];
    format!("{stem}.{}.zip", format.name()).into()
}

/// Most memory that this process has had resident so far, in bytes; `None` where the system does not tell
/// (`VmHWM` of proc(5)).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Progress and results on standard error.
struct Display {
    kind: ProgressOption,
    bar: ProgressBar,
}

impl Display {
    fn new(kind: ProgressOption) -> Self {
        let kind = match kind {
            ProgressOption::Auto if !io::stderr().is_terminal() => ProgressOption::Plain,
            kind => kind,
        };
        let target = match kind {
            ProgressOption::Auto => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(
            "{msg:>8} {wide_bar} {human_pos}/{human_len} messages  {per_sec}  ETA {eta}",
        ) {
            bar.set_style(style);
        }
        Self { kind, bar }
    }

    fn interval(&self) -> Duration {
        match self.kind {
            ProgressOption::Auto => Duration::from_millis(100),
            _ => Duration::from_secs(2),
        }
    }

    fn show(&self, now: Snapshot, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        match self.kind {
            ProgressOption::Auto => {
                if self.bar.message() != now.phase.name() {
                    self.bar.set_message(now.phase.name());
                    self.bar.reset_eta();
                }
                self.bar.set_length(now.total);
                self.bar.set_position(now.done);
            }
            // The first line only when there has been time to wait.
            ProgressOption::Plain if elapsed > Duration::from_secs(1) => {
                let (done, total) = (show::number(now.done), show::number(now.total));
                eprintln!(
                    "{}: {done}/{total} messages, {} written",
                    now.phase.name(),
                    show::bytes(now.bytes)
                );
            }
            ProgressOption::Json => {
                let line = serde_json::json!({
                    "phase": now.phase.name(), "done": now.done, "total": now.total, "bytes": now.bytes,
                    "seconds": seconds,
                });
                eprintln!("{line}");
            }
            ProgressOption::Plain | ProgressOption::None => {}
        }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn missing(&self, missing: &MissingFile) {
        let MissingFile {
            message,
            file,
            name,
            reason,
        } = missing;
        if self.kind == ProgressOption::Json {
            let line = serde_json::json!({"missing": {"message": message, "file": file, "name": name, "reason": reason}});
            eprintln!("{line}");
            return;
        }
        let line = format!("missing: file {file} ({name}) of message {message}: {reason}");
        self.bar.suspend(|| eprintln!("{}", show::one_line(&line)));
    }

    fn damaged(&self, message: &str) {
        if self.kind == ProgressOption::Json {
            eprintln!("{}", serde_json::json!({"damaged": {"message": message}}));
            return;
        }
        let line = format!("damaged: only a part of message {message} could be read");
        self.bar.suspend(|| eprintln!("{}", show::one_line(&line)));
    }

    fn finished(
        &self,
        place: &str,
        written: &Written,
        report: &ExportReport,
        history: bool,
        elapsed: Duration,
    ) {
        let rendered = report.messages.rendered;
        let seconds = elapsed.as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = (rendered as f64 / seconds) as u64;
        if self.kind == ProgressOption::Json {
            let line = serde_json::json!({
                "phase": "done", "complete": report.is_complete(), "path": place, "messages": rendered,
                "files": report.files.packed, "missing": report.files.missing, "problems": report.problems,
                "bytes": written.bytes, "sha256": written.sha256, "seconds": seconds, "rate": rate,
                "peakBytes": peak_memory(),
            });
            eprintln!("{line}");
            return;
        }
        for problem in &report.problems {
            eprintln!("incomplete: {problem}");
        }
        for change in &report.changes {
            eprintln!("changed meanwhile: {change}");
        }
        if self.kind == ProgressOption::None {
            return;
        }
        let (old, deleted) = (report.messages.history, report.messages.deleted);
        if !history && old + deleted > 0 {
            eprintln!(
                "left out: {} old versions and {} deleted messages that the server kept; --history shows them",
                show::number(old),
                show::number(deleted),
            );
        }
        let missing = match report.files.missing {
            0 => String::new(),
            missing => format!(" ({} missing)", show::number(missing)),
        };
        eprintln!(
            "{}: {} messages, {} files{missing}, {} in {seconds:.1} s ({} messages/s, peak memory {})\nSHA-256 {}",
            show::one_line(place),
            show::number(rendered),
            show::number(report.files.packed),
            show::bytes(written.bytes),
            show::number(rate),
            peak_memory().map_or_else(|| "unknown".to_owned(), show::bytes),
            written.sha256,
        );
        // Errors of standard error have nowhere to be told.
        let _ = io::stderr().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::account;

    #[test]
    fn an_account_has_its_name_and_one_without_has_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n:x:7:\nbroken\nann:x:1000:1000::/home/ann:\nbob:x:1000:\n";
        for (uid, expected) in [(0, "root"), (1000, "ann"), (7, "uid 7"), (100, "uid 100")] {
            assert_eq!(account(accounts, uid), expected);
        }
        assert_eq!(account("", 0), "uid 0");
    }
}
