//! One history: what happens, and what must hold.

use std::collections::{BTreeMap, BTreeSet};

use manman_core::{
    broker::{Broker, Queue},
    host::journal::Journal,
    id::{AttemptId, ConfigId, SessionId, SgcId},
    memory::runtime::{
        Act, Deed, Deeds, Faults as EngineFaults, Image, OnSignal, Pull, PullOutcome, Script, Stdin,
    },
    model::{ConfigBody, Deployment, Session, State, StopMode, StopPlan, StopStep, Want, reason::ReasonCode},
    store::{DeploymentStore, Page, ServerStore, SessionFilter, SessionStore},
    testkit::{
        Faults,
        broker::{BrokerFaults, Nastiness},
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::world::{World, alice, millis, secs};

/// The ports of the machine that deployments share: fewer than may be asked for.
const PORTS: (i64, i64) = (20_000, 20_002);

/// What is known of a history from outside.
struct History {
    world: World,
    random: fastrand::Rng,
    configs: Vec<ConfigId>,
    ends: BTreeMap<SessionId, Session>,
    happened: Vec<String>,
    inputs: Vec<JoinHandle<()>>,
    managed: bool,
    /// Games outlive a restart of the engine.
    keeps_games: bool,
    have: Happened,
}

/// What has ever happened in a history.
#[derive(Debug, Default)]
struct Happened {
    restarted_the_engine: bool,
    ended_with_the_engine: BTreeSet<AttemptId>,
    removed_something: bool,
    lost_a_journal: bool,
}

/// Tells the history of this seed, and what was seen of it; panics if an invariant breaks.
pub async fn tell(seed: u64) -> String {
    // For parts that draw by themselves.
    fastrand::seed(seed);
    let mut history = History::begin(seed).await;
    let deeds = history.random.usize(3..16);
    for _ in 0..deeds {
        history.happen().await;
        let pause = match history.random.u8(0..4) {
            0 => 0,
            1 => history.random.u64(0..200),
            2 => history.random.u64(0..3_000),
            _ => history.random.u64(0..12_000),
        };
        sleep(millis(pause)).await;
        history.check().await;
    }
    history.calm().await;
    history.settle().await;
    history.finish().await;
    history.seen().await
}

impl History {
    async fn begin(seed: u64) -> Self {
        let mut world = World::still(seed).await;
        // Half as busy while nothing happens: that is most of a history's cost.
        world.config.heartbeat_millis = 4_000;
        world.config.poll_secs = 10;
        world.config.fence_millis = 8_000;
        world.control_config.sweep_every_millis = 2_500;
        world.config.sweep_secs = 20;
        world.config.orphan_grace_secs = 20;
        let mut random = fastrand::Rng::with_seed(seed);
        let keeps_games = random.bool();
        world.engine.set_live_restore(keeps_games);
        world.process();
        world.manage();
        let mut configs = Vec::new();
        for number in 0..random.usize(1..4) {
            let image = format!("played-{number}:1").parse().unwrap();
            world.engine.image(&image, played(&mut random));
            let mut body = ConfigBody::new(image);
            body.stop = stop_plan(&mut random);
            let config = world.configured(body).await;
            world.deploy(config, PORTS.0, PORTS.1).await.unwrap();
            configs.push(config);
        }
        Self {
            world,
            random,
            configs,
            ends: BTreeMap::new(),
            happened: Vec::new(),
            inputs: Vec::new(),
            managed: true,
            keeps_games,
            have: Happened::default(),
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.happened.push(format!("{} {}", self.world.engine.clock().now(), what.into()));
    }

    async fn sessions(&self) -> Vec<Session> {
        let page = Page::first(200);
        self.world.books.session_list(SessionFilter::default(), page).await.unwrap()
    }

    async fn some_live(&mut self) -> Option<SessionId> {
        let live: Vec<SessionId> = self
            .sessions()
            .await
            .into_iter()
            .filter(|session| !session.state.is_end())
            .map(|session| session.id)
            .collect();
        self.random.choice(live)
    }

    async fn happen(&mut self) {
        match self.random.u32(0..100) {
            0..21 => self.start().await,
            21..23 => self.deploy().await,
            23..25 => self.undeploy().await,
            25..33 => self.stop(StopMode::Graceful).await,
            33..37 => self.stop(StopMode::Kill).await,
            37..42 => self.restart().await,
            42..46 => self.input().await,
            46..58 => self.bounce().await,
            58..64 => self.engine_power().await,
            64..70 => self.game_ends(),
            70..77 => self.engine_faults(),
            77..84 => self.broker_faults().await,
            84..90 => self.store_faults(),
            90..94 => self.processor_dies(),
            94..96 => self.journal_lost().await,
            _ => self.calm().await,
        }
    }

    async fn start(&mut self) {
        let Some(sgc) = self.some_deployment().await else { return };
        let twice = self.random.u8(0..4) == 0;
        self.note(format!("start {sgc}"));
        let control = self.world.control.clone();
        let writer = alice();
        if twice {
            let both =
                futures::join!(control.session_start(sgc, &writer), control.session_start(sgc, &writer));
            assert!(both.0.is_err() || both.1.is_err(), "two starts at once");
        } else {
            let _ = control.session_start(sgc, &writer).await;
        }
    }

    async fn deployments(&self) -> Vec<Deployment> {
        self.world.books.deployment_list(None, Page::first(200)).await.unwrap()
    }

    async fn some_deployment(&mut self) -> Option<SgcId> {
        let all: Vec<SgcId> = self.deployments().await.into_iter().map(|deployed| deployed.id).collect();
        self.random.choice(all)
    }

    /// One deployment more, if there is a port for it.
    async fn deploy(&mut self) {
        let config = self.random.choice(self.configs.clone()).unwrap();
        let made = self.world.deploy(config, PORTS.0, PORTS.1).await;
        self.note(format!("deploy {config}: {:?}", made.map_err(|error| error.to_string())));
    }

    /// One deployment less, if nothing of it lives.
    async fn undeploy(&mut self) {
        let Some(sgc) = self.some_deployment().await else { return };
        let gone = self.world.control.deployment_delete(sgc, &alice()).await;
        self.note(format!("undeploy {sgc}: {:?}", gone.map_err(|error| error.to_string())));
    }

    async fn stop(&mut self, mode: StopMode) {
        if let Some(session) = self.some_live().await {
            self.note(format!("stop {session} {mode:?}"));
            let _ = self.world.control.session_stop(session, mode, &alice()).await;
        }
    }

    async fn restart(&mut self) {
        if let Some(session) = self.some_live().await {
            self.note(format!("restart {session}"));
            let _ = self.world.control.session_restart(session, &alice()).await;
        }
    }

    async fn input(&mut self) {
        if let Some(session) = self.some_live().await {
            self.note(format!("input {session}"));
            let control = self.world.control.clone();
            let line = self.random.choice(["hello", "quit", "crash 3", "save"]).unwrap().parse().unwrap();
            self.inputs.push(tokio::spawn(async move {
                // It is answered or refused, or the store fails: never nothing.
                let _ = control.session_input(session, &line, &alice()).await;
            }));
        }
    }

    async fn bounce(&mut self) {
        if self.managed {
            self.note("the manager dies");
            self.world.kill().await;
            self.managed = false;
            if self.random.bool() {
                sleep(millis(self.random.u64(0..20_000))).await;
            }
        }
        self.manage();
    }

    fn manage(&mut self) {
        if !self.managed {
            self.note("a manager begins");
            self.world.manage();
            self.managed = true;
        }
    }

    async fn engine_power(&mut self) {
        let engine = self.world.engine.clone();
        let away = millis(self.random.u64(0..20_000));
        match self.random.u8(0..3) {
            0 | 1 => {
                self.note(format!("the engine restarts within {away:?}"));
                self.have.restarted_the_engine = true;
                if !self.keeps_games {
                    self.have.ended_with_the_engine.extend(self.world.live());
                }
                engine.stop();
                sleep(away).await;
                engine.start();
            }
            _ => {
                self.note(format!("the engine freezes for {away:?}"));
                engine.freeze();
                sleep(away).await;
                engine.thaw();
            }
        }
    }

    fn game_ends(&mut self) {
        let Some(run) = self.random.choice(self.world.live()) else { return };
        match self.random.u8(0..3) {
            0 => {
                let code = self.random.choice([0, 1, 42]).unwrap();
                self.note(format!("{run} ends with {code}"));
                self.world.engine.crash(run, code);
            }
            1 => {
                self.note(format!("{run} is killed"));
                self.world.engine.kill(run);
            }
            _ => {
                self.note(format!("{run} is removed"));
                self.have.removed_something = true;
                self.world.engine.remove(run);
            }
        }
    }

    fn engine_faults(&mut self) {
        self.note("the engine's calls fail");
        self.world.engine.set_faults(EngineFaults {
            before: 0.1,
            after: 0.15,
            late: 0.5,
            lost_events: 0.5,
            broken_consoles: 0.05,
            latency: millis(self.random.u64(0..500)),
        });
    }

    async fn broker_faults(&mut self) {
        match self.random.u8(0..4) {
            0 => {
                let away = millis(self.random.u64(0..20_000));
                self.note(format!("the broker hangs for {away:?}"));
                self.world.broker.freeze().await;
                sleep(away).await;
                self.world.broker.thaw().await;
            }
            1 => {
                let away = millis(self.random.u64(0..15_000));
                self.note(format!("the broker restarts within {away:?}"));
                self.world.broker.stop().await;
                sleep(away).await;
                self.world.broker.start().await;
            }
            _ => {
                self.note("the broker is nasty");
                self.world.broker.set(Nastiness::worst());
            }
        }
    }

    fn store_faults(&mut self) {
        self.note("the store fails");
        self.world.store.set(Faults { before: 0.15, after: 0.15 });
    }

    fn processor_dies(&mut self) {
        self.note("the processor dies and another one begins");
        self.world.process();
    }

    async fn journal_lost(&mut self) {
        self.note("the manager dies and its journal is lost");
        self.have.lost_a_journal = true;
        self.world.kill().await;
        self.managed = false;
        self.world.disk.set(self.random.choice([Vec::new(), b"garbage".to_vec()]).unwrap());
        self.manage();
    }

    /// Nothing fails any more.
    async fn calm(&mut self) {
        self.note("calm");
        self.world.engine.set_faults(EngineFaults::default());
        self.world.broker.set(Nastiness::default());
        self.world.store.set(Faults::default());
        self.manage();
    }

    /// What must hold at any moment.
    async fn check(&mut self) {
        let violations = self.world.engine.violations();
        assert!(violations.is_empty(), "{violations:?}\n{}", self.told());
        self.check_attempts();
        let mut live: Vec<SgcId> = self.world.engine.live().into_iter().map(|(_, sgc)| sgc).collect();
        let all = live.len();
        live.sort();
        live.dedup();
        assert_eq!(live.len(), all, "two games of one deployment live\n{}", self.told());
        if self.managed {
            let returned = self.world.returned();
            assert!(returned.is_none(), "the manager returned {returned:?}\n{}", self.told());
        }
        self.check_ports().await;
        for session in self.sessions().await {
            if let Some(end) = self.ends.get(&session.id) {
                assert_eq!(*end, session, "an end has changed\n{}", self.told());
            } else if session.state.is_end() {
                self.check_end(&session);
                self.ends.insert(session.id, session);
            }
        }
    }

    /// A port has one holder, and deployments have the ports that they hold.
    async fn check_ports(&self) {
        let held = self.world.books.server_ports(self.world.server).await.unwrap();
        let mut by_holder: Vec<_> = held.iter().map(|held| (held.port, held.protocol, held.sgc)).collect();
        let deployed = self.deployments().await;
        let mut by_deployment: Vec<_> = deployed
            .iter()
            .flat_map(|deployed| {
                deployed.ports.iter().map(|port| (port.host_port, port.protocol, deployed.id))
            })
            .collect();
        by_holder.sort();
        by_deployment.sort();
        assert_eq!(by_holder, by_deployment, "{}", self.told());
        by_holder.dedup_by_key(|(port, protocol, _)| (*port, *protocol));
        assert_eq!(by_holder.len(), held.len(), "a port has two holders: {held:?}\n{}", self.told());
    }

    /// No attempt is ever started twice, as far as there was a journal to know it.
    fn check_attempts(&self) {
        if self.have.lost_a_journal {
            return;
        }
        let deeds = self.world.engine.deeds();
        let mut started: Vec<AttemptId> =
            deeds.iter().filter(|deed| deed.what == Deeds::Started).map(|deed| deed.run).collect();
        let all = started.len();
        started.sort();
        started.dedup();
        assert_eq!(started.len(), all, "an attempt was started twice: {deeds:?}\n{}", self.told());
    }

    /// An end tells what was: its exit code is one that a game of it had, and nobody is
    /// blamed for what they did not do.
    fn check_end(&self, session: &Session) {
        let run = AttemptId::new(session.id, session.attempt);
        let deeds = self.world.engine.deeds();
        if let Some(code) = session.exit_code {
            let ended = |deed: &Deed| deed.run.session == run.session && deed.what == Deeds::Ended(code);
            assert!(deeds.iter().any(ended), "{session:?} did not end so: {deeds:?}\n{}", self.told());
        }
        let possible = match (session.state, session.reason.code) {
            (State::Stopped, _) => matches!(session.want, Want::Stop(_)),
            (State::Completed, _) => session.exit_code == Some(0),
            (_, ReasonCode::EngineRestart) => self.have.restarted_the_engine && !self.keeps_games,
            // The engine refuses a port that another game has.
            (_, ReasonCode::PortConflict) => false,
            (_, ReasonCode::RemovedOutside) => self.have.removed_something || self.have.lost_a_journal,
            _ => true,
        };
        let with_engine = self.have.ended_with_the_engine.contains(&run) && !self.have.lost_a_journal;
        let told = session.state == State::Stopped || session.reason.code == ReasonCode::EngineRestart;
        assert!(told || !with_engine, "{session:?} ended with the engine\n{}", self.told());
        assert!(possible, "{session:?} is no end of it: {deeds:?}\n{}", self.told());
    }

    /// What is to run runs, and what is to end ends.
    async fn settle(&mut self) {
        self.wait("settles", async |history| {
            let live = history.world.live();
            history.sessions().await.iter().all(|session| match session.state {
                State::Running => live.contains(&AttemptId::new(session.id, session.attempt)),
                state => state.is_end(),
            })
        })
        .await;
        self.check().await;
    }

    /// Everything is stopped, and nothing is left.
    async fn finish(&mut self) {
        self.note("all is stopped");
        for session in self.sessions().await {
            self.world.control.session_stop(session.id, StopMode::Graceful, &alice()).await.unwrap();
        }
        self.wait("ends", async |history| {
            history.sessions().await.iter().all(|session| session.state.is_end())
        })
        .await;
        self.check().await;
        self.wait("is clean", async |history| history.world.engine.holds() == (0, 0)).await;
        self.wait("is forgotten", async |history| {
            let journal = Journal::open(copy(&history.world)).unwrap();
            journal.look(|state| state.sessions.is_empty())
        })
        .await;
        self.wait("has an answer for every command", async |history| {
            history.inputs.iter().all(JoinHandle::is_finished)
        })
        .await;
        self.check().await;
        // Commands are taken, and good ones are not among the dead letters.
        let queue = Queue::of_host(self.world.server).name;
        self.wait("has taken every command", async |history| history.world.queues.depth(&queue) == Some(0))
            .await;
        let dead = timeout(secs(60), self.world.broker.dead_letters(10)).await;
        let dead = dead.expect("the broker answers").unwrap();
        assert!(dead.is_empty(), "{dead:?}\n{}", self.told());
    }

    async fn wait(&mut self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        let begun = Instant::now();
        while !so(self).await {
            assert!(begun.elapsed() < secs(300), "it never {what}:\n{}", self.seen().await);
            sleep(millis(700)).await;
        }
    }

    /// All that can be seen of it, for whoever looks for what went wrong.
    async fn seen(&self) -> String {
        let sessions = self.sessions().await.into_iter().map(|session| {
            let Session { id, sgc, want, state, attempt, reason, generation, not_after, .. } = session;
            format!("{id} of {sgc}: {want:?} ({generation}) {state} {attempt} {not_after} {reason}\n")
        });
        let journal = Journal::open(copy(&self.world)).unwrap();
        let entries = journal.look(|state| {
            let entry = |(id, entry): (&SessionId, &manman_core::host::journal::Entry)| {
                let memory = &entry.memory;
                format!(
                    "{id}: {:?} {:?} {:?} {}\n",
                    entry.desired.want, memory.attempts, memory.end, memory.disowned
                )
            };
            state.sessions.iter().map(entry).collect::<String>()
        });
        format!(
            "{}live {:?}, holds {:?}\n{entries}{}\n{:#?}",
            sessions.collect::<String>(),
            self.world.live(),
            self.world.engine.holds(),
            self.told(),
            self.world
                .engine
                .deeds()
                .iter()
                .map(|deed| format!("{} {} {:?}", deed.at, deed.run, deed.what))
                .collect::<Vec<_>>()
        )
    }

    fn told(&self) -> String {
        self.happened.join("\n")
    }
}

fn copy(world: &World) -> manman_core::host::journal::MemoryDisk {
    let copy = manman_core::host::journal::MemoryDisk::new();
    copy.set(world.disk.bytes());
    copy
}

/// An image of a game of some kind.
fn played(random: &mut fastrand::Rng) -> Image {
    let script = match random.u8(0..8) {
        0 => Script::exits(millis(random.u64(0..30_000)), random.i32(0..2)),
        1 => Script::of([Act::Wait(millis(random.u64(0..10_000))), Act::RunOutOfMemory]),
        2 => Script::default().on_signal(OnSignal::Ignore),
        3 => Script::default()
            .on_signal(OnSignal::Exit { after: millis(random.u64(0..5_000)), code: 143 })
            .stdin(Stdin::Unread),
        _ => Script::default(),
    };
    let image = Image::of(script);
    match random.u8(0..6) {
        0 => image.pulled(Pull {
            takes: millis(random.u64(0..40_000)),
            steps: 4,
            outcome: random
                .choice([
                    PullOutcome::Here,
                    PullOutcome::Here,
                    PullOutcome::NotFound,
                    PullOutcome::Unavailable,
                ])
                .unwrap(),
        }),
        1 if random.bool() => Image::without_command(),
        _ => image,
    }
}

fn stop_plan(random: &mut fastrand::Rng) -> StopPlan {
    let steps = (0..random.usize(0..3)).map(|_| StopStep {
        command: random.choice(["save", "say bye", "quit"]).unwrap().parse().unwrap(),
        wait_millis: random.u32(0..4_000),
    });
    StopPlan { steps: steps.collect(), grace_millis: random.u32(0..6_000), ..StopPlan::default() }
}
