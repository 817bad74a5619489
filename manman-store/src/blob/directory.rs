//! Blobs as files beneath a directory.

use std::{
    fs,
    io::ErrorKind as IoKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use manman_core::error::{Error, ErrorKind, Result};
use opendal::{Operator, layers::TimeoutLayer, services::Fs};

use super::translate::{OPEN, Place};

/// Where files are until they are whole. No key begins with a dot.
const PASSING: &str = ".uploads";

/// How old a file there has to be to be nobody's: a put goes on writing to its own.
const NOBODYS: Duration = Duration::from_secs(24 * 3600);

/// A directory that answers no more (of a machine that is away) holds nobody for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes the directory, shows that it can be written, and clears away what was left there.
pub(super) async fn open(dir: PathBuf) -> Result<(Operator, Place)> {
    let place = Place::Directory(dir.clone());
    let passing = dir.join(PASSING);
    let made = passing.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&made)).await;
    let prepared =
        prepared.map_err(|error| Error::new(ErrorKind::Unexpected, OPEN, "it ended").because(error))?;
    prepared.map_err(|error| {
        let kind = match error.kind() {
            IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => ErrorKind::Denied,
            IoKind::StorageFull | IoKind::QuotaExceeded => ErrorKind::Unavailable,
            _ => ErrorKind::Config,
        };
        let message = format!("{} cannot be written; blobs need a directory of this user's", dir.display());
        Error::new(kind, OPEN, message).because(error)
    })?;
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::new(ErrorKind::Config, OPEN, format!("{} is no UTF-8", path.display())))
    };
    let builder = Fs::default().root(&text(&dir)?).atomic_write_dir(&text(&passing)?);
    let operator = Operator::new(builder).map_err(|error| place.failed(OPEN, None, error))?;
    Ok((operator.layer(TimeoutLayer::new().with_timeout(DEADLINE).with_io_timeout(DEADLINE)), place))
}

fn prepare(passing: &Path) -> std::io::Result<()> {
    // Worlds and configurations are the owner's alone.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(passing)?;
    // Its time is that of the file system, whose clock may be another machine's.
    let probe = tempfile(passing)?;
    let now = fs::metadata(&probe)?.modified()?;
    fs::remove_file(&probe)?;
    for entry in fs::read_dir(passing)? {
        let entry = entry?;
        // Another process may be at the same.
        let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        if now.duration_since(modified).is_ok_and(|age| age > NOBODYS) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != IoKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// A file of a name that nobody else has.
fn tempfile(dir: &Path) -> std::io::Result<PathBuf> {
    let path = dir.join(format!("probe-{}", uuid::Uuid::new_v4().simple()));
    fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    Ok(path)
}
