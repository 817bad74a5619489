//! Publishes what is to be said.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{
    super::{host::Host, place::Place},
    Saying, Which,
};
use crate::{
    broker::{Class, Exchange, Message, RoutingKey},
    error::{Chain, Error, ErrorKind, Result},
    host::plan,
    id::{Generation, ServerId, SessionId},
    retry::Backoff,
    wire::{Envelope, HostReport, Report, SessionReport, VERSION},
};

/// How many reports are on their way at once.
const AT_ONCE: usize = 16;

/// What came of publishing: whose, which, and whether it arrived.
type Published = (SessionId, Which, Option<Saying>, Result<()>);

/// How long a registration is waited for before anything is said under the last one.
const REGISTERED_WITHIN: Duration = Duration::from_secs(10);

/// Says what is to be said, each session's in order.
pub(in crate::host::manager) async fn run(host: Arc<Host>) {
    let mut backoff = host.backoff();
    let mut on_their_way: FuturesUnordered<BoxFuture<'static, Published>> = FuturesUnordered::new();
    // Reports under a registration that is replaced in the same moment would not count.
    let mut place = host.place.watch();
    let mut hold = (*place.see() != Place::Ours).then(|| Instant::now() + REGISTERED_WITHIN);
    loop {
        let mut next = hold;
        if hold.is_none() && host.identity().is_some() && !host.is_fenced() && !host.stands_by() {
            let (due, later) = host.reports.due(AT_ONCE.saturating_sub(on_their_way.len()));
            next = later;
            for (session, which, saying) in due {
                on_their_way.push(Box::pin(publish(host.clone(), session, which, saying)));
            }
        }
        tokio::select! {
            biased;
            Some(published) = on_their_way.next() => match settle(&host, published) {
                Ok(()) => backoff.reset(),
                Err(error) => hold = Some(hold_back(&error, &mut backoff)),
            },
            () = host.reports.bell.notified() => {}
            Ok(()) = place.changed() => if host.is_registered() {
                hold = None;
            },
            () = until(next) => hold = None,
        }
    }
}

fn hold_back(error: &Error, backoff: &mut Backoff) -> Instant {
    let wait = backoff.delay();
    tracing::debug!(error = %Chain(error), "reports do not get through, will retry in {wait:?}");
    Instant::now() + wait
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn publish(host: Arc<Host>, session: SessionId, which: Which, saying: Option<Saying>) -> Published {
    let (id, report) = match (&saying, which) {
        (Some(saying), _) => (saying.id, Some(saying.report.clone())),
        // In the words of now: what was asked meanwhile may change what it is called.
        (None, _) => (Uuid::now_v7(), end_of(&host, session)),
    };
    let result = match report {
        Some(report) => {
            let key = |server| RoutingKey::session_status(server, session);
            let sent = send(&host, id, Class::Report, key, Report::Session(report.clone())).await;
            if let (Ok(()), Some(command)) = (&sent, saying.as_ref().and_then(|saying| saying.reply)) {
                let key = |server| RoutingKey::reply(server, command);
                // Only faster than the report: the store tells, too.
                let _ = send(&host, Uuid::now_v7(), Class::Telemetry, key, Report::Session(report)).await;
            }
            sent
        }
        None => Ok(()),
    };
    (session, which, saying, result)
}

fn end_of(host: &Host, session: SessionId) -> Option<SessionReport> {
    host.journal.look(|state| {
        let entry = state.sessions.get(&session)?;
        let end = entry.memory.end.as_ref().filter(|end| !end.receipted)?;
        Some(plan::ended(session, &entry.desired, &entry.memory, end))
    })
}

fn settle(host: &Host, (session, which, saying, result): Published) -> Result<()> {
    let id = saying.as_ref().map(|saying| saying.id);
    let result = match result {
        // It can never be said: too large, or a bug. The next one is not held up by it.
        Err(error) if error.kind() == ErrorKind::Invalid => {
            tracing::warn!(session.id = %session, error = %Chain(&error), "a report is dropped");
            Ok(())
        }
        result => result,
    };
    host.reports.settle(session, which, id, result.is_ok());
    result
}

/// Publishes one report under who we are now.
pub(in crate::host::manager) async fn send(
    host: &Host,
    id: Uuid,
    class: Class,
    key: impl FnOnce(ServerId) -> RoutingKey,
    body: Report,
) -> Result<()> {
    let me = host.me()?;
    let generation = match &body {
        Report::Session(report) => host.journal.look(|state| {
            state
                .sessions
                .get(&report.session())
                .map_or(Generation::default(), |entry| entry.desired.generation)
        }),
        _ => Generation::default(),
    };
    let envelope = Envelope {
        version: VERSION,
        id,
        issued_at: host.wall(),
        not_after: None,
        server: me.server,
        epoch: me.epoch,
        generation,
        sequence: host.journal.next_sequence(),
        trace: None,
        body,
    };
    let body = envelope.encode().map_err(|unreadable| {
        Error::new(ErrorKind::Invalid, "publish a report", "it cannot be encoded").because(unreadable)
    })?;
    let message = Message { id, exchange: Exchange::Internal, key: key(me.server), class, body };
    host.call("publish a report", host.broker.publish(message)).await
}

/// Says that we go, for how long we need not be missed, and that our games go on.
pub(in crate::host::manager) async fn go_away(host: &Arc<Host>) {
    if host.is_fenced() || host.stands_by() || host.identity().is_none() {
        return;
    }
    // What waited is said first, as far as it goes without waiting.
    host.reports.none_on_their_way();
    let (due, _) = host.reports.due(usize::MAX);
    let due = due.into_iter().map(|(session, which, saying)| publish(host.clone(), session, which, saying));
    for published in futures::future::join_all(due).await {
        // What did not get through is in the journal, or not worth keeping.
        let _ = settle(host, published);
    }
    let report = Report::Host(HostReport::GoingAway { seconds: host.config.going_away_secs });
    if let Err(error) = send(host, Uuid::now_v7(), Class::Report, RoutingKey::host_status, report).await {
        tracing::warn!(error = %Chain(&error), "nobody was told that we go");
    }
}
