//! Starting and stopping a datanode. The start has a fixed order: lock, recover, bind, register, report, and only then workers.

use std::sync::Arc;

use axum::Router;
use cairn_listener::tls::ServerConfig;
use cairn_listener::{Accept, Drained};
use cairn_protocol::block::{BlockConnector, BlockService};
use cairn_protocol::cluster::Cluster;
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::NodeId;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::signature::Admission;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::{Control, RefusedError};
use crate::maintenance;
use crate::scrub::{self, ScrubControl};
use crate::service::BlockStore;
use crate::service::http::{self, Served};
use crate::volume::OpenError;
use crate::volume::disk::{Disk, RealDisk};
use crate::volume::volumes::Volumes;

/// Why a datanode does not start or stops serving.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The data directories could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The metanode refused the node.
    #[error(transparent)]
    Refused(#[from] RefusedError),
}

/// A datanode whose directories are locked and whose volumes are recovered.
///
/// The start is one sequence: [`open`](Self::open) locks and recovers, the caller binds, and
/// [`serve`](Self::serve) registers, reports, and only then lets the workers start.
pub struct Datanode {
    config: Config,
    blocks: BlockStore,
    secret: ClusterSecret,
    admission: Admission,
    env: Env,
    events: EventBus,
    /// Becomes true with the first complete block report. Before it the metanode does not know what the node holds.
    reported: watch::Sender<bool>,
}

impl Datanode {
    /// Locks the data directories and recovers their volumes.
    ///
    /// # Errors
    /// [`OpenError`], whose text is one sentence for the operator.
    pub async fn open(
        config: Config,
        connector: Arc<dyn BlockConnector>,
        secret: ClusterSecret,
        env: Env,
        events: EventBus,
    ) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(RealDisk), config, connector, secret, env, events).await
    }

    /// Like [`open`](Self::open), on another [`Disk`] than the system's.
    ///
    /// # Errors
    /// The same.
    pub async fn open_on(
        disk: Arc<dyn Disk>,
        config: Config,
        connector: Arc<dyn BlockConnector>,
        secret: ClusterSecret,
        env: Env,
        events: EventBus,
    ) -> Result<Self, OpenError> {
        let (directories, options, its_env) =
            (config.directories.clone(), config.volume.clone(), env.clone());
        let opened =
            tokio::task::spawn_blocking(move || Volumes::open(disk, &directories, &options, &its_env));
        let volumes = opened.await.map_err(|error| OpenError::Io {
            operation: "open",
            path: config.directories.first().cloned().unwrap_or_default(),
            error: std::io::Error::other(error),
        })??;
        for volume in volumes.volumes() {
            let found = volume.recovery();
            tracing::info!(volume = %volume.id(), ?found, "recovered a volume");
        }
        for left_out in volumes.left_out() {
            tracing::error!(
                fault = "peer",
                directory = %left_out.directory.display(),
                reason = left_out.reason,
                "a volume is left out; its blocks are repaired from elsewhere"
            );
        }
        let volumes = Arc::new(volumes);
        let blocks =
            BlockStore::new(&config, volumes, connector, secret.clone(), env.clone(), events.clone());
        let admission = Admission::new(secret.clone(), env.clone());
        let reported = watch::Sender::new(false);
        Ok(Self { config, blocks, secret, admission, env, events, reported })
    }

    /// The node's id.
    pub fn node(&self) -> NodeId {
        self.blocks.node
    }

    /// Sets the base URL under which the node registers. If the system chose the port, it is known only after binding.
    pub fn set_address(&mut self, address: impl Into<String>) {
        self.config.address = address.into();
    }

    /// Sets the TLS configuration of the listener, which depends on the address that was bound.
    pub fn set_tls(&mut self, tls: Option<Arc<ServerConfig>>) {
        self.config.tls = tls;
    }

    /// The volumes.
    pub fn volumes(&self) -> &Arc<Volumes> {
        &self.blocks.volumes
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &BlockStore {
        &self.blocks
    }

    /// The block service, for callers in the same process.
    pub fn blocks(&self) -> Arc<dyn BlockService> {
        Arc::new(self.blocks.clone())
    }

    /// The HTTP routes. `shutdown` ends streams of events.
    pub fn router(&self, shutdown: CancellationToken) -> Router {
        http::router(Served {
            node: self.blocks.node,
            blocks: self.blocks(),
            volumes: self.blocks.volumes.clone(),
            events: self.events.clone(),
            secret: self.secret.clone(),
            admission: self.admission.clone(),
            env: self.env.clone(),
            reported: self.reported.subscribe(),
            shutdown,
        })
    }

    /// Serves blocks and takes part in the cluster until `shutdown`, then finishes the requests under way. The volumes stay open:
    /// see [`close`](Self::close).
    ///
    /// # Errors
    /// When the metanode refuses this node for good. The listener is stopped then too.
    pub async fn serve(
        &self,
        accept: impl Accept,
        cluster: Arc<dyn Cluster>,
        shutdown: CancellationToken,
    ) -> Result<Drained, RefusedError> {
        // A child token, so that a refusal ends this node's tasks and nothing else.
        let stop = shutdown.child_token();
        let router = self.router(stop.clone());
        let (limits, tls) = (self.config.limits.clone(), self.config.tls.clone());
        let listener = cairn_listener::serve(accept, router, limits, tls, self.env.clone(), stop.clone());
        let control = async {
            let result = self.run(cluster, stop.clone()).await;
            stop.cancel();
            result
        };
        let (drained, result) = tokio::join!(listener, control);
        result.map(|()| drained)
    }

    /// Takes part in the cluster until `shutdown`, without a listener. [`serve`](Self::serve) does it too.
    ///
    /// # Errors
    /// When the metanode refuses this node for good.
    pub async fn run(
        &self,
        cluster: Arc<dyn Cluster>,
        shutdown: CancellationToken,
    ) -> Result<(), RefusedError> {
        // A child token, so that a refusal ends the workers too.
        let stop = shutdown.child_token();
        let scrub = Arc::new(ScrubControl::new(self.blocks.volumes.last_scrub()));
        let reported = self.reported.clone();
        let control = Control::new(&self.config, self.blocks.clone(), cluster, reported, scrub.clone());
        let mut reported = self.reported.subscribe();
        let commands = control.commands.clone();
        let workers = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                has_reported = reported.wait_for(|reported| *reported) => {
                    if has_reported.is_err() {
                        return;
                    }
                }
            }
            tokio::join!(
                commands.work(stop.clone()),
                scrub::run(&self.config, self.blocks.clone(), scrub, stop.clone()),
                maintenance::run(self.blocks.clone(), &self.config, stop.clone()),
            );
        };
        let talk = async {
            let result = control.run(&stop).await;
            stop.cancel();
            result
        };
        let (result, ()) = tokio::join!(talk, workers);
        result
    }

    /// Closes the volumes: writes checkpoints, so that the next start is quick.
    pub async fn close(&self) {
        let volumes = self.blocks.volumes.clone();
        // This fails only when the runtime ends. The next start then recovers what the checkpoint lacks.
        let _ = tokio::task::spawn_blocking(move || volumes.close()).await;
    }
}

/// Opens a datanode, serves until `shutdown`, and closes it.
///
/// # Errors
/// When it cannot be opened, or the metanode refuses it.
#[expect(clippy::too_many_arguments, reason = "each is the interface to another part")]
pub async fn serve(
    accept: impl Accept,
    config: Config,
    cluster: Arc<dyn Cluster>,
    connector: Arc<dyn BlockConnector>,
    secret: ClusterSecret,
    env: Env,
    events: EventBus,
    shutdown: CancellationToken,
) -> Result<Drained, ServeError> {
    let datanode = Datanode::open(config, connector, secret, env, events).await?;
    let result = datanode.serve(accept, cluster, shutdown).await;
    datanode.close().await;
    Ok(result?)
}
