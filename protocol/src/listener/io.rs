use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::stall::Stall;

/// A stream that tells its [`Activity`] what passes, and breaks when its other end does not read.
pub(super) struct Watched<T> {
    stream: T,
    activity: Arc<Activity>,
    unread: Stall,
    /// Bytes read to detect the protocol, to be read again: all of `prefix` from `prefix_at`.
    prefix: Vec<u8>,
    prefix_at: usize,
    linger: Linger,
}

/// How a stream is closed whose client is still sending what nobody will read: its kernel would take
/// our closing for a reset and throw the answer away before the client sees it. So we end our half
/// first and discard what comes for a while (RFC 9112, section 9.6).
struct Linger {
    half_closed: bool,
    time: Stall,
}

/// How long what a client still sends is discarded: time for it to notice the answer.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<T: AsyncRead + Unpin> Watched<T> {
    /// `unread` measures how long the client does not read, `linger` how long closing may take.
    pub(super) fn new(stream: T, activity: Arc<Activity>, unread: Stall, linger: Stall) -> Self {
        let linger = Linger { half_closed: false, time: linger };
        Self { stream, activity, unread, prefix: Vec::new(), prefix_at: 0, linger }
    }

    /// Whether the client begins as an HTTP/2 client does. Reads no further than that tells.
    pub(super) async fn begins_as_http2(&mut self) -> io::Result<bool> {
        let mut prefix = [0; HTTP2_PREFACE.len()];
        let mut filled = 0;
        let mut is_http2 = true;
        while is_http2 && filled < prefix.len() {
            let read = self.stream.read(&mut prefix[filled..]).await?;
            filled += read;
            is_http2 = read > 0 && HTTP2_PREFACE.starts_with(&prefix[..filled]);
        }
        self.prefix = prefix[..filled].to_vec();
        Ok(is_http2)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if this.prefix_at < this.prefix.len() {
            let left = &this.prefix[this.prefix_at..];
            let now = left.len().min(buffer.remaining());
            buffer.put_slice(&left[..now]);
            this.prefix_at += now;
        } else {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        }
        if buffer.filled().len() > before {
            this.activity.bytes_read();
        } else if buffer.remaining() > 0 {
            this.activity.client_closed();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Watched<T> {
    /// What becomes of the outcome of a write or a flush.
    fn watch<O>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<O>>,
        progress: bool,
    ) -> Poll<io::Result<O>> {
        match outcome {
            Poll::Ready(outcome) => {
                // A flush that has nothing to do is no sign of life.
                if progress {
                    self.unread.progress();
                    self.activity.bytes_written();
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => self.unread.poll_waiting(cx).map(|()| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer"))
            }),
        }
    }
}

impl<T: AsyncRead + Unpin> Watched<T> {
    /// Discards what the client sends until it stops or the time is over.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut discarded = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    if self.linger.time.poll_waiting(cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.linger.time.poll_waiting(cx),
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.watch(cx, outcome, true)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, outcome, false)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.linger.half_closed {
            let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.watch(cx, outcome, false))?;
            self.linger.half_closed = true;
        }
        if self.activity.client_may_be_sending() {
            ready!(self.poll_discard(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.watch(cx, outcome, true)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
