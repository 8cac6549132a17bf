//! File contents in the GridFS of a live database.

use std::sync::Arc;

use async_trait::async_trait;
use bson::doc;
use mongodb::options::FindOptions;
use tokio::runtime::Handle;
use transcript::bson::Doc;

use super::{BlobError, BlobKey, BlobReader, BlobStore};
use crate::store::gridfs::{self, Chunks};
use crate::store::mongo::MongoDatabase;
use crate::store::{RawDoc, StoreError};

/// The files of a live database.
#[derive(Clone, Debug)]
pub struct GridFsFiles(MongoDatabase);

impl GridFsFiles {
    /// Reads the files of a database that is connected.
    pub fn new(database: &MongoDatabase) -> Self {
        Self(database.persistent())
    }

    /// Starts reading a file at a byte.
    pub async fn open_at(
        &self,
        key: &BlobKey,
        from: u64,
    ) -> Result<Box<dyn BlobReader>, BlobError> {
        gridfs::open(Arc::new(self.clone()), key, from).await
    }
}

#[async_trait]
impl BlobStore for GridFsFiles {
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError> {
        self.open_at(key, 0).await
    }
}

/// Called on threads that may block, inside the runtime.
impl Chunks for GridFsFiles {
    fn file(&self, bucket: &str, id: &str) -> Result<Option<RawDoc>, StoreError> {
        Handle::current().block_on(self.0.by_id(&format!("{bucket}.files"), id))
    }

    fn numbers(
        &self,
        bucket: &str,
        id: &str,
        visit: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), StoreError> {
        // Of the unique index (`files_id`, `n`) alone.
        let options = FindOptions::builder()
            .sort(doc! {"files_id": 1, "n": 1})
            .projection(doc! {"_id": 0, "n": 1})
            .build();
        // Of the primary, as the chunks themselves: a member that lags behind has not all of a new file, which would then
        // be called damaged.
        let chunks = self.0.current(&format!("{bucket}.chunks"));
        let number = |chunk: &[u8]| Doc::new(chunk).ok()?.get("n")?.integer();
        let rest = |last: Option<&[u8]>| {
            let mut filter = doc! {"files_id": id};
            if let Some(last) = last {
                filter.insert("n", doc! {"$gt": number(last)?});
            }
            Some(filter)
        };
        let visit = |chunk: &[u8]| number(chunk).is_none_or(&mut *visit);
        Handle::current().block_on(self.0.each_of_rest(&chunks, options, rest, visit))
    }

    fn chunk(&self, bucket: &str, id: &str, n: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let collection = format!("{bucket}.chunks");
        let question = self.0.one(&collection, doc! {"files_id": id, "n": n});
        Ok(Handle::current().block_on(question)?.map(|chunk| chunk.0))
    }
}
