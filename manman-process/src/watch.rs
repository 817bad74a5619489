//! Hints from the kernel that something in the directories of attempts has changed.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::sync::{Notify, broadcast};

/// So many changes may wait for somebody who listens; then they are told that they missed some.
const WAITING: usize = 1024;

/// Something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The attempt whose directory is called this.
    Of(String),
    /// Nobody knows what: the kernel dropped some hints.
    Any,
}

/// Watches the directory of all attempts, and those of the attempts.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    /// Ends the thread that hears the kernel out. Absent where there is none.
    end: Option<Arc<OwnedFd>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Absent where the kernel has no more to give: then there are no hints.
    fd: Option<Arc<OwnedFd>>,
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug, Default)]
struct State {
    /// Directories by the kernel's number.
    watched: HashMap<i32, PathBuf>,
    /// Who follows an attempt, by its directory.
    followed: HashMap<PathBuf, Arc<Notify>>,
}

impl Watch {
    /// Watches what is in `root` from now on.
    pub fn new(root: &Path) -> Self {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok().map(Arc::new);
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            fd: fd.clone(),
            state: Mutex::default(),
            changes: broadcast::channel(WAITING).0,
        });
        shared.add(
            root,
            WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE,
        );
        let end = fd.zip(eventfd(0, EventfdFlags::CLOEXEC).ok()).and_then(|(fd, end)| {
            let (end, shared) = (Arc::new(end), shared.clone());
            let until = end.clone();
            let reads = thread::Builder::new().name("attempts".to_owned()).stack_size(128 << 10);
            reads.spawn(move || read(&fd, &until, &shared)).is_ok().then_some(end)
        });
        Self { shared, end }
    }

    /// Whether there are hints at all; else look from time to time.
    pub fn hints(&self) -> bool {
        self.end.is_some()
    }

    /// Wakes whenever something in the directory of an attempt changes.
    pub fn follow(&self, dir: &Path) -> Arc<Notify> {
        let notify = self.shared.lock().followed.entry(dir.to_owned()).or_default().clone();
        self.shared.add_run(dir);
        notify
    }

    /// Tells of attempts that begin, end or go.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        let changes = self.shared.changes.subscribe();
        self.shared.add_all();
        changes
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            let _ = rustix::io::write(end, &1u64.to_ne_bytes());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, dir: &Path, flags: WatchFlags) {
        let Some(fd) = &self.fd else { return };
        // One that has gone needs no watch; one too many for the kernel has none.
        if let Ok(number) = inotify::add_watch(fd, dir, flags | WatchFlags::ONLYDIR) {
            self.lock().watched.insert(number, dir.to_owned());
        }
    }

    fn add_run(&self, dir: &Path) {
        self.add(dir, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE);
    }

    fn add_all(&self) {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries {
            self.add_run(&entry.path());
        }
    }

    /// What the kernel has told.
    fn heard(&self, number: i32, flags: ReadFlags, name: &str) {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            let followed: Vec<_> = self.lock().followed.values().cloned().collect();
            followed.iter().for_each(|notify| notify.notify_waiters());
            self.add_all();
            let _ = self.changes.send(Change::Any);
            return;
        }
        let mut state = self.lock();
        let Some(dir) = state.watched.get(&number).cloned() else { return };
        if flags.contains(ReadFlags::IGNORED) {
            state.watched.remove(&number);
            // Its followers look a last time, and find that it has gone.
            if let Some(notify) = state.followed.remove(&dir) {
                notify.notify_waiters();
            }
            return;
        }
        if dir == self.root {
            // In the making, or on its way out: then it was something before.
            if flags.contains(ReadFlags::MOVED_FROM)
                && let Some(notify) = state.followed.remove(&self.root.join(name))
            {
                notify.notify_waiters();
            }
            drop(state);
            if name.starts_with('.') {
                return;
            }
            if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                self.add_run(&self.root.join(name));
            }
            let _ = self.changes.send(Change::Of(name.to_owned()));
            return;
        }
        if let Some(notify) = state.followed.get(&dir) {
            notify.notify_waiters();
        }
        drop(state);
        let is_record = name.ends_with(".json") && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        if is_record && let Some(run) = dir.file_name() {
            let _ = self.changes.send(Change::Of(run.to_string_lossy().into_owned()));
        }
    }
}

/// Hears the kernel out until `end` is written to.
fn read(fd: &OwnedFd, end: &OwnedFd, shared: &Shared) {
    let mut buffer = vec![MaybeUninit::uninit(); 16 << 10];
    loop {
        let mut waits = [PollFd::new(fd, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut waits, None) {
            Ok(_) if waits[1].revents().is_empty() => {}
            Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => return,
        }
        let mut reader = inotify::Reader::new(fd, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                    shared.heard(event.wd(), event.events(), &name);
                }
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => break,
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn changes_are_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("old")).unwrap();
        let watch = Watch::new(root.path());
        let mut changes = watch.changes();
        let mut next = async || tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
        fs::write(root.path().join("old/exit.json"), "{}").unwrap();
        assert_eq!(next().await, Change::Of("old".to_owned()));
        fs::create_dir(root.path().join("new")).unwrap();
        assert_eq!(next().await, Change::Of("new".to_owned()));
        fs::write(root.path().join("new/started.json"), "{}").unwrap();
        assert_eq!(next().await, Change::Of("new".to_owned()));
    }

    #[tokio::test]
    async fn output_wakes_who_follows_it() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("run");
        fs::create_dir(&dir).unwrap();
        let watch = Watch::new(root.path());
        assert!(watch.hints());
        let notify = watch.follow(&dir);
        for _ in 0..3 {
            let woken = notify.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            fs::write(dir.join("stdout"), "x").unwrap();
            tokio::time::timeout(PATIENCE, woken).await.unwrap();
        }
    }
}
