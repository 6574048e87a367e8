//! A node that has lost a large disk reports its losses once, and continues.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::block::Connector;
use cairn_protocol::cluster::{Action, BlockReport, Heartbeat, HeartbeatReply, Lineage, ReplicaChange};
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::BlockId;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;
use uuid::Uuid;

use super::*;
use crate::datanode::Datanode;
use crate::volume::test_support;

/// A metanode that counts registrations and reported losses.
#[derive(Debug, Default)]
pub(super) struct Counting(pub(super) watch::Sender<Counted>);

#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    registrations: u64,
    /// How often each block was reported as lost.
    lost: HashMap<BlockId, u32>,
    /// Heartbeats since the last one that reported a loss.
    pub(super) quiet: u32,
    /// Whether the next heartbeat is answered with `Reregister`.
    asks_again: bool,
}

#[async_trait]
impl Cluster for Counting {
    async fn register(&self, _: Register) -> Result<Registered, ClusterError> {
        self.0.send_modify(|counted| counted.registrations += 1);
        let cluster = ClusterId(Uuid::from_u128(1));
        Ok(Registered {
            cluster,
            incarnation: self.0.borrow().registrations,
            heartbeat_interval_ms: 1,
            report_interval_ms: 0,
            lineage: Lineage::default(),
        })
    }

    async fn heartbeat(&self, request: Heartbeat) -> Result<HeartbeatReply, ClusterError> {
        let mut asks_again = false;
        self.0.send_modify(|counted| {
            let lost = request.changes.into_iter().filter_map(|change| match change {
                ReplicaChange::Corrupt(block) => Some(block),
                ReplicaChange::Stored(_) | ReplicaChange::Deleted(_) => None,
            });
            counted.quiet += 1;
            for block in lost {
                counted.quiet = 0;
                *counted.lost.entry(block).or_default() += 1;
            }
            asks_again = std::mem::take(&mut counted.asks_again);
        });
        if asks_again { Err(ClusterError::Reregister) } else { Ok(HeartbeatReply::default()) }
    }

    async fn report_blocks(&self, _: BlockReport) -> Result<Option<Action>, ClusterError> {
        Ok(None)
    }
}

/// A node with two volumes, whose scrubber reads them every second.
pub(super) async fn node(directory: &Path) -> Datanode {
    let directories: Vec<PathBuf> = ["a", "b"].iter().map(|name| directory.join(name)).collect();
    let mut config = Config::new(directories, "http://127.0.0.1:1");
    config.volume.reserve_bytes = 0;
    config.scrub_period = Duration::from_secs(1);
    let env = Env::system();
    let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
    let identity = Identity::of_secret(&secret, env.clone()).unwrap();
    let connector = Arc::new(Connector::new(&identity).unwrap());
    let events = EventBus::new(env.clone());
    Datanode::open(config, connector, secret, env, events).await.unwrap()
}

/// A failed disk with more than 100,000 blocks overflowed the incremental report. The node registered again, dropped its record of what it
/// had reported, and overflowed the report again, for ever. No block was repaired, and none was deleted.
#[tokio::test]
async fn a_failed_disk_with_many_blocks_is_reported_once_and_the_node_does_not_register_again_and_again() {
    const BLOCKS: u32 = 150_000;
    let directory = tempfile::tempdir().unwrap();
    let datanode = node(directory.path()).await;
    let failed = datanode.volumes().volumes().nth(1).unwrap().clone();
    let lost = test_support::pretend(&failed, BLOCKS);
    failed.give_up("for the test");

    let metanode = Arc::new(Counting::default());
    let mut counted = metanode.0.subscribe();
    let shutdown = CancellationToken::new();
    let test = async {
        counted.wait_for(|counted| counted.lost.len() == lost.len() && counted.quiet > 5).await.unwrap();
        assert_eq!(counted.borrow().registrations, 1);
        // They are not reported again after a new registration either.
        metanode.0.send_modify(|counted| counted.asks_again = true);
        let again = counted.wait_for(|counted| counted.registrations == 2 && counted.quiet > 20);
        assert!(again.await.unwrap().lost.values().all(|times| *times == 1));
        shutdown.cancel();
    };
    let (result, ()) = tokio::join!(datanode.run(metanode.clone(), shutdown.clone()), test);
    result.unwrap();
}
