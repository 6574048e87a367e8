//! `cairn admin fsck`: requests the metanode's check page by page, and sums the pages up.

use std::collections::BTreeMap;

use cairn_protocol::admin::{
    Admin, BucketHealth, FsckPage, FsckRequest, FsckSummary, FsckTotals, HoldStatus, Problem, ProblemKind,
};
use clap::Args;
use serde::Serialize;

use super::bucket::bucket_name;
use super::hold::sentence;
use super::node_name::Nodes;
use super::progress::{Bar, Unit};
use super::{Outcome, Printer};
use crate::table::Table;
use crate::units::{count, of, size};

const AFTER_HELP: &str = "\
Exit codes: 0 all is well; 1 the check could not be run; 2 problems were found (with --repair too: check again to see
what is left).
What is found comes from the metanode's tables, not from the disks: `cairn admin scrub start` has datanodes read them.";

/// Limit of problems that are shown without `--all`.
const PROBLEMS_SHOWN: usize = 20;

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct FsckArguments {
    /// Only this bucket: s3://photos, or photos
    #[arg(long, value_name = "BUCKET", value_parser = bucket_name)]
    bucket: Option<String>,

    /// Also fix what needs no change of data: queue blocks for repair that are not queued, count references again, and
    /// delete the records of datanodes that do not exist
    #[arg(long)]
    repair: bool,

    /// Show every problem, not only the first 20
    #[arg(long)]
    all: bool,
}

/// The sum of all pages, which `--json` prints.
#[derive(Debug, Default, Serialize)]
struct FsckReport {
    /// Whether nothing is wrong.
    clean: bool,
    /// The checked blocks and problems, by bucket.
    buckets: Vec<BucketHealth>,
    /// The sum of all buckets.
    blocks: FsckSummary,
    /// The counts that belong to no bucket.
    totals: FsckTotals,
    /// Number of problems found.
    problems_found: u64,
    /// The problems, with `--all` every one, otherwise the first 20.
    problems: Vec<Problem>,
    /// The hold, if deletions are held. A hold damages no object, so it leaves the check clean.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldStatus>,
}

pub(super) async fn run(
    arguments: FsckArguments,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<Outcome> {
    let nodes = Nodes::ask(admin).await?;
    let shown = if arguments.all { usize::MAX } else { PROBLEMS_SHOWN };
    let report = check(arguments.bucket, arguments.repair, shown, admin).await?;
    printer.show(&report, |report| text(&nodes, report))?;
    Ok(report.clean.into())
}

async fn check(
    bucket: Option<String>,
    repair: bool,
    shown: usize,
    admin: &dyn Admin,
) -> anyhow::Result<FsckReport> {
    let bar = Bar::new(1_000, Unit::Permille);
    let mut sum = Sum { shown, ..Sum::default() };
    let mut after = None;
    loop {
        let request = FsckRequest { bucket: bucket.clone(), after: after.clone(), repair };
        let page = admin.fsck(request).await?;
        bar.set(u64::from(page.progress_permille), 1_000);
        let next = page.next.clone();
        sum.add(page);
        bar.say(format!("{} found", of(sum.report.problems_found, "problem")));
        match next {
            None => return Ok(sum.finish()),
            Some(next) if after.as_ref() == Some(&next) => {
                anyhow::bail!("the metanode's check does not come forward; its log may tell more")
            }
            Some(next) => after = Some(next),
        }
    }
}

#[derive(Default)]
struct Sum {
    report: FsckReport,
    buckets: BTreeMap<String, BucketHealth>,
    shown: usize,
}

impl Sum {
    fn add(&mut self, page: FsckPage) {
        for bucket in page.buckets {
            let name = bucket.bucket.clone();
            let sum = self.buckets.entry(name.clone()).or_default();
            sum.bucket = name;
            sum.objects += bucket.objects;
            sum.bytes += bucket.bytes;
            sum.blocks += bucket.blocks;
            self.report.blocks += bucket.blocks;
        }
        self.report.totals += page.totals;
        self.report.hold = page.hold.filter(HoldStatus::is_held).or(self.report.hold.take());
        self.report.problems_found += page.problems.len() as u64;
        let room = self.shown.saturating_sub(self.report.problems.len());
        self.report.problems.extend(page.problems.into_iter().take(room));
    }

    fn finish(mut self) -> FsckReport {
        self.report.buckets = self.buckets.into_values().collect();
        self.report.clean = self.report.problems_found == 0
            && !has_problems(&self.report.blocks)
            && !totals_have_problems(&self.report.totals);
        self.report
    }
}

fn has_problems(blocks: &FsckSummary) -> bool {
    let FsckSummary { blocks: _, missing, corrupt, under_replicated, over_replicated, misplaced } = blocks;
    missing + corrupt + under_replicated + over_replicated + misplaced > 0
}

/// Whether a total is a problem. Blocks that wait for their deletion or their commit are none.
fn totals_have_problems(totals: &FsckTotals) -> bool {
    totals.orphaned_blocks + totals.wrong_references + totals.wrong_counters + totals.orphaned_replicas > 0
}

fn text(nodes: &Nodes, report: &FsckReport) -> String {
    let mut parts = vec![buckets(report).to_string(), totals(&report.totals).to_string()];
    parts.extend(report.problems.iter().map(|problem| lines(nodes, problem)));
    let left = report.problems_found - report.problems.len() as u64;
    if left > 0 {
        parts.push(format!("… and {} more: --all shows them.", of(left, "problem")));
    }
    parts.extend(report.hold.as_ref().and_then(sentence).map(|sentence| sentence + "."));
    parts.push(verdict(report));
    parts.join("\n\n")
}

fn verdict(report: &FsckReport) -> String {
    if report.clean {
        return format!("Clean: {} looked at, nothing is wrong.", of(report.blocks.blocks, "block"));
    }
    match report.blocks.missing {
        0 => "Problems were found; nothing is lost.".to_owned(),
        missing => {
            format!("Problems were found: {} without any good replica within reach.", of(missing, "block"))
        }
    }
}

fn buckets(report: &FsckReport) -> Table {
    let head = ["BUCKET", "OBJECTS", "SIZE", "BLOCKS", "MISSING", "CORRUPT", "UNDER", "OVER", "MISPLACED"];
    let mut table = Table::new(head).right(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let mut row = |name: &str, objects: u64, bytes: u64, blocks: &FsckSummary| {
        table.row([
            name.to_owned(),
            count(objects),
            size(bytes),
            count(blocks.blocks),
            count(blocks.missing),
            count(blocks.corrupt),
            count(blocks.under_replicated),
            count(blocks.over_replicated),
            count(blocks.misplaced),
        ]);
    };
    for bucket in &report.buckets {
        row(&bucket.bucket, bucket.objects, bucket.bytes, &bucket.blocks);
    }
    let objects = report.buckets.iter().map(|bucket| bucket.objects).sum();
    let bytes = report.buckets.iter().map(|bucket| bucket.bytes).sum();
    row("all", objects, bytes, &report.blocks);
    table
}

fn totals(totals: &FsckTotals) -> Table {
    let FsckTotals {
        orphaned_blocks,
        wrong_references,
        wrong_counters,
        orphaned_replicas,
        uncommitted_replicas,
        deletions_queued,
        garbage_queued,
        deleted_buckets,
    } = *totals;
    let mut table = Table::of_facts();
    for (name, number) in [
        ("orphaned blocks", orphaned_blocks),
        ("blocks with miscounted references", wrong_references),
        ("counters that are wrong", wrong_counters),
        ("replicas on datanodes that do not exist", orphaned_replicas),
        ("replicas not committed yet", uncommitted_replicas),
        ("replicas that wait to be deleted", deletions_queued),
        ("deleted objects in their grace period", garbage_queued),
        ("deleted buckets with uploads left", deleted_buckets),
    ] {
        table.row([name.to_owned(), count(number)]);
    }
    table
}

fn lines(nodes: &Nodes, problem: &Problem) -> String {
    let object = match (&problem.bucket, &problem.key) {
        (Some(bucket), Some(key)) => format!(" of s3://{bucket}/{key}"),
        (Some(bucket), None) => format!(" of bucket {bucket}"),
        (None, _) => String::new(),
    };
    let holders: Vec<_> = problem.holders.iter().map(|holder| nodes.short(*holder)).collect();
    let held = if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") };
    if problem.block.0.is_nil() {
        // An object's extents have a gap, or a counter is wrong, so there is no block to name.
        return format!("{}{object}\n  {}", kind_words(problem.kind), problem.advice);
    }
    format!(
        "{}: block {}{object}, held by {held}\n  {}",
        kind_words(problem.kind),
        problem.block,
        problem.advice
    )
}

fn kind_words(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Missing => "Missing",
        ProblemKind::Corrupt => "Corrupt",
        ProblemKind::UnderReplicated => "Too few replicas",
        ProblemKind::OverReplicated => "Too many replicas",
        ProblemKind::Misplaced => "Misplaced",
        ProblemKind::Orphaned => "Orphaned",
        ProblemKind::WrongReferences => "Miscounted",
        ProblemKind::WrongCounter => "Wrong counter",
        ProblemKind::BrokenObject => "Broken object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, NODE, node};
    use cairn_protocol::admin::FsckCursor;

    fn page(bucket: &str, blocks: u64, next: Option<&str>) -> FsckPage {
        let summary = FsckSummary { blocks, ..FsckSummary::default() };
        FsckPage {
            buckets: vec![BucketHealth { bucket: bucket.to_owned(), objects: 1, bytes: 10, blocks: summary }],
            next: next.map(|cursor| FsckCursor(cursor.to_owned())),
            ..FsckPage::default()
        }
    }

    fn problem() -> Problem {
        Problem {
            kind: ProblemKind::Missing,
            block: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap(),
            bucket: Some("photos".to_owned()),
            key: Some("a b".to_owned()),
            holders: vec![NODE.parse().unwrap()],
            advice: "Start the datanode.".to_owned(),
        }
    }

    #[tokio::test]
    async fn pages_are_walked_to_the_end_and_added_up_by_bucket() {
        let fake = Fake::default();
        fake.fsck([page("a", 1, Some("1")), page("b", 2, Some("2")), page("a", 4, None)]);
        let report = check(None, false, 20, &fake).await.unwrap();
        let seen: Vec<_> =
            report.buckets.iter().map(|b| (b.bucket.as_str(), b.objects, b.blocks.blocks)).collect();
        assert_eq!(seen, [("a", 2, 5), ("b", 1, 2)]);
        assert_eq!(report.blocks.blocks, 7);
        assert!(report.clean);
        assert_eq!(fake.orders(), ["fsck None", "fsck Some(1)", "fsck Some(2)"]);
    }

    #[tokio::test]
    async fn problems_make_a_check_unclean_and_waiting_blocks_do_not() {
        async fn clean(change: impl FnOnce(&mut FsckPage)) -> bool {
            let fake = Fake::default();
            let mut page = page("a", 1, None);
            change(&mut page);
            fake.fsck([page]);
            check(None, false, 20, &fake).await.unwrap().clean
        }
        assert!(clean(|_| ()).await);
        assert!(clean(|page| page.totals.deletions_queued = 5).await);
        assert!(clean(|page| page.totals.garbage_queued = 5).await);
        assert!(clean(|page| page.totals.deleted_buckets = 5).await);
        assert!(clean(|page| page.totals.uncommitted_replicas = 5).await);
        assert!(!clean(|page| page.totals.orphaned_blocks = 1).await);
        assert!(!clean(|page| page.totals.wrong_references = 1).await);
        assert!(!clean(|page| page.totals.wrong_counters = 1).await);
        assert!(!clean(|page| page.totals.orphaned_replicas = 1).await);
        assert!(!clean(|page| page.problems = vec![problem()]).await);
        for field in [
            |blocks: &mut FsckSummary| blocks.missing = 1,
            |blocks: &mut FsckSummary| blocks.corrupt = 1,
            |blocks: &mut FsckSummary| blocks.under_replicated = 1,
            |blocks: &mut FsckSummary| blocks.over_replicated = 1,
            |blocks: &mut FsckSummary| blocks.misplaced = 1,
        ] {
            assert!(!clean(|page| field(&mut page.buckets[0].blocks)).await);
        }
    }

    #[tokio::test]
    async fn a_hold_is_shown_and_leaves_the_check_clean() {
        let fake = Fake::default();
        let hold = HoldStatus { since: Some(cairn_protocol::env::Timestamp(0)), ..HoldStatus::default() };
        fake.fsck([page("a", 1, Some("1")), FsckPage { hold: Some(hold), ..page("a", 1, None) }]);
        let report = check(None, false, 20, &fake).await.unwrap();
        assert!(report.clean);
        let text = text(&Nodes::new(Vec::new()), &report);
        assert!(text.contains("Deletions are held") && text.contains("Clean: 2 blocks"), "{text}");
    }

    #[tokio::test]
    async fn a_check_that_does_not_come_forward_ends() {
        let fake = Fake::default();
        fake.fsck([page("a", 1, Some("1")), page("a", 1, Some("1"))]);
        assert!(check(None, false, 20, &fake).await.is_err());
    }

    #[tokio::test]
    async fn only_the_first_problems_are_shown_and_the_others_counted() {
        let fake = Fake::default();
        let mut page = page("a", 1, None);
        page.problems = vec![problem(); 25];
        fake.fsck([page]);
        let report = check(None, false, 20, &fake).await.unwrap();
        let nodes = Nodes::new(vec![node(NODE, "http://10.0.0.1:9020")]);
        let text = text(&nodes, &report);
        assert_eq!(text.matches("Missing: block").count(), 20);
        assert!(text.contains("… and 5 problems more"), "{text}");
        assert!(text.contains("of s3://photos/a b, held by aaaaaaaa\n  Start the datanode."), "{text}");
    }
}
