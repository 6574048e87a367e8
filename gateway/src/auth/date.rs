//! Instants in SigV4.

use cairn_protocol::env::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::types::parse_date_s;

const BASIC: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// An instant in the form of `x-amz-date` (ISO 8601 basic, UTC, whole seconds): `20130524T000000Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmzDate {
    text: String,
    at: Timestamp,
}

impl AmzDate {
    /// Parses the ISO 8601 basic form.
    pub fn parse(text: &str) -> Option<Self> {
        let at = PrimitiveDateTime::parse(text, BASIC).ok()?.assume_utc();
        Some(Self { text: text.to_owned(), at: timestamp(at)? })
    }

    /// Parses an `x-amz-date` header: the ISO form, or the form of RFC 9110 that some clients send.
    pub fn parse_amz_header(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let since = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Self::of(Timestamp(u64::try_from(since.as_millis()).ok()?))
        })
    }

    /// Parses a `Date` header: the forms of `x-amz-date`, and every other form in which clients write dates.
    pub fn parse_header(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| Self::of(Timestamp(parse_date_s(text)?.checked_mul(1000)?)))
    }

    /// This instant, cut to the second.
    pub fn of(at: Timestamp) -> Option<Self> {
        let date = OffsetDateTime::from_unix_timestamp(i64::try_from(at.0 / 1000).ok()?).ok()?;
        Some(Self { text: date.format(BASIC).ok()?, at: Timestamp(at.0 / 1000 * 1000) })
    }

    /// `20130524T000000Z`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `20130524`.
    pub fn day(&self) -> &str {
        // The text has a fixed form that begins with eight digits.
        self.text.get(..8).unwrap_or_default()
    }

    /// The instant.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

fn timestamp(date: OffsetDateTime) -> Option<Timestamp> {
    u64::try_from(date.unix_timestamp()).ok()?.checked_mul(1000).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basic_form_is_read_strictly() {
        let date = AmzDate::parse("20130524T000000Z").unwrap();
        assert_eq!(date.at(), Timestamp(1_369_353_600_000));
        assert_eq!(date.day(), "20130524");
        for text in [
            "",
            "20130524",
            "20130524T000000",
            "2013-05-24T00:00:00Z",
            "20131324T000000Z",
            "20130524T000000Zx",
        ] {
            assert_eq!(AmzDate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_header_may_be_an_http_date() {
        let date = AmzDate::parse_header("Fri, 24 May 2013 00:00:00 GMT").unwrap();
        assert_eq!(date.as_str(), "20130524T000000Z");
        assert_eq!(AmzDate::parse_header("Fri, 24 May 2013 00:00:00 UTC"), Some(date));
        assert_eq!(AmzDate::parse_header("yesterday"), None);
        assert!(AmzDate::parse_amz_header("Fri, 24 May 2013 00:00:00 GMT").is_some());
        assert_eq!(AmzDate::parse_amz_header("2013-05-24T00:00:00Z"), None);
    }
}
