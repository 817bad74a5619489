//! What becomes the game.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, atomic::AtomicBool},
};

use rustix::{
    fd::{AsFd as _, OwnedFd},
    fs::Mode,
};

use crate::{
    cgroup::Cgroup,
    directory::{RunDir, read_record},
    record::Plan,
};

/// Signals that a game may be asked with, or that a shell ignores for what it runs beside itself.
const ORDINARY: [i32; 8] = {
    use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD]
};

/// What the supervisor says once the process is on record.
pub const GO: &[u8] = b"!";

/// The step of becoming the game that is about its program; the others are about us.
pub const RUN_IT: &str = "run";

/// What a shell exits with when it cannot run a command (POSIX, 2.8.2).
const NOT_RUN: u8 = 126;

/// Waits for the word, then becomes the game of `dir`. Returns only if it cannot, after
/// telling the supervisor why.
pub fn main(dir: &RunDir) -> ExitCode {
    // Closed when the game's program is loaded, which tells the supervisor.
    let Ok(supervisor) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::from(NOT_RUN) };
    let mut supervisor = UnixStream::from(supervisor);
    let (step, error) = become_game(dir, &mut supervisor);
    let errno = error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error());
    let _ = writeln!(supervisor, "{errno} {step}");
    ExitCode::from(NOT_RUN)
}

/// A step that failed, and how.
type Failed = (&'static str, io::Error);

fn become_game(dir: &RunDir, supervisor: &mut UnixStream) -> Failed {
    match prepare(dir, supervisor) {
        Ok(mut command) => (RUN_IT, command.exec()),
        Err(failed) => failed,
    }
}

fn prepare(dir: &RunDir, supervisor: &mut UnixStream) -> Result<Command, Failed> {
    let at = |step: &'static str| move |error: io::Error| (step, error);
    let plan = read_record::<Plan>(&dir.plan()).and_then(|plan| Ok(plan.ok_or(io::ErrorKind::NotFound)?));
    let plan = plan.map_err(at("read the plan"))?;
    let _ = rustix::process::setsid();
    // What somebody above us ignores a game would ignore for ever; handlers end with exec.
    for signal in ORDINARY {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    let stdin: OwnedFd = if plan.tty {
        let take = || {
            rustix::process::ioctl_tiocsctty(io::stdout())?;
            io::stdout().as_fd().try_clone_to_owned()
        };
        take().map_err(at("take the terminal"))?
    } else {
        // Open for writing too: the game itself keeps its input from ending.
        let open = OpenOptions::new().read(true).write(true).open(dir.stdin());
        open.map_err(at("open the input"))?.into()
    };
    if let Some(cgroup) = &plan.cgroup {
        Cgroup::at(cgroup).enter().map_err(at("enter the cgroup"))?;
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::thread::set_no_new_privs(true).map_err(|errno| at("give up new privileges")(errno.into()))?;
    let mut go = [0; GO.len()];
    supervisor.read_exact(&mut go).map_err(at("hear the supervisor"))?;

    let command = plan.command.split_first().ok_or_else(|| io::ErrorKind::InvalidInput.into());
    let (program, arguments) = command.map_err(at("read the plan"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&plan.env).current_dir(&plan.directory);
    // The other two are where they belong since this process began.
    command.stdin(Stdio::from(stdin));
    if let Some((uid, gid)) = plan.user {
        // Gives up supplementary groups too, as it is root that becomes somebody.
        command.uid(uid).gid(gid);
    }
    Ok(command)
}
