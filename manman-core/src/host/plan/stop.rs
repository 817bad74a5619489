//! Stopping a live attempt: the commands of its plan with their waits, the signal with
//! its grace, the kill.

use std::time::Duration;

use super::{KILL_AGAIN_AFTER, Memory, Plan, Step, StopProgress, Work};
use crate::{clock::Timestamp, model::StopPlan};

/// How many whole graces a game is given before it is killed by us: normally the engine
/// does that after the first.
const MAX_SIGNALS: u32 = 3;

/// The next step of a stop as its plan says.
pub(super) fn graceful(
    attempt: u32,
    progress: Option<StopProgress>,
    memory: &Memory,
    work: &Work,
    now: Timestamp,
) -> Plan {
    let default;
    let plan: &StopPlan = match &memory.spec {
        Some(spec) => &spec.stop,
        None if !work.spec_refused => return Plan::of([Step::FetchSpec]),
        None => {
            default = StopPlan::default();
            &default
        }
    };
    match progress {
        None => say_or_signal(attempt, 0, plan, now),
        Some(StopProgress::Said { index, at }) => {
            let wait = plan.steps.get(index as usize).map_or(Duration::ZERO, |step| step.wait());
            let due = at.plus(wait);
            // A clock that was set back does not make the wait longer than it is.
            if now < due && at <= now {
                return Plan::at(due);
            }
            say_or_signal(attempt, index.saturating_add(1), plan, now)
        }
        Some(StopProgress::Signalled { tries, .. }) if tries >= MAX_SIGNALS => kill(attempt, work, now),
        Some(StopProgress::Signalled { at, tries }) => {
            // Whoever sent it is gone, perhaps before it was sent: a game that is killed
            // without having been asked loses what it would have saved.
            let elapsed = now.since(at);
            let grace = plan.grace();
            Plan::of([match grace.checked_sub(elapsed).filter(|left| !left.is_zero()) {
                Some(left) => Step::Signal {
                    attempt,
                    grace: left,
                    progress: Some(StopProgress::Signalled { at, tries }),
                },
                None => Step::Signal {
                    attempt,
                    grace,
                    progress: Some(StopProgress::Signalled { at: now, tries: tries + 1 }),
                },
            }])
        }
    }
}

fn say_or_signal(attempt: u32, index: u32, plan: &StopPlan, now: Timestamp) -> Plan {
    Plan::of([match plan.steps.get(index as usize) {
        Some(step) => {
            Step::Say { attempt, line: step.command.clone(), progress: StopProgress::Said { index, at: now } }
        }
        None => Step::Signal {
            attempt,
            grace: plan.grace(),
            progress: Some(StopProgress::Signalled { at: now, tries: 1 }),
        },
    }])
}

/// Kills, and again when that was long ago.
pub(super) fn kill(attempt: u32, work: &Work, now: Timestamp) -> Plan {
    match work.killed_at {
        // One that lies in the future was sent before the clock was set back.
        Some(at) if at <= now && now < at.plus(KILL_AGAIN_AFTER) => Plan::at(at.plus(KILL_AGAIN_AFTER)),
        _ => Plan::of([Step::Kill { attempt }]),
    }
}
