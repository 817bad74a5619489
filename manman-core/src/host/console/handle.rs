//! What others have of the console of one attempt.

use std::{sync::Arc, time::Duration};

use super::attempt::Attempt;
use crate::{id::AttemptId, model::ConsoleLine, wire::Outcome};

/// The console of one attempt. Dropping it closes nothing.
#[derive(Clone, Debug)]
pub struct ConsoleHandle {
    attempt: Arc<Attempt>,
}

impl ConsoleHandle {
    pub(super) fn of(attempt: Arc<Attempt>) -> Self {
        Self { attempt }
    }

    /// Whose console it is.
    pub fn run(&self) -> AttemptId {
        self.attempt.run()
    }

    /// Writes a line to the game's stdin, newline added. Lines are written in order, one
    /// at a time; 64 may wait. `within` bounds the waiting, not the writing, which has a
    /// deadline of its own.
    pub async fn write_line(&self, line: &ConsoleLine, within: Duration) -> Outcome {
        self.attempt.write_line(line, within).await
    }

    /// Waits until the attempt has ended and all that it printed is shown (and kept, as
    /// far as the disk takes it).
    pub async fn drained(&self) {
        self.attempt.drained().await;
    }

    /// Reads no more; `true` if all that it printed was shown by then.
    pub(in crate::host) async fn stop(&self) -> bool {
        self.attempt.stop().await
    }

    /// Whether the attempt has ended and all that it printed is shown.
    pub fn is_drained(&self) -> bool {
        self.attempt.is_drained()
    }

    /// The last lines that the attempt printed, oldest first: at most `lines` of at most
    /// `bytes` bytes, lossily as UTF-8, without line ends.
    pub async fn last_lines(&self, lines: usize, bytes: usize) -> Vec<String> {
        self.attempt.last_lines(lines, bytes).await
    }
}
