//! Where a remote store is, and as whom it is asked: what is configured, else the workspace's settings (contract §5.8).

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opendal::layers::{RetryEvent, RetryLayer, TimeoutLayer};
use opendal::services::{Gcs, S3, Webdav};
use opendal::{HttpTransporter, OperationContext, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;

use super::short;
use crate::app::host;
use crate::blob::RemoteKind;
use crate::config::{self, Secret};
use crate::store::directory::Settings;
use crate::{telemetry, tls};

/// The settings of the workspace that are asked for.
pub(super) const SETTINGS: &[&str] = &[
    "FileUpload_S3_Bucket",
    "FileUpload_S3_BucketURL",
    "FileUpload_S3_Region",
    "FileUpload_S3_ForcePathStyle",
    "FileUpload_S3_AWSAccessKeyId",
    "FileUpload_S3_AWSSecretAccessKey",
    "FileUpload_GoogleStorage_Bucket",
    "FileUpload_GoogleStorage_AccessId",
    "FileUpload_GoogleStorage_Secret",
    "FileUpload_Webdav_Server_URL",
    "FileUpload_Webdav_Username",
    "FileUpload_Webdav_Password",
    "FileUpload_Webdav_Upload_Folder_Path",
    "uniqueID",
];
/// The region of requests when none is named, as Amazon's own libraries have it.
const REGION: &str = "us-east-1";
/// The folder of our exports.
const OURS: &str = "export-room";
/// Longest wait between two attempts.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A remote store as it is configured. Secrets never show in its `Debug` form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::blob) enum Place {
    S3 {
        bucket: String,
        endpoint: Option<String>,
        region: Option<String>,
        path_style: bool,
        /// Else those of the environment or of the machine's role.
        keys: Option<(String, Secret)>,
        exports: String,
    },
    GoogleCloud {
        bucket: String,
        endpoint: Option<String>,
        /// Address and private key; else those of the environment or of the machine.
        account: Option<(String, Secret)>,
        anonymous: bool,
        exports: String,
    },
    WebDav {
        url: String,
        user: Option<(String, Secret)>,
        exports: String,
    },
}

/// What is configured, else the setting; nothing when both are empty.
fn either(configured: Option<&String>, settings: &Settings, id: &str) -> Option<String> {
    let text = configured.map(String::as_str).or_else(|| settings.text(id));
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// The same for a pair of a name and a secret: both from one place.
fn pair(
    configured: (Option<&String>, &Secret),
    settings: &Settings,
    ids: (&str, &str),
) -> Option<(String, Secret)> {
    if let (Some(name), secret) = configured {
        return Some((name.clone(), secret.clone()));
    }
    let name = either(None, settings, ids.0)?;
    let secret = settings.text(ids.1)?;
    Some((name, Secret::from(secret.to_owned())))
}

/// The name of a file in a folder of exports, this one or one that was configured before.
pub(in crate::blob) fn name_in_exports(path: &str) -> Option<&str> {
    let (folder, name) = path.rsplit_once('/')?;
    let folder = folder.rsplit('/').next();
    (folder == Some(OURS)).then_some(name)
}

impl Place {
    /// The place of a kind; `None` when nobody said where it is.
    pub(super) fn of(
        kind: RemoteKind,
        config: &config::FileStores,
        settings: &Settings,
    ) -> Option<Self> {
        // Beside the files that Rocket.Chat keeps there, and apart from those of others in the same bucket.
        let of_workspace = settings.text("uniqueID").unwrap_or_default();
        let in_bucket = || folder(&[of_workspace, "uploads/userData", OURS]);
        Some(match kind {
            RemoteKind::S3 => {
                let s3 = &config.s3;
                Self::S3 {
                    bucket: either(s3.bucket.as_ref(), settings, "FileUpload_S3_Bucket")?,
                    endpoint: either(s3.endpoint.as_ref(), settings, "FileUpload_S3_BucketURL"),
                    region: either(s3.region.as_ref(), settings, "FileUpload_S3_Region"),
                    path_style: s3
                        .path_style
                        .or(settings.truth("FileUpload_S3_ForcePathStyle"))
                        .unwrap_or(false),
                    keys: pair(
                        (s3.access_key_id.as_ref(), &s3.secret_access_key),
                        settings,
                        (
                            "FileUpload_S3_AWSAccessKeyId",
                            "FileUpload_S3_AWSSecretAccessKey",
                        ),
                    ),
                    exports: in_bucket(),
                }
            }
            RemoteKind::GoogleCloud => {
                let gcs = &config.gcs;
                Self::GoogleCloud {
                    bucket: either(
                        gcs.bucket.as_ref(),
                        settings,
                        "FileUpload_GoogleStorage_Bucket",
                    )?,
                    endpoint: gcs.endpoint.clone(),
                    account: pair(
                        (gcs.access_id.as_ref(), &gcs.private_key),
                        settings,
                        (
                            "FileUpload_GoogleStorage_AccessId",
                            "FileUpload_GoogleStorage_Secret",
                        ),
                    ),
                    anonymous: gcs.anonymous,
                    exports: in_bucket(),
                }
            }
            RemoteKind::WebDav => {
                let webdav = &config.webdav;
                Self::WebDav {
                    url: either(
                        webdav.url.as_ref(),
                        settings,
                        "FileUpload_Webdav_Server_URL",
                    )?
                    .trim_end_matches('/')
                    .to_owned(),
                    user: pair(
                        (webdav.username.as_ref(), &webdav.password),
                        settings,
                        ("FileUpload_Webdav_Username", "FileUpload_Webdav_Password"),
                    ),
                    exports: {
                        let upper = either(
                            webdav.folder.as_ref(),
                            settings,
                            "FileUpload_Webdav_Upload_Folder_Path",
                        );
                        folder(&[upper.as_deref().unwrap_or_default(), OURS])
                    },
                }
            }
        })
    }

    /// The folder of exports inside it, with a slash at its end.
    pub(in crate::blob) fn exports(&self) -> &str {
        match self {
            Self::S3 { exports, .. }
            | Self::GoogleCloud { exports, .. }
            | Self::WebDav { exports, .. } => exports,
        }
    }

    /// A request that stores a file of a WebDAV folder (RFC 4918 §9.7), without its body.
    pub(super) fn put(
        &self,
        path: &str,
        config: &config::FileStores,
    ) -> Result<reqwest::RequestBuilder, opendal::Error> {
        let Self::WebDav { url, user, .. } = self else {
            return Err(opendal::Error::new(
                opendal::ErrorKind::Unsupported,
                "only WebDAV takes whole files",
            ));
        };
        let path = opendal::raw::percent_encode_path(path);
        let request = client(config)?.put(format!("{url}/{path}"));
        Ok(match user {
            Some((name, password)) => request.basic_auth(name, Some(password.reveal())),
            None => request,
        })
    }

    /// The place in words, without secrets: `S3 bucket files at https://s3.example.org`.
    pub(in crate::blob) fn describe(&self) -> String {
        let at = |endpoint: &Option<String>| {
            endpoint
                .as_ref()
                .map_or_else(String::new, |endpoint| format!(" at {}", public(endpoint)))
        };
        match self {
            Self::S3 {
                bucket, endpoint, ..
            } => format!("S3 bucket {bucket}{}", at(endpoint)),
            Self::GoogleCloud {
                bucket, endpoint, ..
            } => format!("Google Cloud Storage bucket {bucket}{}", at(endpoint)),
            Self::WebDav { url, .. } => format!("WebDAV folder {}", public(url)),
        }
    }

    /// Opens it, for requests that may take so long. Nothing is sent yet. The error says what cannot be used.
    pub(super) fn open(
        &self,
        kind: RemoteKind,
        config: &config::FileStores,
        patience: Duration,
    ) -> Result<Operator, opendal::Error> {
        let base = match self {
            Self::S3 {
                bucket,
                endpoint,
                region,
                path_style,
                keys,
                ..
            } => {
                let mut s3 = S3::default().bucket(bucket);
                if let Some(endpoint) = endpoint {
                    s3 = s3.endpoint(endpoint);
                }
                let of_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"]
                    .iter()
                    .any(|name| std::env::var_os(name).is_some());
                match region {
                    Some(region) => s3 = s3.region(region),
                    None if keys.is_none() && of_environment => {}
                    None => s3 = s3.region(REGION),
                }
                if !path_style && fits_host(bucket, endpoint.as_deref()) {
                    s3 = s3.enable_virtual_host_style();
                }
                if let Some((id, secret)) = keys {
                    // Then nobody else is asked for keys.
                    s3 = s3
                        .access_key_id(id)
                        .secret_access_key(secret.reveal())
                        .disable_config_load()
                        .disable_ec2_metadata();
                }
                Operator::new(s3)?
            }
            Self::GoogleCloud {
                bucket,
                endpoint,
                account,
                anonymous,
                ..
            } => {
                let mut gcs = Gcs::default().bucket(bucket);
                if let Some(endpoint) = endpoint {
                    gcs = gcs.endpoint(endpoint);
                }
                if let Some((address, key)) = account {
                    let key = serde_json::json!({
                        "type": "service_account",
                        "client_email": address,
                        // Settings from the environment have the line breaks escaped.
                        "private_key": key.reveal().replace("\\n", "\n"),
                    });
                    gcs = gcs
                        .credential(&STANDARD.encode(key.to_string()))
                        .disable_config_load()
                        .disable_vm_metadata();
                }
                if *anonymous {
                    gcs = gcs.skip_signature();
                }
                Operator::new(gcs)?
            }
            Self::WebDav { url, user, .. } => {
                let mut webdav = Webdav::default().endpoint(url);
                if let Some((name, password)) = user {
                    webdav = webdav.username(name).password(password.reveal());
                }
                Operator::new(webdav)?
            }
        };
        let base = base.with_context(
            OperationContext::new()
                .with_http_transport(HttpTransporter::new(ReqwestTransport::new(client(config)?))),
        );
        let timeout = TimeoutLayer::new()
            .with_timeout(config.blobs.timeout)
            .with_io_timeout(patience);
        let place = self.describe();
        let retry = RetryLayer::new()
            .with_max_times(config.blobs.attempts.saturating_sub(1) as usize)
            .with_min_delay(config.blobs.backoff)
            .with_max_delay(LONGEST_WAIT.max(config.blobs.backoff))
            .with_jitter()
            .with_notify(move |event: RetryEvent<'_>| tell(kind, &place, &event));
        Ok(base.layer(timeout).layer(retry))
    }
}

/// The HTTP client. It follows no redirects: nobody but the one who is named is asked.
pub(super) fn client(config: &config::FileStores) -> Result<reqwest::Client, opendal::Error> {
    tls::install();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.blobs.timeout)
        .user_agent(crate::export::report::TOOL)
        .build()
        .map_err(|error| {
            opendal::Error::new(opendal::ErrorKind::ConfigInvalid, "no HTTP client")
                .set_source(error)
        })
}

/// A folder from its parts, without a slash before it and with one behind.
fn folder(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts.iter().flat_map(|part| part.split('/')) {
        if !matches!(part, "" | "." | "..") {
            path.extend([part, "/"]);
        }
    }
    path
}

/// Whether a bucket can stand before the host: not before an address, and not when the dots in its name would fit no
/// certificate.
fn fits_host(bucket: &str, endpoint: Option<&str>) -> bool {
    let is_label = !bucket.is_empty()
        && bucket
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let host = endpoint.map_or("", host);
    is_label && host != "localhost" && host.parse::<IpAddr>().is_err()
}

/// A URL without the user that it may name.
fn public(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

/// A request failed and is made again: that is seen.
fn tell(kind: RemoteKind, place: &str, event: &RetryEvent<'_>) {
    retried(
        kind,
        place,
        event.op.into_static(),
        event.attempt,
        event.retry_after,
        &short(event.err),
    );
}

/// The same for a request that is made without the library.
pub(super) fn retried(
    kind: RemoteKind,
    place: &str,
    operation: &'static str,
    attempt: u32,
    wait: Duration,
    error: &str,
) {
    telemetry::store_retried(kind.name(), operation);
    tracing::warn!(
        place,
        operation,
        attempt,
        ?wait,
        error,
        "a file store failed and is asked again"
    );
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc};

    use super::*;
    use crate::config::Config;

    fn config(flags: &[(&str, &str)]) -> config::FileStores {
        let flags: Vec<_> = flags.iter().map(|(a, b)| (*a, (*b).to_owned())).collect();
        let empty = tempfile::NamedTempFile::new().unwrap();
        Config::load(Some(empty.path()), std::iter::empty(), &flags)
            .unwrap()
            .file_stores()
    }

    fn settings(document: bson::Document) -> Settings {
        Settings(
            document
                .into_iter()
                .collect::<std::collections::HashMap<String, Bson>>(),
        )
    }

    #[test]
    fn configuration_comes_before_settings_and_keys_stay_together() {
        let of_workspace = settings(doc! {
            "FileUpload_S3_Bucket": "files", "FileUpload_S3_BucketURL": "https://user:pw@s3.example.org/",
            "FileUpload_S3_Region": "eu-1", "FileUpload_S3_ForcePathStyle": true,
            "FileUpload_S3_AWSAccessKeyId": "workspace", "FileUpload_S3_AWSSecretAccessKey": "secret-of-workspace",
            "FileUpload_Webdav_Server_URL": "https://dav.example.org/dav/", "uniqueID": "U",
            "FileUpload_Webdav_Upload_Folder_Path": "/rocket//chat/../",
        });
        let place = Place::of(RemoteKind::S3, &config(&[]), &of_workspace).unwrap();
        assert_eq!(
            place,
            Place::S3 {
                bucket: "files".to_owned(),
                endpoint: Some("https://user:pw@s3.example.org/".to_owned()),
                region: Some("eu-1".to_owned()),
                path_style: true,
                keys: Some((
                    "workspace".to_owned(),
                    Secret::from("secret-of-workspace".to_owned())
                )),
                exports: "U/uploads/userData/export-room/".to_owned(),
            }
        );
        assert_eq!(
            place.describe(),
            "S3 bucket files at https://s3.example.org/"
        );
        assert!(!format!("{place:?}").contains("secret-of"));
        let ours = config(&[
            ("s3.bucket", "other"),
            ("s3.access_key_id", "ours"),
            ("s3.path_style", "false"),
        ]);
        let Some(Place::S3 {
            bucket,
            keys,
            path_style,
            ..
        }) = Place::of(RemoteKind::S3, &ours, &of_workspace)
        else {
            panic!("no S3");
        };
        assert_eq!((&*bucket, path_style), ("other", false));
        assert_eq!(keys, Some(("ours".to_owned(), Secret::default())));
        assert_eq!(
            Place::of(RemoteKind::GoogleCloud, &config(&[]), &of_workspace),
            None
        );
        assert_eq!(
            Place::of(RemoteKind::WebDav, &config(&[]), &of_workspace),
            Some(Place::WebDav {
                url: "https://dav.example.org/dav".to_owned(),
                user: None,
                exports: "rocket/chat/export-room/".to_owned(),
            })
        );
    }

    #[test]
    fn buckets_stand_before_hosts_only_where_that_works() {
        for (bucket, endpoint, expected) in [
            ("files", None, true),
            ("files", Some("https://s3.example.org"), true),
            ("files", Some("http://127.0.0.1:9000"), false),
            ("files", Some("http://[::1]:9000"), false),
            ("files", Some("http://localhost:9000"), false),
            ("files.example.org", None, false),
            ("Files", None, false),
        ] {
            assert_eq!(
                fits_host(bucket, endpoint),
                expected,
                "{bucket} {endpoint:?}"
            );
        }
    }
}
