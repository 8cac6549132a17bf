//! Contract of the places that file contents come from, chosen by the `store` of an upload's record (contract §5.7).

pub mod filesystem;
pub mod user_data;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::filesystem::FileSystem;
use crate::store::StoreError;

/// What is needed to find a file's bytes: the parts of an upload's record that say where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobKey {
    /// `_id` of the upload.
    pub id: String,
    /// `store`, for example `GridFS:Uploads` or `FileSystem:Uploads`.
    pub store: String,
    /// `extension`; the file's suffix in FileSystem stores.
    pub extension: Option<String>,
}

/// The `store` of a custom emoji's image, whose record names none (contract §5.9): the GridFS bucket `custom_emoji`, in
/// which its id is that of [`BlobKey::of_custom_emoji`].
pub const CUSTOM_EMOJI: &str = "GridFS:CustomEmoji";

impl BlobKey {
    /// Where the image of a custom emoji is: its id is `<name>.<extension>`, percent-encoded as JavaScript's
    /// `encodeURIComponent` does (ECMA-262 §19.2.6.4).
    pub fn of_custom_emoji(name: &str, extension: &str) -> Self {
        use std::fmt::Write;
        let mut id = String::with_capacity(name.len() + extension.len() + 1);
        for &byte in [name, ".", extension].concat().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                id.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(id, "%{byte:02X}");
            }
        }
        Self {
            id,
            store: CUSTOM_EMOJI.to_owned(),
            extension: None,
        }
    }
}

/// A place with file contents.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Starts reading a file. [`BlobError::Missing`] when nothing of it is there.
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError>;
}

/// A running read of one file.
#[async_trait]
pub trait BlobReader: Send {
    /// How many bytes the place says the file has, when it knows before reading them.
    fn length(&self) -> Option<u64>;

    /// The next bytes in order, at most about a megabyte, never empty; `None` at the end.
    /// [`BlobError::Missing`] when a part is gone.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, BlobError>;
}

/// Why file contents could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file, or a part of it, is not there: it is reported and the export goes on. The text is the reason as the
    /// report shows it: `chunks missing`, `chunk 1 of 3 missing`.
    #[error("{0}")]
    Missing(String),
    /// The place itself failed: the export stops.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What kind of place a record's `store` names (contract §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind<'a> {
    /// Chunks in the workspace's database.
    GridFs,
    /// A directory of the server.
    FileSystem,
    /// The record does not say.
    Unsaid,
    /// A place that is not read.
    Other(&'a str),
}

impl<'a> StoreKind<'a> {
    /// The kind of `store`, which is `<kind>:<model>`, or a name that old versions wrote.
    pub fn of(store: &'a str) -> Self {
        match store.split(':').next().unwrap_or_default() {
            "GridFS" | "rocketchat_uploads" | "rocketchat_avatars" | "rocketchat_userDataFiles" => {
                Self::GridFs
            }
            "FileSystem" | "fileSystem" => Self::FileSystem,
            "" => Self::Unsaid,
            other => Self::Other(other),
        }
    }
}

/// Asks the place that a record's `store` names.
pub struct Blobs {
    grid_fs: Arc<dyn BlobStore>,
    file_system: Option<FileSystem>,
}

impl Blobs {
    /// `grid_fs` is the workspace itself, `file_system` the directory of its FileSystem stores when the operator named
    /// one.
    pub fn new(grid_fs: Arc<dyn BlobStore>, file_system: Option<FileSystem>) -> Self {
        Self {
            grid_fs,
            file_system,
        }
    }
}

#[async_trait]
impl BlobStore for Blobs {
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError> {
        match StoreKind::of(&key.store) {
            StoreKind::FileSystem => match &self.file_system {
                Some(file_system) => file_system.open(key).await,
                None => Err(BlobError::Missing(
                    "stored in a FileSystem store; name its directory with --files DIR".to_owned(),
                )),
            },
            StoreKind::GridFs => self.grid_fs.open(key).await,
            StoreKind::Unsaid => Err(BlobError::Missing(
                "its record does not say where it is stored".to_owned(),
            )),
            StoreKind::Other(other) => Err(BlobError::Missing(format!(
                "stored in {other}, which a backup does not contain"
            ))),
        }
    }
}
