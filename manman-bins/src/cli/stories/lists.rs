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
