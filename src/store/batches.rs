//! The bridge from a blocking read to a [`MessageCursor`], bounded: a reader that nobody listens to waits.

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transcript::DocBatch;

use super::outline::{OutlineCursor, Place, PlaceBatch};
use super::{MessageCursor, StoreError};

/// Bytes of documents that travel together.
const BATCH: usize = 256 << 10;
/// Batches that may wait: one more is being filled and one more consumed.
const AHEAD: usize = 2;

/// Where a blocking read puts what it finds: documents, or places of an outline.
pub(crate) struct BatchSender<B> {
    sender: mpsc::Sender<B>,
    batch: B,
}

/// Nobody listens any more: stop reading.
#[derive(Debug)]
pub(crate) struct Stopped;

impl BatchSender<DocBatch> {
    /// Adds a document; waits while enough batches are on their way.
    pub(crate) fn push(&mut self, doc: &[u8]) -> Result<(), Stopped> {
        if !self.batch.is_empty() && self.batch.size() + doc.len() > BATCH {
            self.flush(DocBatch::with_capacity(BATCH))?;
        }
        self.batch.push(doc);
        Ok(())
    }
}

impl BatchSender<PlaceBatch> {
    /// Adds a place; waits while enough batches are on their way.
    pub(crate) fn push(&mut self, place: Place<'_>) -> Result<(), Stopped> {
        if self.batch.is_full() {
            self.flush(PlaceBatch::default())?;
        }
        self.batch.push(place);
        Ok(())
    }
}

impl<B> BatchSender<B> {
    /// Waits until nobody listens any more.
    pub(crate) async fn abandoned(&self) {
        self.sender.closed().await;
    }

    fn flush(&mut self, next: B) -> Result<(), Stopped> {
        let batch = std::mem::replace(&mut self.batch, next);
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

/// Runs `read` on a blocking thread and hands on the documents that it pushes.
pub(crate) fn cursor(
    read: impl FnOnce(&mut BatchSender<DocBatch>) -> Result<(), ReadEnd> + Send + 'static,
) -> Box<dyn MessageCursor> {
    let empty = DocBatch::with_capacity(BATCH);
    Box::new(BatchCursor::start(empty, DocBatch::is_empty, read))
}

/// Runs `read` on a blocking thread and hands on the places that it pushes.
pub(crate) fn outline_cursor(
    read: impl FnOnce(&mut BatchSender<PlaceBatch>) -> Result<(), ReadEnd> + Send + 'static,
) -> Box<dyn OutlineCursor> {
    let empty = PlaceBatch::default();
    Box::new(BatchCursor::start(empty, PlaceBatch::is_empty, read))
}

struct BatchCursor<B> {
    receiver: mpsc::Receiver<B>,
    /// Taken when its end was seen: a read that failed or panicked must not look like the end of the room.
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

impl<B: Send + 'static> BatchCursor<B> {
    fn start(
        batch: B,
        is_empty: fn(&B) -> bool,
        read: impl FnOnce(&mut BatchSender<B>) -> Result<(), ReadEnd> + Send + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let thread = tokio::task::spawn_blocking(move || {
            let mut batches = BatchSender { sender, batch };
            match read(&mut batches) {
                Ok(()) => {
                    if !is_empty(&batches.batch) {
                        // When nobody listens any more there is nobody to tell.
                        let _ = batches.sender.blocking_send(batches.batch);
                    }
                    Ok(())
                }
                Err(ReadEnd::Stopped) => Ok(()),
                Err(ReadEnd::Failed(error)) => Err(error),
            }
        });
        Self {
            receiver,
            thread: Some(thread),
        }
    }

    async fn next(&mut self) -> Result<Option<B>, StoreError> {
        if let Some(batch) = self.receiver.recv().await {
            return Ok(Some(batch));
        }
        match self.thread.take() {
            Some(thread) => joined(thread.await).map(|()| None),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl MessageCursor for BatchCursor<DocBatch> {
    async fn next_batch(&mut self) -> Result<Option<DocBatch>, StoreError> {
        self.next().await
    }
}

#[async_trait]
impl OutlineCursor for BatchCursor<PlaceBatch> {
    async fn next_batch(&mut self) -> Result<Option<PlaceBatch>, StoreError> {
        self.next().await
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
