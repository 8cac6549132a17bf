//! The bridge from a blocking read to a [`MessageCursor`], bounded: a reader that nobody listens to waits.

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transcript::DocBatch;

use super::{MessageCursor, StoreError};

/// Bytes of documents that travel together.
const BATCH: usize = 512 << 10;
/// Batches that may wait: one more is being filled and one more consumed.
const AHEAD: usize = 2;

/// Where a blocking read puts its documents.
pub(crate) struct BatchSender {
    sender: mpsc::Sender<DocBatch>,
    batch: DocBatch,
}

/// Nobody listens any more: stop reading.
#[derive(Debug)]
pub(crate) struct Stopped;

impl BatchSender {
    /// Adds a document; waits while enough batches are on their way.
    pub(crate) fn push(&mut self, doc: &[u8]) -> Result<(), Stopped> {
        if !self.batch.is_empty() && self.batch.size() + doc.len() > BATCH {
            self.flush()?;
        }
        self.batch.push(doc);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        let batch = std::mem::replace(&mut self.batch, DocBatch::with_capacity(BATCH));
        self.sender.blocking_send(batch).map_err(|_| Stopped)
    }
}

/// What a blocking read ends with.
#[derive(Debug)]
pub(crate) enum ReadEnd {
    /// Nobody listens any more.
    Stopped,
    /// The store failed.
    Failed(StoreError),
}

impl From<Stopped> for ReadEnd {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl<E: Into<StoreError>> From<E> for ReadEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs `read` on a blocking thread and hands on what it pushes.
pub(crate) fn cursor(
    read: impl FnOnce(&mut BatchSender) -> Result<(), ReadEnd> + Send + 'static,
) -> Box<dyn MessageCursor> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let thread = tokio::task::spawn_blocking(move || {
        let mut batches = BatchSender {
            sender,
            batch: DocBatch::with_capacity(BATCH),
        };
        match read(&mut batches) {
            Ok(()) => {
                if !batches.batch.is_empty() {
                    let last = std::mem::take(&mut batches.batch);
                    // When nobody listens any more there is nobody to tell.
                    let _ = batches.sender.blocking_send(last);
                }
                Ok(())
            }
            Err(ReadEnd::Stopped) => Ok(()),
            Err(ReadEnd::Failed(error)) => Err(error),
        }
    });
    Box::new(BatchCursor {
        receiver,
        thread: Some(thread),
    })
}

struct BatchCursor {
    receiver: mpsc::Receiver<DocBatch>,
    /// Taken when its end was seen: a read that failed or panicked must not look like the end of the room.
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

#[async_trait]
impl MessageCursor for BatchCursor {
    async fn next_batch(&mut self) -> Result<Option<DocBatch>, StoreError> {
        if let Some(batch) = self.receiver.recv().await {
            return Ok(Some(batch));
        }
        match self.thread.take() {
            Some(thread) => joined(thread.await).map(|()| None),
            None => Ok(None),
        }
    }
}

/// Runs blocking work beside the async tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(
    outcome: Result<Result<T, StoreError>, tokio::task::JoinError>,
) -> Result<T, StoreError> {
    match outcome {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(StoreError::Cancelled),
        },
    }
}
