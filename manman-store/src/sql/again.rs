//! Deeds that the database asks to be done again.

use std::time::Duration;

use manman_core::{error::Error, store::DeedError};

use super::translate::may_run_again;

/// Does a deed, and does it again as long as the database undid it for a reason that has
/// nothing to do with it. The one place that repeats anything.
macro_rules! again {
    ($deed:expr) => {{
        let mut tries = super::again::Tries::default();
        loop {
            match $deed.await {
                Err(error) if tries.once_more(&error).await => {}
                result => return result,
            }
        }
    }};
}

/// How often a deed was undone.
#[derive(Default)]
pub(super) struct Tries(u32);

/// So often a deed is done again before its caller hears of it.
const MOST: u32 = 6;

impl Tries {
    /// Whether it is worth another try; waits a moment first, so that those who were in each
    /// other's way are not again.
    pub async fn once_more(&mut self, error: &impl Undone) -> bool {
        if self.0 == MOST || !error.store().is_some_and(may_run_again) {
            return false;
        }
        self.0 += 1;
        let longest = 5 << self.0;
        // Each at another moment: random bits that are at hand.
        let part = uuid::Uuid::new_v4().as_u128() % longest;
        tokio::time::sleep(Duration::from_millis(u64::try_from(part).unwrap_or(0))).await;
        true
    }
}

/// What a deed fails with.
pub(super) trait Undone {
    /// What the store said, if it was the store.
    fn store(&self) -> Option<&Error>;
}

impl Undone for Error {
    fn store(&self) -> Option<&Error> {
        Some(self)
    }
}

impl Undone for DeedError {
    fn store(&self) -> Option<&Error> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
