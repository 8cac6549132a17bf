//! Files in the GridFS of a dump: where each chunk is, found in one pass when the first file is asked for.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use transcript::bson::Doc;

use super::DumpSource;
use super::source::{Inner, locked};
use crate::blob::{BlobError, BlobKey, BlobReader, BlobStore};
use crate::store::gridfs::{self, Chunks};
use crate::store::sqlite::query;
use crate::store::sqlite::schema;
use crate::store::sqlite::tables::{self, PutError};
use crate::store::{RawDoc, StoreError};

/// The buckets that files can be in.
const BUCKETS: [&str; 4] = [
    "rocketchat_uploads",
    "rocketchat_userDataFiles",
    PICTURES[0],
    PICTURES[1],
];

/// The buckets of pictures, which belong to no room and are small: found together with whatever is asked for first.
const PICTURES: [&str; 2] = ["rocketchat_avatars", "custom_emoji"];

/// Which chunks are found.
#[derive(Debug)]
pub(super) struct ChunkIndex {
    of: Files,
    /// Unpacked chunks of a compressed dump.
    spool: Option<File>,
    /// The dump's own files by bucket.
    plain: Vec<(String, File)>,
}

/// Files by the room of their uploads.
#[derive(Debug, PartialEq, Eq)]
enum Files {
    /// None but pictures.
    Pictures,
    /// Those of one room, or those without one.
    OfRoom(Option<String>),
    All,
}

#[async_trait]
impl BlobStore for DumpSource {
    async fn open(&self, key: &BlobKey) -> Result<Box<dyn BlobReader>, BlobError> {
        gridfs::open(Arc::clone(&self.0) as Arc<dyn Chunks>, key, 0).await
    }
}

impl Inner {
    /// Finds the chunks of a file, and with them those of its room: an export asks for these next.
    ///
    /// In a compressed dump they have to be unpacked to disk. The first pass unpacks only one room's; when the file of
    /// another room is asked for, a second pass unpacks all, so that there are never more than two.
    fn find_chunks(&self, bucket: &str, id: &str) -> Result<(), StoreError> {
        self.index_chunks(bucket, id)
            .map_err(schema::name_full_temporary)
    }

    fn index_chunks(&self, bucket: &str, id: &str) -> Result<(), StoreError> {
        let mut index = locked(&self.chunks);
        let found = index.as_ref().map(|index| &index.of);
        let wanted = if PICTURES.contains(&bucket) {
            match found {
                Some(_) => return Ok(()),
                None => Files::Pictures,
            }
        } else {
            let room: Option<String> = self
                .catalogue()
                .prepare_cached("SELECT rid FROM upload WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?
                .flatten();
            match found {
                Some(Files::All) => return Ok(()),
                Some(Files::OfRoom(found)) if *found == room => return Ok(()),
                Some(Files::OfRoom(_)) => Files::All,
                Some(Files::Pictures) | None => Files::OfRoom(room),
            }
        };
        let mut plain = Vec::new();
        for bucket in BUCKETS {
            if let Some(path) = self.dump.plain_file(&format!("{bucket}.chunks"))? {
                let file = File::open(&path).map_err(StoreError::io("open", path))?;
                plain.push((bucket.to_owned(), file));
            }
        }
        let spool = self.spool()?;
        let mut writer = BufWriter::with_capacity(
            256 << 10,
            spool.try_clone().map_err(self.spill_error("write"))?,
        );
        let mut spooled = 0_u64;
        let mut everything = true;
        let catalogue = self.catalogue();
        catalogue.execute_batch("BEGIN; DELETE FROM chunk_at")?;
        let scanned = self.dump.scan(
            &|collection| tables::bucket(collection).is_some_and(|name| BUCKETS.contains(&name)),
            &self.cancel,
            &mut |_| {},
            &mut |found| {
                let doc = Doc::new(found.doc)
                    .map_err(|error| PutError::from(error).at(found.collection, found.offset))?;
                let (Some(bucket), Some((files_id, n))) =
                    (tables::bucket(found.collection), tables::chunk_key(doc))
                else {
                    return Ok(());
                };
                let mut offset = found.offset;
                if !plain.iter().any(|(name, _)| name == bucket) {
                    let is_wanted = PICTURES.contains(&bucket)
                        || match &wanted {
                            Files::All => true,
                            Files::Pictures => false,
                            Files::OfRoom(room) => {
                                let of: Option<String> = catalogue
                                    .prepare_cached("SELECT rid FROM upload WHERE id = ?1")?
                                    .query_row([&files_id], |row| row.get(0))
                                    .optional()?
                                    .flatten();
                                of == *room
                            }
                        };
                    if !is_wanted {
                        everything = false;
                        return Ok(());
                    }
                    offset = spooled;
                    writer
                        .write_all(found.doc)
                        .map_err(self.spill_error("write"))?;
                    spooled += found.doc.len() as u64;
                }
                catalogue
                    .prepare_cached("INSERT OR REPLACE INTO chunk_at VALUES(?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![
                        bucket,
                        files_id,
                        n,
                        offset.cast_signed(),
                        found.doc.len().cast_signed()
                    ])?;
                Ok(())
            },
        );
        // Also after a failure: the connection is used for other questions.
        catalogue.execute_batch("COMMIT")?;
        scanned?;
        writer.flush().map_err(self.spill_error("write"))?;
        *index = Some(ChunkIndex {
            of: if everything { Files::All } else { wanted },
            spool: Some(spool),
            plain,
        });
        Ok(())
    }
}

impl Chunks for Inner {
    fn file(&self, bucket: &str, id: &str) -> Result<Option<RawDoc>, StoreError> {
        query::document(&self.catalogue(), &format!("{bucket}.files"), id)
    }

    fn numbers(
        &self,
        bucket: &str,
        id: &str,
        visit: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), StoreError> {
        self.find_chunks(bucket, id)?;
        let catalogue = self.catalogue();
        let mut statement = catalogue.prepare_cached(
            "SELECT n FROM chunk_at WHERE bucket = ?1 AND files_id = ?2 ORDER BY n",
        )?;
        let mut rows = statement.query([bucket, id])?;
        while let Some(row) = rows.next()? {
            if !visit(row.get(0)?) {
                break;
            }
        }
        Ok(())
    }

    fn chunk(&self, bucket: &str, id: &str, n: i64) -> Result<Option<Vec<u8>>, StoreError> {
        // Another file may have been asked for in between, which found the chunks anew elsewhere.
        self.find_chunks(bucket, id)?;
        let index = locked(&self.chunks);
        let position: Option<(i64, i64)> = self
            .catalogue()
            .prepare_cached(
                "SELECT offset, length FROM chunk_at WHERE bucket = ?1 AND files_id = ?2 AND n = ?3",
            )?
            .query_row(params![bucket, id, n], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (Some((offset, length)), Some(index)) = (position, &*index) else {
            return Ok(None);
        };
        let file = index
            .plain
            .iter()
            .find(|(name, _)| name == bucket)
            .map(|(_, file)| file)
            .or(index.spool.as_ref());
        let Some(file) = file else {
            return Ok(None);
        };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, offset.cast_unsigned())
            .map_err(|error: io::Error| self.spill_error("read")(error))?;
        Ok(Some(bytes))
    }
}
