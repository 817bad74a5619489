//! Gets the demo game to where it can run: into an engine as an image, or onto the disk as
//! a program. Its bytes are part of this program.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use anyhow::Context as _;
use manman_core::{hex::Hex, model::ImageRef};
use manman_docker::{DockerConfig, import_image};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::image::{self, PROGRAM, WORLD};
use crate::{
    compose::{RuntimeKind, Say},
    config::UpConfig,
    files::remove_if_there,
};

/// The game, as `build.rs` compiles it.
static GAME: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/village"));

/// `yes` if it is linked statically, and so needs no file of an image but itself.
const STATIC: &str = env!("MANMAN_DEMO_STATIC");

/// What takes longer than this is said.
const SECOND: Duration = Duration::from_secs(1);

/// Images of the demo, by the digest of the game.
pub(super) const IMAGE: &str = "manman-demo";

/// Where the demo game is, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// In an engine.
    Image(ImageRef),
    /// On the disk of this machine, for a runtime of plain processes.
    Program(PathBuf),
}

impl Placed {
    /// What its config is called: another one for each version and each kind of place.
    pub(super) fn config_name(&self) -> String {
        match self {
            Self::Image(_) => format!("{IMAGE}-{}", digest()),
            Self::Program(_) => format!("{IMAGE}-program-{}", digest()),
        }
    }

    /// The image its config names.
    pub(super) fn image(&self) -> String {
        match self {
            Self::Image(image) => image.to_string(),
            Self::Program(_) => ImageRef::HOST.to_owned(),
        }
    }

    /// What is run. A plain process begins in the directory of its deployment, and so needs
    /// not be told where its world is.
    pub(super) fn entrypoint(&self) -> anyhow::Result<Vec<String>> {
        Ok(match self {
            Self::Image(_) => vec![PROGRAM.to_owned(), WORLD.to_owned()],
            Self::Program(path) => {
                let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
                vec![path.to_owned()]
            }
        })
    }
}

/// The version of the game, fit for a tag and a file name.
fn digest() -> String {
    Hex(&Sha256::digest(GAME)[..6]).to_string()
}

/// Gets the game to where `kind` runs it from.
///
/// # Errors
/// If it cannot be got there.
pub async fn place(config: &UpConfig, kind: RuntimeKind, say: &Say) -> anyhow::Result<Placed> {
    match kind {
        RuntimeKind::Docker => into_docker(config, say).await,
        RuntimeKind::Process => {
            let data_dir = config.machine.data_dir.clone();
            tokio::task::spawn_blocking(move || onto_disk(&data_dir)).await?
        }
    }
}

/// Imports the game into the engine of `config`, unless it is there.
///
/// # Errors
/// If the game of this build runs in no image, or the engine does not take it.
async fn into_docker(config: &UpConfig, say: &Say) -> anyhow::Result<Placed> {
    anyhow::ensure!(
        STATIC == "yes",
        "the demo game of this build needs shared libraries, which an image of it alone does not hold: \
         install the static C library (libc6-dev on Debian, glibc-static on Fedora), then \
         `cargo clean -p manman-bins` and build again",
    );
    let image: ImageRef = format!("{IMAGE}:{}", digest()).parse()?;
    let mut docker = DockerConfig::new(&config.machine.data_dir);
    docker.socket = config.machine.docker_socket.clone();
    let imported = {
        let mut import = pin!(import_image(&docker, &image, async || anyhow::Ok(image::tar(GAME)?.into())));
        match timeout(SECOND, &mut import).await {
            Ok(imported) => imported,
            Err(_) => {
                say("demo: the engine takes its image");
                import.await
            }
        }
    };
    imported.context("the engine does not take the demo; `--runtime process` runs it without one")?;
    Ok(Placed::Image(image))
}

/// Writes the game to `demo/village-{digest}` in `data_dir`, unless it is there. Does
/// blocking I/O.
///
/// What is there is held against the game byte by byte, and replaced whole if it differs.
///
/// # Errors
/// If it cannot be written.
fn onto_disk(data_dir: &Path) -> anyhow::Result<Placed> {
    let directory = data_dir.join("demo");
    let path = directory.join(format!("village-{}", digest()));
    write(&directory, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Placed::Program(path))
}

fn write(directory: &Path, path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    // The game need not run as whoever runs manman, whose umask may be a strict one.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    if is_whole(path) {
        return Ok(());
    }
    let beside = path.with_extension("new");
    remove_if_there(&beside)?;
    let mut file = File::options().write(true).create_new(true).mode(0o755).open(&beside)?;
    file.set_permissions(fs::Permissions::from_mode(0o755))?;
    file.write_all(GAME)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

/// Whether `path` is the game itself (no link to it) and anybody may run it.
fn is_whole(path: &Path) -> bool {
    let usual = path.symlink_metadata().is_ok_and(|it| {
        it.is_file() && it.len() == GAME.len() as u64 && it.permissions().mode() & 0o7777 == 0o755
    });
    usual && fs::read(path).is_ok_and(|bytes| bytes == GAME)
}

#[cfg(test)]
mod tests;
