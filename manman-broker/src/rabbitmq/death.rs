//! Messages that died, and what RabbitMQ writes down of that.

use lapin::{
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use manman_core::{broker::DeadLetter, clock::Timestamp};

use super::map::{ATTEMPTS, DIED, LIMIT, REASON, message, number, string};

/// What RabbitMQ writes down of a message that it takes out of a queue.
pub(super) struct Death {
    reason: String,
    queue: Option<String>,
    /// By which exchange it had come there.
    pub exchange: Option<String>,
    /// By which key.
    pub key: Option<String>,
    time: Timestamp,
    /// It died elsewhere before.
    again: bool,
}

impl Death {
    /// The last one of a message, if it died.
    pub fn read(headers: &FieldTable) -> Option<Self> {
        let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else { return None };
        let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
        let death = death.inner();
        let key = match death.get("routing-keys") {
            Some(AMQPValue::FieldArray(keys)) => keys.as_slice().first().and_then(string),
            _ => None,
        };
        let time = match death.get("time") {
            Some(&AMQPValue::Timestamp(secs)) => i64::try_from(secs).unwrap_or(0).saturating_mul(1_000_000),
            _ => 0,
        };
        Some(Self {
            reason: death.get("reason").and_then(string).unwrap_or_default(),
            queue: death.get("queue").and_then(string),
            exchange: death.get("exchange").and_then(string),
            key,
            time: Timestamp::from_micros(time),
            again: deaths.as_slice().len() > 1,
        })
    }

    /// Whether it died in this queue, and nowhere before.
    pub fn is_first_of(&self, queue: &str) -> bool {
        self.queue.as_deref() == Some(queue) && !self.again
    }
}

/// The queue that a dead letter was in by its key, and the limit that it died of, if so.
pub(super) fn dead_of(key: &str) -> (&str, &str) {
    key.rsplit_once(LIMIT).unwrap_or((key, ""))
}

/// A dead letter, put there by us or by RabbitMQ itself. Its body is taken out.
pub(super) fn dead_letter(delivery: &mut Delivery) -> DeadLetter {
    let message = message(delivery);
    let headers = delivery.properties.headers().as_ref();
    let kept = |name: &str| headers.and_then(|headers| headers.inner().get(name));
    let key = delivery.routing_key.as_str();
    let (queue, reason, attempts) = match kept(REASON).and_then(string) {
        Some(reason) => (key, reason, kept(ATTEMPTS).and_then(number).unwrap_or(1)),
        None => {
            let (queue, limit) = dead_of(key);
            let counted = kept("x-delivery-count").and_then(number).unwrap_or(0);
            match headers.and_then(Death::read).map(|death| death.reason).as_deref() {
                Some("delivery_limit") => {
                    // A limit of n lets it be handed out n + 1 times.
                    let attempts = limit.parse().unwrap_or(0) + 1;
                    (queue, format!("max_deliveries: handed out {attempts} times"), attempts)
                }
                Some("expired") => (queue, "expired: nobody took it in time".to_owned(), counted),
                other => (queue, other.unwrap_or("unknown").to_owned(), counted),
            }
        }
    };
    DeadLetter {
        message,
        queue: queue.to_owned(),
        reason,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
    }
}

/// When a dead letter died, by the clock of whoever put it there. The queue itself does not
/// keep their order: RabbitMQ 3.10 puts back more than 32 at once in any.
pub(super) fn died(delivery: &Delivery) -> Timestamp {
    let headers = delivery.properties.headers().as_ref();
    let said = headers.and_then(|headers| number(headers.inner().get(DIED)?));
    let noted = || headers.and_then(Death::read).map(|death| death.time);
    said.map(Timestamp::from_micros).or_else(noted).unwrap_or_default()
}
