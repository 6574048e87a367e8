//! A store in this process: metanode, datanodes and a gateway behind a listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_datanode::Datanode;
use cairn_gateway::{Config, Gateway};
use cairn_listener::Limits;
use cairn_metanode::Metanode;
use cairn_metanode::block_manager::BlockManagerConfig;
use cairn_protocol::block::{BlockConnector, BlockService, Connector};
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::id::NodeId;
use cairn_protocol::metadata::RootCredentials;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Between, Call, Client};

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// The bucket that exists from the start.
pub(crate) const BUCKET: &str = "bucket";

/// 2026-01-02T03:04:05Z. The clock of every test shows this time until the test advances it.
pub(crate) const NOW: Timestamp = Timestamp(1_767_323_045_000);

/// A running store. Dropping it shuts it down.
pub(crate) struct Store {
    pub(crate) client: Client,
    pub(crate) clock: ManualClock,
    pub(crate) metanode: Arc<Metanode>,
    /// The events of the metanode.
    pub(crate) events: EventBus,
    /// The events of all datanodes.
    pub(crate) stored: EventBus,
    pub(crate) address: SocketAddr,
    /// The layer between gateway and metanode.
    pub(crate) between: Between,
    /// The number of connections to datanodes that the gateway has requested.
    pub(crate) connects: Arc<AtomicUsize>,
    _running: DropGuard,
    _directory: TempDir,
}

/// The parameters of a store.
pub(crate) struct Setup {
    pub(crate) gateway: Config,
    pub(crate) blocks: BlockManagerConfig,
    pub(crate) datanodes: usize,
    /// The number of datanodes that the gateway cannot reach. The metanode takes them for live.
    pub(crate) unreachable: usize,
    /// The seed of all randomness.
    pub(crate) seed: u64,
    /// Whether [`BUCKET`] exists from the start.
    pub(crate) bucket: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let (gateway, blocks) = (Config::default(), BlockManagerConfig::default());
        Self { gateway, blocks, datanodes: 1, unreachable: 0, seed: 1, bucket: true }
    }
}

fn secret() -> ClusterSecret {
    ClusterSecret::new("the secret of a cluster that lives for one test").unwrap()
}

/// Counts the requested connections to datanodes.
struct Counting {
    connector: Arc<Connector>,
    connects: Arc<AtomicUsize>,
}

impl BlockConnector for Counting {
    fn connect(&self, node: NodeId, address: &str) -> Arc<dyn BlockService> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        self.connector.connect(node, address)
    }
}

impl Store {
    /// Starts a store with one bucket.
    pub(crate) async fn start() -> Self {
        Self::of(Setup::default()).await
    }

    /// Starts a store with one bucket and this configuration of the gateway.
    pub(crate) async fn start_with(gateway: Config) -> Self {
        Self::of(Setup { gateway, ..Setup::default() }).await
    }

    /// Starts a store with these parameters.
    pub(crate) async fn of(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(setup.seed, NOW);
        let root = RootCredentials { access_key: ACCESS_KEY.into(), secret_key: SECRET_KEY.into() };
        let mut metanode_config = cairn_metanode::Config::new(directory.path().join("metanode"));
        metanode_config.root_credentials = Some(root);
        metanode_config.blocks = setup.blocks;
        let events = EventBus::new(env.clone());
        let metanode = Metanode::open(metanode_config, secret(), env.clone(), events.clone()).await.unwrap();
        let metanode = Arc::new(metanode);

        let shutdown = CancellationToken::new();
        let connector =
            Arc::new(Connector::new(&Identity::of_secret(&secret(), env.clone()).unwrap()).unwrap());
        let stored = EventBus::new(env.clone());
        for number in 0..setup.datanodes {
            let volume = directory.path().join(format!("datanode-{number}"));
            // No server listens at this address; the gateway uses the datanode in this process.
            let config = cairn_datanode::Config::new(vec![volume], "http://127.0.0.1:9");
            let datanode = Datanode::open(config, connector.clone(), secret(), env.clone(), stored.clone())
                .await
                .unwrap();
            if number >= setup.unreachable {
                connector.add_local(datanode.node(), datanode.blocks());
            }
            let node = datanode.node();
            let (cluster, stop) = (metanode.cluster(), shutdown.clone());
            tokio::spawn(async move { datanode.run(cluster, stop).await });
            let reported =
                |event: &EventKind| matches!(event, EventKind::NodeReported { node: it, .. } if *it == node);
            events.wait_for(reported).await;
        }
        let (working, stop) = (metanode.clone(), shutdown.clone());
        tokio::spawn(async move { working.run_workers(stop).await });

        let region = setup.gateway.region.clone();
        let between = Between::default();
        let connects = Arc::new(AtomicUsize::new(0));
        let blocks = Arc::new(Counting { connector, connects: connects.clone() });
        let metadata = between.around(metanode.metadata());
        let gateway = Gateway::new(setup.gateway, metadata, metanode.iam(), blocks, secret(), env.clone());
        let ready = gateway.keyring.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(cairn_gateway::serve(listener, gateway, Limits::default(), None, shutdown.clone()));
        ready.filled().await;

        let client = Client::new(address, region, env);
        let store = Self {
            client,
            clock,
            metanode,
            events,
            stored,
            address,
            between,
            connects,
            _running: shutdown.drop_guard(),
            _directory: directory,
        };
        if setup.bucket {
            store.client.send(Call::put(&format!("/{BUCKET}"))).await.expect(200);
        }
        store
    }

    /// Advances the clock in small steps until `happens` completes. Returns its output and the time that has passed.
    pub(crate) async fn pass_until<T>(&self, happens: impl Future<Output = T>) -> (T, Duration) {
        const STEP: Duration = Duration::from_millis(100);
        let mut happens = std::pin::pin!(happens);
        let mut passed = Duration::ZERO;
        loop {
            // Real time for the IO that the last step has started.
            #[expect(clippy::disallowed_methods, reason = "waits for real IO")]
            let breath = tokio::time::timeout(Duration::from_millis(20), happens.as_mut());
            if let Ok(outcome) = breath.await {
                return (outcome, passed);
            }
            assert!(passed < Duration::from_secs(3_600), "it does not happen");
            self.clock.advance(STEP);
            passed += STEP;
        }
    }
}
