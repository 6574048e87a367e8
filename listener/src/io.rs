//! The stream between hyper and the client: it reports reads and writes to the connection's activity, and lets `framing` see
//! the bytes first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::complaint::CloseReason;
use super::framing::{Framing, Refused};
use super::stall::Stall;

/// A stream that reports reads and writes to its [`Activity`], refuses messages that two parsers could understand differently,
/// and fails when the client does not read.
pub(super) struct Watched<T> {
    stream: T,
    activity: Arc<Activity>,
    unread: Stall,
    guard: Guard,
    /// Bytes to write before hyper's next bytes.
    interim: &'static [u8],
    /// Bytes that were read to detect the protocol. hyper reads them again: `prefix` from `prefix_at` on.
    prefix: Vec<u8>,
    prefix_at: usize,
    linger: Linger,
}

/// The check of HTTP/1 bytes before hyper reads them.
enum Guard {
    /// The connection does not speak HTTP/1.
    Off,
    Following(Box<Framing>),
    /// A message was refused. hyper reads these bytes in place of the rest of its head, and then the end of the stream.
    Refusing(&'static [u8]),
}

/// The bytes that hyper reads in place of a refused head. They end the head that hyper may have begun to read, and make it
/// invalid, because NUL is not allowed in a head. So hyper answers 400 after the answers to earlier requests and closes the
/// connection, and the refused head never reaches a service.
const WRONG_HEAD: &[u8] = b"\0\r\n\r\n";

/// hyper sends this when a body is read, and so never for a request without a body. A client that expects it must get it: if the
/// final answer comes first, aws-cli 1 takes the answer to its next request on the connection for a part of this one, and waits
/// for its end until it times out. RFC 9110, section 10.1.1, allows both.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The close of a stream whose client is still sending a refused request. An immediate close would send a reset, on which the
/// client's kernel drops the answer before the client reads it. So the listener first ends its half, and discards incoming bytes
/// for a while (RFC 9112, section 9.6).
struct Linger {
    half_closed: bool,
    time: Stall,
}

/// How long the bytes of a client are discarded before the close, so that it can notice the answer.
pub(super) const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// The first bytes of an HTTP/2 client (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<T: AsyncRead + Unpin> Watched<T> {
    /// `unread` measures how long the client does not read, and `linger` how long closing takes.
    pub(super) fn new(stream: T, activity: Arc<Activity>, unread: Stall, linger: Stall) -> Self {
        let linger = Linger { half_closed: false, time: linger };
        let guard = Guard::Following(Box::default());
        Self { stream, activity, unread, guard, interim: b"", prefix: Vec::new(), prefix_at: 0, linger }
    }

    /// Turns the check off: HTTP/2 has its own framing, which its parser checks.
    pub(super) fn is_http2(&mut self) {
        self.guard = Guard::Off;
    }

    /// Whether the client begins with HTTP/2's preface. Reads only as many bytes as the decision needs.
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
        if let Guard::Refusing(wrong) = &mut this.guard {
            let now = wrong.len().min(buffer.remaining());
            buffer.put_slice(&wrong[..now]);
            *wrong = &wrong[now..];
            return Poll::Ready(Ok(()));
        }
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
        if let Guard::Following(framing) = &mut this.guard {
            if let Err(refused) = framing.follow(&buffer.filled()[before..]) {
                return Poll::Ready(this.refuse(refused, buffer, before));
            }
            // While an answer is being written, it would end up in the middle of that answer.
            if framing.take_owed_continue() && this.activity.is_quiet() {
                this.interim = CONTINUE;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Watched<T> {
    /// Withholds a refused message from hyper, which begins or becomes invalid in the bytes that were just read.
    fn refuse(&mut self, refused: Refused, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let Refused { keep, in_body, why } = refused;
        self.activity.log_close(CloseReason::Ambiguous(why));
        self.guard = Guard::Refusing(b"");
        if in_body {
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        buffer.set_filled(before + keep);
        let now = WRONG_HEAD.len().min(buffer.remaining());
        buffer.put_slice(&WRONG_HEAD[..now]);
        self.guard = Guard::Refusing(&WRONG_HEAD[now..]);
        Ok(())
    }
}

impl<T> Watched<T> {
    /// Reports the outcome of a write or a flush, and fails it when the client does not read for too long.
    fn watch<O>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<O>>,
        written: impl FnOnce(&O) -> Option<usize>,
    ) -> Poll<io::Result<O>> {
        match outcome {
            Poll::Ready(Ok(outcome)) => {
                // A flush without bytes to write is no progress.
                if let Some(bytes) = written(&outcome) {
                    if let Guard::Following(framing) = &mut self.guard {
                        framing.answered();
                    }
                    self.activity.bytes_written(bytes);
                    if self.unread.progress(bytes) {
                        self.activity.log_close(CloseReason::SlowReader);
                        return Poll::Ready(Err(unread("the client reads its answer too slowly")));
                    }
                }
                Poll::Ready(Ok(outcome))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.activity.write_blocked();
                self.unread.poll_waiting(cx).map(|()| {
                    self.activity.log_close(CloseReason::StalledReader);
                    Err(unread("the client does not read its answer"))
                })
            }
        }
    }
}

fn unread(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<T: AsyncRead + Unpin> Watched<T> {
    /// Discards incoming bytes until the client ends its half or the time is over.
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

impl<T: AsyncWrite + Unpin> Watched<T> {
    /// Writes the bytes that precede hyper's.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let outcome = Pin::new(&mut self.stream).poll_write(cx, self.interim);
            let written = ready!(self.watch(cx, outcome, |_| None))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim = &self.interim[written..];
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.watch(cx, outcome, |written| Some(*written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, outcome, |()| None)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.linger.half_closed {
            let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.watch(cx, outcome, |()| None))?;
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
        ready!(self.poll_interim(cx))?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.watch(cx, outcome, |written| Some(*written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
