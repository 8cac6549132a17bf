//! Contract of the records in `rocketchat_user_data_files`: which exports exist, and where their bytes are.

use async_trait::async_trait;

use super::directory::UserId;
use super::{RawDoc, StoreError};

/// A record of an export's file (contract §6.7, with `rid`, `createdAt` and `exportRoom` of ours).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDataFile {
    /// `_id`; for ours the id of the job.
    pub id: String,
    /// `userId`: the only one who may download it.
    pub owner: UserId,
    /// `name`, percent-encoded once, as Rocket.Chat keeps it.
    pub name: String,
    /// `size` in bytes.
    pub size: u64,
    /// `store`, for example `FileSystem:UserDataFiles`.
    pub store: String,
    /// `extension`; the file's suffix in FileSystem stores.
    pub extension: Option<String>,
    /// `type`.
    pub content_type: String,
    /// `uploadedAt`, milliseconds since 1970.
    pub uploaded_at: Option<i64>,
    /// `exportRoom.sha256`: of the whole ZIP, hexadecimal.
    pub sha256: Option<String>,
    /// Whether all of its bytes are there (`complete`).
    pub complete: bool,
    /// The whole document, as it is or will be stored.
    pub doc: RawDoc,
}

/// Knows the records of exports' files. Records are written by [`crate::jobs::JobQueue::settle`], together with the end
/// of their job.
#[async_trait]
pub trait UserDataFiles: Send + Sync {
    /// The record with this `_id`, of whoever wrote it.
    async fn file(&self, id: &str) -> Result<Option<UserDataFile>, StoreError>;

    /// Takes a record away, if it is there.
    async fn remove(&self, id: &str) -> Result<(), StoreError>;

    /// At most `limit` records of exports of ours (they have `exportRoom`) with `createdAt` before an instant.
    async fn created_before(
        &self,
        instant: i64,
        limit: usize,
    ) -> Result<Vec<UserDataFile>, StoreError>;
}
