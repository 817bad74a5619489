//! What an installation has on record, wherever its database is, for whoever only looks.

use manman_core::error::Chain;
use manman_store::sqlite::{self, Holdings};

use super::{Look, blocking, within};
use crate::config::{DatabaseUrl, Problem};

impl Look {
    /// The database that this installation has.
    ///
    /// # Errors
    /// If the configuration cannot be used, and so does not say.
    pub fn database(&self) -> Result<DatabaseUrl, String> {
        let wrong = |wrong: &Vec<Problem>| {
            let places: Vec<_> = wrong.iter().map(|it| it.place.as_str()).collect();
            format!("the configuration cannot be used ({})", places.join(", "))
        };
        self.config.as_ref().map(|config| config.database.clone()).map_err(wrong)
    }

    /// What is on record; nothing where nothing was ever run.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn holdings(&self) -> Result<Holdings, String> {
        let path = match self.database()? {
            DatabaseUrl::Sqlite(path) => path,
            url @ DatabaseUrl::Postgres(_) => {
                let read = within(async { of_server(&url).await }).await;
                return read.map_err(|why| format!("{url}: {why}"));
            }
        };
        let journal = self.places().journal();
        let there = blocking({
            let path = path.clone();
            move || Ok((path.try_exists().map_err(|error| error.to_string())?, journal.exists()))
        });
        match there.await? {
            (true, _) => match within(async { Ok(sqlite::examine(&path).await) }).await? {
                Ok(found) => found.holds.ok_or_else(|| "its schema is not this build's".to_owned()),
                Err(error) => Err(Chain(&error).to_string()),
            },
            (false, true) => {
                Err(format!("games were run here, and their database {} is not there", path.display()))
            }
            (false, false) => Ok(Holdings::default()),
        }
    }
}

/// What is on record at a server. Its schema is left as it is.
#[cfg(feature = "postgres")]
pub async fn of_server(url: &DatabaseUrl) -> Result<Holdings, String> {
    use manman_core::{
        model::session::State,
        store::{Page, SessionFilter, Store},
    };
    /// So many are asked for at once.
    const LIMIT: usize = 200;

    async fn read(store: &dyn Store) -> manman_core::error::Result<Holdings> {
        let mut holds = Holdings::default();
        holds.cluster = Some(store.cluster().await?);
        let mut page = Page::first(LIMIT);
        loop {
            let some = store.deployment_list(None, page).await?;
            holds.deployments.extend(some.iter().map(|one| (one.id, one.name.to_string())));
            match some.last() {
                Some(last) if some.len() == LIMIT => page = Page { after: Some(last.id), limit: LIMIT },
                _ => break,
            }
        }
        let states = State::ALL.iter().copied().filter(|state| !state.is_end()).collect();
        let filter = SessionFilter { states, ..SessionFilter::default() };
        let mut page = Page::first(LIMIT);
        loop {
            let some = store.session_list(filter.clone(), page).await?;
            for session in &some {
                let name = holds.deployments.iter().find(|(id, _)| *id == session.sgc);
                let name =
                    name.map_or_else(|| format!("deployment {}", session.sgc), |(_, name)| name.clone());
                holds.live.push((session.id, name));
                let state = session.state.to_string();
                match holds.sessions.iter_mut().find(|(it, _)| *it == state) {
                    Some((_, count)) => *count += 1,
                    None => holds.sessions.push((state, 1)),
                }
            }
            match some.last() {
                Some(last) if some.len() == LIMIT => page = Page { after: Some(last.id), limit: LIMIT },
                _ => return Ok(holds),
            }
        }
    }

    let told = |error: manman_core::error::Error| Chain(&error).to_string();
    let database = crate::compose::Database::open(url, false).await.map_err(told)?;
    let holds = read(&*database.store()).await.map_err(told);
    database.close().await;
    holds
}

/// What is on record at a server that this build does not speak with.
#[cfg(not(feature = "postgres"))]
pub async fn of_server(_: &DatabaseUrl) -> Result<Holdings, String> {
    Err("this build does not speak with PostgreSQL; build it with the feature `postgres`".to_owned())
}
