//! Plain processes as a [`Runtime`].

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use manman_core::{
    console::{Console, Resume},
    error::{Error, ErrorKind, Result},
    id::{AttemptId, SessionId},
    machine::blocking,
    model::ImageRef,
    runtime::{
        AttemptState, Capabilities, ContainerSpec, EngineInfo, Exit, Found, ImageInfo, Inventory, Owner,
        ProgressSink, Runtime, RuntimeEvent, Stats,
    },
};
use rustix::process::Signal;
use tokio::{
    sync::{OnceCell, broadcast::error::RecvError},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    cgroup,
    config::ProcessConfig,
    console, directory,
    lifecycle::Runs,
    machine, map,
    observe::Seen,
    process,
    readers::Readers,
    stats, supervisor,
    watch::{Change, Watch},
};

/// How long a call may take, by the contract.
const CALL: Duration = Duration::from_secs(10);

/// How long a killed game may take to be gone: for what hangs in the kernel (a disk that does
/// not answer), no kill is of use.
const DIES_WITHIN: Duration = Duration::from_secs(15);

/// How often it is looked at all the same where hints are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs games as plain processes of this machine, see the crate's documentation.
#[derive(Debug)]
pub struct ProcessRuntime {
    runs: Arc<Runs>,
    readers: Readers,
    watch: OnceCell<Arc<Watch>>,
}

impl ProcessRuntime {
    /// A runtime of what `owner` has on this machine.
    ///
    /// # Errors
    /// `Config` with everything that is wrong in `config`, or if neither this program nor a
    /// configured one can be the supervisor.
    pub fn new(owner: Owner, config: ProcessConfig) -> Result<Self> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, "configure processes", message));
        if let Err(wrong) = config.validate() {
            return refuse(wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
        match &config.supervisor {
            None if !supervisor::is_own() => {
                return refuse(
                    "call manman_process::supervise() in the first line of main, or configure a supervisor"
                        .to_owned(),
                );
            }
            Some(path) if !path.is_file() => {
                return refuse(format!("supervisor: {} is no file", path.display()));
            }
            _ => {}
        }
        Ok(Self {
            runs: Arc::new(Runs::new(owner, config)),
            readers: Readers::default(),
            watch: OnceCell::new(),
        })
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Runs) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let runs = self.runs.clone();
        within(operation, CALL, blocking(operation, move || work(&runs))).await
    }

    async fn watch(&self) -> Result<&Arc<Watch>> {
        let open = || async {
            self.call("watch attempts", Runs::make_root).await?;
            Ok(Arc::new(Watch::new(&self.runs.root())))
        };
        self.watch.get_or_try_init(open).await
    }

    /// Waits until the game of `seen` is gone, at the latest until `until`.
    async fn gone(&self, operation: &'static str, run: AttemptId, until: Instant) -> Result<Option<Exit>> {
        let dir = self.runs.root().join(directory::name(&self.runs.owner, run));
        let notify = self.watch().await?.follow(&dir);
        loop {
            let woken = notify.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let seen = self.call(operation, move |runs| runs.existing(operation, run)).await?;
            if let AttemptState::Exited(exit) = &seen.state {
                let exit = exit.clone();
                self.call(operation, move |runs| {
                    runs.sweep(&seen);
                    Ok(())
                })
                .await?;
                return Ok(Some(exit));
            }
            if seen.state == AttemptState::Created && seen.started.is_none() {
                return Ok(Some(never()));
            }
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            tokio::select! {
                () = &mut woken => {}
                () = sleep_until(until.min(now + LOOK_EVERY)) => {}
            }
        }
    }

    async fn signal(&self, operation: &'static str, run: AttemptId, signal: Option<Signal>) -> Result<Seen> {
        self.call(operation, move |runs| {
            let seen = runs.existing(operation, run)?;
            let signal = signal.unwrap_or_else(|| map::signal(seen.plan.stop_signal));
            runs.signal(operation, &seen, signal)?;
            Ok(seen)
        })
        .await
    }
}

/// How one ended that could not begin.
fn never() -> Exit {
    Exit { code: 128, out_of_memory: false, at: None, error: String::new() }
}

async fn within<T>(
    operation: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            let message = format!("no answer within {limit:?}");
            Err(Error::new(ErrorKind::Timeout, operation, message))
        }
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn capabilities(&self) -> Capabilities {
        Capabilities { images: true, networks: false }
    }

    fn owner(&self) -> &Owner {
        &self.runs.owner
    }

    async fn engine(&self) -> Result<EngineInfo> {
        self.call("ask the machine", |runs| {
            let mut info = machine::info(runs.boot());
            if info.boot.is_empty() {
                let message = "/proc is not mounted: plain processes cannot be told apart without it";
                return Err(Error::new(ErrorKind::Unavailable, "ask the machine", message));
            }
            if process::identify_self().is_err() {
                let message = "plain processes need Linux 5.3 or newer, to signal none but the one meant";
                return Err(Error::new(ErrorKind::Unsupported, "ask the machine", message));
            }
            if let Err(why) = cgroup::delegated(runs.config.cgroup.as_deref()) {
                info.warnings.push(format!("limits of memory, processor and processes do not hold: {why}"));
            }
            if let Some(why) = runs.unbounded() {
                info.warnings.push(format!("what games print is kept as a whole until they end: {why}"));
            }
            Ok(info)
        })
        .await
    }

    async fn pull(&self, image: &ImageRef, _progress: ProgressSink) -> Result<ImageInfo> {
        map::find_image("find the image", image)?;
        Ok(ImageInfo { digest: format!("{}: {}", ImageRef::HOST, machine::system()), uid: None, gid: None })
    }

    /// The user is not asked for: a group that is not named is root's in a container, here the
    /// user's own.
    async fn prepare(&self, spec: &ContainerSpec, _user: Option<(u32, u32)>) -> Result<()> {
        let spec = spec.clone();
        self.call("prepare directories", move |runs| runs.prepare(&spec)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<()> {
        let spec = spec.clone();
        self.call("create a process", move |runs| runs.create(&spec)).await
    }

    async fn start(&self, run: AttemptId) -> Result<()> {
        self.call("start a process", move |runs| runs.start(run)).await
    }

    async fn stop(&self, run: AttemptId, grace: Duration) -> Result<Exit> {
        let operation = "stop a process";
        let grace = Duration::from_secs(grace.as_secs() + u64::from(grace.subsec_nanos() > 0));
        let until = Instant::now().checked_add(grace);
        let seen =
            self.signal(operation, run, if grace.is_zero() { Some(Signal::KILL) } else { None }).await?;
        if seen.state == AttemptState::Created && seen.started.is_none() {
            return Ok(never());
        }
        let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(365 * 86_400));
        if let Some(exit) = self.gone(operation, run, until).await? {
            return Ok(exit);
        }
        self.signal(operation, run, Some(Signal::KILL)).await?;
        match self.gone(operation, run, Instant::now() + DIES_WITHIN).await? {
            Some(exit) => Ok(exit),
            None => {
                let message = format!("{run} was killed and has not gone within {DIES_WITHIN:?}");
                Err(Error::new(ErrorKind::Timeout, operation, message))
            }
        }
    }

    async fn kill(&self, run: AttemptId) -> Result<()> {
        match self.signal("kill a process", run, Some(Signal::KILL)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.map(|_| ()),
        }
    }

    async fn retire(&self, run: AttemptId) -> Result<()> {
        self.call("retire a process", move |runs| runs.retire(run)).await
    }

    async fn remove(&self, run: AttemptId) -> Result<()> {
        self.call("remove a process", move |runs| runs.remove(run)).await
    }

    async fn remove_network(&self, _session: SessionId) -> Result<()> {
        Ok(())
    }

    async fn list(&self) -> Result<Inventory> {
        self.call("list attempts", Runs::inventory).await
    }

    async fn inspect(&self, run: AttemptId) -> Result<Option<Found>> {
        self.call("inspect a process", move |runs| Ok(runs.seen(run)?.map(|seen| seen.found()))).await
    }

    async fn stats(&self, run: AttemptId) -> Result<Stats> {
        let operation = "read statistics";
        self.call(operation, move |runs| {
            let seen = runs.existing(operation, run)?;
            let stats = seen.started.filter(|_| seen.state.is_alive()).and_then(|it| stats::of(it.game));
            stats.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, format!("{run} does not run")))
        })
        .await
    }

    async fn events(&self) -> Result<BoxStream<'static, RuntimeEvent>> {
        let watch = self.watch().await?.clone();
        let owner = self.runs.owner.clone();
        let changes = watch.changes();
        let events = futures::stream::unfold((watch, changes), move |(watch, mut changes)| {
            let owner = owner.clone();
            async move {
                loop {
                    let event = tokio::select! {
                        change = changes.recv() => match change {
                            Ok(Change::Of(name)) => {
                                let Some(run) = directory::run_of(&owner, &name) else { continue };
                                RuntimeEvent::Attempt(run)
                            }
                            Ok(Change::Any) | Err(RecvError::Lagged(_)) => RuntimeEvent::Resync,
                            Err(RecvError::Closed) => return None,
                        },
                        // Where the kernel gives no hints.
                        () = tokio::time::sleep(LOOK_EVERY), if !watch.hints() => RuntimeEvent::Resync,
                    };
                    return Some((event, (watch, changes)));
                }
            }
        });
        Ok(events.boxed())
    }

    async fn console(&self, run: AttemptId, after: Option<Resume>) -> Result<Console> {
        let operation = "open console";
        let seen = self.call(operation, move |runs| runs.existing(operation, run)).await?;
        console::open(&seen.dir, self.runs.boot(), after.as_ref(), self.watch().await?, &self.readers)
    }
}
