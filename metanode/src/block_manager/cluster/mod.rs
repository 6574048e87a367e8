//! The `Cluster` service: the calls of datanodes.
//!
//! | module | contents |
//! |---|---|
//! | `register` | a registration, and the incarnation that it begins |
//! | `heartbeat` | a heartbeat: reported changes go to `replica_changes`, commands travel back |
//! | `ended` | commands that a node reports as done or failed |
//! | `commands` | the commands in the reply to a heartbeat |
//! | `report` | block reports: each page is compared with SQL |

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
