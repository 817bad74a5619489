//! How far the open consoles of this process have taken the output of an attempt, told to its
//! supervisor from time to time, so that it need not be kept.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use manman_core::console::Channel;

use crate::directory::{RunDir, write_number};

/// It is told again after so much more.
const STEP: u64 = 4 << 20;

/// The open consoles of a process.
#[derive(Clone, Debug, Default)]
pub struct Readers(Arc<Mutex<HashMap<PathBuf, Vec<Arc<Taken>>>>>);

/// What one console has taken.
#[derive(Debug, Default)]
struct Taken([AtomicU64; 2]);

/// An open console of an attempt. Dropping it forgets it.
#[derive(Debug)]
pub struct Reader {
    readers: Readers,
    dir: RunDir,
    taken: Arc<Taken>,
    told: u64,
}

impl Readers {
    /// A console that begins at these offsets.
    pub fn open(&self, dir: &RunDir, offsets: [u64; 2]) -> Reader {
        let taken = Arc::new(Taken(offsets.map(AtomicU64::new)));
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(dir.path().to_owned()).or_default().push(taken.clone());
        Reader { readers: self.clone(), dir: dir.clone(), taken, told: offsets.iter().sum() }
    }
}

impl Reader {
    /// All before these offsets was taken by who reads this console. Gives what is to be done
    /// where blocking is allowed, if anything is.
    pub fn took(&mut self, offsets: [u64; 2]) -> Option<impl FnOnce() + Send + 'static> {
        for (taken, offset) in self.taken.0.iter().zip(offsets) {
            taken.store(offset, Ordering::Relaxed);
        }
        let sum = offsets.iter().sum::<u64>();
        if sum < self.told + STEP {
            return None;
        }
        self.told = sum;
        let open = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = open.get(self.dir.path()).into_iter().flatten();
        let mut least = offsets;
        for taken in all {
            for (least, taken) in least.iter_mut().zip(&taken.0) {
                *least = (*least).min(taken.load(Ordering::Relaxed));
            }
        }
        let dir = self.dir.clone();
        Some(move || {
            for channel in Channel::BOTH {
                // Not told, it is kept a little longer.
                let _ = write_number(&dir.taken(channel), least[channel.index()]);
            }
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut open = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = open.get_mut(self.dir.path()) {
            all.retain(|taken| !Arc::ptr_eq(taken, &self.taken));
            if all.is_empty() {
                open.remove(self.dir.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::read_number;

    #[test]
    fn the_slowest_reader_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::new(root.path().to_owned());
        let readers = Readers::default();
        let (mut fast, slow) = (readers.open(&dir, [0, 0]), readers.open(&dir, [0, 0]));
        assert!(fast.took([STEP - 1, 0]).is_none(), "too little to be told");
        fast.took([2 * STEP, 7]).unwrap()();
        assert_eq!(read_number(&dir.taken(Channel::Stdout)).unwrap(), 0);
        drop(slow);
        fast.took([4 * STEP, 7]).unwrap()();
        assert_eq!(read_number(&dir.taken(Channel::Stdout)).unwrap(), 4 * STEP);
        assert_eq!(read_number(&dir.taken(Channel::Stderr)).unwrap(), 7);
        drop(fast);
        assert!(readers.0.lock().unwrap().is_empty());
    }
}
