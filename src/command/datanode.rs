//! `cairn datanode`, and the datanodes of `cairn server`.

use std::path::Path;
use std::sync::Arc;

use cairn_datanode::{Config, Datanode};
use cairn_protocol::block::Connector;
use cairn_protocol::cluster::Cluster;
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::NodeId;
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use tokio_util::sync::CancellationToken;

use crate::arguments::{DatanodeArguments, VolumeArguments};
use crate::process::{listen, say, shutdown_on_signals};

/// Runs a datanode until it is told to stop.
pub(crate) async fn run(arguments: DatanodeArguments) -> anyhow::Result<()> {
    let env = Env::system();
    let secret = arguments.secret.load()?;
    let cluster = Arc::new(RpcClient::new(&arguments.metanode, secret.clone(), env.clone())?);
    let shutdown = shutdown_on_signals()?;
    let mut config = Config::new(arguments.data_dir, String::new());
    config.zone = arguments.zone;
    apply(&arguments.volumes, &mut config);
    let connector = Arc::new(Connector::new()?);
    let mut datanode = Datanode::open(config, connector, secret, env.clone(), EventBus::new(env)).await?;
    let listener = listen(arguments.listen, "--listen").await?;
    let address = listener.local_addr()?;
    if arguments.advertise.is_none() && address.ip().is_unspecified() {
        anyhow::bail!(
            "{address} is no address under which others can reach this datanode; name one with --advertise"
        );
    }
    datanode.set_address(arguments.advertise.unwrap_or_else(|| format!("http://{address}")));
    say(format_args!("cairn datanode ready on http://{address}"));
    let served = datanode.serve(listener, cluster, shutdown).await;
    datanode.close().await;
    served?;
    Ok(())
}

fn apply(volumes: &VolumeArguments, config: &mut Config) {
    config.volume.reserve_bytes = volumes.reserve.as_u64();
    config.scrub_period = volumes.scrub_period;
}

/// What a datanode without a listener registers as: a name that never resolves (RFC 6761, section 6.4).
const LOCAL_ADDRESS: &str = "http://in-process.invalid";

/// A datanode of this process: it has no listener, others call it.
pub(crate) struct LocalDatanode {
    datanode: Datanode,
    cluster: Arc<dyn Cluster>,
}

impl LocalDatanode {
    /// Opens the directory, and lets `connector` find the node.
    pub(crate) async fn open(
        directory: &Path,
        volumes: &VolumeArguments,
        cluster: Arc<dyn Cluster>,
        connector: &Connector,
        secret: &ClusterSecret,
        env: &Env,
    ) -> anyhow::Result<Self> {
        let mut config = Config::new(vec![directory.to_owned()], LOCAL_ADDRESS);
        apply(volumes, &mut config);
        let events = EventBus::new(env.clone());
        let datanode =
            Datanode::open(config, Arc::new(connector.clone()), secret.clone(), env.clone(), events).await?;
        connector.add_local(datanode.node(), datanode.blocks());
        Ok(Self { datanode, cluster })
    }

    /// The node.
    pub(crate) fn node(&self) -> NodeId {
        self.datanode.node()
    }

    /// Belongs to the cluster until `shutdown`, and closes the volumes.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let result = self.datanode.run(self.cluster, shutdown).await;
        self.datanode.close().await;
        Ok(result?)
    }
}
