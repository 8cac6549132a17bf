//! `export-room import`: a dump, or a copy of a live database, into a workspace file.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};

use super::export::find_room;
use super::{WorkspaceOption, show};
use crate::app::{Address, App};
use crate::config::{Log, LogFormat, read_address};
use crate::export::report::hex;
use crate::network::Uri;
use crate::store::RoomId;
use crate::store::mongo::fetch::{self, FetchProgress, Kept};
use crate::store::sqlite::{ImportOutcome, ImportProgress, ImportStep};
use crate::telemetry::start_log;
use crate::words;

#[derive(Args)]
pub(super) struct ImportOptions {
    /// What mongodump made: a directory, or an --archive file, plain or gzip. Or a live database: `mongodb://HOST/DATABASE`.
    dump: Option<OsString>,
    /// The same, for an --archive file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dump", "live_file"])]
    archive: Option<PathBuf>,
    /// A file that holds the address of a live database, so that its password is in no list of processes.
    #[arg(long, value_name = "FILE", conflicts_with = "dump")]
    live_file: Option<PathBuf>,
    /// Of a live database only this room, by id or name; can be said again for others.
    #[arg(long, value_name = "ROOM")]
    room: Vec<String>,
    /// Of a live database, copy everything again, also what an interrupted import has copied.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    workspace: WorkspaceOption,
}

impl fmt::Debug for ImportOptions {
    /// Without the address, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportOptions").finish_non_exhaustive()
    }
}

/// What is imported.
enum From {
    Dump(PathBuf),
    Live(Uri),
}

impl ImportOptions {
    fn from(&self) -> anyhow::Result<From> {
        if let Some(archive) = &self.archive {
            return Ok(From::Dump(archive.clone()));
        }
        let address = match (&self.live_file, &self.dump) {
            (Some(file), _) => Some(read_address(file).map_err(anyhow::Error::msg)?),
            (None, Some(dump)) => dump
                .to_str()
                .filter(|text| text.starts_with("mongodb"))
                .map(str::to_owned),
            (None, None) => None,
        };
        match (address.map(|address| address.parse()), &self.dump) {
            (Some(Ok(Address::Mongo(uri))), _) => Ok(From::Live(uri)),
            (Some(_), None) => bail!("the file holds no address of a live database"),
            (_, Some(dump)) => Ok(From::Dump(dump.into())),
            (None, None) => bail!(
                "name what to import: the directory or archive that mongodump made, or mongodb://HOST/DATABASE"
            ),
        }
    }
}

pub(super) async fn run(app: App, options: ImportOptions) -> anyhow::Result<ExitCode> {
    let from = options.from()?;
    let Address::Sqlite(workspace) = options.workspace.address()? else {
        bail!("an import goes into a workspace file; say --workspace sqlite:FILE");
    };
    let (dump, uri) = match from {
        From::Dump(_) if !options.room.is_empty() => {
            bail!("--room chooses rooms of a live database; of a dump all are imported")
        }
        From::Dump(_) if options.fresh => {
            bail!("--fresh is for the copy of a live database; a dump is read as it is")
        }
        From::Dump(dump) => (dump, None),
        From::Live(uri) => {
            let rooms = chosen(&app, &uri, &options).await?;
            let copy = copy_of(&uri, &rooms, &workspace);
            if options.fresh && copy.exists() {
                remove(&copy)?;
            }
            tell_kept(&copy);
            fetch(&app, &uri, &options, &rooms, &copy).await?;
            (copy, Some(uri))
        }
    };
    let shown = match &uri {
        Some(uri) => uri.to_string(),
        None => dump.display().to_string(),
    };
    let started = Instant::now();
    let outcome = import(&app, dump.clone(), workspace.clone()).await?;
    let documents: u64 = outcome.collections.values().sum();
    let messages = outcome
        .collections
        .get("rocketchat_message")
        .copied()
        .unwrap_or_default();
    if outcome.already {
        eprintln!(
            "{shown} is in {} already; nothing was changed",
            workspace.display()
        );
    } else {
        eprintln!(
            "{}: {} documents of {} collections, {} of them messages, in {:.1} s",
            workspace.display(),
            show::number(documents),
            outcome.collections.len(),
            show::number(messages),
            started.elapsed().as_secs_f64(),
        );
    }
    if uri.is_some() {
        remove(&dump)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(copy: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(copy)
        .with_context(|| format!("the copy {} cannot be removed", copy.display()))
}

/// Says what an earlier import has copied that may be old by now.
fn tell_kept(copy: &Path) {
    let (what, at, more) = match fetch::kept(copy) {
        Some(Kept::All(at)) => ("everything", at, ""),
        Some(Kept::Messages(at)) => (
            "messages",
            at,
            "; users, rooms and all else that changes are copied again",
        ),
        None => return,
    };
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    eprintln!(
        "an earlier import goes on: {what} copied until {} is kept as it was then{more}; --fresh copies all again",
        words::instant(at)
    );
}

/// The ids of the rooms that are named.
async fn chosen(app: &App, uri: &Uri, options: &ImportOptions) -> anyhow::Result<Vec<RoomId>> {
    let mut rooms = Vec::new();
    if !options.room.is_empty() {
        let address = Address::Mongo(uri.clone());
        let live = app.open(&address, None, None, options.workspace.load());
        let source = live.await?.source;
        for name in &options.room {
            rooms.push(RoomId(find_room(&*source, name).await?.id));
        }
    }
    Ok(rooms)
}

/// The directory of the copy, beside the workspace: another one for another database or other rooms, so that only the same
/// is continued.
fn copy_of(uri: &Uri, rooms: &[RoomId], workspace: &Path) -> PathBuf {
    let mut digest = Sha256::new();
    digest.update(uri.to_string());
    for room in rooms {
        digest.update([0]);
        digest.update(&room.0);
    }
    let mut name = workspace.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.copy", &hex(&digest.finalize())[..12]));
    workspace.with_file_name(name)
}

/// Copies the live database, with progress on standard error.
async fn fetch(
    app: &App,
    uri: &Uri,
    options: &ImportOptions,
    rooms: &[RoomId],
    copy: &Path,
) -> anyhow::Result<()> {
    start_log(&Log {
        level: "warn".to_owned(),
        format: LogFormat::Text,
    })?;
    let mut display = Display::new();
    let load = options.workspace.load();
    let mut progress = |now: FetchProgress<'_>| {
        display.tell("copying", now.collection, now.done, now.done, now.total);
    };
    let outcome = app.fetch(uri, load, rooms, copy, &mut progress).await;
    display.bar.finish_and_clear();
    Ok(outcome?)
}

/// Imports with progress on standard error.
pub(super) async fn import(
    app: &App,
    dump: PathBuf,
    workspace: PathBuf,
) -> anyhow::Result<ImportOutcome> {
    let app = app.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut display = Display::new();
        let outcome = app.import(&dump, &workspace, &mut |progress| display.show(progress));
        display.bar.finish_and_clear();
        outcome
    });
    Ok(work.await.context("the import stopped unexpectedly")??)
}

struct Display {
    bar: ProgressBar,
    terminal: bool,
    last: Instant,
}

impl Display {
    fn new() -> Self {
        let terminal = io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) =
            ProgressStyle::with_template("{msg:>9} {wide_bar} {percent} %  ETA {eta}")
        {
            bar.set_style(style);
        }
        Self {
            bar,
            terminal,
            last: Instant::now(),
        }
    }

    fn show(&mut self, now: ImportProgress<'_>) {
        let step = match now.step {
            ImportStep::Read => "reading",
            ImportStep::Messages => "messages",
            ImportStep::Index => "index",
        };
        self.tell(step, now.collection, now.documents, now.done, now.total);
    }

    fn tell(
        &mut self,
        step: &'static str,
        collection: &str,
        documents: u64,
        done: u64,
        total: u64,
    ) {
        if self.terminal {
            if self.bar.message() != step {
                self.bar.set_message(step);
                self.bar.reset_eta();
            }
            self.bar.set_length(total);
            self.bar.set_position(done);
        } else if self.last.elapsed() > Duration::from_secs(2) {
            self.last = Instant::now();
            let percent = done.saturating_mul(100) / total.max(1);
            eprintln!(
                "{step} {}: {percent} %, {} documents",
                show::one_line(collection),
                show::number(documents)
            );
        }
    }
}
