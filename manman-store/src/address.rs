//! Which database a URL names.

use manman_core::error::{Error, ErrorKind, Result};

/// A database that this build can open.
#[derive(Debug)]
pub(crate) enum Address {
    #[cfg(feature = "sqlite")]
    Sqlite(crate::SqliteConfig),
    #[cfg(feature = "postgres")]
    Postgres(crate::PostgresConfig),
}

impl Address {
    /// Reads `sqlite:///path`, `sqlite:path` or what
    /// [`PostgresConfig::url`](crate::PostgresConfig::url) takes.
    pub fn of(url: &str) -> Result<Self> {
        let refused = |why: &str| Err(Error::new(ErrorKind::Config, "open the database", why));
        match url.split_once(':').unwrap_or_default() {
            #[cfg(feature = "sqlite")]
            ("sqlite", rest) => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => refused("the URL names no file; sqlite:///path/to/manman.db does"),
                path => Ok(Self::Sqlite(crate::SqliteConfig::at(path))),
            },
            #[cfg(not(feature = "sqlite"))]
            ("sqlite", _) => refused("this build knows no SQLite; build it with the feature `sqlite`"),
            #[cfg(feature = "postgres")]
            (scheme, _) if scheme.starts_with("postgres") => {
                Ok(Self::Postgres(crate::PostgresConfig::at(url)))
            }
            #[cfg(not(feature = "postgres"))]
            (scheme, _) if scheme.starts_with("postgres") => {
                refused("this build knows no PostgreSQL; build it with the feature `postgres`")
            }
            _ => refused("the URL names no database of ours; sqlite:///path and postgres://host/name do"),
        }
    }
}
