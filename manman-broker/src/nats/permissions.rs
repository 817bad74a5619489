//! What a host has to be allowed, and nothing else.

use manman_core::{
    broker::{Queue, RoutingKey},
    id::ServerId,
};

use super::map::TAKE;

/// The subjects that a user needs, as they are written into the server's configuration
/// (`permissions { publish: […], subscribe: […] }`) or into a user's JWT.
///
/// A host may take from its own queue and settle what it took, make dead letters of it, be
/// asked, and say under its own keys what it has to say. It cannot publish under the keys of
/// another host, nor commands, nor take from another queue, nor declare or delete anything,
/// nor read the answers to others; what is refused is a `Denied` to the caller, at once,
/// except telemetry, which nobody waits for.
///
/// What is left to it: it sees the names of streams. The address to which the server sends
/// an answer is the asker's to choose and is not checked, so that a host can have a word of
/// the server (`{"stream":…,"seq":…}`) sent under the key of another one: what comes so is
/// no message of ours, and ends among the dead letters.
///
/// The control plane needs `{prefix}.>`, `$JS.API.>`, `$JS.ACK.>` and its own inbox, both
/// ways.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsPermissions {
    /// What it may publish.
    pub publish: Vec<String>,
    /// What it may listen to.
    pub subscribe: Vec<String>,
}

impl NatsPermissions {
    /// What a host needs whose broker is configured with this `prefix` and `inbox`.
    ///
    /// # Examples
    /// ```
    /// use manman_broker::nats::NatsPermissions;
    /// use manman_core::id::ServerId;
    ///
    /// let host = NatsPermissions::of_host("manman", "_INBOX_host-7", ServerId(7));
    /// assert!(host.publish.contains(&"manman.q.*.i.status.host.7".to_owned()));
    /// assert!(host.subscribe.contains(&"_INBOX_host-7.>".to_owned()));
    /// ```
    pub fn of_host(prefix: &str, inbox: &str, server: ServerId) -> Self {
        let queue = Queue::of_host(server).name;
        let (status, sessions) = (RoutingKey::host_status(server), format!("status.session.{server}.*"));
        let (health, ask) = (RoutingKey::health(server), RoutingKey::ask(server));
        let publish = [
            "$JS.API.INFO".to_owned(),
            "$JS.API.STREAM.NAMES".to_owned(),
            format!("$JS.API.CONSUMER.INFO.{prefix}_q_{queue}.{TAKE}"),
            format!("$JS.API.CONSUMER.MSG.NEXT.{prefix}_q_{queue}.{TAKE}"),
            format!("$JS.ACK.{prefix}_q_{queue}.{TAKE}.>"),
            format!("{prefix}.q.*.i.{status}"),
            format!("{prefix}.q.*.i.{sessions}"),
            format!("{prefix}.l.i.{status}"),
            format!("{prefix}.l.i.{sessions}"),
            format!("{prefix}.t.i.{health}"),
            format!("{prefix}.t.i.logs.{server}.*"),
            format!("{prefix}.t.i.reply.{server}.*"),
            format!("{prefix}.dead.{queue}.*"),
            format!("{prefix}.turn.{queue}"),
            format!("{inbox}.>"),
        ];
        let subscribe = [
            format!("{inbox}.>"),
            format!("{prefix}.turn.{queue}"),
            format!("{prefix}.t.i.{ask}"),
            format!("{prefix}.l.i.{ask}"),
        ];
        Self { publish: publish.into(), subscribe: subscribe.into() }
    }
}
