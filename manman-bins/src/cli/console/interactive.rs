//! A console for somebody at a terminal: output above, the line being typed below.

use tokio::signal::unix::{SignalKind, signal};

use super::{
    editor::{Edit, Editor},
    follow::{Follower, begin},
    input::Writer,
    logs::ended,
    printer::{Printer, Style},
    terminal::Keys,
};
use crate::cli::{
    failure::Failure,
    grammar::ConsoleArgs,
    output::Screen,
    verbs::{Context, status_of},
};

/// Follows a console and writes what is typed.
pub async fn run(context: &mut Context, session: i64, args: &ConsoleArgs) -> Result<(), Failure> {
    let style = Style { raw: args.raw, bottom: true, ..Style::default() };
    let printer = Printer::new(style, &context.screen);
    let begin = begin(Some(args.lines.unwrap_or(20)), None);
    let follower = Follower::new(context.client.clone(), session, begin, true);
    let writer = Writer::new(context.client.clone(), session);
    context.screen.remark(format!("-- session {session}; Ctrl-D or Ctrl-] leaves, the game goes on --"))?;
    let keys = Keys::take().map_err(unusable)?;
    let mut desk = Desk { printer, follower, writer, keys, editor: Editor::default() };
    let left = desk.sit(&mut context.screen).await;
    let Desk { mut printer, keys, .. } = desk;
    let cleared = printer.finish(&mut context.screen);
    // The terminal is as it was before anything more is said.
    drop(keys);
    cleared?;
    if left? == Left::Ended {
        let session = status_of(&context.client, session).await?;
        context.screen.remark(ended(&session))
    } else {
        context.screen.remark(format!("-- left; session {session} goes on --"))
    }
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The session has ended and all is shown.
    Ended,
    /// Whoever sat there has gone.
    Gone,
}

/// What somebody at a terminal has before them.
struct Desk {
    printer: Printer,
    follower: Follower,
    writer: Writer,
    keys: Keys,
    editor: Editor,
}

impl Desk {
    /// Shows what comes and sends what is typed, until one or the other is over.
    async fn sit(&mut self, screen: &mut Screen) -> Result<Left, Failure> {
        let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
        // Ctrl-C comes as a key; this one comes from elsewhere.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(unusable)?;
        let mut resized = signal(SignalKind::window_change()).map_err(unusable)?;
        self.printer.typing(screen, Some(self.editor.shown()))?;
        loop {
            tokio::select! {
                seen = self.follower.next() => match seen? {
                    Some(seen) => self.printer.seen(screen, seen)?,
                    None => return Ok(Left::Ended),
                },
                receipt = self.writer.receipt() => {
                    if let Some(complaint) = receipt.complaint() {
                        self.printer.mark(screen, &complaint)?;
                    }
                }
                typed = self.keys.next(), if self.writer.has_room() => {
                    let Some(typed) = typed else { return Ok(Left::Gone) };
                    for edit in self.editor.feed(&typed) {
                        match edit {
                            Edit::Line(line) => {
                                self.printer.typing(screen, None)?;
                                self.printer.echo(screen, &format!("> {line}"))?;
                                self.writer.write(line);
                            }
                            Edit::Leave => return Ok(Left::Gone),
                        }
                    }
                    self.printer.typing(screen, Some(self.editor.shown()))?;
                }
                _ = resized.recv() => self.printer.typing(screen, Some(self.editor.shown()))?,
                _ = terminate.recv() => return Ok(Left::Gone),
                _ = interrupt.recv() => return Ok(Left::Gone),
                _ = hangup.recv() => return Ok(Left::Gone),
            }
        }
    }
}

fn unusable(error: std::io::Error) -> Failure {
    Failure::failed(format!("the terminal cannot be used: {error}"))
}
