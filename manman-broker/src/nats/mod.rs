//! The broker over [NATS](https://nats.io) with JetStream, on servers from 2.9 on.
//!
//! # Streams
//!
//! The contract wants what a topic exchange gives: a message goes to *every* queue that is
//! bound to its key, bindings may overlap, each queue has a bound of its own and says `Busy`
//! when it is reached, and a dead letter goes back into its own queue alone. In NATS two
//! streams must not take the same subject. One stream for many queues, with a consumer for
//! each, would have one bound for all, keeps nothing apart when one queue is deleted, and
//! stores what nobody is bound to without a word.
//!
//! So each durable queue is a work-queue stream of its own, whose subjects begin with its
//! name, and the publisher makes the copies:
//!
//! | what | stream | subjects |
//! |---|---|---|
//! | queue `host-7` | `manman_q_host-7` | `manman.q.host-7.i.command.7`, `manman.q.host-7.i.command.7.>` |
//! | dead letters | `manman_dead` | `manman.dead.{queue}.{message}` |
//! | telemetry | none | `manman.t.i.health.7` |
//! | what else is published, for queues that are not durable | none | `manman.l.e.manman.host.online` |
//! | whose turn it is | none | `manman.turn.host-7` |
//!
//! `i` is the exchange for us, `e` the one for others. A binding that ends in `#` is two
//! subjects, since `>` is one word at least. There is no list of bindings beside the streams
//! that could be wrong or late: which queues are bound to a key is asked of the server, which
//! streams take `manman.q.*.i.status.host.7`. Each publish asks anew (a second round trip):
//! what was declared before it began is found, whoever declared it (C1). A stream that is
//! full refuses (C8); where another copy was stored by then, the repeated message is known
//! there by its id for two minutes. An event is not repeated for that: the full one misses it,
//! which is counted ([`NatsBroker::missed`]).
//!
//! What waits for longer than the `max_age` of its queue goes without a word; a server keeps
//! nothing for less than 100 ms.
//!
//! # Consumers
//!
//! One durable pull consumer a queue, `take`, with a single filter. Messages are asked for
//! one by one, when somebody waits for one, so that none is handed out to nobody. The server
//! says every 2 s that it still has the question; silence is an error of the consumer, as
//! are a lost connection and a consumer that was deleted. A queue with a single consumer has
//! `max_ack_pending` 1: the server itself keeps the order. What is handed out is kept alive
//! by a word every 2 s and comes again 6 s after the last one; a consumer that is dropped
//! gives back at once. Deliveries are counted by the server and bounded by us: what was
//! handed out too often becomes a dead letter, stored before it leaves its queue.
//!
//! A queue that is not durable lives in the client that declared it; what comes goes to one
//! of those of that name. Telemetry for a durable queue whose consumers compete goes to one
//! of them, is never stored and takes no room; a durable queue with a single consumer takes
//! none.
//!
//! # Durability
//!
//! A message for which there was an `Ok` survives the death of the server's process. By
//! itself the server writes to disk every two minutes: a loss of power may cost that much
//! unless `sync_interval: always` is set (2.10 and newer) or `replicas` is 3.
//!
//! # Hosts
//!
//! A host declares nothing durable. What its user has to be allowed is
//! [`NatsPermissions::of_host`].

mod api;
mod backend;
mod config;
mod connect;
mod consumer;
mod dead;
mod link;
mod live;
mod map;
mod permissions;
mod publish;
mod ring;
mod settle;
mod tls;
mod translate;
mod turn;

pub use backend::NatsBroker;
pub use config::{NatsAuth, NatsConfig};
pub use permissions::NatsPermissions;

pub use crate::secret::Secret;
