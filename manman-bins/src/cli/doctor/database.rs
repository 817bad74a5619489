//! The database, looked at without opening it for writing.

use manman_core::{error::Chain, id::ClusterId};
use manman_store::{
    migrate::MigrateError,
    sqlite::{self, Examination, Holdings},
};

use super::report::{Check, Section};
use crate::{
    cli::look::{Look, blocking, of_server, within},
    config::DatabaseUrl,
};

/// What the database says, and whose installation it is.
pub async fn examine(look: &Look) -> (Section, Option<ClusterId>) {
    let section = |checks| Section { title: "database", checks };
    let path = match look.database() {
        Ok(DatabaseUrl::Sqlite(path)) => path,
        Ok(url) => {
            let (checks, cluster) = at_server(&url).await;
            return (section(checks), cluster);
        }
        Err(why) => return (section(vec![Check::unknown("database", why)]), None),
    };
    let there = {
        let path = path.clone();
        blocking(move || path.try_exists().map_err(|error| error.to_string())).await
    };
    match there {
        Ok(true) => {}
        Ok(false) if look.places().journal().exists() => {
            let text = format!("games were run here, and {} is not there", path.display());
            let remedy = "say which database `manman up` was told: --database, DATABASE_URL or --config";
            return (section(vec![Check::problem("database", text, remedy)]), None);
        }
        Ok(false) => {
            let check =
                Check::note("database", format!("{} is not there: `manman up` makes it", path.display()));
            return (section(vec![check]), None);
        }
        Err(why) => return (section(vec![Check::unknown("database", why)]), None),
    }
    let found = within(async { Ok(sqlite::examine(&path).await) }).await;
    let remedy = "keep a copy of the data directory, and restore the database from one made before";
    match found {
        Ok(Ok(found)) => (section(checks(&found)), found.holds.and_then(|holds| holds.cluster)),
        Ok(Err(error)) => {
            (section(vec![Check::problem("database", Chain(&error).to_string(), remedy)]), None)
        }
        Err(why) => (section(vec![Check::unknown("database", why)]), None),
    }
}

/// One that others may use too: whether it answers this build.
async fn at_server(url: &DatabaseUrl) -> (Vec<Check>, Option<ClusterId>) {
    match within(of_server(url)).await {
        Ok(holds) => {
            let mut checks = vec![Check::ok("schema", format!("{url}: is what this build needs"))];
            checks.extend(recorded(&holds, "live sessions"));
            (checks, holds.cluster)
        }
        Err(why) => {
            let remedy = "see that it runs and is reached, and that DATABASE_URL is right";
            (vec![Check::problem("database", format!("{url}: {why}"), remedy)], None)
        }
    }
}

fn checks(found: &Examination) -> Vec<Check> {
    let version = format!("version {}, this build knows {}", found.version.number, found.known);
    let mut checks = vec![match &found.schema {
        None => Check::ok("schema", version),
        Some(older @ MigrateError::Older { .. }) => Check::note("schema", older.to_string()),
        Some(error) => Check::problem("schema", version, error.to_string()),
    }];
    checks.push(if found.damage.is_empty() {
        Check::ok("integrity", "SQLite's quick check finds nothing")
    } else {
        let remedy = "end manman (games go on), keep a copy of the data directory, and restore the database";
        Check::problem("integrity", found.damage.join("; "), remedy)
    });
    checks.extend(found.holds.iter().flat_map(|holds| recorded(holds, "sessions")));
    checks
}

/// What is on record.
fn recorded(holds: &Holdings, sessions: &str) -> Vec<Check> {
    let counts: Vec<_> = holds.sessions.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let cluster = holds.cluster.map(|cluster| Check::ok("cluster", cluster.to_string()));
    cluster.into_iter().chain([Check::ok(sessions, counts)]).collect()
}
