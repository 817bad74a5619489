//! What a host has written down, as a whole and record by record.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    host::plan::Memory,
    id::{ClusterId, Epoch, ServerId, SessionId},
    model::SessionSpec,
    uplink::{Desired, HostIdentity},
};

/// How many forgotten sessions are known as such, so that an old word of them does not
/// begin them anew.
const FORGOTTEN_KEPT: usize = 4_096;

/// Who this host is, as it was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The installation.
    pub cluster: ClusterId,
    /// The machine.
    pub server: ServerId,
    /// Its registration.
    pub epoch: Epoch,
}

impl Identity {
    /// What every call to the control plane carries.
    pub fn host(&self) -> HostIdentity {
        HostIdentity { server: self.server, epoch: self.epoch }
    }
}

/// The engine and the machine as they were last seen, to notice that they were restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Tells this engine from every other one.
    pub engine: String,
    /// Tells this run of the engine from others; empty where that cannot be told.
    pub engine_boot: String,
    /// Whether games outlive a restart of it.
    #[serde(default)]
    pub survives_restart: bool,
    /// Tells this run of the machine from others; empty where that cannot be told.
    pub machine_boot: String,
}

/// What is written down of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What is wanted of it.
    pub desired: Desired,
    /// What is remembered of it.
    pub memory: Memory,
}

/// All that a host has written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Who it is.
    pub identity: Option<Identity>,
    /// What it stands on.
    pub ground: Ground,
    /// Its sessions.
    pub sessions: BTreeMap<SessionId, Entry>,
    /// One-shot commands that were seen, and until when that is to be known.
    pub commands: BTreeMap<Uuid, Timestamp>,
    /// Sessions that ended and of which nothing is left.
    pub forgotten: BTreeSet<SessionId>,
    /// Whether all that was wanted at some moment since it began is in it: what is given
    /// out after that begins here.
    pub caught_up: bool,
    /// No message has a sequence number above this one.
    pub sequence: i64,
}

/// A change of what is written down. Absolute: applied twice, it is applied once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    Identity(Identity),
    Ground(Ground),
    Session(Box<Entry>),
    Spec(Box<SessionSpec>),
    Forgotten(SessionId),
    Command { id: Uuid, until: Timestamp },
    Sequence(i64),
    CaughtUp {},
}

impl State {
    /// Makes the change.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Identity(identity) => self.identity = Some(identity),
            Record::Ground(ground) => self.ground = ground,
            Record::Session(mut entry) => {
                let id = entry.desired.session;
                if let Some(known) = self.sessions.remove(&id) {
                    entry.memory.spec = known.memory.spec;
                }
                self.sessions.insert(id, *entry);
            }
            Record::Spec(spec) => {
                if let Some(entry) = self.sessions.get_mut(&spec.session) {
                    entry.memory.spec = Some((*spec).into());
                }
            }
            Record::Forgotten(session) => {
                self.sessions.remove(&session);
                self.forgotten.insert(session);
                while self.forgotten.len() > FORGOTTEN_KEPT {
                    self.forgotten.pop_first();
                }
            }
            Record::Command { id, until } => drop(self.commands.insert(id, until)),
            Record::Sequence(sequence) => self.sequence = sequence,
            Record::CaughtUp {} => self.caught_up = true,
        }
    }

    /// The records that make it from nothing.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(self.identity.map(Record::Identity));
        if self.ground != Ground::default() {
            records.push(Record::Ground(self.ground.clone()));
        }
        records.extend(self.forgotten.iter().map(|&session| Record::Forgotten(session)));
        for entry in self.sessions.values() {
            records.push(Record::Session(Box::new(entry.clone())));
            records.extend(entry.memory.spec.as_ref().map(|spec| Record::Spec(Box::new((**spec).clone()))));
        }
        records.extend(self.commands.iter().map(|(&id, &until)| Record::Command { id, until }));
        records.push(Record::Sequence(self.sequence));
        records.extend(self.caught_up.then_some(Record::CaughtUp {}));
        records
    }
}
