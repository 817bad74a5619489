//! What is wanted, and what became of it: the same decisions as any store's.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    broker::Message,
    clock::Timestamp,
    id::{AttemptId, ConfigId, Epoch, Generation, ServerId, SessionId, SgcId},
    model::{
        ConfigBody, Deployment, DeploymentStatus, Labels, Name, PortBinding, PortNeed, Session, SessionSpec,
        session::Rejected,
    },
    store::{
        Actor, DeedError, Source, WantChange,
        decide::{self, Change, Post, Wanted},
    },
    uplink::{Desired, Known, Snapshot},
    wire::{Command, Envelope, ExternalEvent, Report, SessionReport},
};

/// What is wanted has no last moment: the program that wants it is there.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The most message ids that are remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug)]
struct Wish {
    session: Session,
    body: ConfigBody,
    deployment: Deployment,
    last: Option<(Epoch, i64)>,
}

#[derive(Debug)]
pub(super) struct Wishes {
    wishes: BTreeMap<SessionId, Wish>,
    unclaimed: BTreeSet<SessionId>,
    epoch: Epoch,
    last: SessionId,
    /// Generations begin here, above those of any earlier life.
    first: Generation,
    /// Ids of applied messages; version 7, so that the smallest is the oldest.
    applied: BTreeSet<Uuid>,
}

impl Wishes {
    /// Numbers begin with the time, so that they are above those of any earlier life.
    pub fn from(now: Timestamp) -> Self {
        let millis = now.as_micros().max(1_000) / 1_000;
        Self {
            wishes: BTreeMap::new(),
            unclaimed: BTreeSet::new(),
            epoch: Epoch(millis),
            last: SessionId(millis),
            first: Generation(millis),
            applied: BTreeSet::new(),
        }
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn register(&mut self) -> Epoch {
        self.epoch.0 += 1;
        self.epoch
    }

    pub fn run(
        &mut self,
        sgc: SgcId,
        body: ConfigBody,
        ports: Vec<PortBinding>,
        server: ServerId,
        now: Timestamp,
    ) -> Result<(SessionId, Message), DeedError> {
        let id = SessionId(self.last.0 + 1);
        let hint = self.adopt(id, sgc, body, ports, server, now)?;
        self.last = id;
        Ok((id, hint))
    }

    pub fn adopt(
        &mut self,
        id: SessionId,
        sgc: SgcId,
        body: ConfigBody,
        ports: Vec<PortBinding>,
        server: ServerId,
        now: Timestamp,
    ) -> Result<Message, DeedError> {
        body.validate()?;
        cover(&body.ports, &ports)?;
        let live = self.wishes.values().map(|wish| &wish.session);
        if let Some(held) = live.into_iter().find(|it| (it.sgc == sgc || it.id == id) && !it.state.is_end()) {
            return Err(DeedError::SessionLive { session: held.id, sgc, state: held.state });
        }
        let Change { mut session, .. } = decide::begun(id, sgc, server, NEVER, &Actor::system(), now);
        session.generation = self.first;
        let hint = self.post(&session, now).hint(Uuid::now_v7(), &session, Command::Start { session: id })?;
        let deployment = Deployment {
            id: sgc,
            name: name(sgc)?,
            server,
            config: ConfigId(sgc.0),
            ports,
            status: DeploymentStatus::Active,
            labels: Labels::new(),
            created_at: now,
        };
        self.unclaimed.remove(&id);
        self.wishes.insert(id, Wish { session, body, deployment, last: None });
        Ok(hint)
    }

    pub fn want(
        &mut self,
        id: SessionId,
        change: WantChange,
        now: Timestamp,
    ) -> Result<Option<Message>, DeedError> {
        let Some(wish) = self.wishes.get(&id) else {
            return Err(DeedError::NotFound { noun: "session", id: id.to_string() });
        };
        // Hints are not kept here, so the start may always have left.
        match decide::want(&wish.session, change, false, &Actor::system(), now)? {
            Wanted::Already => Ok(None),
            Wanted::Told { change, hint } => {
                let message = self.post(&change.session, now).hint(Uuid::now_v7(), &change.session, hint)?;
                self.keep(id, *change);
                Ok(Some(message))
            }
            Wanted::Withdrawn(change) => {
                self.keep(id, *change);
                Ok(None)
            }
        }
    }

    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.wishes.get(&id).map(|wish| &wish.session)
    }

    pub fn unclaimed(&self) -> Vec<SessionId> {
        self.unclaimed.iter().copied().collect()
    }

    pub fn forget(&mut self, id: SessionId) {
        if self.session(id).is_some_and(|session| session.state.is_end()) {
            self.wishes.remove(&id);
        }
    }

    pub fn spec(&self, id: SessionId, secret: &[u8]) -> Option<SessionSpec> {
        let wish = self.wishes.get(&id)?;
        Some(SessionSpec::render(id, &wish.deployment, &wish.body, secret))
    }

    pub fn snapshot(&mut self, known: &[Known], taken_at: Timestamp) -> Snapshot {
        for known in known {
            if let Some(wish) = self.wishes.get_mut(&known.session)
                && let Some(change) =
                    decide::surpassing(&wish.session, wish.session.server, known.generation, taken_at)
            {
                wish.session = change.session;
            }
        }
        let mut snapshot = Snapshot { taken_at, ..Snapshot::default() };
        let live = self.wishes.values().filter(|wish| !wish.session.state.is_end());
        snapshot.wanted.extend(live.map(|wish| Desired::of(&wish.session)));
        self.unclaimed.clear();
        for &Known { session: id, .. } in known {
            match self.session(id) {
                Some(session) if session.state.is_end() => snapshot.ended.push(id),
                Some(_) => {}
                // What is older than this life is left alone.
                None if self.is_forgotten(id) => snapshot.ended.push(id),
                None => {
                    self.unclaimed.insert(id);
                    snapshot.unknown.push(id);
                }
            }
        }
        snapshot
    }

    pub fn receipts(&self, ends: &[AttemptId]) -> Vec<AttemptId> {
        let ended = |run: &&AttemptId| match self.session(run.session) {
            Some(session) => session.state.is_end(),
            // The end of an older one is kept for whoever claims it.
            None => self.is_forgotten(run.session),
        };
        ends.iter().filter(ended).copied().collect()
    }

    /// Whether it was given out in this life and has ended since.
    fn is_forgotten(&self, id: SessionId) -> bool {
        self.session(id).is_none() && (self.first.0 + 1..=self.last.0).contains(&id.0)
    }

    pub fn apply(
        &mut self,
        envelope: &Envelope<Report>,
        report: &SessionReport,
        now: Timestamp,
    ) -> Result<Vec<ExternalEvent>, Rejected> {
        let id = report.session();
        let Some(wish) = self.wishes.get(&id).filter(|_| envelope.epoch == self.epoch) else {
            return Ok(Vec::new());
        };
        let source = Source {
            message: envelope.id,
            server: envelope.server,
            epoch: envelope.epoch,
            sequence: envelope.sequence,
        };
        if decide::is_outdated(report, source, wish.last) || !self.applied.insert(envelope.id) {
            return Ok(Vec::new());
        }
        if self.applied.len() > REMEMBERED {
            self.applied.pop_first();
        }
        let change = decide::apply(&wish.session, report, now)?;
        if let Some(wish) = self.wishes.get_mut(&id) {
            wish.last = wish.last.max(Some((source.epoch, source.sequence)));
        }
        Ok(self.keep(id, change))
    }

    fn keep(&mut self, id: SessionId, change: Change) -> Vec<ExternalEvent> {
        if let Some(wish) = self.wishes.get_mut(&id) {
            wish.session = change.session;
        }
        change.events
    }

    fn post(&self, session: &Session, now: Timestamp) -> Post {
        Post { server: session.server, epoch: self.epoch, now }
    }
}

fn name(sgc: SgcId) -> Result<Name, DeedError> {
    Ok(format!("game-{sgc}").parse()?)
}

/// Each port that is needed is bound once, and no other is.
fn cover(needs: &[PortNeed], ports: &[PortBinding]) -> Result<(), DeedError> {
    let bound = ports.iter().map(|it| PortNeed { container_port: it.container_port, protocol: it.protocol });
    let mut bound: Vec<_> = bound.collect();
    let mut needs = needs.to_vec();
    bound.sort();
    needs.sort();
    if bound == needs {
        return Ok(());
    }
    let list = |ports: &[PortNeed]| {
        ports.iter().map(|it| format!("{}/{}", it.container_port, it.protocol)).collect::<Vec<_>>().join(", ")
    };
    Err(DeedError::PortsDiffer(format!("needed: {}; bound: {}", list(&needs), list(&bound))))
}
