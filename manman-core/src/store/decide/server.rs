//! Whether a server is heard.

use std::time::Duration;

use super::cut;
use crate::{
    clock::Timestamp,
    id::{Epoch, ServerId},
    model::{Health, Labels, Server, ServerStatus, text},
    store::{DeedError, Registration},
    wire::{Beat, ExternalEvent, ExternalKind, HostReport},
};

/// A server, and until when it said it would be away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The server.
    pub server: Server,
    /// Until when it need not be missed.
    pub away_until: Option<Timestamp>,
}

impl Presence {
    fn into_status(mut self, status: ServerStatus, event: ExternalKind) -> (Self, Option<ExternalEvent>) {
        let changed = self.server.status != status;
        self.server.status = status;
        let event = changed.then(|| ExternalEvent::Host { event, name: self.server.name.to_string() });
        (self, event)
    }

    fn online(mut self, now: Timestamp) -> (Self, Option<ExternalEvent>) {
        self.server.last_seen = Some(now);
        self.away_until = None;
        self.into_status(ServerStatus::Online, ExternalKind::HostOnline)
    }
}

/// The server after `hello`: `before` is what is on record under that name, `id` the one
/// a new server gets.
pub fn registered(
    before: Option<&Presence>,
    id: ServerId,
    hello: &Registration,
    stale_after: Duration,
    now: Timestamp,
) -> Result<(Presence, Option<ExternalEvent>), DeedError> {
    text::check("machine_id", &hello.machine_id, 255)?;
    text::check("engine_id", &hello.engine_id, 255)?;
    text::check("public_address", hello.public_address.as_deref().unwrap_or_default(), 255)?;
    if let Some(Presence { server, away_until }) = before
        && server.machine_id != hello.machine_id
        && !hello.take_over
        && let Some(heard) = server.last_seen.map(|at| now.since(at))
    {
        let back_in = away_until.map_or(Duration::ZERO, |until| until.since(now));
        if heard < stale_after || !back_in.is_zero() {
            let (heard_secs, back_in_secs) = (heard.as_secs(), back_in.as_secs());
            return Err(DeedError::ServerTaken { name: hello.name.clone(), heard_secs, back_in_secs });
        }
    }
    let known = before.map(|presence| &presence.server);
    let server = Server {
        id: known.map_or(id, |server| server.id),
        name: hello.name.clone(),
        status: known.map_or(ServerStatus::Offline, |server| server.status),
        last_seen: None,
        environment: hello.environment.clone(),
        capacity: hello.capacity.clone(),
        health: None,
        public_address: hello.public_address.clone(),
        epoch: Epoch(known.map_or(0, |server| server.epoch.0) + 1),
        machine_id: hello.machine_id.clone(),
        engine_id: hello.engine_id.clone(),
        labels: known.map_or_else(Labels::new, |server| server.labels.clone()),
        created_at: known.map_or(now, |server| server.created_at),
    };
    Ok(Presence { server, away_until: None }.online(now))
}

/// The server after a beat.
pub fn beaten(before: &Presence, beat: &Beat, now: Timestamp) -> (Presence, Option<ExternalEvent>) {
    let mut after = before.clone();
    after.server.capacity = beat.capacity.clone();
    let warnings = beat.warnings.iter().take(Health::WARNINGS);
    after.server.health = Some(Health {
        engine_ok: beat.engine_ok,
        warnings: warnings.map(|warning| cut(warning, Health::WARNING_BYTES)).collect(),
    });
    // The last beats of a host that goes away travel beside its word and may come after it.
    if after.away_until.is_some_and(|until| now < until) {
        after.server.last_seen = Some(now);
        return (after, None);
    }
    after.online(now)
}

/// The server after a word about itself.
pub fn reported(before: &Presence, report: &HostReport, now: Timestamp) -> (Presence, Option<ExternalEvent>) {
    let mut after = before.clone();
    match report {
        HostReport::Online => after.online(now),
        HostReport::GoingAway { seconds } => {
            after.server.last_seen = Some(now);
            after.away_until = Some(now.plus(Duration::from_secs(u64::from(*seconds))));
            after.into_status(ServerStatus::Offline, ExternalKind::HostOffline)
        }
    }
}

/// Whether the server should have been heard since `cutoff`, and was not.
pub fn is_silent(presence: &Presence, cutoff: Timestamp, now: Timestamp) -> bool {
    let expected = match (presence.server.status, presence.away_until) {
        (ServerStatus::Stale, _) | (ServerStatus::Offline, None) => false,
        (_, Some(until)) => until <= now,
        (ServerStatus::Online, None) => true,
    };
    expected && presence.server.last_seen.is_none_or(|at| at < cutoff)
}

/// A silent server.
pub fn silenced(before: &Presence) -> (Presence, Option<ExternalEvent>) {
    Presence { away_until: None, ..before.clone() }.into_status(ServerStatus::Stale, ExternalKind::HostStale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Capacity;

    const STALE: Duration = Duration::from_secs(10);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    fn hello(machine: &str, take_over: bool) -> Registration {
        Registration {
            name: "box".parse().unwrap(),
            environment: Default::default(),
            machine_id: machine.into(),
            engine_id: "e".into(),
            capacity: Capacity::default(),
            public_address: None,
            take_over,
        }
    }

    fn fresh() -> Presence {
        registered(None, ServerId(1), &hello("m1", false), STALE, at(100)).unwrap().0
    }

    #[test]
    fn each_registration_counts_the_epoch_up() {
        let first = fresh();
        assert_eq!((first.server.epoch, first.server.status), (Epoch(1), ServerStatus::Online));
        let (second, event) =
            registered(Some(&first), ServerId(9), &hello("m1", false), STALE, at(101)).unwrap();
        assert_eq!((second.server.epoch, second.server.id), (Epoch(2), ServerId(1)));
        assert_eq!(event, None);
    }

    #[test]
    fn another_machine_waits_until_the_name_is_silent_or_takes_over() {
        let first = fresh();
        let other = |take_over, now| {
            registered(Some(&first), ServerId(9), &hello("m2", take_over), STALE, now).map(|(it, _)| it)
        };
        assert!(matches!(other(false, at(104)), Err(DeedError::ServerTaken { heard_secs: 4, .. })));
        assert_eq!(other(true, at(104)).unwrap().server.machine_id, "m2");
        assert_eq!(other(false, at(110)).unwrap().server.machine_id, "m2");
    }

    #[test]
    fn another_machine_waits_for_one_that_said_it_comes_back() {
        let (away, _) = reported(&fresh(), &HostReport::GoingAway { seconds: 60 }, at(100));
        let other = |take_over, now| {
            registered(Some(&away), ServerId(9), &hello("m2", take_over), STALE, now).map(|(it, _)| it)
        };
        let refused = other(false, at(130)).unwrap_err();
        let text = "server box is held by another machine that was heard 30 s ago, and that said it is back within 30 s";
        assert_eq!(refused.to_string(), text);
        assert!(other(false, at(159)).is_err());
        assert_eq!(other(true, at(130)).unwrap().server.machine_id, "m2");
        let next = other(false, at(160)).unwrap();
        assert_eq!((next.server.machine_id.as_str(), next.away_until), ("m2", None));
    }

    #[test]
    fn who_goes_away_is_missed_only_afterwards() {
        let (away, event) = reported(&fresh(), &HostReport::GoingAway { seconds: 60 }, at(100));
        assert!(matches!(event, Some(ExternalEvent::Host { event: ExternalKind::HostOffline, .. })));
        let (crossed, event) = beaten(&away, &Beat::default(), at(101));
        assert_eq!((crossed.server.status, event), (ServerStatus::Offline, None));
        assert!(!is_silent(&crossed, at(149), at(159)));
        assert!(is_silent(&crossed, at(150), at(160)));
        let (back, _) = reported(&crossed, &HostReport::Online, at(120));
        assert_eq!((back.server.status, back.away_until), (ServerStatus::Online, None));
    }

    #[test]
    fn what_is_wrong_with_a_host_is_that_of_its_latest_beat() {
        let server = fresh();
        assert_eq!(server.server.health, None);
        let long = "x\0".repeat(Health::WARNING_BYTES);
        let beat = Beat { warnings: vec![long; 2 * Health::WARNINGS], ..Beat::default() };
        let (ill, _) = beaten(&server, &beat, at(101));
        let health = ill.server.health.clone().unwrap();
        assert_eq!(health.warnings.len(), Health::WARNINGS);
        assert!(health.warnings.iter().all(|it| it.len() == Health::WARNING_BYTES && !it.contains('\0')));
        let (silent, _) = beaten(&ill, &Beat::default(), at(102));
        assert_eq!(silent.server.health.unwrap().degraded_by(), ["the engine does not answer"]);
        let (well, _) = beaten(&ill, &Beat { engine_ok: true, ..Beat::default() }, at(103));
        assert_eq!(well.server.health.unwrap().degraded_by(), Vec::<String>::new());
    }

    #[test]
    fn silence_is_told_once() {
        let server = fresh();
        assert!(!is_silent(&server, at(100), at(110)));
        assert!(is_silent(&server, at(101), at(111)));
        let (stale, event) = silenced(&server);
        assert!(event.is_some() && !is_silent(&stale, at(200), at(210)));
        let (heard, event) = beaten(&stale, &Beat::default(), at(210));
        assert!(event.is_some() && heard.server.status == ServerStatus::Online);
    }
}
