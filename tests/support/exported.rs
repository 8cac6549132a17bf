//! What a workspace has of its exports, looked at from outside: files and records.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use export_room::export::report::hex;
use export_room::store::sqlite::SqliteDirectory;
use export_room::store::user_data::{UserDataFile, UserDataFiles};
use sha2::{Digest, Sha256};

use super::cli::{run, text};

/// The exports of a workspace.
pub(crate) struct Exported {
    pub(crate) database: PathBuf,
    /// Where the files are.
    pub(crate) store: PathBuf,
}

/// A file, as its bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) bytes: u64,
    pub(crate) digest: String,
}

impl Whole {
    pub(crate) fn of(content: &[u8]) -> Self {
        Self {
            bytes: content.len() as u64,
            digest: hex(&Sha256::digest(content)),
        }
    }
}

impl Exported {
    /// Everything in the place for exports.
    pub(crate) fn stored(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.store) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) async fn records(&self) -> Vec<UserDataFile> {
        let records = SqliteDirectory::open(&self.database).unwrap();
        records.created_before(i64::MAX, None, 10).await.unwrap()
    }

    /// There is exactly one record and one file, whole, of this job and made by the claim `epoch`.
    pub(crate) async fn assert_one(&self, job: &str, epoch: u64) -> Whole {
        let records = self.records().await;
        let [record] = records.as_slice() else {
            panic!("{records:?}");
        };
        let name = format!("{job}.{}", record.extension.as_deref().unwrap());
        let expected = if epoch == 1 {
            format!("{job}.zip")
        } else {
            format!("{job}.{epoch}.zip")
        };
        assert_eq!((&record.id[..], &name), (job, &expected));
        assert_eq!(self.stored(), std::slice::from_ref(&name));
        let path = self.store.join(name);
        let mut content = Vec::new();
        io::copy(&mut File::open(&path).unwrap(), &mut content).unwrap();
        let whole = Whole::of(&content);
        assert_eq!(
            (record.size, record.sha256.as_deref()),
            (whole.bytes, Some(&*whole.digest))
        );
        let verified = run(&["verify", text(&path)]);
        assert_eq!(verified.code, 0, "{}", verified.stderr);
        whole
    }

    /// There is neither a record nor a file.
    pub(crate) async fn assert_none(&self) {
        assert_eq!(self.stored(), Vec::<String>::new());
        assert!(self.records().await.is_empty());
    }
}
