//! `export-room demo`: from nothing to a first ZIP.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::tz::TimeZone;

use super::export::{DEFAULT_LEVEL, ProgressOption, export, find_room};
use super::{INCOMPLETE, import};
use crate::app::{Address, App};
use crate::export::request::{ExportRequest, Format, cores};
use crate::store::Window;

/// A small workspace with real public chat; `demo/ATTRIBUTION.md` names its authors and licence.
const SAMPLE: &[u8] = include_bytes!("../../demo/workspace.archive.gz");
/// The files of its FileSystem store.
const FILES: &[(&str, &[u8])] = &[
    (
        "5uqakupa9DZC5rWdq.jpg",
        include_bytes!("../../demo/files/5uqakupa9DZC5rWdq.jpg"),
    ),
    (
        "F3NwjJ44PfZnKmxDR.csv",
        include_bytes!("../../demo/files/F3NwjJ44PfZnKmxDR.csv"),
    ),
    (
        "HQxrxL9ABPh3HWTGg",
        include_bytes!("../../demo/files/HQxrxL9ABPh3HWTGg"),
    ),
    (
        "m8GLvr5uxZHrmYHws.pdf",
        include_bytes!("../../demo/files/m8GLvr5uxZHrmYHws.pdf"),
    ),
    (
        "vNwJJDEYP7bu2yaaX.png",
        include_bytes!("../../demo/files/vNwJJDEYP7bu2yaaX.png"),
    ),
];
/// The room that is exported.
const ROOM: &str = "general";

#[derive(Debug, Args)]
pub(super) struct DemoOptions {
    /// Directory for the sample workspace and its export.
    #[arg(long, value_name = "DIR", default_value = "export-room-demo")]
    dir: PathBuf,
}

pub(super) async fn run(app: App, options: DemoOptions) -> anyhow::Result<ExitCode> {
    let directory = options.dir;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut sample = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    sample
        .write_all(SAMPLE)
        .context("cannot unpack the sample")?;
    let database = directory.join("workspace.db");
    import::import(&app, sample.path().to_owned(), database.clone()).await?;
    let files = directory.join("files");
    fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
    for (name, bytes) in FILES {
        fs::write(files.join(name), bytes)
            .with_context(|| format!("cannot write to {}", files.display()))?;
    }
    let mut result = ExitCode::SUCCESS;
    for format in [Format::Html, Format::Json] {
        let workspace = app
            .open(&Address::Sqlite(database.clone()), Some(&files))
            .await?;
        let room = find_room(&*workspace.source, ROOM).await?;
        let request = ExportRequest {
            room,
            window: Window::default(),
            format,
            attachments: true,
            history: false,
            raw: false,
            zone: TimeZone::UTC,
            level: DEFAULT_LEVEL,
            threads: cores(),
            exported_at: app.clock.now(),
        };
        let output = directory.join(format!("{ROOM}.{}.zip", format.name()));
        let code = export(&app, workspace, request, output, true, ProgressOption::Auto).await?;
        if code != ExitCode::SUCCESS {
            result = INCOMPLETE.into();
        }
    }
    let directory = directory.display();
    // As it was called: it need not be on the path.
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "export-room".to_owned());
    eprintln!(
        "\nThe exports are in {directory}. To read one:\n  \
           unzip -d {directory}/general {directory}/general.html.zip\n  \
           and open {directory}/general/GENERAL.html in a browser.\n\
         To look around:\n  \
           {program} rooms  --workspace sqlite:{directory}/workspace.db\n  \
           {program} export --workspace sqlite:{directory}/workspace.db --room helpdesk --format html --files {directory}/files\n  \
           {program} verify {directory}/general.html.zip"
    );
    Ok(result)
}
