//! Deeds that the database asks to be done again.

use std::time::Duration;

use manman_core::{error::Error, store::DeedError};

use super::translate::may_run_again;

/// Whether the same deed may be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "where one runs after the other, none is undone")]
pub(super) enum Again {
    No,
    /// The next connection may know better; each of them may have to learn it.
    AtOnce,
    /// Others were in its way.
    AfterAMoment,
}

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
pub(super) struct Tries {
    at_once: u32,
    later: u32,
}

/// So often a deed is done again after others were in its way, before its caller hears of it.
const MOST: u32 = 6;
/// As often as there can be connections.
const MOST_AT_ONCE: u32 = 200;

impl Tries {
    /// Whether it is worth another try; waits a moment first, so that those who were in each
    /// other's way are not again.
    pub async fn once_more(&mut self, error: &impl Undone) -> bool {
        match error.store().map_or(Again::No, may_run_again) {
            Again::AtOnce if self.at_once < MOST_AT_ONCE => self.at_once += 1,
            Again::AfterAMoment if self.later < MOST => {
                self.later += 1;
                let longest = 5 << self.later;
                // Each at another moment: random bits that are at hand.
                let part = uuid::Uuid::new_v4().as_u128() % longest;
                tokio::time::sleep(Duration::from_millis(u64::try_from(part).unwrap_or(0))).await;
            }
            _ => return false,
        }
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
