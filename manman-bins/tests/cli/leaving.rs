//! What somebody who goes away, or does not read on, leaves behind.

use std::{process::Stdio, time::Duration};

use super::house::{House, IMAGE};

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
