//! The bytes of objects. They follow from an object's number, so that what is read can be compared without being kept.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The length of the pool, in bytes. It is no multiple of a power of two, so that equal pieces of two objects do not lie at equal offsets.
const POOL: usize = (8 << 20) + 4099;

/// The longest piece of a body that is sent at once, in bytes.
const PIECE: usize = 256 << 10;

/// A pool of random bytes. The bytes of an object are those from its own place in the pool on, over and over. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Contents(Bytes);

/// Other bytes than were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is not what was written")]
pub struct WrongByte {
    /// The offset in the object.
    pub at: u64,
}

impl Contents {
    /// The pool of this seed.
    pub fn new(seed: u64) -> Self {
        let mut pool = vec![0; POOL];
        StdRng::seed_from_u64(seed).fill(&mut pool[..]);
        Self(pool.into())
    }

    /// The bytes of an object from an offset on: as many as lie in one piece of the pool, at most `max`.
    fn piece(&self, object: u64, offset: u64, max: usize) -> Bytes {
        // Consecutive numbers have places far from each other (Knuth, TAOCP 3, 6.4: multiplicative hashing).
        let place = object.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8;
        let at = ((place % POOL as u64 + offset % POOL as u64) % POOL as u64) as usize;
        self.0.slice(at..POOL.min(at.saturating_add(max)))
    }

    /// The bytes of an object in a range, as the body of a request.
    pub fn body(&self, object: u64, range: std::ops::Range<u64>) -> Upload {
        Upload { contents: self.clone(), object, at: range.start, end: range.end }
    }

    /// All bytes of an object in a range, in pieces.
    pub fn pieces(&self, object: u64, range: std::ops::Range<u64>) -> impl Iterator<Item = Bytes> + '_ {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let left = usize::try_from(range.end.saturating_sub(at)).unwrap_or(usize::MAX);
            let piece = self.piece(object, at, left.min(PIECE));
            at += piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Compares bytes with those of an object from an offset on.
    ///
    /// # Errors
    /// The first byte that differs.
    pub fn verify(&self, object: u64, offset: u64, found: &[u8]) -> Result<(), WrongByte> {
        let mut done = 0;
        while done < found.len() {
            let at = offset + done as u64;
            let expected = self.piece(object, at, found.len() - done);
            let part = &found[done..done + expected.len()];
            if part != &expected[..] {
                let wrong = part.iter().zip(&expected[..]).position(|(found, expected)| found != expected);
                return Err(WrongByte { at: at + wrong.unwrap_or_default() as u64 });
            }
            done += expected.len();
        }
        Ok(())
    }
}

/// A body that is a range of an object. It copies nothing.
#[derive(Debug)]
pub struct Upload {
    contents: Contents,
    object: u64,
    at: u64,
    end: u64,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        if left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.contents.piece(self.object, self.at, left.min(PIECE));
        self.at += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sent_is_found_right_however_it_is_cut(
            object: u64,
            start in 0u64..3 * POOL as u64,
            length in 0u64..600_000,
            cut in 1usize..300_000,
            flip in any::<prop::sample::Index>(),
        ) {
            let contents = Contents::new(1);
            let sent: Vec<u8> = contents.pieces(object, start..start + length).flatten().collect();
            prop_assert_eq!(sent.len() as u64, length);
            let mut at = start;
            for piece in sent.chunks(cut) {
                prop_assert_eq!(contents.verify(object, at, piece), Ok(()));
                at += piece.len() as u64;
            }
            if length > 0 {
                let wrong = flip.index(sent.len());
                let mut damaged = sent.clone();
                damaged[wrong] ^= 1;
                let at = start + wrong as u64;
                prop_assert_eq!(contents.verify(object, start, &damaged), Err(WrongByte { at }));
            }
        }
    }

    #[test]
    fn objects_differ() {
        let contents = Contents::new(1);
        let first = |object| contents.pieces(object, 0..64).next().unwrap();
        assert_ne!(first(1), first(2));
        assert_eq!(first(1), Contents::new(1).pieces(1, 0..64).next().unwrap());
    }
}
