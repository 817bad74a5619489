//! The two outputs of the program, and what is known about who reads them.

use std::io::{self, IsTerminal as _, Write};

use prost::{Message, Name};
use rustix::termios::tcgetwinsize;

use super::looks::{Colour, Looks};
use crate::cli::{failure::Failure, grammar::Format, json};

/// Stdout and stderr.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    out_is_terminal: bool,
    err_is_terminal: bool,
    columns: Columns,
    looks: Looks,
    format: Format,
    /// Whether a line is shown on stderr that gives way to whatever is written.
    line: bool,
    /// Whether what is done goes on where nobody reads any more.
    unread: bool,
}

/// Erases the line and goes to its beginning (ECMA-48, EL).
pub const ERASE: &str = "\r\x1b[K";

/// How wide the terminals are.
enum Columns {
    None,
    OfTerminal,
    #[cfg(test)]
    Fixed(usize),
}

impl Screen {
    /// The process's own stdout and stderr; with `looks` as far as they are terminals.
    pub fn of_process(format: Format, looks: Looks) -> Self {
        let out_is_terminal = io::stdout().is_terminal();
        Self {
            out_is_terminal,
            columns: if out_is_terminal { Columns::OfTerminal } else { Columns::None },
            err_is_terminal: io::stderr().is_terminal(),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            looks,
            format,
            line: false,
            unread: false,
        }
    }

    /// From here on nobody reading any more is no error: what is done is done to its end, and
    /// its exit code is that of the deed.
    pub fn unread_too(&mut self) {
        self.unread = true;
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether people read stdout on a terminal.
    pub fn out_is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// Whether people read stderr on a terminal.
    pub fn err_is_terminal(&self) -> bool {
        self.err_is_terminal
    }

    /// The width of the terminal that people read stdout on.
    pub fn columns(&self) -> Option<usize> {
        match &self.columns {
            Columns::None => None,
            #[cfg(test)]
            Columns::Fixed(columns) => Some(*columns),
            Columns::OfTerminal => {
                // It changes; some terminals do not know.
                let columns = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
                Some(if columns == 0 { 80 } else { columns })
            }
        }
    }

    /// The width of the terminal that people read stderr on.
    fn err_columns(&self) -> usize {
        match &self.columns {
            #[cfg(test)]
            Columns::Fixed(columns) => *columns,
            _ => {
                let columns = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
                if columns == 0 { 80 } else { columns }
            }
        }
    }

    /// Whether colours are wanted on stdout.
    pub fn has_colours(&self) -> bool {
        self.looks.colours && self.out_is_terminal
    }

    /// Whether somebody sits at stdout whose terminal moves and erases.
    pub fn is_lively(&self) -> bool {
        self.looks.escapes && self.out_is_terminal && !self.is_json()
    }

    /// Shows a line on stderr in the place of the one before, until something else is
    /// written; for terminals that can. `make` is told how many columns there are.
    pub fn line(&mut self, make: impl FnOnce(usize) -> String) -> io::Result<()> {
        if !self.looks.escapes || !self.err_is_terminal || self.is_json() {
            return Ok(());
        }
        // In the last column some terminals go to the next line at once.
        let text = make(self.err_columns().saturating_sub(1));
        self.line = true;
        self.put_err(format!("{ERASE}{text}").as_bytes())
    }

    /// Takes that line away.
    pub fn wipe(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.line) {
            self.put_err(ERASE.as_bytes())?;
        }
        Ok(())
    }

    fn put_err(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.err.write_all(bytes).and_then(|()| self.err.flush());
        read_or_not(written, self.unread)
    }

    /// Writes bytes to stdout and hands them on at once.
    pub fn write_out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wipe()?;
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        read_or_not(written, self.unread)
    }

    /// Writes bytes to stderr and hands them on at once.
    pub fn write_err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wipe()?;
        self.put_err(bytes)
    }

    /// Prints one line of text for people; nothing if JSON was asked for.
    pub fn say(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        if self.is_json() {
            return Ok(());
        }
        Ok(self.write_out(format!("{}\n", line.as_ref()).as_bytes())?)
    }

    /// Prints text for people as it is; nothing if JSON was asked for.
    pub fn print(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.is_json() {
            return Ok(());
        }
        Ok(self.write_out(text.as_ref().as_bytes())?)
    }

    /// A remark for people beside the answer, on stderr, if that is a terminal.
    pub fn remark(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        if !self.err_is_terminal {
            return Ok(());
        }
        let line =
            if self.looks.colours { Colour::Dim.paint(line.as_ref()) } else { line.as_ref().to_owned() };
        Ok(self.write_err(format!("{line}\n").as_bytes())?)
    }

    /// Something that a reader of the output has to know: a marked line on stderr, always.
    pub fn mark(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        let line = format!("-- {} --", text.as_ref());
        let line =
            if self.looks.colours && self.err_is_terminal { Colour::Yellow.paint(&line) } else { line };
        Ok(self.write_err(format!("{line}\n").as_bytes())?)
    }

    /// Prints a message of the API, if JSON was asked for.
    pub fn message<M: Message + Name>(&mut self, message: &M) -> Result<(), Failure> {
        self.value(&json::write(message))
    }

    /// Prints a value, if JSON was asked for.
    pub fn value(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        if !self.is_json() {
            return Ok(());
        }
        // People look at it too; programs do not care.
        let text = format!("{value:#}\n");
        Ok(self.write_out(text.as_bytes())?)
    }

    /// `text` in a colour, if stdout shows colours.
    pub fn coloured(&self, colour: Colour, text: &str) -> String {
        if self.has_colours() { colour.paint(text) } else { text.to_owned() }
    }

    /// `text` in red, if stderr shows colours.
    pub fn red_err(&self, text: &str) -> String {
        if self.looks.colours && self.err_is_terminal { Colour::Red.paint(text) } else { text.to_owned() }
    }
}

/// What was written, where nobody reading may be no error.
fn read_or_not(written: io::Result<()>, unread: bool) -> io::Result<()> {
    match written {
        Err(error) if unread && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("format", &self.format).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub use captured::Captured;

#[cfg(test)]
mod captured {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written to a screen of a test.
    #[derive(Clone, Default)]
    pub struct Captured {
        out: Arc<Mutex<Vec<u8>>>,
        err: Arc<Mutex<Vec<u8>>>,
    }

    struct Into(Arc<Mutex<Vec<u8>>>);

    impl Write for Into {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Captured {
        /// What stdout got.
        pub fn out(&self) -> String {
            String::from_utf8(self.out.lock().unwrap().clone()).unwrap()
        }

        /// What stderr got.
        pub fn err(&self) -> String {
            String::from_utf8(self.err.lock().unwrap().clone()).unwrap()
        }
    }

    impl Screen {
        /// A screen that keeps what is written: no terminal, no colours, for people.
        pub fn captured() -> (Self, Captured) {
            let kept = Captured::default();
            let screen = Self {
                out: Box::new(Into(kept.out.clone())),
                err: Box::new(Into(kept.err.clone())),
                out_is_terminal: false,
                err_is_terminal: false,
                columns: Columns::None,
                looks: Looks { colours: false, escapes: true },
                format: Format::Table,
                line: false,
                unread: false,
            };
            (screen, kept)
        }

        /// The same, for programs.
        pub fn json(self) -> Self {
            Self { format: Format::Json, ..self }
        }

        /// The same, as if it were a terminal.
        pub fn terminal(self) -> Self {
            Self { out_is_terminal: true, err_is_terminal: true, columns: Columns::Fixed(1_000), ..self }
        }

        /// The same, as if it were a terminal that moves and erases nothing.
        pub fn dumb(self) -> Self {
            Self { looks: Looks::default(), ..self }
        }

        /// The same, as if it were a terminal of this width.
        pub fn columns_of(self, columns: usize) -> Self {
            Self { columns: Columns::Fixed(columns), ..self.terminal() }
        }
    }
}
