//! `cairn admin hold`: deletions that are held until an operator agrees.

use cairn_protocol::admin::{Admin, HoldCause, HoldReason, HoldRequest, HoldStatus, ReleaseHold};
use clap::Subcommand;

use super::Printer;
use super::consent::Consent;
use super::node_name::Nodes;
use crate::table::Table;
use crate::units::{count, of, size, time};

const AFTER_HELP: &str = "\
While deletions are held, objects are read and written as ever, and nothing is deleted from any datanode.

The way back is to stop the metanode, put the newer database back (metanode.db together with its -wal file), and start \
it again: what the older one did not know is all there. The way on is `release`: the datanodes then delete what this \
database does not know. It lies in their trash for a while.";

#[derive(Subcommand, Debug)]
pub(super) enum HoldOperation {
    /// Show whether deletions are held, why, and what they would delete
    Status,
    /// Release deletions: blocks that this database does not know are deleted
    #[command(after_help = AFTER_HELP)]
    Release(Consent),
}

pub(super) async fn run(operation: HoldOperation, admin: &dyn Admin, printer: Printer) -> anyhow::Result<()> {
    let nodes = Nodes::ask(admin).await?;
    let status = admin.hold(HoldRequest {}).await?;
    let HoldOperation::Release(consent) = operation else {
        return printer.show(&status, |status| text(&nodes, status));
    };
    if consent.dry_run {
        return printer.show(&status, |status| text(&nodes, status));
    }
    if !status.is_held() {
        anyhow::bail!("nothing was done: deletions are not held");
    }
    printer.note(text(&nodes, &status));
    if consent.given()? {
        let request = ReleaseHold { revision: status.revision, dry_run: false };
        let released = admin.release_hold(request).await?;
        printer.show(&released, |_| {
            "Deletions go on; what this database does not know is given up.".to_owned()
        })?;
    }
    Ok(())
}

/// A sentence about the hold for `status` and `fsck`, or None without a hold.
pub(super) fn sentence(status: &HoldStatus) -> Option<String> {
    let since = status.since?;
    let blocks: u64 = status.nodes.iter().map(|node| node.blocks).sum();
    Some(format!(
        "Deletions are held since {}: this database may be older than what the datanodes hold (which hold {} that \
         it does not know, as far as they have reported). Nothing is deleted until an operator agrees: `cairn admin hold status` tells more",
        time(since),
        of(blocks, "block")
    ))
}

fn text(nodes: &Nodes, status: &HoldStatus) -> String {
    let Some(since) = status.since else {
        let awaited = status.awaited.len() as u64;
        return match awaited {
            0 => "Deletions are not held.".to_owned(),
            _ => format!(
                "Deletions are not held; they begin when every datanode has reported after the metanode's start. {} \
                 not yet.",
                of(awaited, "datanode")
            ),
        };
    };
    let mut parts = vec![format!(
        "Deletions are held since {}: this database may be older than what the datanodes hold.",
        time(since)
    )];
    parts.extend(status.reasons.iter().map(|reason| because(nodes, reason)));
    let more = status.reasons_in_all.saturating_sub(status.reasons.len() as u64);
    if more > 0 {
        parts.push(format!("… and {} more.", of(more, "reason")));
    }
    parts.push(outlook(nodes, status));
    parts.push(
        "To keep them, put the newer database back (metanode.db with its -wal) while the metanode is stopped. To give \
         them up: `cairn admin hold release`."
            .to_owned(),
    );
    parts.join("\n\n")
}

fn because(nodes: &Nodes, reason: &HoldReason) -> String {
    let node = format!("Datanode {}", nodes.short(reason.node));
    match reason.cause {
        HoldCause::UnknownGeneration { seen } => format!(
            "{node} has seen change {} of metanode start {}, which this database does not know: it is an older copy, or \
             went another way since.",
            count(seen.sequence),
            seen.opening
        ),
        HoldCause::UnknownBlocks { unknown, reported } => format!(
            "{node} holds {}, and this database does not know {} of them: more than uploads that were broken off \
             leave behind.",
            of(reported, "block"),
            count(unknown)
        ),
    }
}

/// The replicas that a release would delete.
fn outlook(nodes: &Nodes, status: &HoldStatus) -> String {
    let mut said = if status.nodes.is_empty() {
        "Releasing them would delete nothing that is known of so far.".to_owned()
    } else {
        let mut table =
            Table::new(["NODE", "UNKNOWN REPLICAS", "SIZE", "OF", "ALREADY QUEUED"]).right(&[1, 2, 3, 4]);
        for held in &status.nodes {
            table.row([
                nodes.short(held.node),
                count(held.blocks),
                size(held.bytes),
                count(held.reported),
                count(held.queued),
            ]);
        }
        format!("Releasing them would delete:\n\n{table}")
    };
    if !status.awaited.is_empty() {
        said += &format!(
            "\n\n{} not reported yet; what would be deleted there is not known.",
            match status.awaited.len() {
                1 => "1 datanode has".to_owned(),
                many => format!("{many} datanodes have"),
            }
        );
    }
    said
}

#[cfg(test)]
mod tests {
    use cairn_protocol::admin::HeldReplicas;
    use cairn_protocol::cluster::Generation;
    use cairn_protocol::env::Timestamp;

    use super::*;
    use crate::command::admin::fake::{Fake, NODE, node, parse};

    fn held() -> HoldStatus {
        let (node, opening) =
            (NODE.parse().unwrap(), "eeeeeeee-0000-4000-8000-000000000001".parse().unwrap());
        let cause = HoldCause::UnknownGeneration { seen: Generation { opening, sequence: 1_500 } };
        HoldStatus {
            since: Some(Timestamp(0)),
            revision: 2,
            reasons: vec![HoldReason { node, at: Timestamp(0), cause }],
            reasons_in_all: 2,
            awaited: vec![node],
            nodes: vec![HeldReplicas { node, blocks: 7, bytes: 7 << 20, reported: 10, queued: 1 }],
        }
    }

    #[tokio::test]
    async fn deletions_are_released_as_they_were_shown_and_not_in_a_dry_run() {
        for (line, orders) in [
            (&["status"][..], vec![]),
            (&["release", "--dry-run"], vec![]),
            (&["release", "--yes"], vec!["release_hold 2"]),
        ] {
            let fake = Fake::default();
            fake.hold(held());
            run(parse(line).unwrap(), &fake, Printer { json: true }).await.unwrap();
            assert_eq!(fake.orders(), orders);
        }
    }

    #[tokio::test]
    async fn there_is_nothing_to_release_when_nothing_is_held() {
        let fake = Fake::default();
        let released = run(parse(&["release", "--yes"]).unwrap(), &fake, Printer { json: true }).await;
        assert!(released.is_err() && fake.orders().is_empty());
    }

    #[test]
    fn a_hold_is_shown_with_reason_effect_and_both_ways_out() {
        let nodes = Nodes::new(vec![node(NODE, "http://10.0.0.1:9020")]);
        let text = text(&nodes, &held());
        for part in [
            "Deletions are held since 1970-01-01",
            "has seen change 1,500 of metanode start eeeeeeee-",
            "… and 1 reason more.",
            "7.0 MiB",
            "1 datanode has not reported yet",
            "put the newer database back",
            "cairn admin hold release",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert!(sentence(&held()).unwrap().contains("7 blocks"));
        assert_eq!(sentence(&HoldStatus::default()), None);
    }
}
