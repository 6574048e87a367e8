//! `cairn admin credentials`: the root credentials, as lines for a shell.

use cairn_protocol::metadata::{Metadata, RootCredentialsRequest};

use super::Printer;
use super::metanode_client::Connection;

pub(super) async fn run(connection: &Connection, printer: Printer) -> anyhow::Result<()> {
    let credentials = connection.rpc.root_credentials(RootCredentialsRequest {}).await?;
    printer.show(&credentials, |credentials| {
        format!(
            "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}",
            credentials.access_key, credentials.secret_key
        )
    })
}
