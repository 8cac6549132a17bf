//! The configuration: `config.default.toml`, a file, the environment, flags; the later wins.
//!
//! `config.default.toml` is compiled in and is at once the documentation, the defaults and the list of keys: a key that
//! it does not have is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;
use toml::{Table, Value};
use transcript::locale::Locale;

use crate::blob::RemoteKind;
use crate::export::style;
use crate::network::Uri;
use crate::words::{self, chain};

/// The defaults with their comments.
pub const DEFAULT: &str = include_str!("../config.default.toml");
/// Where the file is when nobody names one.
pub const USUAL_FILE: &str = "/etc/export-room.toml";
/// Begins the variables that set a key.
const PREFIX: &str = "EXPORT_ROOM_";
/// Keys whose values are never shown.
const SECRETS: &[(&str, &str)] = &[
    ("gcs", "private_key"),
    ("mail", "password"),
    ("s3", "secret_access_key"),
    ("webdav", "password"),
];
/// What is shown instead of a secret.
const REDACTED: &str = "***";

/// What is wrong with the configuration: all of it, a line each.
#[derive(Debug, Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The workspace.
    pub workspace: Workspace,
    /// The HTTP server.
    pub http: Http,
    /// Calls per time.
    pub rate_limit: RateLimit,
    /// Who may do more or less than in Rocket.Chat.
    pub security: Security,
    /// Where exports are stored.
    pub store: Store,
    /// The queue and its workers.
    pub jobs: Jobs,
    /// How exports are made.
    pub export: Export,
    /// How file stores are reached over the network.
    pub blobs: Blobs,
    /// Amazon S3.
    pub s3: S3,
    /// Google Cloud Storage.
    pub gcs: Gcs,
    /// WebDAV.
    pub webdav: WebDav,
    /// Mail.
    pub mail: Mail,
    /// The log.
    pub log: Log,
}

/// `[workspace]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Its address; see [`crate::app::Address`]. It may have a password.
    pub address: Secret,
    /// A file that holds it.
    #[serde(deserialize_with = "optional")]
    pub address_file: Option<PathBuf>,
    /// Documents that a live database is asked for at a time.
    pub batch: u32,
    /// Wait between two such batches; nothing when there is none.
    #[serde(deserialize_with = "wait")]
    pub pause: Duration,
    /// Directory of its FileSystem store.
    #[serde(deserialize_with = "optional")]
    pub files: Option<PathBuf>,
}

/// `[http]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where to answer.
    pub listen: SocketAddr,
    /// How users reach the server.
    #[serde(deserialize_with = "optional")]
    pub site_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub forwarded_count: usize,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// For head and body of a request.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
    /// `API_Enable_CORS`.
    #[serde(deserialize_with = "optional")]
    pub cors: Option<bool>,
    /// `API_CORS_Origin`.
    #[serde(deserialize_with = "optional")]
    pub cors_origin: Option<String>,
}

/// `[rate_limit]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// `API_Enable_Rate_Limiter`.
    #[serde(deserialize_with = "optional")]
    pub enabled: Option<bool>,
    /// `API_Enable_Rate_Limiter_Limit_Calls_Default`.
    #[serde(deserialize_with = "optional")]
    pub calls: Option<u32>,
    /// `API_Enable_Rate_Limiter_Limit_Time_Default`.
    #[serde(deserialize_with = "optional")]
    pub interval_ms: Option<u32>,
}

/// `[security]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Administrators may export rooms that they cannot open.
    pub admin_override: bool,
    /// Whether users can log in here.
    pub login: bool,
    /// `Accounts_LoginExpiration`.
    #[serde(deserialize_with = "optional")]
    pub login_expiration_days: Option<u32>,
    /// `UserData_EnableDownload`.
    #[serde(deserialize_with = "optional")]
    pub download: Option<bool>,
}

/// `[store]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Which kind of place exports go to.
    #[serde(deserialize_with = "optional")]
    pub place: Option<ExportPlace>,
    /// Directory of the exports.
    #[serde(deserialize_with = "optional")]
    pub directory: Option<PathBuf>,
    /// Whether the directory's group may read exports in it.
    pub group_readable: bool,
    /// How long exports are kept; `None` is for ever.
    #[serde(deserialize_with = "duration_or_never")]
    pub keep: Option<Duration>,
    /// How often the sweeper runs.
    #[serde(deserialize_with = "duration")]
    pub sweep: Duration,
}

/// A kind of place that exports go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportPlace {
    /// A directory of this machine.
    Directory,
    /// The live database itself.
    GridFs,
    /// A store that is reached over the network.
    Remote(RemoteKind),
}

impl FromStr for ExportPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "directory" => Self::Directory,
            "gridfs" => Self::GridFs,
            "s3" => Self::Remote(RemoteKind::S3),
            "gcs" => Self::Remote(RemoteKind::GoogleCloud),
            "webdav" => Self::Remote(RemoteKind::WebDav),
            _ => return Err("say directory, gridfs, s3, gcs or webdav"),
        })
    }
}

impl Store {
    /// The directory of the exports, the one of temporary files unless another was named.
    pub fn directory(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// `[jobs]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Exports that run at a time in this process, with a mail beside them; none of either when it is 0.
    pub workers: usize,
    /// Exports of one user that run at a time.
    pub per_user_running: u32,
    /// Exports of one user that run or wait.
    pub per_user_waiting: u32,
    /// How long a worker has a job without saying that it lives.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// How often it says so.
    #[serde(deserialize_with = "duration")]
    pub heartbeat: Duration,
    /// How often it looks for work of other processes.
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
    /// Attempts.
    pub attempts: u32,
    /// Wait before the second attempt.
    #[serde(deserialize_with = "duration")]
    pub backoff: Duration,
    /// For running jobs to finish on shutdown.
    #[serde(deserialize_with = "duration")]
    pub grace: Duration,
    /// How long failed and cancelled jobs are remembered; `None` is for ever.
    #[serde(deserialize_with = "duration_or_never")]
    pub forget: Option<Duration>,
}

/// `[export]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Deflate level, 0 to 9.
    pub level: u8,
    /// Deflate threads; 0 is one per core.
    pub threads: usize,
    /// Zone of the times on pages for requesters whose own is not known; `None` is the workspace's.
    #[serde(deserialize_with = "zone")]
    pub timezone: Option<TimeZone>,
    /// Old versions and deleted messages.
    pub history: bool,
    /// Search in HTML exports.
    pub search: bool,
    /// How dates and numbers on pages are written; `None` is as the requester's language says, or the workspace's.
    #[serde(deserialize_with = "locale")]
    pub locale: Option<Locale>,
    /// A style sheet of the user's own.
    #[serde(deserialize_with = "optional")]
    pub style: Option<PathBuf>,
    /// What that file holds.
    #[serde(skip)]
    pub style_sheet: Option<String>,
}

/// `[blobs]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blobs {
    /// Whether they are contacted for files of the workspace.
    pub remote: bool,
    /// For an answer, and between two pieces of one.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Attempts at a request.
    pub attempts: u32,
    /// Wait before the second attempt.
    #[serde(deserialize_with = "duration")]
    pub backoff: Duration,
    /// Bytes of a part of an upload.
    pub part_bytes: usize,
}

/// `[s3]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// `FileUpload_S3_Bucket`.
    #[serde(deserialize_with = "optional")]
    pub bucket: Option<String>,
    /// `FileUpload_S3_BucketURL`.
    #[serde(deserialize_with = "optional")]
    pub endpoint: Option<String>,
    /// `FileUpload_S3_Region`.
    #[serde(deserialize_with = "optional")]
    pub region: Option<String>,
    /// `FileUpload_S3_ForcePathStyle`.
    #[serde(deserialize_with = "optional")]
    pub path_style: Option<bool>,
    /// `FileUpload_S3_AWSAccessKeyId`.
    #[serde(deserialize_with = "optional")]
    pub access_key_id: Option<String>,
    /// `FileUpload_S3_AWSSecretAccessKey`.
    pub secret_access_key: Secret,
    /// A file that holds it.
    #[serde(deserialize_with = "optional")]
    pub secret_access_key_file: Option<PathBuf>,
}

/// `[gcs]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gcs {
    /// `FileUpload_GoogleStorage_Bucket`.
    #[serde(deserialize_with = "optional")]
    pub bucket: Option<String>,
    /// Another address than Google's.
    #[serde(deserialize_with = "optional")]
    pub endpoint: Option<String>,
    /// `FileUpload_GoogleStorage_AccessId`.
    #[serde(deserialize_with = "optional")]
    pub access_id: Option<String>,
    /// `FileUpload_GoogleStorage_Secret`.
    pub private_key: Secret,
    /// A file that holds it.
    #[serde(deserialize_with = "optional")]
    pub private_key_file: Option<PathBuf>,
    /// Whether requests carry no credentials.
    pub anonymous: bool,
}

/// `[webdav]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebDav {
    /// `FileUpload_Webdav_Server_URL`.
    #[serde(deserialize_with = "optional")]
    pub url: Option<String>,
    /// `FileUpload_Webdav_Upload_Folder_Path`.
    #[serde(deserialize_with = "optional")]
    pub folder: Option<String>,
    /// `FileUpload_Webdav_Username`.
    #[serde(deserialize_with = "optional")]
    pub username: Option<String>,
    /// `FileUpload_Webdav_Password`.
    pub password: Secret,
    /// A file that holds it.
    #[serde(deserialize_with = "optional")]
    pub password_file: Option<PathBuf>,
}

/// The sections of the file stores, together.
#[derive(Clone, Debug)]
pub struct FileStores {
    /// How they are reached.
    pub blobs: Blobs,
    /// Amazon S3.
    pub s3: S3,
    /// Google Cloud Storage.
    pub gcs: Gcs,
    /// WebDAV.
    pub webdav: WebDav,
}

/// `[mail]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the file"
)]
pub struct Mail {
    /// Whether messages can be exported by mail.
    pub messages: bool,
    /// Whether a mail says that an export is ready.
    pub ready: bool,
    /// Whether a mail says that an export failed.
    pub failed: bool,
    /// How mails go out; `None` is by SMTP when a server is known.
    #[serde(deserialize_with = "optional")]
    pub transport: Option<Transport>,
    /// Where mails are put without a server.
    #[serde(deserialize_with = "optional")]
    pub directory: Option<PathBuf>,
    /// `SMTP_Protocol`.
    #[serde(deserialize_with = "optional")]
    pub protocol: Option<String>,
    /// `SMTP_Host`.
    #[serde(deserialize_with = "optional")]
    pub host: Option<String>,
    /// `SMTP_Port`.
    #[serde(deserialize_with = "optional")]
    pub port: Option<u16>,
    /// `SMTP_Username`.
    #[serde(deserialize_with = "optional")]
    pub username: Option<String>,
    /// `SMTP_Password`.
    pub password: Secret,
    /// A file that holds it.
    #[serde(deserialize_with = "optional")]
    pub password_file: Option<PathBuf>,
    /// `SMTP_Pool`.
    #[serde(deserialize_with = "optional")]
    pub pool: Option<bool>,
    /// `From_Email`.
    #[serde(deserialize_with = "optional")]
    pub from: Option<String>,
    /// Whether any certificate will do.
    pub accept_invalid_certificates: bool,
    /// For an answer of the server.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How long a mail is tried.
    #[serde(deserialize_with = "duration")]
    pub give_up: Duration,
    /// Whether all recipients get one mail.
    pub together: bool,
    /// Most recipients of an export.
    pub max_recipients: usize,
    /// Most messages of a mail.
    pub max_messages: usize,
    /// Most bytes of a mail.
    pub max_bytes: u64,
    /// How files go with messages.
    pub attachments: Attach,
    /// Domains that mail may go to, as they are written; see [`Mail::domains`].
    pub domains: String,
    /// Whether mail goes to the requester only.
    pub self_only: bool,
    /// Template of the subject of messages.
    pub subject: String,
    /// Whether the workspace's header, footer and style are used.
    pub workspace_frame: bool,
    /// Whether that frame may load pictures.
    pub remote_images: bool,
}

impl Mail {
    /// The domains that mail may go to, in ASCII; one with a dot in front stands for all below it. None: to all.
    pub fn domains(&self) -> Vec<String> {
        let listed = self.domains.split(',').map(str::trim);
        listed
            .filter(|domain| !domain.is_empty())
            .map(|domain| {
                let (dot, name) = match domain.strip_prefix('.') {
                    Some(name) => (".", name),
                    None => ("", domain),
                };
                // What is no domain allows nothing.
                let name = idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_owned());
                format!("{dot}{name}")
            })
            .collect()
    }
}

/// How mails go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Through a mail server.
    Smtp,
    /// Into a directory.
    Directory,
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "smtp" => Ok(Self::Smtp),
            "directory" => Ok(Self::Directory),
            _ => Err("a mail goes out by smtp or directory".to_owned()),
        }
    }
}

/// How files go with messages by mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// Each as an attachment, pictures in their place.
    Files,
    /// All in the ZIP of an export.
    Zip,
    /// Not at all.
    None,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A level or a filter.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object.
    Json,
}

/// A text that is never shown; empty when there is none.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { REDACTED })
    }
}

impl Config {
    /// Loads the configuration: of `file`, else of the usual file when there is one; of `variables`, those of the
    /// environment; and of `flags`, pairs of `section.key` and value as in the file. All mistakes are told together.
    pub fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &[(&str, String)],
    ) -> Result<Self, ConfigError> {
        let merged = merged(file, variables, flags)?;
        typed(merged.table).map_err(|problem| ConfigError(vec![problem]))
    }

    /// What file stores are reached with.
    pub fn file_stores(&self) -> FileStores {
        FileStores {
            blobs: self.blobs.clone(),
            s3: self.s3.clone(),
            gcs: self.gcs.clone(),
            webdav: self.webdav.clone(),
        }
    }

    /// What [`Config::load`] would load, as the text of a file in the order of [`DEFAULT`], without secrets; beside each
    /// value that is not the default stands where it comes from.
    pub fn show(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &[(&str, String)],
    ) -> Result<String, ConfigError> {
        let merged = merged(file, variables, flags)?;
        typed(merged.table.clone()).map_err(|problem| ConfigError(vec![problem]))?;
        let mut shown = String::new();
        let mut section = "";
        for line in DEFAULT.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                section = name;
                if !shown.is_empty() {
                    shown.push('\n');
                }
                shown += line;
                shown.push('\n');
                continue;
            }
            let Some((key, _)) = line.split_once(" = ") else {
                continue;
            };
            let value = merged.table.get(section).and_then(|known| known.get(key));
            let text = match value {
                Some(Value::String(secret))
                    if SECRETS.contains(&(section, key)) && !secret.is_empty() =>
                {
                    Value::String(REDACTED.to_owned()).to_string()
                }
                Some(Value::String(address)) if (section, key) == ("workspace", "address") => {
                    Value::String(Uri::from(address.clone()).to_string()).to_string()
                }
                Some(value) => value.to_string(),
                None => continue,
            };
            let origin = merged.origins.get(&(section.to_owned(), key.to_owned()));
            let origin = origin.map_or_else(String::new, |origin| {
                format!("  # {}", words::one_line(origin))
            });
            shown.extend([key, " = ", &text, &origin, "\n"]);
        }
        Ok(shown)
    }
}

/// The settings, not yet typed.
struct Merged {
    table: Table,
    /// Where those values come from that somebody set, by section and key.
    origins: BTreeMap<(String, String), String>,
    problems: Vec<String>,
}

fn typed(table: Table) -> Result<Config, String> {
    let mut config: Config = Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| format!("configuration: {}", error.to_string().trim()))?;
    if config.workspace.batch == 0 {
        return Err("configuration: workspace.batch must be at least 1".to_owned());
    }
    if config.export.level > 9 {
        return Err(format!(
            "configuration: export.level is {}, but levels are 0 to 9",
            config.export.level
        ));
    }
    if config.jobs.heartbeat.saturating_mul(2) > config.jobs.lease {
        return Err(
            "configuration: jobs.lease must be at least twice jobs.heartbeat, or workers lose their jobs"
                .to_owned(),
        );
    }
    if config.mail.max_recipients == 0
        || config.mail.max_messages == 0
        || config.mail.max_bytes < 65_536
    {
        return Err(
            "configuration: mail.max_recipients and mail.max_messages must be at least 1, mail.max_bytes at least 65536"
                .to_owned(),
        );
    }
    if config.jobs.attempts == 0 || config.jobs.per_user_running == 0 {
        return Err(
            "configuration: jobs.attempts and jobs.per_user_running must be at least 1".to_owned(),
        );
    }
    // What S3 and Google Cloud Storage take.
    if !(5 << 20..=1 << 30).contains(&config.blobs.part_bytes) {
        return Err("configuration: blobs.part_bytes must be 5 MiB to 1 GiB".to_owned());
    }
    if config.blobs.attempts == 0 {
        return Err("configuration: blobs.attempts must be at least 1".to_owned());
    }
    let Config {
        mail,
        s3,
        gcs,
        webdav,
        workspace,
        ..
    } = &mut config;
    for (section, key, secret, file) in [
        (
            "workspace",
            "address",
            &mut workspace.address,
            &workspace.address_file,
        ),
        ("mail", "password", &mut mail.password, &mail.password_file),
        (
            "s3",
            "secret_access_key",
            &mut s3.secret_access_key,
            &s3.secret_access_key_file,
        ),
        (
            "gcs",
            "private_key",
            &mut gcs.private_key,
            &gcs.private_key_file,
        ),
        (
            "webdav",
            "password",
            &mut webdav.password,
            &webdav.password_file,
        ),
    ] {
        if let Some(path) = file {
            *secret = secret_in(path, section, key, secret)?;
        }
    }
    if let Some(path) = &config.export.style {
        let sheet = style::read(path).map_err(|error| {
            let error = chain(&error);
            format!("configuration: export.style {}: {error}", path.display())
        })?;
        config.export.style_sheet = Some(sheet);
    }
    Ok(config)
}

/// The secret in a file, without the end of its line.
fn secret_in(path: &Path, section: &str, key: &str, said: &Secret) -> Result<Secret, String> {
    if !said.is_empty() {
        return Err(format!(
            "configuration: say {section}.{key} or {section}.{key}_file, not both"
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| {
        format!(
            "configuration: {section}.{key}_file {}: {error}",
            path.display()
        )
    })?;
    Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn merged(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    flags: &[(&str, String)],
) -> Result<Merged, ConfigError> {
    let mut merged = Merged {
        table: toml::from_str(DEFAULT)
            .map_err(|error| ConfigError(vec![format!("config.default.toml: {error}")]))?,
        origins: BTreeMap::new(),
        problems: Vec::new(),
    };
    let file = file
        .map(Path::to_owned)
        .or_else(|| Some(PathBuf::from(USUAL_FILE)).filter(|usual| usual.exists()));
    if let Some(path) = file {
        let place = path.display().to_string();
        match fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| toml::from_str::<Table>(&text).map_err(|error| error.to_string()))
        {
            Ok(table) => merged.add_file(table, &place),
            Err(error) => merged.problems.push(format!("{place}: {}", error.trim())),
        }
    }
    let mut variables: Vec<_> = variables
        .filter_map(|(name, value)| {
            let (section, key) = name.strip_prefix(PREFIX)?.split_once("__")?;
            Some((
                section.to_lowercase(),
                key.to_lowercase(),
                name.clone(),
                value,
            ))
        })
        .collect();
    variables.sort();
    for (section, key, name, value) in variables {
        merged.set(&section, &key, &value, &name);
    }
    for (path, value) in flags {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        merged.set(section, key, value, path);
        if let Some(origin) = merged
            .origins
            .get_mut(&(section.to_owned(), key.to_owned()))
        {
            "the command line".clone_into(origin);
        }
    }
    if merged.problems.is_empty() {
        Ok(merged)
    } else {
        Err(ConfigError(merged.problems))
    }
}

impl Merged {
    fn add_file(&mut self, table: Table, place: &str) {
        for (section, content) in table {
            let Some(Value::Table(known)) = self.table.get_mut(&section) else {
                let hint = nearest(&section, self.table.keys());
                self.problems
                    .push(format!("{place}: there is no [{section}]{hint}"));
                continue;
            };
            let Value::Table(content) = content else {
                self.problems
                    .push(format!("{place}: [{section}] is a section, not a value"));
                continue;
            };
            for (key, value) in content {
                if known.contains_key(&key) {
                    known.insert(key.clone(), value);
                    self.origins
                        .insert((section.clone(), key), place.to_owned());
                } else {
                    let hint = nearest(&key, known.keys());
                    self.problems
                        .push(format!("{place}: there is no {section}.{key}{hint}"));
                }
            }
        }
    }

    /// Sets a key to a value that is a text, read as what the default is.
    fn set(&mut self, section: &str, key: &str, text: &str, place: &str) {
        let Some(Value::Table(known)) = self.table.get_mut(section) else {
            let hint = nearest(section, self.table.keys());
            self.problems
                .push(format!("{place}: there is no section {section}{hint}"));
            return;
        };
        let Some(default) = known.get(key) else {
            let hint = nearest(key, known.keys());
            self.problems
                .push(format!("{place}: there is no {section}.{key}{hint}"));
            return;
        };
        let value = match default {
            Value::Boolean(_) => text.parse().map(Value::Boolean).ok(),
            Value::Integer(_) => text.parse().map(Value::Integer).ok(),
            _ => Some(Value::String(text.to_owned())),
        };
        match value {
            Some(value) => {
                known.insert(key.to_owned(), value);
                self.origins
                    .insert((section.to_owned(), key.to_owned()), place.to_owned());
            }
            None => self
                .problems
                .push(format!("{place}: `{text}` is no {}", default.type_str())),
        }
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map_or_else(String::new, |(_, candidate)| {
            format!("; is it {candidate}?")
        })
}

/// An empty text is `None`. A text is read as `T` when `T` is no text itself.
fn optional<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(de::Error::custom(format!("`{text}`: {error}"))),
    }
}

/// The address of a workspace that is kept in a file of its own.
pub(crate) fn read_address(file: &Path) -> Result<String, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!(
            "the file of the workspace's address, {}: {error}",
            file.display()
        )),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(de::Error::custom)
}

/// A wait, or none.
fn wait<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    parse_duration(&text).map_err(de::Error::custom)
}

fn duration_or_never<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "never" {
        return Ok(None);
    }
    parse_duration(&text).map(Some).map_err(de::Error::custom)
}

/// A length of time, longer than none: `45s`, `10m`, `2h`, `30d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    // The library knows no days, because some have 23 hours; ours have 24.
    if let Some(days) = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok())
    {
        return Ok(Duration::from_secs(u64::from(days) * 86_400));
    }
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("`{text}` is no duration; write one like 45s, 10m, 2h or 30d"))
}

fn locale<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Locale>, D::Error> {
    let tag = String::deserialize(deserializer)?;
    if tag.is_empty() {
        return Ok(None);
    }
    let locale = Locale::of(&tag).map(Some);
    locale.ok_or_else(|| {
        let known: Vec<_> = Locale::tags().collect();
        de::Error::custom(format!("`{tag}`: write one of {}", known.join(", ")))
    })
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeZone>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Ok(None);
    }
    TimeZone::get(&name).map(Some).map_err(|_| {
        de::Error::custom(format!(
            "`{name}` is no time zone; write one like Europe/Berlin"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(
        file: &str,
        variables: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Config, String> {
        let mut path = tempfile::NamedTempFile::new().unwrap();
        path.write_all(file.as_bytes()).unwrap();
        let variables = variables
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        let flags: Vec<_> = flags.iter().map(|(a, b)| (*a, (*b).to_owned())).collect();
        Config::load(Some(path.path()), variables, &flags).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = load("", &[], &[]).unwrap();
        assert_eq!(config.http.listen.port(), 3100);
        assert_eq!(config.store.keep, None);
        assert_eq!(config.store.directory(), std::env::temp_dir());
        assert_eq!(config.jobs.lease, Duration::from_mins(1));
        assert_eq!(config.jobs.forget, Some(Duration::from_hours(90 * 24)));
        assert_eq!(config.http.cors, None);
    }

    #[test]
    fn the_later_wins() {
        let file = "[http]\nlisten = \"127.0.0.1:1\"\nmax_body_bytes = 7\n[rate_limit]\ncalls = 3\nenabled = false\n";
        let variables = [
            ("EXPORT_ROOM_HTTP__LISTEN", "127.0.0.1:2"),
            ("EXPORT_ROOM_STORE__KEEP", "30d"),
            ("EXPORT_ROOM_WORKSPACE", "not ours"),
            ("PATH", "/bin"),
        ];
        let config = load(file, &variables, &[("http.listen", "127.0.0.1:3")]).unwrap();
        assert_eq!(config.http.listen.port(), 3);
        assert_eq!(config.http.max_body_bytes, 7);
        assert_eq!(config.rate_limit.calls, Some(3));
        assert_eq!(config.rate_limit.enabled, Some(false));
        assert_eq!(config.store.keep, Some(Duration::from_hours(30 * 24)));
    }

    #[test]
    fn all_mistakes_are_told_together_with_what_was_meant() {
        let file = "[htp]\n[http]\nlisten_on = \"x\"\nlistn = \"x\"\n";
        let error = load(
            file,
            &[
                ("EXPORT_ROOM_JOBS__WORKER", "1"),
                ("EXPORT_ROOM_JOBS__WORKERS", "many"),
            ],
            &[],
        )
        .unwrap_err();
        for part in [
            "there is no [htp]; is it http?",
            "there is no http.listn; is it listen?",
            "there is no http.listen_on; is it listen?",
            "EXPORT_ROOM_JOBS__WORKER: there is no jobs.worker; is it workers?",
            "EXPORT_ROOM_JOBS__WORKERS: `many` is no integer",
        ] {
            assert!(error.contains(part), "{part} is not in\n{error}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for (file, part) in [
            ("[export]\nlevel = 10", "levels are 0 to 9"),
            ("[export]\ntimezone = \"Mars\"", "no time zone"),
            ("[export]\nlocale = \"tlh\"", "write one of en, en-US, de"),
            (
                "[export]\nstyle = \"/not/there.css\"",
                "/not/there.css: it cannot be read",
            ),
            ("[jobs]\nlease = \"soon\"", "no duration"),
            ("[jobs]\nlease = \"1s\"", "at least twice"),
            ("[jobs]\nattempts = 0", "at least 1"),
            ("[http]\nlisten = \"here\"", "listen"),
            ("[mail]\nport = \"x\"", "port"),
            (
                "[mail]\npassword = \"a\"\npassword_file = \"/b\"",
                "not both",
            ),
            ("[mail]\npassword_file = \"/not/there\"", "/not/there"),
            ("not toml", "TOML"),
        ] {
            let error = load(file, &[], &[]).unwrap_err();
            assert!(error.contains(part), "{part} is not in\n{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        writeln!(secret, "from-a-file").unwrap();
        let flags = [("mail.password_file", secret.path().to_str().unwrap())];
        let config = load("", &[], &flags).unwrap();
        assert_eq!(config.mail.password.reveal(), "from-a-file");
        assert!(!format!("{config:?}").contains("from-a-file"));
        let shown = Config::show(
            Some(Path::new("/dev/null")),
            [("EXPORT_ROOM_MAIL__PASSWORD".to_owned(), "geheim".to_owned())].into_iter(),
            &[],
        )
        .unwrap();
        assert!(
            shown.contains("password = \"***\"") && !shown.contains("geheim"),
            "{shown}"
        );
        // An address is shown without what may be secret.
        let address = [("workspace.address", "mongodb://u:geheim@h/db".to_owned())];
        let nowhere = || Some(Path::new("/dev/null"));
        let shown = Config::show(nowhere(), std::iter::empty(), &address).unwrap();
        assert!(
            shown.contains("address = \"mongodb://h/db\"") && !shown.contains("geheim"),
            "{shown}"
        );
        let config = Config::load(nowhere(), std::iter::empty(), &address).unwrap();
        assert!(!format!("{config:?}").contains("geheim"), "{config:?}");
    }

    #[test]
    fn what_is_shown_is_a_configuration_and_says_where_it_comes_from() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(
            file,
            "[mail]\nhost = \"mail.example.org\"\npassword = \"geheim\""
        )
        .unwrap();
        let shown = Config::show(
            Some(file.path()),
            [("EXPORT_ROOM_JOBS__WORKERS".to_owned(), "7".to_owned())].into_iter(),
            &[("http.listen", "127.0.0.1:1".to_owned())],
        )
        .unwrap();
        let place = file.path().display();
        for line in [
            format!("host = \"mail.example.org\"  # {place}"),
            format!("password = \"***\"  # {place}"),
            "workers = 7  # EXPORT_ROOM_JOBS__WORKERS".to_owned(),
            "listen = \"127.0.0.1:1\"  # the command line".to_owned(),
            "attempts = 5".to_owned(),
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        let (shown, keys): (Table, fn(&Table) -> usize) =
            (toml::from_str(&shown).unwrap(), |table| {
                table
                    .values()
                    .map(|section| section.as_table().unwrap().len())
                    .sum()
            });
        assert_eq!(keys(&shown), keys(&toml::from_str(DEFAULT).unwrap()));
    }

    #[test]
    fn every_key_has_its_comment() {
        let mut before = "";
        let mut keys = 0;
        for line in DEFAULT.lines() {
            if line.contains(" = ") && !line.starts_with('#') {
                keys += 1;
                let paired = [
                    "password = ",
                    "attempts",
                    "max_messages",
                    "max_bytes",
                    "secret_access_key = ",
                    "private_key = ",
                ]
                .iter()
                .any(|key| line.starts_with(key));
                assert!(before.starts_with('#') || paired, "{line} has no comment");
            }
            before = line;
        }
        assert!(keys > 40);
    }
}
