//! What the server does by itself, on timers.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::ops::Ops;

/// Between two looks for answers that are kept no longer.
const FORGET: Duration = Duration::from_secs(3600);

/// Resolves operations that were cut off or could not be undone: first after `start`, which is recovery after a crash, then
/// each `refresh`.
pub async fn clean_operations(ops: Ops, start: Duration, refresh: Duration) {
    let mut ticks = interval_at(Instant::now() + start, refresh);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match ops.clean().await {
            Ok(0) => tracing::debug!("no operation is left to resolve"),
            Ok(left) => {
                tracing::warn!("{left} operations are still neither done nor undone; they are tried again later")
            }
            Err(error) => tracing::error!("the clean-up of operations failed: {error}"),
        }
    }
}

/// Forgets old answers of the queue, now and each hour.
pub async fn forget_old_answers(ops: Ops) {
    let mut ticks = tokio::time::interval(FORGET);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match ops.forget_old_answers().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::debug!("{forgotten} answers of the queue are forgotten"),
            Err(error) => tracing::error!("old answers of the queue cannot be removed: {error}"),
        }
    }
}

/// Checks which nodes are up: first after `start`, then each `refresh`.
pub async fn watch_nodes(ops: Ops, start: Duration, refresh: Duration) {
    let mut ticks = interval_at(Instant::now() + start, refresh);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ops.refresh_health().await;
    }
}
