//! What to do next about a session: a pure function of what is wanted, what is, what is
//! remembered and the time.
//!
//! First start, recovery, restart by hand, stop, kill, expiry and clearing away are one
//! road. Whoever follows it does the steps in order as far as they succeed, looks again,
//! and asks again; doing only some of them, or dying between two, is no special case.

mod memory;
mod older;
mod road;
mod stop;
#[cfg(test)]
mod tests;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use memory::{Attempt, Cause, Ended, Memory, Stage, StopProgress};
pub use verdict::{StartPart, attempt_ended, because, ended, ended_at, start_failure, verdict};

use crate::{
    clock::Timestamp,
    model::{ConsoleLine, NetworkMode, Reason, StopMode, Want, reason::ReasonCode},
    runtime::AttemptState,
    uplink::Desired,
};

use older::Older;
use road::Road;

/// How long a kill may take before it is sent again.
pub const KILL_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The longest that a step which failed is held back. What is held for longer than that is so by
/// a clock that was set back meanwhile.
pub const HELD_AT_MOST: Duration = Duration::from_secs(5);

/// One thing to do about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Let go of what is being done: it is not wanted any more.
    Cancel,
    /// Ask the control plane what exactly it runs.
    FetchSpec,
    /// Take the number of the next attempt, on record before anything is made.
    Begin {
        /// The number.
        attempt: u32,
        /// How many restarts it answers.
        restarts: u32,
        /// Whether nothing was ever begun before it.
        first: bool,
    },
    /// Note that an attempt that is not started yet answers these restarts too.
    Serve {
        /// The attempt.
        attempt: u32,
        /// How many restarts it answers.
        restarts: u32,
    },
    /// Bring the image here.
    Pull,
    /// Make the directories.
    Prepare,
    /// Make the container.
    Create {
        /// The attempt.
        attempt: u32,
    },
    /// Open its console and start its process, noting the try before.
    Start {
        /// The attempt.
        attempt: u32,
    },
    /// Note that it was seen running.
    NoteRunning {
        /// The attempt.
        attempt: u32,
        /// When it was started, by the engine's clock.
        started_at: Option<Timestamp>,
    },
    /// Note `progress`, then write a command of the stop plan to its stdin.
    Say {
        /// The attempt.
        attempt: u32,
        /// The command.
        line: ConsoleLine,
        /// What to note.
        progress: StopProgress,
    },
    /// Note `progress`, then ask it to end by its signal, and kill it after `grace`.
    Signal {
        /// The attempt.
        attempt: u32,
        /// The time it has.
        grace: Duration,
        /// What to note; nothing where no end is awaited any more.
        progress: Option<StopProgress>,
    },
    /// Kill it.
    Kill {
        /// The attempt.
        attempt: u32,
    },
    /// Note that it has ended and that another one follows.
    Over {
        /// The attempt.
        attempt: u32,
        /// Why it is no more.
        cause: Cause,
    },
    /// Note that the session has ended.
    End {
        /// Its last attempt; 0 if there was none.
        attempt: u32,
        /// Why that is no more.
        cause: Cause,
    },
    /// Take the deployment's name from its container.
    Retire {
        /// The attempt.
        attempt: u32,
    },
    /// Remove its container.
    Remove {
        /// The attempt.
        attempt: u32,
    },
    /// Remove the session's own network.
    RemoveNetwork,
    /// Forget the session: nothing of it is left.
    Forget,
}

impl Step {
    /// What it is, for people: continues "could not …".
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "let go of what it was doing",
            Self::FetchSpec => "ask what it runs",
            Self::Begin { .. } => "begin an attempt",
            Self::Serve { .. } => "note a restart",
            Self::Pull => "pull its image",
            Self::Prepare => "make its directories",
            Self::Create { .. } => "create its container",
            Self::Start { .. } => "start its container",
            Self::NoteRunning { .. } => "note that it runs",
            Self::Say { .. } => "write a stop command",
            Self::Signal { .. } => "stop its container",
            Self::Kill { .. } => "kill its container",
            Self::Over { .. } => "note the end of an attempt",
            Self::End { .. } => "note its end",
            Self::Retire { .. } => "rename its container",
            Self::Remove { .. } => "remove its container",
            Self::RemoveNetwork => "remove its network",
            Self::Forget => "note that nothing of it is left",
        }
    }

    /// Whether it is the same deed, with other figures perhaps.
    fn is_again(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether it may be let go of halfway.
    fn can_be_cancelled(&self, memory: &Memory) -> bool {
        match self {
            Self::FetchSpec | Self::Pull | Self::Signal { .. } => true,
            // While somebody is asked whether it may begin; once noted, it is only on its
            // way to the disk.
            Self::Begin { attempt, .. } => memory.highest < *attempt,
            _ => false,
        }
    }
}

/// What is, as far as was looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// The session's containers by attempt; `None` if the engine did not answer.
    pub seen: Option<BTreeMap<u32, AttemptState>>,
    /// What this process is at, or found out, about it.
    pub work: Work,
}

/// What a process is at, or found out, about a session; gone with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// What is being done.
    pub busy: Option<Step>,
    /// A step that failed in a way that may pass, and when to do it again.
    pub held: Option<(Step, Timestamp)>,
    /// The current attempt was begun by this process, in time.
    pub begun: bool,
    /// Nobody has said yet what time it is: `now` is what the machine's clock shows, and may be
    /// hours off. Then no start is taken for expired, and none for in time.
    pub time_unknown: bool,
    /// Its image is here.
    pub image: bool,
    /// Its directories are made.
    pub prepared: bool,
    /// Why its start cannot become what was asked.
    pub failure: Option<Reason>,
    /// What held its start up at the last try.
    pub trouble: Option<Reason>,
    /// The control plane could not say what it runs.
    pub spec_refused: bool,
    /// Its own network is gone, or it has none.
    pub network_gone: bool,
    /// The attempts whose containers this process had give up the deployment's name. A backend
    /// may work around one that clings to it, and knows of that no longer than it lives.
    pub retired: BTreeSet<u32>,
    /// When it was last killed.
    pub killed_at: Option<Timestamp>,
}

/// What to do about a session, in order, and when to look again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub steps: Vec<Step>,
    /// When to plan again.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    fn of(steps: impl Into<Vec<Step>>) -> Self {
        Self { steps: steps.into(), wake_at: None }
    }

    fn at(wake_at: Timestamp) -> Self {
        Self { steps: Vec::new(), wake_at: Some(wake_at) }
    }
}

/// The steps that bring `actual` closer to `desired`, and when to look again. No I/O; the
/// same input, the same plan.
pub fn plan(desired: &Desired, actual: &Actual, memory: &Memory, now: Timestamp) -> Plan {
    let wanted = match &actual.seen {
        Some(seen) => decide(desired, seen, &actual.work, memory, now),
        None => blind(desired, &actual.work, memory, now),
    };
    within(wanted, &actual.work, memory, now)
}

/// What is still to be done while the engine does not answer: nothing is concluded from
/// its silence. What is certain without it goes on, and a kill is tried all the same.
fn blind(desired: &Desired, work: &Work, memory: &Memory, now: Timestamp) -> Plan {
    if memory.end.is_some() {
        return Plan::default();
    }
    let want = memory.want(desired);
    match (want, memory.current()) {
        (_, None) if memory.whole => without_attempt(desired, want, work, memory, now),
        // Made or not, no game of it lives; a container that is there all the same goes when
        // the engine is back.
        (Want::Stop(_), Some((attempt, _))) if memory.is_unstarted() => {
            Plan::of([Step::End { attempt, cause: Cause::NotStarted }])
        }
        (Want::Stop(StopMode::Kill), Some((number, attempt)))
            if matches!(attempt.stage, Stage::Starting | Stage::Running) =>
        {
            stop::kill(number, work, now)
        }
        _ => Plan::default(),
    }
}

/// Fits a plan to what is being done and what failed a moment ago.
fn within(plan: Plan, work: &Work, memory: &Memory, now: Timestamp) -> Plan {
    if let Some(busy) = &work.busy {
        let kill = plan.steps.iter().find(|step| matches!(step, Step::Kill { .. }));
        return match kill {
            Some(kill) if kill != busy => Plan::of([kill.clone()]),
            _ if busy.can_be_cancelled(memory) && !plan.steps.iter().any(|step| step.is_again(busy)) => {
                Plan { steps: [vec![Step::Cancel], plan.steps].concat(), ..plan }
            }
            _ => Plan { steps: Vec::new(), ..plan },
        };
    }
    match &work.held {
        Some((step, until))
            if now < *until
                && until.since(now) <= HELD_AT_MOST
                && plan.steps.first().is_some_and(|first| first.is_again(step)) =>
        {
            Plan::at(*until)
        }
        _ => plan,
    }
}

fn decide(
    desired: &Desired,
    seen: &BTreeMap<u32, AttemptState>,
    work: &Work,
    memory: &Memory,
    now: Timestamp,
) -> Plan {
    if let Some(end) = &memory.end {
        return after_end(end, seen, work, memory);
    }
    let older = Older::of(seen, work, memory);
    if older.alive.is_some() || !older.named.is_empty() {
        return match older.alive {
            Some(attempt) => stop::kill(attempt, work, now),
            None => Plan::of(older.named),
        };
    }
    let want = memory.want(desired);
    let mut plan = match memory.current() {
        None => without_attempt(desired, want, work, memory, now),
        Some((number, attempt)) => {
            let road = Road { desired, want, work, memory, now, number, attempt };
            road.plan(seen.get(&number))
        }
    };
    // Last, so that one that cannot be removed holds nothing up.
    plan.steps.extend(older.rest);
    plan
}

/// Nothing was begun, or nothing of it is remembered.
fn without_attempt(desired: &Desired, want: Want, work: &Work, memory: &Memory, now: Timestamp) -> Plan {
    let attempt = memory.highest.max(desired.attempt);
    let restarts = match want {
        Want::Stop(_) => return Plan::of([Step::End { attempt, cause: Cause::NotStarted }]),
        Want::Run { restarts } => restarts,
    };
    if let Some(reason) = &work.failure {
        return Plan::of([Step::End { attempt, cause: Cause::Never(reason.clone()) }]);
    }
    if memory.highest == 0 && work.time_unknown {
        return Plan::default();
    }
    if memory.highest == 0 && now > desired.not_after {
        let cause = match desired.attempt {
            0 => expired(work),
            // It was begun once, and neither the journal nor the engine knows of it any more.
            _ => Cause::Gone,
        };
        return Plan::of([Step::End { attempt, cause }]);
    }
    begin(attempt, restarts, memory)
}

fn begin(attempt: u32, restarts: u32, memory: &Memory) -> Plan {
    if memory.spec.is_none() {
        return Plan::of([Step::FetchSpec]);
    }
    Plan::of([Step::Begin { attempt: attempt.saturating_add(1), restarts, first: attempt == 0 }])
}

/// A start that came too late, or that something held up until it was too late.
fn expired(work: &Work) -> Cause {
    let text = "the start expired before this host could begin it";
    Cause::Never(match &work.trouble {
        Some(trouble) => Reason::new(ReasonCode::Expired, format!("{text}: {}", trouble.text)),
        None => Reason::new(ReasonCode::Expired, text),
    })
}

/// Clears away an ended session: its name at once, so that the next one can have it; the
/// rest when the end is on record.
fn after_end(end: &Ended, seen: &BTreeMap<u32, AttemptState>, work: &Work, memory: &Memory) -> Plan {
    let mut steps = Vec::new();
    for (&attempt, state) in seen {
        let retired = work.retired.contains(&attempt);
        match state {
            // A call whose outcome was not known worked after all.
            AttemptState::Running { .. } => {
                let grace = memory.spec.as_ref().map_or(Duration::from_secs(30), |spec| spec.stop.grace());
                steps.push(Step::Signal { attempt, grace, progress: None });
            }
            AttemptState::Created => steps.push(Step::Remove { attempt }),
            // First of all its name, which the next session may wait for.
            AttemptState::Exited(_) if !retired => steps.insert(0, Step::Retire { attempt }),
            AttemptState::Exited(_) | AttemptState::Removing if end.receipted => {
                steps.push(Step::Remove { attempt });
            }
            AttemptState::Exited(_) | AttemptState::Removing => {}
        }
    }
    if end.receipted && seen.is_empty() {
        let own = memory.spec.as_ref().is_none_or(|spec| spec.network == NetworkMode::Session);
        if own && !work.network_gone {
            steps.push(Step::RemoveNetwork);
        }
        steps.push(Step::Forget);
    }
    Plan::of(steps)
}
