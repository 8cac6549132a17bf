//! Several places for exports: new ones go where is configured now, stored ones are where their record says.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use transcript::output::Absence;

use super::{ExportWriter, UserDataStore};
use crate::blob::{BlobError, BlobReader, StoreKind};
use crate::export::progress::Progress;
use crate::export::target::TargetError;
use crate::jobs::Fence;
use crate::store::user_data::UserDataFile;

/// A place, with the kind of `store` that its records have.
pub type KnownPlace = (StoreKind<'static>, Arc<dyn UserDataStore>);

/// The places that exports were ever stored in, the one for new exports first.
pub struct ExportPlaces {
    new: Arc<dyn UserDataStore>,
    all: Vec<KnownPlace>,
}

impl ExportPlaces {
    /// `new` takes new exports, `others` are only read and removed from.
    pub fn new(new: KnownPlace, others: Vec<KnownPlace>) -> Self {
        let first = Arc::clone(&new.1);
        let mut all = vec![new];
        all.extend(others);
        Self { new: first, all }
    }

    fn of(&self, file: &UserDataFile) -> Result<&dyn UserDataStore, BlobError> {
        let kind = StoreKind::of(&file.store);
        let found = self.all.iter().find(|(known, _)| *known == kind);
        found.map(|(_, place)| &**place).ok_or_else(|| {
            BlobError::missing(
                Absence::Unread,
                format!("stored in {}, which is not read here", file.store),
            )
        })
    }
}

#[async_trait]
impl UserDataStore for ExportPlaces {
    async fn create(
        &self,
        fence: &Fence,
        needed: u64,
        progress: Arc<Progress>,
    ) -> Result<Box<dyn ExportWriter>, TargetError> {
        self.new.create(fence, needed, progress).await
    }

    async fn open(&self, file: &UserDataFile, from: u64) -> Result<Box<dyn BlobReader>, BlobError> {
        self.of(file)?.open(file, from).await
    }

    async fn delete(&self, file: &UserDataFile) -> Result<(), BlobError> {
        self.of(file)?.delete(file).await
    }

    async fn clean(&self, last: &Fence, keep: Option<u64>) -> Result<u64, BlobError> {
        self.new.clean(last, keep).await
    }

    async fn check(&self) -> Result<(), TargetError> {
        self.new.check().await
    }

    async fn ready(&self) -> Result<(), TargetError> {
        self.new.ready().await
    }

    fn directory(&self) -> Option<&Path> {
        self.new.directory()
    }

    fn describe(&self) -> String {
        self.new.describe()
    }
}
