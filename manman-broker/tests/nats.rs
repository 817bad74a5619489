//! The broker over NATS, against the contract of all brokers: on the server that Debian
//! packages and on the newest.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod nats_support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use manman_core::{
    broker::Broker,
    id::ServerId,
    testkit::broker::{BrokerFaults, BrokerFixture},
};
use manman_services::{NatsServer, NatsVersion, Proxy};

use nats_support::{connected, full};

/// A server of its own behind a network that can be cut.
struct Fixture {
    server: NatsServer,
    proxy: Proxy,
}

impl Fixture {
    fn new(version: NatsVersion) -> Self {
        let server = NatsServer::start(version);
        let proxy = Proxy::to_port(server.port());
        Self { server, proxy }
    }
}

#[async_trait]
impl BrokerFixture for Fixture {
    async fn client(&self) -> Arc<dyn Broker> {
        Arc::new(connected(&format!("nats://127.0.0.1:{}", self.proxy.port())).await)
    }

    fn faults(&self) -> &dyn BrokerFaults {
        self
    }

    fn server(&self) -> ServerId {
        ServerId(7)
    }

    /// Longer than a question to the server holds, in the long run.
    fn idle(&self) -> Duration {
        Duration::from_secs(if full() { 40 } else { 2 })
    }

    fn through_cuts(&self) -> (usize, usize) {
        if full() { (10_000, 1_000) } else { (200, 10) }
    }
}

#[async_trait]
impl BrokerFaults for Fixture {
    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn stop(&self) {
        self.server.stop();
    }

    async fn kill(&self) {
        self.server.kill();
    }

    async fn start(&self) {
        self.server.begin();
    }

    async fn freeze(&self) {
        self.server.freeze();
    }

    async fn thaw(&self) {
        self.server.thaw();
    }

    async fn delay(&self, each_way: Duration) {
        self.proxy.delay(each_way);
    }
}

mod packaged {
    async fn fresh() -> super::Fixture {
        super::Fixture::new(manman_services::NatsVersion::Packaged)
    }

    manman_core::broker_conformance!(fresh);
}

mod newest {
    async fn fresh() -> super::Fixture {
        super::Fixture::new(manman_services::NatsVersion::Newest)
    }

    manman_core::broker_conformance!(fresh);
}
