//! What can be said, and what cannot.

use clap::{CommandFactory as _, error::ErrorKind};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("manman").chain(line.split(' ').filter(|word| !word.is_empty())))
}

#[test]
fn the_grammar_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself() {
    fn walk(command: &clap::Command, path: &[&str], seen: &mut usize) {
        let words = path.iter().copied().chain(["--help"]);
        let help = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{path:?}");
        assert!(command.get_about().is_some(), "{path:?} says nothing about itself");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{path:?} {} is not explained", argument.get_id());
        }
        *seen += 1;
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            walk(inner, &[path, &[inner.get_name()]].concat(), seen);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut seen = 0;
    walk(&command, &["manman"], &mut seen);
    assert!(seen > 30, "{seen}");
}

#[test]
fn what_can_be_said() {
    for line in [
        "up",
        "up --data-dir /tmp/x --listen 127.0.0.1:1 --demo",
        "--data-dir /tmp/x up",
        "down",
        "down --kill --timeout 30s",
        "status",
        "status -o json",
        "apply -f a.yaml",
        "apply -f a.yaml -f - --yes",
        "apply --file dir --dry-run -o json",
        "game create openttd --steam-app-id 1 --metadata a=b --metadata c=d",
        "game ls",
        "game show 1",
        "game delete openttd",
        "game rm openttd",
        "config create a --game g --image i",
        "config create a --game g --file -",
        "config create a --game g --image i --entrypoint sh --entrypoint -c -- -x --help",
        "config create a --game g --image i --env A= --port 1/tcp --stop save:2s --memory 2GiB --cpus 0.5",
        "config list --game g",
        "config show g/a",
        "deployment create d --config c",
        "deployment create d --server s --config g/c --port 3979/udp=3979 --port 3979/tcp=any:30000-30100",
        "deployment list --server s -o json",
        "deployment delete d",
        "server list",
        "server show s",
        "server abandon s",
        "session list --deployment d --live",
        "session list --state running --state lost -n 0",
        "session show 7",
        "start d",
        "start d --no-wait",
        "start d --timeout 1m30s",
        "stop d",
        "kill 7",
        "restart d --timeout 5s",
        "logs d",
        "logs -f -n 100 d",
        "logs d --since-seq 7 --raw -t",
        "console d",
        "console d -n 5 --wait 500ms",
        "send d save",
        "send d -- -x",
        "send d -1",
        "explain",
        "explain port_conflict",
        "status --address localhost:1 --token-file /x",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn what_cannot_be_said_names_the_mistake() {
    for (line, named) in [
        ("", "Usage"),
        ("nonsense", "nonsense"),
        ("strat d", "start"),
        ("apply", "--file"),
        ("apply -f a --yes --dry-run", "cannot be used with"),
        ("game", "Usage"),
        ("game create", "<NAME>"),
        ("game create 42", "all digits"),
        ("game create a/b", "'/'"),
        ("game create a --metadata b", "KEY=VALUE"),
        ("config create a --game g", "--image"),
        ("config create a --image i", "--game"),
        ("config create a --game g --image UPPER", "image"),
        ("config create a --game g --image i --port 1", "1/udp or 1/tcp"),
        ("config create a --game g --image i --stop save", "save:2s"),
        ("config create a --game g --image i --memory 2g", "2GiB"),
        ("config create a --game g --image i --stop-signal KILL", "TERM"),
        ("config create a --game g --image i --network host", "shared:NAME"),
        ("config create a --game g --image i --cap-profile all", "strict"),
        ("config create a --game g --image i --console never", "best-effort"),
        ("config create a --game g --image i --data-path data", "absolute"),
        ("config create a --game g --image i --volume x", "NAME:/PATH"),
        ("config create a --game g --image i extra", "extra"),
        ("deployment create d", "--config"),
        ("deployment create d --config c --port 1/tcp=any:2", "range"),
        ("session list --state nowhere", "nowhere"),
        ("session list --live --state running", "cannot be used with"),
        ("start", "<NAME>"),
        ("start d --no-wait --timeout 1s", "cannot be used with"),
        ("start d --timeout 30", "30s"),
        ("logs d -n -1", "-1"),
        ("logs d -n 1 --since-seq 1", "cannot be used with"),
        ("send d", "<TEXT>"),
        ("status -o yaml", "yaml"),
    ] {
        let error = parse(line).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(named)), "{line}\n{error:?}");
    }
}

#[test]
fn options_of_all_commands_may_stand_anywhere() {
    for line in ["-o json status", "status -o json", "--output json game list", "game --output=json list"] {
        assert_eq!(parse(line).unwrap().common.output, Format::Json, "{line}");
    }
}
