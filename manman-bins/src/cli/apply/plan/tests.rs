//! Plans for what is declared and what there is.

use super::*;
use crate::cli::apply::{document::declared, source::Source};

fn port(inside: i32, host: i32) -> v1::PortBinding {
    v1::PortBinding { container_port: inside, host_port: host, protocol: v1::Protocol::Udp.into() }
}

/// Two servers, a game with two configs, and a deployment on the first one.
fn there() -> There {
    let server = |server_id, name: &str| v1::Server { server_id, name: name.into(), ..Default::default() };
    let config = |config_id, name: &str| v1::GameConfig {
        config_id,
        game_id: 1,
        name: name.into(),
        body: Some(v1::ConfigBody {
            image: "a".into(),
            ports: vec![v1::PortNeed { container_port: 1, protocol: v1::Protocol::Udp.into() }],
            ..Default::default()
        }),
        ..Default::default()
    };
    There {
        games: vec![v1::Game {
            game_id: 1,
            name: "g".into(),
            steam_app_id: Some("7".into()),
            metadata: [("a".to_owned(), "b".to_owned())].into(),
            ..Default::default()
        }],
        configs: vec![config(1, "c"), config(2, "other")],
        deployments: vec![v1::ServerGameConfig {
            server_game_config_id: 3,
            name: "d".into(),
            server_id: 1,
            game_config_id: 1,
            port_bindings: vec![port(1, 1000)],
            labels: [("x".to_owned(), "y".to_owned())].into(),
            ..Default::default()
        }],
        servers: vec![server(1, "box"), server(2, "barn")],
        live: BTreeMap::new(),
    }
}

/// The plan in words, or what is wrong.
fn planned(text: &str, there: &There) -> Vec<String> {
    let mut problems = Problems::default();
    let source = Source { name: "f".to_owned(), text: format!("version: 1\n{text}") };
    let declared = declared(&[source], &mut problems);
    let plan = plan(&declared, there, &mut problems).unwrap();
    if !problems.is_empty() {
        return problems.lines();
    }
    let mut words = Vec::new();
    for change in &plan.changes {
        let sign = if change.is_new { '+' } else { '~' };
        let fields = change.differences.iter().map(|it| {
            format!(" {}:{}>{}", it.field, it.old.as_deref().unwrap_or("-"), it.new.as_deref().unwrap_or("-"))
        });
        words.push(format!("{sign}{} {}{}", change.noun, change.name, fields.collect::<String>()));
        words.extend(change.notes.iter().map(|note| format!("  {note}")));
    }
    words.extend(plan.refused.iter().map(|refused| format!("!{refused}")));
    words
}

const SAME: &str = "games: [{name: g, configs: [{name: c, image: a, ports: [1/udp]}]}]\n";

#[test]
fn what_is_not_said_of_games_and_deployments_stays() {
    let there = there();
    for (text, expected) in [
        (format!("{SAME}deployments: [{{name: d, config: c}}]"), vec![]),
        (
            format!(
                "{SAME}deployments: [{{name: d, config: g/c, server: box, ports: [1/udp=any:900-1100]}}]"
            ),
            vec![],
        ),
        ("games: [{name: g, steam_app_id: 8}]".to_owned(), vec!["~game g steam_app_id:7>8"]),
        ("games: [{name: g, metadata: {}}]".to_owned(), vec!["~game g metadata.a:\"b\">-"]),
        (
            "deployments: [{name: d, config: c, labels: {}}]".to_owned(),
            vec!["~deployment d labels.x:\"y\">-"],
        ),
        ("deployments: [{name: d, config: other}]".to_owned(), vec!["~deployment d config:g/c>g/other"]),
        (
            "deployments: [{name: d, config: c, ports: [1/udp]}]".to_owned(),
            vec!["~deployment d ports.1/udp:1000>1"],
        ),
        (
            "deployments: [{name: d, config: c, ports: [1/udp=any:5-9]}]".to_owned(),
            vec!["~deployment d ports.1/udp:1000>any:5-9"],
        ),
    ] {
        assert_eq!(planned(&text, &there), expected, "{text}");
    }
}

#[test]
fn changes_come_before_what_may_need_the_ports_that_they_free() {
    let text = "deployments:\n  - {name: new, config: c, server: box, ports: [1/udp=1000]}\n  \
                - {name: d, config: c, ports: [1/udp=2000]}";
    assert_eq!(planned(text, &there()), ["~deployment d ports.1/udp:1000>2000", "+deployment new"]);
}

#[test]
fn references_to_nothing_are_told_with_their_place() {
    let mut there = there();
    for (text, expected) in [
        (
            "deployments: [{name: n, config: g/d, server: box}]",
            "f:2:33: there is no config \"g/d\" in the files or on the server; did you mean g/c?",
        ),
        (
            "deployments: [{name: n, config: zzz, server: box}]",
            "f:2:33: there is no config \"zzz\" in the files or on the server; declare it beneath its game, or see `manman config list`",
        ),
        (
            "deployments: [{name: n, config: c, server: bix}]",
            "f:2:44: there is no server \"bix\"; did you mean box?",
        ),
        (
            "deployments: [{name: n, config: c}]",
            "f:2:15: there are several servers: say server: one of box, barn",
        ),
        (
            "deployments: [{name: d, config: c, ports: [2/udp]}]",
            "f:2:44: config g/c needs no port 2/udp; it needs 1/udp",
        ),
        (
            "games: [{name: h, configs: [{name: c, image: a}]}]\ndeployments: [{name: d, config: c}]",
            "f:3:33: several games have a config named c: say g/c or h/c",
        ),
        (
            "deployments:\n  - {name: d, config: c}\n  - {name: e, config: c, server: box, ports: [1/udp=1000]}",
            "f:4:47: port 1000/udp of the machine is that of deployment d (f:3:5) too",
        ),
    ] {
        assert_eq!(planned(text, &there), [expected], "{text}");
    }
    // What is unknown because it is declared wrong is not told twice.
    let wrong = "games: [{name: g, configs: [{name: c, image: A b}]}]\ndeployments: [{name: d, config: c, ports: [9/udp]}]";
    assert_eq!(planned(wrong, &there).len(), 1);
    let wrong = "games: [{name: g, configs: [{image: a}]}]\ndeployments: [{name: d, config: g/z}]";
    let mut problems = Problems::default();
    let source = Source { name: "f".to_owned(), text: format!("version: 1\n{wrong}") };
    assert!(!declared(&[source], &mut problems).is_whole, "it may be g/z that has no name");
    there.servers.clear();
    let text = "deployments: [{name: n, config: c}]";
    assert_eq!(planned(text, &there), ["f:2:15: no server has registered yet, on which it could be"]);
}

#[test]
fn what_would_lose_something_is_refused() {
    let mut there = there();
    let lines = planned("deployments: [{name: d, config: c, server: barn}]", &there);
    assert!(
        lines.len() == 1 && lines[0].contains("is on box with its files and does not move to barn"),
        "{lines:?}"
    );
    let lines = planned("deployments: [{name: e, config: c, server: box, ports: [1/udp=1000]}]", &there);
    assert!(
        lines.iter().any(|line| line.contains("port 1000/udp of box is held by deployment d")),
        "{lines:?}"
    );

    there.live.insert(3, 7);
    for text in [
        "deployments: [{name: d, config: other}]",
        "deployments: [{name: d, config: c, ports: [1/udp]}]",
        "games: [{name: g, configs: [{name: c, image: a, ports: [1/udp, 2/udp]}]}]",
    ] {
        let lines = planned(text, &there);
        let refused = lines.iter().filter(|line| line.starts_with('!')).collect::<Vec<_>>();
        assert!(
            refused.len() == 1 && refused[0].contains("(7)") && refused[0].contains("`manman stop d`"),
            "{lines:?}"
        );
    }
    let moves = "games: [{name: g, configs: [{name: c, image: a}]}]\ndeployments: [{name: d, config: other}]";
    let lines = planned(moves, &self::there());
    assert!(
        lines.iter().any(|line| line.starts_with("!config g/c") && line.contains("one after the other")),
        "{lines:?}"
    );
    let text = "deployments:\n  - {name: d, config: c, ports: [1/udp=any:900-1100]}\n  \
                - {name: e, config: c, server: box, ports: [1/udp=1000]}";
    let lines = planned(text, &self::there());
    assert!(
        lines.len() == 1 && lines[0].contains("is that of deployment d"),
        "what is held is held: {lines:?}"
    );
    let labels = "deployments: [{name: d, config: c, labels: {}}]";
    assert_eq!(planned(labels, &there), ["~deployment d labels.x:\"y\">-"], "labels touch no session");
    let image = "games: [{name: g, configs: [{name: c, image: b, ports: [1/udp]}]}]";
    let expected = [
        "~config g/c image:a:latest>b:latest",
        "  session 7 of d keeps what it began with; the next start has this",
    ];
    assert_eq!(planned(image, &there), expected);
}

#[test]
fn a_config_takes_its_deployments_ports_with_it() {
    let there = there();
    let game = "games: [{name: g, configs: [{name: c, image: a, ports: [1/udp, 2/udp]}]}]\n";
    let lines = planned(game, &there);
    assert_eq!(
        lines,
        [
            "~config g/c ports.2/udp:->needed",
            "  deployment d, which the files do not name, gives up and takes ports with it"
        ]
    );
    let text =
        format!("version: 1\n{game}deployments: [{{name: d, config: c, ports: {{2/udp: any:20-30}}}}]");
    let mut problems = Problems::default();
    let declared = declared(&[Source { name: "f".to_owned(), text }], &mut problems);
    let plan = plan(&declared, &there, &mut problems).unwrap();
    let Deed::UpdateConfig(request) = &plan.changes[0].deed else { panic!("{plan:?}") };
    let ports = &request.deployments[0].ports;
    assert_eq!(ports[0].ask, Some(v1::port_request::Ask::HostPort(1000)));
    assert_eq!(ports[1].ask, Some(v1::port_request::Ask::Any(v1::PortRange { first: 20, last: 30 })));
    assert_eq!(plan.changes[1].name, "d");
    assert_eq!(plan.left, [0, 1, 0]);
}
