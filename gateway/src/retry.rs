//! Retries of requests to the metanode, by the gateway's clock.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use cairn_protocol::env::Env;
use cairn_protocol::metadata::MetadataError;

/// Repeats `attempt` while the metanode is [`Unavailable`](MetadataError::Unavailable), with a pause of `delay`. No retry is
/// scheduled after `patience`, so the last attempt begins up to `delay` later. `notify` gets the error of each attempt that
/// is retried.
///
/// # Errors
/// The error of the last attempt.
pub(crate) async fn while_unavailable<T, F>(
    env: &Env,
    (delay, patience): (Duration, Duration),
    attempt: impl Fn() -> F,
    mut notify: impl FnMut(&MetadataError),
) -> Result<T, MetadataError>
where
    F: Future<Output = Result<T, MetadataError>>,
{
    let deadline = env.monotonic() + patience;
    attempt
        .retry(ConstantBuilder::new().with_delay(delay).without_max_times())
        .sleep(env.sleeper())
        .when(|error| matches!(error, MetadataError::Unavailable { .. }) && env.monotonic() < deadline)
        .notify(|error, _| notify(error))
        .await
}
