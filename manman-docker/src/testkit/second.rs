//! A second Docker Engine, to be stopped, frozen and killed.
//!
//! In a network namespace of its own: an engine that starts beside another one takes
//! the other's bridge away. With a containerd of its own, and everything in one
//! directory, by which its processes are told from all others.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bollard::{Docker, body_try_stream};
use futures::{StreamExt, TryStreamExt};
use rustix::process::{Pid, Signal, kill_process};

use super::{client, socket};

/// How long an engine may take to come up or go down. Bounds a hang, measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a second engine is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether games outlive it.
    pub live_restore: bool,
}

/// A Docker Engine of a test's own. Ends with all that ran on it when dropped.
#[derive(Debug)]
pub struct SecondEngine {
    dir: tempfile::TempDir,
    namespace: String,
    options: Options,
    containerd: Child,
    engine: Option<Child>,
}

impl SecondEngine {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// If something that it needs is missing, or it does not come up.
    pub async fn start(options: Options) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(io::Error::other("a second Docker Engine needs root: run the tests as root"));
        }
        // Short: the path of a socket has 108 bytes at most.
        let dir = tempfile::Builder::new().prefix("manman-engine-").tempdir_in("/tmp")?;
        let name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let namespace = name.replace("manman-engine-", "mm");
        run("ip", &["netns", "add", &namespace])?;
        run("ip", &["-n", &namespace, "link", "set", "lo", "up"])?;
        let containerd = match containerd(dir.path()) {
            Ok(containerd) => containerd,
            Err(error) => {
                let _ = run("ip", &["netns", "del", &namespace]);
                return Err(error);
            }
        };
        let mut second = Self { dir, namespace, options, containerd, engine: None };
        second.start_again().await?;
        Ok(second)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// A client of it.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn client(&self) -> io::Result<Docker> {
        client(&self.socket()).await
    }

    /// Brings an image of the shared engine here.
    ///
    /// # Errors
    /// If the shared engine does not have it.
    pub async fn load(&self, image: &str) -> io::Result<()> {
        let shared = client(&socket()).await?;
        shared.inspect_image(image).await.map_err(|error| {
            io::Error::other(format!("no image {image}: run ./scripts/images/all ({error})"))
        })?;
        let archive = shared.export_image(image).map_err(io::Error::other).boxed();
        let ours = self.client().await?;
        let options = bollard::query_parameters::ImportImageOptionsBuilder::new().quiet(true).build();
        let mut steps = ours.import_image(options, body_try_stream(archive), None);
        while let Some(step) = steps.next().await {
            step.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Starts it again after it was stopped or killed, and waits until it answers.
    ///
    /// # Errors
    /// If it does not come up; with the end of its log.
    pub async fn start_again(&mut self) -> io::Result<()> {
        let path = |name: &str| self.dir.path().join(name).to_string_lossy().into_owned();
        let log = fs::OpenOptions::new().create(true).append(true).open(path("dockerd.log"))?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .args(["--", "dockerd", "--log-level", "warn", "--shutdown-timeout", "5"])
            .args([
                "--data-root",
                &path("data"),
                "--exec-root",
                &path("exec"),
                "--pidfile",
                &path("dockerd.pid"),
            ])
            .args(["--host", &format!("unix://{}", path("docker.sock"))])
            .args(["--containerd", &path("containerd.sock")]);
        if self.options.live_restore {
            command.arg("--live-restore");
        }
        let engine = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        self.engine = Some(engine);
        let began = Instant::now();
        while self.client().await.is_err() {
            let ended = self.engine.as_mut().and_then(|engine| engine.try_wait().ok().flatten());
            if ended.is_some() || began.elapsed() > PATIENCE {
                let log = fs::read_to_string(path("dockerd.log")).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(15).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(io::Error::other(format!("the second dockerd did not come up:\n{tail}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Asks it to end and waits until it has. Without live-restore its games end before.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn stop(&mut self) -> io::Result<()> {
        self.end(Signal::TERM).await.map(|_| ())
    }

    /// Kills it. Its games go on until it is started again, and after that with
    /// live-restore.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.end(Signal::KILL).await.map(|_| ())
    }

    /// Stops the time for it: connections stay open, nothing is answered.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        // Its threads stop one by one, and the last ones may still answer.
        let pid = self.engine.as_ref().map(Child::id).unwrap_or_default();
        let began = Instant::now();
        while !all_stopped(pid) {
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("the second dockerd does not freeze"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// If it is not running.
    pub fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let engine =
            self.engine.as_ref().ok_or_else(|| io::Error::other("the second dockerd does not run"))?;
        Ok(kill_process(Pid::from_child(engine), signal)?)
    }

    async fn end(&mut self, signal: Signal) -> io::Result<ExitStatus> {
        self.signal(signal)?;
        let began = Instant::now();
        loop {
            let ended = self.engine.as_mut().map(Child::try_wait).transpose()?.flatten();
            if let Some(status) = ended {
                self.engine = None;
                return Ok(status);
            }
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("the second dockerd did not end"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills whatever belongs to this engine: what runs in its containers, and what keeps
    /// them. All of it carries our directory or the id of one of its containers.
    fn kill_all(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            let _ = engine.kill();
            let _ = engine.wait();
        }
        let ids: Vec<_> = fs::read_dir(self.dir.path().join("data/containers"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let socket = self.dir.path().join("containerd.sock").to_string_lossy().into_owned();
        for pid in pids() {
            let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let keeper = words.split(|&byte| byte == 0).any(|word| word == socket.as_bytes());
            if (keeper || ids.iter().any(|id| groups.contains(id.as_str())))
                && let Some(pid) = Pid::from_raw(pid)
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.containerd.kill();
        let _ = self.containerd.wait();
    }

    fn unmount_all(&self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let dir = self.dir.path().to_string_lossy();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        // The innermost come last.
        let ours: Vec<_> = places.filter(|place| place.starts_with(&*dir)).collect();
        for place in ours.into_iter().rev() {
            let _ = run("umount", &["--lazy", place]);
        }
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        let _ = self.thaw();
        self.kill_all();
        self.unmount_all();
        let _ = run("ip", &["netns", "del", &self.namespace]);
    }
}

/// Whether each thread of the process is stopped (proc(5), `stat`: the state follows the
/// name in brackets).
fn all_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    states.into_iter().all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn containerd(dir: &Path) -> io::Result<Child> {
    let config = format!(
        "version = 2\nroot = \"{dir}/containerd\"\nstate = \"{dir}/containerd-state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{dir}/containerd.sock\"\n",
        dir = dir.display()
    );
    fs::write(dir.join("containerd.toml"), config)?;
    let log = fs::File::create(dir.join("containerd.log"))?;
    Command::new("containerd")
        .arg("--config")
        .arg(dir.join("containerd.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| {
            io::Error::other(format!("containerd cannot be started: run ./scripts/docker-up ({error})"))
        })
}

fn run(program: &str, args: &[&str]) -> io::Result<()> {
    let done = Command::new(program).args(args).output().map_err(|error| {
        io::Error::other(format!("{program} cannot be started: run ./scripts/docker-up ({error})"))
    })?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program} {}: {said}", args.join(" "))))
}
