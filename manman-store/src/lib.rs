//! manman's [`Store`](manman_core::store::Store) over SQL, its migrations, and what runs
//! them. Each dialect is a feature and a module; what deeds decide is in
//! [`manman_core::store::decide`].

pub mod migrate;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteConfig, SqliteStore};
