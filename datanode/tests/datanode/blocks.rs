//! Blocks on one datanode: stored blocks read back, wrong requests are refused, and limits hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cairn_datanode::Datanode;
use cairn_protocol::block::{BlockError, BlockInfo, DeleteBlock, GetBlock, HeadBlock, PutBlock};
use cairn_protocol::checksum::ChunkTable;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::secret::BlockOperation;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::machine::Machine;
use crate::metanode::Metanode;
use crate::support::{
    Http, LENGTHS, Node, collect, config, content, flip_bits, id, pieces, put_request, secret, token,
};

#[tokio::test]
async fn a_block_reads_back_whole_and_in_ranges_of_chunks_with_its_table() {
    let node = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(n as u64, length);
        node.put(id(n), &bytes, vec![]).await.unwrap();
        assert_eq!(node.read(id(n)).await.unwrap(), bytes);
        let end = length as u64;
        for (from, to, first, last) in [
            (0, 1, 0, 65_536),
            (65_535, 65_537, 0, length.min(131_072)),
            (65_536, end, 65_536, length),
            (end - 1, end + 500, (length - 1) / 65_536 * 65_536, length),
        ] {
            let read = node.get(id(n), Some((from, to))).await.unwrap();
            assert_eq!((read.info.length, read.data_offset), (end, first as u64));
            assert_eq!(read.table, ChunkTable::of(&bytes));
            assert_eq!(collect(read.data).await.unwrap(), bytes.slice(first..last));
        }
        let refused = node.get(id(n), Some((end, end + 1))).await.unwrap_err();
        assert!(matches!(refused, BlockError::Malformed { .. }), "{refused}");
    }
}

/// A read begins with what is in memory, and goes on with a thread that waits for the disk as soon as something is not.
#[tokio::test]
async fn a_block_reads_back_whole_however_much_of_it_is_in_memory() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let machine = Machine::default();
    let config = config(directory.path());
    let (disk, metanode) = (Arc::new(machine.clone()), Metanode::new());
    let node = Node::start_on(disk, directory, config, Arc::new(Http), metanode).await;
    for (n, length) in (1..).zip([4_000, 65_536, 100_000, 1_500_000]) {
        let bytes = content(n as u64, length);
        node.put(id(n), &bytes, vec![]).await.unwrap();
        for in_memory in 0..length / 65_536 + 3 {
            machine.limit_reads_from_memory(in_memory);
            assert_eq!(node.read(id(n)).await.unwrap(), bytes, "{in_memory}");
            let part = node.get(id(n), Some((1, length as u64 - 1))).await.unwrap();
            assert_eq!(collect(part.data).await.unwrap(), bytes, "{in_memory}");
        }
        machine.limit_reads_from_memory(usize::MAX);
        let reads = || machine.calls().iter().filter(|(call, _)| ["open", "read"].contains(call)).count();
        // The scrubber and the probe read too, now and then.
        let mut needs_no_disk = false;
        for _ in 0..20 {
            let before = reads();
            assert_eq!(node.read(id(n)).await.unwrap(), bytes);
            needs_no_disk |= reads() == before;
        }
        assert!(needs_no_disk, "a block in memory was read from the disk");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_long_block_in_memory_does_not_keep_other_tasks_waiting() {
    let node = Node::start().await;
    let bytes = content(1, 20 << 20);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    let service = node.datanode.blocks();
    let request =
        || GetBlock { block: id(1), range: None, token: token(BlockOperation::Get, id(1), node.id) };
    // The first read opens the file.
    assert!(collect(service.get(request()).await.unwrap().data).await.unwrap() == bytes);
    let turns = Arc::new(AtomicUsize::new(0));
    let counting = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counting.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let before = turns.load(Ordering::Relaxed);
    assert!(collect(service.get(request()).await.unwrap().data).await.unwrap() == bytes);
    assert!(turns.load(Ordering::Relaxed) > before, "the other task had no turn");
    other.abort();
}

#[tokio::test]
async fn a_block_that_is_sent_again_is_not_written_again_and_another_of_its_name_is_refused() {
    let node = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        node.put(id(n), &bytes, vec![]).await.unwrap();
        let used = node.datanode.volumes().usage()[0].used;
        let reply = node.put(id(n), &bytes, vec![]).await.unwrap();
        assert_eq!(reply.stored, [node.id]);
        assert_eq!(node.datanode.volumes().usage()[0].used, used);
        assert_eq!(node.put(id(n), &content(2, length), vec![]).await, Err(BlockError::Conflict));
        assert_eq!(node.read(id(n)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_deleted_block_is_gone_and_stays_gone_after_a_restart() {
    let mut node = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        node.put(id(n), &content(1, length), vec![]).await.unwrap();
        node.put(id(n + 10), &content(2, length), vec![]).await.unwrap();
        let delete = DeleteBlock { block: id(n), token: token(BlockOperation::Delete, id(n), node.id) };
        node.client().delete(delete.clone()).await.unwrap();
        assert!(matches!(node.get(id(n), None).await, Err(BlockError::NotFound)));
        // It is no error to delete a block that the node does not hold.
        node.client().delete(delete).await.unwrap();
    }
    node = node.restart(|_| {}).await;
    for (n, length) in (1..).zip(LENGTHS) {
        assert!(!node.holds(id(n)).await);
        assert_eq!(node.read(id(n + 10)).await.unwrap(), content(2, length));
    }
}

#[tokio::test]
async fn a_request_without_a_token_for_the_block_the_operation_and_the_node_is_refused() {
    let node = Node::start().await;
    let other = Node::start().await;
    let bytes = content(1, 1000);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    let expired = secret().block_token(BlockOperation::Get, id(1), node.id, Timestamp(1));
    let wrong = [
        String::new(),
        token(BlockOperation::Put, id(1), node.id),
        token(BlockOperation::Get, id(2), node.id),
        token(BlockOperation::Get, id(1), other.id),
        expired,
    ];
    for token in wrong {
        let get = node.client().get(GetBlock { block: id(1), range: None, token: token.clone() }).await;
        assert!(matches!(get, Err(BlockError::Unauthorized { .. })), "{token}");
        let head = node.client().head(HeadBlock { block: id(1), token: token.clone() }).await;
        assert!(matches!(head, Err(BlockError::Unauthorized { .. })), "{token}");
        let delete = node.client().delete(DeleteBlock { block: id(1), token: token.clone() }).await;
        assert!(matches!(delete, Err(BlockError::Unauthorized { .. })), "{token}");
    }
    let request = PutBlock {
        token: token(BlockOperation::Get, id(3), node.id),
        ..put_request(node.id, id(3), &bytes, vec![])
    };
    let put = node.client().put(request, pieces(&bytes)).await;
    assert!(matches!(put, Err(BlockError::Unauthorized { .. })), "{put:?}");
    assert!(node.holds(id(1)).await && !node.holds(id(3)).await);
}

#[tokio::test]
async fn a_block_is_returned_with_the_volume_that_holds_it() {
    let node = Node::start().await;
    let volume = node.datanode.volumes().usage()[0].volume;
    for (n, length) in (1..).zip(LENGTHS) {
        node.put(id(n), &content(1, length), vec![]).await.unwrap();
        let token = token(BlockOperation::Get, id(n), node.id);
        let head = node.client().head(HeadBlock { block: id(n), token }).await.unwrap();
        assert_eq!(head.volume, Some(volume));
        assert_eq!(node.get(id(n), None).await.unwrap().info, BlockInfo { incarnation: None, ..head });
    }
}

/// The answer to a HEAD has no body, so the error is in a header.
#[tokio::test]
async fn a_head_of_a_damaged_block_answers_that_it_is_damaged() {
    let node = Node::start().await;
    node.put(id(1), &content(1, 1000), vec![]).await.unwrap();
    flip_bits(node.directory.path(), 100);
    assert!(node.get(id(1), None).await.is_err());
    let found = |event: &EventKind| matches!(event, EventKind::ReplicaCorrupt { .. });
    node.events.wait_for(found).await.unwrap();
    let token = token(BlockOperation::Get, id(1), node.id);
    let head = node.client().head(HeadBlock { block: id(1), token }).await;
    assert_eq!(head, Err(BlockError::Corrupt));
}

#[tokio::test]
async fn a_sender_that_stalls_is_given_up_and_nothing_is_kept() {
    let node = Node::start_with(|config| config.stall_timeout = Duration::from_millis(50)).await;
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let some = futures_util::stream::iter([Ok(bytes.slice(..1000))]);
        let stalling = some.chain(futures_util::stream::pending()).boxed();
        let request = put_request(node.id, id(n), &bytes, vec![]);
        assert_eq!(node.client().put(request, stalling).await, Err(BlockError::TimedOut));
        assert!(!node.holds(id(n)).await);
        // The block's lock is free again.
        node.put(id(n), &bytes, vec![]).await.unwrap();
    }
}

#[tokio::test]
async fn a_delete_ends_the_receipt_of_its_block() {
    let node = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        let bytes = content(1, length);
        let (sender, receiver) = mpsc::channel::<Bytes>(1);
        let coming = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (Ok(piece), receiver))
        });
        let blocks = node.datanode.blocks();
        let request = put_request(node.id, id(n), &bytes, vec![]);
        let put = tokio::spawn(async move { blocks.put(request, coming.boxed()).await });
        // The channel accepts the third piece only when the receiver has taken the first.
        for at in 0..3 {
            sender.send(bytes.slice(at * 10..at * 10 + 10)).await.unwrap();
        }
        let delete = DeleteBlock { block: id(n), token: token(BlockOperation::Delete, id(n), node.id) };
        node.client().delete(delete).await.unwrap();
        let ended = put.await.unwrap();
        assert!(matches!(ended, Err(BlockError::Unreachable { .. })), "{ended:?}");
        assert!(!node.holds(id(n)).await);
    }
}

#[tokio::test]
async fn a_sender_that_hangs_up_leaves_nothing_behind() {
    let node = Node::start().await;
    let bytes = content(1, 3_000_000);
    let request = put_request(node.id, id(1), &bytes, vec![]);
    let broken = futures_util::stream::iter([
        Ok(bytes.slice(..2_000_000)),
        Err(BlockError::Unreachable { reason: "gone".to_owned() }),
    ]);
    assert!(node.client().put(request, broken.boxed()).await.is_err());
    // The lock can be taken, so the first receipt has ended.
    node.put(id(1), &bytes, vec![]).await.unwrap();
    let node = node.restart(|_| {}).await;
    assert_eq!(node.datanode.volumes().volumes().next().unwrap().recovery().dropped, 0);
    assert_eq!(node.read(id(1)).await.unwrap(), bytes);
}

#[tokio::test]
async fn more_receipts_at_once_than_allowed_are_refused_as_busy() {
    let node = Node::start_with(|config| config.receives_max = 1).await;
    let bytes = content(1, 1000);
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let coming = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (Ok(piece), receiver))
    });
    let blocks = node.datanode.blocks();
    let request = put_request(node.id, id(1), &bytes, vec![]);
    let first = tokio::spawn(async move { blocks.put(request, coming.boxed()).await });
    sender.send(bytes.slice(..500)).await.unwrap();
    sender.send(bytes.slice(500..600)).await.unwrap();
    sender.send(bytes.slice(600..)).await.unwrap();
    // The first receipt has begun, because it has taken a piece; it has not ended, because the stream has not.
    assert_eq!(node.put(id(2), &bytes, vec![]).await, Err(BlockError::Busy));
    drop(sender);
    first.await.unwrap().unwrap();
    node.put(id(2), &bytes, vec![]).await.unwrap();
}

#[tokio::test]
async fn blocks_that_cannot_be_are_refused() {
    let node = Node::start().await;
    let bytes = content(1, 10);
    let request = put_request(node.id, id(1), &bytes, vec![]);
    for length in [0, 256 * 1024 * 1024 + 1] {
        let request = PutBlock { length, ..request.clone() };
        let refused = node.datanode.blocks().put(request, pieces(&bytes)).await;
        assert!(matches!(refused, Err(BlockError::Malformed { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused_in_words() {
    let node = Node::start().await;
    let env = Env::system();
    let events = EventBus::new(env.clone());
    let config = config(node.directory.path());
    let second = Datanode::open(config, Arc::new(Http), secret(), env, events).await;
    let error = second.err().unwrap().to_string();
    assert!(error.ends_with("is in use by another process"), "{error}");
}
