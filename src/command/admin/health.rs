use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::Printer;

/// Longer than a healthy part ever takes, shorter than the health checks of container engines wait.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
pub(super) struct HealthArguments {
    /// The part's health URL: http://host:port/health, or http://host:port/_cairn/health of a gateway
    #[arg(long, value_name = "URL")]
    url: reqwest::Url,
}

pub(super) async fn run(arguments: HealthArguments, printer: Printer) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let answer = client.get(arguments.url.clone()).send().await;
    let answer = answer
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("{} does not answer", arguments.url))?;
    if !answer.status().is_success() {
        bail!("{} answers {}", arguments.url, answer.status());
    }
    printer.show(&serde_json::json!({ "ready": true }), |_| "ready".to_owned())
}
