//! What Docker was measured to do (20.10.24, API 1.41), and what here rests on it: D1 to
//! D23, each with the tests that would notice a change, or the reason why there is none.

use std::time::{Duration, Instant};

use bollard::{
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    },
};
use futures::StreamExt;
use manman_core::{
    error::ErrorKind,
    model::{PortBinding, Protocol},
    runtime::{Runtime, RuntimeEvent},
};

use crate::support::{
    BUSYBOX, Ground, PATIENCE, SLEEPER, clear, create, ended, eventually, file, pid, refused, shell, start,
};

enum Rests {
    /// On these tests: of this program, or `conformance::` for cases of the contract.
    On(&'static [&'static str]),
    /// On nothing: why.
    Because(&'static str),
}
use Rests::{Because, On};

const FACTS: [(&str, Rests); 23] = [
    ("D1 an attach that nobody reads stops the game", On(&["an_attach_that_nobody_reads_stops_the_game"])),
    (
        "D2 and then stop and inspect hang, until it is let go of",
        On(&[
            "an_attach_that_nobody_reads_stops_the_game",
            "a_container_that_hangs_hides_no_other",
            "conformance::unread_does_not_hold_the_game_up",
        ]),
    ),
    (
        "D3 a follow of the log does not stop the game",
        Because(
            "live output comes by attach, which costs engine and reader a fraction and loses no tail; the log is read \
         without follow, to splice",
        ),
    ),
    (
        "D4 nor does an attach of stdin alone",
        Because("stdin and output share the one attach that is kept open"),
    ),
    (
        "D5 an attach before the start misses nothing",
        On(&["conformance::opened_before_start_shows_every_byte"]),
    ),
    ("D6 a follow doubles lines when the log rotates", Because("as D3: nothing follows the log")),
    (
        "D7 a log since a stamp begins with what had that stamp",
        On(&[
            "conformance::resumed_by_another_process_is_exact",
            "conformance::resumed_among_identical_lines_is_exact",
        ]),
    ),
    ("D8 the log has long lines in pieces", On(&["conformance::a_long_line_comes_in_pieces"])),
    ("D9 without StdinOnce stdin outlives the attach", On(&["conformance::input_works_after_a_restart"])),
    ("D10 a game that reads no stdin blocks whoever writes", On(&["stdin_that_nobody_reads_fills_up"])),
    ("D11 who ended a game shows in its code only roughly", On(&["codes_tell_how_and_not_by_whom"])),
    ("D12 out of memory comes with any code", On(&["running_out_of_memory_is_said"])),
    (
        "D13 a failed start leaves it created",
        On(&[
            "with_an_init_a_missing_command_is_no_failed_start",
            "a_missing_command_is_named",
            "a_port_that_the_engine_refuses_is_named_too",
        ]),
    ),
    (
        "D14 Binds make a missing source, Mounts refuse it",
        On(&[
            "a_missing_source_is_made_by_binds_and_refused_by_mounts",
            "a_wrong_host_data_dir_is_one_sentence",
        ]),
    ),
    (
        "D15 of many at once one gets the name, or the port",
        On(&[
            "conformance::of_many_creates_at_once_one_wins",
            "of_many_starts_on_one_port_one_wins",
            "whoever_holds_a_port_is_named",
            "a_create_whose_answer_was_lost_is_adopted",
        ]),
    ),
    (
        "D16 what is so already is said by 304, 404 and 409",
        On(&[
            "conformance::create_may_be_repeated",
            "conformance::start_may_be_repeated",
            "conformance::stop_may_be_repeated",
            "conformance::kill_may_be_repeated",
            "conformance::what_is_gone_may_be_killed_retired_and_removed",
        ]),
    ),
    (
        "D17 the engine's own pools hold some thirty networks",
        On(&["many_sessions_get_a_network_each", "an_exhausted_pool_is_said"]),
    ),
    (
        "D18 two networks may have one name",
        On(&[
            "duplicates_of_a_network_go_together",
            "managers_that_race_share_a_network",
            "two_installations_may_have_a_session_of_one_number",
        ]),
    ),
    (
        "D19 with live-restore games outlive the engine",
        On(&["games_outlive_an_engine_with_live_restore", "games_end_with_an_engine_without_live_restore"]),
    ),
    (
        "D20 the end of a stream is not the end of a game",
        On(&["a_game_may_close_its_output_and_live", "what_others_do_is_seen"]),
    ),
    (
        "D21 events get lost",
        On(&["hints_begin_with_a_look_at_everything", "conformance::events_hint_at_a_life"]),
    ),
    (
        "D22 a life takes the engine 0.67 s",
        Because("a figure of one machine; the benches measure ours against it"),
    ),
    ("D23 a second engine takes the first one's bridge", On(&["a_second_engine_disturbs_no_other"])),
];

#[test]
fn every_fact_has_a_test_or_a_reason() {
    let ours = [
        include_str!("data.rs"),
        include_str!("engine_away.rs"),
        include_str!("engine_facts.rs"),
        include_str!("faults.rs"),
        include_str!("lifecycle.rs"),
        include_str!("network.rs"),
    ];
    let suite = include_str!("../../../manman-core/src/testkit/runtime/mod.rs");
    for (index, (fact, rests)) in FACTS.iter().enumerate() {
        assert!(fact.starts_with(&format!("D{} ", index + 1)), "{fact}");
        match rests {
            On(tests) => {
                assert!(!tests.is_empty(), "{fact}");
                for test in *tests {
                    let there = match test.strip_prefix("conformance::") {
                        Some(case) => suite.contains(&format!(" {case},")),
                        None => ours.iter().any(|source| source.contains(&format!("fn {test}("))),
                    };
                    assert!(there, "{fact}: there is no test {test}");
                }
            }
            Because(why) => assert!(!why.is_empty(), "{fact}"),
        }
    }
}

/// Prints 4 KiB at a time and writes down how often.
const FLOOD: &str = "line=$(head -c 4000 /dev/zero | tr '\\0' x); i=0
    while :; do echo $line; i=$((i+1)); echo $i > /data/game/count; done";

/// Whether a game sleeps (proc(5), `stat`), which it does for a reader of its output alone: one
/// that has no processor runs, and one whose disk is slow waits without being disturbed.
fn sleeps(init: i64) -> bool {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let children = read(format!("/proc/{init}/task/{init}/children"));
    children.split_whitespace().any(|child| {
        let stat = read(format!("/proc/{child}/stat"));
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    })
}

/// The number that a game counts up, once it has stayed the same for a second of looks at which
/// the game was held up.
async fn stalled(ground: &Ground, init: i64) -> u64 {
    let path = ground.config.data_dir.join("gsc-test-1/count");
    let (mut last, mut looks) = (0, 0);
    loop {
        let count =
            std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if count != last || !sleeps(init) {
            (last, looks) = (count, 0);
        }
        looks += 1;
        if count > 0 && looks > 50 {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_attach_that_nobody_reads_stops_the_game() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let hurried = ground.runtime_with(|config| {
        config.call_timeout_millis = 4_000;
        config.stop_margin_millis = 2_000;
    });
    let spec = shell(1, 1, FLOOD);
    create(&runtime, &spec).await;
    let options = AttachContainerOptionsBuilder::new().stdout(true).stream(true).build();
    let unread = ground.docker.attach_container(&ground.name(1), Some(options)).await.unwrap();
    runtime.start(spec.run).await.unwrap();
    let init = pid(&runtime, spec.run).await;
    let count = tokio::time::timeout(PATIENCE, stalled(&ground, init)).await.unwrap();
    assert!((100..2_000).contains(&count), "stopped after {count} lines of 4 KiB");
    // Nothing of the engine's holds us up: the stop ends at its deadline, and the others
    // can still be listed.
    let error = refused(hurried.stop(spec.run, Duration::ZERO).await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Timeout, true), "{error:?}");
    assert_eq!(runtime.list().await.unwrap().found.len(), 1);
    // Letting go is the way out.
    drop(unread);
    eventually("it stops", || async { runtime.stop(spec.run, Duration::ZERO).await.ok() }).await;
    clear(&runtime, &spec).await;
}

#[tokio::test]
async fn stdin_that_nobody_reads_fills_up() {
    use tokio::io::AsyncWriteExt;
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let spec = shell(1, 1, SLEEPER);
    start(&runtime, &spec).await;
    let options = AttachContainerOptionsBuilder::new().stdin(true).stream(true).build();
    let mut attached = ground.docker.attach_container(&ground.name(1), Some(options)).await.unwrap();
    let fill = async {
        let mut taken = 0;
        loop {
            let write = attached.input.write(&[b'x'; 4096]);
            // Longer than an engine is busy with other things.
            match tokio::time::timeout(Duration::from_secs(10), write).await {
                Ok(written) => taken += written.unwrap(),
                Err(_) => return taken,
            }
        }
    };
    let taken = tokio::time::timeout(PATIENCE, fill).await.unwrap();
    assert!((64 << 10..4 << 20).contains(&taken), "{taken} bytes were taken");
    drop(attached);
    clear(&runtime, &spec).await;
}

#[tokio::test]
async fn codes_tell_how_and_not_by_whom() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let own = shell(1, 1, "exit 3");
    start(&runtime, &own).await;
    assert_eq!(ended(&runtime, own.run).await.code, 3);
    // No handler: with an init it ends by the signal, long before the grace.
    let plain = shell(2, 1, "echo > /data/game/ready; exec sleep 3600");
    start(&runtime, &plain).await;
    file(&ground, 2, "ready").await;
    let began = Instant::now();
    assert_eq!(runtime.stop(plain.run, Duration::from_secs(120)).await.unwrap().code, 143);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    // The signal that the spec names.
    let mut other = shell(
        3,
        1,
        "trap 'exit 12' USR1; echo ready > /data/game/ready; while :; do sleep 3600 & wait $!; done",
    );
    other.stop_signal = manman_core::model::Signal::Usr1;
    start(&runtime, &other).await;
    file(&ground, 3, "ready").await;
    assert_eq!(runtime.stop(other.run, Duration::from_secs(60)).await.unwrap().code, 12);
    let killed = shell(4, 1, SLEEPER);
    start(&runtime, &killed).await;
    runtime.kill(killed.run).await.unwrap();
    assert_eq!(ended(&runtime, killed.run).await.code, 137);
    for spec in [&own, &plain, &other, &killed] {
        clear(&runtime, spec).await;
    }
}

/// Makes a container past our backend, starts it, gives the engine's answer and the code,
/// and removes it.
async fn raw(ground: &Ground, body: ContainerCreateBody) -> Result<i64, String> {
    let name = format!("manman-raw-{}", ground.owner.cluster.short());
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    ground.docker.create_container(Some(options), body).await.map_err(|error| error.to_string())?;
    let started = ground.docker.start_container(&name, None).await;
    if started.is_ok() {
        let options = None::<bollard::query_parameters::WaitContainerOptions>;
        let _ = ground.docker.wait_container(&name, options).next().await;
    }
    let state = ground.docker.inspect_container(&name, None).await.unwrap().state.unwrap();
    let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
    ground.docker.remove_container(&name, Some(options)).await.unwrap();
    started.map(|()| state.exit_code.unwrap()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn with_an_init_a_missing_command_is_no_failed_start() {
    let ground = Ground::new().await;
    let body = |init| ContainerCreateBody {
        image: Some(BUSYBOX.to_owned()),
        entrypoint: Some(vec!["/no/such/game".to_owned()]),
        host_config: Some(HostConfig { init: Some(init), ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(raw(&ground, body(true)).await, Ok(127));
    let refusal = raw(&ground, body(false)).await.unwrap_err();
    assert!(refusal.contains("400") && refusal.contains("/no/such/game"), "{refusal}");
}

#[tokio::test]
async fn a_missing_source_is_made_by_binds_and_refused_by_mounts() {
    let ground = Ground::new().await;
    let missing = ground.dir.path().join("missing");
    let source = missing.to_string_lossy().into_owned();
    let body = |host_config| ContainerCreateBody {
        image: Some(BUSYBOX.to_owned()),
        cmd: Some(vec!["true".to_owned()]),
        host_config: Some(host_config),
        ..Default::default()
    };
    let mount = Mount {
        typ: Some(MountType::BIND),
        source: Some(source.clone()),
        target: Some("/x".to_owned()),
        ..Default::default()
    };
    let refusal =
        raw(&ground, body(HostConfig { mounts: Some(vec![mount]), ..Default::default() })).await.unwrap_err();
    assert!(refusal.contains("bind source path does not exist"), "{refusal}");
    assert!(!missing.exists());
    raw(&ground, body(HostConfig { binds: Some(vec![format!("{source}:/x")]), ..Default::default() }))
        .await
        .unwrap();
    assert!(missing.is_dir());
}

#[tokio::test]
async fn of_many_starts_on_one_port_one_wins() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let number = i64::from(manman_services::free_port()).try_into().unwrap();
    let specs: Vec<_> = (1..=4)
        .map(|session| {
            let mut spec = shell(session, 1, SLEEPER);
            spec.ports =
                vec![PortBinding { container_port: number, host_port: number, protocol: Protocol::Tcp }];
            spec
        })
        .collect();
    for spec in &specs {
        create(&runtime, spec).await;
    }
    let all = futures::future::join_all(specs.iter().map(|spec| runtime.start(spec.run))).await;
    let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{lost:?}");
    for lost in lost {
        let error = refused(lost);
        assert!(
            error.kind() == ErrorKind::Conflict && error.message().contains(&number.to_string()),
            "{error:?}"
        );
    }
    for spec in &specs {
        clear(&runtime, spec).await;
    }
}

#[tokio::test]
async fn a_game_may_close_its_output_and_live() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let spec = shell(1, 1, "exec > /dev/null 2>&1; echo > /data/game/closed; exec sleep 3600");
    create(&runtime, &spec).await;
    let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true).build();
    let mut attached = ground.docker.attach_container(&ground.name(1), Some(options)).await.unwrap();
    runtime.start(spec.run).await.unwrap();
    file(&ground, 1, "closed").await;
    assert!(runtime.inspect(spec.run).await.unwrap().unwrap().state.is_alive());
    runtime.kill(spec.run).await.unwrap();
    // The stream ends with the process, and the engine knows how by then or soon after.
    while attached.output.next().await.is_some() {}
    assert_eq!(ended(&runtime, spec.run).await.code, 137);
    clear(&runtime, &spec).await;
}

#[tokio::test]
async fn hints_begin_with_a_look_at_everything() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let mut events = runtime.events().await.unwrap();
    assert_eq!(events.next().await, Some(RuntimeEvent::Resync));
    // Others' games are nobody's business here.
    let other = Ground::new().await;
    let theirs = other.runtime();
    let spec = shell(1, 1, SLEEPER);
    start(&theirs, &spec).await;
    clear(&theirs, &spec).await;
    let ours = shell(2, 1, SLEEPER);
    create(&runtime, &ours).await;
    let hint = tokio::time::timeout(PATIENCE, events.next()).await.expect("a hint comes in time");
    assert_eq!(hint, Some(RuntimeEvent::Attempt(ours.run)));
    clear(&runtime, &ours).await;
}
