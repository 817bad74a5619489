//! What becomes the game.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    process::{Command, ExitCode, Stdio},
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

/// What the supervisor says once the process is on record.
pub const GO: &[u8] = b"!";

/// What a shell exits with when it cannot run a command (POSIX, 2.8.2).
const NOT_RUN: u8 = 126;

/// Waits for the word, then becomes the game of `dir`. Returns only if it cannot, after
/// telling the supervisor why.
pub fn main(dir: &RunDir) -> ExitCode {
    // Closed when the game's program is loaded, which tells the supervisor.
    let Ok(supervisor) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::from(NOT_RUN) };
    let mut supervisor = UnixStream::from(supervisor);
    let error = become_game(dir, &mut supervisor);
    let errno = error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error());
    let _ = writeln!(supervisor, "{errno}");
    ExitCode::from(NOT_RUN)
}

fn become_game(dir: &RunDir, supervisor: &mut UnixStream) -> io::Error {
    match prepare(dir, supervisor) {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

fn prepare(dir: &RunDir, supervisor: &mut UnixStream) -> io::Result<Command> {
    let plan: Plan = read_record(&dir.plan())?.ok_or(io::ErrorKind::NotFound)?;
    let _ = rustix::process::setsid();
    let stdin: OwnedFd = if plan.tty {
        rustix::process::ioctl_tiocsctty(io::stdout())?;
        io::stdout().as_fd().try_clone_to_owned()?
    } else {
        // Open for writing too: the game itself keeps its input from ending.
        OpenOptions::new().read(true).write(true).open(dir.stdin())?.into()
    };
    if let Some(cgroup) = &plan.cgroup {
        Cgroup::at(cgroup).enter()?;
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::thread::set_no_new_privs(true)?;
    let mut go = [0; GO.len()];
    supervisor.read_exact(&mut go)?;

    let (program, arguments) = plan.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
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
