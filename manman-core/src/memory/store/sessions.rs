//! Sessions and their one-shot commands.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;

use super::{
    MemoryStore,
    books::{Books, missing},
};
use crate::{
    clock::Timestamp,
    error::Result,
    id::{AttemptId, Generation, ServerId, SessionId, SgcId},
    model::{
        ConsoleLine, DeploymentStatus, Session, State,
        session::{Attempt, TimelineEntry},
    },
    store::{
        Actor, Applied, CommandRecord, CommandState, CommandStore, DeedError, IllegalReport, Page,
        RefusedReport, RefusedReports, SessionFilter, SessionStore, Source, StartOutcome, WantChange, Write,
        decide::{self, Wanted},
    },
    wire::{Command, OneShot, Outcome, SessionReport},
};

impl Books {
    pub(super) fn session(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).map(|held| held.session.clone())
    }

    pub(super) fn live_of(&self, server: ServerId) -> Vec<Session> {
        let mut live: Vec<Session> = self.live.values().filter_map(|id| self.session(*id)).collect();
        live.retain(|session| session.server == server);
        live.sort_by_key(|session| session.id);
        live
    }

    fn refuse(
        &mut self,
        source: Source,
        report: &SessionReport,
        why: IllegalReport,
        now: Timestamp,
    ) -> Applied {
        self.refused.total += 1;
        let refused = RefusedReport {
            at: now,
            source,
            session: report.session(),
            why: why.to_string(),
            report: serde_json::to_string(report).unwrap_or_default(),
        };
        self.refused.latest.push(refused);
        if self.refused.latest.len() > 2 * RefusedReports::KEPT {
            self.refused.latest.drain(..RefusedReports::KEPT);
        }
        Applied::Illegal(why)
    }

    fn report(&mut self, source: Source, report: &SessionReport, now: Timestamp) -> Result<Applied> {
        let current = self.servers.get(&source.server).map(|presence| presence.server.epoch);
        if decide::is_fenced(report, source, current) {
            return Ok(Applied::Fenced);
        }
        if !self.is_first(source, now) {
            return Ok(Applied::Duplicate);
        }
        let Some(held) =
            self.sessions.get_mut(&report.session()).filter(|held| held.session.server == source.server)
        else {
            let why = IllegalReport::NoSession { server: source.server, session: report.session() };
            return Ok(self.refuse(source, report, why, now));
        };
        if let SessionReport::Outcome { session, command, outcome } = report {
            let sent = self.commands.get_mut(command).filter(|it| {
                it.run.session == *session && it.server == source.server && it.state == CommandState::Sent
            });
            return Ok(match sent {
                Some(record) => {
                    record.state = CommandState::Settled(outcome.clone());
                    Applied::Changed
                }
                None => Applied::Same,
            });
        }
        if decide::is_outdated(report, source, held.last) {
            return Ok(Applied::Duplicate);
        }
        match decide::apply(&held.session, report, now) {
            Err(rejected) => Ok(self.refuse(source, report, rejected.into(), now)),
            Ok(mut change) => {
                held.last = held.last.max(Some((source.epoch, source.sequence)));
                let learnt = change.attempt.take().is_some_and(|attempt| held.learn(attempt));
                if change.session == held.session {
                    return Ok(if learnt { Applied::Changed } else { Applied::Same });
                }
                self.keep(change, None, now)?;
                Ok(Applied::Changed)
            }
        }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn session_start(
        &self,
        sgc: SgcId,
        valid_for: Duration,
        write: &Write,
    ) -> Result<StartOutcome, DeedError> {
        self.deed(|books, now| {
            if let Some(id) = books.recall(write, now)? {
                let session = books.session(id).ok_or_else(|| missing("session", id))?;
                return Ok(StartOutcome { session, repeated: true });
            }
            let deployment = books.deployments.get(&sgc).ok_or_else(|| missing("deployment", sgc))?;
            if deployment.status != DeploymentStatus::Active {
                return Err(DeedError::NotActive { sgc, status: deployment.status });
            }
            if let Some(held) = books.live.get(&sgc).and_then(|session| books.sessions.get(session)) {
                let session = &held.session;
                return Err(DeedError::SessionLive { session: session.id, sgc, state: session.state });
            }
            let id = SessionId(books.last.session + 1);
            let change = decide::begun(id, sgc, deployment.server, valid_for, &write.actor, now);
            let session = books.keep(change, Some(Command::Start { session: id }), now)?;
            books.last.session = id.0;
            books.latest.insert(sgc, id);
            books.sign(write, "session_start", format!("session {id}"), json!(id), now);
            Ok(StartOutcome { session, repeated: false })
        })
    }

    async fn session_want(
        &self,
        id: SessionId,
        change: WantChange,
        write: &Write,
    ) -> Result<Session, DeedError> {
        self.deed(|books, now| {
            let known = books.recall::<SessionId>(write, now)?.is_some();
            let session = books.session(id).ok_or_else(|| missing("session", id))?;
            if known {
                return Ok(session);
            }
            let never_left = books.outbox.never_left(session.server, id);
            let after = match decide::want(&session, change, never_left, &write.actor, now)? {
                Wanted::Already => session,
                Wanted::Told { change, hint } => books.keep(*change, Some(hint), now)?,
                Wanted::Withdrawn(change) => {
                    books.outbox.withdraw(session.server, id);
                    books.keep(*change, None, now)?
                }
            };
            books.sign(write, "session_want", format!("session {id}"), json!(id), now);
            Ok(after)
        })
    }

    async fn session_get(&self, id: SessionId) -> Result<Option<Session>> {
        Ok(self.read(|books| books.session(id)))
    }

    async fn session_list(&self, filter: SessionFilter, page: Page<SessionId>) -> Result<Vec<Session>> {
        Ok(self.read(|books| {
            let newest = books.sessions.values().rev().map(|held| &held.session);
            newest
                .filter(|session| {
                    page.after.is_none_or(|after| session.id < after)
                        && filter.sgc.is_none_or(|sgc| session.sgc == sgc)
                        && filter.server.is_none_or(|server| session.server == server)
                        && (filter.states.is_empty() || filter.states.contains(&session.state))
                })
                .take(page.limit)
                .cloned()
                .collect()
        }))
    }

    async fn session_hand_out(&self, server: ServerId) -> Result<Vec<Session>> {
        self.deed(|books, _| {
            let live = books.live_of(server);
            for session in live.iter().filter(|session| session.state == State::Pending) {
                books.outbox.hand_out(server, session.id);
            }
            Ok(live)
        })
    }

    async fn session_live_count(&self) -> Result<usize> {
        Ok(self.read(|books| books.live.len()))
    }

    async fn session_latest(&self, sgc: SgcId) -> Result<Option<Session>> {
        Ok(self.read(|books| books.latest.get(&sgc).and_then(|id| books.session(*id))))
    }

    async fn session_timeline(&self, id: SessionId) -> Result<Vec<TimelineEntry>> {
        Ok(self.read(|books| books.sessions.get(&id).map(|held| held.timeline.clone()).unwrap_or_default()))
    }

    async fn session_attempts(&self, id: SessionId) -> Result<Vec<Attempt>> {
        Ok(self.read(|books| {
            let held = books.sessions.get(&id);
            held.map(|held| held.attempts.values().cloned().collect()).unwrap_or_default()
        }))
    }

    async fn session_report(&self, source: Source, report: &SessionReport) -> Result<Applied> {
        self.deed(|books, now| books.report(source, report, now))
    }

    async fn session_refused(&self, limit: usize) -> Result<RefusedReports> {
        Ok(self.read(|books| RefusedReports {
            total: books.refused.total,
            latest: books.refused.latest.iter().rev().take(limit).cloned().collect(),
        }))
    }

    async fn session_expire(&self, grace: Duration) -> Result<Vec<SessionId>> {
        self.deed(|books, now| {
            let mut due: Vec<Session> = books.live.values().filter_map(|id| books.session(*id)).collect();
            due.retain(|it| it.state == State::Pending && it.not_after.plus(grace) <= now);
            due.sort_by_key(|session| session.id);
            let mut ended = Vec::new();
            for session in due {
                if let Some(change) = decide::expired(&session, now) {
                    books.outbox.withdraw(session.server, session.id);
                    ended.push(books.keep(change, None, now)?.id);
                }
            }
            Ok(ended)
        })
    }

    async fn session_receipts(&self, server: ServerId, ends: &[AttemptId]) -> Result<Vec<AttemptId>> {
        Ok(self.read(|books| {
            let on_record = |run: &AttemptId| {
                let held = books.sessions.get(&run.session);
                held.is_some_and(|held| held.session.server == server && held.session.state.is_end())
            };
            ends.iter().copied().filter(on_record).collect()
        }))
    }

    async fn session_high_water(&self) -> Result<i64> {
        Ok(self.read(|books| books.last.session))
    }

    async fn session_lift(&self, known: SessionId) -> Result<bool> {
        self.deed(|books, now| {
            let lifts = decide::lifts(books.last.session, known.0);
            if lifts {
                books.last.session = known.0;
                let object = format!("session {known}");
                books.sign(&Write::by(Actor::system()), "session_lift", object, json!(null), now);
            }
            Ok(lifts)
        })
    }

    async fn session_surpass(&self, server: ServerId, id: SessionId, known: Generation) -> Result<bool> {
        self.deed(|books, now| {
            let Some(change) = books.session(id).and_then(|it| decide::surpassing(&it, server, known, now))
            else {
                return Ok(false);
            };
            books.keep(change, None, now)?;
            let object = format!("session {id}");
            books.sign(&Write::by(Actor::system()), "session_surpass", object, json!(null), now);
            Ok(true)
        })
    }
}

#[async_trait]
impl CommandStore for MemoryStore {
    async fn command_input(
        &self,
        session: SessionId,
        line: &ConsoleLine,
        valid_for: Duration,
        write: &Write,
    ) -> Result<CommandRecord, DeedError> {
        self.deed(|books, now| {
            if let Some(id) = books.recall::<Uuid>(write, now)? {
                return books.commands.get(&id).cloned().ok_or_else(|| missing("command", id));
            }
            let target = books.session(session).ok_or_else(|| missing("session", session))?;
            if target.state != State::Running {
                return Err(DeedError::NotRunning { session, state: target.state });
            }
            let record = CommandRecord {
                id: books.uuid(now),
                run: AttemptId::new(session, target.attempt),
                server: target.server,
                not_after: now.plus(valid_for),
                state: CommandState::Sent,
            };
            let what =
                OneShot { id: record.id, run: record.run, not_after: record.not_after, what: line.clone() };
            let post = books.post(target.server, now);
            let message = post.one_shot(&record, target.generation, Command::Input(what))?;
            books.outbox.push(message, None, now);
            books.commands.insert(record.id, record.clone());
            books.sign(write, "command_input", format!("session {session}"), json!(record.id), now);
            Ok(record)
        })
    }

    async fn command_get(&self, id: Uuid) -> Result<Option<CommandRecord>> {
        Ok(self.read(|books| books.commands.get(&id).cloned()))
    }

    async fn command_settle(&self, id: Uuid, outcome: &Outcome) -> Result<()> {
        self.deed(|books, _| {
            if let Some(record) = books.commands.get_mut(&id).filter(|it| it.state == CommandState::Sent) {
                record.state = CommandState::Settled(outcome.clone());
            }
            Ok(())
        })
    }

    async fn command_expire(&self, grace: Duration) -> Result<Vec<Uuid>> {
        self.deed(|books, now| {
            let mut turned = Vec::new();
            for record in books.commands.values_mut() {
                if record.state == CommandState::Sent && record.not_after.plus(grace) <= now {
                    let nobody = "its host did not answer for it".to_owned();
                    record.state = CommandState::Settled(Outcome::Unknown(nobody));
                    turned.push(record.id);
                }
            }
            Ok(turned)
        })
    }
}
