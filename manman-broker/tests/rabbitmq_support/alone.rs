//! A node that is stopped, killed and frozen, by one test at a time.

use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use manman_broker::rabbitmq::RabbitBroker;
use manman_core::{
    broker::Broker,
    id::ServerId,
    testkit::broker::{BrokerFaults, BrokerFixture},
};
use manman_services::{Proxy, Rabbit, until};
use tokio::{sync::MutexGuard, task::block_in_place};

use super::{patient, url};

/// It ends with this program.
static NODE: LazyLock<tokio::sync::Mutex<Rabbit>> =
    LazyLock::new(|| tokio::sync::Mutex::new(Rabbit::start(None)));

/// That node for one test, reached through a network that can be hurt as well.
pub struct Alone {
    node: Mutex<MutexGuard<'static, Rabbit>>,
    vhost: String,
    proxy: Proxy,
}

impl Alone {
    pub async fn new() -> Self {
        let mut node = block_in_place(|| &*NODE).lock().await;
        block_in_place(|| {
            // As a test that failed has left it.
            if node.pid().is_none() {
                node.again();
            }
            node.thaw();
            let (vhost, proxy) = (node.vhost(), Proxy::to_port(node.port()));
            Self { node: Mutex::new(node), vhost, proxy }
        })
    }

    fn with(&self, work: impl FnOnce(&mut Rabbit)) {
        block_in_place(|| work(&mut self.node.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

#[async_trait]
impl BrokerFixture for Alone {
    async fn client(&self) -> Arc<dyn Broker> {
        let url = url(Rabbit::USER, Rabbit::PASSWORD, self.proxy.port(), &self.vhost);
        Arc::new(RabbitBroker::new(patient(&url)).unwrap())
    }

    fn faults(&self) -> &dyn BrokerFaults {
        self
    }

    fn server(&self) -> ServerId {
        ServerId(7)
    }

    async fn finish(&self) {
        self.with(|node| node.remove_vhost(&self.vhost));
    }
}

#[async_trait]
impl BrokerFaults for Alone {
    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn stop(&self) {
        self.with(Rabbit::stop);
    }

    async fn kill(&self) {
        // The queue that the cases declare before, by the name that it has there.
        let queue = format!("{}_{}", self.vhost, self.commands().name);
        self.with(|node| {
            until("the node has the queue on disk", Duration::from_secs(60), || node.has_on_disk(&queue));
            node.kill();
        });
    }

    async fn start(&self) {
        self.with(Rabbit::again);
    }

    async fn freeze(&self) {
        self.with(|node| node.freeze());
    }

    async fn thaw(&self) {
        self.with(|node| node.thaw());
    }

    async fn delay(&self, each_way: Duration) {
        self.proxy.delay(each_way);
    }
}
