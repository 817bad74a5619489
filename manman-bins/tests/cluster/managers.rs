//! Two host managers of one identity.

use std::{
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use manman_services::Guarded;

use crate::{
    faults::{answers, game, playing_on, was_never_lost},
    support::{Cluster, Kind, PATIENCE, Process, told_on, until},
};

/// What the engine is asked to do to the games of a cluster, by whomever.
struct Deeds {
    log: std::path::PathBuf,
    _listening: Guarded,
}

impl Deeds {
    fn of(cluster: &Cluster) -> Self {
        let log = cluster.path().join("deeds.log");
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let since = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
        let ours = format!("label=manman.environment={}", cluster.environment);
        let mut command = Command::new("docker");
        command.args(["events", "--since", &since, "--format", "{{.Action}} {{.Actor.Attributes.signal}}"]);
        // Whatever it makes to look at the machine is no session's.
        for filter in ["type=container", "label=manman.session_id", &ours] {
            command.args(["--filter", filter]);
        }
        Self { _listening: Guarded::start(command, &log), log }
    }

    /// All that changed a container, sorted, once so many of them are removed.
    #[track_caller]
    fn until_removed(&self, containers: usize) -> Vec<String> {
        until("the containers are removed", PATIENCE, || {
            let told = std::fs::read_to_string(&self.log).unwrap();
            let deeds = told.lines().map(|line| line.replace("<no value>", "").trim().to_owned());
            let mut deeds: Vec<String> = deeds.filter(|deed| deed != "attach").collect();
            deeds.sort_unstable();
            let removed = deeds.iter().filter(|deed| *deed == "destroy").count();
            (removed == containers).then_some(deeds)
        })
    }
}

/// The same host once more, with a directory of its own, as if none was there yet.
fn another(cluster: &Cluster, name: &str) -> Process {
    let mut another = cluster.hosts[0].twin(name);
    let directory = cluster.path().join(format!("data-{name}"));
    // Where the system does not name the machine, the directory does.
    if let Ok(id) = std::fs::read(cluster.path().join("data-box/machine-id")) {
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("machine-id"), id).unwrap();
    }
    another.set("DATA_DIR", directory.display());
    another.set("JOIN_TOKEN", cluster.join_token("box"));
    another
}

/// Waits until a manager knows that it has no say any more.
#[track_caller]
fn is_fenced(manager: &Process, within: Duration) {
    until(&format!("{} is fenced", manager.name), within, || {
        manager.log().contains("another host manager has taken this one's place").then_some(())
    });
}

/// Row 31: another manager under the same name. On the same machine it takes over, from another
/// one only if it is told to; the one before touches nothing any more, and the game does not
/// notice.
#[test]
fn row_31_of_two_managers_one_is_heard() {
    told_on([Kind::Nats, Kind::RabbitMq], managers_take_over);
}

fn managers_take_over(kind: Kind) {
    let mut cluster = playing_on(kind);
    let (before, container) = (game(&cluster), cluster.container("town"));
    let deeds = Deeds::of(&cluster);
    // The same machine, and the same journal: the directory is still held.
    let refused = cluster.hosts[0].twin("box-again").run(&[]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err.contains("is served by another process"), "{refused}");

    // Another machine is refused while this one is heard.
    let mut stranger = another(&cluster, "stranger");
    stranger.on_another_machine("0123456789abcdef0123456789abcdef");
    stranger.start();
    cluster.hosts.push(stranger);
    until("the stranger is refused", PATIENCE, || {
        let log = cluster.hosts[1].log();
        log.contains("server box is held by another machine that was heard").then_some(())
    });
    answers(&cluster, 0, "still ours");
    until("the first one is ready still", PATIENCE, || cluster.hosts[0].is_ready().then_some(()));
    assert!(!cluster.hosts[1].is_ready());
    cluster.hosts[1].end();

    // With a directory of its own it is another manager of the same machine.
    let mut second = another(&cluster, "second");
    second.start();
    let begun = Instant::now();
    cluster.hosts.push(second);
    is_fenced(&cluster.hosts[0], PATIENCE);
    eprintln!("the first one is fenced {:?} after the second one was started", begun.elapsed());
    until("the second one is ready", PATIENCE, || cluster.hosts[2].is_ready().then_some(()));
    answers(&cluster, 1, "to the second");
    assert_eq!((game(&cluster), cluster.container("town")), (before.clone(), container.clone()));

    // Another machine that is told to takes over, too.
    cluster.hosts[1].set("TAKE_OVER", true);
    cluster.hosts[1].start();
    is_fenced(&cluster.hosts[2], PATIENCE);
    until("the third one is ready", PATIENCE, || cluster.hosts[1].is_ready().then_some(()));
    // The first one is started again on its machine, which is another one's now: it stands by.
    cluster.hosts[0].end();
    cluster.hosts[0].start();
    until("the first one stands by", PATIENCE, || {
        cluster.hosts[0].log().contains("this host stands by").then_some(())
    });
    assert!(!cluster.hosts[0].is_ready());
    answers(&cluster, 0, "to the third");
    assert_eq!((game(&cluster), cluster.container("town")), (before, container));
    was_never_lost(&cluster);
    let session = cluster.session("town");
    assert_eq!((&session["state"], &session["attempt"]), (&"running".into(), &1.into()), "{session:#}");

    // It alone stops it: nobody else did anything, though the two before are still there.
    cluster.ok_at(1, &["stop", "town"]);
    let session = cluster.await_state("town", "stopped");
    assert_eq!(session["exit_code"], 0, "{session:#}");
    cluster.await_nothing_left();

    // And it alone starts the next one.
    cluster.ok(&["start", "town"]);
    answers(&cluster, 1, "anew");
    assert_eq!(cluster.containers(), [cluster.container("town")]);
    assert_eq!(cluster.session("town")["attempt"], 1);
    for fenced in [0, 2] {
        assert!(cluster.hosts[fenced].guarded().lives(), "{} ended", cluster.hosts[fenced].name);
    }
    cluster.ok(&["stop", "town"]);
    cluster.await_nothing_left();
    // From before the second one on: a stop, a start, a stop, and nothing of it by another, too.
    let stopped = ["destroy", "die", "kill 15", "rename", "stop"];
    let mut expected = [&stopped[..], &["create", "start"], &stopped].concat();
    expected.sort_unstable();
    assert_eq!(deeds.until_removed(2), expected);
}
