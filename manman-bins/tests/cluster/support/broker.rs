//! The broker of a cluster.

use std::{sync::OnceLock, time::Duration};

use manman_bins::{config::BrokerUrl, secret::Secret};
use manman_services::{NatsServer, NatsVersion, Rabbit};

use super::{PATIENCE, until};
use crate::installation::scaled;

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On a node that all tests share, each in a virtual host.
    RabbitMq,
    /// On a node of its own, which may be hurt.
    OwnRabbitMq,
    /// On a server of its own.
    Nats,
}

/// Tells a story on each of these; in `ci` on the first one alone, and as many stories begin with
/// the one as with the other.
pub fn told_on(kinds: [Kind; 2], story: impl Fn(Kind)) {
    for kind in &kinds[..scaled(1, 2)] {
        eprintln!("on {kind:?}:");
        story(*kind);
    }
}

/// A broker that runs.
pub enum Broker {
    RabbitMq(String),
    OwnRabbitMq(Box<Rabbit>, String),
    Nats(NatsServer),
}

/// A node takes its time to start; it lives as long as the tests.
fn node() -> &'static Rabbit {
    static NODE: OnceLock<Rabbit> = OnceLock::new();
    NODE.get_or_init(|| Rabbit::start(None))
}

impl Broker {
    pub fn start(kind: Kind) -> Self {
        match kind {
            Kind::RabbitMq => Self::RabbitMq(node().vhost()),
            Kind::OwnRabbitMq => {
                let node = Rabbit::start(None);
                let vhost = node.vhost();
                Self::OwnRabbitMq(Box::new(node), vhost)
            }
            Kind::Nats => Self::Nats(NatsServer::start(NatsVersion::Packaged)),
        }
    }

    /// Ends it as its administrator would.
    pub fn stop(&mut self) {
        match self {
            Self::RabbitMq(_) => unreachable!("others use it as well"),
            Self::OwnRabbitMq(node, _) => node.stop(),
            Self::Nats(server) => server.stop(),
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        match self {
            Self::RabbitMq(_) => unreachable!("others use it as well"),
            Self::OwnRabbitMq(node, _) => node.kill(),
            Self::Nats(server) => server.kill(),
        }
    }

    /// Starts it again.
    pub fn begin(&mut self) {
        match self {
            Self::RabbitMq(_) => unreachable!("others use it as well"),
            Self::OwnRabbitMq(node, _) => node.again(),
            Self::Nats(server) => server.begin(),
        }
    }

    /// Has it stand still for so long: connections stay, and nobody answers.
    pub fn stands_still(&self, time: Duration) {
        match self {
            Self::RabbitMq(_) => unreachable!("others use it as well"),
            Self::OwnRabbitMq(node, _) => node.freeze(),
            Self::Nats(server) => server.freeze(),
        }
        std::thread::sleep(time);
        match self {
            Self::RabbitMq(_) => {}
            Self::OwnRabbitMq(node, _) => node.thaw(),
            Self::Nats(server) => server.thaw(),
        }
    }

    /// Takes away what waits in it, and the queues with it.
    pub fn wipe(&self) {
        match self {
            Self::RabbitMq(_) => unreachable!("others use it as well"),
            Self::OwnRabbitMq(node, vhost) => {
                for queue in ["host-1", "processor"] {
                    node.ask("DELETE", &format!("/api/queues/{vhost}/{queue}"), "");
                }
            }
            Self::Nats(server) => {
                server.kill();
                std::fs::remove_dir_all(server.dir().join("data")).unwrap();
                server.begin();
            }
        }
    }

    /// Waits until its queues are on its disk, which a node of RabbitMQ that ends too soon after
    /// a declaration does not see to.
    pub fn settled(&self) {
        if let Self::OwnRabbitMq(node, _) = self {
            for queue in ["host-1", "processor"] {
                until(&format!("{queue} is on disk"), PATIENCE, || node.has_on_disk(queue).then_some(()));
            }
        }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        match self {
            Self::RabbitMq(_) => node().port(),
            Self::OwnRabbitMq(node, _) => node.port(),
            Self::Nats(server) => server.port(),
        }
    }

    pub fn url(&self) -> String {
        self.url_by(self.port())
    }

    /// Its URL for whoever comes by another port.
    pub fn url_by(&self, port: u16) -> String {
        match self {
            // Its user and password, escaped.
            Self::RabbitMq(vhost) | Self::OwnRabbitMq(_, vhost) => {
                format!("amqp://admin:p%40ss%2Fwo%3Ard%3F@127.0.0.1:{port}/{vhost}")
            }
            Self::Nats(_) => format!("nats://127.0.0.1:{port}"),
        }
    }

    /// The same, as it is configured.
    pub fn config(&self) -> BrokerUrl {
        let url = Secret::new(self.url());
        match self {
            Self::RabbitMq(_) | Self::OwnRabbitMq(..) => BrokerUrl::RabbitMq(url),
            Self::Nats(_) => BrokerUrl::Nats(url),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Self::RabbitMq(vhost) = self {
            node().remove_vhost(vhost);
        }
    }
}
