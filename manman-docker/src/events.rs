//! The engine's events, as hints.

use std::{future::ready, time::Duration};

use bollard::{Docker, models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use manman_core::{
    clock::{Clock, SystemClock},
    runtime::{Owner, RuntimeEvent},
};
use tracing::debug;

use crate::labels::{self, Reading};

/// The engine answers before it has subscribed us (moby 20.10, `getEvents`), and its
/// clock may differ a little; what it says twice for that is only a hint twice.
const OVERLAP: Duration = Duration::from_secs(5);

/// Hints from now on, the first of them [`RuntimeEvent::Resync`]; ends when the engine goes.
pub(crate) fn stream(docker: &Docker, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
    let mut filters = labels::filter(owner, &[(labels::TYPE, &labels::GAME)]);
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    let since = (SystemClock.now().minus(OVERLAP).as_micros() / 1_000_000).to_string();
    let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
    let (docker, owner) = (docker.clone(), owner.clone());
    let events = docker.events(Some(options));
    let events = events
        .take_while(|event| {
            if let Err(error) = event {
                debug!(%error, "the engine's events ended");
            }
            ready(event.is_ok())
        })
        .filter_map(move |event| ready(event.ok().and_then(|event| attempt(&owner, &event))));
    stream::once(ready(RuntimeEvent::Resync)).chain(events).boxed()
}

/// The attempt that an event is about: the engine repeats a container's labels in it.
fn attempt(owner: &Owner, event: &EventMessage) -> Option<RuntimeEvent> {
    match labels::read(owner, event.actor.as_ref()?.attributes.as_ref()?) {
        Reading::Game(labels) => Some(RuntimeEvent::Attempt(labels.run)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{labels::tests::owner, map::tests::spec};

    #[test]
    fn an_event_is_told_by_its_labels() {
        let event = |attributes| {
            let message = serde_json::json!({"Type": "container", "Action": "die", "Actor": {"Attributes": attributes}});
            attempt(&owner(), &serde_json::from_value(message).unwrap())
        };
        let mut attributes = labels::game(&owner(), &spec());
        attributes.insert("exitCode".into(), "3".into());
        assert_eq!(event(attributes.clone()), Some(RuntimeEvent::Attempt(spec().run)));
        attributes.insert(labels::SERVER.into(), "2".into());
        assert_eq!(event(attributes), None);
    }
}
