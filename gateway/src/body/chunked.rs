//! Removes the aws-chunked framing of a body.
//!
//! ```text
//! <size in hex>[;chunk-signature=<64 hex digits>]CRLF <bytes> CRLF     any number of times
//! 0[;chunk-signature=<64 hex digits>]CRLF
//! [<name>:<value>CRLF …] [x-amz-trailer-signature:<64 hex digits>CRLF]
//! CRLF
//! ```
//!
//! Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring
//! Payload in Multiple Chunks (Chunked Upload)", and the same "Including trailing headers".
//!
//! The decoder buffers framing lines only. It returns a chunk's bytes as slices of the input, before it can check the
//! chunk's signature. If the check at the end of the chunk fails, the caller must discard them.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::auth::{ChunkSigner, Signature};
use crate::error::{ErrorCode, S3Error, S3Result};

/// The maximum length of a chunk's first line in bytes. A size (up to 16 hex digits) and a signature fit in 100 bytes.
/// The limit keeps a client from filling the memory.
const HEADER_MAX: usize = 256;

/// The maximum length of all trailers in bytes. They contain one checksum and one signature. The limit keeps a client from
/// filling the memory.
const TRAILERS_MAX: usize = 4096;

/// The form of the chunks of a body.
#[derive(Debug)]
pub enum Framing {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, or `…-TRAILER` with trailers.
    Signed {
        /// Computes the expected signatures.
        signer: Box<ChunkSigner>,
        /// Whether trailers follow. They have a signature of their own.
        trailers: bool,
    },
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    Unsigned,
}

#[derive(Debug, PartialEq, Eq)]
enum DecoderState {
    /// The next bytes belong to a chunk's first line.
    Header,
    /// This many bytes of a chunk follow.
    Data(u64),
    /// The CRLF after a chunk's bytes follows.
    DataEnd,
    /// A trailer line follows, or the empty line that ends the body.
    Trailers,
    /// The body has ended.
    Done,
}

/// An incremental decoder. It accepts the body in pieces of any length.
#[derive(Debug)]
pub struct ChunkedDecoder {
    framing: Framing,
    state: DecoderState,
    /// The incomplete framing line.
    line: BytesMut,
    /// The length in bytes of the trailers so far.
    trailer_bytes: usize,
    /// The number of payload bytes that no chunk has announced yet.
    remaining: u64,
    /// The hash of the current chunk's bytes so far.
    chunk: Sha256,
    /// The signature that the current chunk claims.
    claimed: Option<String>,
    trailers: Vec<(String, String)>,
    trailer_signature: Option<String>,
}

impl ChunkedDecoder {
    /// A decoder of a body whose payload is `decoded_length` bytes long.
    pub fn new(framing: Framing, decoded_length: u64) -> Self {
        Self {
            framing,
            state: DecoderState::Header,
            line: BytesMut::new(),
            trailer_bytes: 0,
            remaining: decoded_length,
            chunk: Sha256::new(),
            claimed: None,
            trailers: Vec::new(),
            trailer_signature: None,
        }
    }

    /// Consumes `input` up to the end of the next payload bytes, and returns these. Returns `None` if all of `input` was
    /// consumed and contained no payload bytes.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, `IncompleteBody` (the payload is longer or shorter than declared),
    /// `MalformedTrailerError`, or `InvalidRequest` for invalid framing.
    pub fn decode(&mut self, input: &mut Bytes) -> S3Result<Option<Bytes>> {
        while !input.is_empty() {
            match self.state {
                DecoderState::Header => {
                    if let Some(line) = self.line(input, HEADER_MAX)? {
                        self.begin_chunk(&line)?;
                    }
                }
                DecoderState::Data(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let data = input.split_to(take);
                    self.take_data(left, &data);
                    return Ok(Some(data));
                }
                DecoderState::DataEnd => {
                    if let Some(line) = self.line(input, 2)? {
                        self.end_chunk(&line)?;
                    }
                }
                DecoderState::Trailers => {
                    if let Some(line) = self.line(input, TRAILERS_MAX)? {
                        self.trailer(&line)?;
                    }
                }
                DecoderState::Done => return Err(malformed("there are bytes after the last chunk")),
            }
        }
        Ok(None)
    }

    /// Completes the body at its end, and returns the trailers.
    ///
    /// # Errors
    /// `IncompleteBody` if it ended early.
    pub fn finish(self) -> S3Result<Vec<(String, String)>> {
        if self.state != DecoderState::Done {
            return Err(S3Error::with_message(
                ErrorCode::IncompleteBody,
                "The request body terminated unexpectedly",
            ));
        }
        Ok(self.trailers)
    }

    /// The next line without its CRLF; `None` while it is incomplete.
    fn line(&mut self, input: &mut Bytes, limit: usize) -> S3Result<Option<BytesMut>> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let piece = input.split_to(end.map_or(input.len(), |end| end + 1));
        if self.line.len() + piece.len() > limit {
            return Err(malformed("a line of the chunk framing is too long"));
        }
        self.line.extend_from_slice(&piece);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if !line.ends_with(b"\r\n") {
            // AWS's own example of trailers has a line feed without a carriage return inside a line.
            if self.state == DecoderState::Trailers {
                self.line = line;
                return Ok(None);
            }
            return Err(malformed("a line of the chunk framing does not end with CRLF"));
        }
        line.truncate(line.len() - 2);
        Ok(Some(line))
    }

    fn begin_chunk(&mut self, line: &[u8]) -> S3Result<()> {
        let line = std::str::from_utf8(line).map_err(|_| malformed("a chunk's header is no text"))?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let digits = (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| digits);
        let size = size.ok_or_else(|| malformed("a chunk's size is no hexadecimal number"))?;
        self.claimed = match &self.framing {
            Framing::Signed { .. } => {
                let signature = extension.strip_prefix("chunk-signature=");
                Some(signature.ok_or_else(|| malformed("a chunk has no signature"))?.to_owned())
            }
            Framing::Unsigned => None,
        };
        if size > self.remaining || (size == 0 && self.remaining > 0) {
            return Err(wrong_length());
        }
        self.remaining -= size;
        if size == 0 {
            self.check_chunk()?;
            self.state = DecoderState::Trailers;
        } else {
            self.state = DecoderState::Data(size);
        }
        Ok(())
    }

    fn take_data(&mut self, left: u64, data: &[u8]) {
        if matches!(self.framing, Framing::Signed { .. }) {
            self.chunk.update(data);
        }
        let left = left.saturating_sub(data.len() as u64);
        self.state = if left == 0 { DecoderState::DataEnd } else { DecoderState::Data(left) };
    }

    fn end_chunk(&mut self, line: &[u8]) -> S3Result<()> {
        if !line.is_empty() {
            return Err(malformed("a chunk is longer than its size"));
        }
        self.check_chunk()?;
        self.state = DecoderState::Header;
        Ok(())
    }

    fn check_chunk(&mut self) -> S3Result<()> {
        if let Framing::Signed { signer, .. } = &mut self.framing {
            let hash = hex::encode(self.chunk.finalize_reset());
            check(signer.next_chunk(&hash), self.claimed.take())?;
        }
        Ok(())
    }

    fn trailer(&mut self, line: &[u8]) -> S3Result<()> {
        if line.is_empty() {
            return self.end_trailers();
        }
        self.trailer_bytes += line.len();
        let expected = matches!(self.framing, Framing::Unsigned | Framing::Signed { trailers: true, .. });
        let line = std::str::from_utf8(line).map_err(|_| bad_trailer())?;
        let (name, value) = line.split_once(':').ok_or_else(bad_trailer)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if !expected || self.trailer_bytes > TRAILERS_MAX || self.trailer_signature.is_some() {
            return Err(bad_trailer());
        }
        if name == "x-amz-trailer-signature" {
            self.trailer_signature = Some(value);
        } else {
            self.trailers.push((name, value));
        }
        Ok(())
    }

    fn end_trailers(&mut self) -> S3Result<()> {
        if let Framing::Signed { signer, trailers: true } = &mut self.framing {
            let mut sorted = self.trailers.clone();
            sorted.sort();
            let canonical: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            check(signer.trailer(&canonical), self.trailer_signature.take())?;
        }
        self.state = DecoderState::Done;
        Ok(())
    }
}

fn check(expected: &Signature, claimed: Option<String>) -> S3Result<()> {
    if claimed.is_some_and(|claimed| expected.matches(&claimed)) {
        Ok(())
    } else {
        Err(S3Error::new(ErrorCode::SignatureDoesNotMatch))
    }
}

fn malformed(what: &'static str) -> S3Error {
    S3Error::invalid_request(format!("The aws-chunked body is malformed: {what}."))
}

fn bad_trailer() -> S3Error {
    S3Error::new(ErrorCode::MalformedTrailerError)
}

fn wrong_length() -> S3Error {
    S3Error::with_message(
        ErrorCode::IncompleteBody,
        "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header",
    )
}

#[cfg(test)]
mod tests;
