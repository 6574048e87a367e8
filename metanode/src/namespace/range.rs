//! Resolves ranges against an object's length (RFC 9110, section 14.1.2, as S3 applies it).

use cairn_protocol::metadata::ResolvedRange;

/// Resolves `bytes=first-last` for an object of `length` bytes; `None` if `last` is before `first`, which is not a
/// valid range.
pub(super) fn bytes(first: u64, last: Option<u64>, length: u64) -> Option<ResolvedRange> {
    if last.is_some_and(|last| last < first) {
        return None;
    }
    if first >= length {
        return Some(ResolvedRange::Unsatisfiable);
    }
    let end = last.map_or(length, |last| last.saturating_add(1).min(length));
    Some(ResolvedRange::Satisfiable { start: first, end })
}

/// Resolves a range of the last `wanted` bytes of an object of `length` bytes. A shorter object is returned as a whole.
pub(super) fn suffix(wanted: u64, length: u64) -> ResolvedRange {
    if wanted == 0 || length == 0 {
        return ResolvedRange::Unsatisfiable;
    }
    ResolvedRange::Satisfiable { start: length.saturating_sub(wanted), end: length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(start: u64, end: u64) -> ResolvedRange {
        ResolvedRange::Satisfiable { start, end }
    }

    /// The examples of RFC 9110, section 14.1.2, for a representation of 10,000 bytes, and edge cases.
    #[test]
    fn ranges_resolve_as_the_rfc_says() {
        assert_eq!(bytes(0, Some(499), 10_000), Some(some(0, 500)));
        assert_eq!(bytes(500, Some(999), 10_000), Some(some(500, 1000)));
        assert_eq!(bytes(9_500, None, 10_000), Some(some(9_500, 10_000)));
        assert_eq!(bytes(9_999, Some(u64::MAX), 10_000), Some(some(9_999, 10_000)));
        assert_eq!(bytes(10_000, None, 10_000), Some(ResolvedRange::Unsatisfiable));
        assert_eq!(bytes(0, None, 0), Some(ResolvedRange::Unsatisfiable));
        assert_eq!(bytes(5, Some(4), 10_000), None);
        assert_eq!(suffix(500, 10_000), some(9_500, 10_000));
        assert_eq!(suffix(20_000, 10_000), some(0, 10_000));
        assert_eq!(suffix(0, 10_000), ResolvedRange::Unsatisfiable);
        assert_eq!(suffix(1, 0), ResolvedRange::Unsatisfiable);
    }
}
