//! What the cases need of a broker under test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    broker::{Broker, Exchange, Pattern, Queue},
    id::ServerId,
};

/// The power to hurt a broker. What a broker of your own does about it, over a network
/// that you cut and a process that you kill, is what counts.
#[async_trait]
pub trait BrokerFaults: Send + Sync {
    /// Ends all connections to it once; it may be reached again at once.
    async fn cut(&self);

    /// Asks it to end, and waits until it has. What is durable stays.
    async fn stop(&self);

    /// Kills it (SIGKILL): it says and writes nothing more. What was told to be stored stays.
    async fn kill(&self);

    /// Begins it again after either.
    async fn start(&self);

    /// Lets it hang: connections stay and nothing answers.
    async fn freeze(&self);

    /// Lets it go on.
    async fn thaw(&self);

    /// Makes the way there slow: whatever is said arrives that much later, each way.
    async fn delay(&self, each_way: Duration);
}

/// A broker under test. Each case has one of its own, or names of its own on a shared one.
#[async_trait]
pub trait BrokerFixture: Send + Sync {
    /// A client of it, with a connection of its own.
    async fn client(&self) -> Arc<dyn Broker>;

    /// The power to hurt it.
    fn faults(&self) -> &dyn BrokerFaults;

    /// A host that nobody else uses on this broker: its keys are the case's own.
    fn server(&self) -> ServerId;

    /// How long a message is left lying to see that it stays.
    fn idle(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// How many messages are published through cuts, and how many of these there are about.
    /// More show more: 10,000 and 1,000, where minutes do not matter.
    fn through_cuts(&self) -> (usize, usize) {
        (200, 10)
    }

    /// Clears up.
    async fn finish(&self) {}

    /// The queue of this case's host.
    fn commands(&self) -> Queue {
        Queue::of_host(self.server())
    }

    /// A queue for the reports of this case's host, for competing consumers.
    fn reports(&self) -> Queue {
        let pattern = Pattern::new(format!("status.session.{}.#", self.server()));
        Queue {
            name: format!("reports-{}", self.server()),
            bindings: vec![(Exchange::Internal, pattern)],
            single_consumer: false,
            max_age: None,
            ..self.commands()
        }
    }

    /// A queue for the heartbeats of this case's host, as one that lives with its consumer.
    fn beats(&self) -> Queue {
        let pattern = Pattern::new(format!("health.{}.#", self.server()));
        Queue {
            name: format!("beats-{}", self.server()),
            bindings: vec![(Exchange::Internal, pattern)],
            durable: false,
            max_messages: 10,
            max_age: None,
            ..self.commands()
        }
    }
}
