//! The source of connections, and the behaviour when the machine has no more file descriptors.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::Shared;

/// A source of connections. Dropping it stops listening.
pub trait Accept: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. Loses none when it is dropped while waiting.
    ///
    /// # Errors
    /// An error of one connection or of the machine, after which the caller tries again.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Answers are written whole, so waiting for more bytes would only delay their last packet.
        stream.set_nodelay(true)?;
        limit_unsent(&stream)?;
        Ok((stream, address))
    }
}

/// Upper limit for the unsent bytes of an answer in the kernel. The kernel's default is megabytes: a client that reads slowly
/// would pin them, and the listener would notice its progress only once a minute. Bytes that are sent and not yet
/// acknowledged, which fill a long fast line, do not count.
const UNSENT_MAX: u32 = 128 * 1024;

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX)
}

/// Other systems only have a limit for the whole buffer, which counts bytes in flight, too.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_send_buffer_size(8 * UNSENT_MAX as usize)
}

/// Delay before the next attempt when the machine has no more file descriptors or memory: long enough not to spin, and too short
/// for clients to notice once some are free.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Waits for the next connection, and tries again after errors.
pub(super) async fn accept<A: Accept>(accept: &mut A, shared: &Shared) -> (A::Stream, SocketAddr) {
    let mut failing = false;
    loop {
        match accept.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection broke before it was accepted");
            }
            Err(error) => {
                // A series of failures is logged once, because the log is on the same machine.
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

/// Whether the error is one of the new connection and not of the listener (accept(2) returns pending network errors of the new
/// socket).
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
