//! A console for programs and pipes: each line of stdin is written, and what the game
//! prints is printed until stdin has ended and the game was quiet for a while.

use std::io::{BufRead as _, Read as _};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    follow::{Follower, begin},
    input::Writer,
    printer::{Printer, Style},
    terminal,
};
use crate::cli::{failure::Failure, grammar::ConsoleArgs, verbs::Context};

/// A line of stdin is cut here; the API takes less.
const LONGEST_LINE: u64 = 64 * 1024;

/// Writes lines and prints what comes.
pub async fn run(
    context: &mut Context,
    session: i64,
    args: &ConsoleArgs,
    mut lines: mpsc::Receiver<String>,
) -> Result<(), Failure> {
    let style = Style { raw: args.raw, one_file: terminal::outputs_are_one_file(), ..Style::default() };
    let mut printer = Printer::new(style, &context.screen);
    let begin = begin(Some(args.lines.unwrap_or(0)), None);
    let mut follower = Follower::new(context.client.clone(), session, begin, true);
    // First to listen, then to speak: the answer to the first line is seen too.
    follower.open().await?;
    let mut writer = Writer::new(context.client.clone(), session);
    let (mut written, mut refused) = (0u64, 0u64);
    let mut has_more = true;
    let mut quiet_since = Instant::now();
    loop {
        let may_leave = !has_more && writer.is_idle();
        tokio::select! {
            seen = follower.next() => {
                let Some(seen) = seen? else { break };
                printer.seen(&mut context.screen, seen)?;
                quiet_since = Instant::now();
            }
            receipt = writer.receipt() => {
                match receipt.complaint() {
                    None => written += 1,
                    Some(complaint) => {
                        refused += 1;
                        printer.mark(&mut context.screen, &complaint)?;
                    }
                }
                quiet_since = Instant::now();
            }
            line = lines.recv(), if has_more && writer.has_room() => match line {
                Some(line) => writer.write(line),
                None => {
                    has_more = false;
                    quiet_since = Instant::now();
                }
            },
            () = sleep_until(quiet_since + args.wait), if may_leave => break,
        }
    }
    printer.finish(&mut context.screen)?;
    if refused > 0 {
        return Err(Failure::failed(format!("{refused} of {} lines were not written", written + refused))
            .detail("session", session)
            .detail("written", written)
            .detail("not_written", refused));
    }
    if has_more {
        context.screen.remark(format!("-- session {session} has ended --"))?;
    }
    Ok(())
}

/// The lines of stdin. Read on a thread of its own that nobody waits for: a read from a
/// terminal cannot be called off.
pub fn of_stdin() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match stdin.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.is_empty() && to.blocking_send(String::from_utf8_lossy(text).into_owned()).is_err() {
                return;
            }
        }
    });
    lines
}
