//! `cairn admin health`: checks whether a part is ready, for the health checks of container engines.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, bail};
use cairn_protocol::env::Env;
use cairn_protocol::rpc::describe;
use cairn_protocol::tls::{explain, probe_config};
use clap::Args;

use super::Printer;
use super::metanode_client::MetanodeArguments;

/// Longer than a healthy part takes to answer, and shorter than the time-outs of container engines' health checks.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Upper limit of attempts when connections break off without a reason.
const ATTEMPTS_MAX: u32 = 5;

#[derive(Args, Debug)]
pub(super) struct HealthArguments {
    /// The part's health URL: https://host:port/health (http:// where it speaks no TLS), or .../_cairn/health of a gateway
    #[arg(long, value_name = "URL")]
    url: reqwest::Url,
}

/// Over TLS, the command presents a certificate if a secret is configured. It accepts any certificate of the server, like the
/// probes of container engines: it sends no secret, and learns only whether a part is ready.
pub(super) async fn run(
    arguments: HealthArguments,
    cluster: &MetanodeArguments,
    printer: Printer,
) -> anyhow::Result<()> {
    let url = &arguments.url;
    let identity = if url.scheme() == "https" { cluster.identity()? } else { None };
    let tls = probe_config(identity.as_ref(), Env::system())?;
    let client =
        reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(TIMEOUT).no_proxy().build()?;
    let answer = ask(&client, url).await;
    let answer = answer.map_err(|error| anyhow::anyhow!(describe(&error)));
    let answer = answer.with_context(|| format!("{url} does not answer"))?;
    if !answer.status().is_success() {
        let status = answer.status();
        let why = answer.text().await.unwrap_or_default();
        bail!("{url} answers {status}: {}", why.trim());
    }
    printer.show(&serde_json::json!({ "ready": true }), |_| "ready".to_owned())
}

/// Requests the state of a part, up to [`ATTEMPTS_MAX`] times if connections break off. With TLS 1.3 a server refuses a client's certificate
/// after the handshake. The client learns of it only if it reads the alert before it notices that the connection is closed.
async fn ask(client: &reqwest::Client, url: &reqwest::Url) -> reqwest::Result<reqwest::Response> {
    let mut attempts = 1;
    loop {
        match client.get(url.clone()).send().await {
            Err(error) if broke_off(&error) && attempts < ATTEMPTS_MAX => attempts += 1,
            answer => return answer,
        }
    }
}

fn broke_off(error: &reqwest::Error) -> bool {
    let root = std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source()).last();
    error.is_request() && !error.is_connect() && !error.is_timeout() && root.and_then(explain).is_none()
}
