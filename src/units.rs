//! Numbers in a form for people.

use std::time::Duration;

use bytesize::ByteSize;
use cairn_protocol::env::Timestamp;

/// A number with separators between its thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of items: `1 block`, `2 blocks`.
pub(crate) fn of(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// A percentage, from thousandths.
pub(crate) fn permille(thousandths: u32) -> String {
    format!("{} %", f64::from(thousandths) / 10.0)
}

/// A percentage, from a fraction of one.
pub(crate) fn share(of_one: f64) -> String {
    format!("{:.1} %", of_one * 100.0)
}

/// The used share of a capacity as a percentage, or a dash without a capacity.
pub(crate) fn fill(used: u64, capacity: u64) -> String {
    if capacity == 0 { "-".to_owned() } else { share(used as f64 / capacity as f64) }
}

/// A time span in whole seconds; below ten seconds, in tenths.
pub(crate) fn span(ms: u64) -> String {
    if ms < 10_000 {
        return format!("{:.1}s", ms as f64 / 1000.0);
    }
    humantime::format_duration(Duration::from_secs(ms / 1000)).to_string()
}

/// The last second of the year 9999, because RFC 3339 has no later year.
const TIME_MAX: Timestamp = Timestamp(253_402_300_799_000);

/// A point in time (UTC), to the second.
pub(crate) fn time(at: Timestamp) -> String {
    humantime::format_rfc3339_seconds(at.min(TIME_MAX).to_system_time()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!([of(0, "block"), of(1, "block"), of(2, "block")], ["0 blocks", "1 block", "2 blocks"]);
    }

    #[test]
    fn shares_are_in_per_cent() {
        assert_eq!(permille(125), "12.5 %");
        assert_eq!(fill(1, 8), "12.5 %");
        assert_eq!(fill(0, 0), "-");
    }

    #[test]
    fn a_span_is_as_exact_as_need_be() {
        assert_eq!([span(40), span(9_949), span(61_000)], ["0.0s", "9.9s", "1m 1s"]);
    }

    /// The expected value is the well-known date of the Unix time 1,000,000,000.
    #[test]
    fn a_point_in_time_is_utc() {
        assert_eq!(time(Timestamp(1_000_000_000_000)), "2001-09-09T01:46:40Z");
        assert_eq!(time(Timestamp(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
