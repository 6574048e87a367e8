use anyhow::{Context, bail};
use clap::Args;
use futures_util::StreamExt;
use std::io::Write;

use super::metanode_client::MetanodeArguments;

#[derive(Args, Debug)]
pub(super) struct EventsArguments {
    #[command(flatten)]
    metanode: MetanodeArguments,

    /// Only events after this one
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    after: u64,
}

pub(super) async fn run(arguments: EventsArguments) -> anyhow::Result<()> {
    let metanode = arguments.metanode.connect()?;
    let path = format!("/events?after={}", arguments.after);
    let authorization = metanode.secret.authorize_request("GET", &path, b"", metanode.env.now());
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client
        .get(format!("{}{path}", metanode.rpc.base()))
        .header("authorization", authorization)
        .send()
        .await;
    let answer =
        answer.with_context(|| format!("the metanode at {} does not answer", metanode.rpc.base()))?;
    if !answer.status().is_success() {
        bail!("the metanode answers {}", answer.status());
    }
    let mut lines = answer.bytes_stream();
    let mut output = std::io::stdout();
    while let Some(piece) = lines.next().await {
        output.write_all(&piece.context("the metanode broke off")?)?;
        output.flush()?;
    }
    Ok(())
}
