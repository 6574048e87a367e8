//! Packs: blocks that are made of pieces of others, and reads of an object's bytes alone.

use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::block::{BYTES_MAX, BlockError, BlockService, GetBlock};
use cairn_protocol::checksum::crc32c;
use cairn_protocol::cluster::{Action, Command, PackPiece, ReportedReplica};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use cairn_protocol::secret::BlockOperation;

use crate::machine::Machine;
use crate::metanode::{Metanode, RecordedCalls};
use crate::support::{Http, Node, config, content, flip_bits, id, token};

async fn get_bytes(
    service: &dyn BlockService,
    node: &Node,
    block: BlockId,
    range: Option<(u64, u64)>,
) -> Result<Bytes, BlockError> {
    let token = token(BlockOperation::Get, block, node.id);
    service.get_bytes(GetBlock { block, range, token }).await
}

#[tokio::test]
async fn a_short_range_is_read_without_anything_around_it() {
    let machine = Machine::default();
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let config = config(directory.path());
    let node =
        Node::start_on(Arc::new(machine.clone()), directory, config, Arc::new(Http), Metanode::new()).await;
    for (n, length) in (1..).zip([1, 5_000, 65_536, 200_000, 1_500_000]) {
        let bytes = content(n as u64, length);
        node.put(id(n), &bytes, vec![]).await.unwrap();
        let end = length as u64;
        let ranges = [(0, 1), (0, end.min(BYTES_MAX)), (end / 3, end / 3 + 1), (end.saturating_sub(70), end)];
        // What is not in memory is read from the disk.
        for in_memory in [0, usize::MAX] {
            machine.limit_reads_from_memory(in_memory);
            for (from, to) in ranges {
                let expected = bytes.slice(from as usize..to as usize);
                let service = node.datanode.blocks();
                assert_eq!(get_bytes(&*service, &node, id(n), Some((from, to))).await.unwrap(), expected);
                assert_eq!(
                    get_bytes(&*node.client(), &node, id(n), Some((from, to))).await.unwrap(),
                    expected
                );
            }
        }
    }
}

#[tokio::test]
async fn a_range_that_is_too_long_or_not_there_is_refused() {
    let node = Node::start().await;
    node.put(id(1), &content(1, 200_000), vec![]).await.unwrap();
    for range in [Some((0, BYTES_MAX + 1)), Some((5, 5)), Some((199_999, 200_001)), None] {
        let service = node.datanode.blocks();
        let refused = get_bytes(&*service, &node, id(1), range).await.unwrap_err();
        assert!(matches!(refused, BlockError::Malformed { .. }), "{refused}");
    }
    let missing = get_bytes(&*node.client(), &node, id(2), Some((0, 1))).await.unwrap_err();
    assert_eq!(missing, BlockError::NotFound);
    let stranger = GetBlock { block: id(1), range: Some((0, 1)), token: "none".to_owned() };
    let refused = node.client().get_bytes(stranger).await.unwrap_err();
    assert!(matches!(refused, BlockError::Unauthorized { .. }), "{refused}");
}

fn order(id: u64, action: Action) -> Command {
    Command { id, issued_at: Timestamp(0), deadline: Timestamp(u64::MAX), action }
}

fn result(state: &RecordedCalls, command: u64) -> Option<Option<String>> {
    let mut results = state.heartbeats.iter().flat_map(|heartbeat| &heartbeat.finished);
    results.find(|result| result.command == command).map(|result| result.error.clone())
}

/// The command to make the pack 99 of these ranges of blocks, and its bytes. All nodes are named as sources of all pieces.
fn pack(nodes: &[&Node], ranges: &[(u128, usize, usize)], contents: &[Bytes]) -> (Action, Bytes) {
    let bytes_of = |(block, from, to): &(u128, usize, usize)| contents[*block as usize - 1].slice(*from..*to);
    let pieces = ranges.iter().map(|range| PackPiece {
        block: id(range.0),
        offset: range.1 as u64,
        length: (range.2 - range.1) as u64,
        crc32c: crc32c(&bytes_of(range)),
        sources: (0..nodes.len() as u32).collect(),
    });
    let whole = Bytes::from(ranges.iter().map(|range| bytes_of(range).to_vec()).collect::<Vec<_>>().concat());
    let replica = ReportedReplica { block: id(99), length: whole.len() as u64, crc32c: crc32c(&whole) };
    let nodes = nodes.iter().map(|node| (node.id, node.address.clone())).collect();
    (Action::Pack { replica, pieces: pieces.collect(), nodes }, whole)
}

async fn carry_out(node: &Node, number: u64, action: Action) -> Option<String> {
    node.metanode.change(|state| state.orders.push(order(number, action)));
    let state = node.metanode.wait(|state| result(state, number).is_some()).await;
    result(&state, number).flatten()
}

#[tokio::test]
async fn a_pack_is_made_of_pieces_from_this_node_and_from_others() {
    let (here, there) = (Node::start().await, Node::start().await);
    let contents = [content(1, 3_000), content(2, 400_000), content(3, 1_200_000), content(4, 70_000)];
    for (n, node) in [(1, &here), (2, &there), (3, &there), (4, &here)] {
        node.put(id(n), &contents[n as usize - 1], vec![]).await.unwrap();
    }
    // Short pieces and long ones, whole blocks and parts, in any order.
    let ranges = [
        (2, 100, 300_000),
        (1, 0, 3_000),
        (4, 65_000, 66_000),
        (3, 1, 1_048_577),
        (2, 399_999, 400_000),
        (1, 5, 6),
    ];
    let (action, whole) = pack(&[&there], &ranges, &contents);
    assert_eq!(carry_out(&here, 1, action.clone()).await, None);
    assert_eq!(here.read(id(99)).await.unwrap(), whole);
    let state = here.metanode.wait(|state| state.replicas.contains_key(&id(99))).await;
    assert_eq!(state.replicas[&id(99)].crc32c, crc32c(&whole));
    assert!(state.registrations[0].packs);
    assert_eq!(carry_out(&here, 2, action).await, None, "it has it already");
}

#[tokio::test]
async fn a_damaged_piece_is_read_from_another_node_and_without_one_nothing_is_kept() {
    let (here, there) = (Node::start().await, Node::start().await);
    let contents = [content(1, 1_500_000), content(2, 1_000)];
    here.put(id(1), &contents[0], vec![]).await.unwrap();
    there.put(id(2), &contents[1], vec![]).await.unwrap();
    there.put(id(1), &contents[0], vec![]).await.unwrap();
    flip_bits(here.directory.path(), 500_000);
    let ranges = [(2, 0, 1_000), (1, 900_000, 1_100_000)];
    let (alone, _) = pack(&[], &ranges, &contents);
    assert!(carry_out(&here, 1, alone).await.is_some());
    assert!(!here.holds(id(99)).await);
    let (with_other, whole) = pack(&[&there], &ranges, &contents);
    assert_eq!(carry_out(&here, 2, with_other).await, None);
    assert_eq!(here.read(id(99)).await.unwrap(), whole);
}

#[tokio::test]
async fn a_pack_whose_pieces_are_not_what_was_announced_is_not_kept() {
    let node = Node::start().await;
    let contents = [content(1, 3_000)];
    node.put(id(1), &contents[0], vec![]).await.unwrap();
    let (action, _) = pack(&[&node], &[(1, 0, 1_000), (1, 2_000, 3_000)], &contents);
    let Action::Pack { replica, pieces, nodes } = action else { unreachable!() };
    let changed = |change: &dyn Fn(&mut ReportedReplica, &mut Vec<PackPiece>)| {
        let (mut replica, mut pieces) = (replica, pieces.clone());
        change(&mut replica, &mut pieces);
        Action::Pack { replica, pieces, nodes: nodes.clone() }
    };
    let wrong = [
        changed(&|replica, _| replica.crc32c += 1),
        changed(&|replica, _| replica.length += 1),
        changed(&|_, pieces| pieces[0].crc32c += 1),
        changed(&|_, pieces| pieces[0].offset += 1),
        changed(&|_, pieces| pieces[1].length = 2_000),
        changed(&|_, pieces| pieces[1].length = u64::MAX),
        changed(&|_, pieces| pieces[1].offset = u64::MAX),
        changed(&|_, pieces| pieces[1].block = id(5)),
        changed(&|_, pieces| {
            pieces.pop();
        }),
    ];
    for (number, action) in (1..).zip(wrong) {
        assert!(carry_out(&node, number, action).await.is_some(), "{number}");
        assert!(!node.holds(id(99)).await);
    }
}
