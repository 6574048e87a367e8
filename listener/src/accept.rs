//! Where connections come from, and what happens when the machine has no more file descriptors.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

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
        limit_unsent(&stream)?;
        Ok((stream, address))
    }
}

/// Bytes of an answer that lie in the kernel and are not even sent. By default it takes megabytes: a client that
/// reads slowly would pin them, and its reading would be seen in steps of a minute. What is sent and not
/// acknowledged yet, which is what fills a long fast line, comes on top.
const UNSENT_MAX: u32 = 128 * 1024;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX)
}

/// Elsewhere the size of the whole buffer is what can be told; it limits what is in flight, too.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_send_buffer_size(8 * UNSENT_MAX as usize)
}

/// How long to wait when the machine has no more file descriptors or memory: long enough not to
/// spin, short enough not to be noticed once some are free.
const RETRY_DELAY: Duration = Duration::from_millis(100);

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
                    cairn_protocol::warn_self!(%error, "no connection can be accepted");
                    failing = true;
                }
                shared.crowd.make_room(None);
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
