//! `export-room rooms`: what there is to export.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use transcript::room::RoomInfo;
use transcript::time::IsoWriter;

use super::{WorkspaceOption, show};
use crate::app::App;
use crate::store::{RoomId, RoomSummary};

/// Rooms asked for at a time.
const PAGE: usize = 200;

#[derive(Debug, Args)]
pub(super) struct RoomsOptions {
    #[command(flatten)]
    workspace: WorkspaceOption,
    /// A JSON object per room and line.
    #[arg(long)]
    json: bool,
}

/// A room as `--json` shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    t: &'a str,
    name: &'a str,
    messages: u64,
    first: Option<String>,
    last: Option<String>,
    file_bytes: u64,
}

pub(super) async fn run(app: App, options: RoomsOptions) -> anyhow::Result<ExitCode> {
    let workspace = options.workspace.open(&app, None, None).await?;
    let mut out = BufWriter::new(io::stdout());
    if !options.json {
        let head = ["ID", "TYPE", "MESSAGES", "FIRST", "LAST", "FILES", "NAME"];
        row(&mut out, head.map(str::to_owned))?;
    }
    let mut after: Option<RoomId> = None;
    loop {
        let rooms = workspace.source.rooms(after.as_ref(), PAGE).await?;
        let Some(last) = rooms.last() else { break };
        let last = RoomInfo::read(&last.room.0).context("a room's record is damaged")?;
        after = Some(RoomId(last.id));
        for room in &rooms {
            write(&mut out, room, options.json)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, summary: &RoomSummary, json: bool) -> anyhow::Result<()> {
    let room = RoomInfo::read(&summary.room.0).context("a room's record is damaged")?;
    let instant = |millis: Option<i64>| {
        millis.and_then(|millis| IsoWriter::default().text(millis).map(str::to_owned))
    };
    let (first, last) = (instant(summary.first), instant(summary.last));
    if json {
        let line = Line {
            id: &room.id,
            t: &room.kind,
            name: &room.title,
            messages: summary.messages,
            first,
            last,
            file_bytes: summary.file_bytes,
        };
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        return Ok(out.write_all(b"\n")?);
    }
    let day = |text: Option<String>| text.map_or("-".to_owned(), |text| text[..10].to_owned());
    row(
        out,
        [
            room.id.clone(),
            room.kind.clone(),
            show::number(summary.messages),
            day(first),
            day(last),
            show::bytes(summary.file_bytes),
            room.title,
        ],
    )
}

/// Columns of one width for all rooms: they are written as they come, so the widest is not known.
fn row(out: &mut impl Write, columns: [String; 7]) -> anyhow::Result<()> {
    let [id, kind, messages, first, last, files, name] =
        columns.map(|column| show::one_line(&column));
    writeln!(
        out,
        "{id:<36} {kind:<4} {messages:>11}  {first:<10}  {last:<10}  {files:>9}  {name}"
    )?;
    Ok(())
}
