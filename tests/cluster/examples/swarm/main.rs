//! Measures the work of a metanode with thousands of datanodes: with heartbeats alone, with writes, and when a hundredth of
//! the datanodes dies.
//!
//! `cargo run --release -p cairn-cluster-tests --example swarm -- --nodes 10000` (after `cargo build --release`, or
//! with `CAIRN_BIN`). The datanodes are simulated: each has its own connection, registers, reports, sends heartbeats and
//! confirms commands, and stores nothing. The metanode is the real one, in a separate process.
//!
//! The floor is a server in a separate process that receives, authenticates and answers the same heartbeats without any
//! state. The difference between metanode and floor is the cost of the block manager.

mod floor;
mod measure;
mod nodes;
mod writer;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cairn_client_tests::binary;
use cairn_protocol::admin::{Admin, StatusRequest};
use cairn_protocol::env::Env;
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use clap::Parser;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use self::measure::{Process, say};
use self::nodes::Swarm;
use self::writer::Writer;

const SECRET: &str = "the secret of a swarm that lives for one measurement";

/// Measures one metanode with many simulated datanodes.
#[derive(Parser, Debug)]
struct Arguments {
    /// Simulated datanodes
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// Objects of one block, with three replicas each, that exist before the measurement
    #[arg(long, default_value_t = 50_000)]
    objects: usize,
    /// Objects a second that are written in the second phase
    #[arg(long, default_value_t = 100)]
    writes: u32,
    /// Seconds that each phase is measured
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Serve as the floor: what the measurement itself starts
    #[arg(long, hide = true)]
    floor: bool,
}

/// Limit on the floor's connections: the metanode's, which is above the number of nodes.
const CONNECTIONS_MAX: usize = 16_384;

/// The times of the cluster are the defaults, except that nodes become dead sooner, because the measurement waits for that.
const HEARTBEAT: Duration = Duration::from_secs(3);
const DEAD_AFTER: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let secret = ClusterSecret::new(SECRET)?;
    if arguments.floor {
        return floor::serve(secret).await;
    }
    let (nodes, span) = (arguments.nodes, Duration::from_secs(arguments.seconds));
    say(format_args!(
        "{nodes} simulated datanodes, a heartbeat each {} s, {span:?} a phase",
        HEARTBEAT.as_secs()
    ));

    let floor = start(Command::new(std::env::current_exe()?).arg("--floor")).await?;
    let swarm = Swarm::start(&floor.address, &secret, nodes).await?;
    let least = floor.process.over(span).await?;
    say(format_args!("\nfloor: heartbeats received and answered  {least}"));
    swarm.stop().await;
    drop(floor);

    let directory = tempfile::tempdir()?;
    let metanode = start(&mut metanode(directory.path())?).await?;
    let empty = metanode.process.now()?;
    let began = measure::clock();
    let swarm = Arc::new(Swarm::start(&metanode.address, &secret, nodes).await?);
    say(format_args!(
        "metanode: all registered and reported     in {:.1} s, {empty} before",
        began.elapsed()
    ));
    let idle = metanode.process.over(span).await?;
    say(format_args!(
        "metanode: heartbeats                      {idle}  ({:.1} times the floor's CPU)",
        idle.cpu / least.cpu
    ));
    let writer = Writer::new(&metanode.address, &secret, swarm.clone()).await?;
    writer.write_all(arguments.objects).await?;
    let balancing = metanode.process.over(span).await?;
    say(format_args!("metanode: {:6} objects, being balanced    {balancing}", arguments.objects));
    let (busy, latencies) =
        tokio::join!(metanode.process.over(span), writer.write_for(span, arguments.writes));
    say(format_args!("metanode: and {:4} writes a second         {}", arguments.writes, busy?));
    say(format_args!("          allocate and commit together    {}", latencies?));

    let died = nodes / 100;
    swarm.kill(died);
    let began = measure::clock();
    let rpc = RpcClient::new(&metanode.address, secret, Env::system())?;
    let repaired = async {
        let mut lacked = 0;
        loop {
            let status = rpc.status(StatusRequest {}).await?;
            let dead = status
                .nodes
                .iter()
                .filter(|node| node.state == cairn_protocol::admin::NodeState::Dead)
                .count();
            lacked = status.under_replicated.max(lacked);
            if dead == died && status.under_replicated == 0 {
                return anyhow::Ok(lacked);
            }
            Env::system().sleep(Duration::from_secs(1)).await;
        }
    };
    let (lacked, work) = metanode.process.during(repaired).await?;
    say(format_args!(
        "metanode: {died} nodes died, {} blocks repaired in {:.0} s, {DEAD_AFTER:?} of them to be sure  {work}",
        lacked?,
        began.elapsed()
    ));
    Ok(())
}

/// A server under measurement; killed when dropped.
struct Server {
    address: String,
    process: Process,
    _child: Child,
}

fn metanode(directory: &std::path::Path) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    command
        .args(["metanode", "--listen", "127.0.0.1:0", "--heartbeat-interval", &millis(HEARTBEAT)])
        .args(["--dead-after", &millis(DEAD_AFTER), "--data-dir"])
        .arg(directory)
        .env("CAIRN_CLUSTER_SECRET", SECRET);
    Ok(command)
}

async fn start(command: &mut Command) -> anyhow::Result<Server> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    while let Some(line) = lines.next_line().await? {
        let address = line.split_whitespace().find(|word| word.starts_with("http"));
        if let Some(address) = address.filter(|_| line.contains("ready on")) {
            let address = address.to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            let id = child.id().context("the server is gone")?;
            return Ok(Server { address, process: Process::new(id), _child: child });
        }
    }
    anyhow::bail!("the server ended with {}", child.wait().await?)
}
