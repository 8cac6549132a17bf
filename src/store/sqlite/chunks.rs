//! Files in the GridFS of a workspace file.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::{SqliteSource, query};
use crate::blob::{BlobError, BlobKey, BlobReader, BlobStore};
use crate::store::gridfs::{self, Chunks};
use crate::store::{RawDoc, StoreError};

#[async_trait]
impl BlobStore for SqliteSource {
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError> {
        gridfs::open(Arc::new(self.clone()), key, 0).await
    }
}

impl Chunks for SqliteSource {
    fn file(&self, bucket: &str, id: &str) -> Result<Option<RawDoc>, StoreError> {
        let connection = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        query::document(&connection, &format!("{bucket}.files"), id)
    }

    fn numbers(
        &self,
        bucket: &str,
        id: &str,
        visit: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), StoreError> {
        let connection = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection
            .prepare_cached("SELECT n FROM chunk WHERE bucket = ?1 AND files_id = ?2 ORDER BY n")?;
        let mut rows = statement.query([bucket, id])?;
        while let Some(row) = rows.next()? {
            if !visit(row.get(0)?) {
                break;
            }
        }
        Ok(())
    }

    fn chunk(&self, bucket: &str, id: &str, n: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let connection = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(connection
            .prepare_cached("SELECT doc FROM chunk WHERE bucket = ?1 AND files_id = ?2 AND n = ?3")?
            .query_row(params![bucket, id, n], |row| row.get(0))
            .optional()?)
    }
}
