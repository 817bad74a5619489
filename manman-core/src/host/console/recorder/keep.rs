//! Has what was taken kept, by a disk that may stall or refuse.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{Recorder, STALL, State, Trouble, locked};
use crate::{
    error::{Chain, Result},
    host::spool::Keeper,
};

/// How often a disk that refused is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The longest wait for the disk when a console is closed.
const PARTING: Duration = Duration::from_secs(5);

/// The most that is written at once.
const WRITE: usize = 1 << 20;

impl Recorder {
    /// Has what is not kept written, here or on a thread that may wait.
    pub(super) fn write(self: &Arc<Self>, state: &mut State) {
        let Some(mut keeper) = state.keeper.take() else { return };
        state.answered_at = Instant::now();
        if self.spool.blocks() {
            let recorder = self.clone();
            tokio::task::spawn_blocking(move || recorder.write_on(keeper));
            return;
        }
        let group = state.unkept.begin(usize::MAX);
        let done = keeper.append(&group);
        state.keeper = Some(keeper);
        self.written(state, done);
    }

    /// Writes until nothing is left or the disk refuses.
    fn write_on(self: Arc<Self>, mut keeper: Box<dyn Keeper>) {
        let mut group = locked(&self.state).unkept.begin(WRITE);
        loop {
            let done = keeper.append(&group);
            let mut state = locked(&self.state);
            self.written(&mut state, done);
            if state.released {
                return;
            }
            if state.trouble.is_some() || state.unkept.is_empty() {
                state.keeper = Some(keeper);
                return;
            }
            group = state.unkept.begin(WRITE);
        }
    }

    /// Shows what was kept, or, if it was not, all the same.
    fn written(&self, state: &mut State, done: Result<()>) {
        match done {
            Ok(()) => {
                state.answered_at = Instant::now();
                let given_up = std::mem::take(&mut state.given_up);
                if state.trouble.take().is_some() || given_up > 0 {
                    tracing::info!(session.id = %self.session,
                        "the console of session {} is kept again; given up: {given_up}", self.session);
                }
                self.show(state, state.unkept.begun());
                state.unkept.done();
                self.kept.replace(state.unkept.first().unwrap_or(state.next));
            }
            Err(error) => {
                state.unkept.failed();
                self.show(state, u64::MAX);
                let error = Chain(&error).to_string();
                let retry_at = Instant::now() + RETRY;
                if state.trouble.is_none() {
                    tracing::warn!(session.id = %self.session, %error,
                        "the console of session {} cannot be kept, it is shown all the same", self.session);
                }
                state.trouble = Some(Trouble { error, retry_at });
            }
        }
    }

    /// Looks after what is not kept yet; `false` if there is no such thing.
    pub(super) fn look(self: &Arc<Self>) -> bool {
        let mut state = locked(&self.state);
        let now = Instant::now();
        if state.unkept.oldest().is_some_and(|since| now >= since + STALL) {
            self.show(&mut state, u64::MAX);
        }
        if state.trouble.as_ref().is_none_or(|trouble| now >= trouble.retry_at) && !state.unkept.is_empty() {
            self.write(&mut state);
        }
        !state.unkept.is_empty()
    }

    /// Waits until all that was taken so far is kept, or the disk has refused for a while.
    pub(in crate::host::console) async fn settle(&self) {
        let next = locked(&self.state).next;
        let _ = timeout(PARTING, self.kept.watch().until(|kept| *kept >= next)).await;
    }

    /// Writes nothing any more: another one may take the session over.
    pub(in crate::host::console) fn release(&self) {
        let mut state = locked(&self.state);
        state.released = true;
        state.keeper = None;
    }

    /// What is wrong with keeping this console, for people.
    pub(in crate::host::console) fn warning(&self) -> Option<String> {
        let state = locked(&self.state);
        let waits = state.unkept.oldest()?.elapsed();
        let why = match &state.trouble {
            Some(trouble) => trouble.error.as_str(),
            None if waits > STALL && state.answered_at.elapsed() > STALL => "the disk does not answer",
            None => return None,
        };
        let lost = match state.given_up {
            0 => "nothing is lost yet".to_owned(),
            lost => format!("{lost} lines were shown and not kept"),
        };
        let seconds = waits.as_secs();
        Some(format!("the console of session {} waits {seconds} s for the disk: {why}; {lost}", self.session))
    }
}
