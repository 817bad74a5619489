//! Room given back from the beginning of a file that is still written to, where the file
//! system can: without it the output of a game only grows.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rustix::{
    fs::{CWD, FallocateFlags, Mode, OFlags, fallocate, openat},
    io::Errno,
};

use crate::directory::private;

/// Gives back the room of what is before `to`.
pub fn punch(file: &File, to: u64) -> io::Result<()> {
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, to)?)
}

/// Why the output of games beneath `dir` is not bounded, if it is not; `None` also where that
/// cannot be told. Leaves nothing there: the file that is asked has no name.
pub fn unbounded(dir: &Path) -> Option<String> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(CWD, dir, flags, Mode::from_raw_mode(0o600)).ok()?;
    judge(dir, &file.into())
}

/// The same, also where a file has to have a name for a moment: beside attempts, where nobody
/// takes it for one.
pub fn unbounded_beside(dir: &Path) -> Option<String> {
    let named = || {
        let path = dir.join(format!(".holes-{}", uuid::Uuid::new_v4().simple()));
        let file = private().create_new(true).write(true).open(&path).ok()?;
        let _ = fs::remove_file(&path);
        judge(dir, &file)
    };
    unbounded(dir).or_else(named)
}

fn judge(dir: &Path, file: &File) -> Option<String> {
    let refused = punch(file, 1).err()?.raw_os_error()?;
    let cannot = [Errno::OPNOTSUPP, Errno::NOSYS].iter().any(|errno| errno.raw_os_error() == refused);
    // Whatever else is wrong with it says nothing about holes.
    cannot.then(|| {
        format!(
            "{} is on a file system that gives no room back (ext4, XFS, Btrfs and tmpfs do)",
            dir.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_holes_can_be_punched_nothing_is_said_and_left() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unbounded(dir.path()), None);
        assert_eq!(unbounded_beside(dir.path()), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
