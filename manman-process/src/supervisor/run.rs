//! From the start of a game to its exit.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use manman_core::{
    clock::{Clock as _, SystemClock},
    console::Channel,
    runtime::Exit,
};
use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    process::{Pid, set_child_subreaper},
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::{
    ALONE, ARGUMENT, LAUNCH,
    descend::{await_game, bury_the_rest},
    launch::{GO, RUN_IT},
    output::Keeper,
    terminal::Terminal,
};
use crate::{
    cgroup::Cgroup,
    directory::{RunDir, keep_room, read_record, write_kept, write_record},
    process::identify,
    record::{Launched, Plan, Started, VERSION},
};

/// So often a lock is tried for that somebody only looks at.
const LOOKS: u32 = 100;

/// How long a program may take to be loaded; from a slow disk that is seconds.
const LOADS_WITHIN: Duration = Duration::from_secs(60);

/// Stands beside the game of `dir`, in the run of the machine called `boot`.
pub fn main(dir: &RunDir, boot: &str) -> ExitCode {
    stand_alone();
    match stand(dir, boot) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&Launched::Failed(error.to_string()));
            let _ = writeln!(io::stderr(), "the supervisor of {} cannot go on: {error}", dir.name());
            ExitCode::FAILURE
        }
    }
}

/// Lets go of the files that whoever started the manager has left open to it: a lock among
/// them would be held for as long as the game lives. What is open is closed by becoming this
/// same program once more.
pub fn let_go() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let inherited = |name: &std::ffi::OsStr| name.to_str().and_then(|it| it.parse::<u32>().ok()) > Some(2);
    // One is what is being read here.
    if open.flatten().filter(|entry| inherited(&entry.file_name())).count() <= 1 {
        return;
    }
    close_fds::set_fds_cloexec(3, &[]);
    let mut command = Command::new("/proc/self/exe");
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).arg(ALONE).exec();
    // Held here, but no longer by the game.
    let _ = writeln!(io::stderr(), "what was inherited stays open: {error}");
}

/// Nobody's terminal, directory or signal is to end this process before its game does.
fn stand_alone() {
    // Fails only for who leads a session already.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    // A handler rather than ignoring: that a game would inherit. Whoever ignores SIGCHLD, as
    // whoever started the manager may have, never hears how a child has ended.
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    // Where memory runs out, the game is to go and its supervisor to tell; only root may ask.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
}

fn stand(dir: &RunDir, boot: &str) -> io::Result<()> {
    let Some(lock) = lock(dir)? else {
        tell(&Launched::Again);
        return Ok(());
    };
    let plan: Plan = read_record(&dir.plan())?.ok_or(io::ErrorKind::NotFound)?;
    if plan.version != VERSION {
        return Err(io::Error::other(format!("its plan has version {}, not {VERSION}", plan.version)));
    }
    if dir.starting().exists() || dir.started().exists() || dir.exit().exists() {
        tell(&Launched::Again);
        return Ok(());
    }
    // What the game leaves behind becomes ours, not the init process's.
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let terminal = if plan.tty { Some(Terminal::open()?) } else { None };
    let keeper = Keeper::open(dir, plan.keep_bytes)?;
    keep_room(&dir.exit())?;
    let (out, err) = match &terminal {
        Some(terminal) => (terminal.game_end()?, terminal.game_end()?),
        None => (keeper.writer(Channel::Stdout)?, keeper.writer(Channel::Stderr)?),
    };
    // Whatever can fail of us fails before there is a game.
    let shown = match terminal {
        Some(terminal) => Some(terminal.pump(dir, keeper.writer(Channel::Stdout)?)?),
        None => None,
    };
    let (game, launched) = launch(dir, boot, &plan, out, err)?;
    if let Some(launched) = launched {
        bury_the_rest()?;
        let _ = std::fs::remove_file(dir.starting());
        // Whoever hears of it may remove all this at once.
        drop(lock);
        tell(&launched);
        return Ok(());
    }
    std::fs::rename(dir.starting(), dir.started())?;
    tell(&Launched::Running);
    keeper.spawn();
    let status = await_game(game)?;
    let at = SystemClock.now();
    // Its exit is known, and told, even if something of it cannot be buried.
    if let Err(error) = bury_the_rest() {
        let _ = writeln!(io::stderr(), "something of {} may be left: {error}", dir.name());
    }
    if let Some(shown) = shown {
        shown.finish();
    }
    let out_of_memory = plan.cgroup.as_deref().is_some_and(|path| Cgroup::at(path).has_killed());
    let code = match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(Exit::UNKNOWN),
    };
    write_kept(&dir.exit(), &Exit { code, out_of_memory, at: Some(at), error: String::new() })
}

/// Takes the attempt's lock, or `None` if another supervisor has it. Managers hold it for a
/// moment whenever they look whether anybody does.
fn lock(dir: &RunDir) -> io::Result<Option<File>> {
    for _ in 0..LOOKS {
        if let Some(lock) = dir.take_lock()? {
            return Ok(Some(lock));
        }
        if dir.started().exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

/// Starts the launcher and lets it become the game: its pid, and what went wrong if it did
/// not become that.
fn launch(
    dir: &RunDir,
    boot: &str,
    plan: &Plan,
    out: OwnedFd,
    err: OwnedFd,
) -> io::Result<(Pid, Option<Launched>)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(ARGUMENT).args([ARGUMENT, LAUNCH]).arg(dir.path());
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(out).stderr(err);
    let child = command.spawn()?;
    // Ends of the game must not stay open here, or its terminal never hangs up.
    drop(command);
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let game = identify(pid)?.ok_or_else(|| io::Error::other("the launcher has gone"))?;
    write_record(&dir.starting(), &Started { game, boot: boot.to_owned(), at: SystemClock.now() })?;
    (&ours).write_all(GO)?;
    ours.set_read_timeout(Some(LOADS_WITHIN))?;
    let mut line = String::new();
    let read = BufReader::new(&ours).read_line(&mut line);
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("a process without a pid"))?;
    let launched = match read {
        // Closed by becoming the game.
        Ok(0) => None,
        Ok(_) => {
            let (errno, step) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            let errno = errno.parse().unwrap_or(rustix::io::Errno::IO.raw_os_error());
            let what = if step == RUN_IT {
                let program = plan.command.first().map_or("", String::as_str);
                let whom = plan.user.map(|(uid, gid)| format!(" as {uid}:{gid}")).unwrap_or_default();
                format!("{RUN_IT} {program:?} in {}{whom}", plan.directory.display())
            } else {
                step.to_owned()
            };
            Some(Launched::NotLoaded { errno, what })
        }
        Err(error) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            Some(Launched::Failed(format!("its program was not loaded in time: {error}")))
        }
    };
    Ok((pid, launched))
}

/// Tells the manager that waits how the start went, once: it may be gone by then.
fn tell(launched: &Launched) {
    let mut line = serde_json::to_vec(launched).unwrap_or_default();
    line.push(b'\n');
    let mut out = io::stdout();
    let _ = out.write_all(&line).and_then(|()| out.flush());
    let null = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    if let Ok(null) = null {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}
