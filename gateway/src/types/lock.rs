//! Object Lock in headers and documents.
//!
//! Sources: Amazon S3 User Guide, "Locking objects with Object Lock"; API reference, PutObject, PutObjectRetention,
//! PutObjectLegalHold, PutObjectLockConfiguration.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{
    BucketLock, DefaultRetention, ObjectLock, RETENTION_DAYS_MAX, RETENTION_YEARS_MAX, Retention,
    RetentionMode, RetentionPeriod,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::date::iso8601;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::xml::{Element, XmlWriter};

/// The header with the mode of a retention.
const LOCK_MODE_HEADER: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
/// The header with the end of a retention.
const RETAIN_UNTIL_HEADER: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
/// The header with the status of a legal hold.
const LEGAL_HOLD_HEADER: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");

/// The lock that the headers of a write want for the new version; `None` if they want none.
///
/// # Errors
/// `InvalidArgument` for a mode without a date, a date without a mode, or a date that is none or is past.
pub fn parse_lock_headers(headers: &HeaderMap, now: Timestamp) -> S3Result<Option<ObjectLock>> {
    let mode = single(headers, LOCK_MODE_HEADER.as_str())?;
    let until = single(headers, RETAIN_UNTIL_HEADER.as_str())?;
    let hold = single(headers, LEGAL_HOLD_HEADER.as_str())?;
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(text)) => {
            let until = parse_instant(text).ok_or_else(|| {
                S3Error::invalid_argument(
                    RETAIN_UNTIL_HEADER.as_str(),
                    text,
                    "The retain until date must be provided in ISO 8601 format",
                )
            })?;
            let mode = RetentionMode::parse(mode).ok_or_else(|| {
                S3Error::invalid_argument(LOCK_MODE_HEADER.as_str(), mode, "Unknown wormMode directive.")
            })?;
            check_future(until, RETAIN_UNTIL_HEADER.as_str(), text, now)?;
            Some(Retention { mode, until })
        }
        (given, _) => {
            let missing = if given.is_some() { &RETAIN_UNTIL_HEADER } else { &LOCK_MODE_HEADER };
            return Err(S3Error::invalid_argument(
                missing.as_str(),
                "",
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ));
        }
    };
    let legal_hold = hold.map(parse_hold).transpose()?;
    Ok((retention.is_some() || legal_hold.is_some()).then_some(ObjectLock { retention, legal_hold }))
}

/// Sets the headers of a lock, as answers show it and as writes want it.
pub fn set_lock_headers(headers: &mut HeaderMap, retention: Option<Retention>, legal_hold: Option<bool>) {
    let mut set = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    if let Some(Retention { mode, until }) = retention {
        set(LOCK_MODE_HEADER, mode.name());
        set(RETAIN_UNTIL_HEADER, &iso8601(until));
    }
    if let Some(held) = legal_hold {
        set(LEGAL_HOLD_HEADER, hold_name(held));
    }
}

/// The name of a legal hold's status.
pub fn hold_name(held: bool) -> &'static str {
    if held { "ON" } else { "OFF" }
}

fn parse_hold(text: &str) -> S3Result<bool> {
    match text {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        _ => Err(S3Error::invalid_argument(
            LEGAL_HOLD_HEADER.as_str(),
            text,
            "Legal Hold must be either of 'ON' or 'OFF'",
        )),
    }
}

/// The retention in a `<Retention>` document. An empty document asks for its removal.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` for a date that is past.
pub fn parse_retention(root: &Element, now: Timestamp) -> S3Result<Option<Retention>> {
    root.only(&["Mode", "RetainUntilDate"])?;
    let malformed = || S3Error::new(ErrorCode::MalformedXML);
    let text = |name| root.optional(name)?.map(Element::trimmed).transpose();
    match (text("Mode")?, text("RetainUntilDate")?) {
        (None, None) => Ok(None),
        (Some(mode), Some(date)) => {
            let mode = RetentionMode::parse(mode).ok_or_else(malformed)?;
            let until = parse_instant(date).ok_or_else(malformed)?;
            check_future(until, "RetainUntilDate", date, now)?;
            Ok(Some(Retention { mode, until }))
        }
        _ => Err(malformed()),
    }
}

/// Writes the content of a `<Retention>` document.
pub fn write_retention(xml: &mut XmlWriter, retention: Retention) {
    xml.text("Mode", retention.mode.name());
    xml.text("RetainUntilDate", &iso8601(retention.until));
}

/// The status in a `<LegalHold>` document.
///
/// # Errors
/// `MalformedXML`.
pub fn parse_legal_hold(root: &Element) -> S3Result<bool> {
    root.only(&["Status"])?;
    match root.required("Status")?.trimmed()? {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        _ => Err(S3Error::new(ErrorCode::MalformedXML)),
    }
}

/// What an `<ObjectLockConfiguration>` document configures.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` for a period that is not positive or is too long.
pub fn parse_bucket_lock(root: &Element) -> S3Result<BucketLock> {
    root.only(&["ObjectLockEnabled", "Rule"])?;
    let malformed = || S3Error::new(ErrorCode::MalformedXML);
    if root.required("ObjectLockEnabled")?.trimmed()? != "Enabled" {
        return Err(malformed());
    }
    let Some(rule) = root.optional("Rule")? else { return Ok(BucketLock::default()) };
    rule.only(&["DefaultRetention"])?;
    let default = rule.required("DefaultRetention")?;
    default.only(&["Mode", "Days", "Years"])?;
    let mode = RetentionMode::parse(default.required("Mode")?.trimmed()?).ok_or_else(malformed)?;
    let number = |name, max| default.optional(name)?.map(|element| period(element, max)).transpose();
    let period = match (number("Days", RETENTION_DAYS_MAX)?, number("Years", RETENTION_YEARS_MAX)?) {
        (Some(days), None) => RetentionPeriod::Days(days),
        (None, Some(years)) => RetentionPeriod::Years(years),
        _ => return Err(malformed()),
    };
    Ok(BucketLock { default_retention: Some(DefaultRetention { mode, period }) })
}

fn period(element: &Element, max: u32) -> S3Result<u32> {
    let text = element.trimmed()?;
    let number: i64 = text.parse().map_err(|_| S3Error::new(ErrorCode::MalformedXML))?;
    let wrong = |message: String| S3Error::invalid_argument(element.name(), text, message);
    match u32::try_from(number) {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ if number < 1 => {
            Err(wrong("Default retention period must be a positive integer value.".to_owned()))
        }
        _ => Err(wrong(format!(
            "Default retention period is too large: the maximum is {RETENTION_DAYS_MAX} days or \
             {RETENTION_YEARS_MAX} years."
        ))),
    }
}

/// Writes the content of an `<ObjectLockConfiguration>` document.
pub fn write_bucket_lock(xml: &mut XmlWriter, lock: BucketLock) {
    xml.text("ObjectLockEnabled", "Enabled");
    if let Some(DefaultRetention { mode, period }) = lock.default_retention {
        xml.element("Rule", |xml| {
            xml.element("DefaultRetention", |xml| {
                xml.text("Mode", mode.name());
                match period {
                    RetentionPeriod::Days(days) => xml.value("Days", days),
                    RetentionPeriod::Years(years) => xml.value("Years", years),
                }
            });
        });
    }
}

/// An instant in ISO 8601 with an offset, cut to the millisecond. One before the epoch becomes the epoch.
fn parse_instant(text: &str) -> Option<Timestamp> {
    let at = text.trim().parse::<jiff::Timestamp>().ok()?;
    Some(Timestamp(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

fn check_future(until: Timestamp, name: &str, text: &str, now: Timestamp) -> S3Result<()> {
    if until > now {
        return Ok(());
    }
    Err(S3Error::invalid_argument(name, text, "The retain until date must be in the future!"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xml::parse;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn headers(mode: &str, until: &str, hold: &str) -> S3Result<Option<ObjectLock>> {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [(LOCK_MODE_HEADER, mode), (RETAIN_UNTIL_HEADER, until), (LEGAL_HOLD_HEADER, hold)]
        {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        parse_lock_headers(&headers, NOW)
    }

    #[test]
    fn headers_of_a_lock_are_whole_or_refused() {
        let later = "2027-01-15T08:00:00.001Z";
        let lock = headers("COMPLIANCE", later, "OFF").unwrap().unwrap();
        let until = Timestamp(NOW.0 + 1);
        assert_eq!(lock.retention, Some(Retention { mode: RetentionMode::Compliance, until }));
        assert_eq!(lock.legal_hold, Some(false));
        assert_eq!(headers("", "", "").unwrap(), None);
        assert_eq!(headers("", "", "ON").unwrap().unwrap().legal_hold, Some(true));
        for (mode, until, hold) in [
            ("COMPLIANCE", "", ""),
            ("", later, ""),
            ("compliance", later, ""),
            ("GOVERNANCE", "2027-01-15T08:00:00Z", ""),
            ("GOVERNANCE", "2027-01-15", ""),
            ("GOVERNANCE", "next year", ""),
            ("", "", "on"),
        ] {
            let error = headers(mode, until, hold).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{mode} {until} {hold}");
        }
    }

    #[test]
    fn a_retention_is_whole_or_empty_or_refused() {
        let read = |inner: &str| {
            let document = format!("<Retention>{inner}</Retention>");
            parse_retention(&parse(document.as_bytes(), "Retention").unwrap(), NOW)
                .map_err(|error| error.code())
        };
        assert_eq!(read(""), Ok(None));
        let (mode, date) =
            ("<Mode>GOVERNANCE</Mode>", "<RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate>");
        assert_eq!(read(&format!("{mode}{date}")).unwrap().unwrap().until, Timestamp(1_893_456_000_000));
        for inner in [
            mode.to_owned(),
            date.to_owned(),
            format!("<Mode>governance</Mode>{date}"),
            format!("{mode}<RetainUntilDate>2030</RetainUntilDate>"),
            format!("{mode}{date}<Until/>"),
        ] {
            assert_eq!(read(&inner), Err(ErrorCode::MalformedXML), "{inner}");
        }
        let past = format!("{mode}<RetainUntilDate>2020-01-01T00:00:00Z</RetainUntilDate>");
        assert_eq!(read(&past), Err(ErrorCode::InvalidArgument));
    }

    #[test]
    fn a_configuration_names_one_period_within_the_limits() {
        let read = |inner: &str| {
            let document = format!("<ObjectLockConfiguration>{inner}</ObjectLockConfiguration>");
            let root = parse(document.as_bytes(), "ObjectLockConfiguration").unwrap();
            parse_bucket_lock(&root).map_err(|error| error.code())
        };
        let on = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
        let rule = |inner: &str| {
            format!("{on}<Rule><DefaultRetention><Mode>COMPLIANCE</Mode>{inner}</DefaultRetention></Rule>")
        };
        assert_eq!(read(on), Ok(BucketLock::default()));
        for (inner, period) in [
            ("<Days>1</Days>", RetentionPeriod::Days(1)),
            ("<Days>36500</Days>", RetentionPeriod::Days(36_500)),
            ("<Years>100</Years>", RetentionPeriod::Years(100)),
        ] {
            let lock = read(&rule(inner)).unwrap();
            assert_eq!(lock.default_retention.unwrap().period, period);
            let document =
                XmlWriter::document("ObjectLockConfiguration", None, |xml| write_bucket_lock(xml, lock));
            assert_eq!(
                parse_bucket_lock(&parse(&document, "ObjectLockConfiguration").unwrap()).unwrap(),
                lock
            );
        }
        for inner in ["<Days>0</Days>", "<Days>-1</Days>", "<Days>36501</Days>", "<Years>101</Years>"] {
            assert_eq!(read(&rule(inner)), Err(ErrorCode::InvalidArgument), "{inner}");
        }
        for document in [
            String::new(),
            "<ObjectLockEnabled>Disabled</ObjectLockEnabled>".to_owned(),
            format!("{on}<Rule/>"),
            format!("{on}<Rule><DefaultRetention><Days>1</Days></DefaultRetention></Rule>"),
            rule(""),
            rule("<Days>1</Days><Years>1</Years>"),
            rule("<Days>one</Days>"),
            rule("<Weeks>1</Weeks>"),
        ] {
            assert_eq!(read(&document), Err(ErrorCode::MalformedXML), "{document}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,40}") {
            let _ = parse_instant(&text);
            let _ = parse_hold(&text);
        }

        #[test]
        fn a_lock_is_read_back_as_it_was_written(until in NOW.0 + 1..NOW.0 * 3, compliance: bool, hold: Option<bool>) {
            let mode = if compliance { RetentionMode::Compliance } else { RetentionMode::Governance };
            let retention = Some(Retention { mode, until: Timestamp(until) });
            let mut headers = HeaderMap::new();
            set_lock_headers(&mut headers, retention, hold);
            let lock = ObjectLock { retention, legal_hold: hold };
            prop_assert_eq!(parse_lock_headers(&headers, NOW).unwrap(), Some(lock));
        }
    }
}
