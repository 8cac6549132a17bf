//! `export-room serve`: answers over HTTP, and does what it accepted.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;

use super::service::{ServiceOptions, Shutdown, open, shutdown_on_signals};
use crate::app::App;
use crate::config::Config;
use crate::http::{Http, listener};
use crate::jobs::sweeper;
use crate::jobs::worker::Worker;
use crate::telemetry::{self, start_log};

#[derive(Debug, Args)]
pub(super) struct ServeOptions {
    #[command(flatten)]
    service: ServiceOptions,
    /// Address and port to answer on; port 0 is any that is free [default: 127.0.0.1:3100].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) async fn run(app: App, options: ServeOptions) -> anyhow::Result<ExitCode> {
    let listen = options
        .listen
        .map(|listen| ("http.listen", listen.to_string()));
    let config = options.service.load(listen.as_slice())?;
    start_log(&config.log)?;
    let shutdown = shutdown_on_signals()?;
    let listener = TcpListener::bind(config.http.listen)
        .await
        .with_context(|| format!("cannot answer on {}", config.http.listen))?;
    serve(&app, config, listener, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Answers on a listener and does what is accepted, until it is asked to stop.
pub(super) async fn serve(
    app: &App,
    mut config: Config,
    listener: TcpListener,
    Shutdown { soft, hard }: Shutdown,
) -> anyhow::Result<()> {
    let _figures = telemetry::record();
    // Links name the port that was found.
    config.http.listen = listener.local_addr()?;
    let address = config.http.listen;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "tokens and exports travel in the clear; let only a proxy with TLS reach this address"
        );
    }
    let Some(service) = open(app, &config, &soft).await? else {
        return Ok(());
    };
    let sweeper = tokio::spawn(sweeper::run(service.clone(), soft.clone()));
    let worker = tokio::spawn(Worker::run(service.clone(), soft.clone(), hard.clone()));
    writeln!(io::stdout(), "Export Room answers on http://{address}")?;
    listener::serve(listener, Http::new(service), soft, hard).await;
    worker.await?;
    sweeper.await?;
    Ok(())
}
