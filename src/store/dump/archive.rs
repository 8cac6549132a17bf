//! The archive format of mongodump (mongo-tools, `common/archive`): all collections interleaved in one stream.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::Found;
use crate::store::StoreError;

/// A recognised archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Err(StoreError::NotOurs(format!(
            "{}: archives are not read yet",
            path.display()
        )))
    }

    pub(super) fn collections(&self) -> Vec<&str> {
        Vec::new()
    }

    pub(super) fn scan(
        &self,
        _wanted: &dyn Fn(&str) -> bool,
        _cancel: &CancellationToken,
        _progress: &mut dyn FnMut(u64),
        _visit: &mut dyn FnMut(Found<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Err(StoreError::NotOurs(format!(
            "{}: archives are not read yet",
            self.path.display()
        )))
    }
}
