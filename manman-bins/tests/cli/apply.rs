//! `apply`: from a file to what there is, and again.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

use super::{
    exits,
    house::{House, IMAGE, Ran},
    terminal,
};

/// A file in the installation's directory.
fn file(house: &House, text: &str) -> PathBuf {
    let path = house.dir().join("wanted.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn apply(house: &House, text: &str, options: &str) -> Ran {
    let path = file(house, text);
    house.run(format!("apply -f {} {options}", path.display()).trim_end()).await
}

fn wanted(image: &str, more: &str, ports: &str) -> String {
    format!(
        "version: 1
games:
  - name: openttd
    metadata: {{genre: trains}}
    configs:
      - name: hill
        image: {image}
        ports: [3979/udp]
        env: {{RCON_PASSWORD: hunter2, A: b}}
        stop: [save:1s]
        limits: {{memory: 512MiB, cpus: 1.5}}
{more}deployments:
  - name: hill
    config: openttd/hill
    server: box
    ports: {{3979/udp: {ports}}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_made_changed_and_left_alone() {
    let house = House::up().await;
    house.deploy("other").await;
    let text = wanted(IMAGE, "", "any:31000-31100");
    let looked = apply(&house, &text, "--dry-run").await;
    assert_eq!(looked.code, 0, "{looked}");
    assert_eq!(
        looked.out,
        "+ create game openttd\n+ create config openttd/hill\n+ create deployment hill\n\
         left alone, for the files do not name them: 1 game, 1 config, 1 deployment\n"
    );
    let unasked = apply(&house, &text, "").await;
    assert_eq!(unasked.code, 2, "{unasked}");
    assert!(unasked.err.contains("--yes") && unasked.out.contains("+ create game"), "{unasked}");
    assert_eq!(house.json("game list").await["games"].as_array().unwrap().len(), 1, "nothing is changed");

    let made = apply(&house, &text, "--yes").await;
    assert_eq!(made.code, 0, "{made}");
    assert!(
        made.out.ends_with(
            "created game openttd (2)\ncreated config openttd/hill (2)\n\
             created deployment hill (2), ports 31000/udp→3979\napplied 3 changes\n\
             hill was never started: manman start hill\n"
        ),
        "{made}"
    );
    let again = apply(&house, &text, "--yes").await;
    assert!(
        again.code == 0 && again.out.contains("= 3 unchanged\n") && again.out.contains("nothing to do\n"),
        "{again}"
    );
    assert!(!again.out.contains("create") && !again.out.contains("change "), "{again}");

    // Changed while a session lives: it keeps what it began with.
    house.ok("start hill").await;
    let text = text.replace("hunter2", "hunter3").replace("cpus: 1.5", "cpus: 2").replace("trains", "rails");
    let changed = apply(&house, &text, "--yes").await;
    assert_eq!(changed.code, 0, "{changed}");
    for line in [
        "~ change game openttd\n    metadata.genre: \"trains\" -> \"rails\"\n",
        "~ change config openttd/hill\n    env.RCON_PASSWORD: another one, (hidden)\n    limits.cpus: 1.5 -> 2\n",
        "session 1 of hill keeps what it began with; the next start has this\n",
        "changed config openttd/hill\napplied 2 changes\n",
    ] {
        assert!(changed.out.contains(line), "{line}: {changed}");
    }
    assert!(!changed.out.contains("hunter"), "{changed}");
    let config = house.json("config show openttd/hill").await;
    assert_eq!((&config["config_id"], &config["body"]["limits"]["cpu_millis"]), (&2.into(), &2000.into()));
    assert_eq!(config["body"]["env_template"]["RCON_PASSWORD"], "hunter3");
    assert_eq!(house.json("session show hill").await["session"]["state"], "running");

    house.ok("restart hill").await;
    let ran = house.json("session show hill").await["attempts"].clone();
    assert!(ran[0]["spec_hash"].is_string() && ran[0]["spec_hash"] == ran[1]["spec_hash"], "{ran:#}");

    // Its ports only while none does.
    let moved = text.replace("any:31000-31100", "31500");
    let refused = apply(&house, &moved, "--yes").await;
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.err.contains("`manman stop hill`") && refused.err.contains("nothing was changed"),
        "{refused}"
    );
    house.ok("stop hill").await;
    let changed = apply(&house, &moved, "--yes").await;
    assert!(
        changed.out.contains("~ change deployment hill\n    ports.3979/udp: 31000 -> 31500\n"),
        "{changed}"
    );
    let shown = house.json("deployment show hill").await;
    assert_eq!(
        (&shown["server_game_config_id"], &shown["port_bindings"][0]["host_port"]),
        (&2.into(), &31500.into())
    );
    assert!(apply(&house, &moved, "--yes").await.out.contains("nothing to do"));
    assert!(house.ok("start hill").await.out.contains("31500"));
    let now = house.json("session show hill").await["attempts"].clone();
    assert_ne!(now[0]["spec_hash"], ran[0]["spec_hash"], "the next start has what is declared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_of_several_deployments_gets_a_port_more() {
    let house = House::up().await;
    let file = |ports: &str| {
        let deployment = |name: &str| {
            format!("  - {{name: {name}, config: c, ports: {{1/tcp: any:32000-32009{ports}}}}}\n")
        };
        let needs = if ports.is_empty() { "1/tcp" } else { "1/tcp, 2/tcp" };
        format!(
            "version: 1\ngames:\n  - name: g\n    configs: [{{name: c, image: {IMAGE}, ports: [{needs}]}}]\ndeployments:\n{}{}",
            deployment("a"),
            deployment("b")
        )
    };
    assert_eq!(apply(&house, &file(""), "--yes").await.code, 0);
    let more = file(", 2/tcp: any:32000-32009");
    let ran = apply(&house, &more, "--yes -o json").await;
    assert_eq!(ran.code, 0, "{ran}");
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&said["state"], &said["unchanged"]), (&"applied".into(), &1.into()), "{said:#}");
    assert_eq!(said["changes"][0]["differences"][0]["field"], "ports.2/tcp", "{said:#}");
    assert_eq!(said["never_started"], serde_json::json!(["a", "b"]));
    let hosts = |shown: Value| {
        let ports = shown["port_bindings"].as_array().unwrap().clone();
        ports.iter().map(|it| it["host_port"].as_i64().unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(hosts(house.json("deployment show a").await), [32000, 32002].into());
    assert_eq!(hosts(house.json("deployment show b").await), [32001, 32003].into());
    assert!(apply(&house, &more, "--yes").await.out.contains("nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_with_their_places_and_nothing_is_changed() {
    let house = House::up().await;
    let text =
        wanted(IMAGE, "        imgae: x\n        tty: yes\n", "99999").replace("openttd/hill", "openttd/hil");
    let ran = apply(&house, &text, "--yes").await;
    assert_eq!(ran.code, 2, "{ran}");
    let name = house.dir().join("wanted.yaml").display().to_string();
    for line in [
        format!("{name}:12:9: \"imgae\" is not a key of a config; did you mean image?\n"),
        format!("{name}:13:14: true or false is expected, not \"yes\"\n"),
        format!(
            "{name}:18:13: \"99999\" is not a valid port number; expected 1 to 65535, in \"3979/udp=99999\"\n"
        ),
        format!(
            "{name}:16:13: there is no config \"openttd/hil\" in the files or on the server; did you mean openttd/hill?\n"
        ),
    ] {
        assert!(ran.err.contains(&line), "{line}{ran}");
    }
    assert!(ran.err.starts_with("error: 4 mistakes in what is declared; nothing was changed\n"), "{ran}");
    assert!(house.ok("game list").await.out.starts_with("no games"));
    let ran = house.run("apply -f /nonexistent --yes").await;
    assert!(ran.code == 2 && ran.err.contains("/nonexistent cannot be read"), "{ran}");
    let ran = house.run("apply").await;
    assert!(ran.code == 2 && ran.err.contains("--file"), "{ran}");
    let ran = house.talk("apply -f - --yes -o json", "version: 1\ngames: 3\n").await;
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["problems"][0], "stdin:2:8: a list is expected, not a text");
    // Without a server too, as far as they can be seen.
    let nobody = House::empty();
    let ran = nobody.talk("apply -f - --yes", "version: 2\n").await;
    assert!(ran.code == 2 && ran.err.contains("stdin:1:10: this manman knows version 1 only"), "{ran}");
    assert_eq!(nobody.talk("apply -f - --yes", "version: 1\n").await.code, 69);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_can_be_applied() {
    let house = House::up().await;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples");
    let made = house.ok(&format!("apply -f {examples} --yes")).await;
    assert!(made.out.contains("applied 4 changes\n"), "{made}");
    let again = house.ok(&format!("apply -f {examples} --yes")).await;
    assert!(again.out.contains("= 4 unchanged\nnothing to do\n"), "{again}");
    let config = house.json("config show openttd/hill").await;
    assert_eq!(config["body"]["stop"]["steps"][0]["command"], "save autosave/exit");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_it_can_be_gone_on_with() {
    let house = House::up().await;
    house.deploy("other").await;
    house.ok("config create taken --game other --image game:1 --port 5/tcp").await;
    house.ok("deployment create holder --config taken --port 5/tcp=33000").await;
    let text = wanted(IMAGE, "", "any:33000-33000").replace("3979/udp", "3979/tcp");
    let ran = apply(&house, &text, "--yes").await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.err.starts_with("error: deployment hill was not created: "), "{ran}");
    assert!(
        ran.err
            .contains("2 of 3 changes are done: created game openttd (2); created config openttd/hill (3)"),
        "{ran}"
    );
    assert!(ran.err.contains("applying again goes on"), "{ran}");
    // Where it can be seen before, nothing is begun.
    let ran = apply(&house, &text.replace("any:33000-33000", "33000"), "--yes").await;
    assert!(ran.code == 1 && ran.err.contains("held by deployment holder"), "{ran}");
    house.ok("deployment delete holder").await;
    let ran = apply(&house, &text, "--yes").await;
    assert!(
        ran.code == 0 && ran.out.contains("= 2 unchanged\n") && ran.out.contains("applied 1 change\n"),
        "{ran}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_asked() {
    let house = House::up().await;
    let path = file(&house, &wanted(IMAGE, "", "31000"));
    let line = format!("apply -f {}", path.display());
    let mut terminal = terminal::Terminal::new();
    let mut ran = terminal.run(house.command(&line));
    terminal.until("apply 3 changes? [y/N] ").await;
    exits::interrupt(&ran);
    terminal.until("interrupted: nothing was changed").await;
    let ended = tokio::time::timeout(Duration::from_secs(30), ran.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(130));
    for (answer, code) in [("n\r", 1), ("y\r", 0)] {
        let mut terminal = terminal::Terminal::new();
        let mut ran = terminal.run(house.command(&line));
        terminal.until("apply 3 changes? [y/N] ").await;
        terminal.types(answer);
        terminal.until(if code == 0 { "applied 3 changes" } else { "nothing was changed" }).await;
        let ended = tokio::time::timeout(Duration::from_secs(30), ran.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(code));
    }
    assert!(house.ok("status").await.out.contains("never started"));

    // What was agreed to is what is done.
    file(&house, &wanted(IMAGE, "        tty: true\n", "31000"));
    let mut terminal = terminal::Terminal::new();
    let mut ran = terminal.run(house.command(&line));
    terminal.until("apply 1 change? [y/N] ").await;
    house.ok("deployment delete hill").await;
    terminal.types("y\r");
    terminal.until("something was changed meanwhile").await;
    let ended = tokio::time::timeout(Duration::from_secs(30), ran.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert_eq!(house.json("config show openttd/hill").await["body"]["tty"], false);
}
