//! Contract of the places that exports are stored in, the user-data store (contract §5.7, §6.7).
//!
//! The name of a stored export carries the claim that made it, so that a worker which slept through its lease can never
//! write over the file of the one that took over: only the record, which is written under the newest claim, says which
//! name counts.

pub mod choice;
pub mod filesystem;
pub mod gridfs;
mod names;
pub mod remote;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::{BlobError, BlobReader};
use crate::export::progress::Progress;
use crate::export::target::{TargetError, Written};
use crate::jobs::Fence;
use crate::store::StoreError;
use crate::store::user_data::UserDataFile;

/// Where a stored export is, for its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `store`, for example `FileSystem:UserDataFiles`.
    pub store: String,
    /// `extension`: in FileSystem stores the file is `<_id>.<extension>`. `zip` for the first claim, `<epoch>.zip` for a
    /// later one.
    pub extension: Option<String>,
    /// Field of the record and path, in stores that have one: `AmazonS3.path` (contract §6.7).
    pub path: Option<(&'static str, String)>,
    /// Which of the places of its kind it is in, in words: the directory, the bucket. The workspace's own has none.
    pub at: Option<String>,
}

/// The refusal to remove an export that is not in a place because it was stored in another one.
fn elsewhere(stored_at: &str, here: &str) -> BlobError {
    StoreError::NotOurs(format!(
        "it is not in {here} but in {stored_at}: name that place again, or remove it there"
    ))
    .into()
}

/// A place that exports are stored in.
#[async_trait]
pub trait UserDataStore: Send + Sync {
    /// Starts writing the export of a claim; about `needed` bytes are expected.
    async fn create(
        &self,
        fence: &Fence,
        needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Box<dyn ExportWriter>, TargetError>;

    /// Starts reading a stored export at a byte. [`BlobError::Missing`] when it is not there.
    async fn open(&self, file: &UserDataFile, from: u64) -> Result<Box<dyn BlobReader>, BlobError>;

    /// Removes a stored export, if it is there. One that is in another place of the same kind, because somebody configured
    /// this one since, is an error and no export that is gone.
    async fn delete(&self, file: &UserDataFile) -> Result<(), BlobError>;

    /// Removes what the claims of a job up to the last one left, but for the file of the claim `keep`: what dead or late
    /// workers wrote. How many files were removed; one that cannot be removed is logged and stays. Names are made of job
    /// and claim, so that nothing is listed.
    async fn clean(&self, last: &Fence, keep: Option<u64>) -> Result<u64, BlobError>;

    /// Proves that the place can be used, by writing, changing and removing something small; for `doctor`.
    async fn check(&self) -> Result<(), TargetError>;

    /// Whether the place is there, soon and without cost; for those who ask all the time.
    async fn ready(&self) -> Result<(), TargetError>;

    /// The directory when it is one of this machine.
    fn directory(&self) -> Option<&Path>;

    /// The place in words: `/tmp`.
    fn describe(&self) -> String;
}

/// An export that is being stored. Dropped before [`ExportWriter::commit`], it leaves nothing behind.
pub trait ExportWriter: Write + Send {
    /// Makes it durable under its name. Blocks.
    fn commit(self: Box<Self>) -> Result<(Written, Place), TargetError>;
}
