//! A console for somebody at a terminal: output above, the line being typed below.

use tokio::signal::unix::{SignalKind, signal};

use super::{
    editor::{Edit, Editor},
    follow::{Follower, begin},
    input::Writer,
    logs::ended,
    printer::{Printer, Style},
    terminal::{self, Keys},
};
use crate::cli::{
    failure::Failure,
    grammar::ConsoleArgs,
    verbs::{Context, status_of},
};

/// Follows a console and writes what is typed.
pub async fn run(context: &mut Context, session: i64, args: &ConsoleArgs) -> Result<(), Failure> {
    let style = Style { raw: args.raw, columns: terminal::columns(), ..Style::default() };
    let mut printer = Printer::new(style, &context.screen);
    let begin = begin(Some(args.lines.unwrap_or(20)), None);
    let mut follower = Follower::new(context.client.clone(), session, begin, true);
    let mut writer = Writer::new(context.client.clone(), session);
    let mut editor = Editor::default();
    let failed = |error| Failure::failed(format!("the terminal cannot be used: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    context.screen.remark(format!("-- session {session}; Ctrl-D or Ctrl-] leaves, the game goes on --"))?;
    let mut keys = Keys::take().map_err(failed)?;
    printer.typing(&mut context.screen, Some(editor.shown()))?;
    let has_ended = loop {
        tokio::select! {
            seen = follower.next() => match seen? {
                Some(seen) => printer.seen(&mut context.screen, seen)?,
                None => break true,
            },
            receipt = writer.receipt() => {
                if let Some(complaint) = receipt.complaint() {
                    printer.mark(&mut context.screen, &complaint)?;
                }
            }
            typed = keys.next(), if writer.has_room() => {
                let Some(typed) = typed else { break false };
                let mut leave = false;
                for edit in editor.feed(&typed) {
                    match edit {
                        Edit::Line(line) => {
                            printer.echo(&mut context.screen, &format!("> {line}"))?;
                            writer.write(line);
                        }
                        Edit::Leave => leave = true,
                    }
                }
                if leave {
                    break false;
                }
                printer.typing(&mut context.screen, Some(editor.shown()))?;
            }
            _ = resized.recv() => {
                printer.resized(terminal::columns());
                printer.typing(&mut context.screen, Some(editor.shown()))?;
            }
            _ = terminate.recv() => break false,
            _ = hangup.recv() => break false,
        }
    };
    printer.finish(&mut context.screen)?;
    drop(keys);
    if has_ended {
        let session = status_of(&context.client, session).await?;
        context.screen.remark(ended(&session))
    } else {
        context.screen.remark(format!("-- left; session {session} goes on --"))
    }
}
