//! Exports in S3, Google Cloud Storage and WebDAV, in a folder of their own beside the files that Rocket.Chat keeps there.
//! The record has the whole path, so that Rocket.Chat finds them as well (contract §5.7, §6.7).
//!
//! Buckets take an export in parts while it is written, and show it when it is whole. WebDAV knows no parts: there the
//! export waits in a temporary file, and is sent when it is whole.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use opendal::{ErrorKind, Writer};
use tokio::runtime::Handle;

use super::names::{Stored, is_id};
use super::{ExportWriter, Place, UserDataStore, elsewhere};
use crate::blob::remote::{Remote, RemoteStores, key_of, name_in_exports, short as told};
use crate::blob::{BlobError, BlobKey, BlobReader, RemoteKind};
use crate::export::progress::Progress;
use crate::export::target::{Target, TargetError, Written, check_space};
use crate::jobs::Fence;
use crate::store::StoreError;
use crate::store::batches::blocking;
use crate::store::user_data::UserDataFile;
use crate::words::chain;
use transcript::bson::Doc;
use transcript::output::Absence;

/// Parts of an upload that are under way at a time.
const PARTS_UNDER_WAY: usize = 2;
/// Parts that an upload can have
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>; Google Cloud Storage has the same number).
const MOST_PARTS: u32 = 10_000;
/// Bytes of a temporary file sent at a time.
const PIECE: usize = 256 << 10;
/// How long a store may take to say that it is there.
const SOON: Duration = Duration::from_secs(5);
/// What `doctor` writes and removes.
const PROBE: &str = ".export-room-probe";

/// The exports in a store.
pub struct RemoteExports {
    stores: Arc<RemoteStores>,
    kind: RemoteKind,
}

impl RemoteExports {
    /// The exports in the store of a kind, wherever that is now.
    pub fn new(stores: Arc<RemoteStores>, kind: RemoteKind) -> Self {
        Self { stores, kind }
    }

    /// The store as it is configured now.
    async fn remote(&self) -> Result<Arc<Remote>, StoreError> {
        self.stores.remote(self.kind).await?.ok_or_else(|| {
            StoreError::NotOurs(format!(
                "exports are to be stored in {}, and nothing says where that is; set {}",
                self.kind.name(),
                self.kind.key()
            ))
        })
    }

    async fn target(&self) -> Result<Arc<Remote>, TargetError> {
        self.remote().await.map_err(|error| TargetError::Io {
            path: PathBuf::from(self.kind.name()),
            source: io::Error::other(error),
        })
    }

    /// `store` of records.
    fn store(&self) -> String {
        format!("{}:UserDataFiles", self.kind.name())
    }
}

#[async_trait]
impl UserDataStore for RemoteExports {
    async fn create(
        &self,
        fence: &Fence,
        needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Box<dyn ExportWriter>, TargetError> {
        let remote = self.target().await?;
        let stored = Stored::of_claim(fence, true);
        let path = format!("{}{}", remote.place.exports(), stored.name());
        let shown = PathBuf::from(remote.shown(&path));
        if !is_id(&fence.id.0) {
            return Err(TargetError::Io {
                path: shown,
                source: io::ErrorKind::InvalidFilename.into(),
            });
        }
        let sink = match self.kind {
            RemoteKind::S3 | RemoteKind::GoogleCloud => {
                let writer = remote
                    .parts
                    .writer_with(&path)
                    .concurrent(PARTS_UNDER_WAY)
                    .content_type("application/zip")
                    .await
                    .map_err(|error| TargetError::Io {
                        path: shown.clone(),
                        source: io::Error::other(told(&error)),
                    })?;
                let bytes = self.stores.part_bytes();
                Sink::Parts(Parts {
                    writer: Some(writer),
                    runtime: Handle::current(),
                    part: Vec::with_capacity(bytes),
                    bytes,
                    sent: 0,
                })
            }
            RemoteKind::WebDav => {
                let made = blocking(move || {
                    let directory = std::env::temp_dir();
                    check_space(&directory, needed).map_err(|error| match error {
                        TargetError::NoSpace { needed, free, .. } => StoreError::NoSpace {
                            path: directory.clone(),
                            needed,
                            available: free,
                        },
                        other => StoreError::NotOurs(chain(&other)),
                    })?;
                    tempfile::tempfile_in(&directory).map_err(StoreError::io("write", directory))
                });
                Sink::Whole(made.await.map_err(|error| TargetError::Io {
                    path: std::env::temp_dir(),
                    source: match error {
                        StoreError::NoSpace { .. } => io::ErrorKind::StorageFull.into(),
                        other => io::Error::other(other),
                    },
                })?)
            }
        };
        let sink = Arc::new(Mutex::new(sink));
        let target = Target::stream(Box::new(Shared(Arc::clone(&sink))), progress);
        let (field, _) = self.kind.fields();
        Ok(Box::new(RemoteWriter {
            target,
            sink,
            place: Place {
                store: self.store(),
                extension: None,
                // Clients of WebDAV want it absolute.
                path: Some(match self.kind {
                    RemoteKind::WebDav => (field, format!("/{path}")),
                    _ => (field, path.clone()),
                }),
                at: Some(remote.place.describe()),
            },
            stores: Arc::clone(&self.stores),
            remote,
            path,
            shown,
            runtime: Handle::current(),
        }))
    }

    async fn open(&self, file: &UserDataFile, from: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        let record = Doc::new(&file.doc.0).unwrap_or(Doc::EMPTY);
        let key = BlobKey::read(&file.id, record);
        self.stores.open(self.kind, &key, from).await
    }

    async fn delete(&self, file: &UserDataFile) -> Result<(), BlobError> {
        let remote = self.remote().await?;
        let record = Doc::new(&file.doc.0).unwrap_or(Doc::EMPTY);
        let key = BlobKey::read(&file.id, record);
        let path = key_of(&key)?;
        // What Rocket.Chat stored is Rocket.Chat's to remove. The folder may have been another one.
        let ours = name_in_exports(path).and_then(Stored::of_name);
        if ours.is_none_or(|stored| !stored.whole || stored.job != file.id) {
            return Err(BlobError::missing(
                Absence::Gone,
                "its record does not name an export of ours",
            ));
        }
        let here = remote.place.describe();
        if let Some(at) = file.at.as_ref().filter(|at| **at != here)
            && !remote.is_there(path).await?
        {
            return Err(elsewhere(at, &here));
        }
        remote.remove(path).await?;
        Ok(())
    }

    async fn clean(&self, last: &Fence, keep: Option<u64>) -> Result<u64, BlobError> {
        let remote = self.remote().await?;
        let mut removed = 0;
        for stored in Stored::others(last, keep).filter(|stored| stored.whole) {
            let path = format!("{}{}", remote.place.exports(), stored.name());
            if !remote.is_there(&path).await? {
                continue;
            }
            match remote.remove(&path).await {
                Ok(()) => removed += 1,
                Err(error) => {
                    let (job, error) = (stored.job, chain(&error));
                    tracing::warn!(job, error, "a leftover cannot be removed");
                }
            }
        }
        Ok(removed)
    }

    async fn check(&self) -> Result<(), TargetError> {
        let remote = self.target().await?;
        let path = format!("{}{PROBE}", remote.place.exports());
        let failed = |error: &opendal::Error| TargetError::Io {
            path: PathBuf::from(remote.shown(&path)),
            source: io::Error::other(told(error)),
        };
        let operator = &remote.operator;
        operator
            .write(&path, "probe")
            .await
            .map_err(|error| failed(&error))?;
        let read = operator.read(&path).await.map_err(|error| failed(&error))?;
        operator
            .delete(&path)
            .await
            .map_err(|error| failed(&error))?;
        if read.to_vec() != b"probe" {
            return Err(TargetError::Io {
                path: PathBuf::from(remote.shown(&path)),
                source: io::Error::other("what is read is not what was written"),
            });
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(), TargetError> {
        let remote = self.target().await?;
        let path = format!("{}{PROBE}", remote.place.exports());
        let source = match tokio::time::timeout(SOON, remote.operator.stat(&path)).await {
            Ok(Err(error)) if error.kind() != ErrorKind::NotFound => io::Error::other(told(&error)),
            Ok(_) => return Ok(()),
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        Err(TargetError::Io {
            path: PathBuf::from(remote.place.describe()),
            source,
        })
    }

    fn directory(&self) -> Option<&Path> {
        None
    }

    fn describe(&self) -> String {
        self.kind.name().to_owned()
    }
}

/// An export on its way into a store.
struct RemoteWriter {
    target: Target,
    sink: Arc<Mutex<Sink>>,
    place: Place,
    stores: Arc<RemoteStores>,
    remote: Arc<Remote>,
    path: String,
    shown: PathBuf,
    runtime: Handle,
}

impl Write for RemoteWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.target.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

impl ExportWriter for RemoteWriter {
    fn commit(self: Box<Self>) -> Result<(Written, Place), TargetError> {
        let Self {
            target,
            sink,
            place,
            stores,
            remote,
            path,
            shown,
            runtime,
        } = *self;
        let written = target.commit()?;
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match &mut *sink {
            Sink::Parts(parts) => parts.finish(),
            Sink::Whole(file) => file.try_clone().and_then(|file| {
                runtime.block_on(send(&stores, &remote, &path, file, written.bytes))
            }),
        };
        sent.map_err(|source| TargetError::Io {
            path: shown,
            source,
        })?;
        Ok((written, place))
    }
}

/// Where the bytes of an export go.
enum Sink {
    /// To the store, in parts.
    Parts(Parts),
    /// To a temporary file.
    Whole(File),
}

/// One end of it, for the target that counts and hashes.
struct Shared(Arc<Mutex<Sink>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Parts(parts) => parts.write(bytes),
            Sink::Whole(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An upload in parts. Dropped before its end, it is taken back.
struct Parts {
    /// Taken when it has come to its end.
    writer: Option<Writer>,
    runtime: Handle,
    part: Vec<u8>,
    bytes: usize,
    sent: u32,
}

impl Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == self.bytes {
            self.send()?;
        }
        let count = bytes.len().min(self.bytes - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.part, Vec::with_capacity(self.bytes));
        if self.sent == MOST_PARTS {
            return Err(io::Error::other(
                "the export has too many parts; raise blobs.part_bytes",
            ));
        }
        self.sent += 1;
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let sent = self.runtime.block_on(writer.write(Bytes::from(full)));
        sent.map_err(|error| io::Error::other(told(&error)))
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.part.is_empty() {
            self.send()?;
        }
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let closed = self.runtime.block_on(writer.close());
        closed.map_err(|error| io::Error::other(told(&error)))?;
        self.writer = None;
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(mut writer) = self.writer.take()
            && self.sent > 0
        {
            self.runtime.spawn(async move {
                if let Err(error) = writer.abort().await {
                    let error = told(&error);
                    tracing::warn!(
                        error,
                        "parts of an export that was given up stay in the store"
                    );
                }
            });
        }
    }
}

/// Sends a whole file by WebDAV (RFC 4918 §9.7), again from its beginning when that fails.
async fn send(
    stores: &RemoteStores,
    remote: &Remote,
    path: &str,
    file: File,
    length: u64,
) -> io::Result<()> {
    let folder = remote.place.exports();
    let made = remote.operator.create_dir(folder).await;
    made.map_err(|error| io::Error::other(told(&error)))?;
    let file = Arc::new(file);
    let mut attempt = 1;
    loop {
        let failed = match remote.put(stores, path, Arc::clone(&file), length).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let Some(wait) = stores.wait_after(attempt).filter(|_| failed.again) else {
            return Err(failed.error);
        };
        remote.retried("write", attempt, wait, &failed.error.to_string());
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

/// Why a request failed, and whether it is worth another attempt.
struct PutError {
    error: io::Error,
    again: bool,
}

impl Remote {
    async fn put(
        &self,
        stores: &RemoteStores,
        path: &str,
        file: Arc<File>,
        length: u64,
    ) -> Result<(), PutError> {
        let sent = Arc::new(AtomicU64::new(0));
        let pieces = stream::try_unfold(0, {
            let sent = Arc::clone(&sent);
            move |at: u64| {
                let (file, sent) = (Arc::clone(&file), Arc::clone(&sent));
                async move {
                    sent.store(at, Ordering::Relaxed);
                    let left = usize::try_from(length - at).unwrap_or(PIECE);
                    if left == 0 {
                        return Ok(None);
                    }
                    let read = tokio::task::spawn_blocking(move || {
                        let mut piece = vec![0; left.min(PIECE)];
                        file.read_exact_at(&mut piece, at).map(|()| piece)
                    });
                    let piece = read.await.map_err(io::Error::other)??;
                    let next = at + piece.len() as u64;
                    Ok::<_, io::Error>(Some((Bytes::from(piece), next)))
                }
            }
        });
        let request = stores.put_request(self, path).map_err(|error| PutError {
            error: io::Error::other(error),
            again: false,
        })?;
        let request = request
            .header("Content-Length", length)
            .header("Content-Type", "application/zip")
            .body(reqwest::Body::wrap_stream(pieces));
        let answer = tokio::select! {
            answer = request.send() => answer,
            () = stuck(&sent, stores.patience()) => {
                return Err(PutError { error: io::ErrorKind::TimedOut.into(), again: true });
            }
        };
        let status = match answer {
            Ok(answer) => answer.status(),
            Err(error) => {
                return Err(PutError {
                    error: io::Error::other(chain(&error.without_url())),
                    again: true,
                });
            }
        };
        if status.is_success() {
            return Ok(());
        }
        Err(PutError {
            error: match status.as_u16() {
                507 => io::ErrorKind::StorageFull.into(),
                _ => io::Error::other(format!("the server answers {status}")),
            },
            again: status.is_server_error() || status == 423 || status == 429,
        })
    }
}

/// Ends when a number has not changed for so long.
async fn stuck(sent: &AtomicU64, patience: Duration) {
    let mut last = None;
    loop {
        let now = sent.load(Ordering::Relaxed);
        if last == Some(now) {
            return;
        }
        last = Some(now);
        tokio::time::sleep(patience).await;
    }
}
