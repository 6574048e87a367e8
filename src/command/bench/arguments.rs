//! The options of `cairn bench`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use cairn_load::size::Sizes;
use cairn_load::workload::{Operation, Workload};
use cairn_load::{Credentials, Plan, Target};
use clap::{Args, Subcommand};

use crate::arguments::values::{duration, duration_or_zero, size, size_or_zero};

/// The workloads.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Each workload writes what it needs, is measured, and deletes what it wrote. Every byte that is read is compared with what was
written. The access key is taken as other tools take it: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY. The exit code is 2 if a
request failed or an answer was wrong.

64 clients that write 4 KiB each:        cairn bench put --size 4KiB --concurrency 64
A report to look at:                     cairn bench get --size 1MiB --html report.html --pid $(pidof cairn)
Two servers in turns, round by round:    cairn bench mixed --compare name=other,endpoint=http://127.0.0.1:3900")]
pub(crate) enum BenchOperation {
    /// Write objects
    Put(Written),
    /// Read whole objects
    Get(Stored),
    /// Read ranges of objects
    RangeGet(Ranges),
    /// Ask for the properties of objects
    Stat(Stored),
    /// List pages of keys
    List(Stored),
    /// Delete objects until none is left
    Delete(Deleted),
    /// Upload objects in parts
    Multipart(InParts),
    /// Write and read versions of few keys
    Versioned(Versions),
    /// Reads, writes, look-ups and deletions at once
    Mixed(Mixture),
}

/// Options of all workloads.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:9000", value_name = "URL")]
    endpoint: http::Uri,

    /// A server to compare it with, measured in turns: `endpoint=URL`, and if they differ `name=`, `access-key=`,
    /// `secret-key-file=`, `region=`, `bucket=` and `pid=`, with commas between them; may be repeated
    #[arg(long, value_name = "SERVER")]
    compare: Vec<String>,

    /// The access key id
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "KEY")]
    access_key: Option<String>,

    /// A file with the secret access key [default: the variable AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    secret_key_file: Option<PathBuf>,

    /// The region that signatures name
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1", value_name = "REGION")]
    region: String,

    /// The bucket; it is made if it is not there, and then deleted at the end
    #[arg(long, default_value = "cairn-bench", value_name = "BUCKET")]
    bucket: String,

    /// How many clients there are, each with a connection of its own
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,

    /// How long each server is measured
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    duration: Duration,

    /// How long the workload runs before that
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = duration_or_zero)]
    warm_up: Duration,

    /// In how many rounds; servers that are compared take turns [default: 1, or 7 with --compare]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// How long a request may take
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    timeout: Duration,

    /// What sizes, keys and bytes are drawn from
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Have signatures cover the bodies, which costs a SHA-256 of each
    #[arg(long)]
    sign_bodies: bool,

    /// Leave what was written
    #[arg(long)]
    keep: bool,

    /// Processes of the server on this machine, whose CPU time and memory are measured
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,

    /// A file with the certificate authority of the server, instead of those of the system
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,

    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,

    /// Write the report as a web page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// The sizes of objects.
#[derive(Args, Debug)]
pub(crate) struct SizeArgument {
    /// The size of objects: one (4KiB), several with weights (4KiB:70,1MiB:30), or a range (1KiB..16MiB)
    #[arg(long, default_value = "1MiB", value_name = "SIZES", value_parser = sizes)]
    size: Sizes,
}

/// `put`.
#[derive(Args, Debug)]
pub(crate) struct Written {
    #[command(flatten)]
    size: SizeArgument,
    #[command(flatten)]
    common: Common,
}

/// `get`, `stat`, `list`.
#[derive(Args, Debug)]
pub(crate) struct Stored {
    /// How many objects there are
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    objects: u64,
    #[command(flatten)]
    size: SizeArgument,
    #[command(flatten)]
    common: Common,
}

/// `range-get`.
#[derive(Args, Debug)]
pub(crate) struct Ranges {
    /// How long the ranges are
    #[arg(long, default_value = "64KiB", value_name = "SIZE", value_parser = size)]
    range: ByteSize,
    /// How many objects there are
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    objects: u64,
    /// The size of objects, as for `get`
    #[arg(long, default_value = "16MiB", value_name = "SIZES", value_parser = sizes)]
    size: Sizes,
    #[command(flatten)]
    common: Common,
}

/// `delete`.
#[derive(Args, Debug)]
pub(crate) struct Deleted {
    /// How many objects one request deletes
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    batch: u32,
    /// How many objects there are in each round
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    objects: u64,
    /// The size of objects, as for `get`
    #[arg(long, default_value = "1KiB", value_name = "SIZES", value_parser = sizes)]
    size: Sizes,
    #[command(flatten)]
    common: Common,
}

/// `multipart`.
#[derive(Args, Debug)]
pub(crate) struct InParts {
    /// How long the parts are; S3 wants 5 MiB at least, but for the last one
    #[arg(long, default_value = "8MiB", value_name = "SIZE", value_parser = size)]
    part_size: ByteSize,
    /// The size of objects, as for `get`
    #[arg(long, default_value = "64MiB", value_name = "SIZES", value_parser = sizes)]
    size: Sizes,
    #[command(flatten)]
    common: Common,
}

/// `versioned`.
#[derive(Args, Debug)]
pub(crate) struct Versions {
    /// How many keys have versions
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// How many versions there are at the beginning
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    objects: u64,
    #[command(flatten)]
    size: SizeArgument,
    #[command(flatten)]
    common: Common,
}

/// `mixed`. The weights are those of minio/warp.
#[derive(Args, Debug)]
pub(crate) struct Mixture {
    /// The weight of reads of whole objects
    #[arg(long, default_value_t = 45, value_name = "WEIGHT")]
    get: u32,
    /// The weight of look-ups
    #[arg(long, default_value_t = 30, value_name = "WEIGHT")]
    stat: u32,
    /// The weight of writes
    #[arg(long, default_value_t = 15, value_name = "WEIGHT")]
    put: u32,
    /// The weight of deletions
    #[arg(long, default_value_t = 10, value_name = "WEIGHT")]
    delete: u32,
    /// The weight of listings
    #[arg(long, default_value_t = 0, value_name = "WEIGHT")]
    list: u32,
    /// How many objects there are at the beginning
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    objects: u64,
    #[command(flatten)]
    size: SizeArgument,
    #[command(flatten)]
    common: Common,
}

fn sizes(text: &str) -> Result<Sizes, String> {
    Sizes::parse(text, |one| size_or_zero(one).map(|size| size.as_u64()))
}

/// Rounds of one server, and of several.
const ROUNDS: (u32, u32) = (1, 7);

impl BenchOperation {
    /// Options of all workloads.
    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Put(own) => &own.common,
            Self::Get(own) | Self::Stat(own) | Self::List(own) => &own.common,
            Self::RangeGet(own) => &own.common,
            Self::Delete(own) => &own.common,
            Self::Multipart(own) => &own.common,
            Self::Versioned(own) => &own.common,
            Self::Mixed(own) => &own.common,
        }
    }

    /// The plan of a run.
    ///
    /// # Errors
    /// What is wrong with the options, in words.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let common = self.common();
        let only = |operation, sizes: &Sizes, objects| Plan {
            objects,
            ..common.plan(Workload::only(operation), sizes.clone())
        };
        let mut plan = match self {
            Self::Put(own) => only(Operation::Put, &own.size.size, 0),
            Self::Get(own) => only(Operation::Get, &own.size.size, own.objects),
            Self::Stat(own) => only(Operation::Stat, &own.size.size, own.objects),
            Self::List(own) => only(Operation::List, &own.size.size, own.objects),
            Self::RangeGet(own) => {
                Plan { range: own.range.as_u64(), ..only(Operation::RangeGet, &own.size, own.objects) }
            }
            Self::Delete(own) => {
                Plan { batch: own.batch as usize, ..only(Operation::Delete, &own.size, own.objects) }
            }
            Self::Multipart(own) => {
                Plan { part: own.part_size.as_u64(), ..only(Operation::Multipart, &own.size, 0) }
            }
            Self::Versioned(own) => {
                let weights = [
                    (Operation::Put, 40),
                    (Operation::GetVersion, 40),
                    (Operation::ListVersions, 10),
                    (Operation::Delete, 10),
                ];
                let workload = Workload::mixed(weights).context("no workload")?;
                Plan {
                    keys: Some(own.keys),
                    objects: own.objects,
                    ..common.plan(workload, own.size.size.clone())
                }
            }
            Self::Mixed(own) => {
                let weights = [
                    (Operation::Get, own.get),
                    (Operation::Stat, own.stat),
                    (Operation::Put, own.put),
                    (Operation::Delete, own.delete),
                    (Operation::List, own.list),
                ];
                let workload = Workload::mixed(weights).context("every operation has the weight 0")?;
                Plan { objects: own.objects, ..common.plan(workload, own.size.size.clone()) }
            }
        };
        plan.targets = common.targets()?;
        let (alone, compared) = ROUNDS;
        let default = if plan.targets.len() > 1 { compared } else { alone };
        plan.rounds = common.rounds.unwrap_or(default);
        Ok(plan)
    }
}

impl Common {
    fn plan(&self, workload: Workload, sizes: Sizes) -> Plan {
        Plan {
            targets: Vec::new(),
            workload,
            sizes,
            range: 0,
            part: 0,
            batch: 1,
            objects: 0,
            keys: None,
            concurrency: self.concurrency as usize,
            duration: self.duration,
            warm_up: self.warm_up,
            rounds: 1,
            timeout: self.timeout,
            seed: self.seed,
            sign_bodies: self.sign_bodies,
            keep: self.keep,
        }
    }

    fn targets(&self) -> anyhow::Result<Vec<Target>> {
        let first = Target {
            name: name_of(&self.endpoint),
            endpoint: checked(self.endpoint.clone())?,
            credentials: self.credentials(self.access_key.as_deref(), self.secret_key_file.as_ref())?,
            region: self.region.clone(),
            bucket: self.bucket.clone(),
            pids: self.pid.clone(),
        };
        let mut targets = vec![first];
        for text in &self.compare {
            let other = self.other(text, &targets[0]).with_context(|| format!("--compare {text}"))?;
            targets.push(other);
        }
        Ok(targets)
    }

    /// A server to compare with. What is not said of it is as for the first one.
    fn other(&self, text: &str, first: &Target) -> anyhow::Result<Target> {
        let (mut endpoint, mut name, mut key, mut file) = (None, None, None, None);
        let mut target = Target { pids: Vec::new(), ..first.clone() };
        for part in text.split(',') {
            let (of, value) =
                part.split_once('=').with_context(|| format!("{part} is not written as NAME=VALUE"))?;
            let value = value.to_owned();
            match of {
                "endpoint" => endpoint = Some(value.parse::<http::Uri>()?),
                "name" => name = Some(value),
                "access-key" => key = Some(value),
                "secret-key-file" => file = Some(PathBuf::from(value)),
                "region" => target.region = value,
                "bucket" => target.bucket = value,
                "pid" => {
                    target.pids.push(value.parse().with_context(|| format!("{value} is not a process"))?)
                }
                _ => bail!(
                    "{of} is not one of endpoint, name, access-key, secret-key-file, region, bucket and pid"
                ),
            }
        }
        target.endpoint = checked(endpoint.context("it has no endpoint=URL")?)?;
        target.name = name.unwrap_or_else(|| name_of(&target.endpoint));
        match (key, file) {
            (None, None) => {}
            (Some(key), file @ Some(_)) => {
                target.credentials = self.credentials(Some(&key), file.as_ref())?
            }
            _ => bail!("access-key= and secret-key-file= belong together"),
        }
        Ok(target)
    }

    fn credentials(&self, key: Option<&str>, file: Option<&PathBuf>) -> anyhow::Result<Credentials> {
        let access_key =
            key.context("there is no access key: set --access-key or AWS_ACCESS_KEY_ID")?.to_owned();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (secret_key, token) = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                (text.trim().to_owned(), None)
            }
            None => {
                let secret = variable("AWS_SECRET_ACCESS_KEY");
                let secret = secret
                    .context("there is no secret key: set --secret-key-file or AWS_SECRET_ACCESS_KEY")?;
                (secret, variable("AWS_SESSION_TOKEN"))
            }
        };
        Ok(Credentials { access_key, secret_key, token })
    }
}

fn name_of(endpoint: &http::Uri) -> String {
    endpoint.authority().map(ToString::to_string).unwrap_or_default()
}

fn checked(endpoint: http::Uri) -> anyhow::Result<http::Uri> {
    let is_base = endpoint.path() == "/" && endpoint.query().is_none() && endpoint.authority().is_some();
    if matches!(endpoint.scheme_str(), Some("http" | "https")) && is_base {
        return Ok(endpoint);
    }
    bail!("{endpoint} is not a server's URL, which is written as http://host:port or https://host:port")
}
