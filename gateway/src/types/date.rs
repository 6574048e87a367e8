//! Dates in responses, and dates that clients send.

use cairn_protocol::env::Timestamp;
use http::HeaderMap;
use jiff::fmt::strtime;
use jiff::tz::Offset;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::error::{S3Error, S3Result};
use crate::headers::single;

/// An instant in the form of S3's XML and error documents: `2013-05-24T00:00:00.000Z`.
pub fn iso8601(at: Timestamp) -> String {
    const EXTENDED: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    i64::try_from(at.0)
        .ok()
        .and_then(|ms| OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok())
        .and_then(|date| date.format(EXTENDED).ok())
        .unwrap_or_default()
}

/// An instant in a listing, cut to the second as in S3. So it equals the one in `Last-Modified`, whose resolution is a
/// second.
pub fn iso8601_seconds(at: Timestamp) -> String {
    iso8601(Timestamp(at.0 / 1000 * 1000))
}

/// Dates that a time zone follows, without the day of the week, which is redundant: the forms of RFC 9110 and RFC 5322,
/// and of RFC 850 with a year of two digits, or of four as in cookies. `%d` accepts one or two digits, `%.f` an optional
/// fraction of a second.
const ZONED: [&str; 4] =
    ["%d %b %y %H:%M:%S%.f", "%d %b %Y %H:%M:%S%.f", "%d-%b-%y %H:%M:%S%.f", "%d-%b-%Y %H:%M:%S%.f"];

/// C's asctime(), which is in UTC (RFC 9110, section 5.6.7), and Java's `Date.toString()`.
const UNZONED: [&str; 3] = ["%b %d %H:%M:%S%.f %Y", "%b %d %H:%M:%S%.f UTC %Y", "%b %d %H:%M:%S%.f GMT %Y"];

/// The names of UTC at the end of a date.
const UTC_NAMES: [&str; 4] = [" GMT", " UTC", " UT", " Z"];

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Parses a date in any form that clients are known to send, into seconds since the epoch. A fraction of a second is cut
/// off, and a date before the epoch becomes the epoch. `None` for a text that is not a date.
///
/// RFC 9110, section 5.6.7, requires three forms. Clients also send days of one digit, other names of UTC, offsets,
/// fractions, any case, and RFC 3339.
pub fn parse_date_s(text: &str) -> Option<u64> {
    let text = text.trim();
    let date = without_weekday(text);
    let seconds = zoned(date)
        .or_else(|| UNZONED.iter().find_map(|form| in_utc(form, date)))
        .or_else(|| text.parse::<jiff::Timestamp>().ok().map(|at| at.as_second()))?;
    Some(u64::try_from(seconds).unwrap_or(0))
}

fn without_weekday(text: &str) -> &str {
    let Some(end) = text.find(|character: char| !character.is_ascii_alphabetic()) else { return text };
    let (word, rest) = text.split_at(end);
    let is_weekday =
        word.get(..3).is_some_and(|start| WEEKDAYS.iter().any(|day| day.eq_ignore_ascii_case(start)));
    if is_weekday { rest.trim_start_matches([',', ' ']) } else { text }
}

fn zoned(text: &str) -> Option<i64> {
    let named = UTC_NAMES.iter().find_map(|name| {
        let (date, end) = text.split_at_checked(text.len().checked_sub(name.len())?)?;
        end.eq_ignore_ascii_case(name).then_some(date)
    });
    ZONED.iter().find_map(|form| match named {
        Some(date) => in_utc(form, date),
        None => {
            let parts = strtime::parse(format!("{form} %z"), text).ok()?;
            parts.to_timestamp().ok().map(|at| at.as_second())
        }
    })
}

/// Parses a date without an offset as UTC.
fn in_utc(form: &str, text: &str) -> Option<i64> {
    let date = strtime::parse(form, text).ok()?.to_datetime().ok()?;
    Offset::UTC.to_timestamp(date).ok().map(|at| at.as_second())
}

/// The date of a condition that protects a write, in seconds since the epoch; `None` if the header is missing.
///
/// # Errors
/// `InvalidArgument` for a text that is not a date: to ignore the condition would do the request unconditionally.
pub(super) fn parse_guard_date_s(headers: &HeaderMap, name: &str) -> S3Result<Option<u64>> {
    let Some(text) = single(headers, name)? else { return Ok(None) };
    let date = parse_date_s(text);
    date.map(Some).ok_or_else(|| S3Error::invalid_argument(name, text, "The value is not a valid date."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 9110, section 5.6.7, in its three forms and in others that clients send.
    #[test]
    fn every_form_is_the_same_instant() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "6 Nov 1994 08:49:37 GMT",
            "SUN, 06 NOV 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 ut",
            "Sun, 06 Nov 1994 08:49:37 Z",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 -0000",
            "Sun, 06 Nov 1994 10:49:37 +0200",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            // A wrong day of the week is ignored.
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37.123 GMT",
            "Sun, 6 Nov 1994 08:49:37.999999 UTC",
            "Sun, 06 Nov 1994 10:49:37.5 +0200",
            "Sunday, 6-Nov-94 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06 08:49:37 UTC 1994",
            "Sun Nov 06 08:49:37 GMT 1994",
            "1994-11-06T08:49:37Z",
            "1994-11-06T08:49:37.000Z",
            "1994-11-06T10:49:37+02:00",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(parse_date_s(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_date_s("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_date_s("Mon, 01 Jan 1900 00:00:00 GMT"), Some(0));
    }

    #[test]
    fn other_texts_are_not_dates() {
        for text in [
            "",
            "yesterday",
            "784111777",
            "Sun, 06 Nov 1994",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 XYZ",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun Nov  6 08:49:37 CET 1994",
            "1994-11-06T08:49:37",
            "1994-11-06",
        ] {
            assert_eq!(parse_date_s(text), None, "{text}");
        }
    }

    #[test]
    fn xml_dates_have_milliseconds() {
        assert_eq!(iso8601(Timestamp(1_369_353_600_007)), "2013-05-24T00:00:00.007Z");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", pieces in "(Sun|, | |06|Nov|-|1994|94|:|\\.|GMT|UTC|Z|\\+0000|T|é){0,14}") {
            let _ = parse_date_s(&text);
            let _ = parse_date_s(&pieces);
        }

        /// Clients send dates back that they got in responses.
        #[test]
        fn dates_of_responses_are_read_back(second in 0_u64..4_000_000_000) {
            let at = Timestamp(second * 1000);
            prop_assert_eq!(parse_date_s(&crate::response::http_date(at)), Some(second));
            prop_assert_eq!(parse_date_s(&iso8601_seconds(at)), Some(second));
        }
    }
}
