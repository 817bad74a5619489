//! A console for programs and pipes: each line of stdin is written, and what the game
//! prints is printed until stdin has ended and the game was quiet for a while.

use std::io::{self, BufRead, Read as _};

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

/// The longest line of stdin that is taken, its end included; the API takes less.
const LONGEST_LINE: u64 = 64 * 1024;

/// What stdin has.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Text(String),
    /// One that no game takes; none of it is written.
    TooLong,
    /// It cannot be read any more, and why.
    Failed(String),
}

/// Writes lines and prints what comes.
pub async fn run(
    context: &mut Context,
    session: i64,
    args: &ConsoleArgs,
    mut lines: mpsc::Receiver<Line>,
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
    let mut broken = None;
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
                Some(Line::Text(line)) => writer.write(line),
                Some(Line::TooLong) => {
                    refused += 1;
                    let complaint = format!("not written: a line of more than {} KiB", LONGEST_LINE / 1024);
                    printer.mark(&mut context.screen, &complaint)?;
                }
                Some(Line::Failed(why)) => broken = Some(why),
                None => {
                    has_more = false;
                    quiet_since = Instant::now();
                }
            },
            () = sleep_until(quiet_since + args.wait), if may_leave => break,
        }
    }
    printer.finish(&mut context.screen)?;
    if let Some(why) = broken {
        return Err(Failure::failed(format!("stdin cannot be read: {why}"))
            .detail("session", session)
            .detail("written", written)
            .detail("not_written", refused));
    }
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
pub fn of_stdin() -> mpsc::Receiver<Line> {
    let (to, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let (line, is_last) = match next(&mut stdin) {
                Ok(None) => return,
                Ok(Some(line)) => (line, false),
                Err(error) => (Line::Failed(error.to_string()), true),
            };
            let is_empty = matches!(&line, Line::Text(text) if text.is_empty());
            if !is_empty && to.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    lines
}

/// The next line; `None` at the end. One that is too long is read to its end, so that its
/// tail is not taken for a line of its own.
fn next(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    if input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") && input.skip_until(b'\n')? > 0 {
        return Ok(Some(Line::TooLong));
    }
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Ok(Some(Line::Text(String::from_utf8_lossy(text).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_one_line() {
        let long = "x".repeat(2 * 64 * 1024);
        let text = format!("one\r\n{long}stop\n\ntwo");
        let mut input = text.as_bytes();
        let mut lines = Vec::new();
        while let Some(line) = next(&mut input).unwrap() {
            lines.push(line);
        }
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(lines, [text("one"), Line::TooLong, text(""), text("two")]);
    }

    #[test]
    fn what_cannot_be_read_is_not_an_end() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        assert_eq!(next(&mut io::BufReader::new(Broken)).unwrap_err().to_string(), "gone");
    }
}
