//! A part that runs in this process, on its own runtime, so that a test can end it as suddenly as a process.

use std::path::Path;
use std::time::Duration;

use cairn_datanode::Datanode;
use cairn_gateway::Gateway;
use cairn_listener::Limits;
use cairn_metanode::Metanode;
use cairn_metanode::block_manager::BlockManagerConfig;
use cairn_protocol::block::Connector;
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::metadata::{CreateBucket, Metadata, MetadataError, RootCredentials};
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::cluster::{ACCESS_KEY, BUCKET, HEARTBEAT, Options, SECRET_KEY, STALE, TRASH};

/// The tasks of a part and their runtime, which is shut down on drop.
pub(crate) struct Task {
    runtime: Option<Runtime>,
    /// The base URL of the part.
    pub(crate) address: String,
}

impl Task {
    pub(crate) async fn metanode(
        directory: &Path,
        listen: &str,
        options: Options,
        secret: &ClusterSecret,
    ) -> anyhow::Result<Self> {
        let mut config = cairn_metanode::Config::new(directory);
        config.root_credentials =
            Some(RootCredentials { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned() });
        config.blocks = BlockManagerConfig {
            replication: options.replication,
            block_size: options.block_size,
            heartbeat_interval: HEARTBEAT,
            stale_after: STALE,
            dead_after: options.dead_after,
            garbage_grace: options.gc_grace,
            lease: options.lease,
            ..BlockManagerConfig::default()
        };
        let (listen, secret) = (listen.to_owned(), secret.clone());
        Self::start(move || async move {
            let listener = TcpListener::bind(&listen).await?;
            let address = format!("http://{}", listener.local_addr()?);
            let env = Env::system();
            let metanode = Metanode::open(config, secret, env.clone(), EventBus::new(env)).await?;
            tokio::spawn(async move { metanode.serve(listener, CancellationToken::new()).await });
            Ok(address)
        })
        .await
    }

    pub(crate) async fn datanode(
        directory: &Path,
        metanode: &str,
        secret: &ClusterSecret,
    ) -> anyhow::Result<Self> {
        let (directory, metanode, secret) = (directory.to_owned(), metanode.to_owned(), secret.clone());
        Self::start(move || async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = format!("http://{}", listener.local_addr()?);
            let env = Env::system();
            let cluster = Arc::new(RpcClient::new(&metanode, secret.clone(), env.clone())?);
            let mut config = cairn_datanode::Config::new(vec![directory], &address);
            config.volume.reserve_bytes = 0;
            config.volume.trash_age = TRASH;
            let events = EventBus::new(env.clone());
            let connector = Connector::new(&Identity::of_secret(&secret, env.clone())?)?;
            let datanode = Datanode::open(config, Arc::new(connector), secret, env, events).await?;
            tokio::spawn(async move { datanode.serve(listener, cluster, CancellationToken::new()).await });
            Ok(address)
        })
        .await
    }

    pub(crate) async fn gateway(metanode: &str, secret: &ClusterSecret) -> anyhow::Result<Self> {
        let (metanode, secret) = (metanode.to_owned(), secret.clone());
        Self::start(move || async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = format!("http://{}", listener.local_addr()?);
            let env = Env::system();
            let metadata = Arc::new(RpcClient::new(&metanode, secret.clone(), env.clone())?);
            let bucket = CreateBucket::new(BUCKET, "us-east-1");
            match metadata.create_bucket(bucket).await {
                Ok(_) | Err(MetadataError::BucketExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let config = cairn_gateway::Config::default();
            let connector = Connector::new(&Identity::of_secret(&secret, env.clone())?)?;
            let gateway = Gateway::new(config, metadata.clone(), metadata, Arc::new(connector), secret, env);
            let keyring = gateway.keyring.clone();
            tokio::spawn(cairn_gateway::serve(
                listener,
                gateway,
                Limits::default(),
                None,
                CancellationToken::new(),
            ));
            // Until the gateway has its credentials it answers 503, and the tests' clients do not retry.
            keyring.filled().await;
            Ok(address)
        })
        .await
    }

    /// Runs `start` on a new runtime. `start` spawns the part and returns its address.
    async fn start<F: Future<Output = anyhow::Result<String>>>(
        start: impl FnOnce() -> F + Send + 'static,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let handle = runtime.handle().clone();
        let mut task = Self { runtime: Some(runtime), address: String::new() };
        task.address = tokio::task::spawn_blocking(move || handle.block_on(start())).await??;
        Ok(task)
    }

    /// Drops the part's tasks at their next `await`, and waits up to five seconds until its threads have ended.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        if let Some(runtime) = self.runtime.take() {
            tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5))).await?;
        }
        Ok(())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
