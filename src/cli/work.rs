//! `export-room work`: does what was accepted, without answering anybody.

use std::process::ExitCode;

use clap::Args;

use super::service::{ServiceOptions, Shutdown, open, shutdown_on_signals};
use crate::app::App;
use crate::jobs::sweeper;
use crate::jobs::worker::Worker;
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct WorkOptions {
    #[command(flatten)]
    service: ServiceOptions,
}

pub(super) async fn run(app: App, options: WorkOptions) -> anyhow::Result<ExitCode> {
    let config = options.service.load(&[])?;
    telemetry::start_log(&config.log)?;
    let Shutdown { soft, hard } = shutdown_on_signals()?;
    let Some(service) = open(&app, &config, &soft).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let sweeper = tokio::spawn(sweeper::run(service.clone(), soft.clone()));
    Worker::run(service, soft, hard).await;
    sweeper.await?;
    Ok(ExitCode::SUCCESS)
}
