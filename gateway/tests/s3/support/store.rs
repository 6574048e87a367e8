//! A store in this process: metanode, datanodes and a gateway behind a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use cairn_datanode::Datanode;
use cairn_gateway::{Config, Gateway};
use cairn_metanode::Metanode;
use cairn_protocol::block::Connector;
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::listener::Limits;
use cairn_protocol::metadata::RootCredentials;
use cairn_protocol::secret::ClusterSecret;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Call, Client};

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A bucket that is there from the start.
pub(crate) const BUCKET: &str = "bucket";

/// 2026-01-02T03:04:05Z: the time at which all tests run, until they advance the clock.
pub(crate) const NOW: Timestamp = Timestamp(1_767_323_045_000);

/// A running store; it ends when dropped.
pub(crate) struct Store {
    pub(crate) client: Client,
    pub(crate) clock: ManualClock,
    _metanode: Arc<Metanode>,
    pub(crate) address: SocketAddr,
    _running: DropGuard,
    _directory: TempDir,
}

impl Store {
    /// A store with one bucket.
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    /// The same, with another configuration of the gateway.
    pub(crate) async fn start_with(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(1, NOW);
        let secret = ClusterSecret::new("the secret of a cluster that lives for one test").unwrap();
        let root = RootCredentials { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
        let mut metanode_config = cairn_metanode::Config::new(directory.path().join("metanode"));
        metanode_config.root_credentials = Some(root);
        let events = EventBus::new(env.clone());
        let metanode =
            Metanode::open(metanode_config, secret.clone(), env.clone(), events.clone()).await.unwrap();
        let metanode = Arc::new(metanode);

        let shutdown = CancellationToken::new();
        let connector = Arc::new(Connector::new().unwrap());
        let datanode = Datanode::open(
            cairn_datanode::Config::new(vec![directory.path().join("datanode")], "http://127.0.0.1:9"),
            connector.clone(),
            secret.clone(),
            env.clone(),
            EventBus::new(env.clone()),
        );
        let datanode = datanode.await.unwrap();
        connector.add_local(datanode.node(), datanode.blocks());
        let (cluster, stop) = (metanode.cluster(), shutdown.clone());
        tokio::spawn(async move { datanode.run(cluster, stop).await });
        events.wait_for(|event| matches!(event, EventKind::NodeReported { .. })).await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let region = config.region.clone();
        let gateway = Gateway::new(config, metanode.metadata(), connector, secret, env.clone());
        tokio::spawn(cairn_gateway::serve(listener, gateway, Limits::default(), None, shutdown.clone()));

        let client = Client::new(address, region, env);
        let store = Self {
            client,
            clock,
            _metanode: metanode,
            address,
            _running: shutdown.drop_guard(),
            _directory: directory,
        };
        store.client.send(Call::put(&format!("/{BUCKET}"))).await.expect(200);
        store
    }
}
