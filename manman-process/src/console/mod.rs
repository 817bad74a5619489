//! The console of an attempt: its output files from a position on, and its input.

mod cut;
mod follow;
mod input;
mod position;

use futures::StreamExt as _;
use manman_core::{
    console::{Console, Resume},
    error::Result,
};

use self::{follow::Follower, input::FifoInput, position::Place};
use crate::{directory::RunDir, readers::Readers, watch::Watch};

/// Opens the console of the attempt in `dir` from just after `after`.
pub fn open(
    dir: &RunDir,
    boot: String,
    after: Option<&Resume>,
    watch: &Watch,
    readers: &Readers,
) -> Result<Console> {
    let place = after.map_or(Ok(Place::START), |after| Place::decode(&after.position))?;
    let follower = Follower::new(dir, boot, place, watch, readers);
    let output = futures::stream::unfold(follower, |mut follower| async move {
        follower.next().await.map(|output| (output, follower))
    });
    Ok(Console { input: Box::new(FifoInput::new(dir)), output: output.boxed() })
}
