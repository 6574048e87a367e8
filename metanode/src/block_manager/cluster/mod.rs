//! What datanodes ask.

mod commands;
mod ended;
mod heartbeat;
mod register;
mod report;

pub(super) use report::end_waits;

use async_trait::async_trait;
use cairn_protocol::cluster::{
    Action, BlockReport, Cluster, ClusterError, Heartbeat, HeartbeatReply, Register, Registered,
};

use super::BlockManager;

#[async_trait]
impl Cluster for BlockManager {
    async fn register(&self, request: Register) -> Result<Registered, ClusterError> {
        register::register(&self.inner, request).await
    }

    async fn heartbeat(&self, request: Heartbeat) -> Result<HeartbeatReply, ClusterError> {
        heartbeat::heartbeat(&self.inner, request).await
    }

    async fn report_blocks(&self, request: BlockReport) -> Result<Option<Action>, ClusterError> {
        report::report_blocks(&self.inner, request).await
    }
}
