//! Options for TLS between the parts: certificates of the operator's own authority, and TLS on the internal port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use cairn_listener::tls::ServerConfig;
use cairn_protocol::env::Env;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::{CLUSTER_NAME, Identity, IdentityFiles};
use clap::{Args, ValueEnum};

/// The certificates of a part.
#[derive(Args, Clone, Debug)]
#[command(
    next_help_heading = "TLS between the parts (certificates come from the cluster's secret, unless given here)"
)]
pub(crate) struct InternalTlsArguments {
    /// Certificate (PEM) of this part, followed by any intermediate ones; read again when the file changes
    #[arg(long, env = "CAIRN_INTERNAL_TLS_CERT", global = true, value_name = "FILE", hide_short_help = true)]
    pub internal_tls_cert: Option<PathBuf>,

    /// Key of that certificate (PEM)
    #[arg(long, env = "CAIRN_INTERNAL_TLS_KEY", global = true, value_name = "FILE", hide_short_help = true)]
    pub internal_tls_key: Option<PathBuf>,

    /// Certificates (PEM) of the authorities that issued the other parts' certificates
    #[arg(long, env = "CAIRN_INTERNAL_TLS_CA", global = true, value_name = "FILE", hide_short_help = true)]
    pub internal_tls_ca: Option<PathBuf>,

    /// DNS name that the certificates of all parts are for
    #[arg(long, env = "CAIRN_INTERNAL_TLS_NAME", global = true, default_value = CLUSTER_NAME, value_name = "NAME", hide_short_help = true)]
    pub internal_tls_name: String,
}

impl InternalTlsArguments {
    /// The part's certificate and the authorities that it trusts.
    ///
    /// # Errors
    /// When only some of the files are given, or one cannot be used.
    pub(crate) fn identity(&self, secret: &ClusterSecret, env: &Env) -> anyhow::Result<Identity> {
        match (&self.internal_tls_cert, &self.internal_tls_key, &self.internal_tls_ca) {
            (None, None, None) => Ok(Identity::of_secret(secret, env.clone())?),
            (Some(certificate), Some(key), Some(authority)) => {
                let files = IdentityFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    authority: authority.clone(),
                    name: self.internal_tls_name.clone(),
                };
                Ok(Identity::of_files(files, env.clone())?)
            }
            _ => bail!(
                "--internal-tls-cert, --internal-tls-key and --internal-tls-ca belong together: give all three, or none"
            ),
        }
    }
}

/// Whether the internal port of a part uses TLS.
#[derive(Args, Clone, Copy, Debug)]
#[command(
    next_help_heading = "TLS between the parts (certificates come from the cluster's secret, unless given here)"
)]
pub(crate) struct InternalListenerArguments {
    /// Mutual TLS on the port for the other parts: on, off, or auto, which is on unless it listens on a loopback address
    #[arg(long, env = "CAIRN_INTERNAL_TLS", value_enum, default_value = "auto", value_name = "WHEN")]
    pub internal_tls: InternalTls,
}

/// When an internal port uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InternalTls {
    /// On, unless the port listens on a loopback address.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// An internal port: its address and its TLS.
#[derive(Clone, Debug)]
pub(crate) struct InternalPort {
    /// TLS of the listener; None is plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    address: SocketAddr,
}

impl InternalListenerArguments {
    /// The settings of the listener that is bound to `address`.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub(crate) fn port(self, address: SocketAddr, identity: &Identity) -> anyhow::Result<InternalPort> {
        let is_local = address.ip().to_canonical().is_loopback();
        let encrypted = match self.internal_tls {
            InternalTls::Auto => !is_local,
            InternalTls::On => true,
            InternalTls::Off => false,
        };
        if !encrypted && !is_local {
            tracing::warn!(
                fault = "peer",
                %address,
                "whoever is on the network's path can read what the parts tell each other (--internal-tls off)"
            );
        }
        let tls = if encrypted { Some(identity.server_config()?) } else { None };
        Ok(InternalPort { tls, address })
    }
}

impl InternalPort {
    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The base URL of the address that the listener is bound to.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        tls: InternalTlsArguments,
        #[command(flatten)]
        listener: InternalListenerArguments,
    }

    fn identity(line: &[&str]) -> anyhow::Result<Identity> {
        let secret = ClusterSecret::new(&"s".repeat(32))?;
        Line::try_parse_from(line)?.tls.identity(&secret, &Env::system())
    }

    fn scheme(when: &str, address: &str) -> &'static str {
        let line = Line::try_parse_from(["cairn", "--internal-tls", when]).unwrap();
        let identity = identity(&["cairn"]).unwrap();
        line.listener.port(address.parse().unwrap(), &identity).unwrap().scheme()
    }

    #[test]
    fn tls_is_the_default_where_other_machines_reach_the_port() {
        for local in ["127.0.0.1:9010", "127.8.0.1:9010", "[::1]:9010", "[::ffff:127.0.0.1]:9010"] {
            assert_eq!(scheme("auto", local), "http", "{local}");
        }
        for reachable in ["0.0.0.0:9010", "10.0.0.1:9010", "[::]:9010", "[fe80::1]:9010"] {
            assert_eq!(scheme("auto", reachable), "https", "{reachable}");
        }
        assert_eq!(scheme("on", "127.0.0.1:9010"), "https");
        assert_eq!(scheme("off", "10.0.0.1:9010"), "http");
    }

    #[test]
    fn all_files_of_a_certificate_are_needed() {
        let error =
            identity(&["cairn", "--internal-tls-cert", "a.pem", "--internal-tls-key", "b.pem"]).unwrap_err();
        assert!(error.to_string().contains("belong together"), "{error}");
        let all =
            ["cairn", "--internal-tls-cert", "/a", "--internal-tls-key", "/b", "--internal-tls-ca", "/c"];
        assert_eq!(
            identity(&all).unwrap_err().to_string(),
            "cannot read /a: No such file or directory (os error 2)"
        );
    }
}
