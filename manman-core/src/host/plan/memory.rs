//! What a host remembers of a session: journaled, so the same after a crash.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    model::{Reason, SessionSpec, StopMode, Want},
    runtime::Exit,
    uplink::Desired,
};

/// What a host remembers of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What exactly it runs; absent until the control plane was asked. Large and never
    /// changed, so it is journaled by itself.
    #[serde(skip)]
    pub spec: Option<Arc<SessionSpec>>,
    /// The attempts whose containers may still be here, by number.
    pub attempts: BTreeMap<u32, Attempt>,
    /// The highest attempt ever begun; 0 before the first.
    pub highest: u32,
    /// How it ended, until that is on record and everything of it is gone.
    pub end: Option<Ended>,
    /// It was given out after this journal began: nothing of it can be here that is not
    /// remembered.
    pub whole: bool,
    /// The control plane has it as ended, or not at all: what runs of it is stopped and
    /// nothing more is said of it.
    pub disowned: bool,
}

impl Memory {
    /// The attempt that counts: the highest one begun, while it is remembered.
    pub fn current(&self) -> Option<(u32, &Attempt)> {
        self.attempts.get(&self.highest).map(|attempt| (self.highest, attempt))
    }

    /// What is wanted, once it is known whose session it is.
    pub fn want(&self, desired: &Desired) -> Want {
        match desired.want {
            Want::Run { .. } if self.disowned => Want::Stop(StopMode::Graceful),
            want => want,
        }
    }

    /// Whether no game of its current attempt, nor of one before, can live: that one was
    /// never started, and those were seen to end.
    pub fn is_unstarted(&self) -> bool {
        let ended = |attempt: &Attempt| match &attempt.stage {
            Stage::Over { cause, .. } => cause.exit().is_some(),
            _ => false,
        };
        self.current().is_some_and(|(_, attempt)| attempt.stage == Stage::Begun)
            && self.attempts.range(..self.highest).all(|(_, attempt)| ended(attempt))
    }

    /// Whether a game of it is taken to run.
    pub fn is_running(&self) -> bool {
        self.end.is_none() && self.current().is_some_and(|(_, attempt)| attempt.stage == Stage::Running)
    }
}

/// What a host remembers of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// How many restarts had been asked for when it began: more than that ask for the next one.
    pub restarts: u32,
    /// Whether nothing of the session was ever begun before it, so that its start may expire.
    pub first: bool,
    /// How far it came.
    pub stage: Stage,
    /// How far stopping it came.
    #[serde(default)]
    pub stop: Option<StopProgress>,
    /// Whether the engine went away since it was last seen alive, and takes games with it.
    #[serde(default)]
    pub engine_lost: bool,
    /// Whether the deployment's name was taken from its container.
    #[serde(default)]
    pub retired: bool,
    /// The digest of its image, where that is known.
    #[serde(default)]
    pub image_digest: String,
    /// When its game started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
}

impl Attempt {
    /// One that was just begun.
    pub fn begun(restarts: u32, first: bool) -> Self {
        Self {
            restarts,
            first,
            stage: Stage::Begun,
            stop: None,
            engine_lost: false,
            retired: false,
            image_digest: String::new(),
            started_at: None,
        }
    }

    /// One that was found at the engine and not in the journal. It counts as started, so
    /// that it is never created a second time.
    pub fn found(restarts: u32) -> Self {
        Self { stage: Stage::Starting, ..Self::begun(restarts, false) }
    }
}

/// How far an attempt came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its number is taken. There may be a container; its game has not been started.
    Begun,
    /// Its game may have been started.
    Starting,
    /// Its game was seen running.
    Running,
    /// It has ended and another one follows.
    Over {
        /// How it ended.
        cause: Cause,
        /// Whether the control plane has that.
        #[serde(rename = "said")]
        receipted: bool,
    },
}

/// How far stopping an attempt came. Written down before it is done, so that a command
/// is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopProgress {
    /// This command of the stop plan was given.
    Said {
        /// Its place in the plan, from 0.
        index: u32,
        /// When.
        at: Timestamp,
    },
    /// The signal was sent.
    Signalled {
        /// When its grace began.
        at: Timestamp,
        /// How many graces it was given.
        tries: u32,
    },
}

/// Why an attempt is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its game ended.
    Exited(Exit),
    /// It ended with the engine.
    EngineRestart(Option<Exit>),
    /// Its container was removed by somebody else.
    Gone,
    /// It could not become what was asked.
    Never(Reason),
    /// It was to be stopped before it was started.
    NotStarted,
}

impl Cause {
    /// The exit, if there was one.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited(exit) | Self::EngineRestart(Some(exit)) => Some(exit),
            _ => None,
        }
    }
}

/// How a session ended, kept until it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its last attempt; 0 if there was none.
    pub attempt: u32,
    /// Why that one is no more.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
    /// Its last console lines.
    pub last_lines: Vec<String>,
    /// Whether the control plane has it.
    pub receipted: bool,
}
