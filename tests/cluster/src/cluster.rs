//! A cluster of one metanode, some datanodes and some gateways.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cairn_client_tests::plain_http::PlainHttp;
use cairn_protocol::admin::{Admin, ClusterStatus, StatusRequest};
use cairn_protocol::env::Env;
use cairn_protocol::event::{Event, EventKind};
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use futures_util::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::{BackoffConfig, RetryConfig};
use tempfile::TempDir;

use crate::in_process::Task;
use crate::process::Process;

/// How the parts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As tasks in the process of the test.
    InProcess,
    /// As processes of the `cairn` binary.
    Processes,
}

/// The size and the settings of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of datanodes.
    pub datanodes: usize,
    /// Number of gateways.
    pub gateways: usize,
    /// Number of replicas of each block.
    pub replication: u32,
    /// Block size in bytes.
    pub block_size: u64,
    /// Grace period of retired versions.
    pub gc_grace: Duration,
    /// Lease of a grant.
    pub lease: Duration,
    /// Time without a heartbeat after which a datanode is dead.
    pub dead_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            datanodes: 3,
            gateways: 1,
            replication: 3,
            block_size: 1024 * 1024,
            // At least the lease, as the metanode requires.
            gc_grace: Duration::from_secs(5),
            lease: Duration::from_secs(5),
            dead_after: Duration::from_secs(2),
        }
    }
}

/// Interval of the datanodes' heartbeats in tests.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
/// Time without a heartbeat after which a datanode is stale in tests: well above the delays of a busy machine.
pub(crate) const STALE: Duration = Duration::from_secs(1);
/// How long deleted blocks stay in the trash: so short that tests can wait until their files are gone.
pub(crate) const TRASH: Duration = Duration::from_secs(1);
pub(crate) const SECRET: &str = "the secret of a cluster that lives for one test";
pub(crate) const ACCESS_KEY: &str = "CAIRNTESTACCESSKEY00";
pub(crate) const SECRET_KEY: &str = "cairn-test-secret-key-0123456789abcdefghij";
/// The bucket that the gateways create at their start.
pub(crate) const BUCKET: &str = "cluster-test";

/// Upper limit for each wait of a test. A working cluster never needs this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running part.
pub(crate) enum Part {
    Process(Process),
    Task(Task),
}

impl Part {
    fn address(&self) -> &str {
        match self {
            Self::Process(process) => &process.address,
            Self::Task(task) => &task.address,
        }
    }

    async fn kill(self) -> anyhow::Result<()> {
        match self {
            Self::Process(process) => process.kill().await,
            Self::Task(task) => task.kill().await,
        }
    }
}

/// A running cluster. Dropping it ends its parts and removes its data.
pub struct Cluster {
    mode: Mode,
    options: Options,
    directory: Arc<TempDir>,
    metanode: Option<Part>,
    metanode_address: String,
    datanodes: Vec<Option<Part>>,
    gateways: Vec<Part>,
    secret: ClusterSecret,
}

impl Cluster {
    /// Starts a cluster and waits until every part is ready.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(mode: Mode, options: Options) -> anyhow::Result<Self> {
        let mut cluster = Self {
            mode,
            options,
            directory: Arc::new(tempfile::tempdir()?),
            metanode: None,
            metanode_address: String::new(),
            datanodes: Vec::new(),
            gateways: Vec::new(),
            secret: ClusterSecret::new(SECRET)?,
        };
        cluster.start_metanode().await?;
        for _ in 0..options.datanodes {
            cluster.add_datanode().await?;
        }
        for index in 0..options.gateways {
            let gateway = cluster.start_gateway(index).await?;
            cluster.gateways.push(gateway);
        }
        Ok(cluster)
    }

    /// A client of a gateway that does not retry, so that the test sees every error.
    pub fn client(&self, gateway: usize) -> AmazonS3 {
        let never =
            RetryConfig { max_retries: 0, retry_timeout: PATIENCE, backoff: BackoffConfig::default() };
        AmazonS3Builder::new()
            .with_http_connector(PlainHttp::default())
            .with_endpoint(self.endpoint(gateway))
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_allow_http(true)
            .with_retry(never)
            .build()
            .expect("the options are complete")
    }

    /// The S3 endpoint of a gateway.
    pub fn endpoint(&self, gateway: usize) -> &str {
        self.gateways[gateway].address()
    }

    /// The cluster's status, as operators get it.
    ///
    /// # Errors
    /// When the metanode does not answer.
    pub async fn status(&self) -> anyhow::Result<ClusterStatus> {
        let rpc = RpcClient::new(&self.metanode_address, self.secret.clone(), Env::system())?;
        Ok(rpc.status(StatusRequest {}).await?)
    }

    /// Waits for the first event that `wanted` accepts, past events included.
    ///
    /// # Errors
    /// When the metanode does not answer, or the event does not come within `PATIENCE`.
    pub async fn wait_for(&self, wanted: impl Fn(&EventKind) -> bool) -> anyhow::Result<Event> {
        let path = "/events?after=0";
        let rpc = RpcClient::new(&self.metanode_address, self.secret.clone(), Env::system())?;
        let answer = rpc.get_stream(path).await?.error_for_status()?;
        let search = async {
            let mut pieces = answer.bytes_stream();
            let mut buffer = Vec::new();
            while let Some(piece) = pieces.next().await {
                buffer.extend_from_slice(&piece?);
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    let event: Event = serde_json::from_slice(&line)?;
                    if wanted(&event.kind) {
                        return Ok(event);
                    }
                }
            }
            anyhow::bail!("the metanode's events ended");
        };
        Env::system().timeout(PATIENCE, search).await.context("the event did not come")?
    }

    /// Waits until `wanted` accepts the cluster's status. It fetches the status once in each heartbeat interval, because not
    /// every change of a count has an event.
    ///
    /// # Errors
    /// When the status is not as wanted within `PATIENCE`.
    pub async fn wait_for_status(
        &self,
        wanted: impl Fn(&ClusterStatus) -> bool,
    ) -> anyhow::Result<ClusterStatus> {
        let env = Env::system();
        let poll = async {
            loop {
                let status = self.status().await?;
                if wanted(&status) {
                    return anyhow::Ok(status);
                }
                env.sleep(HEARTBEAT).await;
            }
        };
        match env.timeout(PATIENCE, poll).await {
            Ok(status) => status,
            Err(_) => anyhow::bail!("the cluster did not get there: {:?}", self.status().await?),
        }
    }

    /// Starts another datanode; returns its index.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn add_datanode(&mut self) -> anyhow::Result<usize> {
        let index = self.datanodes.len();
        let part = self.start_datanode(index).await?;
        self.datanodes.push(Some(part));
        Ok(index)
    }

    /// Ends a datanode as SIGKILL does.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill_datanode(&mut self, index: usize) -> anyhow::Result<()> {
        self.datanodes[index].take().context("the datanode is not running")?.kill().await
    }

    /// Sends a signal to a datanode's process. After `STOP` it keeps its connections and does not answer, until `CONT`.
    ///
    /// # Errors
    /// When the datanode does not run, or runs in this process, where it cannot be suspended.
    pub async fn signal_datanode(&self, index: usize, signal: &str) -> anyhow::Result<()> {
        match &self.datanodes[index] {
            Some(Part::Process(process)) => process.signal(signal).await,
            Some(Part::Task(_)) | None => anyhow::bail!("the datanode is no running process"),
        }
    }

    /// The peak resident memory of a gateway's process, in bytes.
    ///
    /// # Errors
    /// When the gateway runs in this process, or its process is gone.
    pub fn gateway_memory_peak(&self, index: usize) -> anyhow::Result<u64> {
        match &self.gateways[index] {
            Part::Process(process) => process.memory_peak(),
            Part::Task(_) => anyhow::bail!("the gateway is no process"),
        }
    }

    /// Starts a datanode again on its old directory.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_datanode(&mut self, index: usize) -> anyhow::Result<()> {
        let part = self.start_datanode(index).await?;
        self.datanodes[index] = Some(part);
        Ok(())
    }

    /// Ends the metanode as SIGKILL does, and starts it again on the same address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_metanode(&mut self) -> anyhow::Result<()> {
        self.metanode.take().context("the metanode is not running")?.kill().await?;
        self.start_metanode().await
    }

    /// The data directory of a datanode.
    pub fn datanode_directory(&self, index: usize) -> PathBuf {
        self.directory.path().join(format!("datanode-{index}"))
    }

    async fn start_metanode(&mut self) -> anyhow::Result<()> {
        // A restarted metanode uses the same port, because the other parts have its address.
        let listen = match self.metanode_address.split_once("://") {
            Some((_, address)) => address.to_owned(),
            None => "127.0.0.1:0".to_owned(),
        };
        let directory = self.directory.path().join("metanode");
        let part = match self.mode {
            Mode::InProcess => {
                Part::Task(Task::metanode(&directory, &listen, self.options, &self.secret).await?)
            }
            Mode::Processes => {
                let options = self.options;
                let arguments = [
                    ("--data-dir", directory.display().to_string()),
                    ("--listen", listen),
                    ("--replication", options.replication.to_string()),
                    ("--block-size", format!("{}B", options.block_size)),
                    ("--heartbeat-interval", format!("{}ms", HEARTBEAT.as_millis())),
                    ("--stale-after", format!("{}ms", STALE.as_millis())),
                    ("--dead-after", format!("{}ms", options.dead_after.as_millis())),
                    ("--gc-grace", format!("{}ms", options.gc_grace.as_millis())),
                    ("--lease", format!("{}ms", options.lease.as_millis())),
                ];
                Part::Process(self.process("metanode", "metanode", &arguments).await?)
            }
        };
        self.metanode_address = part.address().to_owned();
        self.metanode = Some(part);
        Ok(())
    }

    async fn start_datanode(&self, index: usize) -> anyhow::Result<Part> {
        let directory = self.datanode_directory(index);
        if self.mode == Mode::InProcess {
            return Ok(Part::Task(Task::datanode(&directory, &self.metanode_address, &self.secret).await?));
        }
        let arguments = [
            ("--data-dir", directory.display().to_string()),
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--metanode", self.metanode_address.clone()),
            ("--reserve", "0B".to_owned()),
            ("--trash-age", format!("{}s", TRASH.as_secs())),
        ];
        Ok(Part::Process(self.process("datanode", &format!("datanode-{index}"), &arguments).await?))
    }

    async fn start_gateway(&self, index: usize) -> anyhow::Result<Part> {
        if self.mode == Mode::InProcess {
            return Ok(Part::Task(Task::gateway(&self.metanode_address, &self.secret).await?));
        }
        let arguments = [
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--metanode", self.metanode_address.clone()),
            ("--default-bucket", BUCKET.to_owned()),
        ];
        Ok(Part::Process(self.process("gateway", &format!("gateway-{index}"), &arguments).await?))
    }

    async fn process(&self, part: &str, name: &str, options: &[(&str, String)]) -> anyhow::Result<Process> {
        let mut arguments = vec![part.to_owned()];
        arguments.extend(options.iter().flat_map(|(name, value)| [(*name).to_owned(), value.clone()]));
        let environment = HashMap::from(
            [("CAIRN_CLUSTER_SECRET", SECRET)].map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut environment = environment;
        if part == "metanode" {
            environment.insert("CAIRN_ROOT_ACCESS_KEY".to_owned(), ACCESS_KEY.to_owned());
            environment.insert("CAIRN_ROOT_SECRET_KEY".to_owned(), SECRET_KEY.to_owned());
        }
        Process::start(&arguments, &environment, &self.directory.path().join(format!("{name}.log"))).await
    }
}
