//! Times of last modification.

use cairn_protocol::env::Timestamp;

use crate::auth::iso8601;

/// An instant in a listing, to the second, as S3 shows it: so it is the same as in `Last-Modified`, which can
/// say no less.
pub fn iso8601_seconds(at: Timestamp) -> String {
    iso8601(Timestamp(at.0 / 1000 * 1000))
}
