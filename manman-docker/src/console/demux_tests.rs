use manman_core::console::MAX_PIECE;
use proptest::prelude::*;

use super::*;
use crate::console::lines::Tally;

fn framed(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (kind, payload) in frames {
        stream.extend_from_slice(&[*kind, 0, 0, 0]);
        stream.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        stream.extend_from_slice(payload);
    }
    stream
}

/// What the same frames give when nothing is clever: byte for byte.
#[derive(Default)]
struct Naive {
    line: [Vec<u8>; 2],
    pieces: [Vec<Vec<u8>>; 2],
}

impl Naive {
    fn frames(&mut self, frames: &[(u8, Vec<u8>)]) {
        for (kind, payload) in frames {
            let channel = usize::from(*kind == 2);
            for &byte in payload {
                self.line[channel].push(byte);
                if byte == b'\n' || self.line[channel].len() == MAX_PIECE {
                    let piece = std::mem::take(&mut self.line[channel]);
                    self.pieces[channel].push(piece);
                }
            }
        }
    }

    fn flush(&mut self) {
        for channel in 0..2 {
            if !self.line[channel].is_empty() {
                let piece = std::mem::take(&mut self.line[channel]);
                self.pieces[channel].push(piece);
            }
        }
    }
}

/// Collects what a demuxer gives and checks each buffer on the way.
#[derive(Default)]
struct Seen {
    pieces: [Vec<Vec<u8>>; 2],
}

impl Seen {
    fn take(&mut self, pieces: Option<Pieces>) {
        let Some(pieces) = pieces else { return };
        let mut counted = [Tally::default(); 2];
        let tally = pieces.tally;
        let batch = manman_core::console::Batch::new(
            pieces.text,
            pieces.ends,
            pieces.runs,
            manman_core::console::Position::START,
            Default::default(),
        )
        .unwrap();
        for (channel, piece) in batch.pieces() {
            counted[channel.index()].bytes += piece.len() as u64;
            counted[channel.index()].lines += u64::from(piece.ends_with(b"\n"));
            self.pieces[channel.index()].push(piece.to_vec());
        }
        assert_eq!(tally, counted);
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::collection::vec(prop_oneof![4 => Just(b'a'), 1 => Just(b'\n'), 1 => any::<u8>()], 0..80);
    prop_oneof![
        8 => text,
        1 => (0..3 * MAX_PIECE).prop_map(|length| vec![b'x'; length]),
        1 => (MAX_PIECE - 2..MAX_PIECE + 2).prop_map(|length| {
            let mut line = vec![b'y'; length];
            line.push(b'\n');
            line
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_of_any_frames_gives_the_same_pieces(
        frames in prop::collection::vec((0u8..3, payload()), 0..40),
        cuts in prop::collection::vec(1usize..5000, 1..50),
    ) {
        let stream = framed(&frames);
        let mut naive = Naive::default();
        naive.frames(&frames);
        let (mut demux, mut scratch, mut seen) = (Demux::new(false), Scratch::default(), Seen::default());
        let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (read, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            seen.take(demux.feed(read, &mut scratch));
            rest = later;
        }
        prop_assert_eq!(demux.failure(), None);
        prop_assert!(demux.is_between_frames());
        prop_assert_eq!(&seen.pieces, &naive.pieces);
        prop_assert_eq!(demux.is_pending(), naive.line.iter().any(|line| !line.is_empty()));
        seen.take(demux.flush(&mut scratch));
        naive.flush();
        prop_assert_eq!(&seen.pieces, &naive.pieces);
    }

    #[test]
    fn a_tty_is_one_channel_without_headers(text in payload(), cut in 1usize..5000) {
        let mut naive = Naive::default();
        naive.frames(&[(1, text.clone())]);
        let (mut demux, mut scratch, mut seen) = (Demux::new(true), Scratch::default(), Seen::default());
        for read in text.chunks(cut) {
            seen.take(demux.feed(read, &mut scratch));
        }
        seen.take(demux.flush(&mut scratch));
        naive.flush();
        prop_assert_eq!(&seen.pieces, &naive.pieces);
    }

    #[test]
    fn nothing_that_comes_in_makes_it_panic_or_grow(reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
        for read in &reads {
            demux.feed(read, &mut scratch);
            prop_assert!(demux.retained() < 1 << 20);
        }
    }
}

#[test]
fn a_prompt_is_handed_out_and_its_line_goes_on() {
    let (mut demux, mut scratch, mut seen) = (Demux::new(false), Scratch::default(), Seen::default());
    seen.take(demux.feed(&framed(&[(1, b"> ".to_vec())]), &mut scratch));
    assert!(demux.is_pending());
    seen.take(demux.flush(&mut scratch));
    assert!(!demux.is_pending());
    seen.take(demux.feed(&framed(&[(1, b"help\n".to_vec())]), &mut scratch));
    assert_eq!(seen.pieces[0], [b"> ".to_vec(), b"help\n".to_vec()]);
}

/// Row 29 of the table of bad inputs: unknown stream, a length of 4 GiB, a header cut
/// off. The stream fails, what came before is kept, memory stays below 1 MiB.
#[test]
fn row_29_a_bad_frame_is_an_error_and_costs_no_memory() {
    let good = framed(&[(1, b"good\n".to_vec())]);
    let bad: [(&str, [u8; 8]); 4] = [
        ("unknown stream", [9, 0, 0, 0, 0, 0, 0, 5]),
        ("padding", [1, 0, 7, 0, 0, 0, 0, 5]),
        ("4 GiB", [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
        ("just over the cap", [2, 0, 0, 0, 1, 0, 0, 1]),
    ];
    for (name, header) in bad {
        for cut in 0..8 {
            let (mut demux, mut scratch, mut seen) = (Demux::new(false), Scratch::default(), Seen::default());
            let mut stream = good.clone();
            stream.extend_from_slice(&header);
            stream.extend_from_slice(&good);
            let (one, two) = stream.split_at(good.len() + cut);
            seen.take(demux.feed(one, &mut scratch));
            seen.take(demux.feed(two, &mut scratch));
            seen.take(demux.feed(&vec![b'x'; 1 << 20], &mut scratch));
            assert_eq!(demux.failure(), Some(&Desync::Header(header)), "{name}, cut {cut}");
            assert_eq!(seen.pieces[0], [b"good\n".to_vec()], "{name}, cut {cut}");
            assert!(demux.retained() < 1 << 20);
        }
    }
    let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
    demux.feed(&good[..5], &mut scratch);
    assert!(!demux.is_between_frames(), "the reader can tell that the stream broke off");
    assert_eq!(demux.failure(), None);
}

/// Row 30 of the table of bad inputs: a line of 1 GB, binary, without a newline. It is
/// cut, and memory stays bounded.
#[test]
fn row_30_an_endless_line_is_cut_and_costs_no_memory() {
    // The same megabyte, over and over: what is kept does not depend on how often.
    let megabytes = if std::env::var("MANMAN_TESTS").as_deref() == Ok("full") { 1024 } else { 64 };
    let binary: Vec<u8> = (0..1u32 << 20)
        .map(|i| if i % 256 == 10 { 11 } else { (i.wrapping_mul(2_654_435_761) >> 24) as u8 })
        .map(|byte| if byte == b'\n' { 0 } else { byte })
        .collect();
    let stream = framed(&[(1, binary)]);
    let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
    let (mut bytes, mut pieces) = (0, 0);
    for _ in 0..megabytes {
        for read in stream.chunks(64 << 10) {
            if let Some(cut) = demux.feed(read, &mut scratch) {
                assert!(cut.text.len() <= (64 << 10) + MAX_PIECE);
                bytes += cut.text.len();
                pieces += cut.ends.len();
            }
            assert!(demux.retained() < 1 << 20);
        }
    }
    assert_eq!(bytes, megabytes << 20);
    assert_eq!(pieces, bytes / MAX_PIECE);
}

#[test]
fn turns_of_two_long_lines_are_cheap() {
    // One byte a frame, in turns: were a carry moved at each turn, this would copy
    // gigabytes.
    let frames: Vec<_> = (0..200_000).map(|i| (1 + i % 2, vec![b'x'])).map(|(k, p)| (k as u8, p)).collect();
    let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
    let begun = std::time::Instant::now();
    for read in framed(&frames).chunks(64 << 10) {
        demux.feed(read, &mut scratch);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn an_error_of_the_engine_is_told_in_its_words() {
    let stream = framed(&[(1, b"x\n".to_vec()), (3, b"Error grabbing logs: EOF\n".to_vec())]);
    for cut in 0..stream.len() {
        let (mut demux, mut scratch) = (Demux::new(false), Scratch::default());
        demux.feed(&stream[..cut], &mut scratch);
        demux.feed(&stream[cut..], &mut scratch);
        let failure = demux.failure().unwrap();
        assert_eq!(failure.to_string(), "the engine says: Error grabbing logs: EOF");
    }
}
