//! The progress of a node's block report, page by page, and its sums.

use cairn_protocol::cluster::{BlockReport, ReportedReplica};
use cairn_protocol::id::BlockId;

/// Replicas of blocks to which nothing refers and whose leases have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Their number.
    pub(crate) blocks: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl Unknown {
    /// The sums of these replicas.
    pub(crate) fn of(replicas: &[ReportedReplica]) -> Self {
        let bytes = replicas.iter().fold(0u64, |sum, replica| sum.saturating_add(replica.length));
        Self { blocks: replicas.len() as u64, bytes }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The sums over all pages of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportSums {
    /// Replicas that the node has.
    pub(crate) replicas: u64,
    /// The replicas of blocks to which nothing refers.
    pub(crate) unknown: Unknown,
    /// How many of these the database should know. They are a sign that it is older than the node's disks (`hold.rs`).
    pub(crate) strange: u64,
}

/// The block reports of one incarnation of a node. One follows another, and each comes in pages.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The sums of the pages so far, and the block with which they end; `None` between two reports.
    current: Option<(ReportSums, Option<BlockId>)>,
    /// The sums of the last complete report.
    last: Option<ReportSums>,
    /// Replicas of blocks to which nothing refers, as of the last complete report.
    unknown: Unknown,
    /// How many replicas were abandoned although the database should have known their blocks.
    pub(crate) given_up: u64,
    /// Replicas of blocks to which nothing refers, kept until the first report is complete.
    put_off: Vec<ReportedReplica>,
}

/// Replicas of one node that are kept until its report is complete: some hundred kilobytes. Replicas beyond this limit
/// are found again by the node's next report.
const PUT_OFF_MAX: usize = 10_000;

impl Report {
    /// Adds a page. Returns the sums of the report if this was its last page. A page that leaves a gap after the one
    /// before it does not count: the report continues where the gap begins, or starts again.
    pub(crate) fn add(&mut self, page: &BlockReport, unknown: Unknown, strange: u64) -> Option<ReportSums> {
        let (mut sums, through) = match (self.current.take(), page.after) {
            (_, None) => (ReportSums::default(), None),
            (Some((sums, through)), after) if after <= through => (sums, through),
            (current, Some(_)) => {
                self.current = current;
                return None;
            }
        };
        sums.replicas += page.replicas.len() as u64;
        sums.unknown.add(unknown);
        sums.strange += strange;
        if page.through.is_some() {
            self.current = Some((sums, page.through.max(through)));
            return None;
        }
        self.unknown = sums.unknown;
        self.last = Some(sums);
        Some(sums)
    }

    /// Whether at least one report is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.last.is_some()
    }

    /// The number of replicas in the last complete report; before one is complete, in the pages so far.
    pub(crate) fn replicas(&self) -> u64 {
        let current = self.current.map_or(0, |(sums, _)| sums.replicas);
        self.last.map_or(current, |sums| sums.replicas)
    }

    /// Replicas of blocks to which nothing refers, as far as is known.
    pub(crate) fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// Adds replicas that were found otherwise than by a report.
    pub(crate) fn add_unknown(&mut self, unknown: Unknown) {
        self.unknown.add(unknown);
    }

    /// Keeps these replicas until the report is complete. Beyond the limit they are dropped: the next report names them
    /// again.
    pub(crate) fn put_off(&mut self, unknown: &[ReportedReplica]) {
        let room = PUT_OFF_MAX.saturating_sub(self.put_off.len());
        self.put_off.extend(unknown.iter().take(room));
    }

    /// Removes and returns the replicas that were kept.
    pub(crate) fn take_put_off(&mut self) -> Vec<ReportedReplica> {
        std::mem::take(&mut self.put_off)
    }

    /// Sets the count of unknown replicas to zero, because they are being deleted. The next report counts again.
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
        assert!(!report.is_complete(), "what lies between 10 and 20 is not reported yet");
        // A page that was sent again may overlap.
        assert!(!add(&mut report, Some(5), Some(8)) && !add(&mut report, Some(10), Some(20)));
        assert!(add(&mut report, Some(20), None) && report.is_complete());
        assert!(!add(&mut report, None, Some(10)));
        assert!(report.is_complete(), "the sums of the last report are still known");
    }

    #[test]
    fn a_report_that_begins_anew_counts_anew() {
        let mut report = Report::default();
        add(&mut report, None, Some(10));
        add(&mut report, None, Some(10));
        let sums = report.add(&page(Some(10), None), Unknown { blocks: 2, bytes: 5 }, 1).unwrap();
        assert_eq!((sums.strange, sums.unknown), (2, Unknown { blocks: 2, bytes: 5 }));
    }
}
