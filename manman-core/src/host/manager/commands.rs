//! Takes commands from the broker: hints wake, one-shot commands are done once.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{host::Host, place::Place};
use crate::{
    broker::{Consumer, Delivery, Queue, RoutingKey},
    error::{Chain, ErrorKind, Result},
    host::console::ConsoleHandle,
    id::{AttemptId, SessionId},
    model::ConsoleLine,
    wire::{Command, Envelope, OneShot, Outcome},
};

/// How long the note of a snapshot is waited for before a hint is acknowledged. What was
/// not noted by then is asked for again anyway.
const NOTED_WITHIN: Duration = Duration::from_secs(2);

/// How long a line may wait to be written.
const WRITE_WITHIN: Duration = Duration::from_secs(2);

/// How long a one-shot command is known after its time.
const SEEN_KEPT: Duration = Duration::from_secs(600);

/// Takes commands until somebody else has taken our place, and none while we stand by.
pub(super) async fn run(host: Arc<Host>) {
    let mut backoff = host.backoff();
    loop {
        // Who is refused has left the queue to whom it is given.
        host.may_take().await;
        let Some(identity) = host.identity() else {
            // The link tells when we know who we are.
            // The sender is the host's, so it is there.
            let _ = host.place.watch().until(|place| *place == Place::Ours).await;
            continue;
        };
        let queue = Queue::of_host(identity.server).name;
        let error = match host.call("consume commands", host.broker.consume(&queue)).await {
            Ok(mut consumer) => {
                backoff.reset();
                // What came while nobody listened is looked up.
                host.snapshot.notify_one();
                tokio::select! {
                    biased;
                    () = host.fenced() => return,
                    () = host.refused() => continue,
                    result = take_all(&host, &mut *consumer) => match result {
                        Ok(()) => return,
                        Err(error) => error,
                    },
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The control plane makes the queue when we ask it for anything.
                host.snapshot.notify_one();
                error
            }
            Err(error) => error,
        };
        let wait = backoff.delay();
        tracing::debug!(error = %Chain(&error), "no commands from the broker for now, will retry in {wait:?}");
        sleep(wait).await;
        if host.is_fenced() {
            return;
        }
    }
}

async fn take_all(host: &Arc<Host>, consumer: &mut dyn Consumer) -> Result<()> {
    loop {
        let delivery = consumer.next().await?;
        take(host, delivery).await?;
    }
}

/// Deals with one command: what has to be known after a death is noted, then it is
/// acknowledged, and what takes long is done by somebody else.
async fn take(host: &Arc<Host>, delivery: Delivery) -> Result<()> {
    let Delivery { message, handle, .. } = delivery;
    let envelope = match Envelope::<Command>::decode(&message.body) {
        Ok(envelope) => envelope,
        Err(unreadable) => {
            tracing::warn!(message.id = %message.id, "a command cannot be read: {unreadable}");
            return handle.dead(&unreadable.to_string()).await;
        }
    };
    let me = host.me()?;
    if envelope.server != me.server {
        let reason = format!("identity_mismatch: it is for server {}, not {}", envelope.server, me.server);
        return handle.dead(&reason).await;
    }
    // Whom the broker lets write elsewhere may have it put here too (RabbitMQ's `CC`).
    if message.key != RoutingKey::command(me.server) {
        let reason = format!("identity_mismatch: {} is no key of commands for us", message.key);
        return handle.dead(&reason).await;
    }
    match envelope.body {
        Command::Input(input) => {
            if envelope.epoch > me.epoch {
                // It may be for whoever has taken our place: asking tells.
                host.snapshot.notify_one();
                return handle.nack(NOTED_WITHIN).await;
            }
            let id = input.id;
            match see(host, input).await {
                Seen::Noted(line) => {
                    handle.ack().await?;
                    // Begun here, so that lines keep their order; finished elsewhere.
                    let mut writing = Box::pin(write(host.clone(), line));
                    if futures::poll!(&mut writing).is_pending() {
                        host.spawn(writing);
                    }
                    Ok(())
                }
                Seen::Before => handle.ack().await,
                Seen::Refused(session, why) => {
                    host.reports.outcome(session, id, Outcome::Refused(why));
                    handle.ack().await
                }
            }
        }
        Command::Start { session }
        | Command::Stop { session }
        | Command::Kill { session }
        | Command::Restart { session } => {
            let known = host.journal.look(|state| {
                state.forgotten.contains(&session)
                    || state.sessions.get(&session).is_some_and(|entry| {
                        envelope.generation.0 > 0 && entry.desired.generation >= envelope.generation
                    })
            });
            if !known {
                noted(host).await;
            }
            handle.ack().await
        }
        Command::Snapshot {} => {
            host.snapshot.notify_one();
            handle.ack().await
        }
    }
}

/// Waits until what is wanted now is noted. A hint that is acknowledged without that is no
/// loss: whoever could not ask goes on asking, and after a death asks first of all.
async fn noted(host: &Host) {
    let mut snapshots = host.snapshots.watch();
    let before = *snapshots.see();
    host.snapshot.notify_one();
    let _ = timeout(NOTED_WITHIN, snapshots.until(|count| *count > before)).await;
}

/// What becomes of a one-shot command before it is done.
enum Seen {
    /// It is noted, and to be done.
    Noted(Line),
    /// It was noted before: whoever did that has answered, or nobody knows.
    Before,
    /// It is not to be done.
    Refused(SessionId, String),
}

/// A line to be written.
struct Line {
    id: Uuid,
    run: AttemptId,
    line: ConsoleLine,
}

async fn see(host: &Host, input: OneShot<ConsoleLine>) -> Seen {
    let session = input.run.session;
    let now = host.now();
    let Some(written) = host.journal.see(input.id, input.not_after.max(now).plus(SEEN_KEPT), now) else {
        return Seen::Before;
    };
    if let Err(error) = host.noted(written).await {
        // Not asked for again: here it counts as seen, and brought a second time it would go
        // unanswered.
        return Seen::Refused(session, format!("the journal cannot be written: {}", Chain(&error)));
    }
    if !host.knows_time() {
        noted(host).await;
    }
    // By a clock of our own that is an hour behind nothing ever comes too late.
    if !host.knows_time() {
        let why = "the control plane has not said yet what time it is: it may come too late";
        return Seen::Refused(session, why.to_owned());
    }
    if host.now() > input.not_after {
        return Seen::Refused(session, "it came too late".to_owned());
    }
    match running(host, session) {
        None => Seen::Refused(session, "the game does not run".to_owned()),
        Some(attempt) if ![0, attempt].contains(&input.run.attempt) => Seen::Refused(
            session,
            format!("it is for attempt {}, and attempt {attempt} runs", input.run.attempt),
        ),
        Some(attempt) => {
            Seen::Noted(Line { id: input.id, run: AttemptId::new(session, attempt), line: input.what })
        }
    }
}

/// The attempt of a session that is taken to run.
fn running(host: &Host, session: SessionId) -> Option<u32> {
    host.journal.look(|state| {
        let memory = &state.sessions.get(&session)?.memory;
        memory.is_running().then_some(memory.highest)
    })
}

async fn write(host: Arc<Host>, line: Line) {
    let begun = Instant::now();
    let outcome = match console(&host, line.run).await {
        Ok(console) => console.write_line(&line.line, WRITE_WITHIN.saturating_sub(begun.elapsed())).await,
        Err(why) => Outcome::Refused(why),
    };
    host.reports.outcome(line.run.session, line.id, outcome);
}

/// The console of an attempt, opened if the game runs: after a restart of ours its actor may not
/// have come to that. One that is open is asked for in the same way, behind whoever waits for it
/// to be opened, so that lines keep their order.
async fn console(host: &Host, run: AttemptId) -> Result<ConsoleHandle, String> {
    if running(host, run.session) != Some(run.attempt) {
        // It has ended since it was looked, and what is gone by now is not opened again.
        return host.consoles.get(run).ok_or_else(|| "the console is not open".to_owned());
    }
    match timeout(WRITE_WITHIN, host.consoles.open(run, false)).await {
        Ok(opened) => opened.map_err(|error| Chain(&error).to_string()),
        Err(_) => Err("the console was not open in time".to_owned()),
    }
}
