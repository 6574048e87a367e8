//! The status of balancing, and the settings that operators may change.

use std::sync::Arc;

use cairn_planner::balance::survey;
use cairn_protocol::admin::{
    AdminError, BalanceStatus, SetBalance, WorkerActivity, WorkerName, WorkerSettings,
};
use futures_util::FutureExt;

use super::worker::decide;
use crate::block_manager::Inner;
use crate::store::settings::{self, Decision};

const BALANCE: WorkerName = WorkerName::Balance;

/// The settings in force, or those that a dry run asks about.
#[derive(Clone, Copy)]
struct Terms {
    settings: WorkerSettings,
    /// In thousandths of the mean utilisation; `None` for the configured one.
    threshold_permille: Option<u32>,
}

fn terms(inner: &Inner) -> Terms {
    Terms {
        settings: inner.workers.settings(BALANCE),
        threshold_permille: inner.soft_state().balance_threshold,
    }
}

pub(super) fn status(inner: &Inner) -> Result<BalanceStatus, AdminError> {
    status_with(inner, terms(inner))
}

pub(super) async fn set(inner: &Arc<Inner>, request: SetBalance) -> Result<BalanceStatus, AdminError> {
    check(&request)?;
    let _decisions = inner.decisions.write().await;
    let before = terms(inner);
    let wanted = Terms {
        settings: WorkerSettings {
            paused: request.running.map_or(before.settings.paused, |running| !running),
            rate: request.rate.or(before.settings.rate),
        },
        threshold_permille: request.threshold_permille.or(before.threshold_permille),
    };
    if request.dry_run {
        return status_with(inner, wanted);
    }
    if let Some(threshold) = request.threshold_permille {
        let decision = Decision::BalanceThreshold;
        inner.store.write(move |tx| settings::decide(tx, decision, threshold).boxed()).await?;
        inner.soft_state().balance_threshold = Some(threshold);
    }
    // The settings are stored even if nothing changes: an operator who starts balancing wants a round at once.
    decide(inner, BALANCE, wanted.settings).await?;
    inner.soft_state().changes += 1;
    inner.wakes.balance.notify_one();
    status(inner)
}

fn check(request: &SetBalance) -> Result<(), AdminError> {
    let refused = |reason: &str| Err(AdminError::Refused { reason: reason.to_owned() });
    if request.rate == Some(0) {
        return refused("with a rate of 0 nothing would move; stop balancing instead");
    }
    if request.threshold_permille.is_some_and(|threshold| !(1..=1_000).contains(&threshold)) {
        return refused("the threshold is from 0.1 % to 100 % of the mean utilisation");
    }
    Ok(())
}

fn status_with(inner: &Inner, terms: Terms) -> Result<BalanceStatus, AdminError> {
    let threshold_permille = terms.threshold_permille.unwrap_or(inner.config.balance_threshold_permille);
    let (found, moves_in_flight) = {
        let mut soft_state = inner.soft_state();
        let in_flight = soft_state.moves_in_flight();
        (survey(soft_state.view(&inner.env), threshold_permille), in_flight)
    };
    // Read last: what is not in flight any more is counted.
    let control = inner.workers.status(BALANCE).ok_or(AdminError::Internal)?;
    let running = !terms.settings.paused;
    let activity = match (running, control.activity) {
        (false, _) => WorkerActivity::Paused,
        (true, WorkerActivity::Paused) if found.is_even() => WorkerActivity::Resting,
        (true, WorkerActivity::Paused) => WorkerActivity::Working,
        (true, activity) => activity,
    };
    Ok(BalanceStatus {
        running,
        activity,
        rate: terms.settings.rate.unwrap_or(inner.config.balance_rate),
        threshold_permille,
        mean: found.mean,
        lowest: found.lowest,
        highest: found.highest,
        nodes_outside: found.outside,
        bytes_to_move: found.bytes_to_move,
        moves_in_flight,
        bytes_moved: control.bytes,
    })
}
