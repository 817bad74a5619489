//! What somebody who goes away, or does not read on, leaves behind.

use std::{process::Stdio, time::Duration};

use super::{
    house::{House, IMAGE},
    terminal::Terminal,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_before_leaving_is_written() {
    let house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    for leave in ["\u{1d}", "\u{4}"] {
        let mut terminal = Terminal::new();
        let mut console = terminal.run(house.command("console trains"));
        terminal.until("hello").await;
        let typed: Vec<String> = (1..=20).map(|number| format!("line {number}")).collect();
        terminal.types(&format!("{}\r{leave}", typed.join("\r")));
        let ended = tokio::time::timeout(Duration::from_secs(60), console.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(0), "{}", terminal.all());
        // The game repeats it, a little later.
        let mut told = Vec::new();
        for _ in 0..600 {
            let logs = house.ok("logs trains -n 20").await.out;
            told = logs.lines().map(str::to_owned).collect();
            if told.last() == typed.last() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(told, typed);
        house.ok("send trains hello").await;
    }
}

/// Runs the program with nobody to read its stdout, and returns its exit code.
async fn unread(house: &House, line: &str) -> Option<i32> {
    let mut child = house.command(line).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_nobody_reads_is_done_to_its_end() {
    let house = House::up().await;
    let file = house.dir().join("wanted.yaml");
    let write = |port: u16| {
        let text = format!(
            "version: 1\ngames:\n  - name: g\n    configs: [{{name: c, image: {IMAGE}, ports: [1/tcp]}}]\n\
             deployments:\n  - {{name: a, config: c, ports: {{1/tcp: {port}}}}}\n\
             \u{20} - {{name: b, config: c, ports: {{1/tcp: any:33000-33000}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    let made = async || house.json("deployment list").await["configs"].as_array().unwrap().len();
    let line = format!("apply -f {} --yes", file.display());
    // The first takes the port that the second has to have.
    write(33000);
    assert_eq!(unread(&house, &line).await, Some(1), "what went wrong is not hidden");
    assert_eq!(made().await, 1);
    house.ok("deployment delete a").await;
    write(33001);
    assert_eq!(unread(&house, &line).await, Some(0));
    assert_eq!(made().await, 2);
}
