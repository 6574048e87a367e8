//! What was measured: for each operation its times, bytes and failures, and what each second brought.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::workload::Operation;

/// Digits of times that histograms keep: they are off by a thousandth at most.
const DIGITS: u8 = 3;

/// A histogram of times in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        // It grows as it needs to; with up to 5 digits this does not fail.
        Self(Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("{DIGITS} digits are possible")))
    }
}

impl Times {
    fn record(&mut self, time: Duration) {
        // It grows as it needs to.
        let _ = self.0.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn add(&mut self, other: &Self) {
        // Both grow as they need to.
        let _ = self.0.add(&other.0);
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time that this share of all requests, from 0 to 1, took at most, in milliseconds.
    pub(crate) fn at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }

    /// The mean, in milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.0.mean() / 1000.0
    }

    /// The longest, in milliseconds.
    pub(crate) fn max(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }
}

/// What a second brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Second {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
}

/// What was measured of one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationSamples {
    /// From the request to the end of the answer, of those that succeeded.
    pub(crate) times: Times,
    /// From the request to the first byte of the body, of reads that succeeded.
    pub(crate) first_bytes: Times,
    /// Requests that succeeded.
    pub(crate) requests: u64,
    /// Objects, keys or versions that they were about.
    pub(crate) items: u64,
    /// Bytes of objects that they moved.
    pub(crate) bytes: u64,
    /// Failures by their kinds.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Successes by the second in which they ended.
    pub(crate) seconds: Vec<Second>,
}

/// A request that succeeded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Success {
    /// When it ended, from the beginning of the measurement.
    pub(crate) at: Duration,
    /// How long it took.
    pub(crate) took: Duration,
    /// How long it took to the first byte of the body.
    pub(crate) first_byte: Option<Duration>,
    /// Objects, keys or versions that it was about.
    pub(crate) items: u64,
    /// Bytes of objects that it moved.
    pub(crate) bytes: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    pub(crate) by_operation: BTreeMap<Operation, OperationSamples>,
    /// Requests that returned something else than was written.
    pub(crate) damage: Vec<String>,
    /// How long it lasted, to the end of the last request.
    pub(crate) lasted: Duration,
}

impl Samples {
    pub(crate) fn success(&mut self, operation: Operation, success: Success) {
        let own = self.by_operation.entry(operation).or_default();
        own.times.record(success.took);
        if let Some(first_byte) = success.first_byte {
            own.first_bytes.record(first_byte);
        }
        own.requests += 1;
        own.items += success.items;
        own.bytes += success.bytes;
        let second = usize::try_from(success.at.as_secs()).unwrap_or(usize::MAX);
        if own.seconds.len() <= second {
            own.seconds.resize(second + 1, Second::default());
        }
        own.seconds[second].requests += 1;
        own.seconds[second].bytes += success.bytes;
        self.lasted = self.lasted.max(success.at);
    }

    pub(crate) fn failure(&mut self, operation: Operation, kind: String) {
        *self.by_operation.entry(operation).or_default().failures.entry(kind).or_default() += 1;
    }

    /// Adds what another client measured at the same time.
    pub(crate) fn merge(&mut self, other: Self) {
        for (operation, theirs) in other.by_operation {
            self.by_operation.entry(operation).or_default().merge(theirs, 0);
        }
        self.damage.extend(other.damage);
        self.lasted = self.lasted.max(other.lasted);
    }

    /// Adds what was measured after this.
    pub(crate) fn follow(&mut self, later: Self) {
        let offset = usize::try_from(self.lasted.as_secs()).unwrap_or(usize::MAX);
        for (operation, theirs) in later.by_operation {
            self.by_operation.entry(operation).or_default().merge(theirs, offset);
        }
        self.damage.extend(later.damage);
        self.lasted += later.lasted;
    }
}

impl OperationSamples {
    fn merge(&mut self, other: Self, offset: usize) {
        self.times.add(&other.times);
        self.first_bytes.add(&other.first_bytes);
        self.requests += other.requests;
        self.items += other.items;
        self.bytes += other.bytes;
        for (kind, count) in other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
        if self.seconds.len() < offset + other.seconds.len() {
            self.seconds.resize(offset + other.seconds.len(), Second::default());
        }
        for (own, theirs) in self.seconds[offset..].iter_mut().zip(other.seconds) {
            own.requests += theirs.requests;
            own.bytes += theirs.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(at_ms: u64, took_ms: u64) -> Success {
        let (at, took) = (Duration::from_millis(at_ms), Duration::from_millis(took_ms));
        Success { at, took, first_byte: None, items: 1, bytes: 10 }
    }

    #[test]
    fn clients_of_one_time_add_up_and_rounds_follow_each_other() {
        let mut first = Samples::default();
        first.success(Operation::Get, success(500, 5));
        let mut other = Samples::default();
        other.success(Operation::Get, success(1500, 15));
        other.failure(Operation::Get, "503 SlowDown".to_owned());
        first.merge(other);
        assert_eq!(first.lasted, Duration::from_millis(1500));
        let mut later = Samples::default();
        later.success(Operation::Get, success(200, 25));
        first.follow(later);
        let get = &first.by_operation[&Operation::Get];
        let requests: Vec<_> = get.seconds.iter().map(|second| second.requests).collect();
        // The second round begins in the second in which the first one ended.
        assert_eq!((requests, get.requests, get.bytes), (vec![1, 2], 3, 30));
        assert_eq!(get.failures["503 SlowDown"], 1);
        assert_eq!(first.lasted, Duration::from_millis(1700));
    }

    #[test]
    fn percentiles_are_of_the_times_that_were_recorded() {
        let mut samples = Samples::default();
        for ms in 1..=1000 {
            samples.success(Operation::Put, success(ms, ms));
        }
        let times = &samples.by_operation[&Operation::Put].times;
        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            assert!((times.at(share) - ms).abs() <= ms / 500.0, "{share}: {}", times.at(share));
        }
        assert!((times.mean() - 500.5).abs() < 1.0);
    }
}
