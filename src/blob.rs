//! Contract of the places that file contents come from, chosen by the `store` of an upload's record (contract §5.7).

pub mod filesystem;
pub mod gridfs;
pub mod remote;
pub mod user_data;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use transcript::bson::{Doc, Value};
use transcript::output::{Absence, Missing};

use self::filesystem::FileSystem;
use self::remote::RemoteStores;
use crate::store::StoreError;

/// What is needed to find a file's bytes: the parts of an upload's record that say where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobKey {
    /// `_id` of the upload.
    pub id: String,
    /// `store`, for example `GridFS:Uploads` or `FileSystem:Uploads`.
    pub store: String,
    /// `extension`; the file's suffix in FileSystem stores.
    pub extension: Option<String>,
    /// The path that the record has for its store: `AmazonS3.path`, `GoogleStorage.path`, `Webdav.path`.
    pub path: Option<String>,
}

impl BlobKey {
    /// Reads the record of a file, in each of the forms that versions of Rocket.Chat wrote (contract §5.7).
    pub fn read(id: &str, record: Doc<'_>) -> Self {
        let text = |value: Option<Value<'_>>| {
            let text = value.and_then(Value::text)?;
            Some(text.to_str().into_owned()).filter(|text| !text.is_empty())
        };
        let field = |name: &str| text(record.get(name));
        // A record without a store may say it in the path that browsers ask for.
        let of_link = |name: &str| {
            let link = field(name)?;
            let (_, rest) = link.split_once("/ufs/")?;
            Some(rest.split_once('/')?.0.to_owned())
        };
        let store = field("store")
            .or_else(|| of_link("path"))
            .or_else(|| of_link("url"))
            .unwrap_or_default();
        let path = match StoreKind::of(&store) {
            StoreKind::Remote(kind) => {
                let (now, before) = kind.fields();
                let path = text(record.at(&[now, "path"]));
                // The oldest form has the path without the id.
                let begins = before.and_then(|before| text(record.at(&[before, "path"])));
                path.or_else(|| begins.map(|path| format!("{path}{id}")))
            }
            _ => None,
        };
        Self {
            id: id.to_owned(),
            extension: field("extension"),
            store,
            path,
        }
    }
}

/// The `store` of a custom emoji's image, whose record names none (contract §5.9), in GridFS: the bucket `custom_emoji`, in
/// which its id is that of [`BlobKey::of_custom_emoji`].
pub const CUSTOM_EMOJI: &str = "GridFS:CustomEmoji";
/// The same in the directory of a FileSystem store, where the id is the name of the file.
pub const CUSTOM_EMOJI_FILES: &str = "FileSystem:CustomEmoji";

impl BlobKey {
    /// Where the image of a custom emoji may be, in one of the two places: its id is `<name>.<extension>`,
    /// percent-encoded as JavaScript's `encodeURIComponent` does (ECMA-262 §19.2.6.4).
    pub fn of_custom_emoji(store: &str, name: &str, extension: &str) -> Self {
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
            store: store.to_owned(),
            extension: None,
            path: None,
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
    /// The file, or a part of it, is not there: it is reported and the export goes on.
    #[error("{}", .0.reason)]
    Missing(Missing),
    /// The place itself failed: the export stops.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BlobError {
    /// What is missing, in words for readers and for reports.
    pub fn missing(absence: Absence, reason: impl Into<String>) -> Self {
        Self::Missing(Missing::new(absence, reason))
    }

    /// Some of its bytes are not there.
    pub(crate) fn short(there: u64, length: u64) -> Self {
        Self::missing(
            Absence::Incomplete,
            format!("{there} of {length} bytes there"),
        )
    }
}

/// A kind of store that is reached over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemoteKind {
    /// Amazon S3, and whatever speaks like it.
    S3,
    /// Google Cloud Storage.
    GoogleCloud,
    /// WebDAV.
    WebDav,
}

impl RemoteKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S3, Self::GoogleCloud, Self::WebDav];

    /// What Rocket.Chat calls it, in `store` and in `FileUpload_Storage_Type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "AmazonS3",
            Self::GoogleCloud => "GoogleCloudStorage",
            Self::WebDav => "Webdav",
        }
    }

    /// The key of our configuration that says where it is.
    pub fn key(self) -> &'static str {
        match self {
            Self::S3 => "s3.bucket",
            Self::GoogleCloud => "gcs.bucket",
            Self::WebDav => "webdav.url",
        }
    }

    /// The field of a record that has the path, and the one that very old records have (contract §5.7).
    pub fn fields(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::S3 => ("AmazonS3", Some("s3")),
            Self::GoogleCloud => ("GoogleStorage", Some("googleCloudStorage")),
            Self::WebDav => ("Webdav", None),
        }
    }
}

/// What kind of place a record's `store` names (contract §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind<'a> {
    /// Chunks in the workspace's database.
    GridFs,
    /// A directory of the server.
    FileSystem,
    /// A server of its own.
    Remote(RemoteKind),
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
            "AmazonS3" | "s3" => Self::Remote(RemoteKind::S3),
            "GoogleCloudStorage" | "googleCloudStorage" => Self::Remote(RemoteKind::GoogleCloud),
            "Webdav" => Self::Remote(RemoteKind::WebDav),
            "" => Self::Unsaid,
            other => Self::Other(other),
        }
    }
}

/// Asks the place that a record's `store` names.
pub struct Blobs {
    grid_fs: Arc<dyn BlobStore>,
    file_system: Option<FileSystem>,
    remote: Option<Arc<RemoteStores>>,
}

impl Blobs {
    /// `grid_fs` is the workspace itself, `file_system` the directory of its FileSystem stores when the operator named
    /// one, `remote` the places that are reached over the network, unless nobody is to be.
    pub fn new(
        grid_fs: Arc<dyn BlobStore>,
        file_system: Option<FileSystem>,
        remote: Option<Arc<RemoteStores>>,
    ) -> Self {
        Self {
            grid_fs,
            file_system,
            remote,
        }
    }
}

#[async_trait]
impl BlobStore for Blobs {
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError> {
        match StoreKind::of(&key.store) {
            StoreKind::FileSystem => match &self.file_system {
                Some(file_system) => file_system.open(key).await,
                None => Err(BlobError::missing(
                    Absence::Unread,
                    "stored in a FileSystem store; name its directory with --files DIR",
                )),
            },
            StoreKind::GridFs => self.grid_fs.open(key).await,
            StoreKind::Remote(kind) => match &self.remote {
                Some(remote) => remote.open(kind, key, 0).await,
                None => Err(BlobError::missing(
                    Absence::Unread,
                    format!("stored in {}, which was not to be contacted", kind.name()),
                )),
            },
            StoreKind::Unsaid => Err(BlobError::missing(
                Absence::Unread,
                "its record does not say where it is stored",
            )),
            StoreKind::Other(other) => Err(BlobError::missing(
                Absence::Unread,
                format!("stored in {other}, which is not known"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn every_form_of_record_says_where_its_bytes_are() {
        let cases: [(Document, &str, Option<&str>); 11] = [
            (
                doc! {"store": "AmazonS3:Uploads", "AmazonS3": {"path": "U/uploads/r/u/i"}},
                "AmazonS3:Uploads",
                Some("U/uploads/r/u/i"),
            ),
            (
                doc! {"store": "AmazonS3:Uploads", "s3": {"path": "old/"}},
                "AmazonS3:Uploads",
                Some("old/i"),
            ),
            (
                doc! {"store": "s3", "s3": {"path": "old/"}},
                "s3",
                Some("old/i"),
            ),
            (doc! {"store": "AmazonS3:Uploads"}, "AmazonS3:Uploads", None),
            (
                doc! {"store": "GoogleCloudStorage:Uploads", "GoogleStorage": {"path": "g"}},
                "GoogleCloudStorage:Uploads",
                Some("g"),
            ),
            (
                doc! {"store": "googleCloudStorage", "googleCloudStorage": {"path": "g/"}},
                "googleCloudStorage",
                Some("g/i"),
            ),
            (
                doc! {"store": "Webdav:Uploads", "Webdav": {"path": "/f/i"}, "s3": {"path": "other/"}},
                "Webdav:Uploads",
                Some("/f/i"),
            ),
            (
                doc! {"store": "GridFS:Uploads", "AmazonS3": {"path": "moved"}},
                "GridFS:Uploads",
                None,
            ),
            (
                doc! {"path": "/sub/ufs/AmazonS3:Uploads/i/a.png", "AmazonS3": {"path": "k"}},
                "AmazonS3:Uploads",
                Some("k"),
            ),
            (
                doc! {"url": "https://x.test/ufs/GridFS:Uploads/i/a.png"},
                "GridFS:Uploads",
                None,
            ),
            (
                doc! {"url": "https://x.test/file/i", "AmazonS3": {"path": 7}},
                "",
                None,
            ),
        ];
        for (record, store, path) in cases {
            let bytes = record.to_vec().unwrap();
            let key = BlobKey::read("i", Doc::new(&bytes).unwrap());
            assert_eq!(
                (&*key.store, key.path.as_deref()),
                (store, path),
                "{record}"
            );
        }
    }
}
