//! `cairn admin where`: the blocks and replicas of an object.

use cairn_protocol::admin::{Admin, ExtentPlace, ObjectPlace, WhereRequest};
use cairn_protocol::block::Connector;
use cairn_protocol::metadata::VersionName;
use clap::Args;
use serde::Serialize;

use super::metanode_client::Connection;
use super::node::state_word;
use super::node_name::Nodes;
use super::verify::{CheckedReplica, Verdict, Verifier};
use super::{Outcome, Printer};
use crate::table::Table;
use crate::units::{count, of, size, time};

const AFTER_HELP: &str = "\
With --verify the exit code is 0 if every replica is good, and 2 if one is corrupt, missing or cannot be read.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct WhereArguments {
    /// The object: s3://bucket/key
    #[arg(value_name = "OBJECT", value_parser = object_name)]
    object: ObjectName,

    /// This version, instead of the current one
    #[arg(long, value_name = "ID")]
    version_id: Option<VersionName>,

    /// Read every replica from its datanode, and check it
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectName {
    pub(super) bucket: String,
    pub(super) key: String,
}

pub(super) fn object_name(text: &str) -> Result<ObjectName, String> {
    match text.strip_prefix("s3://").and_then(|name| name.split_once('/')) {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(ObjectName { bucket: bucket.to_owned(), key: key.to_owned() })
        }
        _ => Err("write it as s3://bucket/key".to_owned()),
    }
}

/// The output of `--json`.
#[derive(Serialize)]
struct Whereabouts {
    /// The object, its extents and the metanode's records of their replicas.
    #[serde(flatten)]
    object: ObjectPlace,
    /// The replicas as they were read; null without `--verify`.
    verified: Option<Vec<CheckedReplica>>,
}

pub(super) async fn run(
    arguments: WhereArguments,
    connection: &Connection,
    printer: Printer,
) -> anyhow::Result<Outcome> {
    let admin: &dyn Admin = &connection.rpc;
    let ObjectName { bucket, key } = arguments.object;
    let object = admin.locate_object(WhereRequest { bucket, key, version: arguments.version_id }).await?;
    let nodes = Nodes::ask(admin).await?;
    let verified = if arguments.verify {
        let verifier = Verifier::new(
            Connector::new(&connection.identity)?,
            connection.secret.clone(),
            connection.env.clone(),
        );
        Some(verifier.check(&object).await)
    } else {
        None
    };
    let well = verified.as_deref().is_none_or(|checked| all_is_well(&object, checked));
    printer.show(&Whereabouts { object, verified }, |found| text(&nodes, found))?;
    Ok(well.into())
}

/// Whether every block has a replica, and every checked replica is good.
fn all_is_well(object: &ObjectPlace, checked: &[CheckedReplica]) -> bool {
    object.extents.iter().all(|extent| !extent.replicas.is_empty())
        && checked.iter().all(|replica| replica.verdict == Verdict::Good)
}

fn text(nodes: &Nodes, found: &Whereabouts) -> String {
    let object = &found.object;
    let mut facts = Table::of_facts();
    let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
    fact("version", object.version.to_string());
    fact("length", format!("{} ({})", of(object.length, "byte"), size(object.length)));
    fact("ETag", object.etag.clone());
    fact("written", time(object.modified_at));
    fact("extents", count(object.extents.len() as u64));
    let mut parts = vec![facts.to_string(), extents(nodes, object).to_string()];
    if let Some(checked) = &found.verified {
        parts.push(replicas(nodes, checked).to_string());
        parts.push(verdict(object, checked));
    }
    parts.join("\n\n")
}

fn extents(nodes: &Nodes, object: &ObjectPlace) -> Table {
    let head = ["OFFSET", "LENGTH", "BLOCK", "FROM", "CRC32C", "REPLICAS", "DATANODES"];
    let mut table = Table::new(head).right(&[0, 1, 3]);
    for extent in &object.extents {
        table.row([
            count(extent.offset),
            count(extent.length),
            extent.block.to_string(),
            count(extent.block_offset),
            format!("{:08x}", extent.crc32c),
            format!("{} of {}", extent.replicas.len(), extent.replication),
            holders(nodes, extent),
        ]);
    }
    table
}

/// The holders of an extent's block, each with its state if that is not the normal one.
fn holders(nodes: &Nodes, extent: &ExtentPlace) -> String {
    let words = extent.replicas.iter().map(|replica| {
        let mut marks = Vec::new();
        if replica.state != cairn_protocol::admin::NodeState::Live {
            marks.push(state_word(replica.state));
        }
        if !replica.good {
            marks.push("corrupt");
        }
        let name = nodes.short(replica.node);
        if marks.is_empty() { name } else { format!("{name} ({})", marks.join(", ")) }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn replicas(nodes: &Nodes, checked: &[CheckedReplica]) -> Table {
    let mut table = Table::new(["BLOCK", "DATANODE", "ADDRESS", "VOLUME", "REPLICA IS"]);
    for replica in checked {
        let verdict = replica.verdict.as_str();
        table.row([
            replica.block.to_string(),
            nodes.short(replica.node),
            replica.address.clone(),
            replica.volume.map_or_else(|| "-".to_owned(), |volume| volume.to_string()),
            replica.detail.as_ref().map_or_else(|| verdict.to_owned(), |why| format!("{verdict}: {why}")),
        ]);
    }
    table
}

fn verdict(object: &ObjectPlace, checked: &[CheckedReplica]) -> String {
    let bad = checked.iter().filter(|replica| replica.verdict != Verdict::Good).count() as u64;
    if all_is_well(object, checked) {
        return format!("Good: {} read and checked.", replica_count(checked.len() as u64));
    }
    format!("Not good: {} of {} not as it should be.", count(bad), replica_count(checked.len() as u64))
}

fn replica_count(number: u64) -> String {
    if number == 1 { "1 replica".to_owned() } else { format!("{} replicas", count(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{NODE, node, place};
    use cairn_protocol::admin::NodeState;

    #[test]
    fn an_object_is_named_as_aws_cli_names_it() {
        let name = object_name("s3://photos/a/b c?d").unwrap();
        assert_eq!((name.bucket.as_str(), name.key.as_str()), ("photos", "a/b c?d"));
        for wrong in ["photos/a", "s3://photos", "s3://photos/", "s3:///a", ""] {
            assert_eq!(object_name(wrong), Err("write it as s3://bucket/key".to_owned()));
        }
    }

    #[test]
    fn extents_are_shown_with_their_blocks_and_holders() {
        let mut object = place(&[b"hello"]);
        object.extents[0].replicas[0].state = NodeState::Stale;
        let nodes = Nodes::new(vec![node(NODE, "http://10.0.0.1:9020")]);
        let text = text(&nodes, &Whereabouts { object, verified: None });
        assert!(text.contains("5 bytes (5 B)"), "{text}");
        assert!(text.contains("1 of 3") && text.contains("aaaaaaaa (stale)"), "{text}");
    }

    #[test]
    fn a_block_without_any_replica_is_a_problem() {
        let mut object = place(&[b"hello"]);
        object.extents[0].replicas.clear();
        assert!(!all_is_well(&object, &[]));
    }
}
