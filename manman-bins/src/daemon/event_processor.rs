//! `event-processor`: what moves by itself in the control plane.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use manman_core::{control::ControlConfig, processor::Processor};

use super::{Died, Running, parts};
use crate::{
    compose::{Carrier, Database, Tasks},
    config::{DatabaseUrl, ProcessorConfig},
};

/// How many reports are applied at once over PostgreSQL, which writes for several hosts
/// side by side. SQLite writes for one at a time.
const REPORTS_AT_ONCE: u32 = 8;

pub(super) async fn start(config: ProcessorConfig, stop: CancellationToken) -> Result<Running, Died> {
    let database = Database::open(&config.database, false).await;
    let database = database.map_err(|error| Died::Part("the store", error))?;
    let carrier = Carrier::open(&config.broker).await.map_err(|error| Died::Part("the broker", error))?;
    let (store, broker) = (database.store(), carrier.broker());
    let mut control = ControlConfig::default();
    if matches!(config.database, DatabaseUrl::Postgres(_)) {
        control.consumers = REPORTS_AT_ONCE;
    }
    let processor = Processor::new(store.clone(), broker.clone(), control);
    let mut tasks = Tasks::default();
    let until = stop.clone();
    tasks.spawn("the event processor", async move {
        processor.run(until).await;
        database.close().await;
        Ok(())
    });
    Ok(Running { tasks, stop, parts: Arc::new(parts::Control { store, broker, blobs: None }) })
}
