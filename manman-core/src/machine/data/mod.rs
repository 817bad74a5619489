//! Directories of deployments: made, given to the game's user, and never found by
//! way of a link that a game has planted in them.
//!
//! `{data_dir}/gsc-prod-3` is what the game sees; `gsc-prod-3.manman.json` beside it,
//! where no game reaches, says whose it is.

mod marker;
mod place;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, ErrorKind, Result},
    model::SubPath,
    runtime::{ContainerSpec, Owner},
};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{CWD, Mode, OFlags},
};

use self::place::{Place, failed, not_a_directory, open_dir};

const OPERATION: &str = "prepare directories";

/// Who a game runs as.
pub type User = (u32, u32);

/// The tree beneath which all directories of deployments are.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
    owner: Owner,
    min_free_bytes: u64,
}

impl DataDir {
    /// The tree at `root`, of which `owner` may have what nobody else has. No game is
    /// prepared once fewer than `min_free_bytes` are free on its disk.
    pub fn new(root: &Path, owner: &Owner, min_free_bytes: u64) -> Self {
        Self { root: root.to_owned(), owner: owner.clone(), min_free_bytes }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes what the spec mounts and gives what is new to `user`. Blocks.
    ///
    /// # Errors
    /// As [`Runtime::prepare`](crate::runtime::Runtime::prepare).
    pub fn prepare(&self, spec: &ContainerSpec, user: User) -> Result<()> {
        fs::create_dir_all(&self.root).map_err(|error| failed("make", &self.root, error))?;
        let root = self.open_root()?;
        self.check_space(root.as_fd())?;
        let name = self.name(spec);
        self.claim(root.as_fd(), &name, spec.sgc)?;
        let place = Place { path: self.root.join(&name), user };
        let deployment = place.ensure(root.as_fd(), &name)?;
        for source in sources(spec) {
            let mut place = Place { path: place.path.clone(), user };
            let mut parent = None::<OwnedFd>;
            for part in source.as_str().split('/') {
                place.path.push(part);
                let above = parent.as_ref().map_or(deployment.as_fd(), OwnedFd::as_fd);
                parent = Some(place.ensure(above, part)?);
            }
        }
        Ok(())
    }

    /// Where each mount of the spec is beneath the root, after making sure that it is a
    /// directory of ours and that no link leads to it. Blocks.
    ///
    /// # Errors
    /// `NotFound` if it was not prepared, `Conflict` if it is another cluster's, `Denied`
    /// if there is a link or a file in its place.
    pub fn places(&self, spec: &ContainerSpec) -> Result<Vec<PathBuf>> {
        let root = self.open_root()?;
        let name = self.name(spec);
        match self.read_marker(root.as_fd(), &name)? {
            Some(marker) => self.check_marker(&name, &marker)?,
            None => {
                return Err(Error::new(ErrorKind::NotFound, OPERATION, format!("{name} was not prepared")));
            }
        }
        let place = |mount: &crate::runtime::Mount| {
            let mut place = PathBuf::from(&name);
            place.extend(mount.source.iter().map(SubPath::as_str));
            let mut fd = None::<OwnedFd>;
            for part in place.iter() {
                let above = fd.as_ref().map_or(root.as_fd(), OwnedFd::as_fd);
                fd = Some(
                    open_dir(above, part).map_err(|errno| not_a_directory(&self.root.join(&place), errno))?,
                );
            }
            Ok(place)
        };
        spec.mounts.iter().map(place).collect()
    }

    /// Makes a directory that nobody else can have named. Blocks.
    ///
    /// # Errors
    /// `Denied` or `Busy` if the disk does not take it.
    pub fn nonce(&self) -> Result<Nonce> {
        fs::create_dir_all(&self.root).map_err(|error| failed("make", &self.root, error))?;
        let name = format!(".probe-{}", uuid::Uuid::new_v4().simple());
        let path = self.root.join(&name);
        fs::create_dir(&path).map_err(|error| failed("make", &path, error))?;
        Ok(Nonce { name, path })
    }

    fn name(&self, spec: &ContainerSpec) -> String {
        self.owner.deployment_name(spec.sgc)
    }

    fn open_root(&self) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.root, flags, Mode::empty())
            .map_err(|errno| failed("open", &self.root, errno.into()))
    }

    fn check_space(&self, root: BorrowedFd<'_>) -> Result<()> {
        // The root was opened as a path only, which statvfs takes.
        let disk = rustix::fs::fstatvfs(root).map_err(|errno| failed("look at", &self.root, errno.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.min_free_bytes {
            let (free, keep) = (free >> 20, self.min_free_bytes >> 20);
            let message = format!(
                "the disk of {} is full: {free} MiB are free, {keep} are kept free",
                self.root.display()
            );
            return Err(Error::new(ErrorKind::Busy, OPERATION, message));
        }
        Ok(())
    }
}

/// A directory of an unguessable name, removed when dropped.
#[derive(Debug)]
pub struct Nonce {
    /// Its name in the root.
    pub name: String,
    path: PathBuf,
}

impl Drop for Nonce {
    fn drop(&mut self) {
        // Nothing is in it; if it stays, it is an empty directory with a telling name.
        let _ = fs::remove_dir(&self.path);
    }
}

fn sources(spec: &ContainerSpec) -> impl Iterator<Item = &SubPath> {
    spec.mounts.iter().filter_map(|mount| mount.source.as_ref())
}
