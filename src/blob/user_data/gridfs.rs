//! Exports in the GridFS of the live database, in the bucket where Rocket.Chat looks for them: the file's id is that of
//! its record (contract §5.7).
//!
//! Two claims of one job write to the same id, so every document says which claim wrote it. A chunk that is there already
//! is replaced when an earlier claim wrote it; when a later one did, this claim is over. So a later claim has every chunk
//! that it has written for itself, whenever the worker of an earlier one wakes up: the unique index of the bucket decides.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use tokio::runtime::Handle;
use transcript::bson::Doc;
use transcript::output::Absence;

use super::names::{Stored, is_id};
use super::{ExportWriter, Place, UserDataStore};
use crate::blob::gridfs::GridFsFiles;
use crate::blob::{BlobError, BlobKey, BlobReader};
use crate::clock::Clock;
use crate::export::progress::Progress;
use crate::export::target::{Target, TargetError, Written};
use crate::jobs::Fence;
use crate::store::StoreError;
use crate::store::mongo::{self, MongoDatabase};
use crate::store::user_data::UserDataFile;
use crate::words::chain;

/// The bucket of `GridFS:UserDataFiles`.
const BUCKET: &str = "rocketchat_userDataFiles";
/// `store` of our records.
const STORE: &str = "GridFS:UserDataFiles";
/// Bytes of a chunk, as every driver has it: with its document a little less than 256 KiB.
const CHUNK: usize = 261_120;
/// Chunks that are sent together.
const TOGETHER: usize = 4;
/// The field of a file or a chunk that says which claim wrote it. What has none is Rocket.Chat's.
const EPOCH: &str = "exportRoom";
/// How often chunks are sent that a server which steps down or restarts did not take.
const ATTEMPTS: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long the server may take to say that it is there.
const SOON: Duration = Duration::from_secs(5);
/// What `doctor` writes and removes.
const PROBE: &str = ".export-room-probe";

/// The exports in a live database.
#[derive(Clone, Debug)]
pub struct GridFsExports {
    bucket: Bucket,
    /// Whether the indexes are known to be there.
    indexed: Arc<AtomicBool>,
}

/// The two collections.
#[derive(Clone, Debug)]
struct Bucket {
    database: MongoDatabase,
    files: Collection<Document>,
    chunks: Collection<Document>,
}

impl GridFsExports {
    /// The exports in a database that is connected.
    pub fn new(database: MongoDatabase) -> Self {
        let files = database.durable(&format!("{BUCKET}.files"));
        let chunks = database.durable(&format!("{BUCKET}.chunks"));
        Self {
            bucket: Bucket {
                database,
                files,
                chunks,
            },
            indexed: Arc::default(),
        }
    }

    /// Makes the bucket's indexes, as drivers do before they write the first file
    /// (<https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md>). That of the chunks is what
    /// keeps claims apart.
    async fn index(&self) -> Result<(), StoreError> {
        if self.indexed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let unique = IndexOptions::builder().unique(true).build();
        let of_chunks = IndexModel::builder()
            .keys(doc! {"files_id": 1, "n": 1})
            .options(unique)
            .build();
        let of_files = IndexModel::builder()
            .keys(doc! {"filename": 1, "uploadDate": 1})
            .build();
        let Bucket {
            database,
            files,
            chunks,
        } = &self.bucket;
        let (chunks, files) = (chunks.create_index(of_chunks), files.create_index(of_files));
        database.ask(BUCKET, async { chunks.await }).await?;
        database.ask(BUCKET, async { files.await }).await?;
        self.indexed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Bucket {
    /// Removes what some claims wrote for a job: `which` is a condition on the claim. Whether there was something.
    async fn remove(&self, job: &str, which: Bson) -> Result<bool, StoreError> {
        // The file first: who reads it then finds that it is gone, not that it has holes.
        let files = self.files.delete_many(doc! {"_id": job, EPOCH: &which});
        let chunks = self
            .chunks
            .delete_many(doc! {"files_id": job, EPOCH: &which});
        let files = self.database.ask(BUCKET, async { files.await }).await?;
        let chunks = self.database.ask(BUCKET, async { chunks.await }).await?;
        Ok(files.deleted_count + chunks.deleted_count > 0)
    }

    /// How many chunks the whole file of a claim has; `None` when there is none.
    async fn chunks_of(&self, job: &str, epoch: i64) -> Result<Option<i64>, StoreError> {
        let question = self.files.find_one(doc! {"_id": job, EPOCH: epoch});
        let file = self.database.ask(BUCKET, async { question.await }).await?;
        let chunk = i64::try_from(CHUNK).unwrap_or(i64::MAX);
        let length = file.and_then(|file| file.get_i64("length").ok());
        Ok(length.map(|length| (length + chunk - 1) / chunk))
    }

    /// Removes what other claims wrote behind the chunks of a whole file: those of the file itself took the place of
    /// every other, so that none of them need be looked at.
    async fn cut(&self, job: &str, chunks: i64, which: Document) -> Result<u64, BlobError> {
        let behind = doc! {"files_id": job, "n": {"$gte": chunks}, EPOCH: which};
        let removed = self.chunks.delete_many(behind);
        let removed = self.database.ask(BUCKET, async { removed.await }).await?;
        Ok((removed.deleted_count > 0).into())
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> TargetError {
    TargetError::Io {
        path: PathBuf::from(STORE),
        source: io::Error::other(error),
    }
}

#[async_trait]
impl UserDataStore for GridFsExports {
    async fn create(
        &self,
        fence: &Fence,
        _needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Box<dyn ExportWriter>, TargetError> {
        let refused = |source| TargetError::Io {
            path: PathBuf::from(STORE),
            source,
        };
        if !is_id(&fence.id.0) {
            return Err(refused(io::ErrorKind::InvalidFilename.into()));
        }
        self.index().await.map_err(failed)?;
        let upload = Upload {
            bucket: self.bucket.clone(),
            runtime: Handle::current(),
            job: fence.id.0.clone(),
            epoch: fence.epoch.cast_signed(),
            part: Vec::with_capacity(CHUNK),
            waiting: Vec::with_capacity(TOGETHER),
            next: 0,
            bytes: 0,
            whole: false,
        };
        let upload = Arc::new(Mutex::new(upload));
        Ok(Box::new(GridFsWriter {
            target: Target::stream(Box::new(Shared(Arc::clone(&upload))), progress),
            upload,
            place: Place {
                store: STORE.to_owned(),
                extension: Some(Stored::of_claim(fence, true).extension()),
                path: None,
                at: None,
            },
        }))
    }

    async fn open(&self, file: &UserDataFile, from: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        let record = Doc::new(&file.doc.0).unwrap_or(Doc::EMPTY);
        let key = BlobKey::read(&file.id, record);
        GridFsFiles::new(&self.bucket.database)
            .open_at(&key, from)
            .await
    }

    async fn delete(&self, file: &UserDataFile) -> Result<(), BlobError> {
        let extension = file.extension.as_deref().unwrap_or_default();
        // What Rocket.Chat stored is Rocket.Chat's to remove.
        let Some(stored) = Stored::of_extension(&file.id, extension) else {
            return Err(BlobError::missing(
                Absence::Gone,
                "its record does not name an export of ours",
            ));
        };
        let epoch = stored.epoch.cast_signed();
        self.bucket.remove(stored.job, epoch.into()).await?;
        Ok(())
    }

    async fn clean(&self, last: &Fence, keep: Option<u64>) -> Result<u64, BlobError> {
        let job = &*last.id.0;
        if !is_id(job) {
            return Ok(0);
        }
        let mut which = doc! {"$exists": true};
        if let Some(keep) = keep {
            let keep = keep.cast_signed();
            which.insert("$ne", keep);
            if let Some(chunks) = self.bucket.chunks_of(job, keep).await? {
                return self.bucket.cut(job, chunks, which).await;
            }
        }
        Ok(self.bucket.remove(job, which.into()).await?.into())
    }

    async fn check(&self) -> Result<(), TargetError> {
        self.index().await.map_err(failed)?;
        let Bucket {
            database,
            files,
            chunks,
        } = &self.bucket;
        for (collection, key) in [(chunks, "files_id"), (files, "_id")] {
            let probe = doc! {key: PROBE, "n": 0, EPOCH: 0_i64};
            // One that was left behind is as good.
            let question = collection.insert_one(probe);
            let written = database.ask_unless_taken(BUCKET, async { question.await });
            written.await.map_err(failed)?;
            let question = collection.update_one(doc! {key: PROBE}, doc! {"$set": {EPOCH: 1_i64}});
            let changed = database.ask(BUCKET, async { question.await }).await;
            changed.map_err(failed)?;
            let question = collection.delete_one(doc! {key: PROBE});
            let removed = database.ask(BUCKET, async { question.await }).await;
            if removed.map_err(failed)?.deleted_count == 0 {
                return Err(TargetError::Io {
                    path: PathBuf::from(STORE),
                    source: io::Error::other("what was written is not there"),
                });
            }
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(), TargetError> {
        let question = self.bucket.files.find_one(doc! {"_id": PROBE});
        let asked = self.bucket.database.ask(BUCKET, async { question.await });
        match tokio::time::timeout(SOON, asked).await {
            Ok(answer) => answer.map(drop).map_err(failed),
            Err(_) => Err(TargetError::Io {
                path: PathBuf::from(STORE),
                source: io::ErrorKind::TimedOut.into(),
            }),
        }
    }

    fn directory(&self) -> Option<&Path> {
        None
    }

    fn describe(&self) -> String {
        STORE.to_owned()
    }
}

/// An export on its way into the database.
struct GridFsWriter {
    target: Target,
    upload: Arc<Mutex<Upload>>,
    place: Place,
}

impl Write for GridFsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.target.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

impl ExportWriter for GridFsWriter {
    fn commit(self: Box<Self>) -> Result<(Written, Place), TargetError> {
        let Self {
            target,
            upload,
            place,
        } = *self;
        let written = target.commit()?;
        let mut upload = upload.lock().unwrap_or_else(PoisonError::into_inner);
        upload.finish().map_err(|source| TargetError::Io {
            path: PathBuf::from(STORE),
            source,
        })?;
        Ok((written, place))
    }
}

/// One end of it, for the target that counts and hashes.
struct Shared(Arc<Mutex<Upload>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut upload = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        upload.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The chunks of a file. Dropped before it is whole, it removes those that it has written.
struct Upload {
    bucket: Bucket,
    runtime: Handle,
    job: String,
    epoch: i64,
    /// The chunk that is being filled.
    part: Vec<u8>,
    /// Chunks that are full and not sent.
    waiting: Vec<Document>,
    next: i32,
    bytes: i64,
    whole: bool,
}

impl Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() == CHUNK {
            self.cut()?;
        }
        let count = bytes.len().min(CHUNK - self.part.len());
        self.part.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Ends the chunk.
    fn cut(&mut self) -> io::Result<()> {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(CHUNK));
        self.bytes += i64::try_from(part.len()).map_err(io::Error::other)?;
        let data = Binary {
            subtype: BinarySubtype::Generic,
            bytes: part,
        };
        self.waiting.push(doc! {
            "files_id": &self.job, "n": self.next, "data": data, EPOCH: self.epoch,
        });
        self.next = self
            .next
            .checked_add(1)
            .ok_or_else(|| io::Error::other("the export has more chunks than GridFS can number"))?;
        if self.waiting.len() == TOGETHER {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        let chunks = std::mem::replace(&mut self.waiting, Vec::with_capacity(TOGETHER));
        if chunks.is_empty() {
            return Ok(());
        }
        let runtime = self.runtime.clone();
        runtime.block_on(self.persist(async |bucket: &Bucket, again| {
            // What an attempt before this one has written is not written twice.
            if !again && bucket.chunks.insert_many(&chunks).await.is_ok() {
                return Ok(());
            }
            for chunk in &chunks {
                let filter = doc! {
                    "files_id": chunk.get("files_id"), "n": chunk.get("n"), EPOCH: {"$lte": chunk.get(EPOCH)},
                };
                let replaced = bucket.chunks.replace_one(filter, chunk).upsert(true);
                replaced.await?;
            }
            Ok(())
        }))
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.part.is_empty() {
            self.cut()?;
        }
        self.send()?;
        let file = doc! {
            "length": self.bytes, "chunkSize": i32::try_from(CHUNK).unwrap_or(i32::MAX),
            "uploadDate": DateTime::from_millis(Clock::System.now()), "filename": &self.job,
            "contentType": "application/zip", EPOCH: self.epoch,
        };
        let filter = doc! {"_id": &self.job, EPOCH: {"$lte": self.epoch}};
        let runtime = self.runtime.clone();
        runtime.block_on(self.persist(async |bucket: &Bucket, _| {
            let replaced = bucket.files.replace_one(filter.clone(), &file).upsert(true);
            replaced.await.map(drop)
        }))?;
        self.whole = true;
        Ok(())
    }

    /// Writes until the server has taken it, or will not.
    async fn persist(
        &self,
        write: impl AsyncFn(&Bucket, bool) -> Result<(), mongodb::error::Error>,
    ) -> io::Result<()> {
        let database = &self.bucket.database;
        let mut attempt = 1;
        loop {
            let outcome =
                tokio::time::timeout(database.patience(), write(&self.bucket, attempt > 1)).await;
            let (error, passing) = match outcome {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if mongo::code_of(&error) == Some(mongo::code::DUPLICATE_KEY) => {
                    return Err(io::Error::other("another worker has taken the job over"));
                }
                Ok(Err(error))
                    if mongo::code_of(&error) == Some(mongo::code::OUT_OF_DISK_SPACE) =>
                {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Ok(Err(error)) => (database.failed(BUCKET, &error), mongo::is_passing(&error)),
                Err(_) => (database.silent(BUCKET), true),
            };
            if !passing || attempt == ATTEMPTS {
                return Err(io::Error::other(error));
            }
            let told = chain(&error);
            crate::telemetry::store_retried("GridFS", "write");
            tracing::warn!(
                job = self.job,
                attempt,
                error = told,
                "a part of an export is written again"
            );
            let wait = FIRST_WAIT.saturating_mul(1 << attempt.min(16));
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            attempt += 1;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        let (bucket, job, epoch) = (self.bucket.clone(), self.job.clone(), self.epoch);
        self.runtime.spawn(async move {
            if let Err(error) = bucket.remove(&job, epoch.into()).await {
                // The sweeper will.
                let error = chain(&error);
                tracing::warn!(job, error, "chunks of an export that was given up stay");
            }
        });
    }
}
