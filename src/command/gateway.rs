//! `cairn gateway`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use backon::{ConstantBuilder, Retryable};
use cairn_gateway::data::DataConfig;
use cairn_gateway::{Config, Gateway};
use cairn_listener::{Limits, tls};
use cairn_protocol::block::{BlockConnector, Connector};
use cairn_protocol::env::Env;
use cairn_protocol::iam::Iam;
use cairn_protocol::metadata::{CreateBucket, Metadata, MetadataError};
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::{GatewayArguments, S3Arguments};
use crate::process::{listen, raise_file_limit, say, shutdown_on_signals};

/// How long a request waits for a metanode that refuses connections. SDKs try three times with some two seconds of pauses, so
/// the three attempts together outlast a restart of five seconds. The clients' own time-outs are far longer.
const METANODE_PATIENCE: Duration = Duration::from_secs(2);

/// Runs a gateway until a signal stops it.
pub(crate) async fn run(arguments: GatewayArguments) -> anyhow::Result<()> {
    let env = Env::system();
    let secret = arguments.secret.load()?;
    let identity = arguments.tls.identity(&secret, &env)?;
    let metadata = RpcClient::with_identity(&arguments.metanode, secret.clone(), &identity, env.clone())?;
    let metadata = Arc::new(metadata.patient(METANODE_PATIENCE));
    let limits = arguments.listener.limits(&Limits::public())?;
    let connector = Arc::new(Connector::new(&identity)?);
    let s3 = S3::new(arguments.s3, limits, (metadata.clone(), metadata), connector, secret, env)?;
    let shutdown = shutdown_on_signals()?;
    raise_file_limit();
    let until = shutdown.clone();
    tokio::spawn(async move { identity.keep_current(until).await });
    let listener = listen(arguments.listen, "--listen").await?;
    let ready = format!("cairn gateway ready on {}", s3.endpoint(&listener)?);
    let announce = async {
        say(ready);
        Ok(())
    };
    s3.serve(listener, shutdown, announce).await
}

/// The S3 port of a process, which is `cairn gateway` or `cairn server`.
pub(crate) struct S3 {
    gateway: Gateway,
    metadata: Arc<dyn Metadata>,
    limits: Limits,
    tls: Option<Arc<rustls::ServerConfig>>,
    default_bucket: Option<String>,
}

impl S3 {
    /// Checks the configuration. It does not serve yet.
    pub(crate) fn new(
        arguments: S3Arguments,
        limits: Limits,
        (metadata, iam): (Arc<dyn Metadata>, Arc<dyn Iam>),
        blocks: Arc<dyn BlockConnector>,
        secret: ClusterSecret,
        env: Env,
    ) -> anyhow::Result<Self> {
        let tls = match (&arguments.tls_cert, &arguments.tls_key) {
            (Some(certificate), Some(key)) => {
                let read = |file: &std::path::PathBuf| {
                    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
                };
                Some(tls::server_config(&read(certificate)?, &read(key)?)?)
            }
            _ => None,
        };
        let config = Config {
            region: arguments.region,
            domains: arguments.domain.into_iter().collect(),
            requests_per_address_max: usize::try_from(arguments.requests_per_address_max)?,
            requests_per_key_max: usize::try_from(arguments.requests_per_key_max)?,
            sigv2: arguments.sigv2,
            data: DataConfig {
                upload_memory: arguments.buffer_memory.as_u64(),
                download_memory: arguments.download_memory.as_u64(),
                ..DataConfig::default()
            },
        };
        config.validate()?;
        let gateway = Gateway::new(config, metadata.clone(), iam, blocks, secret, env);
        Ok(Self { gateway, metadata, limits, tls, default_bucket: arguments.default_bucket })
    }

    /// The URL that clients use.
    pub(crate) fn endpoint(&self, listener: &TcpListener) -> anyhow::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", listener.local_addr()?))
    }

    /// Serves until `shutdown`, and finishes the requests in flight. Calls `announce` when it is ready to serve clients.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
        announce: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let metadata = self.metadata.clone();
        let env = self.gateway.env.clone();
        let region = self.gateway.config.region.clone();
        let keyring = self.gateway.keyring.clone();
        let prepare = async {
            keyring.filled().await;
            if let Some(bucket) = self.default_bucket {
                make_default_bucket(&*metadata, &env, bucket, region).await?;
            }
            announce.await
        };
        let stopped = shutdown.clone();
        let serve = cairn_gateway::serve(listener, self.gateway, self.limits, self.tls, shutdown.clone());
        tokio::pin!(serve);
        let drained = tokio::select! {
            drained = &mut serve => drained,
            prepared = prepare => {
                if prepared.is_err() {
                    stopped.cancel();
                }
                let drained = serve.await;
                prepared?;
                drained
            }
        };
        if drained.cut > 0 {
            tracing::warn!(
                fault = "peer",
                connections = drained.cut,
                "cut off clients that did not finish in time"
            );
        }
        Ok(())
    }
}

/// Delay before the next request to a metanode that did not answer.
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_millis(500);

async fn make_default_bucket(
    metadata: &dyn Metadata,
    env: &Env,
    bucket: String,
    region: String,
) -> anyhow::Result<()> {
    cairn_gateway::types::BucketName::parse(&bucket).with_context(|| format!("--default-bucket {bucket}"))?;
    let attempt = || {
        let request = CreateBucket::new(bucket.clone(), region.clone());
        metadata.create_bucket(request)
    };
    let made = attempt
        .retry(ConstantBuilder::new().with_delay(RETRY_DELAY).without_max_times())
        .sleep(env.sleeper())
        .when(|error| matches!(error, MetadataError::Unavailable { .. }))
        .await;
    match made {
        Ok(_) | Err(MetadataError::BucketExists { .. }) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot make the default bucket {bucket}")),
    }
}
