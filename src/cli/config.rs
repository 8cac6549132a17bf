//! `export-room config`: which settings there are, and which are in force.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::service::ServiceOptions;
use crate::config::DEFAULT;

#[derive(Debug, Args)]
pub(super) struct ConfigOptions {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print every setting with its default and its explanation: a file to begin with.
    Default,
    /// Print the settings in force, and where they come from; secrets as ***.
    Show(ServiceOptions),
}

pub(super) fn run(options: &ConfigOptions) -> anyhow::Result<ExitCode> {
    let text = match &options.what {
        What::Default => DEFAULT.to_owned(),
        What::Show(options) => options.show(&[])?,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
