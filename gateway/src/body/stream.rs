//! The payload of a request as a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use cairn_listener::RequestBodyError;
use futures_util::{Stream, StreamExt};

use super::chunked::{ChunkedDecoder, Framing};
use super::payload_spec::PayloadSpec;
use super::verify::{PayloadDigests, PayloadVerifier};
use crate::auth::{ChunkSigner, ContentSha256};
use crate::error::{ErrorCode, S3Error, S3Result};

/// The bytes of a payload, without framing. The stream ends without an error only if they match everything that the client
/// declared about them.
///
/// The body is polled for the first time when this stream is. The server answers `Expect: 100-continue` only then.
pub(crate) struct PayloadStream {
    state: StreamState,
    digests: Option<PayloadDigests>,
}

enum StreamState {
    Reading(Box<Reading>),
    Refused(Option<S3Error>),
    Ended,
}

struct Reading {
    body: BodyDataStream,
    /// The bytes of the last frame that are not decoded yet.
    input: Bytes,
    decoder: Option<ChunkedDecoder>,
    verifier: PayloadVerifier,
}

impl std::fmt::Debug for PayloadStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadStream").field("digests", &self.digests).finish_non_exhaustive()
    }
}

impl PayloadStream {
    /// The payload of this body. `signer` has the first signature of the chain for signed chunks.
    pub(crate) fn new(body: Body, spec: PayloadSpec, signer: Option<ChunkSigner>) -> Self {
        let state = match framing(&spec, signer) {
            Ok(framing) => StreamState::Reading(Box::new(Reading {
                body: body.into_data_stream(),
                input: Bytes::new(),
                decoder: framing.map(|framing| ChunkedDecoder::new(framing, spec.length)),
                verifier: PayloadVerifier::new(spec),
            })),
            Err(error) => StreamState::Refused(Some(error)),
        };
        Self { state, digests: None }
    }

    /// The digests; `None` until the stream has ended without an error.
    pub(crate) fn digests(&self) -> Option<&PayloadDigests> {
        self.digests.as_ref()
    }

    /// Collects a small payload, such as an XML document.
    ///
    /// # Errors
    /// `MaxMessageLengthExceeded` beyond `limit` bytes, and the errors of the stream.
    pub(crate) async fn collect(mut self, limit: usize) -> S3Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes?;
            if whole.len() + bytes.len() > limit {
                return Err(S3Error::new(ErrorCode::MaxMessageLengthExceeded).closing());
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }
}

impl Reading {
    /// The next bytes of payload; `None` when the body has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<S3Result<Option<Bytes>>> {
        loop {
            if let Some(bytes) = self.decode()? {
                self.verifier.update(&bytes)?;
                return Poll::Ready(Ok(Some(bytes)));
            }
            match ready!(self.body.poll_next_unpin(cx)) {
                Some(Ok(frame)) => self.input = frame,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn decode(&mut self) -> S3Result<Option<Bytes>> {
        match &mut self.decoder {
            Some(decoder) => decoder.decode(&mut self.input),
            None if self.input.is_empty() => Ok(None),
            None => Ok(Some(std::mem::take(&mut self.input))),
        }
    }

    fn finish(self) -> S3Result<PayloadDigests> {
        let trailers = self.decoder.map(ChunkedDecoder::finish).transpose()?.unwrap_or_default();
        self.verifier.finish(&trailers)
    }
}

/// The framing of the body, if it has one.
fn framing(spec: &PayloadSpec, signer: Option<ChunkSigner>) -> S3Result<Option<Framing>> {
    let signed = |trailers| {
        // Only a claim of version 4 can have signed chunks, and it always has the first signature of the chain.
        let signer =
            signer.ok_or_else(|| S3Error::internal("signed chunks without a chain of signatures"))?;
        Ok(Some(Framing::Signed { signer: Box::new(signer), trailers }))
    };
    match spec.content {
        ContentSha256::Digest(_) | ContentSha256::Unsigned => Ok(None),
        ContentSha256::Chunks => signed(false),
        ContentSha256::ChunksAndTrailer => signed(true),
        ContentSha256::UnsignedTrailer => Ok(Some(Framing::Unsigned)),
    }
}

fn broken(error: axum::Error) -> S3Error {
    let answer = match RequestBodyError::find(&error) {
        Some(RequestBodyError::Stalled | RequestBodyError::TooSlow) => {
            S3Error::new(ErrorCode::RequestTimeout)
        }
        Some(RequestBodyError::Broken(_)) | None => {
            S3Error::with_message(ErrorCode::IncompleteBody, "The request body terminated unexpectedly")
        }
    };
    answer.caused_by(error)
}

impl Stream for PayloadStream {
    type Item = S3Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let reading = match &mut this.state {
            StreamState::Reading(reading) => reading,
            StreamState::Refused(error) => return Poll::Ready(error.take().map(Err)),
            StreamState::Ended => return Poll::Ready(None),
        };
        let error = match ready!(reading.poll(cx)) {
            Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
            Ok(None) => match std::mem::replace(&mut this.state, StreamState::Ended) {
                StreamState::Reading(reading) => match reading.finish() {
                    Ok(digests) => {
                        this.digests = Some(digests);
                        return Poll::Ready(None);
                    }
                    Err(error) => error,
                },
                StreamState::Refused(_) | StreamState::Ended => return Poll::Ready(None),
            },
            Err(error) => error,
        };
        this.state = StreamState::Ended;
        // The rest of the body is still on the connection, and its length is unknown.
        Poll::Ready(Some(Err(error.closing())))
    }
}
