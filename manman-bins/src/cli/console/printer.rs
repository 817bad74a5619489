//! Prints a console: the game's stdout to stdout, its stderr to stderr.
//!
//! What goes into a file or pipe goes there as it came, byte for byte. What goes to a
//! terminal goes line by line, cleaned; what there is of an unfinished line stands at
//! the bottom and is drawn again when other lines come.

use manman_core::clock::Timestamp;

use super::{
    follow::{Seen, source},
    gap::{gap_text, lag_text},
    join::{Joined, Joiner},
    record::records,
};
use crate::{
    api::{
        convert::timestamp_in,
        v1::{self, LogSource, stream_session_logs_response::What},
    },
    cli::{
        failure::Failure,
        output::{Cleaner, Screen, first_columns, harmless, last_columns, rows_above, width},
    },
};

/// Erases the line and goes to its beginning (ECMA-48, EL).
const ERASE: &str = "\r\x1b[K";

/// How a console is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Control characters are not touched.
    pub raw: bool,
    /// Lines begin with the time at which they were read.
    pub timestamps: bool,
    /// Stdout and stderr are one file: lines are kept whole in it.
    pub one_file: bool,
    /// Unfinished lines are shown at the bottom of a terminal.
    pub bottom: bool,
}

/// Prints a console.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    joiner: Joiner,
    cleaner: Cleaner,
    attempt: Option<u32>,
    /// What is to be written, and where to.
    waiting: Vec<u8>,
    waiting_for: LogSource,
    /// What whoever looks is typing, and the cursor's place in it.
    typed: Option<(String, usize)>,
    /// What stands at the bottom, before and behind the cursor, and has to go before the
    /// next line.
    drawn: Option<(String, String)>,
}

impl Printer {
    /// A printer for this screen.
    pub fn new(style: Style, screen: &Screen) -> Self {
        Self {
            style,
            joiner: Joiner::default(),
            cleaner: Cleaner::new(screen.has_colours()),
            attempt: None,
            waiting: Vec::new(),
            waiting_for: LogSource::Stdout,
            typed: None,
            drawn: None,
        }
    }

    /// Prints what came.
    pub fn seen(&mut self, screen: &mut Screen, seen: Seen) -> Result<(), Failure> {
        match seen {
            Seen::Console(what) if screen.is_json() => {
                let mut text = String::new();
                for record in records(&what) {
                    text.push_str(&format!("{record}\n"));
                }
                screen.write_out(text.as_bytes())?;
            }
            Seen::Console(What::Output(output)) => self.output(screen, &output)?,
            Seen::Console(What::Gap(gap)) => {
                self.cut(screen)?;
                self.mark(screen, &gap_text(&gap))?;
            }
            Seen::Console(What::Lagged(count)) => {
                self.cut(screen)?;
                self.mark(screen, &lag_text(count))?;
            }
            Seen::Away => self.mark(screen, "the connection was lost, trying again")?,
            Seen::Back => self.mark(screen, "connected again")?,
        }
        self.draw(screen)
    }

    /// Prints a marked line between the game's.
    pub fn mark(&mut self, screen: &mut Screen, text: &str) -> Result<(), Failure> {
        self.flush(screen)?;
        self.erase(screen)?;
        screen.mark(text)?;
        self.draw(screen)
    }

    /// Prints a line of ours between the game's, for whoever types.
    pub fn echo(&mut self, screen: &mut Screen, line: &str) -> Result<(), Failure> {
        self.flush(screen)?;
        self.erase(screen)?;
        screen.write_out(format!("{line}\n").as_bytes())?;
        self.draw(screen)
    }

    /// Shows what is being typed.
    pub fn typing(&mut self, screen: &mut Screen, typed: Option<(String, usize)>) -> Result<(), Failure> {
        self.typed = typed;
        self.erase(screen)?;
        self.draw(screen)
    }

    /// Prints what is left of unfinished lines, and takes the bottom line away.
    pub fn finish(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        self.typed = None;
        self.cut(screen)
    }

    fn output(&mut self, screen: &mut Screen, output: &v1::LogOutput) -> Result<(), Failure> {
        if self.attempt.is_some_and(|attempt| attempt != output.attempt) {
            self.cut(screen)?;
            screen.remark(format!("-- attempt {} --", output.attempt))?;
        }
        self.attempt = Some(output.attempt);
        let read_at = output.read_at.map(timestamp_in);
        for piece in &output.pieces {
            let source = source(piece);
            if self.is_straight(screen, source) {
                self.write(screen, source, &piece.text)?;
                continue;
            }
            let mut joiner = std::mem::take(&mut self.joiner);
            let shown = joiner.push(source, &piece.text, |line| self.line(screen, source, line, read_at));
            self.joiner = joiner;
            shown?;
        }
        self.flush(screen)
    }

    /// Whether bytes of this source are passed on as they come.
    fn is_straight(&self, screen: &Screen, source: LogSource) -> bool {
        !is_terminal(screen, source) && !self.style.one_file && !self.style.timestamps
    }

    fn line(
        &mut self,
        screen: &mut Screen,
        source: LogSource,
        line: Joined<'_>,
        read_at: Option<Timestamp>,
    ) -> Result<(), Failure> {
        let mut shown = Vec::with_capacity(line.text.len() + 1);
        if self.style.timestamps
            && let Some(read_at) = read_at
        {
            shown.extend_from_slice(format!("{read_at} ").as_bytes());
        }
        self.clean(screen, source, line.text, &mut shown);
        if line.ended || is_terminal(screen, source) {
            shown.push(b'\n');
        }
        self.write(screen, source, &shown)
    }

    fn clean(&mut self, screen: &Screen, source: LogSource, text: &[u8], to: &mut Vec<u8>) {
        if self.style.raw || !is_terminal(screen, source) {
            return to.extend_from_slice(text);
        }
        // A game that ends its lines as terminals in raw mode want them.
        self.cleaner.clean(text.strip_suffix(b"\r").unwrap_or(text), to);
    }

    /// Shows as lines what there is of unfinished ones: their rest will not come.
    fn cut(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            let rest = self.joiner.take(source);
            if !rest.is_empty() {
                self.line(screen, source, Joined { text: &rest, ended: false }, None)?;
            }
        }
        self.flush(screen)?;
        self.erase(screen)
    }

    /// Collects what goes to the same place, and keeps the order of what does not.
    fn write(&mut self, screen: &mut Screen, source: LogSource, bytes: &[u8]) -> Result<(), Failure> {
        if source != self.waiting_for {
            self.flush(screen)?;
            self.waiting_for = source;
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.erase(screen)?;
        let bytes = std::mem::take(&mut self.waiting);
        match self.waiting_for {
            LogSource::Stderr => screen.write_err(&bytes)?,
            _ => screen.write_out(&bytes)?,
        }
        Ok(())
    }

    fn erase(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let Some((left, right)) = self.drawn.take() else { return Ok(()) };
        let columns = screen.columns().unwrap_or(usize::MAX);
        if width(&left) + width(&right) <= columns {
            return Ok(screen.write_out(ERASE.as_bytes())?);
        }
        // The window has become narrower, and what filled one row now fills several: back
        // to the first of them, and away with all (CUU, ED).
        let up = match rows_above(&left, &right, columns) {
            0 => String::new(),
            rows => format!("\x1b[{rows}A"),
        };
        Ok(screen.write_out(format!("{up}\r\x1b[J").as_bytes())?)
    }

    /// Draws the bottom line: an unfinished line of the game, and what is being typed.
    fn draw(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let Some(columns) = screen.columns() else { return Ok(()) };
        if self.drawn.is_some() || !self.style.bottom {
            return Ok(());
        }
        let mut left = self.unfinished();
        let mut right = String::new();
        if let Some((typed, cursor)) = &self.typed {
            if left.is_empty() {
                left.push_str("> ");
            }
            let at = typed.char_indices().nth(*cursor).map_or(typed.len(), |(at, _)| at);
            left.push_str(&typed[..at]);
            right.push_str(&typed[at..]);
        }
        if left.is_empty() && right.is_empty() {
            return Ok(());
        }
        // One column stays free: a full line would wrap and could not be erased.
        let left = last_columns(&left, columns.saturating_sub(1));
        let right = first_columns(&right, columns.saturating_sub(1 + width(left)));
        let mut line = format!("{left}{right}");
        // Going back by none would go back by one.
        if width(right) > 0 {
            line.push_str(&format!("\x1b[{}D", width(right)));
        }
        self.drawn = Some((left.to_owned(), right.to_owned()));
        Ok(screen.write_out(line.as_bytes())?)
    }

    fn unfinished(&self) -> String {
        let of = |source| {
            let pending = self.joiner.pending(source);
            // Its end is what whoever types has to see.
            let pending = &pending[pending.len().saturating_sub(4096)..];
            harmless(&String::from_utf8_lossy(pending))
        };
        let out = of(LogSource::Stdout);
        if out.is_empty() { of(LogSource::Stderr) } else { out }
    }
}

fn is_terminal(screen: &Screen, source: LogSource) -> bool {
    match source {
        LogSource::Stderr => screen.err_is_terminal(),
        _ => screen.out_is_terminal(),
    }
}

#[cfg(test)]
#[path = "printer_tests.rs"]
mod tests;
