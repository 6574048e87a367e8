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
use cairn_protocol::tls::Identity;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::{DatanodeArguments, InternalPort, ServerArguments};
use crate::process::{listen, raise_file_limit, say, shutdown_on_signals};

/// Runs a datanode until a signal stops it.
pub(crate) async fn run(arguments: DatanodeArguments) -> anyhow::Result<()> {
    let env = Env::system();
    let secret = arguments.secret.load()?;
    let identity = arguments.tls.identity(&secret, &env)?;
    let cluster = RpcClient::with_identity(&arguments.metanode, secret.clone(), &identity, env.clone())?;
    let shutdown = shutdown_on_signals()?;
    raise_file_limit();
    let mut config = Config::new(arguments.data_dir, String::new());
    config.zone = arguments.zone;
    arguments.disks.apply(&mut config)?;
    config.limits = arguments.listener.limits(&config.limits)?;
    let connector = Arc::new(Connector::new(&identity)?);
    let mut datanode = Datanode::open(config, connector, secret, env.clone(), EventBus::new(env)).await?;
    let listener = listen(arguments.listen, "--listen").await?;
    let address = listener.local_addr()?;
    if arguments.advertise.is_none() && address.ip().is_unspecified() {
        anyhow::bail!(
            "{address} is no address under which others can reach this datanode; name one with --advertise"
        );
    }
    let port = arguments.internal.port(address, &identity)?;
    datanode.set_tls(port.tls.clone());
    datanode.set_address(advertised(arguments.advertise, &port)?);
    let (keeping, until) = (identity.clone(), shutdown.clone());
    tokio::spawn(async move { keeping.keep_current(until).await });
    say(format_args!("cairn datanode ready on {}", port.url()));
    let served = datanode.serve(listener, Arc::new(cluster), shutdown).await;
    datanode.close().await;
    served?;
    Ok(())
}

/// The base URL that the datanode registers with. Its scheme must fit the port's TLS.
fn advertised(advertise: Option<String>, port: &InternalPort) -> anyhow::Result<String> {
    let Some(advertise) = advertise else { return Ok(port.url()) };
    let scheme = port.scheme();
    if !advertise.starts_with(&format!("{scheme}://")) {
        anyhow::bail!(
            "others would be told {advertise}, while this datanode speaks {scheme}: correct --advertise, or --internal-tls"
        );
    }
    Ok(advertise)
}

/// A datanode of this process: the gateway and its neighbours call it, and operators (`cairn admin where --verify`)
/// reach it on a free port of the loopback interface.
pub(crate) struct LocalDatanode {
    datanode: Datanode,
    cluster: Arc<dyn Cluster>,
    listener: TcpListener,
}

/// The parts of this process that all its datanodes share.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) connector: &'a Connector,
    pub(crate) identity: &'a Identity,
    pub(crate) secret: &'a ClusterSecret,
    pub(crate) env: &'a Env,
}

impl LocalDatanode {
    /// Opens the directory, and adds the node to `connector`.
    pub(crate) async fn open(
        directory: &Path,
        arguments: &ServerArguments,
        cluster: Arc<dyn Cluster>,
        around: &Around<'_>,
    ) -> anyhow::Result<Self> {
        let Around { connector, identity, secret, env } = *around;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("cannot listen on the loopback interface")?;
        let port = arguments.internal.port(listener.local_addr()?, identity)?;
        let mut config = Config::new(vec![directory.to_owned()], port.url());
        config.tls = port.tls;
        arguments.disks.apply(&mut config)?;
        let events = EventBus::new(env.clone());
        let datanode =
            Datanode::open(config, Arc::new(connector.clone()), secret.clone(), env.clone(), events).await?;
        connector.add_local(datanode.node(), datanode.blocks());
        Ok(Self { datanode, cluster, listener })
    }

    /// The id of the node.
    pub(crate) fn node(&self) -> NodeId {
        self.datanode.node()
    }

    /// Registers, serves until `shutdown`, and closes the volumes.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let result = self.datanode.serve(self.listener, self.cluster, shutdown).await;
        self.datanode.close().await;
        result?;
        Ok(())
    }
}
