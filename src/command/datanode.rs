//! `cairn datanode`, and the datanodes of `cairn server`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use cairn_datanode::{Config, Datanode};
use cairn_protocol::block::Connector;
use cairn_protocol::cluster::Cluster;
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::NodeId;
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::{DatanodeArguments, DiskArguments};
use crate::process::{listen, say, shutdown_on_signals};

/// Runs a datanode until it is told to stop.
pub(crate) async fn run(arguments: DatanodeArguments) -> anyhow::Result<()> {
    let env = Env::system();
    let secret = arguments.secret.load()?;
    let cluster = Arc::new(RpcClient::new(&arguments.metanode, secret.clone(), env.clone())?);
    let shutdown = shutdown_on_signals()?;
    let mut config = Config::new(arguments.data_dir, String::new());
    config.zone = arguments.zone;
    arguments.disks.apply(&mut config)?;
    config.limits = arguments.listener.limits(&config.limits)?;
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

/// A datanode of this process: the gateway and its neighbours call it, and operators (`cairn admin where --verify`)
/// reach it on a free port of the loopback interface.
pub(crate) struct LocalDatanode {
    datanode: Datanode,
    cluster: Arc<dyn Cluster>,
    listener: TcpListener,
}

impl LocalDatanode {
    /// Opens the directory, and lets `connector` find the node.
    pub(crate) async fn open(
        directory: &Path,
        disks: &DiskArguments,
        cluster: Arc<dyn Cluster>,
        connector: &Connector,
        secret: &ClusterSecret,
        env: &Env,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("cannot listen on the loopback interface")?;
        let address = format!("http://{}", listener.local_addr()?);
        let mut config = Config::new(vec![directory.to_owned()], address);
        disks.apply(&mut config)?;
        let events = EventBus::new(env.clone());
        let datanode =
            Datanode::open(config, Arc::new(connector.clone()), secret.clone(), env.clone(), events).await?;
        connector.add_local(datanode.node(), datanode.blocks());
        Ok(Self { datanode, cluster, listener })
    }

    /// The node.
    pub(crate) fn node(&self) -> NodeId {
        self.datanode.node()
    }

    /// Belongs to the cluster until `shutdown`, and closes the volumes.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let result = self.datanode.serve(self.listener, self.cluster, shutdown).await;
        self.datanode.close().await;
        result?;
        Ok(())
    }
}
