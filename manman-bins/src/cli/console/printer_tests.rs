//! What a console looks like, in files and on terminals.

use super::*;
use crate::cli::output::Captured;

fn output(attempt: u32, pieces: &[(LogSource, &str)]) -> Seen {
    let pieces = pieces
        .iter()
        .map(|(source, text)| v1::LogPiece { source: (*source).into(), text: text.as_bytes().to_vec() })
        .collect();
    Seen::Console(What::Output(v1::LogOutput {
        first_sequence_number: 1,
        attempt,
        read_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        pieces,
    }))
}

use LogSource::{Stderr, Stdout};

fn print(style: Style, screen: Screen, shown: &Captured, all: Vec<Seen>) -> (String, String) {
    let mut screen = screen;
    let mut printer = Printer::new(style, &screen);
    for seen in all {
        printer.seen(&mut screen, seen).unwrap();
    }
    printer.finish(&mut screen).unwrap();
    (shown.out(), shown.err())
}

#[test]
fn files_get_the_bytes_as_they_came() {
    let (screen, shown) = Screen::captured();
    let all = vec![
        output(1, &[(Stdout, "a\x1b[2J"), (Stderr, "x"), (Stdout, "b\r\n"), (Stderr, "y\n"), (Stdout, "> ")]),
        output(2, &[(Stdout, "c\n")]),
    ];
    let (out, err) = print(Style::default(), screen, &shown, all);
    assert_eq!((out.as_str(), err.as_str()), ("a\x1b[2Jb\r\n> c\n", "xy\n"));
}

#[test]
fn one_file_for_both_has_whole_lines() {
    let (screen, shown) = Screen::captured();
    let style = Style { one_file: true, ..Style::default() };
    let all = vec![
        output(1, &[(Stdout, "a"), (Stderr, "x\n"), (Stdout, "b\n"), (Stdout, "rest")]),
        output(2, &[(Stdout, "c\n")]),
    ];
    let (out, err) = print(style, screen, &shown, all);
    // The rest of an attempt that is gone is not joined with the next one's output.
    assert_eq!((out.as_str(), err.as_str()), ("ab\nrestc\n", "x\n"));
}

#[test]
fn a_terminal_gets_whole_clean_lines() {
    let (screen, shown) = Screen::captured();
    let all = vec![output(1, &[(Stdout, "a\x1b[2J"), (Stderr, "x\n"), (Stdout, "b\r\n"), (Stdout, "rest")])];
    let (out, err) = print(Style::default(), screen.terminal(), &shown, all);
    assert_eq!((out.as_str(), err.as_str()), ("a^[[2Jb\nrest\n", "x\n"));

    let (screen, shown) = Screen::captured();
    let all = vec![output(1, &[(Stdout, "a\x1b[2J\n")])];
    let (out, _) = print(Style { raw: true, ..Style::default() }, screen.terminal(), &shown, all);
    assert_eq!(out, "a\x1b[2J\n");
}

#[test]
fn an_unfinished_line_stays_at_the_bottom() {
    let (screen, shown) = Screen::captured();
    let style = Style { bottom: true, ..Style::default() };
    let all = vec![
        output(1, &[(Stdout, "name? ")]),
        output(1, &[(Stderr, "x\n")]),
        output(1, &[(Stdout, "and a very long tail")]),
        output(1, &[(Stdout, "\n")]),
    ];
    let (out, err) = print(style, screen.columns_of(10), &shown, all);
    assert_eq!(err, "x\n");
    // Drawn; erased for stderr's line and drawn again; then once more when it had grown.
    let erase = "\r\x1b[K";
    assert_eq!(out, format!("name? {erase}name? {erase}name? and a very long tail\n"));
}

#[test]
fn what_is_typed_keeps_its_place_and_fits() {
    let (screen, shown) = Screen::captured();
    let mut screen = screen.columns_of(10);
    let mut printer = Printer::new(Style { bottom: true, ..Style::default() }, &screen);
    printer.typing(&mut screen, Some(("say hello".into(), 3))).unwrap();
    assert_eq!(shown.out(), "> say hel\x1b[4D");
    printer.seen(&mut screen, output(1, &[(Stdout, "line\n")])).unwrap();
    assert!(shown.out().ends_with("\r\x1b[Kline\n> say hel\x1b[4D"), "{:?}", shown.out());
    printer.typing(&mut screen, Some(("日本日本日本".into(), 6))).unwrap();
    assert!(shown.out().ends_with("\r\x1b[K日本日本"), "{:?}", shown.out());
}

#[test]
fn what_a_narrower_window_has_wrapped_is_erased_whole() {
    let (screen, shown) = Screen::captured();
    let mut screen = screen.columns_of(40);
    let mut printer = Printer::new(Style { bottom: true, ..Style::default() }, &screen);
    printer.typing(&mut screen, Some(("twenty-one characters".into(), 15))).unwrap();
    screen = screen.columns_of(10);
    printer.seen(&mut screen, output(1, &[(Stdout, "line\n")])).unwrap();
    assert!(shown.out().contains("\x1b[6D\x1b[1A\r\x1b[Jline\n"), "{:?}", shown.out());
    // What was drawn since fits, and is erased as ever.
    printer.typing(&mut screen, None).unwrap();
    assert!(shown.out().ends_with("\r\x1b[K"), "{:?}", shown.out());
}

#[test]
fn a_mark_without_width_moves_no_cursor() {
    let (screen, shown) = Screen::captured();
    let mut screen = screen.columns_of(10);
    let mut printer = Printer::new(Style { bottom: true, ..Style::default() }, &screen);
    printer.typing(&mut screen, Some(("e\u{301}".into(), 1))).unwrap();
    assert_eq!(shown.out(), "> e\u{301}");
}

#[test]
fn gaps_are_marked_on_stderr() {
    let (screen, shown) = Screen::captured();
    let gap = v1::LogGap {
        sequence_number: 3,
        source: Some(Stderr.into()),
        bytes: Some(2048),
        lines: Some(12),
        reason: "the engine's log was\nrotated".into(),
        ..Default::default()
    };
    let unknown = v1::LogGap { uncertain: true, ..Default::default() };
    let all = vec![
        Seen::Console(What::Gap(gap)),
        Seen::Console(What::Gap(unknown)),
        Seen::Console(What::Lagged(7)),
        Seen::Away,
        Seen::Back,
    ];
    let (out, err) = print(Style::default(), screen, &shown, all);
    assert_eq!(out, "");
    assert_eq!(
        err,
        "-- gap: 12 lines, 2 KiB of stderr missing here: the engine's log was^Jrotated --\n\
         -- gap: output may be missing or doubled here --\n\
         -- gap: 7 pieces came too fast for this viewer and were passed over --\n\
         -- the connection was lost, trying again --\n\
         -- connected again --\n"
    );
}

#[test]
fn lines_can_have_their_times() {
    let (screen, shown) = Screen::captured();
    let all = vec![output(1, &[(Stdout, "a"), (Stdout, "b\n")])];
    let (out, _) = print(Style { timestamps: true, ..Style::default() }, screen, &shown, all);
    assert_eq!(out, "1970-01-01T00:00:01Z ab\n");
}

#[test]
fn programs_get_an_object_a_line() {
    let (screen, shown) = Screen::captured();
    let all = vec![output(1, &[(Stdout, "a\n"), (Stderr, "b\n")])];
    let (out, err) = print(Style::default(), screen.json(), &shown, all);
    let sequences: Vec<_> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!((sequences, err.as_str()), (vec![1, 2], ""));
}
