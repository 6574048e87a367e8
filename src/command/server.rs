//! `cairn server`: all parts in one process, which call each other as functions.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use cairn_listener::Limits;
use cairn_metanode::config::MASTER_KEY_FILE;
use cairn_metanode::{Config as MetanodeConfig, Metanode};
use cairn_protocol::block::Connector;
use cairn_protocol::env::Env;
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::metadata::RootCredentials;
use cairn_protocol::secret::ClusterSecret;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::datanode::{Around, LocalDatanode};
use super::gateway::S3;
use crate::arguments::{InternalPort, ServerArguments};
use crate::process::{listen, raise_file_limit, say, shutdown_on_signals};

/// The file of a server's data directory with the cluster's secret.
pub(crate) const SECRET_FILE: &str = "cluster.secret";
/// The file of a server's data directory with the URL for `cairn admin`. It exists while the server runs.
pub(crate) const ADDRESS_FILE: &str = "admin.url";

/// Runs a server until a signal stops it.
pub(crate) async fn run(arguments: ServerArguments) -> anyhow::Result<()> {
    let env = Env::system();
    let shutdown = shutdown_on_signals()?;
    let data_dir = arguments.data_dir.clone();
    std::fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let listener = listen(arguments.listen, "--listen").await?;
    let admin_listener = listen(arguments.admin_listen, "--admin-listen").await?;
    let secret = arguments.secret.load_or_create(&data_dir.join(SECRET_FILE), &env)?;

    let identity = arguments.tls.identity(&secret, &env)?;
    let admin_port = arguments.internal.port(admin_listener.local_addr()?, &identity)?;

    let events = EventBus::new(env.clone());
    let metanode = Arc::new(open_metanode(&arguments, &admin_port, &secret, &env, &events).await?);
    let connector = Connector::new(&identity)?;
    let (keeping, until) = (identity.clone(), shutdown.clone());
    tokio::spawn(async move { keeping.keep_current(until).await });
    let s3 = S3::new(
        arguments.s3.clone(),
        arguments.listener.limits(&Limits::public())?,
        (metanode.metadata(), metanode.iam()),
        Arc::new(connector.clone()),
        secret.clone(),
        env.clone(),
    )?;
    raise_file_limit();
    let mut backend = Backend::start(&metanode, admin_listener, &shutdown);
    let around = Around { connector: &connector, identity: &identity, secret: &secret, env: &env };
    for number in 1..=arguments.datanodes {
        let directory = data_dir.join(format!("datanode-{number}"));
        let cluster = metanode.cluster();
        let datanode = LocalDatanode::open(&directory, &arguments, cluster, &around).await?;
        backend.run_datanode(datanode, &events).await?;
    }

    let endpoint = s3.endpoint(&listener)?;
    let address_file = data_dir.join(ADDRESS_FILE);
    let announce = async {
        write_address(&address_file, &admin_port.url())?;
        say(banner(&endpoint, &arguments, &metanode));
        Ok(())
    };
    let served = s3.serve(listener, shutdown.clone(), announce).await;
    let _ = std::fs::remove_file(&address_file);
    let stopped = backend.stop().await;
    metanode.close().await;
    served.and(stopped)
}

async fn open_metanode(
    arguments: &ServerArguments,
    port: &InternalPort,
    secret: &ClusterSecret,
    env: &Env,
    events: &EventBus,
) -> anyhow::Result<Metanode> {
    let mut config = MetanodeConfig::new(arguments.data_dir.join("metanode"));
    config.blocks = arguments.blocks.config()?;
    config.limits = arguments.listener.limits(&config.limits)?;
    config.tls.clone_from(&port.tls);
    // Beside the cluster's secret, and not in the directory of the database, which may be copied as it is.
    config.master_key = arguments.master_key.source(&arguments.data_dir.join(MASTER_KEY_FILE))?;
    config.root_credentials = arguments.credentials.load()?;
    Ok(Metanode::open(config, secret.clone(), env.clone(), events.clone()).await?)
}

/// The parts behind the gateway. They stop after it, so that requests in flight can finish.
struct Backend {
    datanodes: JoinSet<anyhow::Result<()>>,
    stop_datanodes: CancellationToken,
    metanode: JoinHandle<()>,
    stop_metanode: CancellationToken,
    /// Stops the whole server.
    shutdown: CancellationToken,
}

impl Backend {
    fn start(metanode: &Arc<Metanode>, admin_listener: TcpListener, shutdown: &CancellationToken) -> Self {
        let stop_metanode = CancellationToken::new();
        let (serving, stop) = (metanode.clone(), stop_metanode.clone());
        let metanode = tokio::spawn(async move {
            serving.serve(admin_listener, stop).await;
        });
        Self {
            datanodes: JoinSet::new(),
            stop_datanodes: CancellationToken::new(),
            metanode,
            stop_metanode,
            shutdown: shutdown.clone(),
        }
    }

    /// Starts a datanode and waits until it has registered, so that the first write can use it.
    async fn run_datanode(&mut self, datanode: LocalDatanode, events: &EventBus) -> anyhow::Result<()> {
        let node = datanode.node();
        let (stop, shutdown) = (self.stop_datanodes.clone(), self.shutdown.clone());
        self.datanodes.spawn(async move {
            let result = datanode.run(stop).await;
            // The server stops if a datanode fails: without its blocks it cannot serve.
            shutdown.cancel();
            result
        });
        let registered = events
            .wait_for(|event| matches!(event, EventKind::NodeRegistered { node: it, .. } if *it == node));
        tokio::select! {
            _ = registered => Ok(()),
            () = self.shutdown.cancelled() => anyhow::bail!("stopped before it was ready"),
            ended = self.datanodes.join_next() => match ended {
                Some(Ok(Err(error))) => Err(error),
                _ => anyhow::bail!("a datanode stopped before it was registered"),
            }
        }
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_datanodes.cancel();
        let mut result = Ok(());
        while let Some(ended) = self.datanodes.join_next().await {
            result = result.and(ended.context("a datanode broke off").flatten());
        }
        self.stop_metanode.cancel();
        result.and(self.metanode.await.context("the metanode broke off"))
    }
}

fn write_address(file: &Path, url: &str) -> anyhow::Result<()> {
    std::fs::write(file, format!("{url}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// The text that a server prints when it is ready: the endpoint, and the commands to try it.
fn banner(endpoint: &str, arguments: &ServerArguments, metanode: &Metanode) -> String {
    let mut lines = vec![format!("cairn server ready on {endpoint}"), String::new()];
    let region = &arguments.s3.region;
    let RootCredentials { access_key, secret_key } = metanode.root_credentials();
    if metanode.root_credentials_are_new() {
        lines.push("Credentials, made now and kept. To use them with aws-cli and SDKs, paste:".to_owned());
        lines.push(String::new());
        lines.push(format!("  export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region} AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key}"));
    } else {
        lines.push(format!("Access key {access_key}. To use it with aws-cli and SDKs, paste:"));
        lines.push(String::new());
        lines.push(format!("  export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region}"));
        lines.push(format!(
            "  eval \"$(cairn admin credentials --data-dir {})\"",
            arguments.data_dir.display()
        ));
    }
    lines.push(String::new());
    lines.push(match &arguments.s3.default_bucket {
        Some(bucket) => format!("  aws s3 ls s3://{bucket}"),
        None => "  aws s3 mb s3://my-bucket".to_owned(),
    });
    lines.join("\n")
}
