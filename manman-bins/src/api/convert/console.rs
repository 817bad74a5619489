//! Consoles.

use manman_core::{
    console::{Batch, Channel, Gap},
    viewing::Shown,
};

use super::{enums, timestamp_out};
use crate::api::v1;

enums! {
    LogSource <=> Channel: Stdout = Channel::Stdout, Stderr = Channel::Stderr;
}

/// The most bytes of text in one reply: a batch that has more goes in several, so that
/// none is larger than clients take.
const MOST_TEXT: usize = 256 * 1024;

/// What a viewer is shown, as replies.
pub(in crate::api) fn shown_out(shown: Shown) -> Vec<v1::StreamSessionLogsResponse> {
    use v1::stream_session_logs_response::What;
    let said = |what| v1::StreamSessionLogsResponse { what: Some(what) };
    match shown {
        Shown::Output { first, skip, attempt, batch } => outputs(first, skip, attempt, &batch)
            .into_iter()
            .map(|output| said(What::Output(output)))
            .collect(),
        Shown::Gap { sequence, attempt, gap } => vec![said(What::Gap(gap_out(sequence, attempt, gap)))],
        Shown::Lagged(count) => vec![said(What::Lagged(count))],
    }
}

fn outputs(first: u64, skip: usize, attempt: u32, batch: &Batch) -> Vec<v1::LogOutput> {
    let empty = |number| v1::LogOutput {
        first_sequence_number: number,
        attempt,
        read_at: Some(timestamp_out(batch.read_at)),
        pieces: Vec::new(),
    };
    let mut outputs = Vec::new();
    let (mut open, mut held) = (empty(first), 0);
    for (number, (channel, text)) in (first..).zip(batch.pieces().skip(skip)) {
        if held + text.len() > MOST_TEXT && held > 0 {
            outputs.push(std::mem::replace(&mut open, empty(number)));
            held = 0;
        }
        held += text.len();
        open.pieces.push(v1::LogPiece { source: v1::LogSource::from(channel).into(), text: text.to_vec() });
    }
    if !open.pieces.is_empty() {
        outputs.push(open);
    }
    outputs
}

fn gap_out(sequence: u64, attempt: u32, gap: Gap) -> v1::LogGap {
    v1::LogGap {
        sequence_number: sequence,
        attempt,
        source: gap.channel.map(|channel| v1::LogSource::from(channel).into()),
        bytes: gap.bytes,
        lines: gap.lines,
        uncertain: gap.uncertain,
        reason: gap.reason,
    }
}

#[cfg(test)]
mod tests {
    use manman_core::{clock::Timestamp, console::Position};

    use super::*;

    #[test]
    fn pieces_keep_their_numbers_when_a_batch_is_cut() {
        let text = vec![b'x'; 20_000];
        let pieces: Vec<_> = (0..40).map(|_| (Channel::Stderr, text.as_slice())).collect();
        let batch = Batch::of(pieces, Position::START, Timestamp::default()).unwrap();
        let outputs = outputs(101, 1, 2, &batch);
        assert!(outputs.len() > 1);
        let mut next = 101;
        for output in &outputs {
            assert_eq!(output.first_sequence_number, next);
            assert!(output.pieces.iter().map(|piece| piece.text.len()).sum::<usize>() <= MOST_TEXT);
            next += output.pieces.len() as u64;
        }
        assert_eq!(next, 101 + 39);
    }
}
