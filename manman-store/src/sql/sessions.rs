//! Sessions.

use std::time::Duration;

use async_trait::async_trait;
use manman_core::{
    clock::Timestamp,
    error::Result,
    id::{AttemptId, Generation, ServerId, SessionId, SgcId},
    model::{
        DeploymentStatus, Session, State,
        session::{Attempt, TimelineEntry},
    },
    store::{
        Actor, Applied, DeedError, Page, RefusedReports, SessionFilter, SessionStore, Source, StartOutcome,
        WantChange, Write,
        decide::{self, Change, Wanted},
    },
    wire::{Command, SessionReport},
};
use serde_json::json;
use sqlx::QueryBuilder;

use super::{
    SqlStore,
    deed::{Deed, Scope, missing},
    dialect::{self, Db},
    map::{self, Columns, limit},
    store::Query,
};

const LIVE_OF: &str = "SELECT * FROM sessions WHERE server_id = $1
    AND state IN ('pending', 'starting', 'running', 'stopping', 'lost') ORDER BY id";

impl Deed<'_> {
    pub(super) async fn session(&mut self, id: SessionId) -> Result<Session, DeedError> {
        let query = sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id.0);
        let row = self.row(query).await?.ok_or_else(|| missing("session", id))?;
        Ok(map::session(&row)?)
    }

    pub(super) async fn live_of(&mut self, server: ServerId) -> Result<Vec<Session>> {
        self.rows(sqlx::query(LIVE_OF).bind(server.0)).await?.iter().map(map::session).collect()
    }

    /// Writes a new session; `None` if the slot of its deployment is held.
    async fn add(&mut self, mut change: Change) -> Result<Option<Session>> {
        let sql = "INSERT INTO sessions (sgc_id, server_id, created_at, not_after, want, generation, state,
                phase, progress, attempt, reason, revision, started_at, ready_at, ended_at, exit_code,
                out_of_memory, last_lines)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
            ON CONFLICT DO NOTHING RETURNING id";
        let session = &change.session;
        let query = sqlx::query(sql)
            .bind(session.sgc.0)
            .bind(session.server.0)
            .bind(session.created_at.as_micros())
            .bind(session.not_after.as_micros());
        let Some(id) = self.insert(bind_seen(query, session)?).await? else { return Ok(None) };
        change.session.id = SessionId(id);
        let hint = Command::Start { session: change.session.id };
        self.tell(&change, Some(hint)).await?;
        Ok(Some(change.session))
    }

    /// Writes what `change` made of a session, tells other systems, and hints to its host.
    pub(super) async fn keep(&mut self, change: Change, hint: Option<Command>) -> Result<Session> {
        let sql = "UPDATE sessions SET want = $1, generation = $2, state = $3, phase = $4, progress = $5,
                attempt = $6, reason = $7, revision = $8, started_at = $9, ready_at = $10, ended_at = $11,
                exit_code = $12, out_of_memory = $13, last_lines = $14
            WHERE id = $15";
        let query = bind_seen(sqlx::query(sql), &change.session)?.bind(change.session.id.0);
        self.run(query).await?;
        self.tell(&change, hint).await?;
        Ok(change.session)
    }

    async fn tell(&mut self, change: &Change, hint: Option<Command>) -> Result<()> {
        let session = &change.session;
        for entry in &change.entries {
            let sql = "INSERT INTO session_timeline
                    (session_id, revision, at, state, phase, attempt, not_seen, reason)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            let query = sqlx::query(sql)
                .bind(session.id.0)
                .bind(entry.revision)
                .bind(entry.at.as_micros())
                .bind(entry.state.as_str())
                .bind(entry.phase.map(|phase| phase.as_str()))
                .bind(i64::from(entry.attempt))
                .bind(entry.not_seen)
                .bind(map::json(&entry.reason)?);
            self.run(query).await?;
        }
        if hint.is_none() && change.events.is_empty() {
            return Ok(());
        }
        let post = self.postal(session.server).await?;
        if let Some(hint) = hint {
            let message = post.hint(self.uuid(), session, hint)?;
            self.post(message, Some(session.id));
        }
        for event in &change.events {
            let message = post.event(self.uuid(), event)?;
            self.post(message, None);
        }
        Ok(())
    }

    /// Whether hints for this session wait and none of them was ever handed to a relay.
    async fn never_left(&mut self, id: SessionId) -> Result<bool> {
        // None leaves from here on, until this deed is done.
        self.hold_outbox().await?;
        let sql = "SELECT count(*) AS hints, count(*) FILTER (WHERE has_left) AS gone
            FROM outbox WHERE hints = $1";
        match self.row(sqlx::query(sql).bind(id.0)).await? {
            Some(row) => Ok(row.int("hints")? > 0 && row.int("gone")? == 0),
            None => Ok(false),
        }
    }
}

/// What is wanted and seen of a session, in the order that both statements name it.
fn bind_seen<'q>(query: Query<'q>, session: &Session) -> Result<Query<'q>> {
    Ok(query
        .bind(map::json(&session.want)?)
        .bind(session.generation.0)
        .bind(session.state.as_str())
        .bind(session.phase.map(|phase| phase.as_str()))
        .bind(session.progress.clone())
        .bind(i64::from(session.attempt))
        .bind(map::json(&session.reason)?)
        .bind(session.revision)
        .bind(session.started_at.map(Timestamp::as_micros))
        .bind(session.ready_at.map(Timestamp::as_micros))
        .bind(session.ended_at.map(Timestamp::as_micros))
        .bind(session.exit_code)
        .bind(session.out_of_memory)
        .bind(map::json(&session.last_lines)?))
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn session_start(
        &self,
        sgc: SgcId,
        valid_for: Duration,
        write: &Write,
    ) -> Result<StartOutcome, DeedError> {
        again!(async {
            let mut deed = self.deed("session_start", Scope::Deployment(sgc)).await?;
            if let Some(id) = deed.recall(write).await? {
                let session = deed.session(id).await?;
                return Ok(StartOutcome { session, repeated: true });
            }
            let deployment = deed.deployment(sgc).await?;
            if deployment.status != DeploymentStatus::Active {
                return Err(DeedError::NotActive { sgc, status: deployment.status });
            }
            // The index decides; a look before spares an id, which is used up by trying.
            if let Some(live) = deed.slot_holder(sgc).await? {
                return Err(live);
            }
            let server = deployment.server;
            let change = decide::begun(SessionId(0), sgc, server, valid_for, &write.actor, deed.now);
            let Some(session) = deed.add(change).await? else {
                return Err(deed.slot_holder(sgc).await?.unwrap_or_else(|| missing("deployment", sgc)));
            };
            deed.sign(write, format!("session {}", session.id), json!(session.id)).await?;
            deed.commit().await?;
            Ok(StartOutcome { session, repeated: false })
        })
    }

    async fn session_want(
        &self,
        id: SessionId,
        change: WantChange,
        write: &Write,
    ) -> Result<Session, DeedError> {
        again!(async {
            let mut deed = self.deed("session_want", Scope::Session(id)).await?;
            let known = deed.recall::<SessionId>(write).await?.is_some();
            let session = deed.session(id).await?;
            if known {
                return Ok(session);
            }
            let never_left = deed.never_left(id).await?;
            let after = match decide::want(&session, change, never_left, &write.actor, deed.now)? {
                Wanted::Already => session,
                Wanted::Told { change, hint } => deed.keep(*change, Some(hint)).await?,
                Wanted::Withdrawn(change) => {
                    deed.withdraw(id).await?;
                    deed.keep(*change, None).await?
                }
            };
            deed.sign(write, format!("session {id}"), json!(id)).await?;
            deed.commit().await?;
            Ok(after)
        })
    }

    async fn session_get(&self, id: SessionId) -> Result<Option<Session>> {
        let query = sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id.0);
        self.row("session_get", query).await?.as_ref().map(map::session).transpose()
    }

    async fn session_list(&self, filter: SessionFilter, page: Page<SessionId>) -> Result<Vec<Session>> {
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM sessions WHERE id < ");
        query.push_bind(page.after.map_or(i64::MAX, |id| id.0));
        if let Some(sgc) = filter.sgc {
            query.push(" AND sgc_id = ").push_bind(sgc.0);
        }
        if let Some(server) = filter.server {
            query.push(" AND server_id = ").push_bind(server.0);
        }
        if !filter.states.is_empty() {
            query.push(" AND state IN (");
            let mut states = query.separated(", ");
            for state in &filter.states {
                states.push_bind(state.as_str());
            }
            query.push(")");
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit(page.limit));
        self.rows("session_list", query.build()).await?.iter().map(map::session).collect()
    }

    async fn session_hand_out(&self, server: ServerId) -> Result<Vec<Session>> {
        let rows = self.rows("session_hand_out", sqlx::query(LIVE_OF).bind(server.0)).await?;
        let live = rows.iter().map(map::session).collect::<Result<Vec<_>>>()?;
        // Nearly always none is pending, and then nothing is locked.
        if live.iter().all(|session| session.state != State::Pending) {
            return Ok(live);
        }
        again!(async {
            let mut deed = self.deed("session_hand_out", Scope::Server(server)).await?;
            deed.hold_outbox().await?;
            let rows = deed.rows(sqlx::query(LIVE_OF).bind(server.0)).await?;
            let live = rows.iter().map(map::session).collect::<Result<Vec<_>>>()?;
            for session in live.iter().filter(|session| session.state == State::Pending) {
                let sql = "UPDATE outbox SET has_left = TRUE WHERE hints = $1 AND NOT has_left";
                deed.run(sqlx::query(sql).bind(session.id.0)).await?;
            }
            deed.commit().await?;
            Ok(live)
        })
    }

    async fn session_live_count(&self) -> Result<usize> {
        let sql = "SELECT count(*) AS live FROM sessions
            WHERE state IN ('pending', 'starting', 'running', 'stopping', 'lost')";
        self.row("session_live_count", sqlx::query(sql)).await?.map_or(Ok(0), |row| row.small("live"))
    }

    async fn session_latest(&self, sgc: SgcId) -> Result<Option<Session>> {
        let query = sqlx::query("SELECT * FROM sessions WHERE sgc_id = $1 ORDER BY id DESC LIMIT 1");
        let row = self.row("session_latest", query.bind(sgc.0)).await?;
        row.as_ref().map(map::session).transpose()
    }

    async fn session_timeline(&self, id: SessionId) -> Result<Vec<TimelineEntry>> {
        let query = sqlx::query("SELECT * FROM session_timeline WHERE session_id = $1 ORDER BY revision");
        let rows = self.rows("session_timeline", query.bind(id.0)).await?;
        rows.iter().map(map::timeline_entry).collect()
    }

    async fn session_attempts(&self, id: SessionId) -> Result<Vec<Attempt>> {
        let query = sqlx::query("SELECT * FROM session_attempts WHERE session_id = $1 ORDER BY attempt");
        let rows = self.rows("session_attempts", query.bind(id.0)).await?;
        rows.iter().map(map::attempt).collect()
    }

    async fn session_report(&self, source: Source, report: &SessionReport) -> Result<Applied> {
        again!(async {
            let mut deed = self.deed("session_report", Scope::Server(source.server)).await?;
            let applied = deed.report(source, report).await?;
            if !matches!(applied, Applied::Fenced) {
                deed.commit().await?;
            }
            Ok(applied)
        })
    }

    async fn session_refused(&self, most: usize) -> Result<RefusedReports> {
        let query = sqlx::query("SELECT refused FROM installation");
        let total = self.row("session_refused", query).await?.map_or(Ok(0), |row| row.int("refused"))?;
        let query = sqlx::query("SELECT * FROM refused_reports ORDER BY id DESC LIMIT $1").bind(limit(most));
        let rows = self.rows("session_refused", query).await?;
        Ok(RefusedReports { total, latest: rows.iter().map(map::refused_report).collect::<Result<_>>()? })
    }

    async fn session_expire(&self, grace: Duration) -> Result<Vec<SessionId>> {
        again!(async {
            // Nearly always nothing has expired, and then nothing is locked.
            let sql = "SELECT * FROM sessions WHERE state = 'pending' AND not_after <= $1 ORDER BY not_after";
            let due = |now: Timestamp| sqlx::query(sql).bind(now.minus(grace).as_micros());
            if self.rows("session_expire", due(self.moment().await?)).await?.is_empty() {
                return Ok(Vec::new());
            }
            let mut deed = self.deed("session_expire", Scope::All).await?;
            let mut ended = Vec::new();
            for row in deed.rows(due(deed.now)).await? {
                let session = map::session(&row)?;
                if let Some(change) = decide::expired(&session, deed.now) {
                    deed.withdraw(session.id).await?;
                    ended.push(deed.keep(change, None).await?.id);
                }
            }
            deed.commit().await?;
            Ok(ended)
        })
    }

    async fn session_receipts(&self, server: ServerId, ends: &[AttemptId]) -> Result<Vec<AttemptId>> {
        let mut on_record = Vec::new();
        let sql = "SELECT 1 FROM sessions WHERE id = $1 AND server_id = $2
            AND state IN ('stopped', 'completed', 'crashed', 'failed')";
        for run in ends {
            let query = sqlx::query(sql).bind(run.session.0).bind(server.0);
            if self.row("session_receipts", query).await?.is_some() {
                on_record.push(*run);
            }
        }
        Ok(on_record)
    }

    async fn session_lift(&self, known: SessionId) -> Result<bool> {
        again!(async {
            let mut deed = self.deed("session_lift", Scope::All).await?;
            let row = deed.row(sqlx::query(dialect::HIGHEST_SESSION)).await?;
            if !decide::lifts(row.map_or(Ok(0), |row| row.int("highest"))?, known.0) {
                return Ok(false);
            }
            deed.count_on("sessions", known.0).await?;
            deed.sign(&Write::by(Actor::system()), format!("session {known}"), json!(null)).await?;
            deed.commit().await?;
            Ok(true)
        })
    }

    async fn session_surpass(&self, server: ServerId, id: SessionId, known: Generation) -> Result<bool> {
        again!(async {
            let mut deed = self.deed("session_surpass", Scope::Session(id)).await?;
            let row = deed.row(sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id.0)).await?;
            let session = row.as_ref().map(map::session).transpose()?;
            let Some(change) = session.and_then(|it| decide::surpassing(&it, server, known, deed.now)) else {
                return Ok(false);
            };
            deed.keep(change, None).await?;
            deed.sign(&Write::by(Actor::system()), format!("session {id}"), json!(null)).await?;
            deed.commit().await?;
            Ok(true)
        })
    }

    async fn session_high_water(&self) -> Result<i64> {
        let query = sqlx::query(dialect::HIGHEST_SESSION);
        self.row("session_high_water", query).await?.map_or(Ok(0), |row| row.int("highest"))
    }
}
