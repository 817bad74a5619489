//! The database, looked at without opening it for writing.

use manman_core::{error::Chain, id::ClusterId};
use manman_store::{
    migrate::MigrateError,
    sqlite::{self, Examination},
};

use super::report::{Check, Section};
use crate::cli::look::{Look, blocking, within};

/// What the database says, and whose installation it is.
pub async fn examine(look: &Look) -> (Section, Option<ClusterId>) {
    let path = look.places().database();
    let there = {
        let path = path.clone();
        blocking(move || path.try_exists().map_err(|error| error.to_string())).await
    };
    let section = |checks| Section { title: "database", checks };
    match there {
        Ok(true) => {}
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
    if let Some(holds) = &found.holds {
        if let Some(cluster) = holds.cluster {
            checks.push(Check::ok("cluster", cluster.to_string()));
        }
        let sessions: Vec<_> =
            holds.sessions.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let none = "none was ever started".to_owned();
        checks.push(Check::ok("sessions", if sessions.is_empty() { none } else { sessions.join(", ") }));
    }
    checks
}
