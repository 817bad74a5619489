//! The broker of a cluster.

use std::sync::OnceLock;

use manman_services::{NatsServer, NatsVersion, Rabbit};

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

    pub fn url(&self) -> String {
        match self {
            Self::RabbitMq(vhost) => amqp(node(), vhost),
            Self::OwnRabbitMq(node, vhost) => amqp(node, vhost),
            Self::Nats(server) => format!("nats://127.0.0.1:{}", server.port()),
        }
    }
}

fn amqp(node: &Rabbit, vhost: &str) -> String {
    // Its user and password, escaped.
    format!("amqp://admin:p%40ss%2Fwo%3Ard%3F@127.0.0.1:{}/{vhost}", node.port())
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Self::RabbitMq(vhost) = self {
            node().remove_vhost(vhost);
        }
    }
}
