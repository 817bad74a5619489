//! The broker within one process, against the contract of all brokers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use manman_core::{
    broker::Broker,
    id::ServerId,
    memory::MemoryBroker,
    testkit::broker::{BrokerFaults, BrokerFixture, Nastiness, Nasty},
};

/// The network that this broker does not have is played by `Nasty`, which is otherwise calm.
struct Fixture(Nasty);

#[async_trait]
impl BrokerFixture for Fixture {
    async fn client(&self) -> Arc<dyn Broker> {
        Arc::new(self.0.clone())
    }

    fn faults(&self) -> &dyn BrokerFaults {
        &self.0
    }

    fn server(&self) -> ServerId {
        ServerId(7)
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(60 * 60)
    }

    fn through_cuts(&self) -> (usize, usize) {
        if std::env::var("MANMAN_TESTS").is_ok_and(|scale| scale == "full") {
            (10_000, 1_000)
        } else {
            (200, 10)
        }
    }
}

async fn fresh() -> Fixture {
    Fixture(Nasty::new(Arc::new(MemoryBroker::new()), 7, Nastiness::default()))
}

manman_core::broker_conformance!(paused fresh);
