//! Sessions and their timelines.

use manman_core::{
    id::{Generation, ServerId, SessionId, SgcId},
    model::{
        Invalid, Phase, Reason, Session, State, StopMode, Want,
        reason::ReasonCode,
        session::{Attempt, TimelineEntry},
    },
};

use super::{enum_in, enums, id, needed, timestamp_in, timestamp_out};
use crate::api::v1;

enums! {
    SessionState <=> State:
        Pending = State::Pending, Starting = State::Starting, Running = State::Running,
        Stopping = State::Stopping, Stopped = State::Stopped, Completed = State::Completed,
        Crashed = State::Crashed, Failed = State::Failed, Lost = State::Lost;
    SessionPhase <=> Phase:
        Accepted = Phase::Accepted, Pulling = Phase::Pulling, Installing = Phase::Installing,
        Preparing = Phase::Preparing, Creating = Phase::Creating, Booting = Phase::Booting,
        Backoff = Phase::Backoff;
    StopMode <=> StopMode: Graceful = StopMode::Graceful, Kill = StopMode::Kill;
}

/// A state said in a request.
pub(in crate::api) fn state_in(field: &str, number: i32) -> Result<State, Invalid> {
    enum_in::<v1::SessionState, _>(field, number)
}

/// A stop mode said in a request.
pub(in crate::api) fn mode_in(field: &str, number: i32) -> Result<StopMode, Invalid> {
    enum_in::<v1::StopMode, _>(field, number)
}

impl From<Want> for v1::Want {
    fn from(want: Want) -> Self {
        use v1::want::Want as Wire;
        Self {
            want: Some(match want {
                Want::Run { restarts } => Wire::RunRestarts(restarts),
                Want::Stop(mode) => Wire::Stop(v1::StopMode::from(mode).into()),
            }),
        }
    }
}

impl TryFrom<v1::Want> for Want {
    type Error = Invalid;

    fn try_from(want: v1::Want) -> Result<Self, Invalid> {
        use v1::want::Want as Wire;
        Ok(match needed("want", want.want)? {
            Wire::RunRestarts(restarts) => Self::Run { restarts },
            Wire::Stop(mode) => Self::Stop(mode_in("want.stop", mode)?),
        })
    }
}

fn phase_in(phase: Option<i32>) -> Result<Option<Phase>, Invalid> {
    phase.map(|phase| enum_in::<v1::SessionPhase, _>("phase", phase)).transpose()
}

fn phase_out(phase: Option<Phase>) -> Option<i32> {
    phase.map(|phase| v1::SessionPhase::from(phase).into())
}

fn reason_in(reason: Option<v1::Reason>) -> Reason {
    reason.map_or_else(|| Reason::new(ReasonCode::Other, ""), Into::into)
}

impl From<Session> for v1::Session {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.id.0,
            server_game_config_id: session.sgc.0,
            server_id: session.server.0,
            want: Some(session.want.into()),
            generation: session.generation.0,
            state: v1::SessionState::from(session.state).into(),
            phase: phase_out(session.phase),
            progress: session.progress,
            attempt: session.attempt,
            reason: Some(session.reason.into()),
            revision: session.revision,
            created_at: Some(timestamp_out(session.created_at)),
            not_after: Some(timestamp_out(session.not_after)),
            started_at: session.started_at.map(timestamp_out),
            ready_at: session.ready_at.map(timestamp_out),
            ended_at: session.ended_at.map(timestamp_out),
            exit_code: session.exit_code,
            out_of_memory: session.out_of_memory,
            last_lines: session.last_lines,
        }
    }
}

impl TryFrom<v1::Session> for Session {
    type Error = Invalid;

    fn try_from(session: v1::Session) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("session_id", session.session_id, SessionId)?,
            sgc: id("server_game_config_id", session.server_game_config_id, SgcId)?,
            server: id("server_id", session.server_id, ServerId)?,
            want: needed("want", session.want)?.try_into()?,
            generation: Generation(session.generation),
            state: state_in("state", session.state)?,
            phase: phase_in(session.phase)?,
            progress: session.progress,
            attempt: session.attempt,
            reason: reason_in(session.reason),
            revision: session.revision,
            created_at: timestamp_in(needed("created_at", session.created_at)?),
            not_after: timestamp_in(needed("not_after", session.not_after)?),
            started_at: session.started_at.map(timestamp_in),
            ready_at: session.ready_at.map(timestamp_in),
            ended_at: session.ended_at.map(timestamp_in),
            exit_code: session.exit_code,
            out_of_memory: session.out_of_memory,
            last_lines: session.last_lines,
        })
    }
}

impl From<TimelineEntry> for v1::TimelineEntry {
    fn from(entry: TimelineEntry) -> Self {
        Self {
            revision: entry.revision,
            at: Some(timestamp_out(entry.at)),
            state: v1::SessionState::from(entry.state).into(),
            phase: phase_out(entry.phase),
            attempt: entry.attempt,
            not_seen: entry.not_seen,
            reason: Some(entry.reason.into()),
        }
    }
}

impl TryFrom<v1::TimelineEntry> for TimelineEntry {
    type Error = Invalid;

    fn try_from(entry: v1::TimelineEntry) -> Result<Self, Invalid> {
        Ok(Self {
            revision: entry.revision,
            at: timestamp_in(needed("at", entry.at)?),
            state: state_in("state", entry.state)?,
            phase: phase_in(entry.phase)?,
            attempt: entry.attempt,
            not_seen: entry.not_seen,
            reason: reason_in(entry.reason),
        })
    }
}

impl From<Attempt> for v1::Attempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.number,
            image_digest: attempt.image_digest,
            spec_hash: attempt.spec_hash,
            manager_version: attempt.manager_version,
            started_at: attempt.started_at.map(timestamp_out),
            ended_at: attempt.ended_at.map(timestamp_out),
            exit_code: attempt.exit_code,
            reason: attempt.reason.map(Into::into),
        }
    }
}

impl TryFrom<v1::Attempt> for Attempt {
    type Error = Invalid;

    fn try_from(attempt: v1::Attempt) -> Result<Self, Invalid> {
        if attempt.attempt == 0 {
            return Err(Invalid::new("attempt", "is missing"));
        }
        Ok(Self {
            number: attempt.attempt,
            image_digest: attempt.image_digest,
            spec_hash: attempt.spec_hash,
            manager_version: attempt.manager_version,
            started_at: attempt.started_at.map(timestamp_in),
            ended_at: attempt.ended_at.map(timestamp_in),
            exit_code: attempt.exit_code,
            reason: attempt.reason.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_phase_has_its_number() {
        for &state in State::ALL {
            assert_eq!(state_in("state", v1::SessionState::from(state).into()), Ok(state));
        }
        for &phase in Phase::ALL {
            assert_eq!(phase_in(Some(v1::SessionPhase::from(phase).into())), Ok(Some(phase)));
        }
        assert_eq!(state_in("states[0]", 0).unwrap_err().field, "states[0]");
        assert_eq!(mode_in("mode", 99).unwrap_err().field, "mode");
    }
}
