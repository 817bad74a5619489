//! Files that are wrong, and where that is said; and what a plan makes of files that are not.

use proptest::prelude::*;

use super::{
    document::{Declared, declared},
    facts::{differences, facts},
    place::Problems,
    source::Source,
};

fn read(text: &str) -> (Declared, Vec<String>) {
    let mut problems = Problems::default();
    let source = Source { name: "f".to_owned(), text: text.to_owned() };
    let declared = declared(&[source], &mut problems);
    (declared, problems.lines())
}

/// A config with these lines in it, the first one at line 6 and column 9.
fn config(lines: &str) -> String {
    let lines = lines.lines().map(|line| format!("        {line}\n")).collect::<String>();
    format!("version: 1\ngames:\n  - name: g\n    configs:\n      - name: c\n{lines}")
}

#[test]
fn each_mistake_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("", vec![]),
        ("# nothing\n---\n", vec![]),
        ("games: []", vec!["f:1:1: says no version: write version: 1 at its top"]),
        ("version: 2", vec!["f:1:10: this manman knows version 1 only: write version: 1"]),
        ("- version: 1", vec!["f:1:1: a document is expected (keys and values), not a list"]),
        ("version: 1\ngame: []", vec!["f:2:1: \"game\" is not a key of a document; did you mean games?"]),
        (
            "version: 1\nnonsense: []",
            vec!["f:2:1: \"nonsense\" is not a key of a document; known are deployments, games, version"],
        ),
        ("version: 1\ngames: {}", vec!["f:2:8: a list is expected, not keys and values"]),
        ("version: 1\ngames:\n  - x", vec!["f:3:5: a game is expected (keys and values), not a text"]),
        ("version: 1\ngames:\n  - metadata: {}", vec!["f:3:5: a game needs name, which is missing"]),
        ("version: 1\nversion: 1", vec!["f:2:1: version is there twice, before at line 1"]),
        ("version: 1\n? [a]\n: b", vec!["f:2:3: a key is expected, not a list"]),
        (
            "version: 1\ngames: [{name: g}]\n---\nversion: 1\ngames: [{name: g}]",
            vec!["f:5:9: game g is declared twice, before at f:2:9"],
        ),
        (
            "version: 1\ngames: [{name: 12}, {name: true}]",
            vec![
                "f:2:16: name: \"12\" is all digits and would be taken for an id",
                "f:2:28: a text is expected, not true; put it in quotes: \"true\"",
            ],
        ),
        (
            "version: 1\ngames: [{name: g, steam_app_id: x, metadata: {a: [b]}}]",
            vec!["f:2:33: steam_app_id: is not 1 to 20 digits", "f:2:50: a text is expected, not a list"],
        ),
        ("version: 1\ndeployments: [{name: d}]", vec!["f:2:15: a deployment needs config, which is missing"]),
        (
            "version: 1\ndeployments: [{name: d, config: c, ports: [1/tcp, 1/tcp=2, 7]}]",
            vec![
                "f:2:51: 1/tcp is asked for twice, before at f:2:44",
                "f:2:60: \"7\" says no protocol: write 7/udp or 7/tcp",
            ],
        ),
        ("version: 1\ngames: [", vec!["f:2:8: is not valid YAML"]),
        ("version: 1\ngames: *a", vec!["f:2:8: is not valid YAML"]),
        ("version: 1\ngames: &a [*a]", vec!["f:2:12: is an alias of what it stands in"]),
        ("version: !x 1", vec!["f:1:13: the tag !x means nothing here"]),
        ("version: 1\n\tgames: []", vec!["f:1:10: is not valid YAML"]),
    ] {
        wrong.extend(told(text, &expected));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_mistake_in_a_config_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (lines, expected) in [
        ("", vec!["f:5:9: a config needs image, which is missing"]),
        ("image:", vec!["f:5:9: a config needs image, which is missing"]),
        ("image: A b", vec!["f:6:16: image: \"A b\" is no image reference"]),
        (
            "image: a\nenv: {A: 1}\nenv_template: {A: 1}",
            vec!["f:8:9: env_template says what env says at line 7: keep one"],
        ),
        (
            "image: a\nenv: {A: true, B: }",
            vec![
                "f:7:18: a text is expected, not true; put it in quotes: \"true\"",
                "f:7:25: a text is expected, not nothing",
            ],
        ),
        ("image: a\nenv: {MANMAN_X: y}", vec!["f:7:25: env_template[MANMAN_X]: names beginning with"]),
        (
            "image: a\nports: [1/sctp, {container_port: 70000, protocol: udp}, {container_port: 1}]",
            vec![
                "f:7:17: \"sctp\" is neither tcp nor udp, in \"1/sctp\"",
                "f:7:42: 70000 is not within 1 to 65535",
                "f:7:65: a port needs protocol, which is missing",
            ],
        ),
        ("image: a\nports:\n  - 1/tcp\n  - 1/tcp", vec!["f:9:13: ports[1]: 1/TCP is named twice"]),
        (
            "image: a\nvolumes: [x, {name: y, container_path: /y, read_only: 1}]",
            vec!["f:7:19: \"x\" is not a valid volume", "f:7:63: true or false is expected, not \"1\""],
        ),
        (
            "image: a\nstop: {steps: [save, {command: q, wait: 2}], grace_millis: 2s}",
            vec![
                "f:7:24: \"save\" says no wait",
                "f:7:49: \"2\" says no unit",
                "f:7:68: \"2s\" is not a valid whole number here",
            ],
        ),
        ("image: a\nstop: {signal: KILL}", vec!["f:7:24: \"KILL\" is none of TERM, INT"]),
        (
            "image: a\nlimits: {memory: 2g, cpus: 1.0001, pids: -1, swap: 1}",
            vec![
                "f:7:26: \"2g\" may mean two things",
                "f:7:36: \"1.0001\" is not a valid number of cores",
                "f:7:50: \"-1\" is not a valid whole number here",
                "f:7:54: \"swap\" is not a key of limits; known are cpu_millis, cpus, memory, memory_bytes, pids",
            ],
        ),
        ("image: a\nlimits:\n  memory: 1MiB", vec!["f:8:19: limits.memory_bytes: 1048576 is not within"]),
        ("image: a\nuser: root", vec!["f:7:15: user: "]),
        ("image: a\ntty: yes", vec!["f:7:14: true or false is expected, not \"yes\""]),
        ("image: a\ncapabilities: all", vec!["f:7:23: \"all\" is neither strict nor image"]),
        ("image: a\nnetwork: host", vec!["f:7:18: \"host\" is not a valid network"]),
        ("image: a\nconsole: loud", vec!["f:7:18: \"loud\" is neither exact nor best-effort"]),
        ("image: a\nlog: {driver: syslog}", vec!["f:7:23: log.driver: syslog cannot be read back"]),
        ("image: a\ncommand: run it", vec!["f:7:18: a list is expected, not a text"]),
        ("image: a\nlabels: [a]", vec!["f:7:17: labels: names and texts are expected, not a list"]),
    ] {
        wrong.extend(told(&config(lines), &expected));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nothing, if a file's mistakes begin with what is expected.
fn told(text: &str, expected: &[&str]) -> Option<String> {
    let (_, lines) = read(text);
    let same = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, expected)| line.starts_with(expected));
    (!same).then(|| format!("{text}\n{lines:#?}\nexpected: {expected:#?}\n"))
}

/// A config that says something of everything.
const FULL: &str = "image: a
entrypoint: [sh, -c]
command: [-D, 3979, '']
env: {A: 013, B: ''}
data_path: /data
volumes: ['maps:/maps:ro', {name: saves, container_path: /saves}]
ports: [3979/udp, {container_port: 3979, protocol: TCP}]
stop: {steps: ['say bye: all:2s', {command: quit, wait: 500ms}], signal: SIGINT, grace: 1m}
limits: {memory: 512MiB, cpu_millis: 1500, pids: 64}
capabilities: image
user: '1000:1000'
tty: true
network: 'shared:proxy'
console: best_effort
log: {driver: syslog, max_size: 10MB, max_files: 3}
labels: {a: b}";

#[test]
fn short_forms_mean_what_long_ones_mean() {
    let body = |lines: &str| {
        let (declared, problems) = read(&config(lines));
        assert_eq!(problems, [""; 0], "{lines}");
        declared.games[0].configs[0].body.clone().unwrap()
    };
    let short = body(FULL);
    let shown = crate::cli::json::write(&crate::api::v1::ConfigBody::from(short.clone()));
    assert_eq!(shown["env_template"]["A"], "013", "as it is written");
    assert_eq!(shown["command"], serde_json::json!(["-D", "3979", ""]));
    // JSON is YAML: what `config show` says can be declared.
    let inner = serde_json::to_string(&shown).unwrap();
    let inner = &inner[1..inner.len() - 1];
    let (declared, problems) =
        read(&format!("version: 1\ngames: [{{name: g, configs: [{{name: c, {inner}}}]}}]"));
    assert_eq!(problems, [""; 0]);
    assert_eq!(declared.games[0].configs[0].body.as_ref(), Some(&short));
}

#[test]
fn all_of_a_config_can_be_declared_and_compared() {
    let (declared, _) = read(&config(FULL));
    let full = declared.games[0].configs[0].body.clone().unwrap();
    let least = manman_core::model::ConfigBody::new("b".parse().unwrap());
    let differing = differences(&facts(&least), &facts(&full));
    let message = crate::cli::json::write(&crate::api::v1::ConfigBody::from(full.clone()));
    for field in message.as_object().unwrap().keys() {
        let key = super::body::KEYS.iter().find(|key| key.split('/').any(|one| one == field));
        let key = key.unwrap_or_else(|| panic!("{field} cannot be declared"));
        let is_of =
            |name: &str| key.split('/').any(|one| name == one || name.starts_with(&format!("{one}.")));
        assert!(differing.iter().any(|it| is_of(&it.field)), "{field} is not compared");
    }
    assert_eq!(differences(&facts(&full), &facts(&full)), []);
    let new = |field| differing.iter().find(|it| it.field == field).and_then(|it| it.new.as_deref());
    assert_eq!((new("limits.memory"), new("limits.cpus")), (Some("512MiB"), Some("1.5")));
    assert_eq!((new("stop.grace"), new("log.max_size")), (Some("60s"), Some("10MB")));
}

#[test]
fn secrets_are_compared_and_not_shown() {
    let body = |secret: &str| {
        let lines = format!(
            "image: a\nenv: {{RCON_PASSWORD: {secret}, apiKey: {secret}, NAME: x}}\ncommand: [--token, {secret}, --rcon-password={secret}, x]"
        );
        facts(read(&config(&lines)).0.games[0].configs[0].body.as_ref().unwrap())
    };
    let differing = differences(&body("hunter2"), &body("hunter3"));
    assert_eq!(differing.len(), 3);
    assert!(!format!("{differing:?}").contains("hunter"), "{differing:?}");
    let words = r#"["--token", "(hidden)", "--rcon-password=(hidden)", "x"]"#;
    assert_eq!(differing.iter().find(|it| it.field == "command").unwrap().new.as_deref(), Some(words));
}

#[test]
fn anchors_are_resolved_within_bounds() {
    let (declared, problems) = read(
        "version: 1\ngames:\n  - name: g\n    configs:\n      - &small {name: small, image: a, tty: true}\n      \
         - {<<: *small, name: large}\n",
    );
    assert_eq!(problems, [""; 0]);
    let large = &declared.games[0].configs[1];
    assert!(large.name.as_str() == "large" && large.body.as_ref().unwrap().tty);

    let mut bomb = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    let (_, problems) = read(&bomb);
    assert!(problems[0].contains("more than 50000 values"), "{problems:?}");
    let long = format!("version: 1\na: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 100_000].join(","));
    let (_, problems) = read(&long);
    assert!(problems[0].contains("more than 8 MiB of text"), "{problems:?}");
    for deep in
        [format!("a: {}", "[".repeat(100_000)), "- ".repeat(10_000), format!("a: {}", "{a: ".repeat(10_000))]
    {
        let (_, problems) = read(&deep);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn the_page_names_every_key() {
    let page = include_str!("../../../../docs/apply.md");
    let more = ["version", "games", "deployments", "steam_app_id", "metadata", "configs", "config", "server"];
    for key in super::body::KEYS.iter().flat_map(|key| key.split('/')).chain(more) {
        assert!(page.contains(&format!("`{key}`")) || page.contains(&format!("`{key}, ")), "{key}");
    }
}

proptest! {
    #[test]
    fn reading_never_panics(text in r#"[\[\]{}:,&*#!|>'"?~%@a-c0-9 \n\t-]{0,80}"#) {
        read(&text);
    }

    #[test]
    fn reading_values_never_panics(key in "[a-z_]{1,12}", value in r#"[\[\]{}:,'"/=a-z0-9 .-]{0,40}"#) {
        read(&config(&format!("image: a\n{key}: {value}")));
        for key in ["ports", "stop", "limits", "volumes", "env", "network", "log", "user"] {
            read(&config(&format!("image: a\n{key}: {value}")));
        }
        read(&format!("version: 1\ndeployments:\n  - name: d\n    config: c\n    ports: {value}\n"));
    }
}
