//! Real servers of file stores: S3 that checks signatures and rights, WebDAV, Google Cloud Storage. Others are used when
//! they are named in `EXPORT_ROOM_TEST_S3_URI`, `EXPORT_ROOM_TEST_WEBDAV_URI` (`http://USER:PASSWORD@HOST:PORT/FOLDER`)
//! and `EXPORT_ROOM_TEST_GCS_URI` (`http://HOST:PORT/BUCKET`).

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use super::cli::text;
use super::mail::python;
use super::server::wait_for;

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    WebDav,
    Gcs,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::S3, Self::WebDav, Self::Gcs];

    /// What records call it, and their field with the path.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::S3 => ("AmazonS3", "AmazonS3"),
            Self::WebDav => ("Webdav", "Webdav"),
            Self::Gcs => ("GoogleCloudStorage", "GoogleStorage"),
        }
    }
}

/// A store that is really there.
pub(crate) struct Store {
    pub(crate) kind: Kind,
    /// `http://HOST:PORT`, and for WebDAV the folder.
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) secret: String,
    pub(crate) bucket: String,
    /// What keeps a server of ours going.
    _server: Option<(Child, Option<ChildStdin>, TempDir)>,
}

impl Store {
    /// The one store of its kind for all tests. A server of ours ends with the process: its standard input does.
    pub(crate) fn get(kind: Kind) -> &'static Self {
        static STORES: [OnceLock<Store>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        STORES[kind as usize].get_or_init(|| {
            let variable = match kind {
                Kind::S3 => "EXPORT_ROOM_TEST_S3_URI",
                Kind::WebDav => "EXPORT_ROOM_TEST_WEBDAV_URI",
                Kind::Gcs => "EXPORT_ROOM_TEST_GCS_URI",
            };
            match std::env::var(variable) {
                Ok(uri) if !uri.is_empty() => Self::of_uri(kind, &uri),
                _ => Self::start(kind),
            }
        })
    }

    fn of_uri(kind: Kind, uri: &str) -> Self {
        let (scheme, rest) = uri.split_once("://").expect("a URI");
        let (user, rest) = rest.split_once('@').unwrap_or(("", rest));
        let (user, secret) = user.split_once(':').unwrap_or((user, ""));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (folder, bucket) = match kind {
            Kind::WebDav => (format!("/{path}"), ""),
            _ => (String::new(), path),
        };
        Self {
            kind,
            url: format!("{scheme}://{host}{}", folder.trim_end_matches('/')),
            user: user.to_owned(),
            secret: secret.to_owned(),
            bucket: bucket.to_owned(),
            _server: None,
        }
    }

    fn start(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = match kind {
            Kind::S3 => python("tests/support/s3_server.py"),
            Kind::WebDav => python("tests/support/webdav_server.py"),
            Kind::Gcs => {
                let found = python("tests/support/gcs_server.py").output().unwrap();
                assert!(found.status.success(), "{found:?}");
                Command::new(String::from_utf8(found.stdout).unwrap().trim())
            }
        };
        if kind == Kind::Gcs {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let url = format!("http://127.0.0.1:{port}");
            command.args([
                "-scheme",
                "http",
                "-host",
                "127.0.0.1",
                "-backend",
                "memory",
            ]);
            command.args(["-port", &port.to_string(), "-log-level", "error"]);
            command.args(["-public-host", &format!("127.0.0.1:{port}")]);
            command.args(["-external-url", &url]);
            let child = ending_with_us(&command);
            let store = Self {
                kind,
                url,
                user: String::new(),
                secret: String::new(),
                bucket: "files".to_owned(),
                _server: Some((child, None, directory)),
            };
            wait_for("the server of Google Cloud Storage", || {
                let make =
                    store.request("POST", "/storage/v1/b?project=test", br#"{"name":"files"}"#);
                make.is_ok().then_some(())
            });
            return store;
        }
        if kind == Kind::WebDav {
            command.arg(directory.path());
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line).expect("what the server tells");
        let port = told["port"].as_u64().or(told.as_u64()).unwrap();
        let text = |key: &str, other: &str| told[key].as_str().unwrap_or(other).to_owned();
        let stdin = child.stdin.take();
        Self {
            kind,
            url: format!("http://127.0.0.1:{port}"),
            user: text("key", "rocketchat"),
            secret: text("secret", "geheim"),
            bucket: "files".to_owned(),
            _server: Some((child, stdin, directory)),
        }
    }

    /// Its port on this machine, for a proxy before it.
    pub(crate) fn port(&self) -> u16 {
        let authority = self.url.split("://").nth(1).unwrap();
        let authority = authority.split('/').next().unwrap();
        authority
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .expect("a port")
    }

    /// The settings of ours that lead to it, at this port instead of its own.
    pub(crate) fn settings(&self, port: Option<u16>) -> Vec<(String, String)> {
        let url = match port {
            Some(port) => self
                .url
                .replace(&self.port().to_string(), &port.to_string()),
            None => self.url.clone(),
        };
        let pairs: Vec<(&str, &str)> = match self.kind {
            Kind::S3 => vec![
                ("s3.bucket", &self.bucket),
                ("s3.endpoint", &url),
                ("s3.access_key_id", &self.user),
                ("s3.secret_access_key", &self.secret),
                ("s3.path_style", "true"),
            ],
            Kind::WebDav => vec![
                ("webdav.url", &url),
                ("webdav.username", &self.user),
                ("webdav.password", &self.secret),
            ],
            Kind::Gcs => vec![
                ("gcs.bucket", &self.bucket),
                ("gcs.endpoint", &url),
                ("gcs.anonymous", "true"),
            ],
        };
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        pairs.into_iter().map(owned).collect()
    }

    /// Stores the files of a directory by another client than ours; the name of each is its key, with `|` for `/`.
    pub(crate) fn put(&self, directory: &Path) {
        match self.kind {
            Kind::S3 => {
                self.s3(&["put", text(directory)]);
            }
            Kind::WebDav | Kind::Gcs => {
                for entry in fs::read_dir(directory).unwrap() {
                    let entry = entry.unwrap();
                    let name = entry.file_name().into_string().unwrap();
                    let mut bytes = Vec::new();
                    io::copy(&mut File::open(entry.path()).unwrap(), &mut bytes).unwrap();
                    self.put_one(&name.replace('|', "/"), &bytes);
                }
            }
        }
    }

    fn put_one(&self, key: &str, bytes: &[u8]) {
        let whole = percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC);
        let path = if self.kind == Kind::Gcs {
            let bucket = &self.bucket;
            format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={whole}")
        } else {
            let parts: Vec<_> = key.split('/').collect();
            for end in 1..parts.len() {
                // It may be there already.
                let _ = self.request("MKCOL", &format!("/{}", parts[..end].join("/")), b"");
            }
            format!("/{}", whole.to_string().replace("%2F", "/"))
        };
        let method = if self.kind == Kind::Gcs {
            "POST"
        } else {
            "PUT"
        };
        self.request(method, &path, bytes).unwrap();
    }

    /// One request to WebDAV or Google Cloud Storage; the answer's text.
    fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<String, String> {
        let credentials = STANDARD.encode(format!("{}:{}", self.user, self.secret));
        let mut request = ureq::http::Request::builder();
        if method == "PROPFIND" {
            request = request.header("Depth", "infinity");
        }
        let request = request
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Basic {credentials}"))
            .body(body)
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut answer = agent.run(request).map_err(|error| error.to_string())?;
        answer
            .body_mut()
            .read_to_string()
            .map_err(|error| error.to_string())
    }

    /// Every key below a prefix, seen by another client than ours.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = match self.kind {
            Kind::S3 => self.s3(&["list"]).lines().map(str::to_owned).collect(),
            Kind::Gcs => {
                let told = self
                    .request("GET", &format!("/storage/v1/b/{}/o", self.bucket), b"")
                    .unwrap();
                let told: Value = serde_json::from_str(&told).unwrap();
                let items = told["items"].as_array().cloned().unwrap_or_default();
                let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
                items.iter().map(name).collect()
            }
            Kind::WebDav => {
                let told = self.request("PROPFIND", "/", b"").unwrap();
                let hrefs = told.split("href>").skip(1).step_by(2);
                let path = |href: &str| {
                    let path = href.split('<').next().unwrap();
                    let path = path.trim_start_matches('/');
                    percent_encoding::percent_decode_str(path)
                        .decode_utf8_lossy()
                        .into_owned()
                };
                hrefs
                    .map(path)
                    .filter(|path| !path.is_empty() && !path.ends_with('/'))
                    .collect()
            }
        };
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        keys
    }

    /// The bytes of a key, read by another client than ours.
    pub(crate) fn get_one(&self, key: &str) -> Vec<u8> {
        let path = match self.kind {
            Kind::S3 => {
                let target = tempfile::NamedTempFile::new().unwrap();
                self.s3(&["get", key, text(target.path())]);
                let mut bytes = Vec::new();
                io::copy(&mut File::open(target.path()).unwrap(), &mut bytes).unwrap();
                return bytes;
            }
            Kind::WebDav => format!("{}/{key}", self.url),
            Kind::Gcs => format!("{}/{}/{key}", self.url, self.bucket),
        };
        let credentials = STANDARD.encode(format!("{}:{}", self.user, self.secret));
        let mut answer = ureq::get(path)
            .header("Authorization", format!("Basic {credentials}"))
            .call()
            .unwrap();
        answer
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_vec()
            .unwrap()
    }

    /// Runs Amazon's own client; what it prints.
    pub(crate) fn s3(&self, arguments: &[&str]) -> String {
        let ran = python("tests/support/s3_client.py")
            .args([&self.url, &self.user, &self.secret, &self.bucket])
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

/// Starts a process that ends with this one, however this one ends: setpriv(1) sets the signal of prctl(2). The signal
/// comes when the thread ends that started the process, so that a thread of its own does and stays.
fn ending_with_us(command: &Command) -> Child {
    let mut with = Command::new("setpriv");
    with.args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        sender.send(with.spawn().unwrap()).unwrap();
        loop {
            std::thread::park();
        }
    });
    receiver.recv().unwrap()
}
