//! `export-room demo`: from nothing to a first ZIP, and to a server that answers.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use transcript::locale::Locale;

use super::export::{ProgressOption, export, find_room, operator};
use super::serve::serve;
use super::service::Shutdown;
use super::{INCOMPLETE, import};
use crate::app::{Address, App};
use crate::config::Config;
use crate::export::request::{DEFAULT_LEVEL, ExportRequest, Format, cores};
use crate::store::Window;
use crate::store::mongo::Load;
use crate::telemetry;

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
/// The workspace file, in the demo's directory.
const DATABASE: &str = "workspace.db";
/// The directory of its FileSystem store, beside it.
const UPLOADS: &str = "files";
/// Where the demo answers.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3100);
/// The sample's administrator; `demo/EXPECTED.json` lists all users. Nothing of this is secret.
const USER: &str = "uAdmin0000000000a";
const TOKEN: &str = "jofQCjBG4Bvoid20yAC7qewZcfEkLfRLZxP1_ES_wnx";
const PASSWORD: &str = "admin-test-password";

#[derive(Debug, Args)]
pub(super) struct DemoOptions {
    /// Directory for the sample workspace and its export.
    #[arg(long, value_name = "DIR", default_value = "export-room-demo")]
    dir: PathBuf,
    /// Address and port to answer on afterwards [default: 127.0.0.1:3100, or another port when that is taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Only make the exports, and end.
    #[arg(long, conflicts_with = "listen")]
    no_serve: bool,
}

pub(super) async fn run(app: App, options: DemoOptions) -> anyhow::Result<ExitCode> {
    let directory = options.dir;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut sample = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    sample
        .write_all(SAMPLE)
        .context("cannot unpack the sample")?;
    let database = directory.join(DATABASE);
    import::import(&app, sample.path().to_owned(), database.clone()).await?;
    let files = directory.join(UPLOADS);
    fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
    for (name, bytes) in FILES {
        fs::write(files.join(name), bytes)
            .with_context(|| format!("cannot write to {}", files.display()))?;
    }
    let mut result = ExitCode::SUCCESS;
    for format in [Format::Html, Format::Json] {
        let workspace = app
            .open(
                &Address::Sqlite(database.clone()),
                Some(&files),
                None,
                Load::default(),
            )
            .await?;
        let room = find_room(&*workspace.source, ROOM).await?;
        let request = ExportRequest {
            room,
            window: Window::default(),
            format,
            attachments: true,
            history: false,
            raw: false,
            search: true,
            zone: TimeZone::UTC,
            locale: Locale::default(),
            style: None,
            exported_by: Some(operator()),
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
    let shown = directory.display();
    // As it was called: it need not be on the path.
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "export-room".to_owned());
    eprintln!(
        "\nThe exports are in {shown}. To read one:\n  \
           unzip -d {shown}/general {shown}/general.html.zip\n  \
           and open {shown}/general/GENERAL.html in a browser.\n\
         To look around:\n  \
           {program} rooms  --workspace sqlite:{shown}/workspace.db\n  \
           {program} export --workspace sqlite:{shown}/workspace.db --room helpdesk --format html --files {shown}/files\n  \
           {program} verify {shown}/general.html.zip"
    );
    if !options.no_serve {
        answer(&app, &directory, options.listen).await?;
    }
    Ok(result)
}

/// Answers until somebody presses Ctrl-C.
async fn answer(app: &App, directory: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let listener = match TcpListener::bind(listen.unwrap_or(LISTEN)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && listen.is_none() => {
            TcpListener::bind(SocketAddr::new(LISTEN.ip(), 0)).await
        }
        bound => bound,
    }
    .context("cannot answer; choose another address with --listen, or say --no-serve")?;
    let site = format!("http://{}", listener.local_addr()?);
    let path = |name: &str| {
        let path = directory.join(name);
        path.to_str()
            .map(str::to_owned)
            .with_context(|| format!("{} is no text; choose another --dir", path.display()))
    };
    let settings = [
        ("workspace.address", format!("sqlite:{}", path(DATABASE)?)),
        ("workspace.files", path(UPLOADS)?),
        ("store.directory", path("served")?),
        ("http.site_url", site.clone()),
        ("log.level", "warn".to_owned()),
        // The sample names a mail server that is not there.
        ("mail.transport", "directory".to_owned()),
        ("mail.directory", path("mails")?),
    ];
    // Only these settings: a demo is the same on every machine.
    let nothing = Some(Path::new("/dev/null"));
    let config = Config::load(nothing, std::iter::empty(), &settings)?;
    telemetry::start_log(&config.log)?;
    let mails = directory.join("mails");
    let mails = mails.display();
    let who = format!("-H 'X-User-Id: {USER}' -H 'X-Auth-Token: {TOKEN}'");
    eprintln!(
        "\nNow Export Room answers on {site}, until you press Ctrl-C; {site}/docs explains every call.\n\
         To log in: user admin, password {PASSWORD}. In another terminal, to ask for an export, look how far it is, and download it:\n\n\
         ID=$(curl -si {site}/api/v1/rooms.export {who} -H 'Content-Type: application/json' -d '{{\"rid\":\"GENERAL\",\"type\":\"file\",\"format\":\"html\"}}' | tee /dev/stderr | sed -n 's/^location:.*id=\\([[:alnum:]]*\\).*/\\1/p')\n\
         curl -s \"{site}/api/v1/rooms.export.status?id=$ID\" {who}\n\
         curl -OJ \"{site}/data-export/$ID\" {who}\n\n\
         To send messages by mail; this mail, and one for each export that is ready, become files in {mails}:\n\n\
         curl -s {site}/api/v1/rooms.export {who} -H 'Content-Type: application/json' -d '{{\"rid\":\"GENERAL\",\"type\":\"email\",\"toUsers\":[\"admin\"],\"toEmails\":[],\"subject\":\"\",\"messages\":[\"tJWyHpxqy8MgmC5T5\",\"BuH7JXNixvzBEnfvJ\",\"XtECq9jPw9nXCCHR7\"]}}'\n"
    );
    // The first Ctrl-C ends it all at once: what was accepted is done when the demo is started again.
    let shutdown = Shutdown {
        soft: app.cancel.clone(),
        hard: app.cancel.clone(),
    };
    serve(app, config, listener, shutdown).await
}
