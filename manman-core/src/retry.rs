//! Waiting between tries: the one place that decides how long.

use std::time::Duration;

/// Delays that double from `first` up to `longest`, each shortened by a random part of
/// up to a quarter so that many callers do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// Delays from `first` to `longest`; `seed` fixes their random part.
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, next: first, random: fastrand::Rng::with_seed(seed) }
    }

    /// The delay to wait now.
    pub fn delay(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(1.0 - self.random.f64() / 4.0)
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 7);
        let mut whole = Duration::from_millis(100);
        for _ in 0..8 {
            let delay = backoff.delay();
            assert!(delay <= whole && delay >= whole.mul_f64(0.75), "{delay:?} of {whole:?}");
            whole = (whole * 2).min(Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(100));
    }
}
