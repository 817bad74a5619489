//! The program `external_subscriber` on real brokers: what happens reaches all of its sinks, also
//! what happens while it is dead or its disk is full.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use manman_broker::{nats::NatsBroker, rabbitmq::RabbitBroker};
use manman_core::broker::{Broker, Message};
use manman_services::{Guarded, NatsServer, NatsVersion, Patience, Rabbit, free_port, http};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::sync::mpsc::UnboundedReceiver;

use support::{crashed, hook, lines, stale, until};

/// The program with all of its sinks, and a broker to publish to as an event processor does.
struct Subscriber {
    broker: Arc<dyn Broker>,
    url: String,
    audit: PathBuf,
    metrics: u16,
    hook: String,
    told: UnboundedReceiver<String>,
    /// What the webhook was told, and how often.
    heard: BTreeMap<String, usize>,
    running: Option<Guarded>,
    directory: tempfile::TempDir,
}

impl Subscriber {
    async fn new(url: String) -> Self {
        let broker: Arc<dyn Broker> = if url.starts_with("amqp") {
            Arc::new(RabbitBroker::new(url.parse().unwrap()).unwrap())
        } else {
            Arc::new(NatsBroker::open(&url.parse().unwrap()).await.unwrap())
        };
        let directory = tempfile::tempdir().unwrap();
        let (hook, told) = hook(Arc::new(AtomicBool::new(true))).await;
        Self {
            broker,
            url,
            audit: directory.path().join("audit.jsonl"),
            metrics: free_port(),
            hook,
            told,
            heard: BTreeMap::new(),
            running: None,
            directory,
        }
    }

    /// Starts it. A file that grows too large is an error to it, as a full disk is.
    fn start(&mut self) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#, env!("CARGO_BIN_EXE_external_subscriber")]);
        command.arg(&self.audit).arg(format!("127.0.0.1:{}", self.metrics)).arg(&self.hook);
        command.env("BROKER_URL", &self.url);
        self.running = Some(Guarded::start(command, &self.directory.path().join("log")));
    }

    fn kill(&mut self) {
        self.running.as_mut().unwrap().kill();
    }

    /// Lets files of it grow to so many bytes, or as they like.
    fn limit(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(i32::try_from(self.running.as_ref().unwrap().pid()).unwrap());
        let limit = |current| prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
        limit(bytes);
    }

    /// Starts it for the first time and waits until all of its queues are there: what nobody has
    /// asked for is kept for nobody.
    async fn begin(&mut self) {
        self.start();
        let first = stale("first");
        let mut patience = Patience::new(Duration::from_secs(60));
        while !(self.wrote(&first)
            && self.counted("manman.host.stale") > 0
            && self.was_told("host first is silent"))
        {
            assert!(!patience.is_spent(), "the sinks hear nothing");
            // An exchange that is not there yet is no failure.
            let _ = self.broker.publish(first.clone()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn publish(&self, messages: &[Message]) {
        for message in messages {
            self.broker.publish(message.clone()).await.unwrap();
        }
    }

    fn wrote(&self, message: &Message) -> bool {
        lines(&self.audit).iter().any(|line| line.contains(&message.id.to_string()))
    }

    fn counted(&self, event: &str) -> usize {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        let Ok((200, page)) = http("GET", &url, &[], b"") else { return 0 };
        let line = format!("manman_events_total{{event=\"{event}\"}} ");
        let page = String::from_utf8(page).unwrap();
        page.lines().find_map(|it| it.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }

    fn was_told(&mut self, text: &str) -> bool {
        while let Ok(request) = self.told.try_recv() {
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            *self.heard.entry(body["text"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        self.heard.contains_key(text)
    }
}

/// Whether each of them is in the file, and there once.
#[track_caller]
fn each_once(audit: &Path, messages: &[Message]) {
    let lines = lines(audit);
    for message in messages {
        let id = message.id.to_string();
        assert_eq!(lines.iter().filter(|line| line.contains(&id)).count(), 1, "{id}: {lines:#?}");
    }
    // The first one of all is there too.
    assert_eq!(lines.len(), messages.len() + 1, "{lines:#?}");
}

fn said_of(session: usize) -> String {
    format!("session {session} of deployment 1: exit code 42")
}

async fn nothing_is_lost(url: String) {
    let mut subscriber = Subscriber::new(url).await;
    subscriber.begin().await;
    let events: Vec<Message> = (0..30).map(crashed).collect();
    let (before, after) = events.split_at(10);
    subscriber.publish(before).await;
    until("what happened is counted", || subscriber.counted("manman.session.crashed") >= 10).await;
    until("it is written", || subscriber.wrote(&before[9])).await;
    each_once(&subscriber.audit, before);
    until("somebody is told", || (0..10).all(|session| subscriber.was_told(&said_of(session)))).await;

    // It dies amid the next ones, and the rest happen while it is dead.
    let (amid, dead) = after.split_at(10);
    subscriber.publish(amid).await;
    until("some of them are written", || subscriber.wrote(&amid[0])).await;
    subscriber.kill();
    subscriber.publish(dead).await;
    subscriber.start();
    until("what happened meanwhile is written", || subscriber.wrote(&dead[9])).await;
    until("it is counted anew", || subscriber.counted("manman.session.crashed") >= 10).await;
    until("somebody is told of all", || (0..30).all(|session| subscriber.was_told(&said_of(session)))).await;
    each_once(&subscriber.audit, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_nats_nothing_is_lost_over_a_death() {
    let server = NatsServer::start(NatsVersion::Packaged);
    nothing_is_lost(format!("nats://127.0.0.1:{}", server.port())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq_nothing_is_lost_over_a_death() {
    let node = Rabbit::start(None);
    let vhost = node.vhost();
    nothing_is_lost(format!("amqp://admin:p%40ss%2Fwo%3Ard%3F@127.0.0.1:{}/{vhost}", node.port())).await;
}

/// A disk takes half of a line, and then nothing; when it takes more there is one whole line.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_half_of_a_line() {
    let server = NatsServer::start(NatsVersion::Packaged);
    let mut subscriber = Subscriber::new(format!("nats://127.0.0.1:{}", server.port())).await;
    subscriber.begin().await;
    let length = || std::fs::metadata(&subscriber.audit).unwrap().len();
    let full = length() + 20;
    subscriber.limit(Some(full));
    let events = [crashed(1), crashed(2)];
    subscriber.publish(&events).await;
    until("half of a line is written", || length() == full).await;
    subscriber.limit(None);
    until("both are written", || events.iter().all(|event| subscriber.wrote(event))).await;
    each_once(&subscriber.audit, &events);
    // It is an audit still.
    subscriber.kill();
    subscriber.start();
    let last = crashed(3);
    subscriber.publish(std::slice::from_ref(&last)).await;
    until("it goes on", || subscriber.wrote(&last)).await;
    each_once(&subscriber.audit, &[&events[..], &[last]].concat());
}
