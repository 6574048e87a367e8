//! What operators ask.

use std::collections::HashMap;

use async_trait::async_trait;
use cairn_protocol::admin::{Admin, ClusterStatus, NodeStatus, StatusRequest};
use cairn_protocol::cluster::ClusterError;
use cairn_protocol::id::NodeId;

use super::{Blocks, Inner};
use crate::store::{Connection, StoreError, blocks, deletions, repairs, replicas};

#[async_trait]
impl Admin for Blocks {
    async fn status(&self, _request: StatusRequest) -> Result<ClusterStatus, ClusterError> {
        let mut reader = self.inner.store.read().await?;
        let replicas: HashMap<NodeId, u64> = replicas::counts(&mut reader).await?.into_iter().collect();
        let nodes = self.inner.node_statuses(&replicas);
        let repairs_in_flight = self.inner.memory().copies.len() as u64;
        let registered = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let (lacking, missing) = repairs::count(&mut reader, registered).await?;
        let unseen = unseen(&self.inner, &mut reader).await?;
        Ok(ClusterStatus {
            cluster: self.inner.cluster,
            nodes,
            blocks: blocks::count(&mut reader).await?,
            under_replicated: lacking.saturating_add(unseen),
            missing,
            repairs_in_flight,
            deletions_queued: deletions::count(&mut reader).await?,
        })
    }
}

/// Replicas of dead nodes whose blocks were not looked at yet. Each may be a block below its factor,
/// so they count as such: the number may be too high for a while, and is never too low.
async fn unseen(inner: &Inner, reader: &mut Connection) -> Result<u64, StoreError> {
    let scans = inner.memory().scans.clone();
    let mut unseen = 0;
    for scan in scans {
        if let Some(node) = scan.node {
            unseen += replicas::count_after(reader, node, scan.through).await?;
        }
    }
    Ok(unseen)
}

impl Inner {
    fn node_statuses(&self, replicas: &HashMap<NodeId, u64>) -> Vec<NodeStatus> {
        let now = self.env.monotonic();
        let silent_ms = |at| u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX);
        let memory = self.memory();
        let statuses = memory.nodes.iter().map(|(id, node)| NodeStatus {
            node: id,
            address: node.address.clone(),
            zone: node.zone.as_deref().map(str::to_owned),
            state: node.state,
            incarnation: node.incarnation,
            silent_ms: node.present.then(|| silent_ms(node.heard_at)),
            replicas: replicas.get(&id).copied().unwrap_or(0),
            volumes: node.volumes.clone(),
        });
        statuses.collect()
    }
}
