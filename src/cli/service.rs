//! What the commands of a running service share: how its configuration is named, its log, its signals.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{CANCELLED, Signals};
use crate::app::{App, Service};
use crate::config::{Config, ConfigError, Secret};
use crate::store::StoreError;

/// How long a workspace that is not there is waited for, and the wait between two looks.
const PATIENCE: Duration = Duration::from_mins(5);
const AGAIN: Duration = Duration::from_secs(2);

/// Where the settings of a service come from, beside its environment.
#[derive(Debug, Args)]
pub(super) struct ServiceOptions {
    /// A configuration file [default: /etc/export-room.toml, when it is there].
    #[arg(long, env = "EXPORT_ROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where users, rooms and messages are: `mongodb://HOST/DATABASE` (a live database), or sqlite:FILE, made by `import`.
    #[arg(
        long,
        env = "EXPORT_ROOM_WORKSPACE",
        hide_env_values = true,
        value_name = "ADDRESS"
    )]
    workspace: Option<Secret>,
    /// A file that holds the address, so that its password is in no list of processes.
    #[arg(
        long,
        env = "EXPORT_ROOM_WORKSPACE_FILE",
        value_name = "FILE",
        conflicts_with = "workspace"
    )]
    workspace_file: Option<PathBuf>,
    /// Sets one key, for example --set jobs.workers=4; can be said again for others.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<Setting>,
}

/// A key and what it is set to. The value may be a secret: it is not in the `Debug` form.
#[derive(Clone)]
struct Setting {
    key: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if key.contains('.') => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            // The text itself may be a secret.
            _ => Err("say SECTION.KEY=VALUE, for example jobs.workers=4".to_owned()),
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=***", self.key)
    }
}

impl ServiceOptions {
    /// The configuration; `more` are settings that the command has flags of its own for. What `--set` says wins.
    pub(super) fn load(&self, more: &[(&str, String)]) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), variables(), &self.flags(more))
    }

    /// The same as the text of a file, without secrets.
    pub(super) fn show(&self, more: &[(&str, String)]) -> Result<String, ConfigError> {
        Config::show(self.config.as_deref(), variables(), &self.flags(more))
    }

    fn flags<'a>(&'a self, more: &[(&'a str, String)]) -> Vec<(&'a str, String)> {
        let workspace = self
            .workspace
            .iter()
            .map(|address| ("workspace.address", address.reveal().to_owned()));
        let file = self
            .workspace_file
            .iter()
            .map(|file| ("workspace.address_file", file.display().to_string()));
        let set = self
            .set
            .iter()
            .map(|setting| (setting.key.as_str(), setting.value.clone()));
        workspace
            .chain(file)
            .chain(more.iter().cloned())
            .chain(set)
            .collect()
    }
}

/// The environment. A variable that is no text cannot be one of ours.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

/// Opens what a service works with; nothing when it is asked to stop meanwhile. A live database that does not answer, or
/// that Rocket.Chat has not filled, is waited for: what a machine starts comes up in any order.
pub(super) async fn open(
    app: &App,
    config: &Config,
    stop: &CancellationToken,
) -> Result<Option<Service>, StoreError> {
    let begun = Instant::now();
    loop {
        let app = app.on_passing_time();
        let opened = tokio::select! {
            opened = app.service(config.clone()) => opened,
            () = stop.cancelled() => return Ok(None),
        };
        let error = match opened {
            Ok(service) => return Ok(Some(service)),
            Err(error) => error,
        };
        let passing = matches!(error, StoreError::Server(_) | StoreError::NotFilled(_));
        if !passing || begun.elapsed() >= PATIENCE {
            return Err(error);
        }
        tracing::warn!(%error, "the workspace is not there yet; it is looked for again");
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// How a service is asked to stop.
pub(super) struct Shutdown {
    /// Begin nothing new, and let what runs come to its end.
    pub(super) soft: CancellationToken,
    /// Hand what runs to another process.
    pub(super) hard: CancellationToken,
}

/// Watches the signals: the first is a soft request to stop, the second a hard one, the third does not wait.
pub(super) fn shutdown_on_signals() -> anyhow::Result<Shutdown> {
    let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
    let mut signals = Signals::new().context("cannot watch signals")?;
    tokio::spawn({
        let (soft, hard) = (soft.clone(), hard.clone());
        async move {
            signals.next().await;
            tracing::info!("stopping: nothing new is begun; a second signal stops what runs");
            soft.cancel();
            signals.next().await;
            tracing::info!("stopping at once: what runs is handed to another process");
            hard.cancel();
            signals.next().await;
            std::process::exit(CANCELLED.into());
        }
    });
    Ok(Shutdown { soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_keys_and_values_and_never_shown() {
        let setting: Setting = "mail.password=a=b".parse().unwrap();
        assert_eq!((&*setting.key, &*setting.value), ("mail.password", "a=b"));
        assert_eq!(format!("{setting:?}"), "mail.password=***");
        for text in ["", "mail.password", "password=x"] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }
}
