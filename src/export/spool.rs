//! The messages of a live workspace, kept as they were read, for the passes that look at them more than once: the server
//! is asked for each message once, and all passes see the same.
//!
//! Responsible for an unnamed temporary file of documents, one after the other; not for what is in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::ExportError;
use super::target::{TargetError, check_space};
use crate::store::batches::{BatchSender, ReadEnd, cursor};
use crate::store::{DocBatch, MessageCursor, StoreError};

/// Bytes that a message takes, about: what a room of many is checked for before it is read.
const MESSAGE: u64 = 600;
const BUFFER: usize = 256 << 10;

/// Takes messages in their order.
pub(super) struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    /// An empty one, on a disk that has room for about so many messages.
    pub(super) fn new(messages: u64) -> Result<Self, ExportError> {
        let directory = std::env::temp_dir();
        // What cannot be asked shows when it is written.
        if let Err(TargetError::NoSpace { directory, .. }) =
            check_space(&directory, messages.saturating_mul(MESSAGE))
        {
            return Err(StoreError::TemporaryFull { path: directory }.into());
        }
        let file = tempfile::tempfile_in(&directory).map_err(failed)?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
        })
    }

    /// Appends a document.
    pub(super) fn push(&mut self, doc: &[u8]) -> Result<(), ExportError> {
        self.file.write_all(doc).map_err(failed)
    }

    /// Ends the input.
    pub(super) fn finish(self) -> Result<Spooled, ExportError> {
        let file = self.file.into_inner();
        let file = file.map_err(|error| failed(error.into_error()))?;
        Ok(Spooled {
            file: Arc::new(file),
        })
    }
}

fn failed(error: io::Error) -> ExportError {
    if error.kind() == io::ErrorKind::StorageFull {
        let path = std::env::temp_dir();
        StoreError::TemporaryFull { path }.into()
    } else {
        ExportError::Spool(error)
    }
}

/// Gives the messages back, as often as they are asked for.
pub(super) struct Spooled {
    file: Arc<File>,
}

impl Spooled {
    /// All of them in their order. Must be called inside a runtime.
    pub(super) fn messages(&self) -> Box<dyn MessageCursor> {
        let from_start = At {
            file: Arc::clone(&self.file),
            offset: 0,
        };
        cursor(move |batches| read(from_start, batches))
    }
}

/// A place in a file that others read as well.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let some = self.file.read_at(buffer, self.offset)?;
        self.offset += some as u64;
        Ok(some)
    }
}

fn read(file: At, out: &mut BatchSender<DocBatch>) -> Result<(), ReadEnd> {
    let failed = |error| StoreError::io("read", std::env::temp_dir())(error);
    let mut file = BufReader::with_capacity(BUFFER, file);
    let mut doc = Vec::new();
    while !file.fill_buf().map_err(failed)?.is_empty() {
        let mut length = [0; 4];
        file.read_exact(&mut length).map_err(failed)?;
        doc.clear();
        doc.extend_from_slice(&length);
        doc.resize(
            usize::try_from(u32::from_le_bytes(length)).unwrap_or_default(),
            0,
        );
        let rest = doc.get_mut(length.len()..).unwrap_or_default();
        file.read_exact(rest).map_err(failed)?;
        out.push(&doc)?;
        // A single giant must not stay allocated.
        doc.shrink_to(BUFFER);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_once_comes_back_as_often_as_it_is_asked_for() {
        let mut spool = Spool::new(3).unwrap();
        let documents: Vec<Vec<u8>> = (0..3_000_usize)
            .map(|number| {
                // One larger than every buffer among many small ones.
                let size = if number == 1_500 {
                    3 << 20
                } else {
                    number % 700
                };
                let text = "x".repeat(size);
                let document = bson::doc! {"_id": i64::try_from(number).unwrap(), "msg": text};
                bson::serialize_to_vec(&document).unwrap()
            })
            .collect();
        for document in &documents {
            spool.push(document).unwrap();
        }
        let spooled = spool.finish().unwrap();
        let (mut one, mut other) = (spooled.messages(), spooled.messages());
        for cursor in [&mut one, &mut other] {
            let mut read = Vec::new();
            while let Some(batch) = cursor.next_batch().await.unwrap() {
                read.extend(batch.docs().map(<[u8]>::to_vec));
            }
            assert!(read == documents);
        }
    }

    #[tokio::test]
    async fn a_kept_message_that_is_cut_short_is_an_error() {
        let document = bson::serialize_to_vec(&bson::doc! {"_id": "m", "msg": "x"}).unwrap();
        for kept in [1, 3, 4, document.len() - 1] {
            let mut spool = Spool::new(1).unwrap();
            spool.push(&document).unwrap();
            spool.push(&document[..kept]).unwrap();
            let mut messages = spool.finish().unwrap().messages();
            let failed = loop {
                match messages.next_batch().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            assert!(failed, "{kept} bytes of a message");
        }
    }

    #[test]
    fn a_disk_without_room_is_told_before_anything_is_read() {
        let error = Spool::new(u64::MAX / MESSAGE).err().unwrap();
        assert!(matches!(
            error,
            ExportError::Store(StoreError::TemporaryFull { .. })
        ));
    }
}
