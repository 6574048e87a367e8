//! The floor: a server that receives, authenticates and answers the calls of datanodes, and keeps no state.

use std::sync::Arc;

use async_trait::async_trait;
use cairn_listener::Limits;
use cairn_protocol::cluster::{
    Action, BlockReport, Cluster, ClusterError, Heartbeat, HeartbeatReply, Lineage, Register, Registered,
    cluster_router,
};
use cairn_protocol::env::Env;
use cairn_protocol::id::ClusterId;
use cairn_protocol::rpc::RpcServer;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::signature::Admission;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Floor {
    cluster: ClusterId,
}

#[async_trait]
impl Cluster for Floor {
    async fn register(&self, _request: Register) -> Result<Registered, ClusterError> {
        let heartbeat_interval_ms = u64::try_from(super::HEARTBEAT.as_millis()).unwrap_or(u64::MAX);
        Ok(Registered {
            cluster: self.cluster,
            incarnation: 1,
            heartbeat_interval_ms,
            report_interval_ms: 0,
            lineage: Lineage::default(),
        })
    }

    async fn heartbeat(&self, _request: Heartbeat) -> Result<HeartbeatReply, ClusterError> {
        Ok(HeartbeatReply::default())
    }

    async fn report_blocks(&self, _request: BlockReport) -> Result<Option<Action>, ClusterError> {
        Ok(None)
    }
}

/// Serves until it is killed.
pub(crate) async fn serve(secret: ClusterSecret) -> anyhow::Result<()> {
    let env = Env::system();
    let service: Arc<dyn Cluster> = Arc::new(Floor { cluster: ClusterId(env.uuid_v4()) });
    let router = cluster_router(RpcServer { service, admission: Admission::new(secret, env.clone()) });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    super::measure::say(format_args!("floor ready on http://{}", listener.local_addr()?));
    let limits = Limits { connections_max: super::CONNECTIONS_MAX, ..Limits::default() };
    cairn_listener::serve(listener, router, limits, None, env, CancellationToken::new()).await;
    Ok(())
}
