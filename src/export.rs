//! The use cases. `file` exports a room to a ZIP: source → pipeline → attachments, messages, manifest; `job` does so for a
//! job of the queue.
//!
//! Nothing in memory grows with the number of messages or attachments: what must be remembered is in the
//! [`ledger`], on disk.

pub mod archive;
pub(crate) mod attachments;
mod bloom;
pub mod file;
mod first_pass;
pub mod job;
pub mod ledger;
pub(crate) mod mails;
pub(crate) mod markup;
mod pages;
pub mod pictures;
mod pipeline;
pub mod progress;
pub mod report;
pub mod request;
mod search;
mod spool;
pub mod style;
pub mod target;
mod threads;

use std::io;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use zipstream::ZipError;

use crate::blob::BlobStore;
use crate::mail::MailError;
use crate::store::{MessageSource, StoreError};
use ledger::{LedgerError, MissingFile};
use progress::Progress;

/// What a running export works with.
pub struct Job<'a> {
    /// Where messages come from.
    pub source: &'a dyn MessageSource,
    /// Where file contents come from.
    pub blobs: &'a dyn BlobStore,
    /// Told how far the export is.
    pub progress: &'a Progress,
    /// Asked whether to stop.
    pub cancel: &'a CancellationToken,
    /// Told of every file that is missing.
    pub on_missing: &'a (dyn Fn(&MissingFile) + Send + Sync),
}

impl Job<'_> {
    /// Waits for a place that files come from, which may take its time to fail, unless the export is cancelled. Blocks.
    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, ExportError> {
        Handle::current().block_on(async {
            tokio::select! {
                biased;
                done = work => Ok(done),
                () = self.cancel.cancelled() => Err(ExportError::Cancelled),
            }
        })
    }

    fn check_cancelled(&self) -> Result<(), ExportError> {
        if self.cancel.is_cancelled() {
            Err(ExportError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Why an export failed. Odd data never does.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The user stopped it.
    #[error("cancelled")]
    Cancelled,
    /// Reading failed.
    #[error(transparent)]
    Store(StoreError),
    /// Packing failed, most likely because the output could not be written.
    #[error(transparent)]
    Zip(ZipError),
    /// The temporary index failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A temporary file could not be made.
    #[error("cannot make a temporary file; is the disk of TMPDIR full?")]
    Spool(#[source] io::Error),
    /// The temporary files of the search index failed.
    #[error(
        "the temporary files of the search index failed; if the disk of TMPDIR is full, free some space, set TMPDIR to a larger one, or leave the search out"
    )]
    Index(#[source] io::Error),
    /// A message could not become a mail.
    #[error("cannot write a message as a mail")]
    Mail(#[source] MailError),
    /// A report could not be written as JSON.
    #[error("cannot write the manifest")]
    Manifest(#[from] serde_json::Error),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cancelled => Self::Cancelled,
            other => Self::Store(other),
        }
    }
}

impl From<ZipError> for ExportError {
    fn from(error: ZipError) -> Self {
        Self::Zip(error)
    }
}
