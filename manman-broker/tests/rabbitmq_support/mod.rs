//! What the tests over RabbitMQ share: one node for a whole program of tests, and for each
//! test a virtual host of its own behind a network of its own.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod accounts;
mod alone;
mod burial;
mod forging;
mod oversize;
mod plane;
mod topology;
mod wire;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use manman_broker::rabbitmq::{RabbitBroker, RabbitConfig};
use manman_core::{
    broker::Broker,
    id::ServerId,
    testkit::broker::{BrokerFaults, BrokerFixture},
};
use manman_services::{Proxy, Rabbit};

pub use alone::Alone;

pub fn full() -> bool {
    std::env::var("MANMAN_TESTS").is_ok_and(|scale| scale == "full")
}

/// The node of this program. It ends with it.
pub fn node() -> &'static Rabbit {
    static NODE: OnceLock<Rabbit> = OnceLock::new();
    NODE.get_or_init(|| Rabbit::start(None))
}

/// A virtual host of the shared node, reached through a network that can be hurt.
pub struct Ground {
    pub vhost: String,
    pub proxy: Arc<Proxy>,
}

impl Ground {
    pub fn new() -> Self {
        Self { vhost: node().vhost(), proxy: Arc::new(Proxy::to_port(node().port())) }
    }

    /// Where it is for `user`, through the network.
    pub fn url(&self, user: &str, password: &str) -> String {
        url(user, password, self.proxy.port(), &self.vhost)
    }

    pub fn config(&self) -> RabbitConfig {
        patient(&self.url(Rabbit::USER, Rabbit::PASSWORD))
    }

    pub fn broker(&self) -> Arc<dyn Broker> {
        Arc::new(RabbitBroker::new(self.config()).unwrap())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        node().remove_vhost(&self.vhost);
    }
}

/// A node beside many others may take its time; what is asserted are no deadlines.
pub fn patient(url: &str) -> RabbitConfig {
    let mut config: RabbitConfig = url.parse().unwrap();
    (config.connect_timeout_ms, config.call_timeout_ms, config.publish_timeout_ms) = (30_000, 60_000, 60_000);
    config
}

pub fn url(user: &str, password: &str, port: u16, vhost: &str) -> String {
    let encoded: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("amqp://{user}:{encoded}@127.0.0.1:{port}/{vhost}")
}

#[async_trait]
impl BrokerFixture for Ground {
    async fn client(&self) -> Arc<dyn Broker> {
        self.broker()
    }

    fn faults(&self) -> &dyn BrokerFaults {
        self
    }

    fn server(&self) -> ServerId {
        ServerId(7)
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(if full() { 40 } else { 2 })
    }

    fn through_cuts(&self) -> (usize, usize) {
        // Each cut takes it 2.2 s to come back from: a thousand would be most of the soak.
        if full() { (10_000, 250) } else { (200, 10) }
    }
}

#[async_trait]
impl BrokerFaults for Ground {
    async fn cut(&self) {
        self.proxy.cut();
    }

    // Others are on this node: to be without it is to be without a way there.
    async fn stop(&self) {
        self.proxy.refuse();
    }

    async fn kill(&self) {
        self.proxy.refuse();
    }

    async fn start(&self) {
        self.proxy.pass();
    }

    async fn freeze(&self) {
        self.proxy.freeze();
    }

    async fn thaw(&self) {
        self.proxy.pass();
    }

    async fn delay(&self, each_way: Duration) {
        self.proxy.delay(each_way);
    }
}
