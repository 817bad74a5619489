//! Consoles of real containers: nothing lost, nothing doubled, no game held up.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stderr, reason = "what a failed test shows")]

mod game;

use std::time::{Duration, Instant};

use manman_core::console::{Channel, Console, EndCause};
use manman_core::error::ErrorKind;

use game::{Game, Keeper, consoles, docker, flood, full};

const MULTI: &str = "both channels, with their last line";

fn expected(channel: Channel, lines: u64, identical: bool) -> Vec<u8> {
    let mut text = flood(channel, lines / 2, identical);
    if channel == Channel::Stdout {
        text.extend_from_slice(format!("done out={0} err={0}\n", lines / 2).as_bytes());
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn opened_before_the_start_it_shows_every_byte() {
    for driver in ["local", "json-file", "none"] {
        let game = Game::create(driver, &[], false, "flooder", &["--lines", "20000"]).await;
        let consoles = consoles();
        let mut console = consoles.open(&game.id, None).await.unwrap();
        let game = game.start();
        let mut keeper = Keeper::default();
        keeper.follow(&mut console, |_| false).await;
        assert_eq!(keeper.end, Some(EndCause::Ended), "{driver}");
        for channel in Channel::BOTH {
            keeper.shows(channel, &expected(channel, 20_000, false));
        }
        assert_eq!(keeper.gaps, [], "{driver}: {MULTI}");
        drop(game);
    }
}

/// Follows a flood and dies again and again: away for a moment, then back from what was kept.
async fn die_while_it_floods(driver: &str, identical: bool, seed: u64) {
    let (rate, seconds, deaths) = if full() { (50_000, 40, 100) } else { (20_000, 6, 8) };
    let lines = rate * seconds;
    let mut random = seed;
    let mut upto = |most: u64| {
        // SplitMix64: the seed is all that a failure needs to tell.
        random = u64::wrapping_add(random, 0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((mixed ^ (mixed >> 31)) % most)
    };
    let mode = if identical { "identical" } else { "numbered" };
    let (lines_text, rate_text) = (lines.to_string(), rate.to_string());
    let options: &[_] = if driver == "local" { &[("max-size", "200m")] } else { &[] };
    let game = Game::create(
        driver,
        options,
        false,
        "flooder",
        &["--lines", &lines_text, "--rate", &rate_text, "--mode", mode],
    )
    .await;
    let mut keeper = Keeper::default();
    let mut host = consoles();
    let mut console = host.open(&game.id, None).await.unwrap();
    let game = game.start();
    let began = Instant::now();
    for death in 0..deaths {
        keeper.follow_for(&mut console, upto(seconds * 1000 / deaths)).await;
        let kept = keeper.bytes();
        drop(console);
        drop(host);
        let away = upto(200);
        tokio::time::sleep(away).await;
        host = consoles();
        console = host.open(&game.id, keeper.resume()).await.unwrap();
        eprintln!(
            "{driver} {mode}: death {death} at {:?}, {kept} bytes kept, away for {away:?}",
            began.elapsed()
        );
    }
    keeper.follow(&mut console, |_| false).await;
    eprintln!("{driver} {mode}: over after {:?}", began.elapsed());
    assert_eq!(keeper.end, Some(EndCause::Ended));
    for channel in Channel::BOTH {
        keeper.shows(channel, &expected(channel, lines, identical));
    }
    assert_eq!(keeper.gaps, [], "{MULTI}");
    assert_eq!(game.wait(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbered_lines_survive_deaths_with_local() {
    die_while_it_floods("local", false, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbered_lines_survive_deaths_with_json_file() {
    die_while_it_floods("json-file", false, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_lines_survive_deaths_with_local() {
    die_while_it_floods("local", true, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_lines_survive_deaths_with_json_file() {
    die_while_it_floods("json-file", true, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_nobody_looked_is_shown_to_its_end() {
    for (driver, mode) in [("local", "numbered"), ("json-file", "identical")] {
        let identical = mode == "identical";
        let game = Game::create(
            driver,
            &[],
            false,
            "flooder",
            &["--lines", "40000", "--rate", "20000", "--mode", mode, "--end", "exit", "7"],
        )
        .await;
        let host = consoles();
        let mut console = host.open(&game.id, None).await.unwrap();
        let game = game.start();
        let mut keeper = Keeper::default();
        keeper.follow(&mut console, |keeper| keeper.bytes() > 100_000).await;
        drop(console);
        assert_eq!(game.wait(), "7");
        let mut console = host.open(&game.id, keeper.resume()).await.unwrap();
        keeper.follow(&mut console, |_| false).await;
        assert_eq!(keeper.end, Some(EndCause::Ended));
        for channel in Channel::BOTH {
            keeper.shows(channel, &expected(channel, 40_000, identical));
        }
        assert_eq!(keeper.gaps, []);
        assert_eq!(console.input.write(b"x").await.unwrap_err().kind(), ErrorKind::NotFound);
        // Read once more from the beginning, by somebody who knows nothing of it.
        let mut keeper = Keeper::default();
        keeper.follow(&mut host.open(&game.id, None).await.unwrap(), |_| false).await;
        for channel in Channel::BOTH {
            keeper.shows(channel, &expected(channel, 40_000, identical));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_game_is_adopted_from_its_beginning() {
    let game =
        Game::create("local", &[], false, "flooder", &["--lines", "30000", "--rate", "10000"]).await.start();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut keeper = Keeper::default();
    let host = consoles();
    keeper.follow(&mut host.open(&game.id, None).await.unwrap(), |_| false).await;
    for channel in Channel::BOTH {
        keeper.shows(channel, &expected(channel, 30_000, false));
    }
    assert_eq!(keeper.gaps, []);
}

async fn until_shown(keeper: &mut Keeper, console: &mut Console, channel: Channel, text: &str) {
    let mut from = 0;
    let mut has = |keeper: &Keeper| {
        let shown = &keeper.text[channel.index()];
        let found = shown[from..].windows(text.len()).any(|window| window == text.as_bytes());
        from = if found { from } else { (shown.len() + 1).saturating_sub(text.len()).max(from) };
        found
    };
    keeper.follow(console, &mut has).await;
    assert!(has(keeper), "{text:?} is not in {:?}", keeper.last());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_answered_also_after_a_death_in_silence() {
    for driver in ["local", "json-file", "none"] {
        let game = Game::create(driver, &[], false, "flooder", &["--lines", "10", "--end", "idle"]).await;
        let host = consoles();
        let mut keeper = Keeper::default();
        let mut console = host.open(&game.id, None).await.unwrap();
        let game = game.start();
        until_shown(&mut keeper, &mut console, Channel::Stdout, "done").await;
        console.input.write(b"count\n").await.unwrap();
        until_shown(&mut keeper, &mut console, Channel::Stdout, "count out=5 err=5").await;
        drop(console);
        let mut console = host.open(&game.id, keeper.resume()).await.unwrap();
        // Long enough for the log to be read to its end and left in peace.
        keeper.follow_for(&mut console, Duration::from_millis(600)).await;
        console.input.write(b"burst 4\n").await.unwrap();
        until_shown(&mut keeper, &mut console, Channel::Stderr, "err 000007").await;
        console.input.write(b"quit 3\n").await.unwrap();
        keeper.follow(&mut console, |_| false).await;
        assert_eq!(keeper.end, Some(EndCause::Ended), "{driver}");
        assert_eq!(game.wait(), "3");
        keeper.shows(Channel::Stderr, &flood(Channel::Stderr, 7, false));
        let out = String::from_utf8_lossy(&keeper.text[0]).into_owned();
        let lines: Vec<_> = out.lines().map(|line| line.split("...").next().unwrap()).collect();
        assert_eq!(lines.len(), 10, "{lines:?}");
        let uncertain = usize::from(driver == "none");
        assert_eq!(keeper.gaps.len(), uncertain, "{driver}: {:?}", keeper.gaps);
    }
}

/// A game that does not read its stdin takes some 300 KB, then nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_game_that_does_not_read_its_stdin_is_not_waited_for() {
    let game = Game::create("local", &[], false, "busybox", &["sleep", "600"]).await.start();
    let host = consoles();
    let mut console = host.open(&game.id, None).await.unwrap();
    let begun = Instant::now();
    let error = console.input.write(&vec![b'x'; 4 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

/// An attach that is not read stops the game and the engine's calls about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_sleeps_does_not_hold_the_game_up() {
    let lines = 300_000u64;
    let game = Game::create(
        "local",
        &[("max-size", "200m")],
        false,
        "flooder",
        &["--lines", &lines.to_string(), "--end", "idle"],
    )
    .await;
    let host = consoles().room(1 << 20);
    let mut console = host.open(&game.id, None).await.unwrap();
    let game = game.start();
    // Nobody reads `console`. The game writes 20 MB and is then asked how it was.
    let mut keeper = Keeper::default();
    let watcher = consoles();
    let mut watch = watcher.open(&game.id, None).await.unwrap();
    until_shown(&mut Keeper::default(), &mut watch, Channel::Stdout, "done").await;
    watch.input.write(b"count\n").await.unwrap();
    let mut seen = Keeper::default();
    until_shown(&mut seen, &mut watch, Channel::Stdout, "stalled_ms=").await;
    drop(watch);
    keeper.follow(&mut console, |_| false).await;
    assert_eq!(keeper.end, Some(EndCause::Overrun));
    assert!(keeper.bytes() < 8 << 20, "the buffer is bounded");
    // What was missed comes from the log.
    keeper.end = None;
    let host = consoles();
    let mut console = host.open(&game.id, keeper.resume()).await.unwrap();
    console.input.write(b"quit\n").await.unwrap();
    keeper.follow(&mut console, |_| false).await;
    for channel in Channel::BOTH {
        let flood = flood(channel, lines / 2, false);
        assert_eq!(keeper.text[channel.index()][..flood.len()], flood, "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_followed_too() {
    let script = "i=0; while [ $i -lt 400 ]; do echo line $i; echo error $i >&2; i=$((i+1)); done; read x; echo got $x; printf 'end> '";
    for driver in ["local", "json-file"] {
        let game = Game::create(driver, &[], true, "busybox", &["sh", "-c", script]).await;
        let host = consoles();
        let mut console = host.open(&game.id, None).await.unwrap();
        let game = game.start();
        let mut keeper = Keeper::default();
        keeper.follow(&mut console, |keeper| keeper.bytes() > 2000).await;
        drop(console);
        let mut console = host.open(&game.id, keeper.resume()).await.unwrap();
        until_shown(&mut keeper, &mut console, Channel::Stdout, "error 399\r\n").await;
        // The default keys to detach among it.
        console.input.write(b"x\x10\x11y\n").await.unwrap();
        keeper.follow(&mut console, |_| false).await;
        let mut text = String::new();
        for i in 0..400 {
            text.push_str(&format!("line {i}\r\nerror {i}\r\n"));
        }
        let shown = String::from_utf8_lossy(&keeper.text[0]).into_owned();
        assert!(shown.starts_with(&text), "{driver}: {:?} {:?}", keeper.last(), keeper.gaps);
        assert!(shown.ends_with("end> "), "{driver}: {:?}", keeper.last());
        assert_eq!(keeper.gaps, []);
        assert_eq!(game.wait(), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_and_bytes_that_are_no_text_are_resumed_in_the_middle() {
    // Lines of 40,000 bytes, which the engine logs in three messages; bytes that `json-file`
    // does not keep; prompts without an end.
    let script = "x=$(head -c 39990 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 60 ]; do echo \"$i $x\"; printf '\\377\\376 %s\\n' $i; printf \"$i> \"; usleep 20000; i=$((i+1)); done; echo; printf 'no newline'";
    for driver in ["local", "json-file"] {
        let game = Game::create(driver, &[], false, "busybox", &["sh", "-c", script]).await;
        let host = consoles();
        let mut console = host.open(&game.id, None).await.unwrap();
        let game = game.start();
        let mut keeper = Keeper::default();
        for part in 1..5 {
            keeper.follow(&mut console, |keeper| keeper.bytes() > part * 400_000).await;
            drop(console);
            console = host.open(&game.id, keeper.resume()).await.unwrap();
        }
        keeper.follow(&mut console, |_| false).await;
        let mut text = Vec::new();
        for i in 0..60 {
            text.extend_from_slice(format!("{i} {}\n", "x".repeat(39_990)).as_bytes());
            text.extend_from_slice(b"\xff\xfe");
            text.extend_from_slice(format!(" {i}\n{i}> ").as_bytes());
        }
        text.extend_from_slice(b"\nno newline");
        if driver == "json-file" {
            // What came from its log has lost these bytes; what came by the attach has not.
            let kept = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
            assert_eq!(kept(&keeper.text[0]).len(), kept(&text).len());
            keeper.text[0] = kept(&keeper.text[0]).into_bytes();
            text = kept(&text).into_bytes();
        }
        keeper.shows(Channel::Stdout, &text);
        assert_eq!(keeper.gaps, [], "{driver}");
        drop(game);
    }
}

/// The engine writes into its next file several times while nobody looks: all files that it
/// keeps are read, the compressed ones too.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_rotated_and_is_kept_is_no_gap() {
    for (driver, mode) in [("local", "numbered"), ("local", "identical"), ("json-file", "numbered")] {
        let options = [("max-size", "500k"), ("max-file", "30"), ("compress", "true")];
        let flood = ["--lines", "60000", "--rate", "15000", "--mode", mode];
        let game = Game::create(driver, &options, false, "flooder", &flood).await;
        let host = consoles();
        let mut console = host.open(&game.id, None).await.unwrap();
        let game = game.start();
        let mut keeper = Keeper::default();
        for so_far in [1_000_000, 2_000_000] {
            keeper.follow(&mut console, |keeper| keeper.bytes() > so_far).await;
            drop(console);
            // Nothing but time tells how far the engine has got with it.
            tokio::time::sleep(Duration::from_millis(800)).await;
            console = host.open(&game.id, keeper.resume()).await.unwrap();
        }
        drop(console);
        assert_eq!(game.wait(), "0");
        let mut console = host.open(&game.id, keeper.resume()).await.unwrap();
        keeper.follow(&mut console, |_| false).await;
        assert_eq!(keeper.gaps, [], "{driver} {mode}");
        for channel in Channel::BOTH {
            keeper.shows(channel, &expected(channel, 60_000, mode == "identical"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_has_dropped_is_a_gap() {
    let game = Game::create(
        "local",
        &[("max-size", "100k"), ("max-file", "2")],
        false,
        "flooder",
        &["--lines", "40000", "--rate", "10000"],
    )
    .await;
    let host = consoles();
    let mut console = host.open(&game.id, None).await.unwrap();
    let game = game.start();
    let mut keeper = Keeper::default();
    keeper.follow(&mut console, |keeper| keeper.bytes() > 10_000).await;
    drop(console);
    assert_eq!(game.wait(), "0");
    let kept = keeper.text.clone();
    let mut console = host.open(&game.id, keeper.resume()).await.unwrap();
    keeper.follow(&mut console, |_| false).await;
    assert_eq!(keeper.gaps.len(), 2, "{:?}", keeper.gaps);
    for channel in Channel::BOTH {
        let all = expected(channel, 40_000, false);
        let rest = &keeper.text[channel.index()][kept[channel.index()].len()..];
        assert!(all.ends_with(rest) && !rest.is_empty(), "{channel}: what is left is shown once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_game_loses_nothing_that_was_logged() {
    for _ in 0..if full() { 20 } else { 3 } {
        let game =
            Game::create("local", &[], false, "flooder", &["--lines", "endless", "--rate", "50000"]).await;
        let host = consoles();
        let mut console = host.open(&game.id, None).await.unwrap();
        let game = game.start();
        let mut keeper = Keeper::default();
        keeper.follow(&mut console, |keeper| keeper.bytes() > 2_000_000).await;
        // Read on meanwhile: what a slow command line leaves unread would soon be too much.
        let id = game.id.clone();
        let kill = tokio::task::spawn_blocking(move || docker(&["kill", &id]));
        keeper.follow(&mut console, |_| false).await;
        kill.await.unwrap();
        assert_eq!(keeper.end, Some(EndCause::Ended));
        assert_eq!(keeper.gaps, []);
        let mut again = Keeper::default();
        again.follow(&mut host.open(&game.id, None).await.unwrap(), |_| false).await;
        for channel in Channel::BOTH {
            keeper.shows(channel, &again.text[channel.index()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consoles_end_with_what_opened_them() {
    let game =
        Game::create("local", &[], false, "flooder", &["--lines", "10", "--end", "idle"]).await.start();
    let host = consoles();
    let mut console = host.open(&game.id, None).await.unwrap();
    drop(host);
    let error = console.input.write(b"count\n").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let mut keeper = Keeper::default();
    keeper.follow(&mut console, |_| false).await;
    assert_eq!(keeper.end, Some(EndCause::Broken));
    assert!(game.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_there_has_no_console() {
    let error = consoles().open("manman-no-such-container", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_console_lets_go_of_the_game() {
    let game = Game::create("none", &[], false, "flooder", &["--lines", "endless"]).await;
    let host = consoles();
    let console = host.open(&game.id, None).await.unwrap();
    let game = game.start();
    let Console { input, output } = console;
    drop(output);
    // Were the attach still open, and not read, this would hang.
    docker(&["stop", "-t", "5", &game.id]);
    assert!(!game.runs());
    drop(input);
}
