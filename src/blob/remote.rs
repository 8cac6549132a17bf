//! Files in S3, Google Cloud Storage and WebDAV: which of them, reading with retries, and what their errors mean.
//!
//! Where they are is said by the configuration and the workspace's settings, never by a record: a record names a key
//! inside.

mod place;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use opendal::{Buffer, BufferStream, ErrorKind, Operator};
use tokio::sync::Mutex;
use transcript::output::Absence;

pub(super) use self::place::name_in_exports;
use self::place::{Place, SETTINGS};
use super::{BlobError, BlobKey, BlobReader, RemoteKind};
use crate::config::FileStores;
use crate::store::{MessageSource, StoreError};
use crate::words;

/// How long what the workspace's settings say is believed.
const REFRESH: Duration = Duration::from_secs(30);
/// Most characters of an error's text: some servers send whole pages.
const TOLD: usize = 300;
/// Codes of S3 with which it refuses everything, not only this file
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
const REFUSES_ALL: &[&str] = &[
    "AccountProblem",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "NotSignedUp",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// The stores that are reached over the network.
pub struct RemoteStores {
    settings: Arc<dyn MessageSource>,
    config: FileStores,
    known: Mutex<Option<Known>>,
}

/// The stores as they were a moment ago.
struct Known {
    at: Instant,
    stores: [Option<Arc<Remote>>; RemoteKind::ALL.len()],
}

/// One store, open.
#[derive(Debug)]
pub(super) struct Remote {
    kind: RemoteKind,
    pub(super) place: Place,
    /// For answers that come soon.
    pub(super) operator: Operator,
    /// For whole parts of an upload.
    pub(super) parts: Operator,
}

impl RemoteStores {
    /// Stores as configured, with the settings of a workspace as defaults. Nobody is asked yet.
    pub fn new(settings: Arc<dyn MessageSource>, config: FileStores) -> Self {
        Self {
            settings,
            config,
            known: Mutex::new(None),
        }
    }

    /// Starts reading a file at a byte.
    pub async fn open(
        &self,
        kind: RemoteKind,
        key: &BlobKey,
        from: u64,
    ) -> Result<Box<dyn BlobReader>, BlobError> {
        let path = key_of(key)?;
        let remote = self.remote(kind).await?.ok_or_else(|| {
            BlobError::missing(
                Absence::Unread,
                format!(
                    "stored in {}, and nothing says where that is; set {}",
                    kind.name(),
                    kind.key()
                ),
            )
        })?;
        remote.open(path, from).await
    }

    /// Where a store is, in words; `None` when nobody said.
    pub async fn describe(&self, kind: RemoteKind) -> Result<Option<String>, StoreError> {
        let remote = self.remote(kind).await?;
        Ok(remote.map(|remote| remote.place.describe()))
    }

    /// Bytes of a part of an upload.
    pub(super) fn part_bytes(&self) -> usize {
        self.config.blobs.part_bytes
    }

    /// How long a part of an upload may take.
    pub(super) fn patience(&self) -> Duration {
        patience(&self.config)
    }

    /// The wait after an attempt; `None` when it was the last.
    pub(super) fn wait_after(&self, attempt: u32) -> Option<Duration> {
        let blobs = &self.config.blobs;
        let doubled = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        (attempt < blobs.attempts).then(|| {
            blobs
                .backoff
                .saturating_mul(doubled)
                .min(place::LONGEST_WAIT)
        })
    }

    /// A request that stores a file by WebDAV, without its body.
    pub(super) fn put_request(
        &self,
        remote: &Remote,
        path: &str,
    ) -> Result<reqwest::RequestBuilder, StoreError> {
        let request = remote.place.put(path, &self.config);
        request.map_err(|error| remote.broken("write", path, &error))
    }

    /// A store as it is configured now; `None` when nobody said where it is.
    pub(super) async fn remote(&self, kind: RemoteKind) -> Result<Option<Arc<Remote>>, StoreError> {
        let mut known = self.known.lock().await;
        let fresh = known.as_ref().filter(|known| known.at.elapsed() < REFRESH);
        let stores = if let Some(known) = fresh {
            &known.stores
        } else {
            let settings = self.settings.settings(SETTINGS).await?;
            let mut stores = known.take().map(|known| known.stores).unwrap_or_default();
            for (kind, store) in RemoteKind::ALL.into_iter().zip(&mut stores) {
                let place = Place::of(kind, &self.config, &settings);
                if store.as_ref().map(|store| &store.place) == place.as_ref() {
                    continue;
                }
                *store = match place {
                    Some(place) => Some(Arc::new(Remote::new(kind, place, &self.config)?)),
                    None => None,
                };
            }
            let at = Instant::now();
            &known.insert(Known { at, stores }).stores
        };
        let at = RemoteKind::ALL.iter().position(|other| *other == kind);
        Ok(at.and_then(|at| stores[at].clone()))
    }
}

/// How long a part of an upload may take: many times as long as an answer.
fn patience(config: &FileStores) -> Duration {
    config.blobs.timeout.saturating_mul(10)
}

/// The key of a file inside its store, when it can have one.
pub(super) fn key_of(key: &BlobKey) -> Result<&str, BlobError> {
    let path = key.path.as_deref().unwrap_or(&key.id);
    let path = path.strip_prefix('/').unwrap_or(path);
    // Dots would be resolved before they are sent, and lead out of the bucket.
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    if path.split('/').any(odd) || path.contains('\0') || path.trim() != path {
        return Err(BlobError::missing(
            Absence::Gone,
            "its path cannot be a key",
        ));
    }
    Ok(path)
}

impl Remote {
    fn new(kind: RemoteKind, place: Place, config: &FileStores) -> Result<Self, StoreError> {
        let open = |patience: Duration| {
            let opened = place.open(kind, config, patience);
            opened.map_err(|error| StoreError::Remote {
                action: "use",
                place: place.describe(),
                reason: short(&error),
            })
        };
        let operator = open(config.blobs.timeout)?;
        let parts = open(patience(config))?;
        Ok(Self {
            kind,
            place,
            operator,
            parts,
        })
    }

    async fn open(
        self: Arc<Self>,
        path: &str,
        from: u64,
    ) -> Result<Box<dyn BlobReader>, BlobError> {
        let failed = |error| self.failed("read", path, &error);
        let reader = &self.operator;
        let found = match reader.stat(path).await {
            Ok(found) => found,
            // S3 answers this question without a body, so that it cannot say whether the file is refused or everything;
            // it says so to who reads.
            Err(error) if self.kind == RemoteKind::S3 && !error.is_temporary() => {
                let told = reader.read_with(path).range(0..1).await.err();
                return Err(failed(told.unwrap_or(error)));
            }
            Err(error) => return Err(failed(error)),
        };
        if found.is_dir() {
            return Err(BlobError::missing(Absence::Gone, "a folder has its path"));
        }
        let length = found.content_length();
        let stream = if from < length {
            let mut opened = reader.reader_with(path);
            // What is replaced while it is read is not mixed.
            if let Some(etag) = found.etag()
                && reader.info().capability().read_with_if_match
            {
                opened = opened.if_match(etag);
            }
            let opened = opened.await.map_err(failed)?;
            Some(opened.into_stream(from..length).await.map_err(failed)?)
        } else {
            None
        };
        Ok(Box::new(RemoteReader {
            path: path.to_owned(),
            remote: self,
            stream,
            rest: Buffer::new(),
            length,
            given: from,
        }))
    }

    /// What an error means: for this file, or for all.
    fn failed(&self, action: &'static str, path: &str, error: &opendal::Error) -> BlobError {
        let missing = |absence, reason: &str| {
            BlobError::missing(absence, format!("{reason} {}", self.kind.name()))
        };
        let refuses_all = || {
            let text = error.to_string();
            REFUSES_ALL.iter().any(|code| text.contains(code))
        };
        match error.kind() {
            ErrorKind::NotFound => missing(Absence::Gone, "not in"),
            ErrorKind::ConditionNotMatch => {
                missing(Absence::Incomplete, "replaced while it was read from")
            }
            ErrorKind::PermissionDenied if !refuses_all() => {
                missing(Absence::Unread, "not allowed to be read by")
            }
            _ => self.broken(action, path, error).into(),
        }
    }

    /// The store itself failed.
    pub(super) fn broken(
        &self,
        action: &'static str,
        path: &str,
        error: &opendal::Error,
    ) -> StoreError {
        StoreError::Remote {
            action,
            place: self.shown(path),
            reason: short(error),
        }
    }

    /// A file of it in words, for the log.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{path} of {}", self.place.describe())
    }

    /// Whether there is such a file.
    pub(super) async fn is_there(&self, path: &str) -> Result<bool, StoreError> {
        match self.operator.stat(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.broken("find", path, &error)),
        }
    }

    /// Removes a file, if it is there.
    pub(super) async fn remove(&self, path: &str) -> Result<(), StoreError> {
        match self.operator.delete(path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(self.broken("remove", path, &error))
            }
            _ => Ok(()),
        }
    }

    /// A request that is made without the library failed and is made again.
    pub(super) fn retried(
        &self,
        operation: &'static str,
        attempt: u32,
        wait: Duration,
        error: &str,
    ) {
        let place = self.place.describe();
        place::retried(self.kind, &place, operation, attempt, wait, error);
    }
}

/// An error's own words and its last cause, on one line, not too long.
pub(super) fn short(error: &opendal::Error) -> String {
    let mut told = words::one_line(error.message());
    let cut = told.floor_char_boundary(TOLD);
    if cut < told.len() {
        told.truncate(cut);
        told.push('…');
    }
    if told.is_empty() {
        told = error.kind().to_string();
    }
    if let Some(cause) = words::causes(error).skip(1).last() {
        told += ": ";
        told += &words::one_line(&cause.to_string());
    }
    told
}

struct RemoteReader {
    remote: Arc<Remote>,
    path: String,
    stream: Option<BufferStream>,
    /// What of the last piece is not given yet.
    rest: Buffer,
    length: u64,
    given: u64,
}

#[async_trait]
impl BlobReader for RemoteReader {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, BlobError> {
        loop {
            if let Some(bytes) = Iterator::next(&mut self.rest) {
                if bytes.is_empty() {
                    continue;
                }
                self.given += bytes.len() as u64;
                return Ok(Some(bytes));
            }
            let next = match &mut self.stream {
                Some(stream) => stream.next().await,
                None => None,
            };
            match next {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => return Err(self.remote.failed("read", &self.path, &error)),
                None if self.given < self.length => {
                    return Err(BlobError::short(self.given, self.length));
                }
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_key_and_never_leads_out() {
        let key = |id: &str, path: Option<&str>| BlobKey {
            id: id.to_owned(),
            path: path.map(str::to_owned),
            ..BlobKey::default()
        };
        for (id, path, expected) in [
            ("i", None, Some("i")),
            ("i", Some("U/uploads/r/u/i"), Some("U/uploads/r/u/i")),
            ("i", Some("/folder/i"), Some("folder/i")),
            ("i", Some("a b/ü%2f?#.txt"), Some("a b/ü%2f?#.txt")),
            ("i", Some("a/../b"), None),
            ("i", Some("../other-bucket/b"), None),
            ("i", Some("./a"), None),
            ("i", Some("a//b"), None),
            ("i", Some("a/"), None),
            ("i", Some("/"), None),
            ("..", None, None),
            ("", None, None),
            ("i", Some(" a"), None),
            ("i", Some("a\0"), None),
        ] {
            assert_eq!(key_of(&key(id, path)).ok(), expected, "{id} {path:?}");
        }
    }
}
