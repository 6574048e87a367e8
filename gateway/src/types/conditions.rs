//! Conditions on reads (RFC 9110, section 13, with S3's table) and on writes.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::WriteCondition;
use http::{HeaderMap, HeaderName, header};

use super::date::{parse_date_s, parse_guard_date_s};
use super::etag::EtagList;
use crate::error::{S3Error, S3Result};
use crate::headers::{list, single};

/// The conditions of a GET, a HEAD, or on the source of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    matches: Option<EtagList>,
    none_matches: Option<EtagList>,
    /// In seconds since the epoch, the resolution of HTTP dates.
    modified_since_s: Option<u64>,
    unmodified_since_s: Option<u64>,
}

/// The outcome of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request proceeds.
    Proceed,
    /// 304 for reads, 412 for copies, with the name of the header that decided.
    NotModified(&'static str),
    /// 412, with the name of the header that decided.
    Failed(&'static str),
}

impl ReadConditions {
    /// The conditions of a GET or HEAD.
    ///
    /// An invalid date in `If-Modified-Since` is ignored (RFC 9110, section 13.1.3), because this header only saves a
    /// transfer. An invalid date in `If-Unmodified-Since` is refused, although section 13.1.4 says to ignore it:
    /// otherwise the request would be done without the condition that the client set.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that is not text, or not a valid date.
    pub fn parse(headers: &HeaderMap) -> S3Result<Self> {
        let modified_since = single(headers, header::IF_MODIFIED_SINCE.as_str())?;
        Ok(Self {
            matches: etags(headers, header::IF_MATCH.as_str())?,
            none_matches: etags(headers, header::IF_NONE_MATCH.as_str())?,
            modified_since_s: modified_since.and_then(parse_date_s),
            unmodified_since_s: parse_guard_date_s(headers, header::IF_UNMODIFIED_SINCE.as_str())?,
        })
    }

    /// The conditions on the source of a copy. All of them protect a write, so every invalid date is refused.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that is not text, or not a valid date.
    pub fn parse_copy_source(headers: &HeaderMap) -> S3Result<Self> {
        Ok(Self {
            matches: etags(headers, "x-amz-copy-source-if-match")?,
            none_matches: etags(headers, "x-amz-copy-source-if-none-match")?,
            modified_since_s: parse_guard_date_s(headers, "x-amz-copy-source-if-modified-since")?,
            unmodified_since_s: parse_guard_date_s(headers, "x-amz-copy-source-if-unmodified-since")?,
        })
    }

    /// The conditions on the source of a rename.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that is not text, or not a valid date.
    pub fn parse_rename_source(headers: &HeaderMap) -> S3Result<Self> {
        Ok(Self {
            matches: etags(headers, "x-amz-rename-source-if-match")?,
            none_matches: etags(headers, "x-amz-rename-source-if-none-match")?,
            modified_since_s: parse_guard_date_s(headers, "x-amz-rename-source-if-modified-since")?,
            unmodified_since_s: parse_guard_date_s(headers, "x-amz-rename-source-if-unmodified-since")?,
        })
    }

    /// The conditions on what a rename replaces. They protect a write, so every invalid date is refused.
    ///
    /// # Errors
    /// `InvalidArgument` for a header that is not text, or not a valid date.
    pub fn parse_rename_destination(headers: &HeaderMap) -> S3Result<Self> {
        Ok(Self {
            matches: etags(headers, header::IF_MATCH.as_str())?,
            none_matches: etags(headers, header::IF_NONE_MATCH.as_str())?,
            modified_since_s: parse_guard_date_s(headers, header::IF_MODIFIED_SINCE.as_str())?,
            unmodified_since_s: parse_guard_date_s(headers, header::IF_UNMODIFIED_SINCE.as_str())?,
        })
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Evaluates the conditions on an object that does not exist: those hold that ask for no object, or for one that is not changed.
    pub fn evaluate_absent(&self) -> Verdict {
        if self.matches.is_some() {
            return Verdict::Failed("If-Match");
        }
        if self.none_matches.is_none() && self.modified_since_s.is_some() {
            return Verdict::Failed("If-Modified-Since");
        }
        Verdict::Proceed
    }

    /// Evaluates the conditions in the order of RFC 9110, section 13.2.2, as S3 does: an ETag takes precedence over a date.
    pub fn evaluate(&self, etag: &str, modified_at: Timestamp) -> Verdict {
        let modified_s = modified_at.0 / 1000;
        if let Some(list) = &self.matches {
            if !list.matches(etag) {
                return Verdict::Failed("If-Match");
            }
        } else if self.unmodified_since_s.is_some_and(|since| modified_s > since) {
            return Verdict::Failed("If-Unmodified-Since");
        }
        if let Some(list) = &self.none_matches {
            if list.matches(etag) {
                return Verdict::NotModified("If-None-Match");
            }
        } else if self.modified_since_s.is_some_and(|since| modified_s <= since) {
            return Verdict::NotModified("If-Modified-Since");
        }
        Verdict::Proceed
    }
}

fn etags(headers: &HeaderMap, name: &str) -> S3Result<Option<EtagList>> {
    Ok(list(headers, name)?.as_deref().map(EtagList::parse))
}

/// The condition of a write: `If-None-Match: *`, or `If-Match` with an ETag or `*`.
///
/// # Errors
/// `NotImplemented` for other conditions, as in S3; `InvalidRequest` for both at once; `InvalidArgument` for a header
/// that is not text.
pub fn parse_write_condition(headers: &HeaderMap) -> S3Result<WriteCondition> {
    refuse(headers, &[header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE])?;
    let text = |name: &HeaderName| single(headers, name.as_str());
    match (text(&header::IF_MATCH)?, text(&header::IF_NONE_MATCH)?) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(none_match)) if none_match.trim() == "*" => Ok(WriteCondition::Absent),
        (None, Some(_)) => Err(not_implemented(&header::IF_NONE_MATCH)),
        (Some(matches), None) => match EtagList::parse(matches) {
            EtagList::Any => Ok(WriteCondition::Present),
            EtagList::Tags(tags) => match <[String; 1]>::try_from(tags) {
                Ok([etag]) => Ok(WriteCondition::Etag(etag)),
                Err(_) => Err(S3Error::invalid_argument(
                    "If-Match",
                    matches,
                    "A write is guarded by one ETag, or *.",
                )),
            },
        },
        (Some(_), Some(_)) => {
            Err(S3Error::invalid_request("If-Match and If-None-Match cannot both be given for a write."))
        }
    }
}

fn refuse(headers: &HeaderMap, names: &[HeaderName]) -> S3Result<()> {
    match names.iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(not_implemented(name)),
        None => Ok(()),
    }
}

fn not_implemented(name: &HeaderName) -> S3Error {
    S3Error::new(crate::error::ErrorCode::NotImplemented).detail("Header", name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// 1994-11-06T08:49:37.5Z: half a second later than the nearest HTTP date.
    const MODIFIED: Timestamp = Timestamp(784_111_777_500);
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn reads_follow_the_table_of_the_api_reference() {
        use Verdict::{Failed, NotModified, Proceed};
        let cases: [(&[(&str, &str)], Verdict); 14] = [
            (&[], Proceed),
            (&[("if-match", "\"e\"")], Proceed),
            (&[("if-match", "\"x\"")], Failed("If-Match")),
            (&[("if-none-match", "\"e\"")], NotModified("If-None-Match")),
            (&[("if-none-match", "\"x\"")], Proceed),
            (&[("if-modified-since", SAME)], NotModified("If-Modified-Since")),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-unmodified-since", SAME)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed("If-Unmodified-Since")),
            // GetObject: "If-Match true and If-Unmodified-Since false: 200".
            (&[("if-match", "\"e\""), ("if-unmodified-since", BEFORE)], Proceed),
            // GetObject: "If-None-Match false and If-Modified-Since true: 304".
            (&[("if-none-match", "\"e\""), ("if-modified-since", BEFORE)], NotModified("If-None-Match")),
            (&[("if-none-match", "\"x\""), ("if-modified-since", SAME)], Proceed),
            (&[("if-match", "*"), ("if-none-match", "*")], NotModified("If-None-Match")),
            (&[("if-modified-since", "yesterday")], Proceed),
        ];
        for (pairs, verdict) in cases {
            let pairs: Vec<(&'static str, &'static str)> =
                pairs.iter().map(|pair| (leak(pair.0), leak(pair.1))).collect();
            let conditions = ReadConditions::parse(&headers(&pairs)).unwrap();
            assert_eq!(conditions.evaluate("e", MODIFIED), verdict, "{pairs:?}");
        }
    }

    fn leak(text: &str) -> &'static str {
        Box::leak(text.to_owned().into_boxed_str())
    }

    #[test]
    fn copies_have_conditions_of_their_own() {
        let map = headers(&[("x-amz-copy-source-if-match", "\"x\""), ("if-match", "\"e\"")]);
        assert_eq!(
            ReadConditions::parse_copy_source(&map).unwrap().evaluate("e", MODIFIED),
            Verdict::Failed("If-Match")
        );
    }

    #[test]
    fn writes_have_the_conditions_of_s3_and_no_others() {
        let parse = |pairs: &[(&'static str, &'static str)]| parse_write_condition(&headers(pairs));
        assert_eq!(parse(&[]).unwrap(), WriteCondition::None);
        assert_eq!(parse(&[("if-none-match", "*")]).unwrap(), WriteCondition::Absent);
        assert_eq!(parse(&[("if-match", "*")]).unwrap(), WriteCondition::Present);
        assert_eq!(parse(&[("if-match", "\"e\"")]).unwrap(), WriteCondition::Etag("e".into()));
        for pairs in [
            &[("if-none-match", "\"e\"")][..],
            &[("if-modified-since", SAME)],
            &[("if-unmodified-since", SAME)],
        ] {
            assert_eq!(parse(pairs).unwrap_err().code(), ErrorCode::NotImplemented, "{pairs:?}");
        }
        for value in ["\"a\", \"b\"", ""] {
            assert_eq!(
                parse(&[("if-match", value)]).unwrap_err().code(),
                ErrorCode::InvalidArgument,
                "{value}"
            );
        }
        assert_eq!(
            parse(&[("if-match", "*"), ("if-none-match", "*")]).unwrap_err().code(),
            ErrorCode::InvalidRequest
        );
    }
}
