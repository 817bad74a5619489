//! What leaves for the broker, as the outbox keeps it.

use uuid::Uuid;

use crate::{
    broker::{Class, Exchange, Message, RoutingKey},
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::{Epoch, Generation, ServerId},
    model::{Session, Want},
    store::CommandRecord,
    wire::{Command, Envelope, ExternalEvent, VERSION},
};

/// Writes the messages of one deed, for or about one server.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    /// The server.
    pub server: ServerId,
    /// Its registration.
    pub epoch: Epoch,
    /// When the deed is done.
    pub now: Timestamp,
}

impl Post {
    /// A hint to the host of `session`. That it is to run goes stale with the time it may
    /// begin in; that it is not to run never does.
    pub fn hint(&self, id: Uuid, session: &Session, command: Command) -> Result<Message> {
        let first = matches!(session.want, Want::Run { restarts: 0 });
        let not_after = first.then_some(session.not_after);
        self.command(id, session.generation, not_after, command)
    }

    /// A one-shot command, as `record` has it.
    pub fn one_shot(
        &self,
        record: &CommandRecord,
        generation: Generation,
        command: Command,
    ) -> Result<Message> {
        self.command(record.id, generation, Some(record.not_after), command)
    }

    /// An event for other systems.
    pub fn event(&self, id: Uuid, event: &ExternalEvent) -> Result<Message> {
        let (ExternalEvent::Host { event: kind, .. } | ExternalEvent::Session { event: kind, .. }) = event;
        Ok(Message {
            id,
            exchange: Exchange::External,
            key: kind.routing_key(),
            class: Class::Event,
            body: self.envelope(id, Generation(0), None, event.clone()).encode().map_err(too_large)?,
        })
    }

    fn command(
        &self,
        id: Uuid,
        generation: Generation,
        not_after: Option<Timestamp>,
        command: Command,
    ) -> Result<Message> {
        Ok(Message {
            id,
            exchange: Exchange::Internal,
            key: RoutingKey::command(self.server),
            class: Class::Command,
            body: self.envelope(id, generation, not_after, command).encode().map_err(too_large)?,
        })
    }

    fn envelope<T>(
        &self,
        id: Uuid,
        generation: Generation,
        not_after: Option<Timestamp>,
        body: T,
    ) -> Envelope<T> {
        Envelope {
            version: VERSION,
            id,
            issued_at: self.now,
            not_after,
            server: self.server,
            epoch: self.epoch,
            generation,
            sequence: 0,
            trace: None,
            body,
        }
    }
}

fn too_large(error: crate::wire::Unreadable) -> Error {
    Error::new(ErrorKind::Unexpected, "write a message", "it cannot be encoded").because(error)
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};
    use crate::{
        model::StopMode,
        wire::{ExternalKind, Unreadable},
    };

    fn post() -> Post {
        Post { server: ServerId(3), epoch: Epoch(2), now: Timestamp::from_micros(5) }
    }

    #[test]
    fn a_start_goes_stale_and_a_stop_does_not() -> Result<(), Unreadable> {
        let mut session = sample();
        let start = Command::Start { session: session.id };
        let message = post().hint(Uuid::nil(), &session, start.clone()).unwrap();
        let envelope = Envelope::<Command>::decode(&message.body)?;
        assert_eq!((envelope.body, envelope.not_after), (start, Some(session.not_after)));
        assert_eq!((message.key.as_str(), message.class), ("command.3", Class::Command));

        session.want = Want::Stop(StopMode::Graceful);
        let stop = Command::Stop { session: session.id };
        let message = post().hint(Uuid::nil(), &session, stop).unwrap();
        assert_eq!(Envelope::<Command>::decode(&message.body)?.not_after, None);
        Ok(())
    }

    #[test]
    fn an_event_goes_to_other_systems_under_its_kind() -> Result<(), Unreadable> {
        let event = ExternalEvent::Host { event: ExternalKind::HostStale, name: "box".into() };
        let message = post().event(Uuid::nil(), &event).unwrap();
        assert_eq!((message.exchange, message.class), (Exchange::External, Class::Event));
        assert_eq!(message.key.as_str(), "manman.host.stale");
        assert_eq!(Envelope::<ExternalEvent>::decode(&message.body)?.body, event);
        Ok(())
    }
}
