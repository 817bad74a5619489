//! Hosts that do as the stories say.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use manman_core::{
    broker::{Broker, Class, Exchange, Message, Queue, RoutingKey},
    control::ControlUplink,
    error::Error,
    id::{Epoch, Generation, ServerId, SessionId},
    model::{Reason, State, Want, reason::ReasonCode},
    testkit::broker::Nasty,
    uplink::{HostIdentity, Registration, Uplink},
    wire::{Beat, Command, End, Envelope, HostReport, Outcome, Report, SessionReport, VERSION},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::world::{T0, World, secs};

/// A host that is played.
pub struct Host {
    pub me: HostIdentity,
    pub voice: Voice,
    uplink: Arc<ControlUplink>,
    beating: Option<AbortOnDropHandle<()>>,
    serving: Option<AbortOnDropHandle<()>>,
    /// What was written to its games.
    pub inputs: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub async fn register(world: &World, name: &str) -> Self {
        let hello = Registration {
            name: name.parse().unwrap(),
            environment: "test".parse().unwrap(),
            machine_id: format!("machine of {name}"),
            engine_id: "engine".into(),
            capacity: Default::default(),
            public_address: None,
            take_over: false,
        };
        let welcomed = world.uplink.register(&hello).await.unwrap();
        let me = HostIdentity { server: welcomed.server, epoch: welcomed.epoch };
        let voice = Voice { me, broker: world.broker.clone(), sequence: Arc::default() };
        let mut host = Self {
            me,
            voice,
            uplink: world.uplink.clone(),
            beating: None,
            serving: None,
            inputs: Arc::default(),
        };
        host.beat();
        host
    }

    /// Beats every two seconds.
    pub fn beat(&mut self) {
        let voice = self.voice.clone();
        self.beating = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let _ = voice.say(Report::Beat(Beat::default())).await;
                tokio::time::sleep(secs(2)).await;
            }
        })));
    }

    /// Beats no more, and goes on with the rest.
    pub fn hush(&mut self) {
        self.beating = None;
    }

    /// Falls silent, and does nothing more.
    pub fn fall_silent(&mut self) {
        self.beating = None;
        self.serving = None;
    }

    /// Does what is wanted: whatever is to run runs, whatever is to stop stops; what is
    /// written to a game is noted.
    pub fn serve(&mut self, answer: Answer) {
        let (voice, uplink, inputs) = (self.voice.clone(), self.uplink.clone(), self.inputs.clone());
        self.serving = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let Ok(mut consumer) = voice.broker.consume(&Queue::of_host(voice.me.server).name).await
                else {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                };
                loop {
                    voice.reconcile(&uplink).await;
                    match tokio::time::timeout(secs(30), consumer.next()).await {
                        Err(_) => continue,
                        Ok(Err(_)) => break,
                        Ok(Ok(delivery)) => {
                            let command = Envelope::<Command>::decode(&delivery.message.body).unwrap().body;
                            let _ = delivery.handle.ack().await;
                            if let Command::Input(input) = command {
                                inputs.lock().unwrap().push(input.what.as_str().to_owned());
                                voice.answer(input.run.session, input.id, answer).await;
                            }
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })));
    }
}

/// How a host tells what became of an input.
#[derive(Clone, Copy)]
pub enum Answer {
    /// By a reply and a report.
    Both,
    /// By a report alone.
    Report,
    /// Not at all.
    Never,
}

/// What a host says.
#[derive(Clone)]
pub struct Voice {
    pub me: HostIdentity,
    broker: Nasty,
    sequence: Arc<AtomicI64>,
}

impl Voice {
    /// The message that says this.
    pub fn message(&self, report: Report) -> Message {
        let (key, class) = match &report {
            Report::Beat(_) => (RoutingKey::health(self.me.server), Class::Telemetry),
            Report::Host(_) => (RoutingKey::host_status(self.me.server), Class::Report),
            Report::Session(report) => {
                (RoutingKey::session_status(self.me.server, report.session()), Class::Report)
            }
        };
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        letter(self.me.server, self.me.epoch, sequence, key, class, report)
    }

    pub async fn say(&self, report: Report) -> Result<(), Error> {
        self.broker.publish(self.message(report)).await
    }

    /// Says it until it has arrived.
    pub async fn insist(&self, report: Report) {
        let message = self.message(report);
        while self.broker.publish(message.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn running(&self, session: SessionId, attempt: u32) {
        self.insist(Report::Session(running(session, attempt))).await;
    }

    pub async fn going_away(&self, seconds: u32) {
        self.insist(Report::Host(HostReport::GoingAway { seconds })).await;
    }

    async fn answer(&self, session: SessionId, command: Uuid, answer: Answer) {
        if matches!(answer, Answer::Never) {
            return;
        }
        let report = Report::Session(SessionReport::Outcome { session, command, outcome: Outcome::Done });
        self.insist(report.clone()).await;
        if matches!(answer, Answer::Both) {
            let key = RoutingKey::reply(self.me.server, command);
            let reply = letter(self.me.server, self.me.epoch, 0, key, Class::Telemetry, report);
            let _ = self.broker.publish(reply).await;
        }
    }

    async fn reconcile(&self, uplink: &ControlUplink) {
        let Ok(snapshot) = uplink.snapshot(self.me, &[]).await else { return };
        for wanted in snapshot.wanted {
            match wanted.want {
                Want::Run { restarts } => {
                    let attempt = wanted.attempt.max(restarts + 1);
                    if wanted.state != State::Running || wanted.attempt < attempt {
                        self.running(wanted.session, attempt).await;
                    }
                }
                Want::Stop(_) => {
                    self.insist(Report::Session(ended(wanted.session, wanted.attempt, End::Stopped))).await
                }
            }
        }
    }
}

pub fn letter<T: serde::Serialize + serde::de::DeserializeOwned>(
    server: ServerId,
    epoch: Epoch,
    sequence: i64,
    key: RoutingKey,
    class: Class,
    body: T,
) -> Message {
    let envelope = Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: T0,
        not_after: None,
        server,
        epoch,
        generation: Generation::default(),
        sequence,
        trace: None,
        body,
    };
    let body = envelope.encode().unwrap();
    Message { id: envelope.id, exchange: Exchange::Internal, key, class, body }
}

pub fn running(session: SessionId, attempt: u32) -> SessionReport {
    SessionReport::Running {
        session,
        attempt,
        started_at: T0,
        image_digest: "sha256:1".into(),
        spec_hash: "5bec".to_owned(),
        manager_version: "0.1.0".to_owned(),
    }
}

pub fn ended(session: SessionId, attempt: u32, end: End) -> SessionReport {
    SessionReport::Ended {
        session,
        attempt,
        end,
        exit_code: Some(0),
        out_of_memory: false,
        at: T0,
        reason: Reason::new(ReasonCode::Exited, "exit code 0"),
        last_lines: vec!["bye".into()],
    }
}
