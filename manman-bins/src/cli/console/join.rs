//! Joins the pieces of a console to lines.

use crate::api::v1::LogSource;

/// The most of an unfinished line that is held; a longer one is shown in parts.
const LONGEST: usize = 1 << 20;

/// Joins pieces to lines, for each source by itself. A line is whole when its newline
/// has come; how it was cut into pieces makes no difference.
#[derive(Debug, Default)]
pub struct Joiner {
    pending: [Vec<u8>; 2],
}

/// A line, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined<'a> {
    /// Its text without a newline.
    pub text: &'a [u8],
    /// Whether its newline has come.
    pub ended: bool,
}

impl Joiner {
    /// Takes a piece of `source`, and hands `show` what is complete now.
    pub fn push<E>(
        &mut self,
        source: LogSource,
        mut piece: &[u8],
        mut show: impl FnMut(Joined<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let pending = &mut self.pending[index(source)];
        while let Some(end) = piece.iter().position(|&b| b == b'\n') {
            let (text, rest) = piece.split_at(end);
            piece = &rest[1..];
            if pending.is_empty() {
                show(Joined { text, ended: true })?;
            } else {
                pending.extend_from_slice(text);
                let line = std::mem::take(pending);
                show(Joined { text: &line, ended: true })?;
            }
        }
        if pending.len() + piece.len() > LONGEST {
            let part = std::mem::take(pending);
            if !part.is_empty() {
                show(Joined { text: &part, ended: false })?;
            }
        }
        pending.extend_from_slice(piece);
        Ok(())
    }

    /// What there is of a line whose newline has not come.
    pub fn pending(&self, source: LogSource) -> &[u8] {
        &self.pending[index(source)]
    }

    /// Takes what there is of a line whose newline will not come.
    pub fn take(&mut self, source: LogSource) -> Vec<u8> {
        std::mem::take(&mut self.pending[index(source)])
    }
}

fn index(source: LogSource) -> usize {
    usize::from(source == LogSource::Stderr)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(pieces: &[(LogSource, Vec<u8>)]) -> [Vec<(Vec<u8>, bool)>; 2] {
        let mut joiner = Joiner::default();
        let mut lines: [Vec<(Vec<u8>, bool)>; 2] = Default::default();
        for (source, piece) in pieces {
            let show = |line: Joined<'_>| {
                lines[index(*source)].push((line.text.to_vec(), line.ended));
                Ok::<_, ()>(())
            };
            joiner.push(*source, piece, show).unwrap();
        }
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let rest = joiner.take(source);
            if !rest.is_empty() {
                lines[index(source)].push((rest, false));
            }
        }
        lines
    }

    /// Cuts `text` at these places.
    fn cut(text: &[u8], places: &[prop::sample::Index]) -> Vec<Vec<u8>> {
        let mut places: Vec<usize> = places.iter().map(|place| place.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| text[pair[0]..pair[1]].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn how_a_line_was_cut_makes_no_difference(
            out in "[a-c\n]{0,80}", err in "[x-z\n]{0,80}",
            out_places: Vec<prop::sample::Index>, err_places: Vec<prop::sample::Index>,
            turns: Vec<bool>,
        ) {
            let mut outs = cut(out.as_bytes(), &out_places).into_iter().map(|piece| (LogSource::Stdout, piece));
            let mut errs = cut(err.as_bytes(), &err_places).into_iter().map(|piece| (LogSource::Stderr, piece));
            let mut pieces = Vec::new();
            for turn in turns {
                pieces.extend(if turn { outs.next() } else { errs.next() });
            }
            pieces.extend(outs);
            pieces.extend(errs);
            let lines = joined(&pieces);
            for (text, lines) in [(&out, &lines[0]), (&err, &lines[1])] {
                let mut whole = text.split('\n').map(|line| (line.as_bytes().to_vec(), true)).collect::<Vec<_>>();
                // What follows the last newline is no ended line, and none at all if empty.
                let last = whole.pop().unwrap_or_default().0;
                if !last.is_empty() {
                    whole.push((last, false));
                }
                prop_assert_eq!(lines, &whole);
            }
        }
    }

    #[test]
    fn a_line_without_end_is_shown_in_parts() {
        let piece = (LogSource::Stdout, vec![b'x'; 32 * 1024]);
        let mut pieces = vec![piece; 100];
        pieces.push((LogSource::Stdout, b"y\n".to_vec()));
        let [lines, _] = joined(&pieces);
        assert!(lines.iter().all(|(text, _)| text.len() <= LONGEST));
        assert_eq!(lines.iter().filter(|(_, ended)| *ended).count(), 1);
        assert_eq!(lines.iter().map(|(text, _)| text.len()).sum::<usize>(), 100 * 32 * 1024 + 1);
    }
}
