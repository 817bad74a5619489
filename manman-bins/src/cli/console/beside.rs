//! A console beside other output: whole lines, harmless, each marked as the game's.

use super::{
    follow::source,
    gap::{gap_text, lag_text},
    join::{Joined, Joiner},
};
use crate::{
    api::v1::{LogSource, stream_session_logs_response::What},
    cli::output::harmless,
};

/// Makes lines of a console that is shown beside other output.
#[derive(Debug)]
pub struct Beside {
    name: &'static str,
    joiner: Joiner,
}

impl Beside {
    /// The console of what is called `name`.
    pub fn new(name: &'static str) -> Self {
        Self { name, joiner: Joiner::default() }
    }

    /// The lines that are whole now that `what` has come.
    pub fn lines(&mut self, what: &What) -> Vec<String> {
        let mut lines = Vec::new();
        match what {
            What::Output(output) => {
                for piece in &output.pieces {
                    let name = self.name;
                    let shown = self.joiner.push(source(piece), &piece.text, |line: Joined<'_>| {
                        lines.push(marked(name, line.text));
                        Ok::<_, std::convert::Infallible>(())
                    });
                    let Ok(()) = shown;
                }
            }
            What::Gap(gap) => {
                self.cut(&mut lines);
                lines.push(format!("{}: {}", self.name, gap_text(gap)));
            }
            What::Lagged(count) => {
                self.cut(&mut lines);
                lines.push(format!("{}: {}", self.name, lag_text(*count)));
            }
        }
        lines
    }

    /// What there is of lines whose rest is missing.
    fn cut(&mut self, lines: &mut Vec<String>) {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let rest = self.joiner.take(source);
            if !rest.is_empty() {
                lines.push(marked(self.name, &rest));
            }
        }
    }
}

fn marked(name: &str, line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    format!("{name} | {}", harmless(text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1;

    fn output(pieces: &[&str]) -> What {
        let piece =
            |text: &&str| v1::LogPiece { source: LogSource::Stdout.into(), text: text.as_bytes().to_vec() };
        What::Output(v1::LogOutput { pieces: pieces.iter().map(piece).collect(), ..Default::default() })
    }

    #[test]
    fn lines_are_whole_and_cannot_drive_the_terminal() {
        let mut beside = Beside::new("demo");
        assert_eq!(beside.lines(&output(&["a\u{1b}[2J", "b\r\nc"])), ["demo | a^[[2Jb"]);
        assert_eq!(beside.lines(&output(&["d\n"])), ["demo | cd"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut beside = Beside::new("demo");
        assert_eq!(beside.lines(&output(&["half"])), Vec::<String>::new());
        let gap = v1::LogGap { lines: Some(3), ..Default::default() };
        assert_eq!(beside.lines(&What::Gap(gap)), ["demo | half", "demo: gap: 3 lines missing here"]);
        assert_eq!(
            beside.lines(&What::Lagged(2)),
            ["demo: gap: 2 pieces came too fast for this viewer and were passed over"]
        );
    }
}
