//! What is asked for again because nobody knows what became of it, and what is sent again
//! because nobody has marked it: one effect each.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use manman_bins::api::{
    dial::{Address, Proof, endpoint},
    v1::{self, man_man_api_client::ManManApiClient},
};
use manman_services::Proxy;
use tokio::runtime::Runtime;
use tonic::{Response, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    installation::scaled,
    support::{Cluster, GAME, Kind, PATIENCE, told_on, until},
    typed::Typed,
};

type Api = ManManApiClient<InterceptedService<Channel, Proof>>;

/// A client of what is served at `address`; to be made within a runtime.
fn client(address: &str, token: &str) -> Api {
    let address: Address = address.parse().unwrap();
    let channel = endpoint(&address, None).unwrap().connect_lazy();
    ManManApiClient::with_interceptor(channel, Proof::token(token).unwrap())
}

/// Asks the first replica, which is killed when the deed was `seen` at the second one and
/// before its answer was; then asks the second one the same. What that one answers.
#[track_caller]
fn asked_twice<Q: Clone + Sync, A: Send>(
    cluster: &mut Cluster,
    runtime: &Runtime,
    request: &Q,
    call: impl AsyncFn(Api, Q) -> Result<Response<A>, Status> + Sync,
    seen: impl Fn(&Cluster) -> bool,
) -> A {
    let _inside = runtime.enter();
    let port = cluster.apis[0].get("LISTEN").rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::to_port(port);
    proxy.withhold();
    let first = client(&format!("127.0.0.1:{}", proxy.port()), &cluster.admin);
    let second = client(cluster.apis[1].get("LISTEN"), &cluster.admin);
    let lost = std::thread::scope(|scope| {
        let asking = scope.spawn(|| runtime.block_on(call(first, request.clone())).map(drop));
        until("the deed is done", PATIENCE, || seen(cluster).then_some(()));
        assert!(!asking.is_finished(), "its answer was not withheld");
        cluster.apis[0].kill();
        proxy.cut();
        asking.join().unwrap()
    });
    lost.expect_err("an answer of one who was killed before it");
    let answer = runtime.block_on(call(second, request.clone())).unwrap().into_inner();
    cluster.apis[0].start();
    until("the replica is back", PATIENCE, || cluster.apis[0].is_ready().then_some(()));
    answer
}

fn shown(cluster: &Cluster, name: &str) -> Option<serde_json::Value> {
    let ran = cluster.run_at(1, &["session", "show", name, "-o", "json"]);
    serde_json::from_str(&ran.out).ok().filter(|_| ran.code == 0)
}

/// How often the game has heard this word.
fn heard(cluster: &Cluster, word: &str) -> usize {
    let line = format!("CMD: say {word}");
    cluster.run_at(1, &["logs", "town", "--raw"]).out.lines().filter(|shown| shown.contains(&line)).count()
}

/// Row 26: the API is killed between the deed and its answer; whoever repeats the request
/// under its idempotency key, at any replica, gets the answer, and the deed is done once.
#[test]
fn row_26_what_was_done_unanswered_is_not_done_again() {
    told_on([Kind::RabbitMq, Kind::Nats], answers_are_lost);
}

fn answers_are_lost(kind: Kind) {
    let mut cluster = Cluster::up(kind);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    cluster.deploy("town", "box", GAME);

    let request =
        v1::CreateGameRequest { name: "once".into(), idempotency_key: "g".into(), ..Default::default() };
    let made = asked_twice(
        &mut cluster,
        &runtime,
        &request,
        async |mut api: Api, request| api.create_game(request).await,
        |cluster| cluster.run_at(1, &["game", "show", "once"]).code == 0,
    );
    assert_eq!(made.game.unwrap().name, "once");

    let deployment = cluster.ok(&["deployment", "show", "town", "-o", "json"]).out;
    let deployment: serde_json::Value = serde_json::from_str(&deployment).unwrap();
    let id = deployment["server_game_config_id"].as_i64().unwrap_or_else(|| panic!("{deployment:#}"));
    let request = v1::StartSessionRequest { server_game_config_id: id, idempotency_key: "s".into() };
    let started = asked_twice(
        &mut cluster,
        &runtime,
        &request,
        async |mut api: Api, request| api.start_session(request).await,
        |cluster| shown(cluster, "town").is_some(),
    );
    assert!(started.repeated);
    let session_id = started.session.unwrap().session_id;
    cluster.await_state("town", "running");
    assert_eq!(cluster.session("town")["session_id"], session_id);

    let request = v1::RestartSessionRequest { session_id, idempotency_key: "r".into() };
    asked_twice(
        &mut cluster,
        &runtime,
        &request,
        async |mut api: Api, request| api.restart_session(request).await,
        |cluster| shown(cluster, "town").is_some_and(|shown| shown["session"]["attempt"] == 2),
    );

    cluster.await_state("town", "running");
    let request =
        v1::SendInputRequest { session_id, input: b"say once".to_vec(), idempotency_key: "i".into() };
    let sent = asked_twice(
        &mut cluster,
        &runtime,
        &request,
        async |mut api: Api, request| api.send_input(request).await,
        |cluster| heard(cluster, "once") > 0,
    );
    assert_eq!(sent.outcome(), v1::InputOutcome::Done, "{sent:?}");
    // What was sent later is heard later.
    cluster.ok(&["send", "town", "say later"]);
    until("it is heard", PATIENCE, || (heard(&cluster, "later") > 0).then_some(()));
    assert_eq!(heard(&cluster, "once"), 1);
    assert_eq!(cluster.session("town")["attempt"], 2);

    let request = v1::StopSessionRequest {
        session_id,
        mode: v1::StopMode::Graceful.into(),
        idempotency_key: "e".into(),
    };
    let stopped = asked_twice(
        &mut cluster,
        &runtime,
        &request,
        async |mut api: Api, request| api.stop_session(request).await,
        |cluster| shown(cluster, "town").is_some_and(|shown| shown["session"]["state"] == "stopped"),
    );
    assert_eq!(stopped.session.unwrap().session_id, session_id);
    cluster.await_nothing_left();
}

/// Row 27: whoever carries messages out is killed all the time: nothing that was accepted is
/// lost, and nothing that is sent again counts again. The very moment between sending and
/// marking is `a_relay_killed_anywhere_only_duplicates` of core.
#[test]
fn row_27_a_killed_relay_loses_nothing_and_nothing_counts_twice() {
    told_on([Kind::Nats, Kind::RabbitMq], relays_are_killed);
}

fn relays_are_killed(kind: Kind) {
    let mut cluster = Cluster::up(kind);
    cluster.deploy("town", "box", GAME);
    cluster.ok(&["start", "town"]);
    let count: usize = scaled(25, 250);
    let mut processors = std::mem::take(&mut cluster.processors);
    let over = AtomicBool::new(false);
    let typed = Typed::into("town");
    let done = std::thread::scope(|scope| {
        let killing = scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(27);
            let mut killed = 0;
            while !over.load(Ordering::Relaxed) {
                for processor in &mut processors {
                    std::thread::sleep(Duration::from_millis(random.u64(..100)));
                    processor.kill();
                    processor.start();
                    until("it is up again", PATIENCE, || processor.is_ready().then_some(()));
                    killed += 1;
                }
            }
            killed
        });
        let done = (0..count).filter(|number| typed.say(&cluster, number % 2, &number.to_string())).count();
        over.store(true, Ordering::Relaxed);
        let killed = killing.join().unwrap();
        assert!(killed >= 2, "{killed} kills");
        done
    });
    cluster.processors = processors;
    assert!(done > 0, "nothing was ever done");
    typed.was_heard_once(&cluster);
}
