//! A control plane with two hosts, one of which is not honest.

use std::{sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, LongString},
};
use manman_core::{
    broker::{Broker, DeadLetter, Message, Queue, RoutingKey},
    clock::{SystemClock, Timestamp},
    control::{ControlConfig, ControlUplink},
    id::Generation,
    memory::MemoryStore,
    processor::Processor,
    store::Store,
    uplink::{HostIdentity, Registration, Uplink as _},
    wire::{Envelope, HostReport, Report, VERSION},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Ground,
    accounts::{PATIENCE, permit_host},
    node,
};

pub const MANMAN: &str = "manman";
pub const TELEMETRY: &str = "manman.telemetry";

/// A control plane on a broker, and two hosts of it; one of them is not honest.
pub struct Plane {
    _ground: Ground,
    pub store: Arc<MemoryStore>,
    pub broker: Arc<dyn Broker>,
    processing: CancellationToken,
    user: String,
    pub thief: HostIdentity,
    pub victim: HostIdentity,
    link: Connection,
}

impl Plane {
    pub async fn begin() -> Self {
        let ground = Ground::new();
        let (store, broker) = (Arc::new(MemoryStore::new(Arc::new(SystemClock))), ground.broker());
        let mut config = ControlConfig::default();
        config.stale_after_secs = 3_600;
        let (shared, processing): (Arc<dyn Store>, _) = (store.clone(), CancellationToken::new());
        let processor = Processor::new(shared.clone(), broker.clone(), config.clone());
        tokio::spawn(processor.run(processing.clone()));
        let uplink = ControlUplink::new(shared, broker.clone(), config);
        let register = async |name: &str| {
            let hello = Registration {
                name: name.parse().unwrap(),
                environment: "test".parse().unwrap(),
                machine_id: name.to_owned(),
                engine_id: "engine".to_owned(),
                capacity: Default::default(),
                public_address: None,
                take_over: false,
            };
            let welcomed = uplink.register(&hello).await.unwrap();
            HostIdentity { server: welcomed.server, epoch: welcomed.epoch }
        };
        let (thief, victim) = (register("thief").await, register("victim").await);
        let user = format!("thief-of-{}", ground.vhost);
        node().user(&user, "hunter2");
        permit_host(&ground, &user, thief.server);
        let url = ground.url(&user, "hunter2");
        let link = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        Self { _ground: ground, store, broker, processing, user, thief, victim, link }
    }

    pub async fn channel(&self) -> Channel {
        let channel = self.link.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        channel
    }

    /// What `host` would say, had it said so.
    pub fn report(&self, host: HostIdentity, seconds: u32) -> Vec<u8> {
        let envelope = Envelope {
            version: VERSION,
            id: Uuid::now_v7(),
            issued_at: Timestamp::default(),
            not_after: None,
            server: host.server,
            epoch: host.epoch,
            generation: Generation::default(),
            sequence: 1,
            trace: None,
            body: Report::Host(HostReport::GoingAway { seconds }),
        };
        envelope.encode().unwrap().to_vec()
    }

    /// Publishes in the name of the victim; says by what id it is known.
    pub async fn forge(&self, exchange: &str, key: &str, mut headers: FieldTable) -> lapin::Result<Uuid> {
        let id = Uuid::now_v7();
        // What a message carries that was put back among others, should anybody believe it.
        headers.insert("manman-key".into(), text(RoutingKey::host_status(self.victim.server).as_str()));
        headers.insert("manman-exchange".into(), text(MANMAN));
        let properties = BasicProperties::default()
            .with_message_id(id.to_string().into())
            .with_type("report".into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let body = self.report(self.victim, 3_000);
        let options = BasicPublishOptions::default();
        let channel = self.channel().await;
        channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await?.await?;
        Ok(id)
    }

    /// A queue of the thief's own, from which what comes dies at once into `exchange`.
    pub async fn trap(&self, exchange: &str, key: &str) -> lapin::Result<()> {
        let asks = Queue::of_asks(self.thief.server).name;
        let channel = self.channel().await;
        channel.queue_delete(asks.as_str().into(), QueueDeleteOptions::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(0));
        arguments.insert("x-dead-letter-exchange".into(), text(exchange));
        arguments.insert("x-dead-letter-routing-key".into(), text(key));
        channel.queue_declare(asks.as_str().into(), QueueDeclareOptions::default(), arguments).await?;
        let ask = RoutingKey::ask(self.thief.server);
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(asks.as_str().into(), TELEMETRY.into(), ask.as_str().into(), options, none).await
    }

    /// Has a forged message die from the thief's queue into `exchange`.
    pub async fn die_into(&self, exchange: &str, key: &str) -> Uuid {
        self.trap(exchange, key).await.unwrap();
        // Nobody listens to these.
        let own = format!("logs.{}.1", self.thief.server);
        let to_trap = copies("CC", &[RoutingKey::ask(self.thief.server)]);
        self.forge(TELEMETRY, &own, to_trap).await.unwrap()
    }

    /// The dead letter of a message that is looked for.
    pub async fn letter(&self, id: Uuid, wanted: impl Fn(&DeadLetter) -> bool) -> DeadLetter {
        let found = async {
            loop {
                let letters = self.broker.dead_letters(1_000).await.unwrap();
                let mut letters = letters.into_iter().filter(|letter| letter.message.id == id);
                if let Some(letter) = letters.find(&wanted) {
                    return letter;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{id} is not among the dead letters"))
    }

    /// It comes to nothing at the processor.
    pub async fn is_refused(&self, id: Uuid) {
        let why = ["identity_mismatch", "unknown_key"];
        self.letter(id, |letter| why.iter().any(|why| letter.reason.starts_with(why))).await;
    }

    /// What is in the victim's queue; a host does what comes by its own key and nothing else.
    pub async fn commands(&self, ids: &[Uuid]) {
        let mut consumer = self.broker.consume(&Queue::of_host(self.victim.server).name).await.unwrap();
        let mut missing = ids.to_vec();
        while !missing.is_empty() {
            let delivery = timeout(PATIENCE, consumer.next()).await.expect("it does not come").unwrap();
            let Message { id, key, .. } = &delivery.message;
            assert_ne!(*key, RoutingKey::command(self.victim.server));
            assert_ne!(key.server(), Some(self.victim.server));
            missing.retain(|missing| missing != id);
            delivery.handle.ack().await.unwrap();
        }
    }

    pub async fn end(self) {
        self.processing.cancel();
        node().remove_user(&self.user);
    }
}

pub fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// Has a message go to other keys as well.
pub fn copies(header: &str, keys: &[RoutingKey]) -> FieldTable {
    let keys: Vec<AMQPValue> = keys.iter().map(|key| text(key.as_str())).collect();
    let mut headers = FieldTable::default();
    headers.insert(header.into(), AMQPValue::FieldArray(keys.into()));
    headers
}

#[track_caller]
pub fn denied<T>(what: &str, result: lapin::Result<T>) {
    let Err(error) = result else { panic!("it may {what}") };
    let lapin::ErrorKind::ProtocolError(answer) = error.kind() else { panic!("{what}: {error:?}") };
    assert_eq!(*answer.kind(), AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED), "{what}: {error:?}");
}
