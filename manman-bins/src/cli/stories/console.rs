//! What games print and are told.

use std::time::Duration;

use serde_json::Value;

use super::{exit, script, session};
use crate::{
    api::v1::{self, InputOutcome, LogSource, SessionState as State, stream_session_logs_response::What},
    cli::{
        console::lines::{self, Line},
        exit::Exit,
        fake::{Fake, Ran, Script},
        grammar::ConsoleArgs,
        output::Screen,
    },
};

fn output(first_sequence_number: u64, pieces: &[(LogSource, &str)]) -> Option<What> {
    let piece = |(source, text): &(LogSource, &str)| v1::LogPiece {
        source: (*source).into(),
        text: text.as_bytes().to_vec(),
    };
    let pieces = pieces.iter().map(piece).collect();
    Some(What::Output(v1::LogOutput { first_sequence_number, attempt: 1, read_at: None, pieces }))
}

use LogSource::{Stderr, Stdout};

#[tokio::test(start_paused = true)]
async fn logs_keep_the_streams_apart() {
    let console = vec![
        output(1, &[(Stdout, "a"), (Stderr, "x\n"), (Stdout, "b\n")]),
        Some(What::Gap(v1::LogGap {
            sequence_number: 4,
            lines: Some(3),
            reason: "rotated".into(),
            ..Default::default()
        })),
        output(5, &[(Stdout, "c\n")]),
    ];
    let fake = Fake::new(Script { console, now: session(State::Stopped), ..script([]) });
    let ran = fake.run("logs trains").await;
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("ab\nc\n", "x\n-- gap: 3 lines missing here: rotated --\n")
    );
    let ran = fake.run("logs trains --since-seq 4").await;
    assert_eq!(ran.out, "c\n");
    let ran = fake.run("logs trains -o json").await;
    let kinds: Vec<String> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| format!("{} {}", record["kind"].as_str().unwrap(), record["sequence"]))
        .collect();
    assert_eq!(kinds, ["output 1", "output 2", "output 3", "gap 4", "output 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_follower_goes_on_where_the_connection_was_cut() {
    let console = vec![
        output(1, &[(Stdout, "one\n"), (Stdout, "two\n")]),
        None,
        output(3, &[(Stdout, "three\n")]),
        None,
        output(4, &[(Stdout, "four\n")]),
    ];
    let fake = Fake::new(Script { console, now: session(State::Stopped), ..script([]) });
    let ran = fake.run("logs -f trains").await;
    assert_eq!(exit(&ran), Exit::Ok, "{}", ran.message());
    assert_eq!(ran.out, "one\ntwo\nthree\nfour\n");
    assert_eq!(ran.err.matches("trying again").count(), 2, "{}", ran.err);
    assert_eq!(ran.err.matches("connected again").count(), 2, "{}", ran.err);
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_is_shown_once() {
    let console = vec![
        output(1, &[(Stdout, "1\n"), (Stdout, "2\n"), (Stdout, "3\n")]),
        output(2, &[(Stdout, "2\n"), (Stdout, "3\n"), (Stdout, "4\n")]),
        output(4, &[(Stdout, "4\n")]),
        output(5, &[(Stdout, "5\n")]),
    ];
    let fake = Fake::new(Script { console, now: session(State::Stopped), ..script([]) });
    assert_eq!(fake.run("logs trains").await.out, "1\n2\n3\n4\n5\n");
}

#[tokio::test(start_paused = true)]
async fn a_sent_line_has_its_receipt() {
    let fake = Fake::new(Script { now: session(State::Running), lose: 1, ..script([]) });
    let ran = fake.run("send trains save").await;
    assert_eq!((exit(&ran), ran.out.as_str()), (Exit::Ok, "written to session 7\n"));
    assert_eq!(fake.script().lines, ["save"], "repeated with its key, written once");

    for (outcome, said) in [
        (InputOutcome::Refused, "the line was not written: too late"),
        (InputOutcome::Unknown, "nobody knows whether the line was written: too late"),
    ] {
        let outcomes = [(outcome, "too late".to_owned())].into();
        let fake = Fake::new(Script { now: session(State::Running), outcomes, ..script([]) });
        let ran = fake.run("send trains save").await;
        assert_eq!((exit(&ran), ran.message()), (Exit::Failed, said));
    }
}

/// Runs `console` with these lines as stdin.
async fn console(fake: &Fake, lines: Vec<Line>) -> Ran {
    let (to, stdin) = tokio::sync::mpsc::channel(8);
    for line in lines {
        to.send(line).await.unwrap();
    }
    drop(to);
    let (screen, shown) = Screen::captured();
    let mut context = fake.context(screen).await;
    let args =
        ConsoleArgs { session: "trains".into(), lines: None, wait: Duration::from_secs(1), raw: false };
    let result = lines::run(&mut context, 7, &args, stdin).await;
    Ran { result, out: shown.out(), err: shown.err() }
}

#[tokio::test(start_paused = true)]
async fn a_console_for_programs_writes_lines_in_order_and_reports_refusals() {
    let outcomes = [
        (InputOutcome::Done, String::new()),
        (InputOutcome::Refused, "its stdin is closed".to_owned()),
        (InputOutcome::Done, String::new()),
    ];
    let fake = Fake::new(Script {
        now: session(State::Running),
        outcomes: outcomes.into(),
        console: vec![output(1, &[(Stdout, "saved\n")])],
        ..script([])
    });
    let ran = console(&fake, ["one", "two", "three"].map(|text| Line::Text(text.into())).into()).await;
    assert_eq!(fake.script().lines, ["one", "two", "three"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("saved\n", "-- not written: its stdin is closed --\n"));
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "1 of 3 lines were not written"));
}

#[tokio::test(start_paused = true)]
async fn a_line_too_long_and_a_stdin_that_breaks_are_told() {
    let running = || Fake::new(Script { now: session(State::Running), ..script([]) });
    let ran = console(&running(), vec![Line::Text("one".into()), Line::TooLong]).await;
    assert_eq!(ran.err, "-- not written: a line of more than 64 KiB --\n");
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "1 of 2 lines were not written"));
    let ran = console(&running(), vec![Line::Text("one".into()), Line::Failed("gone".into())]).await;
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "stdin cannot be read: gone"));
}

#[tokio::test(start_paused = true)]
async fn a_console_of_an_ended_session_says_so() {
    let fake = Fake::new(Script { now: session(State::Stopped), ..script([]) });
    let ran = fake.run("console trains").await;
    assert_eq!((exit(&ran), ran.message()), (Exit::Failed, "session 7 has ended (stopped): asked by me"));
}
