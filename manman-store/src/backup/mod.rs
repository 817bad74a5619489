//! The whole store as one file, and back.
//!
//! The file is the same for both dialects: what was saved from SQLite can be restored into
//! PostgreSQL, and the other way round. It holds the secrets of the installation.

pub(crate) mod file;
mod order;

use std::{collections::BTreeMap, path::Path};

use manman_core::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
};

use crate::{
    address::Address,
    migrate::{Database, Goal, MigrateError},
};
use file::{Header, Reader, Trailer, Writer};
pub(crate) use order::parents_first;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The installation that it is of.
    pub cluster: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// The version of its schema.
    pub schema: i64,
    /// How many rows there are of each table.
    pub rows: BTreeMap<String, u64>,
}

impl Summary {
    fn of(header: Header, trailer: Trailer) -> Self {
        let Header { cluster, taken_at, schema, .. } = header;
        Self { cluster, taken_at, schema, rows: trailer.rows }
    }
}

/// What a restore may do to a store that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing: it refuses.
    Keep,
    /// All that is in it goes.
    Replace,
}

/// Saves the store at `url` as it is at one moment into the file `to`, which is not there yet.
/// Whoever uses the store meanwhile is not held up.
///
/// # Errors
/// `Conflict` if the file is there; `Config` if the schema is not this build's; what the
/// database or the disk says. Then there is no such file.
pub async fn backup(url: &str, to: &Path) -> Result<Summary> {
    let address = Address::of(url)?;
    #[cfg(feature = "sqlite")]
    if let Address::Sqlite(config) = &address
        && !config.path.exists()
    {
        let message = format!("{} is not there", config.path.display());
        return Err(Error::new(ErrorKind::Config, "back up the store", message));
    }
    let database = Database::open(address).await?;
    let saved = async {
        database.check().await?;
        let writer = Writer::create(to)?;
        database.save(writer).await
    };
    let saved = saved.await;
    database.close().await;
    let (header, trailer) = saved?;
    Ok(Summary::of(header, trailer))
}

/// Reads the backup in the file `from` to its end, without a store.
///
/// # Errors
/// `Corrupt` if anything of it is missing or another; `Config` if it is none of ours.
pub fn verify(from: &Path) -> Result<Summary> {
    let (reader, header) = Reader::open(from)?;
    Ok(Summary::of(header, reader.verify()?))
}

/// Brings what the file `from` holds into the store at `url`, all of it or nothing. No process
/// may use the store: what it knows of the installation would be wrong. A store without a
/// schema gets one; a backup of an older schema is brought to this build's afterwards.
///
/// Hosts may know more than the backup does. What they say they were given is not given out
/// again (`session_lift`, `server_lift`); sessions that only they know are left alone.
///
/// # Errors
/// `Corrupt` if the backup is damaged, before anything is touched; `Conflict` if the store is
/// not empty and is to be kept; `Busy` if on PostgreSQL a process uses it; `Config` if the
/// schemas do not fit.
pub async fn restore(url: &str, from: &Path, existing: Existing) -> Result<Summary> {
    let refused = |kind, why: String| Error::new(kind, "restore the store", why);
    let summary = verify(from)?;
    let database = Database::connect(url).await?;
    let restored = async {
        let known = database.set().latest();
        if summary.schema > known {
            return Err(MigrateError::Newer { version: summary.schema, known }.into());
        }
        let at = database.version().await?;
        if at.number == 0 {
            database.run(Goal::Version(summary.schema)).await?;
        } else if at.number != summary.schema || at.dirty {
            let why = format!(
                "the store's schema is at version {}, the backup's at {}; restore into an empty database",
                at.number, summary.schema
            );
            return Err(refused(ErrorKind::Config, why));
        }
        let (reader, header) = Reader::open(from)?;
        let trailer = database.load(reader, &header, existing).await?;
        if (header.cluster.as_str(), &trailer.rows) != (summary.cluster.as_str(), &summary.rows) {
            return Err(refused(ErrorKind::Conflict, "the backup was changed meanwhile".to_owned()));
        }
        database.run(Goal::Latest).await?;
        Ok(())
    };
    let restored: Result<()> = restored.await;
    database.close().await;
    restored.map(|()| summary)
}
