//! Games played from scripts, on an engine in memory, under tokio's time.

mod container;
mod engine;
mod fault;
mod script;
mod shared;
mod state;
mod tape;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout_at},
};

pub use engine::{Deed, Deeds, Engine};
pub use fault::Faults;
pub use script::{Act, Casting, Image, OnSignal, Pull, PullOutcome, Script, Stdin};

use container::{Container, Life};
use script::Ending;
use shared::{DEADLINE, Shared};
use state::{Key, State, key};
use tape::MemoryInput;

use crate::{
    console::{Console, Resume},
    error::{Error, ErrorKind, Result},
    id::{AttemptId, ClusterId, ServerId, SessionId},
    model::{EnvironmentName, ImageRef},
    runtime::{
        Capabilities, ContainerSpec, EngineInfo, Exit, Found, ImageInfo, Inventory, Owner, ProgressSink,
        Runtime, RuntimeEvent, Stats,
    },
};

/// A runtime over an [`Engine`] in memory. Games belong to the engine: they go on when
/// this is dropped, and another one finds them.
#[derive(Clone, Debug)]
pub struct MemoryRuntime {
    engine: Engine,
    owner: Owner,
    /// Containers that cling to their names, as far as this one has tried to take them away.
    clinging: Arc<Mutex<BTreeSet<Key>>>,
}

impl MemoryRuntime {
    /// A runtime of `owner` over `engine`.
    pub(super) fn over(engine: Engine, owner: Owner) -> Self {
        Self { engine, owner, clinging: Arc::default() }
    }

    /// The engine beneath.
    pub fn machine(&self) -> &Engine {
        &self.engine
    }

    fn key(&self, run: AttemptId) -> Key {
        key(&self.owner, run)
    }
}

impl Default for MemoryRuntime {
    /// A runtime over an engine of its own, for an owner of its own.
    fn default() -> Self {
        let owner = Owner {
            cluster: ClusterId::random(),
            server: ServerId(1),
            environment: EnvironmentName::default(),
        };
        Engine::new(0).runtime(owner)
    }
}

#[async_trait]
impl Runtime for MemoryRuntime {
    fn capabilities(&self) -> Capabilities {
        Capabilities { images: true, networks: true }
    }

    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn engine(&self) -> Result<EngineInfo> {
        let shared = &self.engine.shared;
        let info = move |shared: &Arc<Shared>, _: &mut State| {
            let power = shared.power().look().clone();
            Ok(EngineInfo {
                id: format!("memory-{}", shared.seed()),
                boot: power.boot.to_string(),
                version: "memory 1".to_owned(),
                survives_restart: power.live_restore,
                cpus: 2,
                memory_bytes: 4 << 30,
                warnings: Vec::new(),
            })
        };
        shared.call("ask the engine", info).await
    }

    async fn pull(&self, image: &ImageRef, progress: ProgressSink) -> Result<ImageInfo> {
        const OPERATION: &str = "pull an image";
        fn fail<T>(kind: ErrorKind, message: String) -> Result<T> {
            Err(Error::new(kind, OPERATION, message))
        }
        let shared = &self.engine.shared;
        let name = image.clone();
        let there = shared.call(OPERATION, move |_, state| match state.images.get(&name) {
            Some(image) => Ok(image.clone()),
            None => fail(ErrorKind::NotFound, format!("no such image: {name}")),
        });
        let there = there.await?;
        if let Some(pull) = &there.pull {
            let mut power = shared.power();
            let boot = power.look().boot;
            let gone = power.until(|power| !power.up || power.boot != boot);
            let fetch = async {
                let steps = pull.steps.max(1);
                for step in 1..=steps {
                    tokio::time::sleep(pull.takes / steps).await;
                    shared.thawed().await;
                    progress(pull.progress(step));
                }
            };
            tokio::select! {
                biased;
                () = fetch => {}
                _ = gone => return fail(ErrorKind::Unavailable, "the engine has gone".to_owned()),
            }
            match pull.outcome {
                PullOutcome::Here => {
                    let name = image.clone();
                    let here = move |_: &Arc<Shared>, state: &mut State| {
                        if let Some(image) = state.images.get_mut(&name) {
                            image.pull = None;
                        }
                        Ok(())
                    };
                    shared.call(OPERATION, here).await?;
                }
                PullOutcome::NotFound => return fail(ErrorKind::NotFound, format!("no such image: {image}")),
                PullOutcome::Denied => {
                    return fail(
                        ErrorKind::Denied,
                        format!("the registry gives {image} only to those it knows"),
                    );
                }
                PullOutcome::Unavailable => {
                    return fail(ErrorKind::Unavailable, "the registry does not answer".to_owned());
                }
            }
        }
        let digest = format!("sha256:{:064x}", crc32fast::hash(image.as_str().as_bytes()));
        Ok(ImageInfo { digest, uid: there.uid, gid: there.uid })
    }

    async fn prepare(&self, spec: &ContainerSpec, _user: Option<(u32, u32)>) -> Result<()> {
        let (owner, spec) = (self.owner.clone(), spec.clone());
        let prepare = move |_: &Arc<_>, state: &mut State| state.prepare(&owner, &spec);
        self.engine.shared.call("prepare a directory", prepare).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<()> {
        let (owner, spec) = (self.owner.clone(), spec.clone());
        let clinging = self.clinging.clone();
        let create =
            move |shared: &Arc<_>, state: &mut State| state.create(shared, &owner, spec, &locked(&clinging));
        self.engine.shared.call("create a container", create).await
    }

    async fn start(&self, run: AttemptId) -> Result<()> {
        let key = self.key(run);
        self.engine.shared.call("start a container", move |shared, state| state.start(shared, key)).await
    }

    async fn stop(&self, run: AttemptId, grace: Duration) -> Result<Exit> {
        const OPERATION: &str = "stop a container";
        let (key, shared) = (self.key(run), &self.engine.shared);
        let grace = Duration::from_secs(grace.as_secs() + u64::from(grace.subsec_nanos() > 0));
        let deadline = Instant::now() + grace + DEADLINE;
        let asked = shared.call(OPERATION, move |shared, state| {
            let changed = state.get(&key, OPERATION)?.changed.watch();
            state.signal(shared, key, grace);
            Ok(changed)
        });
        let mut changed = asked.await?;
        let boot = shared.power().look().boot;
        let gone = async {
            let mut power = shared.power();
            // The sender lives as long as the engine that we hold.
            let _ = power.until(|power| !power.up || power.boot != boot).await;
        };
        let ended = async {
            loop {
                shared.thawed().await;
                match &shared.lock().get(&key, OPERATION)?.life {
                    Life::Running { .. } => {}
                    Life::Exited(exit) => return Ok(exit.clone()),
                    Life::Created => {
                        return Ok(Exit { code: 128, out_of_memory: false, at: None, error: String::new() });
                    }
                }
                if changed.changed().await.is_err() {
                    return Err(Error::new(ErrorKind::NotFound, OPERATION, "it was removed meanwhile"));
                }
            }
        };
        tokio::select! {
            biased;
            () = gone => Err(Error::new(ErrorKind::Unavailable, OPERATION, "the engine has gone")),
            ended = timeout_at(deadline, ended) => match ended {
                Ok(ended) => ended,
                Err(_) => Err(Error::new(ErrorKind::Timeout, OPERATION, "the engine does not answer")),
            },
        }
    }

    async fn kill(&self, run: AttemptId) -> Result<()> {
        let key = self.key(run);
        let kill = move |shared: &Arc<_>, state: &mut State| {
            state.end(shared, key, Ending::code(137));
            Ok(())
        };
        self.engine.shared.call("kill a container", kill).await
    }

    async fn retire(&self, run: AttemptId) -> Result<()> {
        let key = self.key(run);
        let clinging = self.clinging.clone();
        let retire = move |shared: &Arc<_>, state: &mut State| {
            if state.retire(shared, key)? {
                locked(&clinging).remove(&key);
            } else {
                locked(&clinging).insert(key);
            }
            Ok(())
        };
        self.engine.shared.call("retire a container", retire).await
    }

    async fn remove(&self, run: AttemptId) -> Result<()> {
        let key = self.key(run);
        self.engine.shared.call("remove a container", move |shared, state| state.remove(shared, key)).await
    }

    async fn remove_network(&self, session: SessionId) -> Result<()> {
        let owner = self.owner.clone();
        let remove = move |_: &Arc<_>, state: &mut State| state.remove_network(&owner, session);
        self.engine.shared.call("remove a network", remove).await
    }

    async fn list(&self) -> Result<Inventory> {
        let owner = self.owner.clone();
        self.engine.shared.call("list containers", move |_, state| Ok(state.list(&owner))).await
    }

    async fn inspect(&self, run: AttemptId) -> Result<Option<Found>> {
        let key = self.key(run);
        let inspect =
            move |_: &Arc<_>, state: &mut State| Ok(state.containers.get(&key).map(Container::found));
        self.engine.shared.call("inspect a container", inspect).await
    }

    async fn stats(&self, run: AttemptId) -> Result<Stats> {
        const OPERATION: &str = "ask what a container uses";
        let key = self.key(run);
        let stats = move |shared: &Arc<Shared>, state: &mut State| match &state.get(&key, OPERATION)?.life {
            Life::Running { started_at, .. } => {
                let cpu = shared.now().since(*started_at) / 100;
                Ok(Stats { memory_bytes: 64 << 20, cpu, pids: 1 })
            }
            _ => Err(Error::new(ErrorKind::Conflict, OPERATION, format!("{run} does not run"))),
        };
        self.engine.shared.call(OPERATION, stats).await
    }

    async fn events(&self) -> Result<BoxStream<'static, RuntimeEvent>> {
        let shared = self.engine.shared.clone();
        let listen = |shared: &Arc<Shared>, _: &mut State| Ok((shared.events(), shared.power()));
        let (events, power) = shared.call("listen to the engine", listen).await?;
        let boot = power.look().boot;
        let owner = self.owner.clone();
        Ok(stream::unfold((events, power, owner, boot), async |(mut events, mut power, owner, boot)| {
            loop {
                let gone = power.until(|power| !power.up || power.boot != boot);
                let event = tokio::select! {
                    biased;
                    _ = gone => return None,
                    event = events.recv() => event,
                };
                match event {
                    Ok((key, event)) if (key.0, key.1) == (owner.cluster, owner.server) => {
                        return Some((event, (events, power, owner, boot)));
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => {
                        return Some((RuntimeEvent::Resync, (events, power, owner, boot)));
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed())
    }

    async fn console(&self, run: AttemptId, after: Option<Resume>) -> Result<Console> {
        const OPERATION: &str = "open a console";
        let key = self.key(run);
        let open = move |shared: &Arc<Shared>, state: &mut State| {
            let container = state.get(&key, OPERATION)?;
            let (tape, stdin) = (container.tape.clone(), container.stdin.clone());
            if after.as_ref().is_some_and(|after| !tape::knows(&after.position)) {
                return Err(Error::new(ErrorKind::Corrupt, OPERATION, "it is no position of a console here"));
            }
            let at = tape.place(after.as_ref()).map_err(|problem| {
                let problem = format!("a console of {run} was opened from a wrong place: {problem}");
                state.violations.push(problem.clone());
                Error::new(ErrorKind::Invalid, OPERATION, problem)
            })?;
            let boot = shared.power().look().boot;
            let input = MemoryInput { engine: shared.clone(), tape: tape.clone(), stdin, boot };
            Ok(Console { input: Box::new(input), output: tape::output(shared.clone(), tape, at) })
        };
        self.engine.shared.call(OPERATION, open).await
    }
}

fn locked(clinging: &Mutex<BTreeSet<Key>>) -> MutexGuard<'_, BTreeSet<Key>> {
    // Whole between any two statements.
    clinging.lock().unwrap_or_else(PoisonError::into_inner)
}
