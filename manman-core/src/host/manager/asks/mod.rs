//! Answers what other machines ask about consoles.
//!
//! Each viewer has a seat while it asks: at most one question is worked on for it, and what
//! it watches stays open between two questions. Nothing is sent that was not asked for, and
//! nothing here is waited for by a console, a command or a report.

mod questions;
mod work;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    future::{AbortHandle, BoxFuture, abortable},
    stream::FuturesUnordered,
};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use self::work::{Done, Rest};
use super::host::Host;
use crate::{
    broker::Message,
    wire::{Answer, Ask, Envelope},
};

/// How many questions are worked on at once, and how many of one replica.
const AT_ONCE: usize = 512;
const AT_ONCE_OF_ONE: usize = 256;

/// How many viewers have a seat at once.
const SEATS: usize = 1_024;

/// How long a viewer that does not ask keeps its seat.
const SEAT_KEPT: Duration = Duration::from_secs(30);

/// Answers until somebody else has taken our place, and not while we stand by.
pub(super) async fn run(host: Arc<Host>) {
    loop {
        host.may_take().await;
        let mut desk =
            Desk { host: host.clone(), seats: BTreeMap::new(), work: FuturesUnordered::new(), unreadable: 0 };
        tokio::select! {
            biased;
            () = host.fenced() => return,
            // The queue is left, for whoever the questions are for.
            () = host.refused() => {}
            () = desk.serve() => {}
        }
    }
}

struct Desk {
    host: Arc<Host>,
    seats: BTreeMap<Uuid, Seat>,
    work: FuturesUnordered<BoxFuture<'static, (Uuid, u64, Option<Done>)>>,
    /// How many questions were none.
    unreadable: u64,
}

/// Where one viewer sits.
struct Seat {
    replica: Uuid,
    /// The last question.
    question: u64,
    used_at: Instant,
    answered_at: Option<Instant>,
    /// The question that is worked on.
    working: Option<AbortHandle>,
    /// Where to go on, while none is.
    rest: Option<Rest>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(working) = &self.working {
            working.abort();
        }
    }
}

impl Desk {
    async fn serve(&mut self) {
        let mut questions = std::pin::pin!(questions::questions(self.host.clone()));
        let mut sweep_at = Instant::now() + SEAT_KEPT;
        loop {
            tokio::select! {
                biased;
                Some((view, question, done)) = self.work.next() => self.settle(view, question, done),
                Some(message) = questions.next() => self.take(&message),
                () = sleep_until(sweep_at) => {
                    sweep_at = Instant::now() + SEAT_KEPT;
                    self.seats.retain(|_, seat| seat.working.is_some() || seat.used_at.elapsed() < SEAT_KEPT);
                }
            }
        }
    }

    /// Begins to work on a question; one that cannot be read, or is for somebody else, is
    /// left unanswered.
    fn take(&mut self, message: &Message) {
        let Ok(me) = self.host.me() else { return };
        let envelope = match Envelope::<Ask>::decode(&message.body) {
            Ok(envelope) if [message.key.server(), Some(envelope.server)] == [Some(me.server); 2] => envelope,
            unread => {
                self.unreadable += 1;
                let why = unread.map_or_else(|why| why.to_string(), |_| "for another host".to_owned());
                tracing::debug!(count = self.unreadable, "a question about a console is none: {why}");
                let message = "questions about consoles come that cannot be read, and are not answered";
                return self.host.warn_once("consoles", message.to_owned());
            }
        };
        let ask = envelope.body;
        // Who knows of a registration after ours asks whoever has taken our place.
        if envelope.epoch > me.epoch
            || self.seats.get(&ask.view).is_some_and(|seat| seat.question >= ask.question)
        {
            return;
        }
        let old = self.seats.remove(&ask.view);
        let answered_at = old.as_ref().and_then(|seat| seat.answered_at);
        let rest = old.and_then(|mut seat| seat.rest.take()).filter(|rest| rest.serves(&ask));
        let busy = |of: Option<Uuid>| {
            let working = self.seats.values().filter(|seat| seat.working.is_some());
            working.filter(|seat| of.is_none_or(|replica| seat.replica == replica)).count()
        };
        if busy(None) >= AT_ONCE || busy(Some(ask.replica)) >= AT_ONCE_OF_ONE {
            // That it is not answered is said as long as saying so does not take long.
            if self.work.len() >= SEATS {
                return;
            }
            let told = work::tell(self.host.clone(), me, ask.clone(), Answer::Busy);
            return self.work.push(Box::pin(async move {
                told.await;
                (ask.view, ask.question, None)
            }));
        }
        self.make_room();
        let (view, replica, question) = (ask.view, ask.replica, ask.question);
        let (work, working) = abortable(work::answer(self.host.clone(), me, ask, rest, answered_at));
        self.work.push(Box::pin(async move { (view, question, work.await.ok().flatten()) }));
        let used_at = Instant::now();
        let seat = Seat { replica, question, used_at, answered_at, working: Some(working), rest: None };
        self.seats.insert(view, seat);
    }

    /// The viewer that has not asked for longest gives its seat to another one.
    fn make_room(&mut self) {
        if self.seats.len() < SEATS {
            return;
        }
        let idle = self.seats.iter().filter(|(_, seat)| seat.working.is_none());
        if let Some(view) = idle.min_by_key(|(_, seat)| seat.used_at).map(|(view, _)| *view) {
            self.seats.remove(&view);
        }
    }

    fn settle(&mut self, view: Uuid, question: u64, done: Option<Done>) {
        let Some(seat) = self.seats.get_mut(&view).filter(|seat| seat.question == question) else { return };
        let now = Instant::now();
        (seat.working, seat.used_at) = (None, now);
        if let Some(done) = done {
            seat.answered_at = done.shown.then_some(now).or(seat.answered_at);
            seat.rest = done.rest;
        }
    }
}
