//! What we see of ourselves through the engine: whether we run in one of its
//! containers, and where it sees the data directory.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bollard::models::{ContainerInspectResponse, Mount, MountType};
use manman_core::{
    error::{Error, ErrorKind, Result},
    machine::{DataDir, blocking},
};
use tokio::sync::OnceCell;

use crate::{
    client::Client,
    probe::Probes,
    translate::{is_absent, translate},
};

const OPERATION: &str = "find the data directory";

/// Where the engine sees the data directory. Asked once, then known.
#[derive(Debug)]
pub(crate) struct HostView {
    client: Arc<Client>,
    probes: Probes,
    data: DataDir,
    configured: Option<PathBuf>,
    own: OnceCell<Option<OwnContainer>>,
    proven: OnceCell<PathBuf>,
}

/// The container that we run in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnContainer {
    host_network: bool,
    /// Where the engine sees what is mounted where for us.
    mounts: Vec<(PathBuf, PathBuf)>,
}

impl HostView {
    pub(crate) fn new(
        client: Arc<Client>,
        probes: Probes,
        data: DataDir,
        configured: Option<PathBuf>,
    ) -> Self {
        Self { client, probes, data, configured, own: OnceCell::new(), proven: OnceCell::new() }
    }

    /// Whether ports of the machine are ports of ours.
    pub(crate) async fn shares_network(&self) -> Result<bool> {
        Ok(self.own().await?.as_ref().is_none_or(|own| own.host_network))
    }

    /// The data directory as the engine sees it, proven by an engine that accepts a
    /// directory of an unguessable name in it for a mount. `image` is one that is here;
    /// the container made from it is never started.
    pub(crate) async fn data_dir(&self, image: &str) -> Result<&Path> {
        let find = || async {
            let dir = self.resolve().await?;
            self.prove(&dir, image).await?;
            Ok::<_, Error>(dir)
        };
        Ok(self.proven.get_or_try_init(find).await?)
    }

    async fn resolve(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.configured {
            return Ok(dir.clone());
        }
        // Links on our side mean nothing on the engine's.
        let root = self.data.root().to_owned();
        let ours = blocking(OPERATION, move || Ok(fs::canonicalize(&root).unwrap_or(root))).await?;
        let Some(own) = self.own().await? else { return Ok(ours) };
        source_of(&own.mounts, &ours).ok_or_else(|| {
            let ours = ours.display();
            let message = format!(
                "{ours} is not mounted into the manager's container, so games cannot have directories in it: add the \
                 volume `/srv/manman:{ours}` to the manager"
            );
            Error::new(ErrorKind::Config, OPERATION, message)
        })
    }

    async fn own(&self) -> Result<&Option<OwnContainer>> {
        let look = || async {
            let Some(id) = blocking(OPERATION, || Ok(own_container_id())).await? else { return Ok(None) };
            let docker = self.client.docker(OPERATION).await?;
            match docker.inspect_container(&id, None).await {
                Ok(container) => Ok(Some(own_container(&container))),
                // A container of another engine than the one we drive.
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(translate(OPERATION, error)),
            }
        };
        self.own.get_or_try_init(look).await
    }

    async fn prove(&self, dir: &Path, image: &str) -> Result<()> {
        let data = self.data.clone();
        let nonce = blocking(OPERATION, move || data.nonce()).await?;
        let mount = Mount {
            typ: Some(MountType::BIND),
            source: Some(dir.join(&nonce.name).to_string_lossy().into_owned()),
            target: Some("/manman-probe".to_owned()),
            read_only: Some(true),
            ..Default::default()
        };
        match self.probes.create(OPERATION, image, vec![mount]).await {
            Ok(probe) => probe.remove(OPERATION).await,
            Err(error) if error.kind() != ErrorKind::Invalid => Err(error),
            Err(error) => {
                let (ours, theirs) = (self.data.root().display(), dir.display());
                let message = format!(
                    "the engine does not see the data directory {ours} as {theirs}: set HOST_DATA_DIR to the directory \
                     of the machine that is mounted at {ours}"
                );
                Err(Error::new(ErrorKind::Config, OPERATION, message).because(error))
            }
        }
    }
}

fn own_container(container: &ContainerInspectResponse) -> OwnContainer {
    let mode = container.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
    let mounts = container.mounts.iter().flatten();
    OwnContainer {
        host_network: mode == Some("host"),
        mounts: mounts
            .filter_map(|mount| Some((mount.destination.clone()?.into(), mount.source.clone()?.into())))
            .collect(),
    }
}

/// Where the engine sees `path`, by the innermost mount that holds it.
fn source_of(mounts: &[(PathBuf, PathBuf)], path: &Path) -> Option<PathBuf> {
    let holding =
        mounts.iter().filter_map(|(target, source)| Some((target, source, path.strip_prefix(target).ok()?)));
    let (_, source, rest) = holding.max_by_key(|(target, ..)| target.components().count())?;
    Some(if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) })
}

/// The engine's id of the container that we run in, as the kernel shows it.
fn own_container_id() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    id_in_mounts(&mounts)
}

/// Docker mounts `/etc/hostname` and its like from the container's own directory
/// (mountinfo in proc(5): column 4 is the source within its file system, column 5 the
/// place). Control groups do not tell: in a namespace of their own they all read `/`.
fn id_in_mounts(mountinfo: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let mut columns = line.split(' ').skip(3);
        let (source, place) = (columns.next()?, columns.next()?);
        if !["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&place) {
            return None;
        }
        let id = source.split_once("/containers/")?.1.split('/').next()?;
        (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_knows_itself_by_its_mounts() {
        let id = "4f".repeat(32);
        let inside = format!(
            "612 611 0:52 / / rw,relatime - overlay overlay rw\n\
             640 612 254:0 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(id_in_mounts(&inside), Some(id.clone()));
        // The engine's own machine shows the directories of all its containers.
        let outside = format!(
            "70 25 0:44 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n25 0 254:0 / / rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(id_in_mounts(&outside), None);
    }

    #[test]
    fn the_innermost_mount_tells_where_a_directory_is() {
        let mounts = [("/data", "/srv/manman"), ("/data/fast", "/mnt/ssd"), ("/database", "/x")]
            .map(|(target, source)| (PathBuf::from(target), PathBuf::from(source)));
        let find = |path: &str| source_of(&mounts, Path::new(path));
        assert_eq!(find("/data"), Some("/srv/manman".into()));
        assert_eq!(find("/data/a/b"), Some("/srv/manman/a/b".into()));
        assert_eq!(find("/data/fast/a"), Some("/mnt/ssd/a".into()));
        assert_eq!(find("/var/lib/manman"), None);
    }
}
