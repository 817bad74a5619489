//! Somebody who watches a console and keeps what it showed.

use std::sync::Arc;

use futures::StreamExt;

use super::PATIENCE;
use crate::{
    console::{Channel, Console, EndCause, Gap, Output, Position, Resume},
    id::AttemptId,
    runtime::Runtime,
};

/// Reads a console and keeps everything, as a host manager would; opens it again where
/// the contract allows it to break.
pub struct Screen {
    runtime: Arc<dyn Runtime>,
    run: AttemptId,
    console: Console,
    /// All pieces, in order.
    pub pieces: Vec<(Channel, Vec<u8>)>,
    /// All gaps.
    pub gaps: Vec<Gap>,
    /// The position after so many pieces, for each batch.
    pub marks: Vec<(usize, Position)>,
    /// Whether the console has ended because the attempt has.
    pub ended: bool,
}

impl Screen {
    /// Opens the console of `run` from its beginning.
    pub async fn open(runtime: &Arc<dyn Runtime>, run: AttemptId) -> Self {
        Self::resume(runtime, run, Vec::new(), None).await
    }

    /// Opens it from `position`, having kept `pieces`.
    pub async fn resume(
        runtime: &Arc<dyn Runtime>,
        run: AttemptId,
        pieces: Vec<(Channel, Vec<u8>)>,
        position: Option<Position>,
    ) -> Self {
        let after = position.map(|position| Resume { position, tail: tail(&pieces) });
        let console = runtime.console(run, after).await.expect("the console opens");
        let marks = position.map(|position| (pieces.len(), position)).into_iter().collect();
        Self { runtime: runtime.clone(), run, console, pieces, gaps: Vec::new(), marks, ended: false }
    }

    /// Goes on where this one stopped, as another process would.
    pub async fn by_another(self, runtime: &Arc<dyn Runtime>) -> Self {
        let Self { run, console, pieces, gaps, marks, .. } = self;
        drop(console);
        let position = marks.last().map(|&(_, position)| position);
        let mut screen = Self::resume(runtime, run, pieces, position).await;
        screen.gaps = gaps;
        screen
    }

    /// Reads once.
    async fn read(&mut self) {
        let output = tokio::time::timeout(PATIENCE, self.console.output.next()).await;
        match output.expect("the console shows something in time").expect("a console ends with its end") {
            Output::Batch(batch) => {
                self.pieces.extend(batch.pieces().map(|(channel, piece)| (channel, piece.to_vec())));
                self.marks.push((self.pieces.len(), batch.position));
            }
            Output::Gap(gap, position) => {
                self.gaps.push(gap);
                self.marks.push((self.pieces.len(), position));
            }
            Output::End(EndCause::Ended) => {
                assert!(self.console.output.next().await.is_none(), "nothing follows the end");
                self.ended = true;
            }
            Output::End(EndCause::Broken | EndCause::Overrun) => {
                let after =
                    self.marks.last().map(|&(_, position)| Resume { position, tail: tail(&self.pieces) });
                self.console =
                    self.runtime.console(self.run, after).await.expect("a broken console opens again");
            }
        }
    }

    /// Reads until `enough`, or panics if the console ends before or takes too long.
    pub async fn until(&mut self, enough: impl Fn(&Self) -> bool) {
        let all = async {
            while !enough(self) {
                assert!(!self.ended, "the console ended with {:?}", self.pieces);
                self.read().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("what is waited for comes in time");
    }

    /// Reads until this line was shown.
    pub async fn until_line(&mut self, channel: Channel, line: &str) {
        self.until(|screen| screen.lines(channel).iter().any(|shown| shown == line)).await;
    }

    /// Reads until at least so many bytes of a channel were shown.
    pub async fn until_bytes(&mut self, channel: Channel, bytes: usize) {
        self.until(|screen| screen.text(channel).len() >= bytes).await;
    }

    /// Reads until the end.
    pub async fn to_end(&mut self) {
        self.until(|screen| screen.ended).await;
    }

    /// Writes a line to the game.
    pub async fn say(&mut self, line: &str) {
        self.console.input.write(format!("{line}\n").as_bytes()).await.expect("the game takes input");
    }

    /// The open console.
    pub fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// All bytes of a channel.
    pub fn text(&self, channel: Channel) -> Vec<u8> {
        let of_channel = self.pieces.iter().filter(|(of, _)| *of == channel);
        of_channel.flat_map(|(_, piece)| piece.iter().copied()).collect()
    }

    /// All finished lines of a channel, without their ends.
    pub fn lines(&self, channel: Channel) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.text(channel)).into_owned();
        let mut lines: Vec<_> = text.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect();
        lines.pop();
        lines
    }
}

/// The last pieces of each channel, as a keeper hands them back.
fn tail(pieces: &[(Channel, Vec<u8>)]) -> Vec<(Channel, Vec<u8>)> {
    let mut left = [Resume::TAIL; 2];
    let mut tail: Vec<_> = pieces
        .iter()
        .rev()
        .filter(|(channel, _)| {
            let left = &mut left[channel.index()];
            let wanted = *left > 0;
            *left = left.saturating_sub(1);
            wanted
        })
        .cloned()
        .collect();
    tail.reverse();
    tail
}
