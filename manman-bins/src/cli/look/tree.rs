//! Files: whose they are, who may, and how much they take.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
    time::{Duration, Instant},
};

/// How long a size is counted for; what was found by then is a least.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its mode, without its type.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a socket.
    pub is_socket: bool,
}

impl Entry {
    /// Looks at a path, not following a link; `None` if nothing is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => {
                let found = found?;
                Ok(Some(Self {
                    mode: found.mode() & 0o7777,
                    uid: found.uid(),
                    is_dir: found.is_dir(),
                    is_socket: found.file_type().is_socket(),
                }))
            }
        }
    }

    /// `mode 0600, owner root`.
    pub fn describe(&self) -> String {
        format!("mode {:04o}, owner {}", self.mode, owner(self.uid))
    }
}

/// A user's name, if this machine knows one, else the number.
pub fn owner(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut columns = line.split(':');
        let (name, _, id) = (columns.next()?, columns.next()?, columns.next()?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

/// How many bytes a file or a tree takes on disk, and whether that is all of it.
pub fn tree_size(path: &Path) -> (u64, bool) {
    let until = Instant::now() + PATIENCE;
    let (mut bytes, mut whole) = (0, true);
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else {
            whole &= !path.exists();
            continue;
        };
        // Blocks are of 512 bytes (stat(2)): what is sparse counts as what it takes.
        bytes += found.blocks() * 512;
        if found.is_dir() {
            match fs::read_dir(&path) {
                Ok(entries) => left.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => whole = false,
            }
        }
        if Instant::now() > until {
            return (bytes, false);
        }
    }
    (bytes, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_counted_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/file"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("a/all")).unwrap();
        let (bytes, whole) = tree_size(dir.path());
        assert!(whole && (98_304..300_000).contains(&bytes), "{bytes}");
        assert_eq!(Entry::at(&dir.path().join("none")).unwrap(), None);
        assert_eq!(owner(0), "root");
    }
}
