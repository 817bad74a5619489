//! Whose a deployment's directory is, written beside it where no game reaches.

use std::{
    fs,
    io::{self, Read, Write},
};

use crate::{
    error::{Error, ErrorKind, Result},
    id::{ClusterId, SgcId},
};
use rustix::{
    fd::BorrowedFd,
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{
    DataDir, OPERATION,
    place::{failed, open_dir},
};

/// Whose a directory is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    cluster: ClusterId,
    sgc: SgcId,
}

fn marker_name(name: &str) -> String {
    format!("{name}.manman.json")
}

impl DataDir {
    /// Makes sure that the deployment's directory is ours: says so where nobody did.
    pub(super) fn claim(&self, root: BorrowedFd<'_>, name: &str, sgc: SgcId) -> Result<()> {
        // Somebody else may claim it between our look and our deed; then we look again.
        for _ in 0..2 {
            if let Some(marker) = self.read_marker(root, name)? {
                return self.check_marker(name, &marker);
            }
            if self.write_marker(root, name, sgc)? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, OPERATION, format!("the owner of {name} keeps changing")))
    }

    pub(super) fn check_marker(&self, name: &str, marker: &Marker) -> Result<()> {
        if marker.cluster == self.owner.cluster {
            return Ok(());
        }
        let (dir, file) = (self.root.join(name), self.root.join(marker_name(name)));
        let message = format!(
            "{} belongs to another installation ({}): use another data directory or ENVIRONMENT, or remove {} if \
             that installation is gone",
            dir.display(),
            marker.cluster,
            file.display()
        );
        Err(Error::new(ErrorKind::Conflict, OPERATION, message))
    }

    pub(super) fn read_marker(&self, root: BorrowedFd<'_>, name: &str) -> Result<Option<Marker>> {
        let file = marker_name(name);
        let path = self.root.join(&file);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(root, &file, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed("read", &path, errno.into())),
        };
        let mut text = String::new();
        let read = fs::File::from(fd).take(4096).read_to_string(&mut text);
        read.map_err(|error| failed("read", &path, error))?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let message = format!("{} does not say whose {name} is", path.display());
            Error::new(ErrorKind::Corrupt, OPERATION, message).because(error)
        })
    }

    /// Says that the directory is ours; `false` if somebody was faster.
    pub(super) fn write_marker(&self, root: BorrowedFd<'_>, name: &str, sgc: SgcId) -> Result<bool> {
        let file = marker_name(name);
        let path = self.root.join(&file);
        let write = || -> io::Result<bool> {
            let text = serde_json::to_vec(&Marker { cluster: self.owner.cluster, sgc })?;
            // Written aside and linked, so that it is there whole or not at all.
            let aside = format!(".{file}-{}", uuid::Uuid::new_v4().simple());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut out =
                fs::File::from(rustix::fs::openat(root, &aside, flags, Mode::from_raw_mode(0o644))?);
            let linked = out
                .write_all(&text)
                .and_then(|()| out.sync_all())
                .and_then(|()| Ok(rustix::fs::linkat(root, &aside, root, &file, AtFlags::empty())?));
            rustix::fs::unlinkat(root, &aside, AtFlags::empty())?;
            match linked {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        };
        let written = write().map_err(|error| failed("write", &path, error))?;
        if written && open_dir(root, name).is_ok() {
            info!(sgc.id = %sgc, "took over {}, which nobody had claimed", self.root.join(name).display());
        }
        Ok(written)
    }
}
