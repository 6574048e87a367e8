use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Shared;

/// Where connections come from. Dropping it stops listening.
pub trait Accept: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Loses none when it is dropped while waiting.
    ///
    /// # Errors
    /// Of one connection, or of the machine; the caller tries again.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Answers are written whole; waiting for more to send would only delay their last packet.
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }
}

/// How long to wait when the machine has no more file descriptors or memory: long enough not to
/// spin, short enough that nobody notices once some are free.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Waits for a free place, asking idle connections to make room. `None` never happens: the semaphore
/// is not closed.
pub(super) async fn place(places: &Arc<Semaphore>, crowded: &Notify) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = places.clone().try_acquire_owned() {
        return Some(place);
    }
    crowded.notify_one();
    places.clone().acquire_owned().await.ok()
}

/// The next connection, however many errors come before it.
pub(super) async fn accept<A: Accept>(accept: &mut A, shared: &Shared) -> (A::Stream, SocketAddr) {
    let mut failing = false;
    loop {
        match accept.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection broke before it was accepted");
            }
            Err(error) => {
                // Once for a row of failures: the log is on the same machine.
                if !failing {
                    crate::warn_self!(%error, "no connection can be accepted");
                    failing = true;
                }
                shared.crowded.notify_one();
                shared.env.sleep(RETRY_DELAY).await;
            }
        }
    }
}

/// Whether the error is about the connection that was to be accepted, not about the listener
/// (accept(2) passes pending network errors of the new socket on).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
