//! `cairn s3-operations`: the operations of S3 and their support, from the tables by which the gateway dispatches requests.

use clap::Args;

use crate::process::say;

/// `cairn s3-operations`.
#[derive(Args, Debug)]
pub(crate) struct S3OperationsArguments {
    /// Print docs/s3.md instead of JSON
    #[arg(long)]
    markdown: bool,
}

/// Prints the tables.
pub(crate) fn run(arguments: &S3OperationsArguments) {
    if arguments.markdown {
        say(cairn_gateway::operations_table::markdown().trim_end());
    } else {
        say(cairn_gateway::operations_table::json());
    }
}
