//! `uninstall`: what is left of an installation on this machine, and the commands that
//! remove it. It reads, and removes nothing.

mod engine;
mod files;
mod step;

use std::{
    fs,
    path::{Path, PathBuf},
};

use manman_core::error::Chain;
use manman_process::{Attempt, ProcessConfig};
use manman_store::sqlite::Holdings;
use rustix::process::geteuid;

use step::{Item, Step, quoted, render};

use super::{
    doctor::units,
    failure::Failure,
    grammar::{Common, LookArgs},
    look::{Look, blocking, holder},
    output::Screen,
};

/// Prints what is left, in the order in which it is to be removed.
pub fn uninstall(screen: &mut Screen, common: &Common, args: &LookArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let (dir, steps) = runtime.block_on(examine(common, args));
    // A question that hangs is not waited for.
    runtime.shutdown_background();
    screen.value(&step::as_json(&dir, &steps))?;
    screen.print(render(&dir, &steps, screen))
}

async fn examine(common: &Common, args: &LookArgs) -> (String, Vec<Step>) {
    let look = Look::at(common, args).await;
    let dir = look.data_dir.display().to_string();
    let holds = look.holdings().await;
    let config = args.config.as_deref().map(|file| format!(" --config {}", quoted(file)));
    // It may have a password in it.
    let database = if args.database.is_some() { " --database …" } else { "" };
    let down =
        format!("manman down --data-dir {}{}{database}", quoted(&look.data_dir), config.unwrap_or_default());
    let (engine, files) = tokio::join!(engine::steps(&look, &holds), files::steps(&look, &holds));
    let mut steps = vec![games(&holds, &look, &down).await, unit()];
    steps.extend(engine);
    steps.extend(files);
    steps.push(program());
    (dir, steps)
}

/// Games that run, and the process that serves them: both end by the same command.
async fn games(holds: &Result<Holdings, String>, look: &Look, down: &str) -> Step {
    let lock = look.places().lock();
    let held = blocking(move || holder(&lock).map_err(|error| error.to_string())).await.ok().flatten();
    let mut items = Vec::new();
    match holds {
        Ok(holds) => items.extend(
            holds.live.iter().map(|(session, name)| Item::new(name.clone(), format!("session {session}"))),
        ),
        Err(why) => items.push(Item::new("games", format!("not known: {why}"))),
    }
    items.extend(processes(holds, look).await);
    if let Some(pid) = held {
        items.push(Item::new("manman", format!("process {pid}")));
    }
    match items.last_mut() {
        Some(last) => last.commands.push(down.to_owned()),
        None => items.push(Item::new("games", "none runs, and manman does not")),
    }
    Step { title: "games that run", items }
}

/// Plain processes that live and are not on record: whatever the database says, these are
/// games.
async fn processes(holds: &Result<Holdings, String>, look: &Look) -> Vec<Item> {
    let config = ProcessConfig::new(&look.data_dir);
    let asked = blocking(move || manman_process::examine(&config).map_err(|error| Chain(&error).to_string()));
    let told = |attempt: &Attempt| {
        let Ok(holds) = holds else { return false };
        holds.cluster == attempt.cluster && holds.live.iter().any(|(id, _)| Some(*id) == attempt.session)
    };
    match asked.await {
        Ok(found) => {
            let alive = found.attempts.iter().filter(|attempt| attempt.alive && !told(attempt));
            alive.map(|attempt| Item::new(&attempt.name, "a plain process that lives")).collect()
        }
        Err(why) => vec![Item::new("plain processes", format!("not known: {why}"))],
    }
}

fn unit() -> Step {
    let items = |unit: &Path| {
        let user = unit.starts_with("/home") || unit.components().any(|part| part.as_os_str() == ".config");
        let (root, of) = (sudo(!user), if user { "systemctl --user" } else { "systemctl" });
        let mut item = Item::new(unit.display().to_string(), "unit of systemd");
        item.commands = vec![format!("{root}{of} disable --now manman.service")];
        let with_it = with_unit(unit);
        let (ours, others): (Vec<_>, Vec<_>) =
            variables(&with_it).into_iter().partition(|file| is_of_manman(file));
        let files = with_it.iter().chain(&ours);
        item.commands.extend(files.map(|path| format!("{root}rm {}", quoted(path))));
        let more = unit.with_extension("service.d");
        if more.is_dir() {
            item.commands.push(format!("{root}rmdir {}", quoted(&more)));
        }
        item.commands.push(format!("{root}{of} daemon-reload"));
        let left = |file: PathBuf| Item::new(file.display().to_string(), "not manman's: left alone");
        std::iter::once(item).chain(others.into_iter().map(left)).collect::<Vec<_>>()
    };
    Step { title: "unit of systemd", items: units().iter().flat_map(|unit| items(unit)).collect() }
}

/// A unit, and what adds to it.
fn with_unit(unit: &Path) -> Vec<PathBuf> {
    let more = fs::read_dir(unit.with_extension("service.d")).into_iter().flatten().flatten();
    let mut all: Vec<_> = more.map(|entry| entry.path()).collect();
    all.sort();
    all.insert(0, unit.to_owned());
    all
}

/// The files of variables that are there and that units name.
fn variables(units: &[PathBuf]) -> Vec<PathBuf> {
    let named = units.iter().flat_map(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let files = text.lines().filter_map(|line| line.trim().strip_prefix("EnvironmentFile="));
        files.map(|file| PathBuf::from(file.trim_start_matches('-'))).collect::<Vec<_>>()
    });
    named.filter(|file| file.is_absolute() && file.is_file()).collect()
}

/// Whether a file is there for manman alone, as far as its name and its directory's say:
/// others, such as `/etc/environment`, are read by others too.
fn is_of_manman(file: &Path) -> bool {
    file.components().rev().take(2).any(|part| part.as_os_str().to_string_lossy().contains("manman"))
}

/// What removes the program itself, last.
fn program() -> Step {
    let mut items = Vec::new();
    if let Some(home) = std::env::var_os("HOME") {
        let scripts =
            [".local/share/bash-completion/completions/manman", ".config/fish/completions/manman.fish"];
        let scripts = scripts.map(|script| Path::new(&home).join(script));
        items.extend(scripts.iter().filter(|script| script.exists()).map(|script| {
            Item::new(script.display().to_string(), "completions").with(format!("rm {}", quoted(script)))
        }));
    }
    match std::env::current_exe() {
        Ok(path) if path.ends_with(".cargo/bin/manman") => {
            items.push(Item::new(path.display().to_string(), "").with("cargo uninstall manman-bins"));
        }
        Ok(path) => {
            let ours = path
                .metadata()
                .is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == geteuid().as_raw());
            let command = format!("{}rm {}", sudo(!ours), quoted(&path));
            items.push(Item::new(path.display().to_string(), "").with(command));
        }
        Err(error) => items.push(Item::new("manman", format!("its file is not known: {error}"))),
    }
    Step { title: "the program", items }
}

/// What stands before a command that this user may not give.
fn sudo(needed: bool) -> &'static str {
    if needed && !geteuid().is_root() { "sudo " } else { "" }
}
