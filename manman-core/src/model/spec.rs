//! What exactly a session runs: rendered by the control plane, kept by the host.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    CapProfile, ConfigBody, ConsolePolicy, ContainerPath, Deployment, ImageRef, Labels, Limits, NetworkMode,
    PortBinding, StopPlan, Volume, config::EngineLog,
};
use crate::{
    hex::Hex,
    id::{SessionId, SgcId},
};

/// Everything a host needs to run a session, also when the control plane is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// The session.
    pub session: SessionId,
    /// Its deployment.
    pub sgc: SgcId,
    /// The image to run.
    pub image: ImageRef,
    /// Replaces the image's entrypoint unless empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's command unless empty.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Where the game sees its data directory.
    pub data_path: ContainerPath,
    /// Further directories.
    pub volumes: Vec<Volume>,
    /// Ports of the machine bound to ports inside.
    pub ports: Vec<PortBinding>,
    /// How it is stopped.
    pub stop: StopPlan,
    /// What it may use.
    pub limits: Limits,
    /// The kernel capabilities it keeps.
    pub capabilities: CapProfile,
    /// `uid` or `uid:gid`; the image's if absent.
    pub user: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Its network.
    pub network: NetworkMode,
    /// What is promised of its console.
    pub console: ConsolePolicy,
    /// The engine's log of it.
    pub log: EngineLog,
    /// Free labels of config and deployment, for whoever embeds us.
    pub labels: Labels,
    /// A digest of all the above but `session`, keyed with the cluster's secret, so
    /// that a label can carry it without telling what a password hashes to.
    pub hash: String,
}

impl SessionSpec {
    /// What `session` of `deployment` runs by `body`; `secret` is the cluster's.
    pub fn render(session: SessionId, deployment: &Deployment, body: &ConfigBody, secret: &[u8]) -> Self {
        let mut labels = body.labels.clone();
        labels.extend(deployment.labels.clone());
        let mut spec = Self {
            session,
            sgc: deployment.id,
            image: body.image.clone(),
            entrypoint: body.entrypoint.clone(),
            command: body.command.clone(),
            env: body.env_template.clone(),
            data_path: body.data_path.clone(),
            volumes: body.volumes.clone(),
            ports: deployment.ports.clone(),
            stop: body.stop.clone(),
            limits: body.limits.clone(),
            capabilities: body.capabilities,
            user: body.user.clone(),
            tty: body.tty,
            network: body.network.clone(),
            console: body.console,
            log: body.log.clone(),
            labels,
            hash: String::new(),
        };
        spec.hash = spec.keyed_hash(secret);
        spec
    }

    fn keyed_hash(&self, secret: &[u8]) -> String {
        let mut bare = self.clone();
        bare.session = SessionId(0);
        bare.hash.clear();
        // Maps are ordered and fields come in declaration order, so equal specs give equal bytes.
        let bytes = serde_json::to_vec(&bare).expect("a spec has text keys, and so a JSON form");
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(&bytes);
        Hex(&mac.finalize().into_bytes()[..16]).to_string()
    }
}
