//! Messages and queues as RabbitMQ has them, and back.

use std::time::Duration;

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use manman_core::{
    broker::{Class, Exchange, Message, Queue, RoutingKey},
    clock::{Clock as _, SystemClock},
};
use uuid::Uuid;

use super::death::{Death, dead_of};

/// Between control plane and hosts: what is stored.
pub(super) const INTERNAL: &str = "manman";
/// Between control plane and hosts: what may be dropped.
pub(super) const TELEMETRY: &str = "manman.telemetry";
/// For other systems.
pub(super) const EXTERNAL: &str = "external";
/// What nobody could deal with; the key is the name of the queue it was in.
pub(super) const DEAD: &str = "manman.dead";

/// What is said of a message that travels past its own key.
const KEY: &str = "manman-key";
const EXCHANGE: &str = "manman-exchange";
/// What is said of a dead letter.
pub(super) const REASON: &str = "manman-reason";
pub(super) const ATTEMPTS: &str = "manman-attempts";
pub(super) const DIED: &str = "manman-died";

/// In the key of a dead letter of RabbitMQ's own making, between the queue and its limit.
pub(super) const LIMIT: &str = ".limit.";

/// How long a heartbeat waits in a queue that is bound to more than telemetry.
const TELEMETRY_TTL_MS: i64 = 30_000;
/// How long a queue that lives with its consumer waits for the first one.
const UNUSED_MS: i64 = 60_000;
/// Dead letters that are kept at most: so many, so many bytes, for so long.
pub(super) const DEAD_KEPT: i64 = 10_000;
pub(super) const DEAD_BYTES: i64 = 64 * 1024 * 1024;
const DEAD_TTL_MS: i64 = 14 * 24 * 60 * 60 * 1000;
/// The longest time that RabbitMQ counts: some 49 days.
pub(super) const LONGEST_TTL_MS: i64 = 0xffff_ffff;

/// Where a message is published.
pub(super) fn exchange(exchange: Exchange, class: Class) -> &'static str {
    match (exchange, class) {
        (Exchange::Internal, Class::Telemetry) => TELEMETRY,
        (Exchange::Internal, _) => INTERNAL,
        (Exchange::External, _) => EXTERNAL,
    }
}

pub(super) fn properties(message: &Message) -> BasicProperties {
    let stored = message.class != Class::Telemetry;
    BasicProperties::default()
        .with_message_id(message.id.hyphenated().to_string().into())
        .with_type(class_name(message.class).into())
        .with_delivery_mode(if stored { 2 } else { 1 })
}

/// As [`properties`], for a message that is put straight into a queue.
pub(super) fn properties_direct(message: &Message) -> BasicProperties {
    properties(message).with_headers(origin(message))
}

/// As [`properties`], for a message that nobody could deal with, now.
pub(super) fn properties_dead(message: &Message, reason: &str, attempts: u32) -> BasicProperties {
    let mut headers = origin(message);
    headers.insert(DIED.into(), AMQPValue::LongLongInt(SystemClock.now().as_micros()));
    headers.insert(REASON.into(), text(reason));
    headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(attempts.into()));
    properties(message).with_headers(headers)
}

fn origin(message: &Message) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(KEY.into(), text(message.key.as_str()));
    headers.insert(EXCHANGE.into(), text(exchange(message.exchange, message.class)));
    headers
}

/// The message of a delivery. One that is not ours is made into one: whoever takes it says
/// that it cannot be read, and so it ends among the dead letters instead of in the way. The
/// body is taken out: it may be large, and one of it is enough.
pub(super) fn message(delivery: &mut Delivery) -> Message {
    let body = std::mem::take(&mut delivery.data).into();
    let headers = delivery.properties.headers().as_ref();
    let kept = |name: &str| headers.and_then(|headers| string(headers.inner().get(name)?));
    let death = headers.and_then(Death::read);
    let (exchange, key) = match (delivery.exchange.as_str(), &death) {
        // Only the control plane may write straight to a queue: the key is what it says.
        ("", _) => (kept(EXCHANGE), kept(KEY)),
        // Buried by whoever took it from its queue, which the key names and the broker vouches for.
        (DEAD, None) => (kept(EXCHANGE), kept(KEY)),
        // Died there by itself, unless it died elsewhere and only says so: who may declare a queue
        // of its own has what it puts there die under any name.
        (DEAD, Some(death)) if death.is_first_of(dead_of(delivery.routing_key.as_str()).0) => {
            match death.exchange.as_deref() {
                Some("") => (kept(EXCHANGE), kept(KEY)),
                Some(INTERNAL | TELEMETRY | EXTERNAL) => (death.exchange.clone(), death.key.clone()),
                _ => (None, None),
            }
        }
        // By a key that the broker vouches for. Nothing of ours dies into the internal ones, and
        // through an exchange of one's own, bound to these, any key can be sent.
        (EXTERNAL, _) | (INTERNAL | TELEMETRY, None) => {
            (Some(delivery.exchange.to_string()), Some(delivery.routing_key.to_string()))
        }
        _ => (None, None),
    };
    let external = exchange.as_deref() == Some(EXTERNAL);
    let id = delivery.properties.message_id().as_ref().and_then(|id| Uuid::try_parse(id.as_str()).ok());
    Message {
        id: id.unwrap_or_else(Uuid::new_v4),
        exchange: if external { Exchange::External } else { Exchange::Internal },
        key: key.and_then(|key| key.parse().ok()).unwrap_or_else(unreadable_key),
        class: delivery.properties.kind().as_ref().map_or(Class::Report, |name| class(name.as_str())),
        body,
    }
}

/// How often it was handed out, this time included.
pub(super) fn attempt(delivery: &Delivery) -> u32 {
    let count = delivery
        .properties
        .headers()
        .as_ref()
        .and_then(|headers| number(headers.inner().get("x-delivery-count")?));
    match count {
        Some(count) => u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1),
        None if delivery.redelivered => 2,
        None => 1,
    }
}

/// What a queue is declared with.
pub(super) fn arguments(queue: &Queue) -> FieldTable {
    let mut table = FieldTable::default();
    let max = i64::try_from(queue.max_messages).unwrap_or(i64::MAX);
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(max));
    if queue.single_consumer {
        table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    if queue.durable {
        let limit = delivery_limit(queue.max_deliveries);
        table.insert("x-queue-type".into(), text("quorum"));
        table.insert("x-overflow".into(), text("reject-publish"));
        table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(limit));
        table.insert("x-dead-letter-exchange".into(), text(DEAD));
        table.insert("x-dead-letter-routing-key".into(), text(&format!("{}{LIMIT}{limit}", queue.name)));
        table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        if let Some(max_age) = queue.max_age {
            table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(ttl_ms(max_age)));
        }
    } else {
        table.insert("x-overflow".into(), text("drop-head"));
        table.insert("x-expires".into(), AMQPValue::LongLongInt(UNUSED_MS));
    }
    table
}

/// What the queue beside a durable one is declared with: its telemetry.
pub(super) fn arguments_telemetry(queue: &Queue) -> FieldTable {
    let mut table = FieldTable::default();
    let max = i64::try_from(queue.max_messages.div_ceil(2)).unwrap_or(i64::MAX);
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(max));
    table.insert("x-overflow".into(), text("drop-head"));
    table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(TELEMETRY_TTL_MS));
    table
}

/// What the queue of the dead letters is declared with.
pub(super) fn arguments_dead() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(DEAD_KEPT));
    table.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(DEAD_BYTES));
    table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(DEAD_TTL_MS));
    table.insert("x-overflow".into(), text("drop-head"));
    // Reading them hands them out; RabbitMQ 4 drops what is handed out twenty times.
    table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(i64::from(i32::MAX)));
    table
}

/// How long messages wait; none at all would be for who waits already.
pub(super) fn ttl_ms(max_age: Duration) -> i64 {
    i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// When RabbitMQ itself gives a message up, for those who die of it: it also counts what
/// was on its way to a consumer that died of something else.
fn delivery_limit(max_deliveries: u32) -> i64 {
    2 * i64::from(max_deliveries) + 10
}

/// The name of the queue beside a durable one.
pub(super) fn telemetry_of(queue: &str) -> String {
    format!("{queue}.telemetry")
}

/// A name of ours as RabbitMQ takes it; `None` if it is too long.
pub(super) fn short(name: &str) -> Option<ShortString> {
    ShortString::try_new(name).ok()
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

pub(super) fn string(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(it) => Some(it.into()),
        AMQPValue::ShortShortUInt(it) => Some(it.into()),
        AMQPValue::ShortInt(it) => Some(it.into()),
        AMQPValue::ShortUInt(it) => Some(it.into()),
        AMQPValue::LongInt(it) => Some(it.into()),
        AMQPValue::LongUInt(it) => Some(it.into()),
        AMQPValue::LongLongInt(it) => Some(it),
        _ => None,
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Command => "command",
        Class::Report => "report",
        Class::Event => "event",
        Class::Telemetry => "telemetry",
    }
}

fn class(name: &str) -> Class {
    match name {
        "command" => Class::Command,
        "event" => Class::Event,
        "telemetry" => Class::Telemetry,
        _ => Class::Report,
    }
}

fn unreadable_key() -> RoutingKey {
    "unreadable".parse().expect("one word of letters is a key")
}
