//! How far a node's report has come.

use cairn_protocol::cluster::{BlockReport, ReportedReplica};
use cairn_protocol::id::BlockId;

/// Replicas that nobody refers to and whose leases are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// How many.
    pub(crate) blocks: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl Unknown {
    /// These.
    pub(crate) fn of(replicas: &[ReportedReplica]) -> Self {
        let bytes = replicas.iter().fold(0u64, |sum, replica| sum.saturating_add(replica.length));
        Self { blocks: replicas.len() as u64, bytes }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What a report told, all pages together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Replicas that the node holds.
    pub(crate) replicas: u64,
    /// Those that nobody refers to.
    pub(crate) unknown: Unknown,
    /// How many of these the database should have known.
    pub(crate) strange: u64,
}

/// What a node reported in an incarnation. Reports come one after another, each in pages.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What the pages so far told, and with which block they end; `None` between two reports.
    current: Option<(Told, Option<BlockId>)>,
    /// What the last report told.
    last: Option<Told>,
    /// Replicas that nobody refers to, as counted last.
    unknown: Unknown,
    /// How many that the database should have known were given up.
    pub(crate) given_up: u64,
    /// Some of those that nobody refers to, until the first report is complete.
    put_off: Vec<ReportedReplica>,
}

/// Replicas of one node that are put off until its report is complete: some hundred kilobytes. Those beyond are found again
/// by its next report.
const PUT_OFF_MAX: usize = 10_000;

impl Report {
    /// A page was worked in. Answers what the report told, if this was its last page. A page that leaves a gap to the
    /// one before it does not count: the report goes on where the gap begins, or begins anew.
    pub(crate) fn add(&mut self, page: &BlockReport, unknown: Unknown, strange: u64) -> Option<Told> {
        let (mut told, through) = match (self.current.take(), page.after) {
            (_, None) => (Told::default(), None),
            (Some((told, through)), after) if after <= through => (told, through),
            (current, Some(_)) => {
                self.current = current;
                return None;
            }
        };
        told.replicas += page.replicas.len() as u64;
        told.unknown.add(unknown);
        told.strange += strange;
        if page.through.is_some() {
            self.current = Some((told, page.through.max(through)));
            return None;
        }
        self.unknown = told.unknown;
        self.last = Some(told);
        Some(told)
    }

    /// Whether there was a complete one.
    pub(crate) fn is_complete(&self) -> bool {
        self.last.is_some()
    }

    /// Replicas that the last report named, or the current one if there is no other yet.
    pub(crate) fn replicas(&self) -> u64 {
        let current = self.current.map_or(0, |(told, _)| told.replicas);
        self.last.map_or(current, |told| told.replicas)
    }

    /// Replicas that nobody refers to, as far as is known.
    pub(crate) fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// Further ones were found outside of a report.
    pub(crate) fn add_unknown(&mut self, unknown: Unknown) {
        self.unknown.add(unknown);
    }

    /// These are to be looked at when the report is complete.
    pub(crate) fn put_off(&mut self, unknown: &[ReportedReplica]) {
        let room = PUT_OFF_MAX.saturating_sub(self.put_off.len());
        self.put_off.extend(unknown.iter().take(room));
    }

    /// What was put off.
    pub(crate) fn take_put_off(&mut self) -> Vec<ReportedReplica> {
        std::mem::take(&mut self.put_off)
    }

    /// They are given up, and counted anew by the next report.
    pub(crate) fn forget_unknown(&mut self) {
        self.unknown = Unknown::default();
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::id::NodeId;
    use uuid::Uuid;

    use super::*;

    fn page(after: Option<u128>, through: Option<u128>) -> BlockReport {
        let block = |number| BlockId(Uuid::from_u128(number));
        BlockReport::new(NodeId(Uuid::nil()), 1, after.map(block), through.map(block), Vec::new())
    }

    fn add(report: &mut Report, after: Option<u128>, through: Option<u128>) -> bool {
        report.add(&page(after, through), Unknown::default(), 1).is_some()
    }

    #[test]
    fn a_report_is_complete_when_its_pages_cover_all_without_a_gap() {
        let mut report = Report::default();
        assert!(!add(&mut report, None, Some(10)) && !add(&mut report, Some(20), None));
        assert!(!report.is_complete(), "what lies between 10 and 20 was not told");
        // A page that was sent again may overlap.
        assert!(!add(&mut report, Some(5), Some(8)) && !add(&mut report, Some(10), Some(20)));
        assert!(add(&mut report, Some(20), None) && report.is_complete());
        assert!(!add(&mut report, None, Some(10)));
        assert!(report.is_complete(), "what the last one told is still known");
    }

    #[test]
    fn a_report_that_begins_anew_counts_anew() {
        let mut report = Report::default();
        add(&mut report, None, Some(10));
        add(&mut report, None, Some(10));
        let told = report.add(&page(Some(10), None), Unknown { blocks: 2, bytes: 5 }, 1).unwrap();
        assert_eq!((told.strange, told.unknown), (2, Unknown { blocks: 2, bytes: 5 }));
    }
}
