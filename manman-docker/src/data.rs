//! Directories of deployments: made, given to the game's user, and never found by
//! way of a link that a game has planted in them.
//!
//! `{data_dir}/gsc-prod-3` is what the game sees; `gsc-prod-3.manman.json` beside it,
//! where no game reaches, says whose it is.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use manman_core::{
    error::{Error, ErrorKind, Result},
    id::{ClusterId, SgcId},
    model::SubPath,
    runtime::{ContainerSpec, Owner},
};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::names;

const OPERATION: &str = "prepare directories";

/// Who a game runs as.
pub(crate) type User = (u32, u32);

/// The tree beneath which all directories of deployments are.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    owner: Owner,
    min_free_bytes: u64,
}

impl DataDir {
    pub(crate) fn new(root: &Path, owner: &Owner, min_free_bytes: u64) -> Self {
        Self { root: root.to_owned(), owner: owner.clone(), min_free_bytes }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes what the spec mounts and gives what is new to `user`. Blocks.
    pub(crate) fn prepare(&self, spec: &ContainerSpec, user: User) -> Result<()> {
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
    pub(crate) fn places(&self, spec: &ContainerSpec) -> Result<Vec<PathBuf>> {
        let root = self.open_root()?;
        let name = self.name(spec);
        match self.read_marker(root.as_fd(), &name)? {
            Some(marker) => self.check_marker(&name, &marker)?,
            None => {
                return Err(Error::new(ErrorKind::NotFound, OPERATION, format!("{name} was not prepared")));
            }
        }
        let place = |mount: &manman_core::runtime::Mount| {
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
    pub(crate) fn nonce(&self) -> Result<Nonce> {
        fs::create_dir_all(&self.root).map_err(|error| failed("make", &self.root, error))?;
        let name = format!(".probe-{}", uuid::Uuid::new_v4().simple());
        let path = self.root.join(&name);
        fs::create_dir(&path).map_err(|error| failed("make", &path, error))?;
        Ok(Nonce { name, path })
    }

    fn name(&self, spec: &ContainerSpec) -> String {
        names::deployment(&self.owner.environment, spec.sgc)
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

    /// Makes sure that the deployment's directory is ours: says so where nobody did.
    fn claim(&self, root: BorrowedFd<'_>, name: &str, sgc: SgcId) -> Result<()> {
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

    fn check_marker(&self, name: &str, marker: &Marker) -> Result<()> {
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

    fn read_marker(&self, root: BorrowedFd<'_>, name: &str) -> Result<Option<Marker>> {
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
    fn write_marker(&self, root: BorrowedFd<'_>, name: &str, sgc: SgcId) -> Result<bool> {
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

/// Whose a directory is.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    cluster: ClusterId,
    sgc: SgcId,
}

fn marker_name(name: &str) -> String {
    format!("{name}.manman.json")
}

/// A directory of an unguessable name, removed when dropped.
#[derive(Debug)]
pub(crate) struct Nonce {
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

/// A directory on its way into being.
struct Place {
    path: PathBuf,
    user: User,
}

impl Place {
    /// Opens the directory `name` in `parent`; makes it and gives it to the user if it is
    /// not there.
    fn ensure(&self, parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
        match open_dir(parent, name) {
            Ok(fd) => {
                self.look_over(parent, name, &fd)?;
                Ok(fd)
            }
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed("make", &self.path, errno.into())),
                }
                let given = self.give(parent, name);
                if given.is_err() {
                    let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
                }
                given
            }
            Err(errno) => Err(not_a_directory(&self.path, errno)),
        }
    }

    /// Gives a directory that we have just made to the user.
    fn give(&self, parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty())
            .map_err(|errno| not_a_directory(&self.path, errno))?;
        // The umask may have taken bits away.
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755))
            .map_err(|errno| failed("open up", &self.path, errno.into()))?;
        let (uid, gid) = self.user;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed("look at", &self.path, errno.into()))?;
        if (stat.st_uid, stat.st_gid) != (uid, gid) {
            match rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
                Ok(()) => {}
                Err(Errno::PERM) => return Err(self.may_not_chown()),
                Err(errno) => return Err(failed("give away", &self.path, errno.into())),
            }
        }
        Ok(fd)
    }

    /// What is there stays as it is, unless it is what a crash of ours left between
    /// making and giving. What the game cannot write to is said.
    fn look_over(&self, parent: BorrowedFd<'_>, name: &str, fd: &OwnedFd) -> Result<()> {
        let stat = rustix::fs::fstat(fd).map_err(|errno| failed("look at", &self.path, errno.into()))?;
        let (uid, gid) = self.user;
        let writable = stat.st_uid == uid && stat.st_mode & 0o200 != 0
            || stat.st_gid == gid && stat.st_mode & 0o020 != 0
            || stat.st_mode & 0o002 != 0;
        if writable {
            return Ok(());
        }
        let we = rustix::process::geteuid();
        let empty = || fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none());
        if stat.st_uid == we.as_raw() && empty() {
            return self.give(parent, name).map(|_| ());
        }
        if !we.is_root() {
            return Err(self.may_not_chown());
        }
        warn!(
            "{} belongs to uid {}, the game runs as {uid} and may be unable to write",
            self.path.display(),
            stat.st_uid
        );
        Ok(())
    }

    fn may_not_chown(&self) -> Error {
        let (uid, gid) = self.user;
        let (we, our_group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let message = format!(
            "{} cannot be given to the game's user {uid}:{gid}: run the manager as root or with CAP_CHOWN, or let the \
             game run as {we}:{our_group} (`user` in its config)",
            self.path.display()
        );
        Error::new(ErrorKind::Denied, OPERATION, message)
    }
}

/// Opens a directory of this one for walking; a link is not followed.
fn open_dir(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn not_a_directory(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::NOTDIR | Errno::LOOP => {
            let message = format!("{} is a link or a file where a directory is expected", path.display());
            Error::new(ErrorKind::Denied, OPERATION, message)
        }
        Errno::NOENT => {
            Error::new(ErrorKind::NotFound, OPERATION, format!("{} is not there", path.display()))
        }
        errno => failed("open", path, errno.into()),
    }
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let path = path.display();
    let (kind, message) = match error.kind() {
        StorageFull | QuotaExceeded => (ErrorKind::Busy, format!("the disk of {path} is full")),
        PermissionDenied => (ErrorKind::Denied, format!("the manager may not {what} {path}")),
        ReadOnlyFilesystem => (ErrorKind::Denied, format!("{path} is on a read-only file system")),
        _ => (ErrorKind::Unexpected, format!("cannot {what} {path}")),
    };
    Error::new(kind, OPERATION, message).because(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::{labels::tests::owner, map::tests::spec};

    struct Tree {
        dir: tempfile::TempDir,
        data: DataDir,
    }

    fn tree() -> Tree {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(&dir.path().join("data"), &owner(), 0);
        Tree { dir, data }
    }

    /// Who we are: as whom a directory can be made without any rights.
    fn us() -> User {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    fn kind(result: Result<impl std::fmt::Debug>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    fn directories_are_made_once_and_left_alone_after() {
        let tree = tree();
        tree.data.prepare(&spec(), us()).unwrap();
        let game = tree.data.root().join("gsc-prod-3");
        for dir in [game.clone(), game.join("mods")] {
            let meta = fs::metadata(&dir).unwrap();
            assert_eq!((meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777), (us().0, us().1, 0o755));
        }
        fs::write(game.join("world"), "1").unwrap();
        fs::set_permissions(&game, fs::Permissions::from_mode(0o700)).unwrap();
        tree.data.prepare(&spec(), us()).unwrap();
        assert_eq!(fs::metadata(&game).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(
            tree.data.places(&spec()).unwrap(),
            [Path::new("gsc-prod-3"), Path::new("gsc-prod-3/mods")]
        );
    }

    #[test]
    fn the_directory_of_another_installation_is_refused() {
        let tree = tree();
        tree.data.prepare(&spec(), us()).unwrap();
        let mut stranger = owner();
        stranger.cluster = ClusterId::random();
        let stranger = DataDir::new(tree.data.root(), &stranger, 0);
        let error = stranger.prepare(&spec(), us()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains(&owner().cluster.to_string()), "{error}");
        assert_eq!(kind(stranger.places(&spec())), ErrorKind::Conflict);
    }

    #[test]
    fn a_directory_that_nobody_claimed_is_taken_over_as_it_is() {
        let tree = tree();
        let game = tree.data.root().join("gsc-prod-3");
        fs::create_dir_all(&game).unwrap();
        fs::write(game.join("world"), "old").unwrap();
        tree.data.prepare(&spec(), us()).unwrap();
        assert_eq!(fs::read_to_string(game.join("world")).unwrap(), "old");
        assert!(tree.data.root().join("gsc-prod-3.manman.json").exists());
    }

    #[test]
    fn a_marker_that_cannot_be_read_is_not_overwritten() {
        let tree = tree();
        fs::create_dir_all(tree.data.root()).unwrap();
        let marker = tree.data.root().join("gsc-prod-3.manman.json");
        fs::write(&marker, "{").unwrap();
        assert_eq!(kind(tree.data.prepare(&spec(), us())), ErrorKind::Corrupt);
        assert_eq!(fs::read_to_string(&marker).unwrap(), "{");
    }

    #[test]
    fn no_link_that_a_game_planted_is_followed() {
        let tree = tree();
        tree.data.prepare(&spec(), us()).unwrap();
        let elsewhere = tree.dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let mods = tree.data.root().join("gsc-prod-3/mods");
        fs::remove_dir(&mods).unwrap();
        for target in [elsewhere.as_path(), Path::new("/etc"), Path::new("nowhere"), Path::new("../..")] {
            symlink(target, &mods).unwrap();
            assert_eq!(kind(tree.data.prepare(&spec(), us())), ErrorKind::Denied, "{}", target.display());
            assert_eq!(kind(tree.data.places(&spec())), ErrorKind::Denied, "{}", target.display());
            fs::remove_file(&mods).unwrap();
        }
        let mut deep = spec();
        deep.mounts[1].source = Some("mods/inner".parse().unwrap());
        symlink(&elsewhere, &mods).unwrap();
        assert_eq!(kind(tree.data.prepare(&deep, us())), ErrorKind::Denied);
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "nothing was made beyond the link");
    }

    #[test]
    fn what_was_not_prepared_is_not_mounted() {
        let tree = tree();
        fs::create_dir_all(tree.data.root()).unwrap();
        assert_eq!(kind(tree.data.places(&spec())), ErrorKind::NotFound);
        tree.data.prepare(&spec(), us()).unwrap();
        fs::remove_dir(tree.data.root().join("gsc-prod-3/mods")).unwrap();
        assert_eq!(kind(tree.data.places(&spec())), ErrorKind::NotFound);
    }

    #[test]
    fn a_full_disk_takes_no_new_game() {
        let tree = tree();
        let full = DataDir::new(tree.data.root(), &owner(), u64::MAX);
        let error = full.prepare(&spec(), us()).unwrap_err();
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Busy, true));
    }

    #[test]
    fn a_nonce_leaves_nothing_behind() {
        let tree = tree();
        let nonce = tree.data.nonce().unwrap();
        assert!(tree.data.root().join(&nonce.name).is_dir());
        drop(nonce);
        assert!(fs::read_dir(tree.data.root()).unwrap().next().is_none());
    }
}
