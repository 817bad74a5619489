//! What a configuration names, opened.

use std::sync::Arc;

use manman_core::{
    broker::{Broker, Queue},
    clock::SystemClock,
    error::Result,
    memory::MemoryBroker,
    store::Store,
};
use manman_store::{SqliteConfig, SqliteStore};

use crate::config::{BrokerUrl, DatabaseUrl};

/// A store that was opened.
#[derive(Clone, Debug)]
pub enum Database {
    /// In a file.
    Sqlite(Arc<SqliteStore>),
    /// On a server.
    #[cfg(feature = "postgres")]
    Postgres(Arc<manman_store::PostgresStore>),
}

impl Database {
    /// Opens what `url` names; with `migrate` its schema is brought to what this build
    /// needs, without it has to be there.
    ///
    /// # Errors
    /// `Config` if it cannot be used as it is, with what to do; `Unavailable` if it does not
    /// answer.
    pub async fn open(url: &DatabaseUrl, migrate: bool) -> Result<Self> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                let config = SqliteConfig::at(path);
                let config = if migrate { config.migrated() } else { config };
                let store = SqliteStore::open(&config, Arc::new(SystemClock)).await?;
                Ok(Self::Sqlite(Arc::new(store)))
            }
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(url) => {
                let config = manman_store::PostgresConfig::at(url.reveal());
                let config = if migrate { config.migrated() } else { config };
                Ok(Self::Postgres(Arc::new(manman_store::PostgresStore::open(&config).await?)))
            }
            #[cfg(not(feature = "postgres"))]
            DatabaseUrl::Postgres(_) => Err(lacking("PostgreSQL", "postgres")),
        }
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.clone(),
        }
    }

    /// Closes its connections once what they do is done.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// What carries messages.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// This process.
    Memory(Arc<MemoryBroker>),
    /// A server.
    Server(Arc<dyn Broker>),
}

impl Carrier {
    /// What `url` names. Connecting is for later: a broker that is away is waited for.
    ///
    /// # Errors
    /// `Config` if the URL cannot be used.
    pub async fn open(url: &BrokerUrl) -> Result<Self> {
        match url {
            BrokerUrl::Memory => Ok(Self::Memory(Arc::new(MemoryBroker::new()))),
            #[cfg(feature = "rabbitmq")]
            BrokerUrl::RabbitMq(url) => {
                let config = url.reveal().parse()?;
                Ok(Self::Server(Arc::new(manman_broker::rabbitmq::RabbitBroker::new(config)?)))
            }
            #[cfg(not(feature = "rabbitmq"))]
            BrokerUrl::RabbitMq(_) => Err(lacking("RabbitMQ", "rabbitmq")),
            #[cfg(feature = "nats")]
            BrokerUrl::Nats(url) => {
                let config = url.reveal().parse()?;
                Ok(Self::Server(Arc::new(manman_broker::nats::NatsBroker::open(&config).await?)))
            }
            #[cfg(not(feature = "nats"))]
            BrokerUrl::Nats(_) => Err(lacking("NATS", "nats")),
        }
    }

    /// The broker.
    pub fn broker(&self) -> Arc<dyn Broker> {
        match self {
            Self::Memory(broker) => broker.clone(),
            Self::Server(broker) => broker.clone(),
        }
    }

    /// Waits a moment until what was reported has been read. What waits in a server is read
    /// by whoever comes next; what waits here goes with this process.
    pub async fn heard(&self) {
        let Self::Memory(broker) = self else { return };
        let queue = Queue::of_processor().name;
        for _ in 0..20 {
            if broker.depth(&queue).unwrap_or_default() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[cfg(not(all(feature = "rabbitmq", feature = "nats", feature = "postgres")))]
fn lacking(what: &str, feature: &str) -> manman_core::error::Error {
    let message = format!("this program was built without {what}: build it with `--features {feature}`");
    manman_core::error::Error::new(manman_core::error::ErrorKind::Config, "open the backends", message)
}
