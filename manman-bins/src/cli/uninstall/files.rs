//! What is left in the data directory: each world by itself, so that none goes by mistake.

use std::{
    fs,
    path::{Path, PathBuf},
};

use futures::future::join_all;
use manman_store::sqlite::Holdings;
use rustix::process::geteuid;

use super::{
    step::{Item, Step, quoted},
    sudo,
};
use crate::{
    cli::{
        look::{Entry, Look, blocking, tree_size},
        output::size,
    },
    config::DatabaseUrl,
};

/// What begins the name of a deployment's directory.
const WORLD: &str = "gsc-";

/// What ends the name of the file beside it that says whose it is.
const MARKER: &str = ".manman.json";

/// What begins the names of things that are there for a moment, unless manman was killed in it.
const PASSING: [&str; 2] = [".probe-", ".gsc-"];

/// Consoles, worlds, database and the rest.
pub async fn steps(look: &Look, holds: &Result<Holdings, String>) -> Vec<Step> {
    let places = look.places();
    let dir = places.0.to_owned();
    let names = blocking({
        let dir = dir.clone();
        move || names(&dir)
    });
    let names = match names.await {
        Ok(names) => names,
        Err(why) => {
            let item = Item::new(dir.display().to_string(), format!("not known: {why}"));
            return vec![Step { title: "data directory", items: vec![item] }];
        }
    };
    if names.is_empty() && !dir.exists() {
        let item = Item::new(dir.display().to_string(), "is not there");
        return vec![Step { title: "data directory", items: vec![item] }];
    }
    let path = |name: &str| dir.join(name);
    let known = |group: &[&str]| {
        names.iter().filter(|name| group.contains(&name.as_str())).map(|name| path(name)).collect::<Vec<_>>()
    };
    let world = |name: &&String| name.starts_with(WORLD);
    // A marker goes with its directory, where there is one.
    let has_world =
        |name: &str| name.strip_suffix(MARKER).is_some_and(|it| names.iter().any(|name| name == it));
    let worlds: Vec<_> =
        names.iter().filter(world).filter(|name| !has_world(name)).map(|name| path(name)).collect();
    let database = ["manman.db", "manman.db-wal", "manman.db-shm"];
    let ours = |name: &str| is_state(name) || database.contains(&name) || ["spool", "blobs"].contains(&name);
    let rest: Vec<_> = names
        .iter()
        .filter(|name| !world(name) && !ours(name))
        .map(|name| Item::new(path(name).display().to_string(), "not manman's: left alone"))
        .collect();
    let sized = |paths: Vec<PathBuf>| async move { join_all(paths.into_iter().map(item)).await };
    let mut database = known(&database);
    let mut server = None;
    match look.database() {
        // With what stands beside it while it is open.
        Ok(DatabaseUrl::Sqlite(path)) if !path.starts_with(&dir) => {
            let beside = ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", path.display())));
            database.extend(beside.into_iter().filter(|path| path.exists()));
        }
        Ok(url @ DatabaseUrl::Postgres(_)) => {
            server = Some(Item::new(url.to_string(), "on a server: drop it there"))
        }
        _ => {}
    }
    let (state, consoles, worlds, mut database) = tokio::join!(
        sized(names.iter().filter(|name| is_state(name)).map(|name| path(name)).collect()),
        sized(known(&["spool", "blobs"])),
        sized(worlds),
        sized(database),
    );
    database.extend(server);
    let mut steps = vec![
        Step { title: "runtime state and configuration", items: state },
        Step { title: "consoles", items: consoles },
        Step {
            title: "worlds of games: what players have built; keep a copy",
            items: worlds.into_iter().map(|item| called(item, holds)).collect(),
        },
        Step { title: "database: games, configs, deployments and what happened", items: database },
    ];
    let mut last = vec![
        Item::new(dir.display().to_string(), "once it is empty").with(format!("rmdir {}", quoted(&dir))),
    ];
    last.splice(0..0, rest);
    steps.push(Step { title: "data directory", items: last });
    steps
}

/// Whether it is runtime state or configuration; what stands beside a file of that kind is
/// what is left of writing it, or a copy of one that was damaged.
fn is_state(name: &str) -> bool {
    const ALONE: [&str; 4] = ["manman.sock", "lock", "manman.toml", "process"];
    const WITH_OTHERS: [&str; 6] = ["token", "host-token", "journal", "machine-id", "runtime", "demo"];
    let is_passing = PASSING.iter().any(|prefix| name.starts_with(prefix));
    is_passing
        || ALONE.contains(&name)
        || name.split('.').next().is_some_and(|base| WITH_OTHERS.contains(&base))
}

fn names(dir: &Path) -> Result<Vec<String>, String> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| error.to_string())?,
    };
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// A path with its size and what removes it.
async fn item(path: PathBuf) -> Item {
    let shown = path.display().to_string();
    let asked = blocking(move || {
        let entry = Entry::at(&path).map_err(|error| error.to_string())?.ok_or("it has gone")?;
        let (bytes, whole) = tree_size(&path);
        let root = sudo(entry.uid != geteuid().as_raw());
        let marker = PathBuf::from(format!("{}{MARKER}", path.display()));
        let (how, mut what) = (if entry.is_dir { "rm -r" } else { "rm" }, quoted(&path));
        if marker.exists() {
            what.push_str(&format!(" {}", quoted(&marker)));
        }
        Ok((
            format!("{}{}", if whole { "" } else { "at least " }, size(bytes)),
            format!("{root}{how} {what}"),
        ))
    });
    match asked.await {
        Ok((detail, command)) => Item::new(shown, detail).with(command),
        Err(why) => Item::new(shown, format!("not known: {why}")),
    }
}

/// A world with the name of its deployment, where that is on record.
fn called(mut item: Item, holds: &Result<Holdings, String>) -> Item {
    let name = item.what.strip_suffix(MARKER).unwrap_or(&item.what);
    let id = name.rsplit('-').next().and_then(|id| id.parse::<i64>().ok());
    let found = holds.as_ref().ok().and_then(|holds| holds.deployments.iter().find(|it| Some(it.0.0) == id));
    if let Some((_, name)) = found {
        item.detail = format!("deployment {name}, {}", item.detail);
    }
    item
}
