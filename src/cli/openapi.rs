//! `export-room openapi`: the description of the HTTP API, for those who make clients of it.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::http::openapi;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    io::stdout().write_all(openapi::text()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
