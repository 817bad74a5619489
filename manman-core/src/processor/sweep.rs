//! Time that passes: hosts that fell silent, starts and commands that expired.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Stats, probe::Probe, within::within};
use crate::{
    broker::Broker, clock::Timestamp, control::ControlConfig, error::Chain, error::Result, store::Store,
};

/// Looks for what is overdue.
///
/// Silence proves nothing while nobody could be heard: it counts only once a probe of our
/// own has come back through the processors' queue, look after look, for the whole time
/// that a host has. That holds after a start, an outage, and a process that was stopped.
#[derive(Debug)]
pub struct Sweep {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    config: ControlConfig,
    stats: Stats,
}

/// Since when everything that was said has been heard.
#[derive(Debug, Default)]
struct Hearing {
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Hearing {
    /// A look at which the probe came back; longer than `gap` after the last one it is
    /// as good as the first.
    fn heard(&mut self, now: Instant, gap: Duration) {
        if self.last.is_none_or(|last| now - last > gap) {
            self.since = None;
        }
        self.last = Some(now);
        self.since.get_or_insert(now);
    }

    fn deaf(&mut self) {
        *self = Self::default();
    }

    fn lasts(&self, window: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| now - since >= window)
    }
}

impl Sweep {
    /// Looks for what is overdue in `store`, and listens to itself through `broker`.
    pub fn new(store: Arc<dyn Store>, broker: Arc<dyn Broker>, config: ControlConfig, stats: Stats) -> Self {
        Self { store, broker, config, stats }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut probe = Probe::new(self.broker.clone(), self.config.probe_timeout());
        let mut hearing = Hearing::default();
        let mut looks = interval(self.config.sweep_every());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = looks.tick() => {}
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.look(&mut probe, &mut hearing) => {}
            }
        }
    }

    async fn look(&self, probe: &mut Probe, hearing: &mut Hearing) {
        // Before the probe: what was said until then is heard when it is back. A pause of ours
        // after it is nobody's silence.
        let now = within("now", self.config.store_timeout(), self.store.now()).await;
        let returned = probe.returns().await;
        // One moment for both: a pause of ours between two of them would count as heard.
        let then = Instant::now();
        match returned {
            Ok(()) => hearing.heard(then, self.config.sweep_every() + self.config.probe_timeout()),
            Err(error) => {
                if hearing.last.is_some() {
                    warn!(error = %Chain(&error), "our own probe does not return: nobody's silence counts");
                }
                hearing.deaf();
            }
        }
        let judged = hearing.lasts(self.config.stale_after(), then);
        if !judged {
            self.stats.not_judged(1);
        }
        let swept = match now {
            Ok(now) => self.sweep(judged.then(|| now.minus(self.config.stale_after()))).await,
            Err(error) => Err(error),
        };
        if let Err(error) = swept {
            warn!(error = %Chain(&error), "what is overdue cannot be looked for");
            // Beats are not noted either by a store that does not answer.
            hearing.deaf();
        }
    }

    /// Who was last heard before `cutoff` is silent; without one nobody is.
    async fn sweep(&self, cutoff: Option<Timestamp>) -> Result<()> {
        let longest = self.config.store_timeout();
        if let Some(cutoff) = cutoff {
            let silent = within("server_sweep", longest, self.store.server_sweep(cutoff)).await?;
            for server in &silent {
                warn!(server.id = %server.id, "server {} fell silent", server.name);
            }
            self.stats.stale(silent.len());
            // A start that a host has taken up may be told by a report that waited with it.
            let expired = self.store.session_expire(self.config.start_grace());
            let expired = within("session_expire", longest, expired).await?;
            for session in &expired {
                info!(session.id = %session, "the start of session {session} expired");
            }
            self.stats.starts_expired(expired.len());
        }
        let expired = self.store.command_expire(self.config.command_grace());
        let expired = within("command_expire", longest, expired).await?;
        self.stats.commands_expired(expired.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::Queue,
        memory::{MemoryBroker, MemoryStore},
        processor::probe::echo,
        store::{Registration, ServerStore as _},
        testkit::ManualClock,
    };

    /// It stands still while its probe is on its way, and the store's clock does not.
    #[tokio::test(start_paused = true)]
    async fn a_pause_of_ours_is_nobodys_silence() {
        let (clock, broker, config) =
            (Arc::new(ManualClock::default()), Arc::new(MemoryBroker::new()), ControlConfig::default());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let hello = Registration {
            name: "box".parse().unwrap(),
            environment: Default::default(),
            machine_id: "box".into(),
            engine_id: "engine".into(),
            capacity: Default::default(),
            public_address: None,
            take_over: false,
        };
        store.server_register(&hello, config.stale_after()).await.unwrap();
        let sweep = Sweep::new(store.clone(), broker.clone(), config.clone(), Stats::default());
        let queue = Queue::of_processor();
        broker.declare(&queue).await.unwrap();
        let mut reports = broker.consume(&queue.name).await.unwrap();
        let long_ago = Instant::now() - 2 * config.stale_after();
        let mut hearing = Hearing { since: Some(long_ago), last: Some(Instant::now()) };
        let mut probe = Probe::new(broker.clone(), config.probe_timeout());
        let answer = async {
            let delivery = reports.next().await.unwrap();
            clock.advance(2 * config.stale_after());
            broker.publish(echo(&delivery.message).unwrap()).await.unwrap();
            delivery.handle.ack().await.unwrap();
        };
        tokio::join!(sweep.look(&mut probe, &mut hearing), answer);
        assert!(hearing.lasts(config.stale_after(), Instant::now()));
        assert_eq!(sweep.stats.counters().stale, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn hearing_counts_from_the_last_gap() {
        let (window, gap) = (Duration::from_secs(10), Duration::from_secs(3));
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut hearing = Hearing::default();
        for secs in 0..=9 {
            hearing.heard(at(secs), gap);
            assert!(!hearing.lasts(window, at(secs)), "{secs}");
        }
        hearing.heard(at(10), gap);
        assert!(hearing.lasts(window, at(10)));
        // Stopped for a minute: as good as just started.
        hearing.heard(at(70), gap);
        assert!(!hearing.lasts(window, at(70)));
        hearing.deaf();
        assert!(!hearing.lasts(window, at(100)));
    }
}
