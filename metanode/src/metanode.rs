//! Starting and stopping a metanode.

use std::sync::Arc;

use axum::Router;
use cairn_listener::tls::ServerConfig;
use cairn_listener::{Accept, Drained, Limits};
use cairn_protocol::admin::{Admin, admin_router};
use cairn_protocol::cluster::{Cluster, cluster_router};
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::iam::{Iam, iam_router};
use cairn_protocol::id::ClusterId;
use cairn_protocol::metadata::{Metadata, RootCredentials, metadata_router};
use cairn_protocol::rpc::{RpcServer, with_fallbacks};
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::signature::Admission;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::block_manager::{BlockManager, ConfigError};
use crate::config::Config;
use crate::directory::{Directory, DirectoryError};
use crate::http::{self, Beside};
use crate::iam::root::RootError;
use crate::iam::{Identities, root};
use crate::namespace::Namespace;
use crate::store::settings::{self, Setting};
use crate::store::{Store, StoreError};
use crate::vault::{MasterKeyError, Vault};

/// Why a metanode cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The database.
    #[error("the metanode's database cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The database belongs to another cluster.
    #[error("this data directory belongs to cluster {theirs}, and not to cluster {wanted}")]
    OtherCluster {
        /// The cluster that it belongs to.
        theirs: ClusterId,
        /// The configured cluster.
        wanted: ClusterId,
    },
}

impl From<RootError> for OpenError {
    fn from(error: RootError) -> Self {
        match error {
            RootError::Store(error) => Self::Store(error),
            RootError::MasterKey(error) => Self::MasterKey(error),
        }
    }
}

/// A metanode whose database is open.
pub struct Metanode {
    store: Store,
    namespace: Arc<Namespace>,
    identities: Arc<Identities>,
    blocks: BlockManager,
    cluster: ClusterId,
    root_made_now: bool,
    limits: Limits,
    tls: Option<Arc<ServerConfig>>,
    admission: Admission,
    env: Env,
    events: EventBus,
    /// Its lock must be held until the store is closed.
    _directory: Directory,
}

impl Metanode {
    /// Locks the data directory, opens the database, and generates what a new cluster needs: its id, and root
    /// credentials unless they are configured.
    ///
    /// # Errors
    /// [`OpenError`] gives the reason in one sentence.
    pub async fn open(
        config: Config,
        secret: ClusterSecret,
        env: Env,
        events: EventBus,
    ) -> Result<Self, OpenError> {
        config.blocks.validate()?;
        let directory = Directory::open(&config.directory)?;
        let store = Store::open(&directory.database(), &env).await?;
        let cluster = cluster_id(&store, config.cluster, &env).await?;
        let vault = open_vault(&store, &config, &env).await?;
        let (root, root_made_now) = match config.root_credentials {
            // Those of an earlier release are sealed even if they are not used.
            Some(configured) => {
                root::seal_stored(&store, &vault).await?;
                (configured, false)
            }
            None => root::load(&store, &vault, &env).await?,
        };
        let blocks = BlockManager::open(
            store.clone(),
            config.blocks,
            cluster,
            secret.clone(),
            env.clone(),
            events.clone(),
        )
        .await?;
        let access = blocks.access().clone();
        let identities = Arc::new(Identities::new(store.clone(), env.clone(), vault, access, root.clone()));
        let namespace = Arc::new(Namespace::new(
            store.clone(),
            blocks.clone(),
            env.clone(),
            events.clone(),
            identities.clone(),
        ));
        Ok(Self {
            store,
            namespace,
            identities,
            blocks,
            cluster,
            root_made_now,
            limits: config.limits,
            tls: config.tls,
            admission: Admission::new(secret, env.clone()),
            env,
            events,
            _directory: directory,
        })
    }

    /// The namespace, for a gateway in the same process.
    pub fn metadata(&self) -> Arc<dyn Metadata> {
        self.namespace.clone()
    }

    /// The block manager, for datanodes in the same process.
    pub fn cluster(&self) -> Arc<dyn Cluster> {
        Arc::new(self.blocks.clone())
    }

    /// The block manager, for operators in the same process.
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(self.blocks.clone())
    }

    /// Accounts, users, groups, roles, access keys and policies, for operators and gateways in the same process.
    pub fn iam(&self) -> Arc<dyn Iam> {
        self.identities.clone()
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster
    }

    /// The root credentials.
    pub fn root_credentials(&self) -> &RootCredentials {
        self.identities.root()
    }

    /// Whether this start generated the root credentials. It is the only time that they should be shown.
    pub fn root_credentials_are_new(&self) -> bool {
        self.root_made_now
    }

    /// The database, for checks of its invariants.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The routes. `shutdown` ends those that stream.
    pub fn router(&self, shutdown: CancellationToken) -> Router {
        let router = metadata_router(self.rpc(self.metadata()))
            .merge(cluster_router(self.rpc(self.cluster())))
            .merge(admin_router(self.rpc(self.admin())))
            .merge(iam_router(self.rpc(self.iam())))
            .merge(http::router(Beside {
                store: self.store.clone(),
                events: self.events.clone(),
                admission: self.admission.clone(),
                shutdown,
            }));
        with_fallbacks(router)
    }

    fn rpc<S: ?Sized>(&self, service: Arc<S>) -> RpcServer<S> {
        RpcServer { service, admission: self.admission.clone() }
    }

    /// Runs the workers until `shutdown`. [`serve`](Self::serve) does it too.
    pub async fn run_workers(&self, shutdown: CancellationToken) {
        self.blocks.run(shutdown).await;
    }

    /// Serves gateways, datanodes and operators, and runs the workers, until `shutdown`. Requests in flight are
    /// completed.
    pub async fn serve(&self, accept: impl Accept, shutdown: CancellationToken) -> Drained {
        let router = self.router(shutdown.clone());
        let (limits, tls) = (self.limits.clone(), self.tls.clone());
        let listener = cairn_listener::serve(accept, router, limits, tls, self.env.clone(), shutdown.clone());
        let (drained, ()) = tokio::join!(listener, self.run_workers(shutdown));
        drained
    }

    /// Closes the database: waiting mutations are committed, and further calls are refused.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// Opens a metanode, serves until `shutdown`, and closes it.
///
/// # Errors
/// When it cannot be opened.
pub async fn serve(
    accept: impl Accept,
    config: Config,
    secret: ClusterSecret,
    env: Env,
    events: EventBus,
    shutdown: CancellationToken,
) -> Result<Drained, OpenError> {
    let metanode = Metanode::open(config, secret, env, events).await?;
    let drained = metanode.serve(accept, shutdown).await;
    metanode.close().await;
    Ok(drained)
}

/// The id of the database's cluster. The first start generates it; every start checks it.
async fn cluster_id(store: &Store, wanted: Option<ClusterId>, env: &Env) -> Result<ClusterId, OpenError> {
    let fresh = wanted.unwrap_or(ClusterId(env.uuid_v4())).to_string();
    let kept = keep(store, Setting::ClusterId, fresh).await?;
    let kept: ClusterId = kept.parse().map_err(|_| StoreError::Corrupt { column: "cluster_id" })?;
    match wanted {
        Some(wanted) if wanted != kept => Err(OpenError::OtherCluster { theirs: kept, wanted }),
        _ => Ok(kept),
    }
}

/// The vault with the configured master key. The first start notes the key's id in the database; every start checks it.
async fn open_vault(store: &Store, config: &Config, env: &Env) -> Result<Vault, OpenError> {
    let known = settings::find(&mut *store.read().await?, Setting::MasterKeyId).await?;
    let vault = Vault::open(&config.master_key, known.as_deref(), env)?;
    keep(store, Setting::MasterKeyId, vault.key_id()).await?;
    Ok(vault)
}

async fn keep(store: &Store, setting: Setting, fresh: String) -> Result<String, StoreError> {
    // Only the first start writes, so that a metanode can start while its disk is full.
    let found = settings::find(&mut *store.read().await?, setting).await?;
    match found {
        Some(found) => Ok(found),
        None => {
            store
                .write(move |tx| Box::pin(async move { settings::find_or_insert(tx, setting, &fresh).await }))
                .await
        }
    }
}
