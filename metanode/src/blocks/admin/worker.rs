//! The background workers.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, BalanceStatus, SetBalance, SetWorker, WorkerStatus};

use crate::blocks::Inner;

fn not_yet<T>() -> Result<T, AdminError> {
    Err(AdminError::Refused { reason: "not built yet".to_owned() })
}

pub(super) async fn set(_inner: &Arc<Inner>, _request: SetWorker) -> Result<WorkerStatus, AdminError> {
    not_yet()
}

pub(super) async fn balance(_inner: &Arc<Inner>) -> Result<BalanceStatus, AdminError> {
    not_yet()
}

pub(super) async fn set_balance(
    _inner: &Arc<Inner>,
    _request: SetBalance,
) -> Result<BalanceStatus, AdminError> {
    not_yet()
}

pub(super) fn all(_inner: &Arc<Inner>) -> Vec<WorkerStatus> {
    Vec::new()
}
