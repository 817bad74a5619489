//! What is listed and shown.

use serde_json::{Value, json};

use super::{script, session};
use crate::{
    api::v1::{self, SessionState as State},
    cli::{
        failure::Failure,
        fake::{Fake, Script},
    },
};

#[tokio::test(start_paused = true)]
async fn a_wrong_name_comes_with_the_servers_advice() {
    let ran = Fake::new(script([])).run("start nobody").await;
    let Err(Failure::Told(told)) = &ran.result else { panic!("it is refused") };
    assert_eq!((told.code.as_str(), told.remedy.as_deref()), ("not_found", Some("Did you mean somebody?")));
}

#[tokio::test(start_paused = true)]
async fn lists_are_whole_and_aligned() {
    let game = |game_id, name: &str| v1::Game { game_id, name: name.into(), ..Default::default() };
    let games = vec![game(1, "a"), game(2, "openttd"), game(3, "c")];
    let fake = Fake::new(Script { games, ..script([]) });
    let ran = fake.run("game list").await;
    assert_eq!(
        ran.out,
        "ID   NAME      STEAM   AGE\n1    a                 -\n2    openttd           -\n3    c                 -\n"
    );
    let ran = fake.run("game list -o json").await;
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["games"].as_array().unwrap().len(), 3);
    assert_eq!(answer["games"][0], json!({"game_id": 1, "name": "a", "metadata": {}}));

    let ran = Fake::new(script([])).run("game list").await;
    assert_eq!(ran.out, "no games; create one: manman game create NAME\n");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_finds_the_only_server_and_asks_for_its_ports() {
    let fake = Fake::new(script([]));
    let ran =
        fake.run("deployment create trains --config c --port 3979/udp=any:30000-30100 --label a=b").await;
    assert_eq!(ran.out, "created deployment trains (3), ports 30000/udp→3979\n");
    let asked = fake.script().deployed.clone().unwrap();
    assert_eq!(
        asked.ports[0].ask,
        Some(v1::port_request::Ask::Any(v1::PortRange { first: 30000, last: 30100 }))
    );
    assert_eq!((asked.labels["a"].as_str(), asked.game_config_id), ("b", 3));

    assert_eq!(asked.server_id, None, "the only one there is");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_limits_says_so() {
    let config = |memory_bytes| {
        let limits = v1::Limits { memory_bytes, cpu_millis: Some(1_000), ..Default::default() };
        let body = v1::ConfigBody { limits: Some(limits), ..Default::default() };
        vec![v1::GameConfig { body: Some(body), ..Default::default() }]
    };
    let fake = Fake::new(Script { configs: config(None), ..script([]) });
    let ran = fake.run("deployment create trains --config c").await;
    let said = "its config sets no limit for memory: a game may use all of the machine's\n";
    assert!(ran.out.ends_with(said), "{}", ran.out);
    fake.script().configs = config(Some(1 << 30));
    let ran = fake.run("deployment create trains --config c").await;
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn status_fits_on_a_screen() {
    let server = v1::Server {
        server_id: 1,
        name: "box".into(),
        status: v1::ServerStatus::Online.into(),
        last_seen: Some(prost_types::Timestamp { seconds: 1_795_262_398, nanos: 0 }),
        capacity: Some(v1::Capacity {
            cpus: 2,
            memory_bytes: 24 << 30,
            engine: "Docker 20.10.24".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let started_at = Some(prost_types::Timestamp { seconds: 1_795_258_800, nanos: 0 });
    let fake = Fake::new(Script {
        servers: vec![server],
        now: v1::Session { started_at, ..session(State::Running) },
        ..script([])
    });
    let ran = fake.run("status").await;
    assert_eq!(
        ran.out,
        "manman 0 in /d, process 1, up 10s, cluster c\n\n\
         ID   SERVER   STATUS   SEEN     ENGINE            MACHINE\n\
         1    box      online   2s ago   Docker 20.10.24   2 cores, 24 GiB\n\n\
         DEPLOYMENT   SERVER   STATE     SINCE   SESSION   PORTS            REASON\n\
         trains       box      running   1h00m   7         30000/udp→3979   asked by me\n"
    );
    let ran = fake.run("status -o json").await;
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["deployments"][0]["session"]["state"], "running");
    assert_eq!(answer["servers"][0]["capacity"]["cpus"], 2);
    assert_eq!(answer["installation"]["cluster_id"], "c");

    let ran = Fake::new(Script::default()).run("status").await;
    assert!(ran.out.contains("no server has registered yet\n\nno deployments"), "{}", ran.out);
}

#[tokio::test(start_paused = true)]
async fn a_session_shows_its_timeline() {
    let fake = Fake::new(Script { now: session(State::Running), ..script([]) });
    let ran = fake.run("session show 7").await;
    assert!(
        ran.out.contains("\n\nWHEN   STATE                ATTEMPT   WHY\n       running (not seen)   1\n"),
        "{}",
        ran.out
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_shows_what_ran() {
    let attempt = v1::Attempt {
        attempt: 1,
        image_digest: Some(format!("sha256:{}", "0123456789abcdef".repeat(4))),
        manager_version: Some("0.1.0".into()),
        started_at: Some(prost_types::Timestamp { seconds: 1_795_258_800, nanos: 0 }),
        exit_code: Some(137),
        reason: Some(v1::Reason { code: "exited".into(), text: "killed".into() }),
        ..Default::default()
    };
    let attempts = vec![attempt, v1::Attempt { attempt: 2, ..Default::default() }];
    let fake = Fake::new(Script { now: session(State::Running), attempts, ..script([]) });
    let ran = fake.run("session show 7").await;
    let table = "\n\
        ATTEMPT   STARTED                ENDED   EXIT   IMAGE                 MANAGER   WHY\n\
        1         2026-11-21T11:00:00Z   -       137    sha256:0123456789ab   0.1.0     killed\n\
        2         -                      -       -      -                     -\n\n";
    assert!(ran.out.contains(table), "{}", ran.out);
    let ran = fake.run("session show 7 -o json").await;
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["attempts"][0]["exit_code"], 137);
    assert_eq!(answer["attempts"][1], json!({"attempt": 2}));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_degraded_says_why_and_is_well_again_when_it_says_so() {
    let server = |engine_ok, warnings: &[&str]| v1::Server {
        server_id: 1,
        name: "box".into(),
        status: v1::ServerStatus::Online.into(),
        health: Some(v1::Health { engine_ok, warnings: warnings.iter().map(|&it| it.into()).collect() }),
        ..Default::default()
    };
    let fake =
        Fake::new(Script { servers: vec![server(false, &["the engine is away\u{1b}[2J"])], ..script([]) });
    for command in ["server list", "status"] {
        let ran = fake.run(command).await;
        assert!(ran.out.contains("online, degraded"), "{command}: {}", ran.out);
        assert!(ran.out.contains("box is degraded: the engine is away^[[2J\n"), "{command}: {}", ran.out);
    }
    let ran = fake.run("server show box").await;
    assert!(ran.out.contains("the engine is away^[[2J"), "{}", ran.out);
    for (command, server) in [("server list -o json", "/servers/0"), ("server show box -o json", "/server")] {
        let ran = fake.run(command).await;
        let answer: Value = serde_json::from_str(&ran.out).unwrap();
        let health = answer.pointer(&format!("{server}/health")).unwrap();
        assert_eq!(health["warnings"].as_array().unwrap().len(), 1, "{command}: {health}");
        assert_eq!(health.get("engine_ok").and_then(Value::as_bool), Some(false), "{command}: {health}");
    }
    // An engine that is away is no secret, whatever else is said.
    fake.script().servers = vec![server(false, &[])];
    assert!(fake.run("status").await.out.contains("box is degraded: the engine does not answer\n"));
    fake.script().servers = vec![server(true, &[])];
    for command in ["server list", "status", "server show box"] {
        let ran = fake.run(command).await;
        assert!(!ran.out.contains("degraded"), "{command}: {}", ran.out);
    }
    // What one said that fell silent since may be over.
    let mut silent = server(false, &["old"]);
    silent.status = v1::ServerStatus::Stale.into();
    fake.script().servers = vec![silent];
    assert!(!fake.run("status").await.out.contains("old"));
}
