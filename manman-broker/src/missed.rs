//! Events that full queues miss.

use std::sync::atomic::{AtomicU64, Ordering};

use manman_core::broker::RoutingKey;
use tracing::warn;

/// Counts them, and says so at the first, the second, the fourth, the eighth …: a subscriber
/// that is away for days must not fill a log.
#[derive(Debug, Default)]
pub(crate) struct Missed(AtomicU64);

impl Missed {
    /// One more, of `queue`.
    pub fn note(&self, queue: &str, key: &RoutingKey) {
        let missed = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if missed.is_power_of_two() {
            warn!(message.key = %key, "{queue} is full and misses an event, {missed} were missed so far");
        }
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
