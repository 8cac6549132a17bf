//! `export-room verify`: is this ZIP whole and unchanged?

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{FAILED, INCOMPLETE, show};
use crate::app::App;
use crate::verify::verify;

#[derive(Debug, Args)]
pub(super) struct VerifyOptions {
    /// The ZIP that `export` made.
    zip: PathBuf,
}

pub(super) async fn run(app: App, options: VerifyOptions) -> anyhow::Result<ExitCode> {
    let path = options.zip.clone();
    let work = tokio::task::spawn_blocking(move || {
        verify(&path, &app.cancel, &mut |finding| {
            eprintln!("wrong: {}", show::one_line(finding));
        })
    });
    let shown = show::one_line(&options.zip.display().to_string());
    let verdict = work
        .await
        .context("the check stopped unexpectedly")?
        .with_context(|| shown.clone())?;
    if verdict.wrong > 0 {
        eprintln!(
            "{shown}: NOT in order, {} things are wrong",
            show::number(verdict.wrong)
        );
        return Ok(FAILED.into());
    }
    eprintln!(
        "{shown}: in order; {} entries, {} messages, {} files, every digest and count agrees",
        show::number(verdict.entries),
        show::number(verdict.messages),
        show::number(verdict.files),
    );
    if !verdict.complete {
        eprintln!(
            "the export itself was not complete when it was made: {} files missing",
            show::number(verdict.missing)
        );
        for problem in &verdict.problems {
            eprintln!("incomplete: {}", show::one_line(problem));
        }
        return Ok(INCOMPLETE.into());
    }
    Ok(ExitCode::SUCCESS)
}
