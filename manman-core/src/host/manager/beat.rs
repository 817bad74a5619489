//! Says that we live.

use std::sync::{Arc, PoisonError};

use tokio::time::sleep;
use uuid::Uuid;

use super::{host::Host, reports::send};
use crate::{
    broker::{Class, RoutingKey},
    error::Chain,
    host::{config::capacity, journal::Journal},
    model::Want,
    wire::{Beat, Report},
};

/// Beats until somebody else has taken our place. A beat that is late is left out.
pub(super) async fn run(host: Arc<Host>) {
    loop {
        sleep(host.about(host.config.heartbeat())).await;
        if host.is_fenced() {
            return;
        }
        host.tend_journal();
        if host.identity().is_none() || host.stands_by() {
            continue;
        }
        let beat = Report::Beat(beat(&host));
        let sent = send(&host, Uuid::now_v7(), Class::Telemetry, RoutingKey::health, beat);
        match host.call_within("beat", host.config.heartbeat(), sent).await {
            Ok(()) => host.well("broker"),
            Err(error) => host.condition("broker", format!("beats do not get through: {}", Chain(&error))),
        }
    }
}

fn beat(host: &Host) -> Beat {
    let (running, starting) = counts(&host.journal);
    let info = host.engine.info.lock().unwrap_or_else(PoisonError::into_inner);
    let mut warnings = host.conditions();
    warnings.extend(host.consoles.warnings());
    Beat {
        capacity: info.as_ref().map(capacity).unwrap_or_default(),
        running,
        starting,
        engine_ok: host.engine.is_answering(),
        warnings,
    }
}

/// How many sessions run and how many are on their way up.
fn counts(journal: &Journal) -> (u32, u32) {
    journal.look(|state| {
        let (mut running, mut starting) = (0, 0);
        for entry in state.sessions.values().filter(|entry| entry.memory.end.is_none()) {
            match entry.memory.is_running() {
                true => running += 1,
                false if matches!(entry.desired.want, Want::Run { .. }) => starting += 1,
                false => {}
            }
        }
        (running, starting)
    })
}
