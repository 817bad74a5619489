//! A console for somebody at a terminal: output above, the line being typed below.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

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

/// How long each line that was typed may take to be written once somebody leaves.
const LAST_LINE: Duration = Duration::from_secs(5);

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
    desk.hand_in(&mut context.screen).await;
    let Desk { mut printer, keys, writer, .. } = desk;
    let cleared = printer.finish(&mut context.screen);
    // The terminal is as it was before anything more is said.
    drop(keys);
    cleared?;
    if left? == Left::Ended {
        let session = status_of(&context.client, session).await?;
        context.screen.remark(ended(&session))?;
    } else {
        context.screen.remark(format!("-- left; session {session} goes on --"))?;
    }
    match writer.left() {
        left if left.is_empty() => Ok(()),
        left => Err(Failure::failed("not all that was typed was written in time")
            .problems(left)
            .detail("session", session)),
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

    /// Waits until what was typed is written: it was shown as sent. Who leaves once more does
    /// not wait for that.
    async fn hand_in(&mut self, screen: &mut Screen) {
        let mut until = Instant::now() + LAST_LINE;
        let mut is_there = true;
        // A screen that has gone is no reason to drop what was typed.
        let _ = self.printer.typing(screen, None);
        if !self.writer.is_idle() {
            let _ = self.printer.mark(screen, "writing what was typed; once more leaves at once");
        }
        while !self.writer.is_idle() {
            tokio::select! {
                receipt = self.writer.receipt() => {
                    until = Instant::now() + LAST_LINE;
                    if let Some(complaint) = receipt.complaint() {
                        let _ = self.printer.mark(screen, &complaint);
                    }
                }
                typed = self.keys.next(), if is_there => match typed {
                    None => is_there = false,
                    Some(typed) if self.editor.feed(&typed).contains(&Edit::Leave) => return,
                    Some(_) => {}
                },
                () = sleep_until(until) => return,
            }
        }
    }
}

fn unusable(error: std::io::Error) -> Failure {
    Failure::failed(format!("the terminal cannot be used: {error}"))
}
