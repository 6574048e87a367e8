//! A datanode's side of the cluster protocol: it registers, reports its replicas, sends heartbeats, and executes commands.
//!
//! | module | what is there |
//! |---|---|
//! | `mod` | registration, and a new one when the metanode asks for it |
//! | `session` | one incarnation: from a registration to the next. Block reports and heartbeats |
//! | `commands` | the queue of the metanode's commands, and the workers that execute them |
//! | `losses` | reporting the replicas of failed volumes and those in quarantine |
//! | `rolling_report` | when the next page of the daily block report is due |
//! | `retry` | the delays between attempts |
//! | `seen_database` | which generation of the metanode's database the node has seen |
//!
//! Architecture invariant: one task sends everything to the metanode, so that changes arrive in the order in which they happened. A
//! page of a report cannot arrive after a newer heartbeat.

#[cfg(test)]
mod busy_index_tests;
mod commands;
mod losses;
mod retry;
mod rolling_report;
mod seen_database;
mod session;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backon::Retryable;
use cairn_protocol::cluster::{Cluster, ClusterError, Register, Registered};
use cairn_protocol::id::ClusterId;
use cairn_protocol::warn_peer;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::scrub::ScrubControl;
use crate::service::BlockStore;
use crate::volume::volumes::Volumes;
use crate::volume::{OpenError, aside};

pub(crate) use commands::Commands;
use losses::Losses;
use seen_database::SeenDatabaseKeeper;
use session::{FAREWELL_TIMEOUT, Session, SessionEnd};

/// Why a datanode cannot be part of the cluster. Another attempt would not help.
#[derive(Debug, Error)]
pub enum RefusedError {
    /// The data directories belong to another cluster.
    #[error("the data directory belongs to cluster {theirs}, and the metanode is of cluster {ours}")]
    OtherCluster {
        /// The cluster of the data directories.
        theirs: ClusterId,
        /// The metanode's cluster.
        ours: ClusterId,
    },
    /// The cluster's id could not be written to the data directories.
    #[error(transparent)]
    Volume(#[from] OpenError),
}

/// Why an attempt to register failed.
#[derive(Debug, Error)]
enum RegisterError {
    /// The metanode refuses this node for good.
    #[error(transparent)]
    Refused(RefusedError),
    /// Another attempt may succeed.
    #[error(transparent)]
    Passing(ClusterError),
}

/// Everything that the task which talks to the metanode needs.
pub(crate) struct Control {
    pub(crate) blocks: BlockStore,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) address: String,
    pub(crate) zone: Option<String>,
    pub(crate) retry_delay: (std::time::Duration, std::time::Duration),
    /// Becomes true with the first complete block report.
    pub(crate) reported: watch::Sender<bool>,
    /// Passes orders to the scrubbers, and their progress back.
    pub(crate) scrub: Arc<ScrubControl>,
    /// Which lost replicas were reported.
    pub(crate) losses: Arc<Mutex<Losses>>,
    /// Held while a thread calls the volumes.
    volumes_call: Arc<tokio::sync::Mutex<()>>,
    /// What the node has seen of the metanode's database.
    seen_database: SeenDatabaseKeeper,
}

impl Control {
    pub(crate) fn new(
        config: &Config,
        blocks: BlockStore,
        cluster: Arc<dyn Cluster>,
        reported: watch::Sender<bool>,
        scrub: Arc<ScrubControl>,
    ) -> Self {
        let commands = Arc::new(Commands::new(blocks.clone(), config.pulls_max));
        Self {
            seen_database: SeenDatabaseKeeper::new(blocks.volumes.clone(), blocks.env.clone()),
            blocks,
            cluster,
            commands,
            address: config.address.clone(),
            zone: config.zone.clone(),
            retry_delay: config.retry_delay,
            reported,
            scrub,
            losses: Arc::default(),
            volumes_call: Arc::default(),
        }
    }

    pub(crate) fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part in the cluster until `shutdown`.
    ///
    /// # Errors
    /// When the metanode refuses this node for good.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) -> Result<(), RefusedError> {
        let result = self.stay_registered(shutdown).await;
        // A call to the volumes whose caller was dropped still uses them. The volumes should not be closed before it ends.
        #[expect(clippy::disallowed_methods, reason = "the end of a process takes real time")]
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, self.volumes_call.lock()).await;
        result
    }

    async fn stay_registered(&self, shutdown: &CancellationToken) -> Result<(), RefusedError> {
        loop {
            let registered = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                registered = self.register() => registered,
            };
            let registered = match registered {
                Ok(registered) => registered,
                Err(RegisterError::Refused(error)) => return Err(error),
                Err(RegisterError::Passing(_)) => continue,
            };
            let mut session = Session::new(self, registered);
            match session.run(shutdown).await {
                SessionEnd::Shutdown => return Ok(()),
                SessionEnd::Reregister => tracing::info!("registering again"),
                SessionEnd::Refused(error) => return Err(error),
            }
        }
    }

    /// Calls the volumes on a thread that serves no requests, because the call takes locks or waits for the disk. One call at a time.
    pub(crate) async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&Volumes) -> T + Send + 'static) -> T {
        let volumes_call = self.volumes_call.clone().lock_owned().await;
        let volumes = self.blocks.volumes.clone();
        let called = aside(move || {
            let result = ask(&volumes);
            // In this order: a task that gets the lock may rely on the volumes being released.
            drop(volumes);
            drop(volumes_call);
            result
        });
        called.await
    }

    /// Registers this node. Tries until the metanode accepts or refuses it.
    ///
    /// # Errors
    /// [`RegisterError::Refused`] when the metanode refuses this node for good.
    async fn register(&self) -> Result<Registered, RegisterError> {
        let attempts = (|| self.try_to_register())
            .retry(retry::delays(&self.blocks.env, self.retry_delay))
            .sleep(self.blocks.env.sleeper())
            .when(|error| matches!(error, RegisterError::Passing(_)))
            .notify(|error, _delay| warn_peer!(%error, "cannot register with the metanode"));
        attempts.await
    }

    async fn try_to_register(&self) -> Result<Registered, RegisterError> {
        // The block report that follows has all changes so far. Changes from here on are reported after it.
        self.blocks.incremental_report.clear();
        let seen = self.seen_database.seen();
        let request = Register {
            node: self.blocks.node,
            cluster: self.blocks.volumes.cluster(),
            address: self.address.clone(),
            zone: self.zone.clone(),
            volumes: self.ask(Volumes::usage).await,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: seen.incarnation,
            seen: seen.generations,
            packs: true,
        };
        let registered = match self.cluster.register(request).await {
            Ok(registered) => registered,
            Err(error) => {
                return Err(refusal(error).map_or_else(RegisterError::Refused, RegisterError::Passing));
            }
        };
        self.join(registered.cluster).await.map_err(RegisterError::Refused)?;
        self.seen_database.registered(registered.incarnation, registered.lineage);
        self.commands.begin_incarnation(registered.incarnation);
        self.blocks.incarnation.store(registered.incarnation, Ordering::Release);
        Ok(registered)
    }

    async fn join(&self, cluster: ClusterId) -> Result<(), RefusedError> {
        let kept = self.blocks.volumes.cluster();
        if let Some(theirs) = kept.filter(|kept| *kept != cluster) {
            return Err(RefusedError::OtherCluster { theirs, ours: cluster });
        }
        let volumes = self.blocks.volumes.clone();
        let joined = tokio::task::spawn_blocking(move || volumes.join(cluster)).await;
        // A cancelled task means that the runtime ends.
        joined.unwrap_or(Ok(())).map_err(RefusedError::Volume)
    }
}

/// Separates a refusal (`Err`) from an error after which another attempt may succeed (`Ok`).
fn refusal(error: ClusterError) -> Result<ClusterError, RefusedError> {
    match error {
        ClusterError::OtherCluster { theirs, ours } => Err(RefusedError::OtherCluster { theirs, ours }),
        ClusterError::Unauthorized { .. }
        | ClusterError::Reregister
        | ClusterError::Unavailable { .. }
        | ClusterError::Malformed { .. }
        | ClusterError::Internal => Ok(error),
    }
}
