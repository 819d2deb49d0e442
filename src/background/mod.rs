//! What the server does by itself, on timers.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::ops::Ops;

/// Resolves operations that were cut off or could not be undone: first after `start`, then each `refresh`.
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

/// Checks which nodes are up: first after `start`, then each `refresh`.
pub async fn watch_nodes(ops: Ops, start: Duration, refresh: Duration) {
    let mut ticks = interval_at(Instant::now() + start, refresh);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ops.refresh_health().await;
    }
}
