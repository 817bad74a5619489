//! Both ends of the uplink within one process, against the contract of all of them.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use manman_core::{
    blob::{BlobKey, BlobStream, Blobs, whole},
    broker::Broker,
    clock::{Timestamp, TokioClock},
    control::{Control, ControlConfig, ControlUplink, DeployRequest},
    error::ErrorKind,
    id::{ClusterId, ConfigId, Epoch, ServerId, SessionId, SgcId},
    memory::{MemoryBlobs, MemoryBroker, MemoryStore, MemoryUplink},
    model::{ConfigBody, Labels, StopMode, config::NewConfig, game::NewGame},
    processor::Processor,
    runtime::Owner,
    store::{Actor, Store, Write},
    testkit::uplink::UplinkFixture,
    uplink::{HostIdentity, Registration, Uplink},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

fn hello(name: &str) -> Registration {
    Registration {
        name: name.parse().unwrap(),
        environment: "test".parse().unwrap(),
        machine_id: format!("machine of {name}"),
        engine_id: "engine".into(),
        capacity: Default::default(),
        public_address: None,
        take_over: false,
    }
}

fn body() -> ConfigBody {
    ConfigBody::new("game:1".parse().unwrap())
}

fn clock() -> Arc<TokioClock> {
    Arc::new(TokioClock::starting_at(Timestamp::from_micros(1_795_262_400_000_000)))
}

fn owner() -> Owner {
    Owner { cluster: ClusterId::random(), server: ServerId(1), environment: "test".parse().unwrap() }
}

/// A whole control plane.
mod control_plane {
    use super::*;

    struct Fixture {
        uplink: Arc<ControlUplink>,
        broker: MemoryBroker,
        blobs: MemoryBlobs,
        control: Control,
        config: ConfigId,
        deployments: AtomicI64,
        _processor: AbortOnDropHandle<()>,
    }

    impl Fixture {
        async fn start_on(&self, server: ServerId) -> SessionId {
            let mut request = DeployRequest::of(self.config);
            let number = self.deployments.fetch_add(1, Ordering::Relaxed);
            request.name = Some(format!("d{number}").parse().unwrap());
            request.server = Some(server);
            let sgc = self.control.deployment_create(&request, &write()).await.unwrap().id;
            self.control.session_start(sgc, &write()).await.unwrap().session.id
        }
    }

    fn write() -> Write {
        Write::by(Actor("alice".into()))
    }

    #[async_trait]
    impl UplinkFixture for Fixture {
        fn uplink(&self) -> Arc<dyn Uplink> {
            self.uplink.clone()
        }

        fn broker(&self) -> Arc<dyn Broker> {
            Arc::new(self.broker.clone())
        }

        fn blobs(&self) -> Arc<dyn Blobs> {
            Arc::new(self.blobs.clone())
        }

        fn hello(&self) -> Registration {
            hello("box")
        }

        async fn start(&self, me: HostIdentity) -> SessionId {
            self.start_on(me.server).await
        }

        async fn stop(&self, session: SessionId, mode: StopMode) {
            self.control.session_stop(session, mode, &write()).await.unwrap();
        }

        async fn foreign(&self, _me: HostIdentity) -> SessionId {
            let other = self.uplink.register(&hello("other")).await.unwrap();
            self.start_on(other.server).await
        }
    }

    async fn fresh() -> Fixture {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock()));
        let broker = MemoryBroker::new();
        let shared: Arc<dyn Broker> = Arc::new(broker.clone());
        let config = ControlConfig::default();
        let processor = Processor::new(store.clone(), shared.clone(), config.clone());
        let control = Control::new(store.clone(), shared.clone(), config.clone());
        let new = NewGame { name: "game".parse().unwrap(), steam_app_id: None, metadata: Labels::new() };
        let game = control.game_create(&new, &write()).await.unwrap().id;
        let new = NewConfig { game, name: "config".parse().unwrap(), body: body() };
        let blobs = MemoryBlobs::new();
        Fixture {
            uplink: Arc::new(ControlUplink::new(store, shared, config).with_blobs(Arc::new(blobs.clone()))),
            blobs,
            config: control.config_create(&new, &write()).await.unwrap().id,
            broker,
            control,
            deployments: AtomicI64::new(1),
            _processor: AbortOnDropHandle::new(tokio::spawn(processor.run(CancellationToken::new()))),
        }
    }

    /// A store that was restored from an old copy gives nothing out again that a host knows of.
    #[tokio::test(start_paused = true)]
    async fn a_store_from_an_old_copy_counts_on_from_what_hosts_know() {
        let fixture = fresh().await;
        let welcomed = fixture.uplink.register(&hello("box")).await.unwrap();
        let first = fixture.start_on(welcomed.server).await;
        // What its host was told after that copy was made.
        let held = HostIdentity { server: welcomed.server, epoch: Epoch(welcomed.epoch.0 + 6) };
        let later = SessionId(first.0 + 40);
        let error = fixture.uplink.snapshot(held, &[later.into()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let again = fixture.uplink.register(&hello("box")).await.unwrap();
        assert_eq!(again.epoch, Epoch(held.epoch.0 + 1));

        let me = HostIdentity { epoch: again.epoch, ..held };
        for _ in 0..2 {
            // It is left alone, then and later.
            assert_eq!(
                fixture.uplink.snapshot(me, &[first.into(), later.into()]).await.unwrap().unknown,
                [later]
            );
        }
        assert_eq!(fixture.start_on(me.server).await, SessionId(later.0 + 1));
        assert_eq!(fixture.uplink.snapshot(me, &[later.into()]).await.unwrap().unknown, [later]);
    }

    /// What puts take of the control plane does not grow with the number of hosts.
    #[tokio::test(start_paused = true)]
    async fn a_put_waits_for_its_turn_and_not_for_ever() {
        let fixture = fresh().await;
        let mut hosts = Vec::new();
        for name in ["one", "two", "three", "four", "five"] {
            let welcomed = fixture.uplink.register(&hello(name)).await.unwrap();
            hosts.push(HostIdentity { server: welcomed.server, epoch: welcomed.epoch });
        }
        let put = |me: HostIdentity, name: &str, bytes: BlobStream| {
            let (uplink, key) = (fixture.uplink.clone(), BlobKey::of_host(me.server).join(name).unwrap());
            tokio::spawn(async move { uplink.blob_put(me, &key, bytes).await })
        };
        // As slow as may be.
        let slow = || {
            let piece = async |()| {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Some((Ok(Bytes::from_static(&[0; 5 * 16_384])), ()))
            };
            stream::unfold((), piece).boxed()
        };
        let mut under_way = Vec::new();
        let busy = async |me: HostIdentity| {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let error = put(me, "one-more", whole("x")).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
        };
        // Two of one host are enough, and not in the way of another one.
        under_way.extend((0..2).map(|n| put(hosts[0], &format!("slow-{n}"), slow())));
        busy(hosts[0]).await;
        assert_eq!(put(hosts[1], "quick", whole("x")).await.unwrap().unwrap(), 1);
        for me in &hosts[1..4] {
            under_way.extend((0..2).map(|n| put(*me, &format!("slow-{n}"), slow())));
        }
        busy(hosts[4]).await;

        let waiting = put(hosts[4], "one-more", whole("x"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        under_way[0].abort();
        assert_eq!(waiting.await.unwrap().unwrap(), 1);
        under_way.iter().for_each(|put| put.abort());
    }

    manman_core::uplink_conformance!(paused fresh);

    #[tokio::test(start_paused = true)]
    async fn another_machine_is_refused_while_beats_are_fresh() {
        use manman_core::error::ErrorKind;

        let fixture = fresh().await;
        let mine = fixture.uplink.register(&hello("box")).await.unwrap();
        let mut theirs = hello("box");
        theirs.machine_id = "another machine".into();
        let error = fixture.uplink.register(&theirs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        theirs.take_over = true;
        let taken = fixture.uplink.register(&theirs).await.unwrap();
        assert_eq!(taken.server, mine.server);
        assert!(taken.epoch > mine.epoch);
    }
}

/// The program around a host.
mod embedded {
    use futures::StreamExt;
    use manman_core::{
        control::Happening,
        model::State,
        store::DeedError,
        testkit::uplink::cases,
        wire::{ExternalEvent, ExternalKind},
    };

    use super::*;

    struct Fixture {
        uplink: MemoryUplink,
        broker: MemoryBroker,
        blobs: MemoryBlobs,
        deployments: AtomicI64,
    }

    #[async_trait]
    impl UplinkFixture for Fixture {
        fn uplink(&self) -> Arc<dyn Uplink> {
            Arc::new(self.uplink.clone())
        }

        fn broker(&self) -> Arc<dyn Broker> {
            Arc::new(self.broker.clone())
        }

        fn blobs(&self) -> Arc<dyn Blobs> {
            Arc::new(self.blobs.clone())
        }

        fn hello(&self) -> Registration {
            hello("box")
        }

        async fn start(&self, _me: HostIdentity) -> SessionId {
            let sgc = SgcId(self.deployments.fetch_add(1, Ordering::Relaxed));
            self.uplink.run(sgc, body(), Vec::new()).await.unwrap()
        }

        async fn stop(&self, session: SessionId, mode: StopMode) {
            self.uplink.stop(session, mode).await.unwrap();
        }

        async fn foreign(&self, _me: HostIdentity) -> SessionId {
            SessionId(7)
        }
    }

    async fn fresh() -> Fixture {
        let broker = MemoryBroker::new();
        let (uplink, blobs) =
            (MemoryUplink::with_clock(owner(), Arc::new(broker.clone()), clock()), MemoryBlobs::new());
        let uplink = uplink.with_blobs(Arc::new(blobs.clone()));
        Fixture { uplink, broker, blobs, deployments: AtomicI64::new(1) }
    }

    manman_core::uplink_conformance!(paused fresh);

    #[tokio::test(start_paused = true)]
    async fn ends_are_told() {
        let fixture = fresh().await;
        let mut events = fixture.uplink.events();
        cases::what_has_ended_is_told_when_asked(&fixture).await;
        let mut kinds = Vec::new();
        while kinds.len() < 2 {
            let Some(Happening::Event(ExternalEvent::Session { event, .. })) = events.next().await else {
                panic!("no event of a session");
            };
            kinds.push(event);
        }
        assert_eq!(kinds, [ExternalKind::SessionStarted, ExternalKind::SessionCrashed]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_world_has_one_live_session() {
        let fixture = fresh().await;
        let session = fixture.uplink.run(SgcId(1), body(), Vec::new()).await.unwrap();
        let refused = fixture.uplink.run(SgcId(1), body(), Vec::new()).await;
        assert!(matches!(refused, Err(DeedError::SessionLive { session: held, .. }) if held == session));
        let mut needy = body();
        needy.ports = vec![manman_core::model::PortNeed {
            container_port: 1.try_into().unwrap(),
            protocol: manman_core::model::Protocol::Udp,
        }];
        let refused = fixture.uplink.run(SgcId(2), needy, Vec::new()).await;
        assert!(matches!(refused, Err(DeedError::PortsDiffer(_))), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ran_before_the_program_came_back_can_be_claimed() {
        let (owner, broker) = (owner(), MemoryBroker::new());
        let before = MemoryUplink::with_clock(owner.clone(), Arc::new(broker.clone()), clock());
        let old = before.run(SgcId(1), body(), Vec::new()).await.unwrap();
        drop(before);
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        // An hour on, by another life's clock.
        let later = TokioClock::starting_at(Timestamp::from_micros(1_795_266_000_000_000));
        let uplink = MemoryUplink::with_clock(owner, Arc::new(broker), Arc::new(later));
        let welcomed = uplink.register(&hello("box")).await.unwrap();
        let me = HostIdentity { server: welcomed.server, epoch: welcomed.epoch };
        assert_eq!(uplink.snapshot(me, &[old.into()]).await.unwrap().unknown, [old]);
        assert_eq!(uplink.unclaimed(), [old]);

        uplink.adopt(old, SgcId(1), body(), Vec::new()).await.unwrap();
        let wanted = uplink.snapshot(me, &[old.into()]).await.unwrap().wanted.remove(0);
        assert_eq!((wanted.session, wanted.state), (old, State::Pending));
        assert_eq!(uplink.unclaimed(), []);
        assert!(uplink.run(SgcId(2), body(), Vec::new()).await.unwrap() > old);
    }
}
