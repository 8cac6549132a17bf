//! Accepts connections and serves them: as many as the configuration allows, none for longer than it moves.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Http;
use super::call::Peer;
use crate::network;

/// Largest head of a request in bytes; what one connection can make us hold.
const HEAD: usize = 64 << 10;
/// Each client may have one of so many connections.
const SHARE: usize = 4;
/// Wait after the system refused a connection, which it does when there are no file descriptors left.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Serves until `soft`; then ends what has begun, until `hard` or for the grace time of the jobs. Downloads that take
/// longer are cut off, and their clients continue them with `Range`.
pub async fn serve(
    listener: TcpListener,
    http: Http,
    soft: CancellationToken,
    hard: CancellationToken,
) {
    let config = Arc::clone(&http.service.config);
    let timeout = config.http.request_timeout;
    let most = config.http.max_connections.max(1);
    let connections = Arc::new(Semaphore::new(most));
    let clients = Arc::new(Clients {
        // Behind a proxy everybody is the proxy.
        most: match config.http.forwarded_count {
            0 => most.div_ceil(SHARE),
            _ => most,
        },
        open: Mutex::default(),
    });
    let router = TowerToHyperService::new(super::router(http));
    let open = TaskTracker::new();
    // Dropped at the end: what is open then is closed.
    let close = hard.child_token();
    let _closes = close.clone().drop_guard();
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (stream, peer, permit) = tokio::select! {
            () = soft.cancelled() => break,
            accepted = accepted => match accepted {
                (Ok((stream, peer)), permit) => (stream, peer, permit),
                (Err(error), _) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(AFTER_REFUSAL).await;
                    continue;
                }
            },
        };
        let Some(place) = permit
            .ok()
            .and_then(|permit| clients.admit(peer.ip(), permit))
        else {
            tracing::debug!(%peer, "the client has too many connections");
            continue;
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.call(request)
        });
        let (soft, close) = (soft.clone(), close.clone());
        open.spawn(async move {
            let _place = place;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeout)
                .max_buf_size(HEAD)
                .serve_connection(TokioIo::new(Moving::new(stream, timeout)), service);
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = soft.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! { ended = connection => ended, () = close.cancelled() => return }
                }
            };
            if let Err(error) = ended {
                // The client's doing: it went away, was too slow, or spoke no HTTP.
                tracing::debug!(%error, %peer, "connection ended");
            }
        });
    }
    drop(listener);
    open.close();
    let in_time = tokio::select! {
        () = open.wait() => true,
        () = hard.cancelled() => false,
        () = sleep(config.jobs.grace) => false,
    };
    if !in_time {
        tracing::warn!(connections = open.len(), "connections are cut off");
    }
}

/// The open connections of each client, so that none has them all. Never more entries than connections.
struct Clients {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Clients {
    /// A place for one more connection of a client, unless it has its share.
    fn admit(self: &Arc<Self>, peer: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let client = network::of(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&client).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        open.insert(client, count + 1);
        Some(Place {
            clients: Arc::clone(self),
            client,
            _permit: permit,
        })
    }
}

/// The place of one connection, free again when it is dropped.
struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
    /// Given back last: whoever has it next finds the client's place free.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .clients
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.client);
            }
        }
    }
}

/// A connection that fails when its client takes nothing of what is to be sent for some time.
struct Moving {
    stream: TcpStream,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Moving {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            stalled: None,
        }
    }

    /// What a write has come to, unless it has waited too long.
    fn patient<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Moving {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Moving {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patient(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.patient(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.patient(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn no_client_has_more_than_its_share_of_the_connections() {
        let connections = Arc::new(Semaphore::new(8));
        let clients = Arc::new(Clients {
            most: 2,
            open: Mutex::default(),
        });
        let admit = |peer: &str| {
            let permit = Arc::clone(&connections).try_acquire_owned().unwrap();
            clients.admit(peer.parse().unwrap(), permit)
        };
        let first = admit("2001:db8::1").unwrap();
        let second = admit("2001:db8::2").unwrap();
        assert!(admit("2001:db8::3").is_none());
        let other = admit("2001:db8:0:1::1").unwrap();
        drop(first);
        let third = admit("2001:db8::3").unwrap();
        assert!(admit("2001:db8::1").is_none());
        drop((second, third, other));
        assert!(clients.open.lock().unwrap().is_empty());
        assert_eq!(connections.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Stays open, and is never read from.
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = Moving::new(stream, Duration::from_millis(20));
        let bytes = vec![0; 64 << 10];
        let error = loop {
            if let Err(error) = stream.write_all(&bytes).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
