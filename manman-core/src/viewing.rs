//! The seam to the console of sessions, for whoever shows it: numbered, from any number
//! on, each viewer bounded and on its own.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{
    console::{Batch, Gap},
    error::Result,
    id::SessionId,
};

/// Where a viewer begins. Sequence numbers count the pieces and gaps of a session from 1,
/// through all its attempts, and never change once given, unless a host dies before its disk
/// took what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// At this number, or the first one kept after it.
    At(u64),
    /// So many pieces before the newest.
    Last(u64),
}

/// What a viewer is shown.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Output; its pieces have the numbers `first`, `first + 1`, …
    Output {
        /// The number of the first piece to be shown.
        first: u64,
        /// How many pieces of the batch to pass over: they were not asked for.
        skip: usize,
        /// The attempt that printed it.
        attempt: u32,
        /// The pieces, shared by all viewers.
        batch: Arc<Batch>,
    },
    /// Output that is missing.
    Gap {
        /// The number of the gap itself.
        sequence: u64,
        /// The attempt that it is of.
        attempt: u32,
        /// What is missing.
        gap: Gap,
    },
    /// This viewer did not keep up: so many pieces and gaps were passed over for it alone.
    Lagged(u64),
}

/// Shows the consoles of sessions.
#[async_trait]
pub trait Viewing: fmt::Debug + Send + Sync + 'static {
    /// The console of a session from `begin` on. With `follow` it goes on until the session
    /// has ended and all is shown; else it ends with what there is.
    ///
    /// # Errors
    /// `NotFound` if nothing is kept of that session here.
    async fn view(&self, session: SessionId, begin: Begin, follow: bool)
    -> Result<BoxStream<'static, Shown>>;
}
