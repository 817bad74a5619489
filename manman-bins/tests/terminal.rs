//! `manman console` in a real terminal, tmux, with a game that answers and one that
//! floods it.
//!
//! Needs tmux: `./scripts/test` installs it.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "cli/house.rs"]
mod house;
#[path = "terminal/tmux.rs"]
mod tmux;

use std::time::Duration;

use house::{COUNTS, House};
use tmux::{PROMPT, Tmux};

/// A console of a game that says hello and obeys.
async fn quiet() -> (House, Tmux) {
    let house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    let tmux = Tmux::new(house.dir());
    open(&tmux, "trains");
    tmux.until_bottom(">", 2);
    tmux.until("the game's greeting", |screen| screen.contains("\nhello\n"));
    (house, tmux)
}

fn open(tmux: &Tmux, name: &str) {
    tmux.types(&format!("manman console {name}"));
    tmux.press(["Enter"]);
}

/// What a game was told that repeats it, once it has been told `last`.
async fn told(house: &House, name: &str, last: &str) -> Vec<String> {
    let told = async {
        loop {
            let logs = house.ok(&format!("logs {name}")).await.out;
            let told: Vec<_> = logs.lines().filter(|line| !line.starts_with("out ")).collect();
            if told.last() == Some(&last) {
                return told.into_iter().map(str::to_owned).collect();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    told.unwrap_or_else(|_| panic!("{name} is never told {last:?}"))
}

/// Waits until the shell is back, and returns what the console said last.
#[track_caller]
fn await_shell(tmux: &Tmux) -> String {
    tmux.until("the shell is back", |screen| screen.ends_with(&format!("\n{PROMPT}")));
    assert!(tmux.shows_cursor());
    let screen = tmux.screen();
    screen.lines().nth_back(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_edited_with_the_usual_keys() {
    let (house, tmux) = quiet().await;
    tmux.types("one two three");
    tmux.until_bottom("> one two three", 15);
    for (keys, line, cursor) in [
        (&["Left", "Left"][..], "> one two three", 13),
        (&["BSpace"], "> one two thee", 12),
        (&["DC"], "> one two the", 12),
        (&["Home"], "> one two the", 2),
        (&["Right"], "> one two the", 3),
        (&["End"], "> one two the", 13),
        (&["C-w"], "> one two", 10),
        (&["C-a"], "> one two", 2),
        (&["x"], "> xone two", 3),
        (&["C-e"], "> xone two", 11),
        (&["Left", "Left", "Left", "Left", "Left", "C-u"], ">  two", 2),
        (&["C-k"], ">", 2),
        (&["日", "本", "é", "Left", "Left"], "> 日本é", 4),
        (&["BSpace"], "> 本é", 2),
    ] {
        tmux.press(keys.iter().copied());
        tmux.until_bottom(line, cursor);
    }
    tmux.press(["Enter"]);
    assert_eq!(told(&house, "trains", "本é").await, ["hello", "本é"]);
    tmux.until("what was typed and its answer", |screen| screen.contains("\n> 本é\n本é\n>"));

    tmux.types("second");
    tmux.press(["Enter"]);
    tmux.until("its answer", |screen| screen.contains("\n> second\nsecond\n>"));
    tmux.types("draft");
    for (key, line) in
        [("Up", "> second"), ("Up", "> 本é"), ("Up", "> 本é"), ("Down", "> second"), ("Down", "> draft")]
    {
        tmux.press([key]);
        tmux.until(line, |screen| screen.lines().next_back() == Some(line));
    }
    tmux.press(["Up", "Left", "X", "Enter"]);
    assert_eq!(told(&house, "trains", "seconXd").await, ["hello", "本é", "second", "seconXd"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_does_not_tear_what_is_typed() {
    let house = House::up().await;
    house.deploy_image("counter", COUNTS).await;
    house.ok("start counter").await;
    let tmux = Tmux::new(house.dir());
    open(&tmux, "counter");
    tmux.until("the flood", |screen| screen.contains("out "));
    for letter in ["s", "a", "y", "Space", "h", "x", "l", "l", "o"] {
        tmux.press([letter]);
    }
    tmux.until("all of it", |screen| screen.ends_with("\n> say hxllo"));
    for columns in [40, 8, 100] {
        tmux.resize(columns);
        let shown = if columns == 8 { "hxllo" } else { "> say hxllo" };
        tmux.until("all of it that fits", |screen| screen.ends_with(shown));
    }
    tmux.press(["Left", "Left", "Left", "BSpace", "e", "End", "!", "Home"]);
    tmux.until("all of it, edited", |screen| screen.ends_with("\n> say hello!"));
    // Once what was wrapped has gone, all else that is shown are whole lines of the game.
    let newest = |screen: &str| {
        screen.lines().filter_map(|line| line.strip_prefix("out ")?.parse::<u32>().ok()).max().unwrap_or(0)
    };
    let before = newest(&tmux.screen());
    tmux.until("another screenful", |screen| newest(screen) > before + 100);
    let torn = |screen: &str| {
        let is_whole = |line: &str| {
            let usual = line.strip_prefix("out ").or_else(|| line.strip_prefix("err "));
            let whole = usual.is_some_and(|number| number.parse::<u32>().is_ok());
            whole || ["> say hello!", "say hello!"].contains(&line) || line.starts_with("-- gap: ")
        };
        screen.lines().skip(1).find(|line| !is_whole(line)).map(str::to_owned)
    };
    for _ in 0..50 {
        // It may be caught between two writes.
        tmux.until("whole lines", |screen| torn(screen).is_none());
    }
    tmux.forget();
    tmux.press(["Enter"]);
    assert_eq!(told(&house, "counter", "say hello!").await, ["say hello!"]);
    tmux.press(["C-]"]);
    assert_eq!(await_shell(&tmux), "-- left; session 1 goes on --");
    // What is torn for good has stayed.
    let history = tmux.history();
    let (flood, _) = history.rsplit_once("-- left").unwrap();
    assert!(flood.lines().count() > 30, "{history}");
    assert_eq!(torn(flood), None, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_may_change_its_width_while_one_types() {
    let (house, tmux) = quiet().await;
    // A screen that is full: what is at the bottom has rows above it to be wrapped into.
    tmux.paste(&"row\n".repeat(40));
    tmux.paste("mark\n");
    told(&house, "trains", "mark").await;
    tmux.until("a full screen", |screen| screen.ends_with("\nmark\n>"));
    let long: String = (0..30).map(|n| format!("{n} 日é ")).collect();
    let narrow = "a line of forty or so columns, 日本 and é";
    tmux.types(narrow);
    let whole = format!("> {narrow}");
    tmux.until_bottom(&whole, 43);
    tmux.press(["Left", "Left"]);
    tmux.until_bottom(&whole, 41);
    for columns in [20, 13, 7, 31, 100, 30, 60] {
        tmux.resize(columns);
        let width = usize::from(columns);
        tmux.until(&format!("one row at {width} columns"), |screen| {
            let mut rows = screen.lines().rev();
            let last = rows.next().unwrap_or_default();
            // The game's line is just above it: no piece of an older drawing is left.
            rows.next() == Some("mark") && !last.is_empty() && tmux.cursor() < width
        });
    }
    tmux.until_bottom(&whole, 41);
    tmux.press(["End"]);
    tmux.types("!");
    tmux.press(["Enter"]);
    let narrow = format!("{narrow}!");
    told(&house, "trains", &narrow).await;

    // One that is longer than the window is shown around the cursor.
    tmux.resize(40);
    tmux.types(&long);
    tmux.until("its end", |screen| screen.ends_with("28 日é 29 日é"));
    tmux.press(["Home"]);
    tmux.until("its beginning", |screen| screen.lines().next_back().unwrap().starts_with("> 0 日é 1"));
    assert_eq!(tmux.cursor(), 2);
    for columns in [25, 90, 33] {
        tmux.resize(columns);
        tmux.until("its beginning, in one row", |screen| {
            let mut rows = screen.lines().rev();
            rows.next().unwrap().starts_with("> 0 日é 1") && rows.next().unwrap().ends_with('!')
        });
    }
    tmux.press(["Right", "Right", "DC", "DC", "End", "Enter"]);
    let long = long.replacen("日é", "", 1);
    told(&house, "trains", &long).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_lines_may_be_pasted() {
    let (house, tmux) = quiet().await;
    let lines: Vec<String> = (1..=100).map(|n| format!("line {n} of what is pasted, 日本")).collect();
    tmux.paste(&format!("{}\nrest", lines.join("\n")));
    assert_eq!(told(&house, "trains", lines.last().unwrap()).await[1..], lines);
    tmux.until_bottom("> rest", 6);

    // One that is too long is refused as a whole; what follows is written.
    tmux.paste(&format!("{}\nlast\n", "x".repeat(5000)));
    assert_eq!(told(&house, "trains", "last").await[1..101], lines);
    let refused = |screen: &str| screen.contains("-- not written: ") && screen.ends_with("\nlast\n>");
    tmux.until("that it is refused", refused);
    assert_eq!(told(&house, "trains", "last").await.len(), 102);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_finds_the_terminal_as_it_was() {
    let (house, tmux) = quiet().await;
    tmux.press(["C-]"]);
    assert_eq!(await_shell(&tmux), "-- left; session 1 goes on --");
    let before = tmux.shell("stty -g");

    for leave in ["C-]", "C-c", "C-d"] {
        open(&tmux, "trains");
        tmux.until_bottom(">", 2);
        tmux.types("unfinished");
        tmux.until_bottom("> unfinished", 12);
        if leave != "C-]" {
            // The first one only takes the line away; at a line Ctrl-D is the delete key.
            tmux.press(["C-c"]);
            tmux.until_bottom(">", 2);
        }
        tmux.press([leave]);
        assert_eq!(await_shell(&tmux), "-- left; session 1 goes on --", "{leave}");
        assert_eq!(tmux.shell("stty -g"), before, "{leave}");
    }
    assert_eq!(house.json("session show trains").await["session"]["state"], "running");
    assert_eq!(told(&house, "trains", "hello").await, ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_ends_while_one_types_is_said() {
    let (house, tmux) = quiet().await;
    tmux.types("unfinished");
    tmux.until_bottom("> unfinished", 12);
    house.ok("send trains quit").await;
    let said = await_shell(&tmux);
    assert_eq!(said, "-- session 1 completed: exited with code 0 --");
    let sane = tmux.shell("stty -a");
    for mode in ["icanon", "echo", "isig", "iexten", "ixon", "opost"] {
        assert!(sane.split_whitespace().any(|it| it == mode), "{mode} is not on: {sane}");
    }
    assert!(!tmux.history().contains("unfinished"), "{}", tmux.history());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_outlives_manman_with_what_is_typed() {
    let (mut house, tmux) = quiet().await;
    tmux.types("save th");
    tmux.until_bottom("> save th", 9);
    house.restart().await;
    tmux.until("it is said", |screen| screen.contains("-- connected again --"));
    tmux.until_bottom("> save th", 9);
    tmux.types("e world");
    tmux.press(["Enter"]);
    assert_eq!(told(&house, "trains", "save the world").await, ["hello", "save the world"]);
    tmux.until("its answer", |screen| screen.ends_with("\n> save the world\nsave the world\n>"));
}
