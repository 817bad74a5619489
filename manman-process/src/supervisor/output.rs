//! Keeps the output of a game within its bound: punches out of its files what was taken, or
//! what is too old.

use std::{
    fs::{File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    thread,
    time::Duration,
};

use manman_core::console::Channel;
use rustix::fd::OwnedFd;

use crate::{
    directory::{RunDir, private, read_number, write_number},
    holes::punch,
};

/// What was taken stays for this long, so that another reader may begin a little earlier, and
/// whatever the manager has not written to its disk yet is still there.
pub const MARGIN: u64 = 16 << 20;

/// Files are punched out in multiples of this: of every block size in use.
const GRAIN: u64 = 64 << 10;

/// How often it is looked at while there is output, and while there is none.
const EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// The output files of a game.
#[derive(Debug)]
pub struct Keeper {
    dir: RunDir,
    files: [File; 2],
    keep_bytes: u64,
    /// Whether the file system gives room back.
    can: bool,
}

/// One of the files as it is: up to where it was punched out, up to where it was taken, and its
/// length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extent {
    trimmed: u64,
    taken: u64,
    len: u64,
}

impl Keeper {
    /// Opens the files, and closes them to everybody else: who opened one anew for writing, as
    /// `> /dev/stderr` does, would empty it.
    pub fn open(dir: &RunDir, keep_bytes: u64) -> io::Result<Self> {
        let open = |channel| {
            let path = dir.output(channel);
            // Closed by a start that came to nothing, to an owner who is not root as well.
            if path.exists() {
                std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            }
            let file = private().create(true).append(true).open(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("{} cannot be written to: {error}", path.display()))
            })?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o400))?;
            // There is room for them from now on, also where the disk is full.
            write_number(&dir.trimmed(channel), 0)?;
            write_number(&dir.taken(channel), 0)?;
            io::Result::Ok(file)
        };
        let files = [open(Channel::Stdout)?, open(Channel::Stderr)?];
        // Nothing is there yet: whether the file system can is all that this tells.
        let can = punch(&files[0], GRAIN).is_ok();
        if !can {
            let _ = writeln!(io::stderr(), "this file system cannot punch holes: output is kept as a whole");
        }
        Ok(Self { dir: dir.clone(), files, keep_bytes, can })
    }

    /// What the game writes to.
    pub fn writer(&self, channel: Channel) -> io::Result<OwnedFd> {
        Ok(self.files[channel.index()].try_clone()?.into())
    }

    /// Looks after them on a thread of its own for as long as this process lives.
    pub fn spawn(self) {
        if !self.can {
            return;
        }
        let look = move || {
            let mut before = [0; 2];
            let mut every = EVERY[0];
            loop {
                thread::sleep(every);
                match self.look() {
                    Ok(len) => {
                        every = EVERY[usize::from(len == before)];
                        before = len;
                    }
                    Err(_) => every = EVERY[1],
                }
            }
        };
        // Without the thread the files grow; the game is not to end for that.
        let _ = thread::Builder::new().name("output".to_owned()).stack_size(64 << 10).spawn(look);
    }

    /// Punches out what need not be kept; gives the lengths.
    fn look(&self) -> io::Result<[u64; 2]> {
        let mut extents = [Extent::default(); 2];
        for channel in Channel::BOTH {
            extents[channel.index()] = Extent {
                trimmed: read_number(&self.dir.trimmed(channel))?,
                taken: read_number(&self.dir.taken(channel))?,
                len: self.files[channel.index()].metadata()?.len(),
            };
        }
        let wanted = wanted(extents, self.keep_bytes);
        for channel in Channel::BOTH {
            let (from, to) = (extents[channel.index()].trimmed, wanted[channel.index()]);
            if to > from {
                // First said, then done: nobody takes the hole for what was printed.
                write_number(&self.dir.trimmed(channel), to)?;
                punch(&self.files[channel.index()], to)?;
            }
        }
        Ok(extents.map(|extent| extent.len))
    }
}

/// Up to where each file is to be punched out.
fn wanted(extents: [Extent; 2], keep_bytes: u64) -> [u64; 2] {
    let mut to = extents.map(|extent| {
        let taken = extent.taken.min(extent.len);
        taken.saturating_sub(MARGIN.min(keep_bytes)).max(extent.trimmed)
    });
    let kept = |to: &[u64; 2], at: usize| extents[at].len.saturating_sub(to[at]);
    let surplus = (kept(&to, 0) + kept(&to, 1)).saturating_sub(keep_bytes);
    if surplus > 0 {
        // From whichever has more, down to the other one, then from both alike.
        let larger = usize::from(kept(&to, 1) > kept(&to, 0));
        let apart = kept(&to, larger) - kept(&to, 1 - larger);
        let alone = surplus.min(apart);
        let each = (surplus - alone).div_ceil(2);
        to[larger] += alone + each;
        to[1 - larger] += each;
    }
    [0, 1].map(|at| (to[at] / GRAIN * GRAIN).max(extents[at].trimmed))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use proptest::prelude::*;
    use rustix::{
        process::{Gid, Uid, geteuid},
        thread::{set_thread_res_gid, set_thread_res_uid},
    };

    use super::*;

    /// A program that was busy for a moment is loaded another time, by whoever that is.
    #[test]
    fn an_ordinary_user_opens_them_again() {
        const NOBODY: u32 = 65534;
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::new(root.path().to_owned());
        let twice = move || {
            if geteuid().is_root() {
                let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
                chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
                // Of this thread alone.
                set_thread_res_gid(gid, gid, gid).unwrap();
                set_thread_res_uid(uid, uid, uid).unwrap();
            }
            Keeper::open(&dir, 1 << 20).unwrap();
            Keeper::open(&dir, 1 << 20).unwrap();
            std::fs::metadata(dir.output(Channel::Stdout)).unwrap().permissions().mode()
        };
        assert_eq!(thread::spawn(twice).join().unwrap() & 0o777, 0o400);
    }

    #[test]
    fn what_was_taken_goes_after_a_while() {
        let extent = |trimmed, taken, len| Extent { trimmed, taken, len };
        let none = Extent::default();
        for (out, keep, to) in [
            (extent(0, 0, 1 << 20), 100 << 20, 0),
            (extent(0, 10 << 20, 10 << 20), 100 << 20, 0),
            (extent(0, 40 << 20, 50 << 20), 100 << 20, 24 << 20),
            (extent(30 << 20, 40 << 20, 50 << 20), 100 << 20, 30 << 20),
            (extent(0, 0, 150 << 20), 100 << 20, 50 << 20),
            (extent(0, 149 << 20, 150 << 20), 2 << 20, 148 << 20),
        ] {
            assert_eq!(wanted([out, none], keep), [to, 0], "{out:?}");
        }
        assert_eq!(
            wanted([extent(0, 0, 90 << 20), extent(0, 0, 30 << 20)], 100 << 20),
            [20 << 20, 0],
            "the larger one first"
        );
        assert_eq!(
            wanted([extent(0, 0, 90 << 20), extent(0, 0, 80 << 20)], 100 << 20),
            [40 << 20, 30 << 20],
            "then both alike"
        );
    }

    proptest! {
        #[test]
        fn what_is_kept_is_bounded_and_never_comes_back(
            lens in [0u64..1 << 40, 0u64..1 << 40],
            taken in [0u64..1 << 40, 0u64..1 << 40],
            trimmed in [0u64..1 << 40, 0u64..1 << 40],
            keep in (1u64 << 20)..1 << 34,
        ) {
            let at = |at: usize| Extent { trimmed: trimmed[at].min(lens[at]), taken: taken[at], len: lens[at] };
            let extents = [at(0), at(1)];
            let to = wanted(extents, keep);
            let mut kept = 0;
            for at in 0..2 {
                prop_assert!(to[at] >= extents[at].trimmed && to[at] <= extents[at].len.max(extents[at].trimmed));
                kept += extents[at].len - to[at];
            }
            prop_assert!(kept <= keep + 2 * GRAIN);
        }
    }
}
