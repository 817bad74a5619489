//! Every command that clap knows: its help, a good use of it, and a mistake.

use std::process::Stdio;

use clap::Command as Known;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::house::House;

/// A command, a good use of it, and a mistake with its exit code and what is said about it.
/// One installation sees them in this order. `{new}` is a directory that is not there,
/// `{games}` a file that declares a game, `{taken}` an address that is taken. A new command needs its line here.
const COMMANDS: [(&str, &str, &str, i32, &str); 42] = [
    (
        "up",
        "up --data-dir {new} --listen 127.0.0.1:0",
        "up --data-dir {new} --listen {taken}",
        1,
        "has it: end that, or choose another with --listen",
    ),
    ("down", "down --data-dir {new}", "down --timeout 30", 2, "30s"),
    ("status", "status", "status --adress x", 2, "--address"),
    ("game create", "game create openttd --steam-app-id 1536610", "game create 42", 2, "all digits"),
    ("game list", "game list", "game lst", 2, "list"),
    ("game show", "game show openttd", "game show opentdd", 1, "openttd"),
    (
        "config create",
        "config create vanilla --game openttd --image game:1 --port 3979/udp",
        "config create c --game openttd --image UPPER",
        2,
        "image",
    ),
    ("config list", "config list --game openttd", "config list --game opentd", 1, "openttd"),
    ("config show", "config show openttd/vanilla", "config show vanila", 1, "vanilla"),
    (
        "deployment create",
        "deployment create trains --server box --config vanilla --port 3979/udp=any:31000-31100",
        "deployment create d --config vanilla --port 1/tcp=any:2",
        2,
        "range",
    ),
    ("deployment list", "deployment list --server box", "deployment list --server bix", 1, "box"),
    ("deployment show", "deployment show trains", "deployment show trians", 1, "trains"),
    ("server list", "server list", "server list box", 2, "box"),
    ("server show", "server show box", "server show bax", 1, "box"),
    ("server abandon", "server abandon attic", "server abandon box", 1, "online"),
    ("token create", "token create ci --valid-for 90d", "token create ci --server box", 2, "--join"),
    ("token list", "token list", "token lst", 2, "list"),
    ("token revoke", "token revoke 1", "token revoke 99", 1, "99"),
    ("deadletter list", "deadletter list -n 10", "deadletter list -n 0", 2, "1..=200"),
    ("deadletter show", "deadletter show --help", "deadletter show seven", 2, "seven"),
    (
        "deadletter requeue",
        "deadletter requeue --help",
        "deadletter requeue 019aa3c4-0000-7000-8000-000000000000",
        1,
        "no dead letter",
    ),
    (
        "deadletter drop",
        "deadletter drop 019aa3c4-0000-7000-8000-000000000000",
        "deadletter drop seven",
        2,
        "seven",
    ),
    ("store backup", "store backup {new}.backup", "store backup /nonexistent/file", 2, "/nonexistent"),
    (
        "store restore",
        "store restore {new}.backup --data-dir {new}.restored",
        "store restore /nonexistent --data-dir {new}",
        2,
        "/nonexistent",
    ),
    ("start", "start trains", "start trains", 1, "session 1"),
    ("session list", "session list --live", "session list --state nowhere", 2, "nowhere"),
    ("session show", "session show trains", "session show 99", 1, "99"),
    ("send", "send trains save", "send trains", 2, "<TEXT>"),
    ("console", "console trains --wait 5s", "console nobody", 1, "nobody"),
    ("logs", "logs trains -n 5", "logs trains -n -1", 2, "-1"),
    ("restart", "restart trains", "restart trains --timeout soon", 2, "soon"),
    ("stop", "stop trains", "stop trains --no-wait --timeout 1s", 2, "cannot be used with"),
    ("kill", "kill trains", "kill 99", 1, "99"),
    ("deployment delete", "deployment delete trains", "deployment delete trains", 1, "trains"),
    ("config delete", "config delete vanilla", "config delete vanilla", 1, "vanilla"),
    ("game delete", "game delete openttd", "game delete openttd", 1, "openttd"),
    ("apply", "apply -f {games} --yes", "apply -f /nonexistent.yaml --yes", 2, "/nonexistent.yaml"),
    ("doctor", "doctor --help", "doctor --config /nonexistent.toml", 1, "problem"),
    ("uninstall", "uninstall", "uninstall --yes", 2, "--yes"),
    ("completions", "completions bash", "completions tcsh", 2, "bash"),
    ("explain", "explain session_live", "explain nonsense", 2, "manman explain"),
    ("help", "help", "help nonsense", 2, "nonsense"),
];

/// The commands beneath `known` that are shown: those that do something, and their groups.
fn walk(known: &Known, path: &str, commands: &mut Vec<String>, groups: &mut Vec<String>) {
    for inner in known.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        let path = format!("{path} {}", inner.get_name()).trim().to_owned();
        if !inner.has_subcommands() {
            commands.push(path);
        } else if inner.get_name() != "help" {
            groups.push(path.clone());
            walk(inner, &path, commands, groups);
        } else if !path.contains(' ') {
            commands.push(path);
        }
    }
    commands.retain(|command| !command.ends_with(" help"));
}

fn known() -> (Known, Vec<String>, Vec<String>) {
    let mut known = manman_bins::cli::command_line();
    known.build();
    let (mut commands, mut groups) = (Vec::new(), Vec::new());
    walk(&known, "", &mut commands, &mut groups);
    (known, commands, groups)
}

#[test]
fn every_command_is_in_the_table() {
    let (_, mut commands, _) = known();
    let mut entered: Vec<_> = COMMANDS.iter().map(|it| it.0.to_owned()).collect();
    commands.sort();
    entered.sort();
    assert_eq!(commands, entered, "each command has its line in COMMANDS");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself() {
    let house = House::empty();
    let (known, commands, groups) = known();
    for path in commands.iter().chain(&groups).filter(|path| *path != "help") {
        let help = house.ok(&format!("{path} --help")).await.out;
        let command = path.split(' ').fold(&known, |at, name| at.find_subcommand(name).unwrap());
        let about = command.get_about().unwrap().to_string();
        assert!(help.contains(about.split('\n').next().unwrap()), "{path} says nothing of itself: {help}");
        let takes = |it: &&clap::Arg| !it.is_global_set() && it.get_id() != "help";
        if !command.has_subcommands() && command.get_arguments().any(|it| takes(&it)) {
            assert!(
                help.contains("Example") && help.contains(&format!("manman {path} ")),
                "no example: {help}"
            );
        }
    }
    for group in groups {
        let ran = house.run(&format!("{group} nonsense")).await;
        assert!(ran.code == 2 && ran.err.contains("nonsense"), "{group}: {ran}");
        assert_eq!(house.run(&group).await.code, 2, "{group}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_a_good_use_and_answers_a_mistake() {
    let house = House::up().await;
    house.silent_server("attic").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let games = house.dir().join("games.yaml");
    std::fs::write(&games, "version: 1\ngames:\n  - name: applied\n").unwrap();
    let filled = |line: &str| {
        let new = house.dir().join("new").display().to_string();
        let line = line.replace("{games}", &games.display().to_string());
        line.replace("{new}", &new).replace("{taken}", &taken.local_addr().unwrap().to_string())
    };
    for (command, good, mistake, code, said) in COMMANDS {
        match command {
            "up" => up(&house, &filled(good)).await,
            "console" => {
                house.shows("trains", "saved").await;
                assert_eq!(house.talk(good, "save\n").await.out, "saved\n");
            }
            _ => drop(house.ok(&filled(good)).await),
        }
        let ran = house.run(&filled(mistake)).await;
        assert_eq!(ran.code, code, "{mistake}: {ran}");
        assert!(ran.err.contains(said), "{mistake} does not say {said}: {ran}");
        assert!(!ran.err.contains('\u{1b}') && !ran.out.contains('\u{1b}'), "{mistake}: {ran}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_is_restored() {
    let mut house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    house.ok("stop trains").await;
    let (file, other) = (house.dir().join("all.backup"), house.dir().join("other"));
    let (file, other) = (file.display().to_string(), other.display().to_string());
    let saved = house.json(&format!("store backup {file}")).await;
    let restored = house.json(&format!("store restore {file} --data-dir {other}")).await;
    assert_eq!((&restored["rows"], &restored["cluster_id"]), (&saved["rows"], &saved["cluster_id"]));
    assert!(saved["rows"]["sessions"].as_u64() >= Some(1), "{saved:#}");
    // It can be used: another backup has the same.
    let again = house.json(&format!("store backup {file}.2 --data-dir {other}")).await;
    assert_eq!(again["rows"], saved["rows"]);
    for (line, code, said) in [
        (format!("store restore {file} --data-dir {other}"), 1, "say --replace to lose what is there"),
        (format!("store restore {file} --replace"), 1, "End it first"),
    ] {
        let ran = house.run(&line).await;
        assert!(ran.code == code && ran.err.contains(said), "{line}: {ran}");
    }
    let out = house.ok(&format!("store restore {file} --replace --data-dir {other}")).await.out;
    assert!(out.starts_with("restored installation "), "{out}");
    house.end().await;
}

/// One that comes up and is told to end.
async fn up(house: &House, line: &str) {
    let mut command = house.command(&format!("{line} --docker-socket /nowhere/docker.sock"));
    let mut up = command.stderr(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(up.stdout.take().unwrap()).lines();
    while !said.next_line().await.unwrap().unwrap().starts_with("Ctrl-C ends manman") {}
    let pid = Pid::from_raw(i32::try_from(up.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(up.wait().await.unwrap().success(), "{line}");
}
