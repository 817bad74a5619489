//! The console: exact, whoever reads it, whenever.

use super::*;
use crate::{
    console::MAX_PIECE,
    id::{AttemptId, SessionId},
};

/// What [`Game::Counter`] prints to a channel.
fn counted(channel: Channel, lines: u32, same: bool) -> Vec<u8> {
    let word = if channel == Channel::Stdout { "out" } else { "err" };
    let line = |n| if same { "tick\n".to_owned() } else { format!("{word} {n}\n") };
    (1..=lines).flat_map(|n| line(n).into_bytes()).collect()
}

fn assert_counted(screen: &Screen, lines: u32, same: bool) {
    for channel in Channel::BOTH {
        let (shown, printed) = (screen.text(channel), counted(channel, lines, same));
        let first = shown.iter().zip(&printed).position(|(shown, printed)| shown != printed);
        assert!(
            shown == printed,
            "{channel}: {} of {} bytes, the first difference is at {first:?}",
            shown.len(),
            printed.len()
        );
    }
    assert_eq!(screen.gaps, []);
}

/// "Opened between `create` and `start`, it shows every byte."
pub async fn opened_before_start_shows_every_byte(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: 2000, pause: Duration::ZERO, same: false, exit: 0 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    screen.to_end().await;
    assert_counted(&screen, 2000, false);
    gone(&runtime, &spec).await;
}

/// "The attempt's console from just after `after`, or from its beginning."
pub async fn opened_late_shows_the_beginning_too(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: 400, pause: Duration::from_millis(2), same: false, exit: 0 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut early = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    early.until_line(Channel::Stdout, "out 50").await;
    let mut late = Screen::open(&fixture.runtime().await, spec.run).await;
    late.to_end().await;
    assert_counted(&late, 400, false);
    gone(&runtime, &spec).await;
}

async fn resumed_is_exact(fixture: &dyn RuntimeFixture, same: bool) {
    const LINES: u32 = 600;
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: LINES, pause: Duration::from_millis(3), same, exit: 0 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut kept = Screen::open(&runtime, spec.run).await;
    // Watches all the time, so that it can be told what the other one misses.
    let mut witness = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    let bytes = |lines| counted(Channel::Stdout, lines, same).len();
    for (until, away) in [(20, 60), (110, 111), (200, 350), (400, 401)] {
        kept.until_bytes(Channel::Stdout, bytes(until)).await;
        let resumed = async {
            witness.until_bytes(Channel::Stdout, bytes(away)).await;
            fixture.runtime().await
        };
        // The old reader is gone before the game goes on printing, the new one comes after.
        let (pieces, marks) = (kept.pieces.clone(), kept.marks.clone());
        drop(kept);
        let successor = resumed.await;
        kept = Screen::resume(&successor, spec.run, pieces, marks.last().map(|&(_, at)| at)).await;
    }
    kept.to_end().await;
    witness.to_end().await;
    assert_counted(&witness, LINES, same);
    assert_counted(&kept, LINES, same);
    gone(&runtime, &spec).await;
}

/// "Opened later, also by another process, it shows what came after the position: nothing
/// lost, nothing doubled"
pub async fn resumed_by_another_process_is_exact(fixture: &dyn RuntimeFixture) {
    resumed_is_exact(fixture, false).await;
}

/// "nothing lost, nothing doubled", also where all lines are alike.
pub async fn resumed_among_identical_lines_is_exact(fixture: &dyn RuntimeFixture) {
    resumed_is_exact(fixture, true).await;
}

/// "it shows what came after the position", whichever that is.
pub async fn every_position_resumes(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: 60, pause: Duration::from_millis(3), same: true, exit: 0 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    screen.to_end().await;
    assert_counted(&screen, 60, true);
    let step = screen.marks.len().div_ceil(6).max(1);
    for &(pieces, position) in screen.marks.iter().step_by(step) {
        let kept = screen.pieces[..pieces].to_vec();
        let mut rest = Screen::resume(&runtime, spec.run, kept, Some(position)).await;
        rest.to_end().await;
        assert_counted(&rest, 60, true);
    }
    gone(&runtime, &spec).await;
}

/// "Of one that has ended it shows the rest and ends."
pub async fn of_the_ended_shows_the_rest_and_ends(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: 200, pause: Duration::from_millis(2), same: false, exit: 3 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    screen.until_line(Channel::Stderr, "err 30").await;
    let (pieces, marks) = (screen.pieces.clone(), screen.marks.clone());
    drop(screen);
    ended(&runtime, &spec).await;
    runtime.retire(spec.run).await.unwrap();
    let successor = fixture.runtime().await;
    let position = marks.last().map(|&(_, at)| at);
    let mut rest = Screen::resume(&successor, spec.run, pieces, position).await;
    rest.to_end().await;
    assert_counted(&rest, 200, false);
    let mut all = Screen::open(&successor, spec.run).await;
    all.to_end().await;
    assert_counted(&all, 200, false);
    gone(&runtime, &spec).await;
}

/// "nothing doubled": after the last position nothing is shown but the end.
pub async fn at_its_end_shows_nothing_more(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: 10, pause: Duration::ZERO, same: true, exit: 0 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    screen.to_end().await;
    let kept = screen.pieces.len();
    let mut again = screen.by_another(&fixture.runtime().await).await;
    again.to_end().await;
    assert_eq!(again.pieces.len(), kept);
    assert_counted(&again, 10, true);
    gone(&runtime, &spec).await;
}

/// "`NotFound` if there is no container of it."
pub async fn of_nothing_is_not_found(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let nobody = AttemptId::new(SessionId(9), 1);
    assert_eq!(refused(runtime.console(nobody, None).await), ErrorKind::NotFound);
}

/// "A second console of the same attempt is allowed."
pub async fn two_show_the_same(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Echo));
    made(&runtime, &spec).await;
    let mut one = Screen::open(&runtime, spec.run).await;
    let mut other = Screen::open(&fixture.runtime().await, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    one.until_line(Channel::Stdout, "ready").await;
    one.say("from one").await;
    other.until_line(Channel::Stdout, "from one").await;
    other.say("from the other").await;
    one.until_line(Channel::Stdout, "from the other").await;
    other.until_line(Channel::Stdout, "from the other").await;
    drop(other);
    one.say("exit 0").await;
    one.to_end().await;
    assert_eq!(one.lines(Channel::Stdout), ["ready", "from one", "from the other"]);
    gone(&runtime, &spec).await;
}

/// "A console that nobody reads does not hold the game up."
pub async fn unread_does_not_hold_the_game_up(fixture: &dyn RuntimeFixture) {
    const LINES: u32 = 150_000;
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: LINES, pause: Duration::ZERO, same: false, exit: 4 };
    let spec = spec(1, 1, 1, fixture.program(&game));
    made(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    assert_eq!(ended(&runtime, &spec).await.code, 4);
    screen.to_end().await;
    assert_counted(&screen, LINES, false);
    gone(&runtime, &spec).await;
}

/// "Writes all of `bytes`."
pub async fn input_reaches_the_game(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Echo));
    let mut screen = ready(&runtime, &spec).await;
    screen.say("hello").await;
    screen.until_line(Channel::Stdout, "hello").await;
    screen.say("err to standard error").await;
    screen.until_line(Channel::Stderr, "to standard error").await;
    let long = "y".repeat(4000);
    screen.say(&long).await;
    screen.until_line(Channel::Stdout, &long).await;
    for n in 0..100 {
        screen.say(&format!("n{n}")).await;
    }
    screen.say("exit 9").await;
    screen.to_end().await;
    let mut wanted = vec!["ready".to_owned(), "hello".to_owned(), long];
    wanted.extend((0..100).map(|n| format!("n{n}")));
    assert_eq!(screen.lines(Channel::Stdout), wanted);
    assert_eq!(screen.lines(Channel::Stderr), ["to standard error"]);
    assert_eq!(ended(&runtime, &spec).await.code, 9);
    gone(&runtime, &spec).await;
}

/// "One writer, kept open for as long as the console is": the game's input does not end
/// with the process that wrote to it.
pub async fn input_works_after_a_restart(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Echo));
    let mut screen = ready(&runtime, &spec).await;
    screen.say("before").await;
    screen.until_line(Channel::Stdout, "before").await;
    drop(runtime);
    let runtime = fixture.runtime().await;
    let mut screen = screen.by_another(&runtime).await;
    screen.say("after").await;
    screen.until_line(Channel::Stdout, "after").await;
    assert_eq!(screen.lines(Channel::Stdout), ["ready", "before", "after"]);
    gone(&runtime, &spec).await;
}

/// "`NotFound` or `Unavailable` if the attempt has ended or the connection broke"
pub async fn input_to_the_ended_is_refused(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Sleeper));
    let mut screen = ready(&runtime, &spec).await;
    runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    screen.to_end().await;
    let refusal = async {
        loop {
            if let Err(error) = screen.console().input.write(b"too late\n").await {
                return error.kind();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let kind = tokio::time::timeout(PATIENCE, refusal).await.expect("writing is refused in time");
    assert!(matches!(kind, ErrorKind::NotFound | ErrorKind::Unavailable), "{kind:?}");
    gone(&runtime, &spec).await;
}

/// "where a line is longer than [`MAX_PIECE`] … a part of a line"
pub async fn a_long_line_comes_in_pieces(fixture: &dyn RuntimeFixture) {
    const BYTES: u32 = 100_000;
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Long { bytes: BYTES }));
    let mut screen = ready(&runtime, &spec).await;
    screen.until_bytes(Channel::Stdout, BYTES as usize + 9).await;
    runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    screen.to_end().await;
    let wanted = format!("ready\n{}\n> ", "x".repeat(BYTES as usize));
    assert!(screen.text(Channel::Stdout) == wanted.as_bytes(), "the line is whole");
    assert!(screen.pieces.iter().all(|(_, piece)| (1..=MAX_PIECE).contains(&piece.len())));
    let inner = screen.pieces.iter().filter(|(_, piece)| piece[..piece.len() - 1].contains(&b'\n'));
    assert_eq!(inner.count(), 0, "a piece ends with its newline");
    gone(&runtime, &spec).await;
}

/// "where a line … stays unfinished for a while (a prompt), a part of a line without"
/// its newline.
pub async fn an_unfinished_line_is_shown(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let spec = spec(1, 1, 1, fixture.program(&Game::Long { bytes: 10 }));
    let mut screen = ready(&runtime, &spec).await;
    screen.until(|screen| screen.text(Channel::Stdout).ends_with(b"\n> ")).await;
    // Shown once, also to one who resumes right behind it.
    let runtime = fixture.runtime().await;
    let mut screen = screen.by_another(&runtime).await;
    runtime.stop(spec.run, Duration::from_secs(20)).await.unwrap();
    screen.to_end().await;
    assert_eq!(screen.text(Channel::Stdout), b"ready\nxxxxxxxxxx\n> ");
    gone(&runtime, &spec).await;
}

/// "Standard output; with a TTY, everything." ([`Channel::Stdout`])
pub async fn a_terminal_is_all_stdout(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime().await;
    let game = Game::Counter { lines: 100, pause: Duration::ZERO, same: false, exit: 0 };
    let mut spec = spec(1, 1, 1, fixture.program(&game));
    spec.tty = true;
    made(&runtime, &spec).await;
    let mut screen = Screen::open(&runtime, spec.run).await;
    runtime.start(spec.run).await.unwrap();
    screen.to_end().await;
    assert_eq!(screen.text(Channel::Stderr), b"");
    let wanted: Vec<_> = (1..=100).flat_map(|n| [format!("out {n}"), format!("err {n}")]).collect();
    assert_eq!(screen.lines(Channel::Stdout), wanted);
    gone(&runtime, &spec).await;
}
