//! Whose report is next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, task::yield_now};

use crate::id::{Epoch, ServerId};

/// Lets several reports be applied at once, but those of one host one after the other, and
/// of those that were taken together the one first that was said first.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    hosts: BTreeMap<ServerId, Line>,
    /// Tells one report that was handed out twice from itself.
    number: u64,
}

/// The reports of a host that were taken.
#[derive(Debug, Default)]
struct Line {
    working: bool,
    waiting: BTreeSet<Place>,
}

/// Registration and sequence of a report, and its number here.
type Place = (Epoch, i64, u64);

/// A place in a line, until dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    server: ServerId,
    place: Place,
    working: bool,
}

impl Turns {
    /// Waits until it is the turn of the report that `server` said as its `sequence`-th.
    pub async fn of(&self, server: ServerId, epoch: Epoch, sequence: i64) -> Turn<'_> {
        let mut turn = self.wait(server, epoch, sequence);
        // An earlier one may have come in the same moment, and be seen after this one.
        yield_now().await;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change falls in between.
            changed.as_mut().enable();
            if turn.begins() {
                return turn;
            }
            changed.await;
        }
    }

    fn wait(&self, server: ServerId, epoch: Epoch, sequence: i64) -> Turn<'_> {
        let mut state = self.lock();
        state.number += 1;
        let place = (epoch, sequence, state.number);
        state.hosts.entry(server).or_default().waiting.insert(place);
        Turn { turns: self, server, place, working: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    fn begins(&mut self) -> bool {
        let mut state = self.turns.lock();
        let Some(line) = state.hosts.get_mut(&self.server) else { return false };
        if line.working || line.waiting.first() != Some(&self.place) {
            return false;
        }
        line.waiting.remove(&self.place);
        line.working = true;
        self.working = true;
        true
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        if let Some(line) = state.hosts.get_mut(&self.server) {
            match self.working {
                true => line.working = false,
                false => drop(line.waiting.remove(&self.place)),
            }
            if !line.working && line.waiting.is_empty() {
                state.hosts.remove(&self.server);
            }
        }
        drop(state);
        self.turns.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::{future::join_all, poll};

    use super::*;

    #[tokio::test]
    async fn what_was_taken_together_is_applied_as_it_was_said() {
        let turns = Turns::default();
        let applied = Mutex::new(Vec::new());
        let apply = |(server, sequence)| {
            let (turns, applied) = (&turns, &applied);
            async move {
                let turn = turns.of(ServerId(server), Epoch(1), sequence).await;
                yield_now().await;
                applied.lock().unwrap().push((server, sequence));
                drop(turn);
            }
        };
        join_all([(1, 3), (2, 1), (1, 1), (1, 2), (1, 2)].map(apply)).await;
        let of_first: Vec<_> = applied.lock().unwrap().iter().copied().filter(|it| it.0 == 1).collect();
        assert_eq!(of_first, [(1, 1), (1, 2), (1, 2), (1, 3)]);
        assert!(turns.lock().hosts.is_empty());
    }

    #[tokio::test]
    async fn hosts_do_not_wait_for_each_other_and_nobody_waits_for_one_who_went() {
        let turns = Turns::default();
        let first = turns.of(ServerId(1), Epoch(1), 1).await;
        turns.of(ServerId(2), Epoch(1), 1).await;
        let mut second = Box::pin(turns.of(ServerId(1), Epoch(1), 2));
        assert!(poll!(&mut second).is_pending());
        let mut third = Box::pin(turns.of(ServerId(1), Epoch(1), 3));
        assert!(poll!(&mut third).is_pending());
        drop(second);
        drop(first);
        third.await;
    }
}
