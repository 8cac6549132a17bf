//! Exports in a directory, where Rocket.Chat's FileSystem store looks for them: `<_id>.<extension>` (contract §5.7).
//!
//! The directory may be `/tmp`, which others write to: only names of exactly our forms are ours, files are made new and
//! read by nobody else, unless the directory's group is to, and links are not followed.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use transcript::output::Absence;

use super::names::{Stored, is_id};
use super::{ExportWriter, Place, UserDataStore, elsewhere};
use crate::blob::filesystem::FileSystem;
use crate::blob::{BlobError, BlobReader};
use crate::export::progress::Progress;
use crate::export::target::{Rights, Target, TargetError, Written, check_space};
use crate::jobs::Fence;
use crate::store::StoreError;
use crate::store::batches::blocking;
use crate::store::user_data::UserDataFile;
use crate::words::chain;

/// `store` of our records.
const STORE: &str = "FileSystem:UserDataFiles";

/// A directory with exports. Whoever reads, writes or removes opens it anew: all of them mean what has its path now,
/// also when the directory was replaced or something else was mounted there.
#[derive(Clone, Debug)]
pub struct UserDataDirectory {
    path: PathBuf,
    rights: Rights,
}

impl UserDataDirectory {
    /// Opens the directory; makes it, for those who may read what is in it, when it is not there. One that is there is used
    /// as it is. Blocks.
    pub fn new(path: &Path, rights: Rights) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(match rights {
                Rights::Owner => 0o700,
                Rights::Group => 0o750,
            })
            .create(path)
            .map_err(StoreError::io("create", path))?;
        let directory = Self {
            path: path.to_owned(),
            rights,
        };
        directory.opened()?;
        Ok(directory)
    }

    /// The directory as it is now. Blocks.
    fn opened(&self) -> Result<FileSystem, StoreError> {
        FileSystem::new(&self.path)
    }
}

/// The file that a record names.
fn stored(file: &UserDataFile) -> Option<Stored<'_>> {
    if file.store != STORE {
        return None;
    }
    Stored::of_extension(&file.id, file.extension.as_deref()?)
}

/// Removes a file, if it is there; whether it was.
fn unlink(directory: &FileSystem, name: &str) -> Result<bool, StoreError> {
    match rustix::fs::unlinkat(directory.handle(), name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(StoreError::io("remove", directory.path().join(name))(
            error.into(),
        )),
    }
}

#[async_trait]
impl UserDataStore for UserDataDirectory {
    async fn create(
        &self,
        fence: &Fence,
        needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Box<dyn ExportWriter>, TargetError> {
        let whole = Stored::of_claim(fence, true);
        let (name, extension) = (whole.name(), whole.extension());
        let part = Stored::of_claim(fence, false).name();
        let path = self.path.clone();
        if !is_id(&fence.id.0) {
            return Err(TargetError::Io {
                path: path.join(name),
                source: io::ErrorKind::InvalidFilename.into(),
            });
        }
        let (directory, rights) = (path.clone(), self.rights);
        let made = tokio::task::spawn_blocking(move || {
            Target::private(&directory, &part, &name, rights, needed, progress)
        });
        let target = made.await.map_err(|error| TargetError::Io {
            path,
            source: io::Error::other(error),
        })??;
        Ok(Box::new(FileWriter {
            target,
            extension,
            at: self.describe(),
        }))
    }

    async fn open(&self, file: &UserDataFile, from: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        match stored(file) {
            Some(stored) => {
                let directory = self.clone();
                let opened = blocking(move || directory.opened()).await?;
                opened.open_first(vec![stored.name()], from).await
            }
            None => Err(BlobError::missing(
                Absence::Gone,
                "its record does not name a file of this directory",
            )),
        }
    }

    async fn delete(&self, file: &UserDataFile) -> Result<(), BlobError> {
        let Some(stored) = stored(file) else {
            return Err(BlobError::missing(
                Absence::Gone,
                "its record does not name a file of this directory",
            ));
        };
        let (directory, name) = (self.clone(), stored.name());
        let at = file.at.clone();
        let left = blocking(move || {
            if unlink(&directory.opened()?, &name)? {
                return Ok(None);
            }
            // The directory may be another one since.
            Ok(at.filter(|at| Path::new(at).join(&name).symlink_metadata().is_ok()))
        });
        match left.await? {
            Some(at) => Err(elsewhere(&at, &self.describe())),
            None => Ok(()),
        }
    }

    async fn clean(&self, last: &Fence, keep: Option<u64>) -> Result<u64, BlobError> {
        let (directory, last) = (self.clone(), last.clone());
        let removed = blocking(move || {
            let opened = directory.opened()?;
            let mut removed = 0;
            for stored in Stored::others(&last, keep) {
                match unlink(&opened, &stored.name()) {
                    Ok(there) => removed += u64::from(there),
                    // Others may write here, too: what one of them put there keeps nothing else from being removed.
                    Err(error) => {
                        let (job, error) = (stored.job, chain(&error));
                        tracing::warn!(job, error, "a leftover cannot be removed");
                    }
                }
            }
            Ok(removed)
        });
        Ok(removed.await?)
    }

    async fn check(&self) -> Result<(), TargetError> {
        let directory = self.path.clone();
        let path = directory.clone();
        let checked = tokio::task::spawn_blocking(move || {
            check_space(&directory, 0)?;
            // It has no name, so that whoever is killed here leaves nothing.
            let written = tempfile::tempfile_in(&directory).and_then(|mut file| {
                file.write_all(b"x")?;
                file.sync_all()
            });
            written.map_err(|source| TargetError::Io {
                path: directory,
                source,
            })
        });
        checked.await.map_err(|error| TargetError::Io {
            path,
            source: io::Error::other(error),
        })?
    }

    async fn ready(&self) -> Result<(), TargetError> {
        self.check().await
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

/// An export on its way into the directory.
struct FileWriter {
    target: Target,
    extension: String,
    at: String,
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.target.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

impl ExportWriter for FileWriter {
    fn commit(self: Box<Self>) -> Result<(Written, Place), TargetError> {
        let written = self.target.commit()?;
        let place = Place {
            store: STORE.to_owned(),
            extension: Some(self.extension),
            path: None,
            at: Some(self.at),
        };
        Ok((written, place))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use super::*;
    use crate::jobs::JobId;
    use crate::store::RawDoc;
    use crate::store::directory::UserId;

    const JOB: &str = "abcdefghijk234567";

    fn fence(job: &str, epoch: u64) -> Fence {
        Fence {
            id: JobId(job.to_owned()),
            epoch,
        }
    }

    fn record(id: &str, extension: Option<&str>) -> UserDataFile {
        UserDataFile {
            id: id.to_owned(),
            owner: UserId("u".to_owned()),
            name: "x.zip".to_owned(),
            size: 3,
            store: STORE.to_owned(),
            extension: extension.map(str::to_owned),
            content_type: "application/zip".to_owned(),
            uploaded_at: None,
            sha256: None,
            at: None,
            created_at: None,
            complete: true,
            doc: RawDoc(Vec::new()),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    async fn store(directory: &UserDataDirectory, fence: &Fence, bytes: &[u8]) -> Place {
        let mut writer = directory.create(fence, 0, Arc::default()).await.unwrap();
        writer.write_all(bytes).unwrap();
        let (written, place) = writer.commit().unwrap();
        assert_eq!(written.bytes, bytes.len() as u64);
        place
    }

    #[tokio::test]
    async fn an_export_is_stored_under_its_claims_name_for_nobody_else() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("made/here");
        let directory = UserDataDirectory::new(&path, Rights::Owner).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for (epoch, extension, name) in [
            (1, "zip", format!("{JOB}.zip")),
            (12, "12.zip", format!("{JOB}.12.zip")),
        ] {
            let fence = fence(JOB, epoch);
            let mut writer = directory.create(&fence, 0, Arc::default()).await.unwrap();
            writer.write_all(b"abc").unwrap();
            let part = format!(".export-room-{JOB}-{epoch}.part");
            assert!(names(&path).contains(&part));
            assert_eq!(mode(&path.join(&part)), 0o600);
            assert!(
                directory.create(&fence, 0, Arc::default()).await.is_err(),
                "what is being written is not written over"
            );
            let (_, place) = writer.commit().unwrap();
            assert_eq!(
                (&*place.store, place.extension.as_deref()),
                (STORE, Some(extension))
            );
            assert!(names(&path).contains(&name) && !names(&path).contains(&part));
            assert_eq!(mode(&path.join(&name)), 0o600);
            let record = record(JOB, Some(extension));
            let mut reader = directory.open(&record, 1).await.unwrap();
            assert_eq!(reader.length(), Some(3));
            assert_eq!(&reader.next_chunk().await.unwrap().unwrap()[..], b"bc");
            assert!(reader.next_chunk().await.unwrap().is_none());
            directory.delete(&record).await.unwrap();
            directory.delete(&record).await.unwrap();
            assert!(names(&path).is_empty());
        }
    }

    #[tokio::test]
    async fn what_is_dropped_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let directory = UserDataDirectory::new(parent.path(), Rights::Owner).unwrap();
        let mut writer = directory
            .create(&fence(JOB, 1), 0, Arc::default())
            .await
            .unwrap();
        writer.write_all(b"abc").unwrap();
        drop(writer);
        assert!(names(parent.path()).is_empty());
        let error = directory
            .create(&fence(JOB, 1), u64::MAX / 2, Arc::default())
            .await;
        assert!(matches!(error, Err(TargetError::NoSpace { .. })));
        // A name that was given changes the time of the directory, also when it is gone again.
        let entries = fs::File::open(parent.path()).unwrap();
        entries.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        directory.check().await.unwrap();
        assert!(names(parent.path()).is_empty());
        let changed = entries.metadata().unwrap().modified().unwrap();
        assert_eq!(changed, SystemTime::UNIX_EPOCH);
    }

    #[tokio::test]
    async fn all_mean_the_directory_that_has_the_path_now() {
        let parent = tempfile::tempdir().unwrap();
        let (path, away) = (parent.path().join("store"), parent.path().join("away"));
        let directory = UserDataDirectory::new(&path, Rights::Owner).unwrap();
        let mut begun = directory
            .create(&fence(JOB, 1), 0, Arc::default())
            .await
            .unwrap();
        begun.write_all(b"abc").unwrap();
        fs::rename(&path, &away).unwrap();
        assert!(directory.check().await.is_err());
        assert!(directory.clean(&fence(JOB, 1), None).await.is_err());
        let record = record(JOB, Some("2.zip"));
        assert!(directory.open(&record, 0).await.is_err());
        fs::create_dir(&path).unwrap();
        directory.check().await.unwrap();
        assert!(
            begun.commit().is_err(),
            "what was begun there is not stored here"
        );
        store(&directory, &fence(JOB, 2), b"abc").await;
        assert_eq!(names(&path), [format!("{JOB}.2.zip")]);
        let mut reader = directory.open(&record, 0).await.unwrap();
        assert_eq!(&reader.next_chunk().await.unwrap().unwrap()[..], b"abc");
        fs::write(path.join(format!("{JOB}.3.zip")), b"").unwrap();
        let third = fence(JOB, 3);
        assert_eq!(directory.clean(&third, Some(2)).await.unwrap(), 1);
        directory.delete(&record).await.unwrap();
        assert!(names(&path).is_empty());
    }

    #[tokio::test]
    async fn an_export_in_the_directory_of_before_is_not_gone() {
        let parent = tempfile::tempdir().unwrap();
        let (old, new) = (parent.path().join("old"), parent.path().join("new"));
        let before = UserDataDirectory::new(&old, Rights::Owner).unwrap();
        let place = store(&before, &fence(JOB, 1), b"abc").await;
        assert_eq!(place.at.as_deref(), old.to_str());
        let mut record = record(JOB, Some("zip"));
        record.at = place.at;
        let now = UserDataDirectory::new(&new, Rights::Owner).unwrap();
        let error = now.delete(&record).await.unwrap_err().to_string();
        assert!(error.contains(old.to_str().unwrap()), "{error}");
        assert_eq!(names(&old).len(), 1);
        before.delete(&record).await.unwrap();
        // Now it is gone, wherever somebody looks.
        now.delete(&record).await.unwrap();
    }

    #[tokio::test]
    async fn the_directorys_group_reads_exports_when_it_is_to() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("shared");
        let directory = UserDataDirectory::new(&path, Rights::Group).unwrap();
        store(&directory, &fence(JOB, 1), b"abc").await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path.join(format!("{JOB}.zip"))), 0o640);
        assert_eq!(mode(&path) & 0o057, 0o050, "and comes to them");
    }

    #[tokio::test]
    async fn nothing_but_exports_is_read_written_or_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("store");
        let directory = UserDataDirectory::new(&path, Rights::Owner).unwrap();
        let secret = parent.path().join("secret.zip");
        fs::write(&secret, b"secret").unwrap();
        std::os::unix::fs::symlink(&secret, path.join(format!("{JOB}.zip"))).unwrap();
        std::os::unix::fs::symlink(&secret, path.join(format!(".export-room-{JOB}-1.part")))
            .unwrap();
        for (id, extension) in [
            (JOB, Some("zip")),
            (JOB, Some("../../secret.zip")),
            (JOB, Some("01.zip")),
            (JOB, Some("1.zip")),
            (JOB, None),
            ("../secret", Some("zip")),
            ("secret", Some("zip")),
            ("", Some("zip")),
        ] {
            let opened = directory.open(&record(id, extension), 0).await;
            assert!(
                matches!(opened, Err(BlobError::Missing(_))),
                "{id}.{extension:?}"
            );
        }
        for id in ["../secret", "secret", "", "abcdefghijk23456/"] {
            assert!(
                directory
                    .create(&fence(id, 1), 0, Arc::default())
                    .await
                    .is_err(),
                "{id}"
            );
            assert!(
                directory.delete(&record(id, Some("zip"))).await.is_err(),
                "{id}"
            );
        }
        assert!(
            directory
                .create(&fence(JOB, 1), 0, Arc::default())
                .await
                .is_err(),
            "a link at the temporary name is not followed"
        );
        // One at the final name is replaced itself.
        let fence = fence(JOB, 2);
        std::os::unix::fs::symlink(&secret, path.join(format!("{JOB}.2.zip"))).unwrap();
        store(&directory, &fence, b"abc").await;
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }

    #[tokio::test]
    async fn leftovers_are_found_and_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let directory = UserDataDirectory::new(parent.path(), Rights::Owner).unwrap();
        let other = "zyxwvutsrqp234567";
        let foreign = [
            JOB.to_owned(),
            format!("{JOB}.txt"),
            format!("{JOB}.02.zip"),
            format!("{JOB}.+2.zip"),
            format!(".export-room-{JOB}.part"),
            format!(".export-room-{JOB}-1.part.x"),
            ".export-room-abc123.part".to_owned(),
            "short.zip".to_owned(),
        ];
        let ours = [
            format!("{JOB}.zip"),
            format!("{JOB}.2.zip"),
            format!(".export-room-{JOB}-3.part"),
            format!("{other}.zip"),
        ];
        for name in foreign.iter().chain(&ours) {
            fs::write(parent.path().join(name), b"").unwrap();
        }
        // Somebody else's, which we cannot remove, stays, and keeps nothing else from being removed.
        let stuck = parent.path().join(format!("{JOB}.4.zip"));
        fs::create_dir(&stuck).unwrap();
        let last = fence(JOB, 4);
        assert_eq!(directory.clean(&last, Some(2)).await.unwrap(), 2);
        fs::remove_dir(&stuck).unwrap();
        assert!(names(parent.path()).contains(&ours[1]));
        assert_eq!(directory.clean(&fence("../x", 4), None).await.unwrap(), 0);
        assert_eq!(directory.clean(&last, None).await.unwrap(), 1);
        assert_eq!(directory.clean(&last, None).await.unwrap(), 0);
        assert!(names(parent.path()).contains(&ours[3]));
        assert_eq!(names(parent.path()).len(), foreign.len() + 1);
    }
}
