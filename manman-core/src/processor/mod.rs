//! What moves by itself in the control plane: reports come in ([`Consume`]), messages
//! leave ([`Relay`]), time passes ([`Sweep`]). Any number of replicas may run.

mod consume;
mod probe;
mod relay;
mod stats;
mod sweep;
mod turns;
mod within;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use consume::Consume;
pub use relay::Relay;
pub use stats::{Counters, Stats};
pub use sweep::Sweep;

use crate::{broker::Broker, control::ControlConfig, store::Store};

/// All three loops of one replica.
#[derive(Debug)]
pub struct Processor {
    consume: Consume,
    relay: Relay,
    sweep: Sweep,
    stats: Stats,
}

impl Processor {
    /// Moves things between `store` and `broker`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig) -> Self {
        let stats = Stats::default();
        Self {
            consume: Consume::new(store.clone(), broker.clone(), config.clone(), stats.clone()),
            relay: Relay::new(store.clone(), broker.clone(), config.clone(), stats.clone()),
            sweep: Sweep::new(store, broker, config, stats.clone()),
            stats,
        }
    }

    /// What it has done, also while it runs.
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Runs until `shutdown`; what is being applied then is finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::join!(
            self.consume.run(shutdown.clone()),
            self.relay.run(shutdown.clone()),
            self.sweep.run(shutdown),
        );
    }
}
