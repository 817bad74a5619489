//! The work on one question.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::super::host::Host;
use crate::{
    broker::{Class, Exchange, Message, RoutingKey},
    clock::Timestamp,
    error::{Chain, ErrorKind, Result},
    host::console::{Step, Walk},
    id::{Generation, SessionId},
    uplink::HostIdentity,
    viewing::Begin,
    wire::{Answer, Ask, Envelope, Page, Told, Unreadable, VERSION},
};

/// The least time between two answers to one viewer, unless the first was full: what is
/// printed meanwhile goes in one. What is printed after a rest goes at once.
const APART: Duration = Duration::from_millis(100);

/// Where a viewer's next question goes on.
pub(super) struct Rest {
    session: SessionId,
    follow: bool,
    next: u64,
    /// What the last page had no room for.
    left: Option<Step>,
    walk: Walk,
}

impl Rest {
    /// Whether it is what this question asks for.
    pub fn serves(&self, ask: &Ask) -> bool {
        (self.session, self.follow, Begin::At(self.next)) == (ask.session, ask.follow, ask.begin)
    }
}

/// What came of a question.
pub(super) struct Done {
    /// Whether the answer showed something.
    pub shown: bool,
    pub rest: Option<Rest>,
}

/// Answers a question: with what is there, or as soon as there is something, or with
/// nothing when it has waited for long enough.
pub(super) async fn answer(
    host: Arc<Host>,
    me: HostIdentity,
    ask: Ask,
    rest: Option<Rest>,
    answered_at: Option<Instant>,
) -> Option<Done> {
    let rest = match rest {
        Some(rest) => rest,
        None => match open(&host, &ask).await {
            Ok(walk) => Rest { session: ask.session, follow: ask.follow, next: walk.from, left: None, walk },
            Err(error) => {
                let answer = match error.kind() {
                    ErrorKind::NotFound => Answer::NotFound,
                    _ => Answer::Failed(Chain(&error).to_string()),
                };
                tell(host, me, ask, answer).await;
                return None;
            }
        },
    };
    let (began, begun_at) = (Instant::now(), host.wall());
    // On a thread of its own: what is copied is nobody else's delay.
    let gathering = AbortOnDropHandle::new(tokio::spawn(async move {
        let most = (ask.most as usize).min(Page::MOST);
        let (page, rest) = gather(rest, ask.wait(), most, answered_at).await;
        let shown = !page.items.is_empty();
        let letter = letter(me, begun_at.plus(began.elapsed()), &ask, Answer::Shown(page));
        (letter, Done { shown, rest })
    }));
    let (letter, done) = gathering.await.ok()?;
    send(&host, letter).await;
    Some(done)
}

/// The console asked for; a disk that does not answer is not waited for.
async fn open(host: &Host, ask: &Ask) -> Result<Walk> {
    host.call("open a console", host.consoles.walk(ask.session, ask.begin, ask.follow)).await
}

async fn gather(
    mut rest: Rest,
    wait: Duration,
    most: usize,
    answered_at: Option<Instant>,
) -> (Page, Option<Rest>) {
    let began = Instant::now();
    let mut page = Page::new(rest.next, rest.walk.until);
    let mut room = most;
    let mut deadline = began + wait;
    let mut left = rest.left.take();
    while rest.left.is_none() && room > 0 {
        let step = match left.take() {
            Some(step) => Some(step),
            None => match timeout_at(deadline, rest.walk.steps.next()).await {
                Ok(step) => step,
                Err(_) => break,
            },
        };
        let Some((shown, next)) = step else {
            page.ended = true;
            return (page, None);
        };
        rest.left = page.add(shown, next, &mut room);
        // From now on only what comes in time to go with it.
        deadline = answered_at.map_or(began, |at| at + APART).min(began + wait);
    }
    rest.next = page.next;
    (page, Some(rest))
}

/// Answers with what needs no gathering.
pub(super) async fn tell(host: Arc<Host>, me: HostIdentity, ask: Ask, answer: Answer) {
    let letter = letter(me, host.wall(), &ask, answer);
    send(&host, letter).await;
}

fn letter(me: HostIdentity, at: Timestamp, ask: &Ask, answer: Answer) -> Result<Message, Unreadable> {
    let envelope = Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: at,
        not_after: None,
        server: me.server,
        epoch: me.epoch,
        generation: Generation::default(),
        sequence: 0,
        trace: None,
        body: Told { view: ask.view, question: ask.question, answer },
    };
    let (key, body) = (RoutingKey::logs(me.server, ask.replica), envelope.encode()?);
    Ok(Message { id: envelope.id, exchange: Exchange::Internal, key, class: Class::Telemetry, body })
}

/// Sends an answer, and does not care whether it arrives: who misses it asks again.
async fn send(host: &Host, letter: Result<Message, Unreadable>) {
    let message = match letter {
        Ok(message) => message,
        Err(why) => return host.warn_once("consoles", format!("what a console shows cannot be sent: {why}")),
    };
    if let Err(error) = host.call("tell what a console shows", host.broker.publish(message)).await {
        tracing::debug!(error = %Chain(&error), "what a console shows was not sent, and will be asked for again");
    }
}
