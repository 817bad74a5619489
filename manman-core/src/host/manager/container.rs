//! What an attempt's container is made from.

use crate::{
    clock::Timestamp,
    id::AttemptId,
    model::{NetworkMode, RunAs, SessionSpec},
    runtime::{ContainerSpec, ImageInfo, Mount, NetworkSpec},
};

/// The container of `attempt` of a session.
pub(super) fn container(spec: &SessionSpec, attempt: u32, created_at: Timestamp) -> ContainerSpec {
    let data = Mount { source: None, target: spec.data_path.clone(), read_only: false };
    let volumes = spec.volumes.iter().map(|volume| Mount {
        source: Some(volume.name.clone()),
        target: volume.container_path.clone(),
        read_only: volume.read_only,
    });
    ContainerSpec {
        run: AttemptId::new(spec.session, attempt),
        sgc: spec.sgc,
        image: spec.image.clone(),
        entrypoint: spec.entrypoint.clone(),
        command: spec.command.clone(),
        env: spec.env.clone(),
        mounts: std::iter::once(data).chain(volumes).collect(),
        ports: spec.ports.clone(),
        network: match &spec.network {
            NetworkMode::Session => NetworkSpec::Session,
            NetworkMode::Shared(name) => NetworkSpec::Shared(name.clone()),
        },
        limits: spec.limits.clone(),
        capabilities: spec.capabilities,
        user: spec.user.clone(),
        tty: spec.tty,
        stop_signal: spec.stop.signal,
        log: spec.log.clone(),
        spec_hash: spec.hash.clone(),
        created_at,
    }
}

/// Whom its directories belong to: the user of the spec, else of the image; `None` where
/// that cannot be told.
pub(super) fn user(spec: &SessionSpec, image: Option<&ImageInfo>) -> Option<(u32, u32)> {
    match &spec.user {
        Some(user) => {
            let user: RunAs = user.parse().ok()?;
            Some((user.uid, user.gid.unwrap_or(0)))
        }
        None => {
            let image = image?;
            Some((image.uid?, image.gid.unwrap_or(0)))
        }
    }
}
