//! Days as AWS counts them.

use cairn_types::time::Timestamp;

/// The length of a day. It is 24 hours, and shorter where tests or operators want to see a lifecycle pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    ms: u64,
}

impl Day {
    /// A day from midnight to midnight, UTC.
    pub const UTC: Self = Self { ms: 24 * 3600 * 1000 };

    /// A day of this length in milliseconds, which is at least one.
    pub fn of_ms(ms: u64) -> Self {
        Self { ms: ms.max(1) }
    }

    /// Its length in milliseconds.
    pub fn ms(self) -> u64 {
        self.ms
    }

    /// When an action is due that counts days from a time: that many days later, rounded up to the next midnight.
    pub fn after(self, from: Timestamp, days: u32) -> Timestamp {
        let later = from.0.saturating_add(u64::from(days).saturating_mul(self.ms));
        Timestamp(later.checked_next_multiple_of(self.ms).unwrap_or(u64::MAX))
    }

    /// Whether a time is a midnight.
    pub fn is_midnight(self, time: Timestamp) -> bool {
        time.0.is_multiple_of(self.ms)
    }
}
