//! The published suite of brokers, against one of one's own.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use manman_core::{
    broker::Broker,
    id::ServerId,
    memory::MemoryBroker,
    testkit::broker::{BrokerFaults, BrokerFixture, Nastiness, Nasty},
};
use manman_examples::metered::Metered;

/// The network that this broker does not have is played by `Nasty`, which is otherwise calm;
/// a broker with a server behind it kills, freezes and cuts that server instead.
struct Fixture {
    network: Nasty,
    broker: Metered,
}

#[async_trait]
impl BrokerFixture for Fixture {
    async fn client(&self) -> Arc<dyn Broker> {
        Arc::new(self.broker.clone())
    }

    fn faults(&self) -> &dyn BrokerFaults {
        &self.network
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

    async fn finish(&self) {
        let (published, refused) = self.broker.published();
        assert!(refused <= published);
    }
}

async fn fresh() -> Fixture {
    let network = Nasty::new(Arc::new(MemoryBroker::new()), 7, Nastiness::default());
    Fixture { broker: Metered::new(Arc::new(network.clone())), network }
}

manman_core::broker_conformance!(paused fresh);
