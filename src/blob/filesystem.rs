//! Files in a directory, as Rocket.Chat's FileSystem stores keep them: `<_id>.<extension>`, or `<_id>` when the record
//! has no extension (contract §5.7).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use transcript::output::{Absence, Missing};

use super::{BlobError, BlobKey, BlobReader, BlobStore};
use crate::store::StoreError;
use crate::store::batches::blocking;

/// Bytes handed out at once.
const PIECE: usize = 256 << 10;

/// The directory of a FileSystem store.
#[derive(Clone, Debug)]
pub struct FileSystem(Arc<Directory>);

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Held open: files are looked up in this very directory, whatever happens to its path.
    handle: OwnedFd,
}

impl FileSystem {
    /// Opens the directory, so that a wrong one is noticed before anything is exported.
    pub fn new(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| StoreError::io("open", path)(error.into()))?;
        Ok(Self(Arc::new(Directory {
            path: path.to_owned(),
            handle,
        })))
    }

    /// Starts reading the first of the names that is there, at a byte.
    pub(super) async fn open_first(
        &self,
        names: Vec<String>,
        from: u64,
    ) -> Result<Box<dyn BlobReader>, BlobError> {
        let directory = Arc::clone(&self.0);
        let found = blocking(move || {
            let found = directory.find(&names)?;
            if let Ok((file, _, path)) = &found {
                (&*file)
                    .seek(SeekFrom::Start(from))
                    .map_err(StoreError::io("read", path))?;
            }
            Ok(found)
        });
        let (file, length, path) = found.await?.map_err(BlobError::Missing)?;
        Ok(Box::new(FileReader {
            file: Some(file),
            path,
            length,
            given: from,
        }))
    }

    /// The directory, open.
    pub(super) fn handle(&self) -> &OwnedFd {
        &self.0.handle
    }

    /// The directory's path.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }
}

#[async_trait]
impl BlobStore for FileSystem {
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError> {
        let names = names(key).map_err(BlobError::Missing)?;
        self.open_first(names, 0).await
    }
}

/// The names that the file may have, the documented one first, when it can have any.
fn names(key: &BlobKey) -> Result<Vec<String>, Missing> {
    let is_name = |name: &str| {
        !name.is_empty() && name != "." && !name.contains(['/', '\\', '\0']) && !name.contains("..")
    };
    if !is_name(&key.id) {
        return Err(Missing::new(Absence::Gone, "its _id cannot be a file name"));
    }
    let mut names = vec![key.id.clone()];
    match &key.extension {
        Some(extension) if extension.is_empty() => {}
        Some(extension) if is_name(extension) => names.insert(0, format!("{}.{extension}", key.id)),
        Some(_) => {
            return Err(Missing::new(
                Absence::Gone,
                "its extension cannot be part of a file name",
            ));
        }
        None => {}
    }
    Ok(names)
}

impl Directory {
    /// Opens the first of the names that is there.
    fn find(&self, names: &[String]) -> Result<Result<(File, u64, PathBuf), Missing>, StoreError> {
        let unread = |reason| Ok(Err(Missing::new(Absence::Unread, reason)));
        for name in names {
            // Links are not followed: they may lead out of the directory. A pipe must not block the export.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let handle = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
                Ok(handle) => handle,
                Err(Errno::NOENT) => continue,
                Err(Errno::LOOP) => {
                    return unread(format!("{name} is a symbolic link, which is not followed"));
                }
                Err(Errno::ACCESS) => return unread(format!("{name} may not be read")),
                Err(Errno::NAMETOOLONG) => {
                    return Ok(Err(Missing::new(
                        Absence::Gone,
                        "its _id is too long for a file name",
                    )));
                }
                Err(error) => {
                    return Err(StoreError::io("open", self.path.join(name))(error.into()));
                }
            };
            let file = File::from(handle);
            let path = self.path.join(name);
            let kind = file.metadata().map_err(StoreError::io("read", &path))?;
            if !kind.is_file() {
                return unread(format!("{name} is not a regular file"));
            }
            return Ok(Ok((file, kind.len(), path)));
        }
        // Readers of an export need not know the server's directories.
        Ok(Err(Missing::new(
            Absence::Gone,
            format!(
                "{} is not in the directory of files",
                names.first().map_or("", String::as_str)
            ),
        )))
    }
}

struct FileReader {
    /// Taken by the read that is running.
    file: Option<File>,
    path: PathBuf,
    length: u64,
    given: u64,
}

#[async_trait]
impl BlobReader for FileReader {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, BlobError> {
        let left = self.length.saturating_sub(self.given);
        let Some(mut file) = self.file.take().filter(|_| left > 0) else {
            return Ok(None);
        };
        let path = self.path.clone();
        let size = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let (file, bytes) = blocking(move || {
            let mut bytes = vec![0; size];
            let count = loop {
                match file.read(&mut bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other.map_err(StoreError::io("read", path))?,
                }
            };
            bytes.truncate(count);
            Ok((file, bytes))
        })
        .await?;
        if bytes.is_empty() {
            return Err(BlobError::short(self.given, self.length));
        }
        self.file = Some(file);
        self.given += bytes.len() as u64;
        Ok(Some(Bytes::from(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, extension: Option<&str>) -> BlobKey {
        BlobKey {
            id: id.to_owned(),
            store: "FileSystem:Uploads".to_owned(),
            extension: extension.map(str::to_owned),
            path: None,
        }
    }

    async fn read(directory: &Path, key: &BlobKey) -> Result<Vec<u8>, String> {
        let store = FileSystem::new(directory).unwrap();
        let mut reader = store.open(key).await.map_err(|error| error.to_string())?;
        let length = reader.length().unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = reader
            .next_chunk()
            .await
            .map_err(|error| error.to_string())?
        {
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            bytes.extend_from_slice(&piece);
        }
        assert_eq!(length, bytes.len() as u64);
        Ok(bytes)
    }

    #[tokio::test]
    async fn files_are_found_with_and_without_extension() {
        let directory = tempfile::tempdir().unwrap();
        let large: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        for (name, bytes) in [
            ("a.png", &b"png"[..]),
            ("a", b"bare"),
            ("b", &large),
            ("empty", b""),
        ] {
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        for (key, expected) in [
            (key("a", Some("png")), &b"png"[..]),
            (key("a", Some("")), b"bare"),
            (key("a", None), b"bare"),
            (key("b", Some("bin")), &large),
            (key("empty", None), b""),
        ] {
            assert_eq!(
                read(directory.path(), &key).await.unwrap(),
                expected,
                "{key:?}"
            );
        }
    }

    #[tokio::test]
    async fn nothing_outside_the_directory_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let directory = outer.path().join("files");
        std::fs::create_dir_all(directory.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), b"secret").unwrap();
        std::os::unix::fs::symlink("../secret", directory.join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        for (key, reason) in [
            (key("../secret", None), "cannot be a file name"),
            (key("..", None), "cannot be a file name"),
            (key("", None), "cannot be a file name"),
            (key("sub/x", None), "cannot be a file name"),
            (key("a\0b", None), "cannot be a file name"),
            (key("..\\secret", None), "cannot be a file name"),
            (key("link", None), "is a symbolic link"),
            (key("sub", None), "is not a regular file"),
            (key("pipe", None), "is not a regular file"),
            (
                key("x", Some("/../../secret")),
                "cannot be part of a file name",
            ),
            (
                key("nothing", Some("txt")),
                "nothing.txt is not in the directory of files",
            ),
            (key(&"x".repeat(300), None), "too long"),
        ] {
            let error = read(&directory, &key).await.unwrap_err();
            assert!(error.contains(reason), "{key:?}: {error}");
        }
    }

    #[test]
    fn a_directory_that_is_none_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), b"").unwrap();
        assert!(FileSystem::new(&directory.path().join("file")).is_err());
        assert!(FileSystem::new(&directory.path().join("none")).is_err());
    }
}
