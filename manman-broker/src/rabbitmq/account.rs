//! What the account of a host has to be allowed, and no more.

use manman_core::{broker::Queue, id::ServerId};

use super::map::{DEAD, INTERNAL, TELEMETRY};

/// The permissions of an account for one host, as RabbitMQ takes them: regular expressions
/// for `set_permissions` and, for each exchange, for `set_topic_permissions`.
///
/// With these a host takes its own commands and questions, reports of itself and its own
/// sessions, and nothing else: it reads no other host's queue, writes no other host's key,
/// declares nothing but the queue of its questions, which goes with it.
///
/// ```
/// use manman_broker::rabbitmq::HostAccount;
/// use manman_core::id::ServerId;
///
/// let account = HostAccount::of(ServerId(7));
/// println!("rabbitmqctl set_permissions host-7 '{}' '{}' '{}'", account.configure, account.write, account.read);
/// for (exchange, write, read) in &account.topics {
///     println!("rabbitmqctl set_topic_permissions host-7 {exchange} '{write}' '{read}'");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostAccount {
    /// What it may declare and delete.
    pub configure: String,
    /// What it may publish to, and bind.
    pub write: String,
    /// What it may consume, and bind from.
    pub read: String,
    /// For each topic exchange, the keys that it may publish, and those that it may bind.
    pub topics: Vec<(&'static str, String, String)>,
}

impl HostAccount {
    /// Those of the account of `server`.
    pub fn of(server: ServerId) -> Self {
        let (commands, asks) = (Queue::of_host(server).name, Queue::of_asks(server).name);
        let word = |name: &str| name.replace('.', r"\.");
        let (internal, telemetry, dead) = (word(INTERNAL), word(TELEMETRY), word(DEAD));
        let asked = format!(r"^ask\.{server}$");
        Self {
            configure: format!("^{asks}$"),
            write: format!("^({internal}|{telemetry}|{dead}|{asks})$"),
            read: format!("^({internal}|{telemetry}|{commands}|{asks})$"),
            topics: vec![
                (INTERNAL, format!(r"^status\.(host\.{server}|session\.{server}\.[0-9]+)$"), asked.clone()),
                (TELEMETRY, format!(r"^(health\.{server}|(logs|reply)\.{server}\.[0-9a-f]+)$"), asked),
                (DEAD, format!("^{commands}$"), "^$".to_owned()),
            ],
        }
    }
}
