//! How far the open consoles of this process have taken the output of an attempt, told to its
//! supervisor from time to time, so that it need not be kept.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use manman_core::console::Channel;

use crate::directory::{RunDir, write_number};

/// It is told again after so much more.
const STEP: u64 = 4 << 20;

/// The open consoles of a process.
#[derive(Clone, Debug, Default)]
pub struct Readers(Arc<Mutex<HashMap<PathBuf, Open>>>);

/// The open consoles of one attempt.
#[derive(Debug, Default)]
struct Open {
    all: Vec<Arc<Taken>>,
    /// Held by whoever tells how far they are: what is told last is newest.
    telling: Arc<Mutex<()>>,
}

impl Open {
    fn is_over(&self) -> bool {
        self.all.is_empty() && Arc::strong_count(&self.telling) == 1
    }
}

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
        let mut open = self.lock();
        open.retain(|_, it| !it.is_over());
        open.entry(dir.path().to_owned()).or_default().all.push(taken.clone());
        Reader { readers: self.clone(), dir: dir.clone(), taken, told: offsets.iter().sum() }
    }

    /// What all consoles of an attempt have taken by now; `None` if there are none.
    fn least(&self, dir: &RunDir) -> Option<[u64; 2]> {
        let open = self.lock();
        let all = open.get(dir.path())?.all.iter();
        let taken = all.map(|taken| taken.0.each_ref().map(|offset| offset.load(Ordering::Relaxed)));
        taken.reduce(|one, other| [one[0].min(other[0]), one[1].min(other[1])])
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// All before these offsets was taken by who reads this console. Gives what is to be done
    /// where blocking is allowed, if anything is; late or in another order, it tells no less.
    pub fn took(&mut self, offsets: [u64; 2]) -> Option<impl FnOnce() + Send + 'static> {
        for (taken, offset) in self.taken.0.iter().zip(offsets) {
            taken.store(offset, Ordering::Relaxed);
        }
        let sum = offsets.iter().sum::<u64>();
        if sum < self.told + STEP {
            return None;
        }
        self.told = sum;
        let (readers, dir) = (self.readers.clone(), self.dir.clone());
        let telling = readers.lock().get(dir.path())?.telling.clone();
        Some(move || {
            let _alone = telling.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(least) = readers.least(&dir) else { return };
            for channel in Channel::BOTH {
                // Not told, it is kept a little longer.
                let _ = write_number(&dir.taken(channel), least[channel.index()]);
            }
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut open = self.readers.lock();
        if let Some(it) = open.get_mut(self.dir.path()) {
            it.all.retain(|taken| !Arc::ptr_eq(taken, &self.taken));
        }
        open.retain(|_, it| !it.is_over());
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

    #[test]
    fn what_is_told_late_takes_nothing_back() {
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::new(root.path().to_owned());
        let mut reader = Readers::default().open(&dir, [0, 0]);
        let (first, second) = (reader.took([STEP, 0]).unwrap(), reader.took([2 * STEP, 1]).unwrap());
        second();
        first();
        let told = Channel::BOTH.map(|channel| read_number(&dir.taken(channel)).unwrap());
        assert_eq!(told, [2 * STEP, 1]);
    }
}
