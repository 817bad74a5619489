//! What hosts report of their sessions.

use manman_core::{
    clock::Timestamp,
    error::Result,
    id::SessionId,
    model::session::Attempt,
    store::{Applied, IllegalReport, RefusedReports, Source, decide},
    wire::SessionReport,
};

use super::{deed::Deed, map};

impl Deed<'_> {
    /// Applies a report; the caller commits.
    pub(super) async fn report(&mut self, source: Source, report: &SessionReport) -> Result<Applied> {
        if decide::is_fenced(report, source, self.epoch_of(source.server).await?) {
            return Ok(Applied::Fenced);
        }
        if !self.is_first(source).await? {
            return Ok(Applied::Duplicate);
        }
        let id = report.session();
        let query = sqlx::query("SELECT * FROM sessions WHERE id = $1 AND server_id = $2");
        let Some(row) = self.row(query.bind(id.0).bind(source.server.0)).await? else {
            let why = IllegalReport::NoSession { server: source.server, session: id };
            return self.refuse(source, report, why).await;
        };
        if let SessionReport::Outcome { session, command, outcome } = report {
            let sql = "UPDATE commands SET outcome = $1
                WHERE id = $2 AND session_id = $3 AND server_id = $4 AND outcome IS NULL";
            let query = sqlx::query(sql)
                .bind(map::json(outcome)?)
                .bind(command.to_string())
                .bind(session.0)
                .bind(source.server.0);
            let settled = self.run(query).await? > 0;
            return Ok(if settled { Applied::Changed } else { Applied::Same });
        }
        let session = map::session(&row)?;
        let last = map::last_report(&row)?;
        if decide::is_outdated(report, source, last) {
            return Ok(Applied::Duplicate);
        }
        let change = match decide::apply(&session, report, self.now) {
            Ok(change) => change,
            Err(rejected) => return self.refuse(source, report, rejected.into()).await,
        };
        // An end stands, down to the last column.
        let this = (source.epoch, source.sequence);
        if !session.state.is_end() && last.is_none_or(|last| last < this) {
            let query = sqlx::query("UPDATE sessions SET last_epoch = $1, last_sequence = $2 WHERE id = $3");
            self.run(query.bind(source.epoch.0).bind(source.sequence).bind(id.0)).await?;
        }
        let learnt = match &change.attempt {
            Some(attempt) => self.learn(id, attempt).await?,
            None => false,
        };
        if change.session == session {
            return Ok(if learnt { Applied::Changed } else { Applied::Same });
        }
        self.keep(change, None).await?;
        Ok(Applied::Changed)
    }

    /// Adds what was learnt of an attempt; `false` if it was known.
    async fn learn(&mut self, session: SessionId, attempt: &Attempt) -> Result<bool> {
        let number = i64::from(attempt.number);
        let query = sqlx::query("SELECT * FROM session_attempts WHERE session_id = $1 AND attempt = $2");
        let row = self.row(query.bind(session.0).bind(number)).await?;
        let before = row.as_ref().map(map::attempt).transpose()?;
        let after = before.clone().unwrap_or_else(|| Attempt::new(attempt.number)).or(attempt.clone());
        if before.as_ref() == Some(&after) {
            return Ok(false);
        }
        let sql = "INSERT INTO session_attempts
                (session_id, attempt, image_digest, spec_hash, manager_version, started_at, ended_at,
                exit_code, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (session_id, attempt) DO UPDATE SET image_digest = excluded.image_digest,
                spec_hash = excluded.spec_hash, manager_version = excluded.manager_version,
                started_at = excluded.started_at, ended_at = excluded.ended_at,
                exit_code = excluded.exit_code, reason = excluded.reason";
        let query = sqlx::query(sql)
            .bind(session.0)
            .bind(number)
            .bind(after.image_digest)
            .bind(after.spec_hash)
            .bind(after.manager_version)
            .bind(after.started_at.map(Timestamp::as_micros))
            .bind(after.ended_at.map(Timestamp::as_micros))
            .bind(after.exit_code)
            .bind(after.reason.as_ref().map(map::json).transpose()?);
        self.run(query).await?;
        Ok(true)
    }

    /// Counts and keeps what cannot be applied.
    async fn refuse(
        &mut self,
        source: Source,
        report: &SessionReport,
        why: IllegalReport,
    ) -> Result<Applied> {
        self.run(sqlx::query("UPDATE installation SET refused = refused + 1")).await?;
        let sql = "INSERT INTO refused_reports
                (at, message, server_id, epoch, sequence, session_id, why, report)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let query = sqlx::query(sql)
            .bind(self.now.as_micros())
            .bind(source.message.to_string())
            .bind(source.server.0)
            .bind(source.epoch.0)
            .bind(source.sequence)
            .bind(report.session().0)
            .bind(why.to_string())
            .bind(map::json(report)?);
        self.run(query).await?;
        // One comes, one goes: what hosts send must not fill the disk.
        let sql = "DELETE FROM refused_reports WHERE id <= (SELECT max(id) FROM refused_reports) - $1";
        self.run(sqlx::query(sql).bind(map::limit(RefusedReports::KEPT))).await?;
        Ok(Applied::Illegal(why))
    }
}
