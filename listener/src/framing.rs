//! Finds where messages begin and end on an HTTP/1 connection, and refuses those that two parsers could understand
//! differently.
//!
//! hyper removes `Content-Length` beside `Transfer-Encoding`, keeps one of two equal lengths, and reads `gzip, chunked` as
//! `chunked`: the result looks unambiguous. A proxy in front of Cairn may have parsed the message differently. A part of what
//! the proxy took for the body would then be the next request (request smuggling; RFC 9112, sections 6.1, 6.3 and 11.2). So
//! the bytes are checked before hyper reads them.
//!
//! [`Framing`] follows the connection byte by byte and keeps no more than the beginning of a line. It always has the right
//! position, because it passes only messages whose end is unambiguous (no length or one of digits only, or `chunked` and
//! nothing else; lines that end with CRLF), and hyper finds the end of these at the same place. Other messages that hyper
//! refuses end the connection, so no next message follows.

use memchr::memchr;

/// Follows the messages of one connection.
#[derive(Debug, Default)]
pub(super) struct Framing {
    place: Place,
    line: Line,
    length: Option<u64>,
    chunked: bool,
    /// Whether the request expects `100 Continue` before it sends its body. In HTTP/1.0 the header has no effect.
    expects_continue: bool,
    is_http_1_0: bool,
    /// Heads that have ended since bytes of an answer were last written.
    unanswered: u32,
    /// Whether a request without a body expects `100 Continue`.
    owes_continue: bool,
}

/// The part of a message to which the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before a request's line. Empty lines are ignored there (RFC 9112, section 2.2).
    #[default]
    Start,
    /// In the line of a request.
    RequestLine,
    /// In a header.
    Header,
    /// In a body, with this number of bytes left.
    Body(u64),
    /// In the size of a chunk.
    ChunkSize { size: u64, digits: u32 },
    /// After the size of a chunk.
    ChunkLine { size: u64 },
    /// In a chunk, with this number of bytes left.
    Chunk(u64),
    /// After the bytes of a chunk.
    ChunkEnd,
    /// In the trailers.
    Trailer,
}

/// A message that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The number of bytes that hyper may read: those of earlier messages, and of the message's body as far as it is right.
    pub(super) keep: usize,
    /// Whether its head was passed to hyper, so that it is being served.
    pub(super) in_body: bool,
    /// What is wrong with it.
    pub(super) why: &'static str,
}

/// Bytes that are kept of a line's beginning: the longest name that matters, and more digits than any length has.
const LINE_KEPT: usize = 64;

/// Bytes that are kept of a line's end: the version after a request's target.
const END_KEPT: usize = b"HTTP/1.0\r".len();

/// The line that is being read.
#[derive(Debug)]
struct Line {
    kept: [u8; LINE_KEPT],
    length: usize,
    last: u8,
    end: [u8; END_KEPT],
}

impl Default for Line {
    fn default() -> Self {
        Self { kept: [0; LINE_KEPT], length: 0, last: 0, end: [0; END_KEPT] }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.kept.get_mut(self.length..) {
            let now = room.len().min(bytes.len());
            room[..now].copy_from_slice(&bytes[..now]);
        }
        self.length += bytes.len();
        self.last = bytes.last().copied().unwrap_or(self.last);
        let new = &bytes[bytes.len().saturating_sub(END_KEPT)..];
        self.end.rotate_left(new.len());
        self.end[END_KEPT - new.len()..].copy_from_slice(new);
    }

    /// The kept bytes of the line without its CR; `None` if it does not end with one.
    fn text(&self) -> Option<&[u8]> {
        (self.last == b'\r').then(|| &self.kept[..(self.length - 1).min(LINE_KEPT)])
    }

    fn is_kept_whole(&self) -> bool {
        self.length <= LINE_KEPT
    }

    fn clear(&mut self) {
        self.length = 0;
        self.last = 0;
    }
}

const BARE_LF: &str = "a line ends with LF and no CR before it";

impl Framing {
    /// Follows these bytes.
    ///
    /// # Errors
    /// When a message must not be served, or its body does not have the announced framing. No further bytes may follow.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        // The beginning of the current message in these bytes; 0 if it began in an earlier piece.
        let mut begins = 0;
        let mut at = 0;
        while at < bytes.len() {
            let left = &bytes[at..];
            if self.place == Place::Start {
                begins = at;
            }
            let taken = match self.place {
                Place::Start | Place::RequestLine | Place::Header | Place::Trailer => self.line(left),
                Place::Body(_) | Place::Chunk(_) => Ok(self.data(left)),
                Place::ChunkSize { .. } | Place::ChunkLine { .. } | Place::ChunkEnd => self.chunk_line(left),
            };
            match taken {
                Ok(taken) => at += taken,
                Err(why) if self.in_body() => return Err(Refused { keep: at, in_body: true, why }),
                Err(why) => return Err(Refused { keep: begins, in_body: false, why }),
            }
        }
        Ok(())
    }

    /// Notes that bytes of an answer were written.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// Whether a request without a body expects `100 Continue`, and no earlier request waits for its answer. Returns true once.
    pub(super) fn take_owed_continue(&mut self) -> bool {
        std::mem::take(&mut self.owes_continue)
    }

    fn in_body(&self) -> bool {
        !matches!(self.place, Place::Start | Place::RequestLine | Place::Header)
    }

    /// Follows a line, or the part of it in these bytes.
    fn line(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.push(bytes);
            if self.place == Place::Start && self.line.length > 1 {
                self.place = Place::RequestLine;
            }
            return Ok(bytes.len());
        };
        self.line.push(&bytes[..end]);
        let text = self.line.text().ok_or(BARE_LF)?;
        match self.place {
            Place::Start if text.is_empty() => {}
            Place::Start | Place::RequestLine => {
                (self.length, self.chunked, self.expects_continue) = (None, false, false);
                self.is_http_1_0 = self.line.end == *b"HTTP/1.0\r";
                self.place = Place::Header;
            }
            Place::Header if text.is_empty() => {
                self.place = self.body()?;
                self.owes_continue |= self.expects_continue && self.length == Some(0) && self.unanswered == 0;
                self.unanswered = self.unanswered.saturating_add(1);
            }
            Place::Header => {
                self.expects_continue |= expects_continue(text) && !self.is_http_1_0;
                let (length, chunked) = header(text, self.line.is_kept_whole())?;
                if length.is_some() && self.length.is_some() || chunked && self.chunked {
                    return Err("the length of the body is told twice");
                }
                self.length = self.length.or(length);
                self.chunked |= chunked;
            }
            _ if text.is_empty() => self.place = Place::Start,
            _ => {}
        }
        self.line.clear();
        Ok(end + 1)
    }

    /// The place after the head.
    fn body(&self) -> Result<Place, &'static str> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err("both Content-Length and Transfer-Encoding"),
            (None, true) => Ok(Place::ChunkSize { size: 0, digits: 0 }),
            (None | Some(0), false) => Ok(Place::Start),
            (Some(length), false) => Ok(Place::Body(length)),
        }
    }

    /// Follows the bytes of a body or of a chunk.
    fn data(&mut self, bytes: &[u8]) -> usize {
        let (Place::Body(left) | Place::Chunk(left)) = &mut self.place else { return 0 };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        *left -= taken as u64;
        self.place = match self.place {
            Place::Body(0) => Place::Start,
            Place::Chunk(0) => Place::ChunkEnd,
            place => place,
        };
        taken
    }

    /// Follows a byte of the framing of a chunk (RFC 9112, section 7.1).
    fn chunk_line(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let byte = bytes[0];
        match &mut self.place {
            Place::ChunkSize { size, digits } => {
                if let Some(digit) = char::from(byte).to_digit(16) {
                    *digits += 1;
                    let more = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
                    *size = more.ok_or("a chunk's size is no number")?;
                } else if *digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') {
                    self.line.push(&bytes[..1]);
                    self.place = Place::ChunkLine { size: *size };
                } else {
                    return Err("a chunk's size is no number");
                }
            }
            // A chunk extension is ignored, as the RFC requires, but its line must end with CRLF.
            Place::ChunkLine { size } => {
                let size = *size;
                if self.line.last == b'\r' {
                    if byte != b'\n' {
                        return Err("a CR in a chunk's extension");
                    }
                    self.line.clear();
                    self.place = if size == 0 { Place::Trailer } else { Place::Chunk(size) };
                } else if byte == b'\n' {
                    return Err(BARE_LF);
                } else {
                    self.line.push(&bytes[..1]);
                }
            }
            _ => {
                self.line.push(&bytes[..1]);
                if self.line.length == 1 && byte != b'\r' || self.line.length == 2 && byte != b'\n' {
                    return Err("a chunk is longer than its size says");
                }
                if self.line.length == 2 {
                    self.line.clear();
                    self.place = Place::ChunkSize { size: 0, digits: 0 };
                }
            }
        }
        Ok(1)
    }
}

/// Whether a header is `Expect: 100-continue` (RFC 9110, section 10.1.1).
fn expects_continue(line: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else { return false };
    line[..colon].eq_ignore_ascii_case(b"expect")
        && line[colon + 1..].trim_ascii().eq_ignore_ascii_case(b"100-continue")
}

/// The body's length and whether it is chunked, if the header contains one of them.
fn header(line: &[u8], is_whole: bool) -> Result<(Option<u64>, bool), &'static str> {
    let Some(colon) = memchr(b':', line) else { return Ok((None, false)) };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"content-length") {
        let digits = std::str::from_utf8(value)
            .ok()
            .filter(|value| is_whole && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()));
        let length = digits.and_then(|digits| digits.parse().ok());
        return length.map(|length| (Some(length), false)).ok_or("Content-Length is no number");
    }
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        if !is_whole || !value.eq_ignore_ascii_case(b"chunked") {
            return Err("Transfer-Encoding is not chunked and nothing else");
        }
        return Ok((None, true));
    }
    Ok((None, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Follows bytes in pieces of these sizes, repeated. Returns how many bytes pass, and the refusal.
    fn pass(mut bytes: &[u8], sizes: &[usize]) -> (usize, Option<(bool, &'static str)>) {
        let mut framing = Framing::default();
        let mut passed = 0;
        let mut sizes = sizes.iter().cycle();
        while let (false, Some(size)) = (bytes.is_empty(), sizes.next()) {
            let (piece, rest) = bytes.split_at(bytes.len().min(*size));
            bytes = rest;
            match framing.follow(piece) {
                Ok(()) => passed += piece.len(),
                Err(refused) => return (passed + refused.keep, Some((refused.in_body, refused.why))),
            }
        }
        (passed, None)
    }

    #[track_caller]
    fn refused(bytes: &str) -> (usize, bool) {
        let whole = pass(bytes.as_bytes(), &[usize::MAX]);
        for piece in 1..bytes.len() {
            let (_, in_pieces) = pass(bytes.as_bytes(), &[piece]);
            assert_eq!(in_pieces, whole.1, "in pieces of {piece}: {bytes:?}");
        }
        let (in_body, _) = whole.1.unwrap_or_else(|| panic!("not refused: {bytes:?}"));
        (whole.0, in_body)
    }

    const GOOD: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nG\n\r\n:",
        "PUT / HTTP/1.1\r\ncontent-length:\t0 \r\nX: y\r\n\r\n",
        "PUT / HTTP/1.1\r\nX-Content-Length: a\r\nTRANSFER-ENCODING:CHUNKED\r\n\r\n3;a=b\r\n\r\n\r\r\n0A \r\n0123456789\r\n0\r\nT: v\r\n\r\n",
    ];

    #[test]
    fn messages_with_one_end_pass_in_any_order_and_any_pieces() {
        let mut all = String::new();
        for first in GOOD {
            for second in GOOD {
                all.push_str(first);
                all.push_str(second);
            }
        }
        for piece in 1..300 {
            assert_eq!(pass(all.as_bytes(), &[piece]), (all.len(), None), "pieces of {piece}");
        }
    }

    #[test]
    fn heads_with_ambiguous_framing_are_refused_and_earlier_messages_pass() {
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 0\r\nX: y\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 00000000000000000000000000000000000000000000000000000000000000005\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\n",
            "X: y\n\n",
        ] {
            for before in ["", GOOD[0], GOOD[2], GOOD[4]] {
                let bytes = format!("{before}PUT / HTTP/1.1\r\n{headers}\r\n12345");
                assert_eq!(refused(&bytes), (before.len(), false), "{bytes:?}");
            }
        }
        assert_eq!(refused("GET / HTTP/1.1\nHost: x\r\n\r\n"), (0, false));
    }

    #[test]
    fn chunks_with_two_ends_are_refused_in_their_body() {
        let head = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "\r\n",
            "x\r\n",
            "+4\r\n",
            "0x4\r\n",
            "4\n",
            "4;a\nb\r\n",
            "4;a\rb\r\n",
            "fffffffffffffffff\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "0\r\nT: v\n\r\n",
            "0\r\n\n",
        ] {
            let (passed, in_body) = refused(&format!("{head}{body}"));
            assert!(in_body && passed >= head.len(), "{body:?}");
        }
    }

    /// Words of valid and invalid heads and chunks, or any bytes.
    fn any_part() -> impl Strategy<Value = Vec<u8>> {
        let words = vec![
            "GET / HTTP/1.1\r\n",
            "\r\n",
            "\n",
            "\r",
            ":",
            "5",
            " ",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "12345",
            "0\r\n",
            "content-length",
            "chunked",
            ";",
        ];
        prop_oneof![
            14 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..80),
        ]
    }

    proptest! {
        /// The result must not depend on how the bytes are cut into pieces.
        #[test]
        fn any_bytes_mean_the_same_in_any_pieces(
            parts in prop::collection::vec(any_part(), 0..20), cuts in prop::collection::vec(1usize..40, 1..30),
        ) {
            let bytes = parts.concat();
            let whole = pass(&bytes, &[usize::MAX]);
            let pieces = pass(&bytes, &cuts);
            prop_assert_eq!(whole.1, pieces.1);
            // In pieces, more bytes of a refused message have passed before the refusal.
            prop_assert!(whole.0 <= pieces.0 && (whole.1.is_some() || whole.0 == pieces.0));
        }
    }
}
