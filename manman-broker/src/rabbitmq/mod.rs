//! The broker over RabbitMQ 3.10 and later.
//!
//! ```no_run
//! use manman_broker::rabbitmq::RabbitBroker;
//! use manman_core::broker::{Broker, Queue};
//!
//! # async fn example() -> manman_core::error::Result<()> {
//! let broker = RabbitBroker::connect("amqp://manman:secret@mq.example/manman".parse()?).await?;
//! broker.declare(&Queue::of_processor()).await?;
//! let mut reports = broker.consume(&Queue::of_processor().name).await?;
//! let delivery = reports.next().await?;
//! println!("{}: {:?}", delivery.message.key, delivery.message.body);
//! delivery.handle.ack().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is there
//!
//! | name | what | for |
//! |---|---|---|
//! | `manman` | topic exchange | commands and reports |
//! | `manman.telemetry` | topic exchange | telemetry, with the same keys |
//! | `external` | topic exchange | events for other systems |
//! | `manman.dead` | topic exchange and queue | what nobody could deal with, by the queue it was in |
//! | a durable queue | quorum queue, `reject-publish`, single active consumer where it is for one | stored messages |
//! | `….telemetry` | classic queue beside a durable one for several consumers, half as long, `drop-head`, 30 s | its telemetry |
//! | any other queue | classic, auto-delete, `drop-head` | lives with its consumer; 60 s without one |
//!
//! Telemetry never enters a quorum queue, so it takes neither room nor time of what is
//! stored there. A durable queue for a single consumer takes none at all. One consumer takes
//! from a queue and from that beside it, telemetry first, sixteen in a row at most.
//!
//! # How the contract is kept
//!
//! - A command or a report is `Ok` when the quorum queue has confirmed it. Unrouted, it comes
//!   back (`mandatory`), and is `NotFound`; not taken, `Busy`. Any number may be on their way.
//! - An event that is not taken has been missed by a queue that is full; RabbitMQ tells so at
//!   once and not which. That is counted ([`RabbitBroker::missed`]) and no error. A node that
//!   dies in that very moment may cost the others an event that was on its way to their disk.
//! - RabbitMQ that is short of memory or disk reads no publishes: they are `Busy` at once, and
//!   a connection of its own lets consumers go on.
//! - From a quorum queue nothing is handed out ahead: it would count as tried when its
//!   consumer dies. Whoever wants more at once takes several consumers.
//! - `nack` keeps the message out until its delay is over, and then gives it back; a single
//!   consumer waits for it, another takes the next one meanwhile. What is handed out
//!   `max_deliveries` times goes to the dead letters; whoever dies of it without a word does
//!   so twice as often and ten times more before RabbitMQ itself gives the message up.
//! - Dead letters: the newest 10,000 of 14 days, 64 MiB in all. Of a body over `MAX_BODY`, which
//!   RabbitMQ takes up to 128 MiB, only the size is kept. Reading them takes them out for a moment, so one reads at a time, and a reading that has begun comes to its end. They
//!   are listed by when they died, by the clock of whoever put them there.
//! - What waits for longer than the `max_age` of its queue is a dead letter, `expired`: whatever a
//!   quorum queue gives up goes where what it was handed out too often does.
//! - A binding that a queue had when it was first declared stays: RabbitMQ does not tell what
//!   is bound, so a `Conflict` is seen in all but the bindings.
//!
//! # Connections
//!
//! Two for each broker, both made again for ever with growing pauses up to 5 s. RabbitMQ is
//! asked for an answer every 3 s and has 5 s for it, beside AMQP's heartbeats (5 s): a link
//! that is half open is noticed within 8 s. A call that gets no answer in its time ends the
//! connection.
//!
//! # Accounts
//!
//! [`HostAccount`] says what the account of a host needs and no more. That of the control
//! plane needs everything in its virtual host.
//!
//! RabbitMQ lets such an account do more than it should: copies (`CC`, `BCC`), what dies in
//! a queue of its own, and what comes through an exchange of its own go out by any key. So a
//! key counts only where one of the exchanges above delivered by it and nothing died before;
//! whatever else comes is no message of ours, and ends among the dead letters.

mod account;
mod address;
mod backend;
mod config;
mod connect;
mod consume;
mod dead;
mod death;
mod keeper;
mod link;
mod map;
mod publish;
mod settle;
mod tls;
mod topology;
mod translate;

pub use account::HostAccount;
pub use backend::RabbitBroker;
pub use config::{RabbitConfig, TlsConfig};

pub use crate::secret::Secret;
