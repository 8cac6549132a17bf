//! A connection that many tasks use in turns, without a thread for each that waits.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::store::StoreError;
use crate::store::batches::blocking;

/// Threads that are at the connection or stand right behind it, so that it is never idle while there is work. All
/// others wait as tasks: hundreds of requests must not hold hundreds of threads, with their memory.
const AT_A_TIME: usize = 4;

/// The connection.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    connection: Arc<Mutex<Connection>>,
    places: Arc<Semaphore>,
}

impl Turns {
    /// Shares a connection.
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection: Arc::new(Mutex::new(connection)),
            places: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }

    /// Does something with the connection when it is its turn.
    pub(crate) async fn take<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let connection = Arc::clone(&self.connection);
        blocking(move || {
            // Given back when the work is done, also when nobody waits for it any more.
            let _place = place;
            // Work that panicked has changed nothing: a transaction that is dropped is rolled back.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
    }
}
