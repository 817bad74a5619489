//! manman's [`Store`](manman_core::store::Store) over SQL, its migrations, and what runs
//! them. Each dialect is a feature and a module; what deeds decide is in
//! [`manman_core::store::decide`].
//!
//! Deeds are written once, in `sql/`: SQL that both dialects take, over words that each
//! defines for itself (`dialect.rs`: the driver's types, how a deed begins, what it holds).
//! Both modules load these files as their own.
#![allow(clippy::duplicate_mod, reason = "the deeds of both dialects are the same files")]

mod address;
pub mod backup;
#[cfg(feature = "blobs")]
pub mod blob;
pub mod migrate;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteConfig, SqliteStore};
