//! Async in front, plain code behind, bounded between: a task reads batches ahead of the thread that renders them.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ExportError;
use crate::store::{DocBatch, MessageCursor, MessageQuery, MessageSource, StoreError};

/// Batches that wait for the renderer.
const AHEAD: usize = 1;

/// Batches of a query, read ahead by a task of their own.
pub(super) struct Batches {
    receiver: mpsc::Receiver<Result<DocBatch, StoreError>>,
    task: JoinHandle<()>,
}

impl Batches {
    /// Starts reading. Must be called on a thread that may block, inside a runtime.
    pub(super) fn start(source: Arc<dyn MessageSource>, query: MessageQuery) -> Self {
        Self::of(async move { source.messages(&query).await })
    }

    /// The same from a cursor that is about to be there.
    pub(super) fn of(
        cursor: impl Future<Output = Result<Box<dyn MessageCursor>, StoreError>> + Send + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let task = Handle::current().spawn(async move {
            let mut cursor = match cursor.await {
                Ok(cursor) => cursor,
                Err(error) => {
                    // Nobody listens any more: the other side has its own reason to stop.
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            loop {
                let item = match cursor.next_batch().await {
                    Ok(Some(batch)) => Ok(batch),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let failed = item.is_err();
                if sender.send(item).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { receiver, task }
    }

    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<DocBatch>, ExportError> {
        match self.receiver.blocking_recv() {
            Some(batch) => Ok(Some(batch?)),
            None => match Handle::current().block_on(&mut self.task) {
                Ok(()) => Ok(None),
                // A reader that panicked has not come to its end: what it would have read is not there.
                Err(error) => {
                    Err(StoreError::Corrupt(format!("reading messages stopped: {error}")).into())
                }
            },
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.task.abort();
    }
}
