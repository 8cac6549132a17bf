//! `export-room import`: a dump into a workspace file.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{WorkspaceOption, show};
use crate::app::{Address, App};
use crate::store::sqlite::{ImportOutcome, ImportProgress, ImportStep};

#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    /// What mongodump made: a directory, or an --archive file, plain or gzip.
    dump: Option<PathBuf>,
    /// The same, for an --archive file.
    #[arg(long, value_name = "FILE", conflicts_with = "dump")]
    archive: Option<PathBuf>,
    #[command(flatten)]
    workspace: WorkspaceOption,
}

pub(super) async fn run(app: App, options: ImportOptions) -> anyhow::Result<ExitCode> {
    let Some(dump) = options.dump.or(options.archive) else {
        bail!("name the dump to import: the directory or archive that mongodump made");
    };
    let Address::Sqlite(workspace) = options.workspace.address()? else {
        bail!("a dump is imported into a workspace file; say --workspace sqlite:FILE");
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
            "{} is in {} already; nothing was changed",
            dump.display(),
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
    Ok(ExitCode::SUCCESS)
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
        if self.terminal {
            if self.bar.message() != step {
                self.bar.set_message(step);
                self.bar.reset_eta();
            }
            self.bar.set_length(now.total);
            self.bar.set_position(now.done);
        } else if self.last.elapsed() > Duration::from_secs(2) {
            self.last = Instant::now();
            let percent = now.done.saturating_mul(100) / now.total.max(1);
            eprintln!(
                "{step} {}: {percent} %, {} documents",
                show::one_line(now.collection),
                show::number(now.documents)
            );
        }
    }
}
