//! Does single steps of plans.

mod start;
mod stop;

use std::{collections::BTreeMap, sync::Arc};

use super::{doors::Door, host::Host};
use crate::{
    error::{Error, ErrorKind, Result},
    host::{
        journal::{Entry, Written},
        plan::{Attempt, Stage, Step},
    },
    id::{AttemptId, SessionId},
    model::{Reason, SessionSpec},
    runtime::{AttemptState, Exit, ImageInfo},
};

/// What became of a step that was done.
#[derive(Debug)]
pub(super) enum Effect {
    Noted,
    Begun,
    Image(Option<ImageInfo>),
    Prepared,
    Created(u32),
    Started(u32),
    Exited(u32, Exit),
    Retired(u32),
    Removed(u32),
    NetworkGone,
    /// It is for a look to tell.
    Look,
}

/// Why a step was not done, as far as is known.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be later.
    Again(Error),
    /// The journal did not take what has to be written down before it; it may later.
    Unwritten(Error),
    /// The control plane does not say what it runs; it may later.
    NoSpec(Error),
    /// It never will.
    Never(Reason),
}

/// What a step is done with.
pub(super) struct Act {
    pub host: Arc<Host>,
    pub session: SessionId,
    pub door: Arc<Door>,
    pub entry: Entry,
    pub image: Option<Arc<ImageInfo>>,
    pub seen: BTreeMap<u32, AttemptState>,
}

type Done = Result<Effect, Trouble>;

/// Does one step.
pub(super) async fn act(act: Act, step: Step) -> Done {
    match step {
        Step::FetchSpec => act.fetch_spec().await,
        Step::Begin { attempt, restarts, first } => act.begin(attempt, restarts, first).await,
        Step::Serve { attempt, restarts } => {
            act.note(attempt, |known| known.restarts = restarts).await?;
            Ok(Effect::Noted)
        }
        Step::Pull => act.pull().await,
        Step::Prepare => act.prepare().await,
        Step::Create { attempt } => act.create(attempt).await,
        Step::Start { attempt } => act.start(attempt).await,
        Step::NoteRunning { attempt, started_at } => {
            // Not waited for: lost with us, it is seen again.
            drop(act.change(attempt, |known| {
                known.stage = Stage::Running;
                known.engine_lost = false;
                known.started_at = known.started_at.or(started_at).or(Some(act.host.wall()));
            }));
            Ok(Effect::Noted)
        }
        Step::Say { attempt, line, progress } => act.say(attempt, &line, progress).await,
        Step::Signal { attempt, grace, progress } => act.signal(attempt, grace, progress).await,
        Step::Kill { attempt } => act.kill(attempt).await,
        Step::Over { attempt, cause } => act.over(attempt, cause).await,
        Step::End { attempt, cause } => act.end(attempt, cause).await,
        Step::Retire { attempt } => act.retire(attempt).await,
        Step::Remove { attempt } => act.remove(attempt).await,
        Step::RemoveNetwork => {
            let host = &act.host;
            host.call("remove a network", host.runtime.remove_network(act.session))
                .await
                .map_err(Trouble::Again)?;
            Ok(Effect::NetworkGone)
        }
        Step::Forget => {
            // Before it is forgotten: without that mark, whoever follows the console later
            // waits for ever.
            let host = &act.host;
            host.call("note the end of a console", host.consoles.end(act.session))
                .await
                .map_err(Trouble::Again)?;
            // Lost with us, it is forgotten again.
            drop(host.journal.forget(act.session));
            Ok(Effect::Noted)
        }
        // The actor does it itself.
        Step::Cancel => Ok(Effect::Noted),
    }
}

impl Act {
    fn run(&self, attempt: u32) -> AttemptId {
        AttemptId::new(self.session, attempt)
    }

    fn spec(&self) -> Result<&SessionSpec, Trouble> {
        self.entry.memory.spec.as_deref().ok_or_else(|| {
            Trouble::Again(Error::new(
                ErrorKind::Unexpected,
                "start a session",
                "it is not known what it runs",
            ))
        })
    }

    fn change(&self, attempt: u32, change: impl FnOnce(&mut Attempt)) -> Written {
        self.host.journal.change(self.session, |entry| {
            if let Some(known) = entry.memory.attempts.get_mut(&attempt) {
                change(known);
            }
        })
    }

    /// Changes what is remembered of an attempt, before anything is done that hangs on it.
    async fn note(&self, attempt: u32, change: impl FnOnce(&mut Attempt)) -> Result<(), Trouble> {
        self.host.noted(self.change(attempt, change)).await.map_err(Trouble::Unwritten)
    }

    /// As [`Act::note`], for what is done all the same when the disk refuses or hangs: then it is
    /// remembered as long as we live, and beats say what is wrong.
    async fn note_if_possible(&self, attempt: u32, change: impl FnOnce(&mut Attempt)) {
        let _ = self.host.noted(self.change(attempt, change)).await;
    }
}
