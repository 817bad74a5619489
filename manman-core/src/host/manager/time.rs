//! The time by which plans are made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};

/// A clock that neither jumps nor stands still while we live, and that shows the control
/// plane's time as far as that is known: a machine whose clock is an hour off takes no start
/// for expired.
pub(super) struct Time {
    wall: Arc<dyn Clock>,
    base: Timestamp,
    start: Instant,
    /// Microseconds by which the control plane's clock is ahead.
    ahead: AtomicI64,
    /// Whether the control plane has said what time it is.
    known: AtomicBool,
}

impl Time {
    pub fn new(wall: Arc<dyn Clock>) -> Self {
        Self {
            base: wall.now(),
            wall,
            start: Instant::now(),
            ahead: AtomicI64::new(0),
            known: AtomicBool::new(false),
        }
    }

    /// What the machine's clock shows, for stamps.
    pub fn wall(&self) -> Timestamp {
        self.wall.now()
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.local().as_micros().saturating_add(self.ahead.load(SeqCst)))
    }

    fn local(&self) -> Timestamp {
        self.base.plus(self.start.elapsed())
    }

    /// Whether what we take for the control plane's time is that. Until then it is what the
    /// machine's clock showed when we began, which may be an hour off.
    pub fn is_known(&self) -> bool {
        self.known.load(SeqCst)
    }

    /// The control plane does not say what time it is: it is believed to have ours.
    pub fn untold(&self) {
        self.known.store(true, SeqCst);
    }

    /// The control plane said what time it is by its clock, at the moment `asked` at the
    /// earliest, and now at the latest.
    pub fn told(&self, told: Timestamp, asked: Instant) {
        let middle = self.local().minus(asked.elapsed() / 2);
        let ahead = told.as_micros().saturating_sub(middle.as_micros());
        // Smaller differences are those of the way there and back.
        let unsure = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX).max(1_000_000);
        if ahead.saturating_sub(self.ahead.load(SeqCst)).saturating_abs() > unsure {
            self.ahead.store(ahead, SeqCst);
        }
        self.known.store(true, SeqCst);
    }

    /// By how much the machine's clock is wrong, and whether it is ahead.
    pub fn wrong(&self) -> (Duration, bool) {
        let wrong = self.wall().as_micros().saturating_sub(self.now().as_micros());
        (Duration::from_micros(wrong.unsigned_abs()), wrong > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Wall(Mutex<Timestamp>);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    const NOON: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn it_follows_the_control_plane_and_no_jump_of_the_wall() {
        let wall = Arc::new(Wall(Mutex::new(NOON.minus(HOUR))));
        let time = Time::new(wall.clone());
        assert_eq!((time.now(), time.is_known()), (NOON.minus(HOUR), false));
        time.told(NOON, Instant::now());
        assert_eq!((time.now(), time.is_known()), (NOON, true));
        assert_eq!(time.wrong(), (HOUR, false));
        *wall.0.lock().unwrap() = NOON.plus(HOUR);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(time.now(), NOON.plus(Duration::from_secs(5)));
        assert_eq!(time.wrong(), (HOUR - Duration::from_secs(5), true));
        // What may be the way there and back changes nothing.
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(4)).await;
        time.told(NOON.plus(Duration::from_secs(10)), asked);
        assert_eq!(time.now(), NOON.plus(Duration::from_secs(9)));
    }
}
