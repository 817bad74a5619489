//! The built program against an installation in this process, whose engine is in memory.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/exits.rs"]
mod exits;
#[path = "cli/house.rs"]
mod house;
#[path = "cli/leaving.rs"]
mod leaving;
#[path = "cli/look.rs"]
mod look;
#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/waits.rs"]
mod waits;

use std::{process::Stdio, time::Duration};

use house::{COUNTS, House};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_day() {
    let house = House::up().await;
    house.ok("game create openttd --metadata genre=trains").await;
    house
        .ok("config create vanilla --game openttd --image game:1 --port 3979/udp --stop save:1s --env A=b")
        .await;
    let config = house.json("config show openttd/vanilla").await;
    assert_eq!(config["body"]["ports"][0]["protocol"], "udp");
    house.ok("deployment create trains --config vanilla --port 3979/udp=any:31000-31100").await;
    assert!(house.ok("status").await.out.contains("never started"));

    let started = house.ok("start trains").await;
    assert_eq!(started.out, "session 1 of trains is running, ports 31000/udp→3979\n");
    assert_eq!(started.err, "");
    let again = house.run("start trains").await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("session 1") && again.err.contains("what to do:"), "{again}");

    assert_eq!(house.ok("send trains save").await.out, "written to session 1\n");
    house.shows("trains", "saved").await;
    let spoken = house.talk("console trains --wait 5s", "err oops\nsave\n").await;
    assert_eq!((spoken.code, spoken.out.as_str(), spoken.err.as_str()), (0, "saved\n", "oops\n"));
    let refused = house.run("game delete openttd").await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("in_use") || refused.err.contains("Delete"), "{refused}");

    assert_eq!(house.ok("restart trains").await.out, "session 1 of trains is running again, attempt 2\n");
    let stopped = house.json("stop trains").await;
    assert_eq!((&stopped["state"], &stopped["attempt"]), (&"stopped".into(), &2.into()));
    assert!(house.ok("stop trains").await.out.starts_with("session 1 of trains had ended before: stopped"));
    let logs = house.ok("logs trains -f").await;
    assert_eq!(logs.out.matches("saved").count(), 4, "sent, typed, of the restart and the stop: {logs}");
    let shown = house.ok("session show trains").await;
    assert!(shown.out.contains("stopping") && shown.out.contains("running"), "{shown}");
    let late = house.run("send trains save").await;
    assert!(late.code == 1 && late.err.contains("stopped"), "{late}");
    let late = house.run("console trains").await;
    assert!(late.code == 1 && late.err.contains("has ended"), "{late}");

    for line in ["deployment delete trains", "config delete vanilla", "game delete openttd"] {
        house.ok(line).await;
    }
    assert!(house.ok("game list").await.out.starts_with("no games"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_told_with_its_remedy() {
    let house = House::up().await;
    house.deploy("trains").await;
    for (line, code, said) in [
        ("start trians", 1, "trains"),
        ("game create g", 0, ""),
        ("game create g", 1, "already"),
        ("config create c --game g --image absent:1", 0, ""),
        ("deployment create d --config c", 0, ""),
        ("start d", 1, "absent:1"),
        ("stop d", 0, ""),
        ("session show 99", 1, "99"),
        ("deployment create e --config c --server nowhere", 1, "nowhere"),
        ("logs 99", 1, "99"),
        ("server abandon box", 1, "online"),
        ("nonsense", 2, "nonsense"),
        ("explain nonsense", 2, "nonsense"),
        ("explain session_live", 0, ""),
        ("config create f --game g --file /nonexistent", 2, "/nonexistent"),
        ("status --address 192.0.2.1:1", 2, "--plaintext"),
    ] {
        let ran = house.run(line).await;
        assert_eq!(ran.code, code, "{line}: {ran}");
        assert!(ran.err.contains(said), "{line}: {ran}");
        assert!(!ran.err.contains('\u{1b}') && !ran.out.contains('\u{1b}'), "{line}: {ran}");
    }
    let ran = house.run("start trians -o json").await;
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["exit_code"]), (&"not_found".into(), &1.into()));
    let ran = house.run("nonsense -o json").await;
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((&error["error"]["code"], ran.code), (&"usage".into(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said() {
    let house = House::empty();
    let ran = house.run("status").await;
    assert_eq!(ran.code, 69);
    let dir = house.dir().display();
    assert!(ran.err.starts_with(&format!("error: no manman is running for {dir}\n")), "{ran}");
    assert!(ran.err.contains("`manman up`"), "{ran}");
    let ran = house.run("status -o json --address 127.0.0.1:1 --token-file /dev/null").await;
    assert_eq!(ran.code, 77, "{ran}");
    std::fs::write(house.dir().join("mine"), "mm_x").unwrap();
    let file = house.dir().join("mine");
    let ran =
        house.run(&format!("status -o json --address 127.0.0.1:1 --token-file {}", file.display())).await;
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((&error["error"]["code"], ran.code), (&"unreachable".into(), 69));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_a_token_is_needed() {
    let house = House::up().await;
    let address = house.listen();
    assert_eq!(house.run(&format!("status --address {address}")).await.code, 0);
    let file = house.dir().join("other");
    std::fs::write(&file, "mm_wrong").unwrap();
    let ran = house.run(&format!("status --address {address} --token-file {}", file.display())).await;
    assert_eq!(ran.code, 77, "{ran}");
    assert!(ran.err.contains("what to do:"), "{ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let house = House::up().await;
    house.deploy_image("counter", COUNTS).await;
    house.ok("start counter").await;
    let mut logs = house.command("logs -f counter").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "out 1");
    drop(lines);
    let ended = tokio::time::timeout(Duration::from_secs(60), logs.wait()).await.unwrap().unwrap();
    let mut err = String::new();
    logs.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
    assert_eq!(ended.code(), Some(0), "{err}");
    assert!(!err.contains("error"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_outlives_manman() {
    let mut house = House::up().await;
    house.deploy_image("counter", COUNTS).await;
    house.ok("start counter").await;
    let mut logs = house.command("logs -f counter -o json").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    let mut next = 1;
    for part in 1..=3 {
        while next < part * 500 {
            let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap();
            let record: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
            assert_eq!((&record["kind"], &record["sequence"]), (&"output".into(), &next.into()), "{record}");
            next += 1;
        }
        if part < 3 {
            house.restart().await;
        }
    }
    logs.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_sits_at_a_terminal() {
    let house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    let mut terminal = terminal::Terminal::new();
    let before = terminal.mode();
    let mut console = terminal.run(house.command("console trains"));
    terminal.until("hello").await;
    terminal.types("sa\u{7f}ave\r");
    terminal.until("> save\r\n").await;
    terminal.until("saved\r\n").await;
    terminal.types("unfinished");
    terminal.until("> unfinished").await;
    // A line of the game comes above what is being typed.
    house.ok("send trains err-free").await;
    terminal.until("err-free\r\n> unfinished").await;
    terminal.types("\u{1d}");
    let ended = tokio::time::timeout(Duration::from_secs(60), console.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
    terminal.until("session 1 goes on").await;
    assert_eq!(terminal.mode(), before, "the terminal is as it was");
    assert!(house.ok("status").await.out.contains("running"));
}
