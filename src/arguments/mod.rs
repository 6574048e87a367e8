//! The options that subcommands share, each declared once. Every option is also an environment variable and a setting of the TOML
//! file.
//!
//! | module | what is there |
//! |---|---|
//! | [`blocks`] | the block manager: `server`, `metanode` |
//! | [`credentials`] | the root credentials: `server`, `metanode` |
//! | [`disks`] | the disks of a datanode: `server`, `datanode` |
//! | [`internal_tls`] | TLS between the parts: all parts, `admin` |
//! | [`listener`] | the limits of listeners: all parts |
//! | [`master_key`] | the key that seals secrets: `server`, `metanode` |
//! | [`values`] | parsers of sizes, times, shares and names |

mod blocks;
mod credentials;
mod disks;
mod internal_tls;
mod listener;
mod master_key;
pub(crate) mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

pub(crate) use blocks::BlockArguments;
pub(crate) use credentials::CredentialArguments;
pub(crate) use disks::DiskArguments;
pub(crate) use internal_tls::{InternalListenerArguments, InternalPort, InternalTlsArguments};
pub(crate) use listener::ListenerArguments;
pub(crate) use master_key::MasterKeyArguments;
use values::{base_url, size};

use crate::secret_source::SecretArguments;

/// `cairn server`.
#[derive(Args, Debug)]
#[command(after_help = "\
Three copies of everything on one machine:  cairn server --datanodes 3
What the settings are:                      cairn config show server")]
pub(crate) struct ServerArguments {
    /// Where everything is kept
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = "./cairn-data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where to serve S3; port 0 takes a free one
    #[arg(long, env = "CAIRN_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Where to serve `cairn admin`; by default a free port of the loopback interface, noted in the data directory
    #[arg(long, env = "CAIRN_ADMIN_LISTEN", default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    pub admin_listen: SocketAddr,

    /// How many datanodes to run in this process, each with its own directory
    #[arg(long, env = "CAIRN_DATANODES", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub datanodes: u32,

    #[command(flatten)]
    pub s3: S3Arguments,
    #[command(flatten)]
    pub credentials: CredentialArguments,
    #[command(flatten)]
    pub master_key: MasterKeyArguments,
    #[command(flatten)]
    pub blocks: BlockArguments,
    #[command(flatten)]
    pub disks: DiskArguments,
    #[command(flatten)]
    pub listener: ListenerArguments,
    #[command(flatten)]
    pub secret: SecretArguments,
    #[command(flatten)]
    pub tls: InternalTlsArguments,
    #[command(flatten)]
    pub internal: InternalListenerArguments,
}

/// `cairn gateway`.
#[derive(Args, Debug)]
#[command(after_help = "\
Try it:  cairn gateway --metanode https://10.0.0.1:9010 --cluster-secret-file cluster.secret")]
pub(crate) struct GatewayArguments {
    /// Where to serve S3; port 0 takes a free one
    #[arg(long, env = "CAIRN_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Base URL of the metanode
    #[arg(long, env = "CAIRN_METANODE", default_value = "http://127.0.0.1:9010", value_name = "URL", value_parser = base_url)]
    pub metanode: String,

    #[command(flatten)]
    pub s3: S3Arguments,
    #[command(flatten)]
    pub listener: ListenerArguments,
    #[command(flatten)]
    pub secret: SecretArguments,
    #[command(flatten)]
    pub tls: InternalTlsArguments,
}

/// `cairn metanode`.
#[derive(Args, Debug)]
#[command(after_help = "\
Try it:  cairn admin secret create --file cluster.secret
         cairn metanode --listen 10.0.0.1:9010 --cluster-secret-file cluster.secret")]
pub(crate) struct MetanodeArguments {
    /// Where the database is kept
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = "./cairn-metanode", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Where to serve gateways, datanodes and operators; port 0 takes a free one
    #[arg(long, env = "CAIRN_LISTEN", default_value = "127.0.0.1:9010", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub credentials: CredentialArguments,
    #[command(flatten)]
    pub master_key: MasterKeyArguments,
    #[command(flatten)]
    pub blocks: BlockArguments,
    #[command(flatten)]
    pub listener: ListenerArguments,
    #[command(flatten)]
    pub secret: SecretArguments,
    #[command(flatten)]
    pub tls: InternalTlsArguments,
    #[command(flatten)]
    pub internal: InternalListenerArguments,
}

/// `cairn datanode`.
#[derive(Args, Debug)]
#[command(after_help = "\
Two disks:  cairn datanode --data-dir /disk1,/disk2 --listen 10.0.0.2:9020 --zone rack1 \\
                --metanode https://10.0.0.1:9010 --cluster-secret-file cluster.secret
To stop it safely:  cairn admin node can-stop 10.0.0.2:9020")]
pub(crate) struct DatanodeArguments {
    /// Where blocks are kept; several directories, on a disk each, are separated by commas
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = "./cairn-datanode", value_name = "DIR", value_delimiter = ',', num_args = 1..)]
    pub data_dir: Vec<PathBuf>,

    /// Where to serve blocks; port 0 takes a free one
    #[arg(long, env = "CAIRN_LISTEN", default_value = "127.0.0.1:9020", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Base URL under which gateways and other datanodes reach this one; by default the address that it listens on
    #[arg(long, env = "CAIRN_ADVERTISE", value_name = "URL", value_parser = base_url)]
    pub advertise: Option<String>,

    /// Base URL of the metanode
    #[arg(long, env = "CAIRN_METANODE", default_value = "http://127.0.0.1:9010", value_name = "URL", value_parser = base_url)]
    pub metanode: String,

    /// The machine's zone, such as a rack or a site: replicas are spread over zones
    #[arg(long, env = "CAIRN_ZONE", value_name = "NAME")]
    pub zone: Option<String>,

    #[command(flatten)]
    pub disks: DiskArguments,
    #[command(flatten)]
    pub listener: ListenerArguments,
    #[command(flatten)]
    pub secret: SecretArguments,
    #[command(flatten)]
    pub tls: InternalTlsArguments,
    #[command(flatten)]
    pub internal: InternalListenerArguments,
}

/// Options of the S3 port.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "S3")]
pub(crate) struct S3Arguments {
    /// Region that clients sign for
    #[arg(long, env = "CAIRN_REGION", default_value = "us-east-1", value_name = "NAME")]
    pub region: String,

    /// Domain for virtual-host style requests: with `s3.example.com`, `photos.s3.example.com` is bucket `photos`
    #[arg(long, env = "CAIRN_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,

    /// Accept URLs presigned with Signature Version 2, which may be valid for ever
    #[arg(
        long,
        env = "CAIRN_SIGV2",
        default_value_t = false,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub sigv2: bool,

    /// TLS certificate chain (PEM); makes the endpoint https
    #[arg(long, env = "CAIRN_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Key of the TLS certificate (PEM)
    #[arg(long, env = "CAIRN_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A bucket to create at start if it does not exist
    #[arg(long, env = "CAIRN_DEFAULT_BUCKET", value_name = "NAME")]
    pub default_bucket: Option<String>,

    /// Requests of one client address at once; further ones get SlowDown (503); set it higher if all clients come through one proxy
    #[arg(long, env = "CAIRN_REQUESTS_PER_ADDRESS_MAX", default_value_t = 2048, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub requests_per_address_max: u32,

    /// Requests of one access key at once; further ones get SlowDown (503)
    #[arg(long, env = "CAIRN_REQUESTS_PER_KEY_MAX", default_value_t = 8192, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub requests_per_key_max: u32,

    /// Memory for the blocks of uploads in progress
    #[arg(long, env = "CAIRN_BUFFER_MEMORY", default_value = "192MiB", value_name = "SIZE", value_parser = size)]
    pub buffer_memory: ByteSize,

    /// Memory for the blocks of downloads in progress
    #[arg(long, env = "CAIRN_DOWNLOAD_MEMORY", default_value = "128MiB", value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub download_memory: ByteSize,
}
