//! The command line: one file per command, exit codes as a contract.
//!
//! 0 complete · 1 finished, but something is missing · 2 failed · 130 cancelled.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

mod config;
mod demo;
mod doctor;
mod export;
mod import;
mod mail;
mod openapi;
mod rooms;
mod serve;
mod service;
mod verify;
mod work;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{Address, App, Workspace};
use crate::clock::Clock;
use crate::config::{FileStores, parse_duration, read_address};
use crate::export::ExportError;
use crate::store::StoreError;
use crate::store::mongo::Load;
use crate::words as show;

/// Finished, but something is missing.
const INCOMPLETE: u8 = 1;
/// Failed.
const FAILED: u8 = 2;
/// Cancelled by a signal.
const CANCELLED: u8 = 130;

#[derive(Debug, Parser)]
#[command(name = "export-room", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 complete, 1 finished but something is missing, 2 failed, 130 cancelled."
)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a sample workspace, export a room of it, and answer requests for more.
    Demo(demo::DemoOptions),
    /// Load a mongodump backup into a workspace file.
    Import(import::ImportOptions),
    /// List the rooms of a workspace.
    Rooms(rooms::RoomsOptions),
    /// Export a room to a ZIP.
    Export(Box<export::ExportOptions>),
    /// Send messages of a room by mail.
    Mail(Box<mail::MailOptions>),
    /// Prove that a ZIP made by `export` is whole and unchanged.
    Verify(verify::VerifyOptions),
    /// Answer Rocket.Chat's room export over HTTP, and carry out what was accepted.
    Serve(serve::ServeOptions),
    /// Show settings.
    Config(config::ConfigOptions),
    /// Look at every part that the server would use, and say how to repair what is wrong.
    Doctor(doctor::DoctorOptions),
    /// Carry out the exports and mails that a server accepted, without a server.
    Work(work::WorkOptions),
    /// Print the description of the HTTP API, as /openapi.json has it.
    Openapi,
}

/// The workspace that a command reads.
#[derive(Args)]
struct WorkspaceOption {
    /// Where the rooms are: `mongodb://HOST/DATABASE` (a live database), sqlite:FILE (made by `import`) or dump:PATH
    /// (mongodump output: a directory, or an --archive file, plain or gzip).
    #[arg(
        long,
        env = "EXPORT_ROOM_WORKSPACE",
        hide_env_values = true,
        value_name = "ADDRESS",
        required_unless_present = "workspace_file"
    )]
    workspace: Option<String>,
    /// A file that holds the address, so that its password is in no list of processes.
    #[arg(
        long,
        env = "EXPORT_ROOM_WORKSPACE_FILE",
        value_name = "FILE",
        conflicts_with = "workspace"
    )]
    workspace_file: Option<PathBuf>,
    /// Documents that a live database is asked for at a time [default: 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: Option<u32>,
    /// Wait between two such batches, for example 20ms, to spare a busy database.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pause: Option<Duration>,
}

impl WorkspaceOption {
    /// The address, wherever it is written.
    fn address(&self) -> anyhow::Result<Address> {
        let text = match (&self.workspace, &self.workspace_file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => read_address(file).map_err(anyhow::Error::msg)?,
            (None, None) => String::new(),
        };
        text.parse()
            .map_err(|problem| anyhow::anyhow!("--workspace: {problem}"))
    }

    /// How much of a live database is taken.
    fn load(&self) -> Load {
        let usual = Load::default();
        Load {
            batch: self.batch.unwrap_or(usual.batch),
            pause: self.pause.unwrap_or(usual.pause),
        }
    }

    /// Opens the workspace; `files` is the directory of its FileSystem store, `stores` how others are reached.
    async fn open(
        &self,
        app: &App,
        files: Option<&Path>,
        stores: Option<FileStores>,
    ) -> anyhow::Result<Workspace> {
        Ok(app
            .open(&self.address()?, files, stores, self.load())
            .await?)
    }
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help and version are answers, not errors. Nobody is left to tell when printing fails.
            let _ = error.print();
            return if error.use_stderr() {
                FAILED.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(options) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if is_cancelled(&error) => {
            eprintln!("export-room: cancelled");
            CANCELLED.into()
        }
        Err(error) => {
            eprintln!("export-room: {}", show::one_line(&format!("{error:#}")));
            FAILED.into()
        }
    }
}

fn run(options: Options) -> anyhow::Result<ExitCode> {
    let clock = Clock::from_environment().map_err(|text| {
        anyhow::anyhow!("SOURCE_DATE_EPOCH is `{text}`; it must be whole seconds since 1970")
    })?;
    let app = App {
        clock,
        cancel: tokio_util::sync::CancellationToken::new(),
    };
    let is_service = matches!(options.command, Command::Serve(_) | Command::Work(_));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // One command does one thing; a service answers many at a time, with all cores.
    if !is_service {
        runtime.worker_threads(1);
    }
    let runtime = runtime.enable_all().build()?;
    // A service stops in two steps and watches the signals itself.
    if !is_service {
        runtime.spawn(cancel_on_signal(app.clone()));
    }
    let result = runtime.block_on(async {
        match options.command {
            Command::Demo(options) => demo::run(app, options).await,
            Command::Import(options) => import::run(app, options).await,
            Command::Rooms(options) => rooms::run(app, options).await,
            Command::Export(options) => export::run(app, *options).await,
            Command::Mail(options) => Box::pin(mail::run(app, *options)).await,
            Command::Verify(options) => verify::run(app, options).await,
            Command::Serve(options) => serve::run(app, options).await,
            Command::Config(options) => config::run(&options),
            Command::Doctor(options) => doctor::run(app, options).await,
            Command::Work(options) => work::run(app, options).await,
            Command::Openapi => openapi::run(),
        }
    });
    // A blocked read of an endless pipe must not keep the process.
    runtime.shutdown_background();
    result
}

/// The signals that ask a program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves.
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one, whichever it is.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The first signal asks everything to stop and clean up; the second does not wait for it.
async fn cancel_on_signal(app: App) {
    let Ok(mut signals) = Signals::new() else {
        return;
    };
    signals.next().await;
    app.cancel.cancel();
    signals.next().await;
    std::process::exit(CANCELLED.into());
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(ExportError::Cancelled))
            || matches!(cause.downcast_ref(), Some(StoreError::Cancelled))
    })
}

/// Whoever reads our standard output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

impl fmt::Debug for WorkspaceOption {
    /// Without the address, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkspaceOption").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Options::command().debug_assert();
    }
}
