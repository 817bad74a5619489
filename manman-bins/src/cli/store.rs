//! `store …`: saves and restores what the control plane remembers, without one that runs.

use std::{future::Future, path::Path};

use manman_core::error::{Chain, Error, ErrorKind};
use manman_store::backup::{self, Existing, Summary};
use serde_json::json;

use super::{
    exit::Exit,
    failure::Failure,
    grammar::{Common, StoreArgs, StoreCommand},
    output::Screen,
    verbs::Progress,
};
use crate::{
    compose::DataLock,
    config::{DatabaseUrl, Places, Process, UpConfig, UpGiven},
};

/// Does it.
pub fn run(screen: &mut Screen, common: &Common, command: StoreCommand) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    match command {
        StoreCommand::Backup { file, store } => {
            let (url, _) = database(common, &store)?;
            let url = url.to_url();
            let work = backup::backup(url.reveal(), &file);
            let saved = runtime.block_on(wait(screen, "saving", work))?;
            show(screen, &saved, &file, "saved")
        }
        StoreCommand::Restore { file, replace, store } => {
            let (url, data_dir) = database(common, &store)?;
            let existing = if replace { Existing::Replace } else { Existing::Keep };
            // Of an installation on this machine it is known whether it runs.
            let _lock = match &url {
                DatabaseUrl::Sqlite(path) if *path == Places(&data_dir).database() => {
                    std::fs::create_dir_all(&data_dir)
                        .map_err(|error| Failure::failed(format!("{}: {error}", data_dir.display())))?;
                    let lock = DataLock::take(&Places(&data_dir).lock());
                    Some(lock.map_err(|error| Failure::failed(error.to_string()).remedy("End it first."))?)
                }
                _ => None,
            };
            let url = url.to_url();
            let restored = backup::restore(url.reveal(), &file, existing);
            let restored = runtime.block_on(wait(screen, "restoring", restored))?;
            show(screen, &restored, &file, "restored")
        }
    }
}

/// Says how long it takes.
async fn wait(
    screen: &mut Screen,
    what: &str,
    work: impl Future<Output = Result<Summary, Error>>,
) -> Result<Summary, Failure> {
    let mut progress = Progress::new(what, format!("{what} was broken off; nothing of it counts"));
    progress.during(screen, work).await?.map_err(failed)
}

fn database(common: &Common, args: &StoreArgs) -> Result<(DatabaseUrl, std::path::PathBuf), Failure> {
    let data_dir = common.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
    let given = UpGiven { data_dir, database: args.database.clone(), ..UpGiven::default() };
    let config = UpConfig::read(&given, &Process)?;
    Ok((config.database, config.machine.data_dir))
}

fn show(screen: &mut Screen, summary: &Summary, file: &Path, done: &str) -> Result<(), Failure> {
    let rows: u64 = summary.rows.values().sum();
    screen.value(&json!({
        "file": file.display().to_string(),
        "cluster_id": summary.cluster,
        "taken_at": summary.taken_at.to_string(),
        "schema": summary.schema,
        "rows": summary.rows,
    }))?;
    screen.say(format!(
        "{done} installation {} as of {}: {rows} rows of {} tables, {}",
        summary.cluster,
        summary.taken_at,
        summary.rows.len(),
        file.display()
    ))
}

fn failed(error: Error) -> Failure {
    let sentence = Chain(&error).to_string();
    match error.kind() {
        ErrorKind::Config => Failure::new(Exit::Config, "config", sentence),
        ErrorKind::Invalid => Failure::usage(sentence),
        ErrorKind::Denied => Failure::new(Exit::NotPermitted, "not_permitted", sentence),
        ErrorKind::Unavailable | ErrorKind::Timeout => {
            Failure::new(Exit::Unreachable, "unreachable", sentence)
        }
        ErrorKind::Conflict => {
            Failure::failed(sentence).remedy("Choose another file, or say --replace to lose what is there.")
        }
        _ => Failure::failed(sentence),
    }
}
