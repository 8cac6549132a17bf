//! Files in GridFS (<https://www.mongodb.com/docs/manual/core/gridfs/>): a record in `<bucket>.files`, the bytes in
//! numbered documents of `<bucket>.chunks`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use transcript::bson::{Doc, Value};
use transcript::output::{Absence, Missing};

use super::batches::blocking;
use super::{RawDoc, StoreError};
use crate::blob::{BlobError, BlobKey, BlobReader, CUSTOM_EMOJI};

/// Most bytes handed out at once; buckets may have larger chunks.
const PIECE: usize = 1 << 20;

/// Chunks that a file can have: drivers number them with 32 bits.
const MAX_CHUNKS: i64 = i32::MAX as i64;

/// Where the documents of GridFS are. Blocking.
pub(crate) trait Chunks: Send + Sync + 'static {
    /// The file's record.
    fn file(&self, bucket: &str, id: &str) -> Result<Option<RawDoc>, StoreError>;
    /// The numbers of the file's chunks, ascending, told to `visit` until it answers `false`.
    fn numbers(
        &self,
        bucket: &str,
        id: &str,
        visit: &mut dyn FnMut(i64) -> bool,
    ) -> Result<(), StoreError>;
    /// One whole chunk document.
    fn chunk(&self, bucket: &str, id: &str, n: i64) -> Result<Option<Vec<u8>>, StoreError>;
}

/// The bucket of a `store`, when that is GridFS (contract §5.7).
pub(crate) fn bucket(store: &str) -> Option<&'static str> {
    match store {
        "GridFS:Uploads" | "rocketchat_uploads" => Some("rocketchat_uploads"),
        "GridFS:Avatars" | "rocketchat_avatars" => Some("rocketchat_avatars"),
        "GridFS:UserDataFiles" | "rocketchat_userDataFiles" => Some("rocketchat_userDataFiles"),
        CUSTOM_EMOJI => Some("custom_emoji"),
        _ => None,
    }
}

/// Starts reading a file at a byte. That all its chunks are there is known before the first byte is given.
pub(crate) async fn open(
    chunks: Arc<dyn Chunks>,
    key: &BlobKey,
    from: u64,
) -> Result<Box<dyn BlobReader>, BlobError> {
    let Some(bucket) = bucket(&key.store) else {
        return Err(BlobError::missing(
            Absence::Unread,
            format!("stored in {}, which is not known", key.store),
        ));
    };
    let id = key.id.clone();
    let found = {
        let (chunks, id) = (Arc::clone(&chunks), id.clone());
        blocking(move || check(&*chunks, bucket, &id)).await?
    };
    let plan = found.map_err(BlobError::Missing)?;
    // Where the size of the chunks is not known they are read from the first.
    let next = from.checked_div(plan.size).unwrap_or(0);
    let before = next.saturating_mul(plan.size);
    Ok(Box::new(ChunkReader {
        chunks,
        bucket,
        id,
        plan,
        next: i64::try_from(next).unwrap_or(i64::MAX).min(plan.chunks),
        passed: before,
        skip: from - before,
        rest: Bytes::new(),
    }))
}

/// What a complete file consists of.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Number of chunks.
    chunks: i64,
    /// Bytes of the file, when its record is there.
    length: Option<u64>,
    /// Bytes of each of them but the last; nothing when the record does not say.
    size: u64,
}

/// Compares the chunks with the file's record.
fn check(chunks: &dyn Chunks, bucket: &str, id: &str) -> Result<Result<Plan, Missing>, StoreError> {
    let record = chunks.file(bucket, id)?;
    let number = |key| {
        let doc = Doc::new(&record.as_ref()?.0).ok()?;
        u64::try_from(doc.get(key).and_then(Value::integer)?).ok()
    };
    let length = number("length");
    let mut expected = match (length, number("chunkSize")) {
        (Some(0), _) => Some(0),
        (Some(length), Some(size @ 1..)) => match i64::try_from(length.div_ceil(size)) {
            Ok(count @ ..=MAX_CHUNKS) => Some(count),
            _ => {
                return Ok(Err(Missing::new(
                    Absence::Incomplete,
                    "the length in its record is damaged",
                )));
            }
        },
        _ => None,
    };
    let mut damaged = false;
    let mut hole = None;
    let mut next = 0;
    let mut count = 0_i64;
    chunks.numbers(bucket, id, &mut |n| {
        if n < 0 || n >= expected.unwrap_or(MAX_CHUNKS) {
            // What does not belong to the file does no harm, as long as it is known what does.
            damaged |= expected.is_none();
            return true;
        }
        count += 1;
        if n != next && hole.is_none() {
            hole = Some(next);
        }
        next = n + 1;
        true
    })?;
    if damaged {
        return Ok(Err(Missing::new(
            Absence::Incomplete,
            "chunk numbers are damaged",
        )));
    }
    if count == 0 && expected != Some(0) {
        return Ok(Err(Missing::new(Absence::Gone, "chunks missing")));
    }
    let expected = *expected.get_or_insert(next);
    if hole.is_none() && next < expected {
        hole = Some(next);
    }
    Ok(match hole {
        Some(n) => Err(Missing::new(
            Absence::Incomplete,
            format!("chunk {n} of {expected} missing"),
        )),
        None => Ok(Plan {
            chunks: expected,
            length,
            size: number("chunkSize").unwrap_or(0),
        }),
    })
}

struct ChunkReader {
    chunks: Arc<dyn Chunks>,
    bucket: &'static str,
    id: String,
    plan: Plan,
    next: i64,
    /// Bytes of the file that were given or skipped.
    passed: u64,
    /// Bytes that are to be skipped yet.
    skip: u64,
    /// What of the current chunk is not given yet.
    rest: Bytes,
}

#[async_trait]
impl BlobReader for ChunkReader {
    fn length(&self) -> Option<u64> {
        self.plan.length
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, BlobError> {
        while self.rest.is_empty() {
            if self.next == self.plan.chunks {
                return match self.plan.length {
                    Some(length) if length != self.passed => {
                        Err(BlobError::short(self.passed, length))
                    }
                    _ => Ok(None),
                };
            }
            let (chunks, bucket, id, n) = (
                Arc::clone(&self.chunks),
                self.bucket,
                self.id.clone(),
                self.next,
            );
            let found = blocking(move || chunks.chunk(bucket, &id, n)).await?;
            let missing = |what| {
                BlobError::missing(
                    Absence::Incomplete,
                    format!("chunk {n} of {} {what}", self.plan.chunks),
                )
            };
            self.rest = found
                .map(content)
                .ok_or_else(|| missing("missing"))?
                .ok_or_else(|| missing("unreadable"))?;
            self.next += 1;
            let unwanted = usize::try_from(self.skip).unwrap_or(usize::MAX);
            let skipped = self.rest.split_to(self.rest.len().min(unwanted));
            self.skip -= skipped.len() as u64;
            self.passed += skipped.len() as u64;
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.passed += piece.len() as u64;
        Ok(Some(piece))
    }
}

/// The `data` of a chunk, without another copy: a part of the document's own bytes.
fn content(chunk: Vec<u8>) -> Option<Bytes> {
    let (start, length) = match Doc::new(&chunk).ok()?.get("data")? {
        Value::Binary(subtype, data) => {
            let start = data.as_ptr().addr() - chunk.as_ptr().addr();
            match data.split_first_chunk::<4>() {
                // The old binary subtype has its length once more inside.
                Some((length, rest))
                    if subtype == 2
                        && usize::try_from(u32::from_le_bytes(*length)) == Ok(rest.len()) =>
                {
                    (start + 4, rest.len())
                }
                _ => (start, data.len()),
            }
        }
        _ => return None,
    };
    Some(Bytes::from(chunk).slice(start..start + length))
}
