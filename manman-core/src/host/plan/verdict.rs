//! What an end is called: decided from what was asked and how it exited.

use super::{Cause, Ended, Memory};
use crate::{
    clock::Timestamp,
    error::{Chain, Error, ErrorKind},
    id::SessionId,
    model::{Reason, StopMode, Want, reason::ReasonCode},
    runtime::Exit,
    uplink::Desired,
    wire::{End, SessionReport},
};

/// What an end is called by what is wanted **now**: one that was seen before a stop was
/// asked for, and not yet on record, is `stopped` all the same, because the control plane
/// has the session as stopping by then.
pub fn verdict(cause: &Cause, want: Want) -> (End, Reason) {
    if let Want::Stop(mode) = want {
        return (End::Stopped, stopped(cause, mode));
    }
    let end = match cause {
        Cause::Exited(exit) if exit.code == 0 => End::Completed,
        Cause::Exited(_) | Cause::EngineRestart(_) | Cause::Gone => End::Crashed,
        Cause::Never(_) | Cause::NotStarted => End::Failed,
    };
    (end, because(cause))
}

/// The reason of an attempt that ended by itself.
pub fn because(cause: &Cause) -> Reason {
    match cause {
        Cause::Exited(exit) => of_exit(exit),
        Cause::EngineRestart(exit) => Reason::new(
            ReasonCode::EngineRestart,
            match exit.as_ref().and_then(Exit::known_code) {
                Some(code) => format!("ended with the engine (exit code {code})"),
                None => "ended with the engine".to_owned(),
            },
        ),
        Cause::Gone => Reason::new(
            ReasonCode::RemovedOutside,
            "its container or process record was removed by somebody else",
        ),
        Cause::Never(reason) => reason.clone(),
        Cause::NotStarted => Reason::new(ReasonCode::Asked, "stopped before it was started"),
    }
}

fn of_exit(exit: &Exit) -> Reason {
    let note = if exit.error.is_empty() { String::new() } else { format!(": {}", exit.error) };
    let code = exit.code;
    match code {
        Exit::UNKNOWN => Reason::new(ReasonCode::Exited, format!("ended with an unknown exit code{note}")),
        // 137 is what the kernel's killer leaves; with another code only a child was killed.
        137 if exit.out_of_memory => {
            Reason::new(ReasonCode::OutOfMemory, "killed by the kernel: out of memory (exit code 137)")
        }
        _ if exit.out_of_memory => Reason::new(
            ReasonCode::Exited,
            format!("exited with code {code}; something in it was killed for lack of memory{note}"),
        ),
        // Docker 20.10 does not tell of the memory when it hears of the exit first (measured: one
        // time in 25 on a busy machine).
        137 => Reason::new(
            ReasonCode::Killed,
            format!(
                "killed by signal 9 that manman did not send (exit code 137): by somebody, \
                 or by the kernel for lack of memory, which not every engine tells in time{note}"
            ),
        ),
        // 128 + n is how engines tell of signal n; 64 is the highest signal of Linux.
        129..=192 => Reason::new(
            ReasonCode::Killed,
            format!("killed by signal {} that manman did not send (exit code {code}){note}", code - 128),
        ),
        _ => Reason::new(ReasonCode::Exited, format!("exited with code {code}{note}")),
    }
}

fn stopped(cause: &Cause, mode: StopMode) -> Reason {
    let verb = match mode {
        StopMode::Graceful => "stopped",
        StopMode::Kill => "killed",
    };
    let text = match cause {
        Cause::Exited(exit) => match exit.known_code() {
            Some(code) => format!("{verb} as asked (exit code {code})"),
            None => format!("{verb} as asked ({})", exit.error),
        },
        Cause::EngineRestart(_) => format!("{verb} as asked; it ended with the engine"),
        Cause::Gone => {
            format!("{verb} as asked; its container or process record was removed by somebody else")
        }
        Cause::Never(reason) => format!("{verb} as asked while it could not start: {}", reason.text),
        Cause::NotStarted => format!("{verb} as asked before it was started"),
    };
    Reason::new(ReasonCode::Asked, text)
}

/// The report of an end.
pub fn ended(session: SessionId, desired: &Desired, memory: &Memory, ended: &Ended) -> SessionReport {
    let (end, reason) = verdict(&ended.cause, memory.want(desired));
    let exit = ended.cause.exit();
    SessionReport::Ended {
        session,
        attempt: ended.attempt,
        end,
        exit_code: exit.and_then(Exit::known_code),
        out_of_memory: exit.is_some_and(|exit| exit.out_of_memory),
        at: ended.at,
        reason,
        last_lines: ended.last_lines.clone(),
    }
}

/// The report of an attempt that ended and is followed by another one.
pub fn attempt_ended(session: SessionId, attempt: u32, cause: &Cause, asked: bool) -> SessionReport {
    let reason = match cause {
        Cause::Exited(exit) if asked => {
            let code = exit.known_code().map(|code| format!(" (exit code {code})")).unwrap_or_default();
            Reason::new(ReasonCode::Restarted, format!("ended to be restarted{code}"))
        }
        cause => because(cause),
    };
    SessionReport::AttemptEnded {
        session,
        attempt,
        exit_code: cause.exit().and_then(Exit::known_code),
        reason,
    }
}

/// When an attempt ended: as the engine says, unless it says a time that has not come.
pub fn ended_at(cause: &Cause, now: Timestamp) -> Timestamp {
    cause.exit().and_then(|exit| exit.at).filter(|&at| at <= now).unwrap_or(now)
}

/// Which part of a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPart {
    /// Writing down that it begins.
    Begin,
    /// Fetching the image.
    Pull,
    /// Making the directories.
    Prepare,
    /// Making the container.
    Create,
    /// Starting its process.
    Start,
}

/// Why a start cannot become what was asked, from the error that says so.
pub fn start_failure(part: StartPart, error: &Error) -> Reason {
    use ErrorKind::*;
    let code = match (part, error.kind()) {
        (StartPart::Pull, NotFound) | (StartPart::Create, NotFound) => ReasonCode::ImageNotFound,
        (StartPart::Begin | StartPart::Pull | StartPart::Prepare, Busy) => ReasonCode::DiskFull,
        // The journal lies in it.
        (StartPart::Begin, _) => ReasonCode::DataDirectory,
        (StartPart::Pull, _) => ReasonCode::ImagePullFailed,
        (_, Denied) => ReasonCode::Denied,
        (StartPart::Prepare, Invalid) => ReasonCode::EngineRefused,
        (StartPart::Prepare, _) => ReasonCode::DataDirectory,
        (StartPart::Start, Conflict) => ReasonCode::PortConflict,
        (StartPart::Start, Invalid | NotFound) => ReasonCode::CommandNotFound,
        _ => ReasonCode::EngineRefused,
    };
    Reason::new(code, Chain(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32, out_of_memory: bool) -> Cause {
        Cause::Exited(Exit { code, out_of_memory, at: None, error: String::new() })
    }

    const RUN: Want = Want::Run { restarts: 0 };

    #[test]
    fn an_end_is_named_by_intent_and_exit() {
        let stop = Want::Stop(StopMode::Graceful);
        let never = Cause::Never(Reason::new(ReasonCode::ImageNotFound, "no such image"));
        for (cause, want, end, code) in [
            (exit(0, false), RUN, End::Completed, ReasonCode::Exited),
            (exit(42, false), RUN, End::Crashed, ReasonCode::Exited),
            (exit(137, false), RUN, End::Crashed, ReasonCode::Killed),
            (exit(137, true), RUN, End::Crashed, ReasonCode::OutOfMemory),
            (exit(0, true), RUN, End::Completed, ReasonCode::Exited),
            (exit(Exit::UNKNOWN, false), RUN, End::Crashed, ReasonCode::Exited),
            (exit(0, false), stop, End::Stopped, ReasonCode::Asked),
            (exit(143, false), stop, End::Stopped, ReasonCode::Asked),
            (exit(137, false), Want::Stop(StopMode::Kill), End::Stopped, ReasonCode::Asked),
            (Cause::Gone, RUN, End::Crashed, ReasonCode::RemovedOutside),
            (Cause::Gone, stop, End::Stopped, ReasonCode::Asked),
            (Cause::EngineRestart(None), RUN, End::Crashed, ReasonCode::EngineRestart),
            (
                Cause::EngineRestart(Some(Exit {
                    code: 0,
                    out_of_memory: false,
                    at: None,
                    error: String::new(),
                })),
                RUN,
                End::Crashed,
                ReasonCode::EngineRestart,
            ),
            (never.clone(), RUN, End::Failed, ReasonCode::ImageNotFound),
            (never, stop, End::Stopped, ReasonCode::Asked),
            (Cause::NotStarted, stop, End::Stopped, ReasonCode::Asked),
        ] {
            let (got, reason) = verdict(&cause, want);
            assert_eq!((got, reason.code), (end, code), "{cause:?} {want:?}");
        }
    }

    #[test]
    fn a_start_that_failed_says_why() {
        let error = |kind| Error::new(kind, "start container", "port 25565/tcp is in use");
        for (part, kind, code) in [
            (StartPart::Begin, ErrorKind::Busy, ReasonCode::DiskFull),
            (StartPart::Begin, ErrorKind::Denied, ReasonCode::DataDirectory),
            (StartPart::Begin, ErrorKind::Unavailable, ReasonCode::DataDirectory),
            (StartPart::Pull, ErrorKind::NotFound, ReasonCode::ImageNotFound),
            (StartPart::Pull, ErrorKind::Denied, ReasonCode::ImagePullFailed),
            (StartPart::Prepare, ErrorKind::Busy, ReasonCode::DiskFull),
            (StartPart::Prepare, ErrorKind::Denied, ReasonCode::Denied),
            (StartPart::Prepare, ErrorKind::Conflict, ReasonCode::DataDirectory),
            (StartPart::Create, ErrorKind::Invalid, ReasonCode::EngineRefused),
            (StartPart::Start, ErrorKind::Conflict, ReasonCode::PortConflict),
            (StartPart::Start, ErrorKind::Invalid, ReasonCode::CommandNotFound),
        ] {
            let reason = start_failure(part, &error(kind));
            assert_eq!(reason.code, code, "{part:?} {kind:?}");
            assert!(reason.text.contains("port 25565/tcp is in use"));
        }
    }

    #[test]
    fn an_end_lies_not_in_the_future() {
        let mut cause = exit(0, false);
        let now = Timestamp::from_micros(100);
        for (at, told) in [(Some(40), 40), (Some(101), 100), (None, 100)] {
            if let Cause::Exited(exit) = &mut cause {
                exit.at = at.map(Timestamp::from_micros);
            }
            assert_eq!(ended_at(&cause, now), Timestamp::from_micros(told));
        }
    }
}
