//! The store: its connections.

use std::sync::Arc;

use manman_core::{clock::Clock, error::Result, id::ClusterId};
use sqlx::PgPool;
use tokio::sync::Notify;

use super::{
    config::{PostgresConfig, STORE, pool_of},
    lead::Lead,
    runner::Runner,
    store::installation,
};
use crate::migrate::Set;

/// A store in a PostgreSQL database, for any number of processes at once.
pub struct PostgresStore {
    pub(super) pool: PgPool,
    /// What is told instead of the database's clock.
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) cluster: ClusterId,
    pub(super) secret: Vec<u8>,
    /// Rung when something was put into the outbox by this process.
    pub(super) posted: Notify,
    pub(super) lead: Lead,
}

impl PostgresStore {
    /// Opens the store, and makes the installation in a fresh one.
    ///
    /// # Errors
    /// `Config` if the database cannot be opened as the URL says, or its schema is not what
    /// this build needs and may not be brought there; the message says what to do.
    /// `Unavailable` if nobody answers.
    pub async fn open(config: &PostgresConfig) -> Result<Self> {
        Self::open_by(config, None).await
    }

    /// The same, going by another clock than the database's if one is given: for tests.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_by(config: &PostgresConfig, clock: Option<Arc<dyn Clock>>) -> Result<Self> {
        let options = config.options()?.application_name(STORE);
        let pool = pool_of(config, options.clone()).await?;
        let runner = Runner::new(pool.clone(), Set::postgres());
        if config.migrate {
            runner.up().await?;
        } else {
            runner.check().await?;
        }
        let (cluster, secret) = installation(&pool).await?;
        let lead = Lead::new(options);
        lead.probe().await?;
        Ok(Self { pool, clock, cluster, secret, posted: Notify::new(), lead })
    }

    /// Closes all connections once what they do is done; what comes later fails.
    pub async fn close(&self) {
        self.lead.close().await;
        self.pool.close().await;
    }
}
