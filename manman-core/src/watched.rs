//! A value whose changes are waited for, where those who wait wake in the order in which
//! they began to.
//!
//! The `watch` of tokio has its receivers wait at one of eight places, chosen by chance that
//! no seed fixes (`BigNotify` in `tokio/src/sync/watch.rs`, 1.54). Two of them that wake in
//! the same moment then act in any order, and a test that fails cannot be told again.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::{sync::Notify, task::coop::cooperative};

/// A value that is watched. Clones are the same one; it ends with the last of them.
pub(crate) struct Watched<T>(Arc<Voice<T>>);

/// Watches a [`Watched`]: sees its latest value, and not each one before it.
pub(crate) struct Watcher<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The value as it is now, which cannot change while this is held.
pub(crate) struct Look<'a, T>(RwLockReadGuard<'a, Now<T>>);

/// The watched value is gone and changes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

struct Voice<T>(Arc<Shared<T>>);

struct Shared<T> {
    now: RwLock<Now<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct Now<T> {
    value: T,
    /// Counts the changes.
    version: u64,
    gone: bool,
}

impl<T> Shared<T> {
    fn look(&self) -> Look<'_, T> {
        // One who panicked while changing it has changed it as far as it got.
        Look(self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Now<T>> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a version that is not `seen`, and sees it.
    async fn change(&self, seen: &mut u64) -> Result<(), Gone> {
        let change = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Registered before looking, so that no change falls in between.
                changed.as_mut().enable();
                {
                    let now = self.look().0;
                    if now.version != *seen {
                        *seen = now.version;
                        return Ok(());
                    }
                    if now.gone {
                        return Err(Gone);
                    }
                }
                changed.await;
            }
        };
        // Spends of the task's budget, so that one who always finds a change lets others run.
        cooperative(change).await
    }
}

impl<T> Watched<T> {
    /// Begins with this value.
    pub fn new(value: T) -> Self {
        let now = RwLock::new(Now { value, version: 0, gone: false });
        Self(Arc::new(Voice(Arc::new(Shared { now, changed: Notify::new() }))))
    }

    /// Watches from now on; the value as it is counts as seen.
    pub fn watch(&self) -> Watcher<T> {
        let shared = self.0.0.clone();
        let seen = shared.look().0.version;
        Watcher { shared, seen }
    }

    /// The value as it is.
    pub fn look(&self) -> Look<'_, T> {
        self.0.0.look()
    }

    /// Replaces the value, and gives the one before.
    pub fn replace(&self, value: T) -> T {
        let mut before = value;
        self.modify(|now| std::mem::swap(now, &mut before));
        before
    }

    /// Changes the value.
    pub fn modify(&self, change: impl FnOnce(&mut T)) {
        self.modify_if(|value| {
            change(value);
            true
        });
    }

    /// Changes the value, and wakes nobody if `change` says that it did not.
    pub fn modify_if(&self, change: impl FnOnce(&mut T) -> bool) {
        let mut now = self.0.0.write();
        if change(&mut now.value) {
            now.version += 1;
            drop(now);
            self.0.0.changed.notify_waiters();
        }
    }
}

impl<T> Watcher<T> {
    /// The value as it is, which does not count as seen.
    pub fn look(&self) -> Look<'_, T> {
        self.shared.look()
    }

    /// The value as it is, which counts as seen.
    pub fn see(&mut self) -> Look<'_, T> {
        let look = self.shared.look();
        self.seen = look.0.version;
        look
    }

    /// Waits until the value is another one than was seen last, which counts as seen then.
    ///
    /// # Errors
    /// [`Gone`] if it has not changed since and will not.
    pub async fn changed(&mut self) -> Result<(), Gone> {
        self.shared.change(&mut self.seen).await
    }

    /// Waits until the value is `so`, which it may be already.
    ///
    /// # Errors
    /// [`Gone`] if it is not and will not be.
    pub async fn until(&mut self, mut so: impl FnMut(&T) -> bool) -> Result<Look<'_, T>, Gone> {
        let Self { shared, seen } = self;
        loop {
            {
                let look = shared.look();
                *seen = look.0.version;
                if so(&look) {
                    return Ok(look);
                }
            }
            shared.change(seen).await?;
        }
    }
}

impl<T: Default> Default for Watched<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Watcher<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Deref for Look<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Drop for Voice<T> {
    fn drop(&mut self) {
        self.0.write().gone = true;
        self.0.changed.notify_waiters();
    }
}

impl<T: fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.0.now).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Watcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("now", &self.shared.now).field("seen", &self.seen).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::{FutureExt, future::join_all};
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_wake_in_the_order_in_which_they_began_to() {
        let watched = Watched::new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        // Each is a task of its own: futures of one task need not wake in any order.
        let waiting: Vec<_> = (0..32)
            .map(|number| {
                let (mut watcher, woken) = (watched.watch(), woken.clone());
                tokio::spawn(async move {
                    watcher.until(|value| *value == 2).await.map(drop).unwrap();
                    woken.lock().unwrap().push(number);
                })
            })
            .collect();
        for value in 1..=2 {
            yield_now().await;
            watched.replace(value);
        }
        join_all(waiting).await;
        assert_eq!(*woken.lock().unwrap(), (0..32).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_is_seen_once_also_one_that_came_before_the_wait() {
        let watched = Watched::new(0);
        let mut watcher = watched.watch();
        assert_eq!(watcher.changed().now_or_never(), None);
        watched.modify(|value| *value += 1);
        watched.modify(|value| *value += 1);
        assert_eq!(watcher.changed().now_or_never(), Some(Ok(())));
        assert_eq!(*watcher.look(), 2);
        assert_eq!(watcher.changed().now_or_never(), None);
        watched.modify_if(|_| false);
        assert_eq!(watcher.changed().now_or_never(), None);
        assert_eq!(watched.replace(7), 2);
        assert_eq!(*watcher.see(), 7);
        assert_eq!(watcher.changed().now_or_never(), None);
    }

    #[tokio::test]
    async fn who_waits_is_told_when_the_last_of_it_goes() {
        let watched = Watched::new(0);
        let other = watched.clone();
        let (mut watcher, mut late) = (watched.watch(), watched.watch());
        let waits = tokio::spawn(async move { watcher.changed().await });
        yield_now().await;
        drop(watched);
        yield_now().await;
        assert!(!waits.is_finished());
        other.replace(1);
        assert_eq!(waits.await.unwrap(), Ok(()));
        drop(other);
        // What was said before it went is still heard.
        assert_eq!(late.changed().await, Ok(()));
        assert_eq!(late.changed().await, Err(Gone));
        assert_eq!(late.until(|value| *value == 1).await.map(|value| *value), Ok(1));
        assert_eq!(late.until(|value| *value == 2).await.map(|value| *value), Err(Gone));
    }
}
