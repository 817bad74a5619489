//! Every exit code of `docs/exit-codes.md`, by the built program.

use std::{os::unix::process::ExitStatusExt as _, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Child,
};

use super::{
    house::{COUNTS, House, STUBBORN},
    terminal::Terminal,
};

pub fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_is_what_the_page_says() {
    let (house, empty) = (House::up().await, House::empty());
    let file = |name: &str, text: &str| {
        let path = house.dir().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (wrong, config) = (file("wrong", "mm_wrong"), file("bad.toml", "listen = 7"));
    let address = house.listen();
    for (at, line, code, word) in [
        (&house, "status".to_owned(), 0, ""),
        (&house, "start nobody".to_owned(), 1, "not_found"),
        (&house, "nonsense".to_owned(), 2, "usage"),
        (&house, "config create c --game g --file /nonexistent".to_owned(), 2, "usage"),
        (&empty, "status".to_owned(), 69, "unreachable"),
        (&house, format!("status --address {address} --token-file {wrong}"), 77, "unauthenticated"),
        (&house, format!("status --address {address} --token-file /nonexistent"), 77, "unauthenticated"),
        (&empty, format!("up --config {config}"), 78, "config"),
        (&empty, format!("up --listen {address}"), 1, "up"),
        (&empty, format!("down --config {config}"), 78, "config"),
    ] {
        let ran = at.run(&format!("{line} -o json")).await;
        assert_eq!(ran.code, code, "{line}: {ran}");
        if code != 0 {
            let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
            assert_eq!(
                (&error["error"]["code"], &error["error"]["exit_code"]),
                (&word.into(), &code.into()),
                "{line}"
            );
        }
    }
    let page = include_str!("../../../docs/exit-codes.md");
    let codes =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<i32>().ok());
    assert_eq!(codes.collect::<Vec<_>>(), [0, 1, 2, 69, 77, 78, 130], "130 is below");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_broken_off_says_what_goes_on() {
    let house = House::up().await;
    house.deploy_image("rock", STUBBORN).await;
    house.ok("start rock").await;
    let mut terminal = Terminal::new();
    let mut stop = terminal.run(house.command("stop rock"));
    // Others may see the stop before it knows itself that it was asked for.
    terminal.until("session 1: stopping (").await;
    interrupt(&stop);
    terminal.until("the stop of session 1 goes on").await;
    terminal.until("manman session show 1").await;
    assert_eq!(stop.wait().await.unwrap().code(), Some(130), "{}", terminal.all());
    let mut told = house.command("down").stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(told.stdout.take().unwrap()).lines();
    assert_eq!(said.next_line().await.unwrap().unwrap(), "rock: stopping session 1");
    interrupt(&told);
    let mut err = String::new();
    told.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
    assert_eq!(told.wait().await.unwrap().code(), Some(130), "{err}");
    assert!(err.contains("go on stopping"), "{err}");
    house.ok("status").await;
    assert!(house.ok("kill rock").await.out.contains("has ended"), "it went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_nothing_of_ours_ends_by_the_signal() {
    let house = House::up().await;
    house.deploy_image("counter", COUNTS).await;
    house.ok("start counter").await;
    let mut logs = house.command("logs -f counter").spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap();
    // Not SIGINT: whoever runs the tests beside something else may have it ignored, and what
    // is ignored is inherited.
    let pid = Pid::from_raw(i32::try_from(logs.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(logs.wait().await.unwrap().signal(), Some(15));
}
