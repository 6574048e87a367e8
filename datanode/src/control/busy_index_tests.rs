//! A busy index does not hold up the threads that serve requests.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::event::EventKind;

use super::tests::{Counting, node};
use super::*;
use crate::volume::test_support;

/// The block report, heartbeats and the scrubber once took the index's lock, and called the disk for its free space, on the threads
/// that serve requests, so that all requests of these threads waited. Here this work makes progress although its thread has locked
/// all indexes.
#[tokio::test]
async fn reports_heartbeats_and_scrubbing_never_wait_for_an_index_on_a_thread_that_serves_requests() {
    let directory = tempfile::tempdir().unwrap();
    let datanode = node(directory.path()).await;
    let blocks = datanode.inner().clone();
    let bytes = Bytes::from_static(b"long enough for a rest of the scrubber");
    let volume = blocks.volumes.volumes().next().unwrap().clone();
    let mut writer = volume.writer(test_support::id(1), bytes.len() as u64, crc32c(&bytes)).await.unwrap();
    writer.write(bytes).await.unwrap();
    writer.finish().await.unwrap();

    let counting = Arc::new(Counting::default());
    let is_scrubbed = || {
        let past = blocks.events.past_after(0);
        past.iter().any(|event| matches!(event.kind, EventKind::ScrubFinished { .. }))
    };
    let shutdown = CancellationToken::new();
    let mut running = pin!(datanode.run(counting.clone(), shutdown.clone()));
    while !(is_scrubbed() && counting.0.borrow().quiet > 5) {
        let polled = poll_fn(|context| {
            let _busy = test_support::keep_busy(&blocks.volumes);
            Poll::Ready(running.as_mut().poll(context))
        });
        assert!(polled.await.is_pending());
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    assert!(running.await.is_ok());
}
