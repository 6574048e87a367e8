use cairn_protocol::metadata::{Metadata, RootCredentialsRequest};
use clap::Args;

use super::metanode_client::MetanodeArguments;
use crate::process::say;

#[derive(Args, Debug)]
pub(super) struct CredentialsArguments {
    #[command(flatten)]
    metanode: MetanodeArguments,
}

pub(super) async fn run(arguments: CredentialsArguments) -> anyhow::Result<()> {
    let metanode = arguments.metanode.connect()?;
    let credentials = metanode.rpc.root_credentials(RootCredentialsRequest {}).await?;
    say(format_args!("export AWS_ACCESS_KEY_ID={}", credentials.access_key));
    say(format_args!("export AWS_SECRET_ACCESS_KEY={}", credentials.secret_key));
    Ok(())
}
