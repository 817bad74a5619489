//! What hosts ask over the network: the uplink's contract, and that each host sees and
//! changes only what is its own.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use manman_bins::{
    api::{Token, auth::digest, dial::Address, errors::Reported, v1},
    uplink::GrpcUplink,
};
use manman_core::{
    blob::{BlobKey, Blobs, whole},
    broker::Broker,
    control::DeployRequest,
    error::ErrorKind,
    id::{AttemptId, ConfigId, ServerId, SessionId},
    model::{ConfigBody, Role, StopMode, config::NewConfig, game::NewGame},
    store::{Actor, Registration, Write},
    testkit::uplink::UplinkFixture,
    uplink::{HostIdentity, Uplink},
};
use support::{Bearer, Plain};
use tonic::{Code, Request};

fn write() -> Write {
    Write::by(Actor("alice".into()))
}

fn hello(name: &str) -> Registration {
    Registration {
        name: name.parse().unwrap(),
        environment: "test".parse().unwrap(),
        machine_id: format!("machine of {name}"),
        engine_id: "engine".into(),
        capacity: Default::default(),
        public_address: Some("203.0.113.7".into()),
        take_over: false,
    }
}

fn host(name: &str) -> Role {
    Role::Host { server: name.parse().unwrap() }
}

fn uplink(plain: &Plain, token: &Token) -> GrpcUplink {
    let address: Address = plain.address.parse().unwrap();
    GrpcUplink::new(address, None, token.reveal()).unwrap()
}

struct Fixture {
    plain: Plain,
    uplink: Arc<GrpcUplink>,
    other: GrpcUplink,
    config: ConfigId,
    deployments: AtomicI64,
}

impl Fixture {
    async fn start_on(&self, server: ServerId) -> SessionId {
        let mut request = DeployRequest::of(self.config);
        let number = self.deployments.fetch_add(1, Ordering::Relaxed);
        request.name = Some(format!("d{number}").parse().unwrap());
        request.server = Some(server);
        let control = self.plain.plane.control();
        let sgc = control.deployment_create(&request, &write()).await.unwrap().id;
        control.session_start(sgc, &write()).await.unwrap().session.id
    }
}

#[async_trait]
impl UplinkFixture for Fixture {
    fn uplink(&self) -> Arc<dyn Uplink> {
        self.uplink.clone()
    }

    fn broker(&self) -> Arc<dyn Broker> {
        self.plain.broker.clone()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.plain.blobs.clone())
    }

    fn hello(&self) -> Registration {
        hello("box")
    }

    async fn start(&self, me: HostIdentity) -> SessionId {
        self.start_on(me.server).await
    }

    async fn stop(&self, session: SessionId, mode: StopMode) {
        self.plain.plane.control().session_stop(session, mode, &write()).await.unwrap();
    }

    async fn foreign(&self, _me: HostIdentity) -> SessionId {
        let other = self.other.register(&hello("other")).await.unwrap();
        self.start_on(other.server).await
    }
}

async fn fresh() -> Fixture {
    let plain = Plain::start().await;
    let control = plain.plane.control();
    let new = NewGame { name: "game".parse().unwrap(), steam_app_id: None, metadata: Default::default() };
    let game = control.game_create(&new, &write()).await.unwrap().id;
    let mut body = ConfigBody::new("game:1".parse().unwrap());
    body.env_template = [("MOTD".to_owned(), "hello".to_owned())].into();
    body.labels = [("team".to_owned(), "red".to_owned())].into();
    let new = NewConfig { game, name: "config".parse().unwrap(), body };
    let config = control.config_create(&new, &write()).await.unwrap().id;
    let (mine, theirs) = (plain.recorded(host("box")).await, plain.recorded(host("other")).await);
    let (uplink, other) = (Arc::new(uplink(&plain, &mine)), uplink(&plain, &theirs));
    Fixture { plain, uplink, other, config, deployments: AtomicI64::new(1) }
}

manman_core::uplink_conformance!(fresh);

/// What is asked over the network is what is asked within the process.
#[tokio::test]
async fn nothing_is_lost_on_the_way() {
    let fixture = fresh().await;
    let welcomed = fixture.uplink.register(&fixture.hello()).await.unwrap();
    let me = HostIdentity { server: welcomed.server, epoch: welcomed.epoch };
    let session = fixture.start_on(me.server).await;
    let direct = fixture.plain.plane.uplink();
    assert_eq!(fixture.uplink.spec(me, session).await.unwrap(), direct.spec(me, session).await.unwrap());
    let (far, near) =
        (fixture.uplink.snapshot(me, &[]).await.unwrap(), direct.snapshot(me, &[]).await.unwrap());
    assert_eq!(far.wanted, near.wanted);
    let server = fixture.plain.plane.control().server_get(me.server).await.unwrap();
    assert_eq!(server.public_address.as_deref(), Some("203.0.113.7"));
}

/// Every call with another host's identity, and with another one's sessions: neither exists.
#[tokio::test]
async fn a_host_sees_only_what_is_its_own() {
    let fixture = fresh().await;
    let of = |welcomed: manman_core::uplink::Welcomed| HostIdentity {
        server: welcomed.server,
        epoch: welcomed.epoch,
    };
    let mine = of(fixture.uplink.register(&hello("box")).await.unwrap());
    let theirs = of(fixture.other.register(&hello("other")).await.unwrap());
    let (my_session, their_session) =
        (fixture.start_on(mine.server).await, fixture.start_on(theirs.server).await);

    let error = fixture.uplink.register(&hello("other")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let run = AttemptId::new(their_session, 1);
    for error in [
        fixture.uplink.snapshot(theirs, &[]).await.unwrap_err(),
        fixture.uplink.spec(theirs, their_session).await.unwrap_err(),
        fixture.uplink.receipts(theirs, &[run]).await.unwrap_err(),
        fixture.uplink.spec(mine, their_session).await.unwrap_err(),
        fixture
            .uplink
            .blob_put(theirs, &BlobKey::of_host(theirs.server).join("k").unwrap(), whole("x"))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    let their_key = BlobKey::of_host(theirs.server).join("k").unwrap();
    let error = fixture.uplink.blob_put(mine, &their_key, whole("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(fixture.plain.blobs.list(None, None, 10).await.unwrap().blobs, []);
    let snapshot = fixture.uplink.snapshot(mine, &[their_session.into()]).await.unwrap();
    assert_eq!(snapshot.wanted.iter().map(|it| it.session).collect::<Vec<_>>(), [my_session]);
    assert_eq!(snapshot.unknown, [their_session]);
    assert_eq!(fixture.uplink.receipts(mine, &[run]).await.unwrap(), []);
}

/// Too many bytes, too few, no end, no beginning: nothing is stored of any.
#[tokio::test]
async fn a_put_that_does_not_hold_together_stores_nothing() {
    use v1::put_blob_request::{Begin, End, Part};
    let fixture = fresh().await;
    let welcomed = fixture.uplink.register(&fixture.hello()).await.unwrap();
    let me = HostIdentity { server: welcomed.server, epoch: welcomed.epoch };
    let own = BlobKey::of_host(me.server).join("k").unwrap();
    let token = fixture.plain.recorded(host("box")).await;
    let bearer = Bearer(Some(format!("Bearer {}", token.reveal())));
    let channel = fixture.plain.tcp().await;
    let mut api = v1::host_api_client::HostApiClient::with_interceptor(channel, bearer);

    let begin = |key: &str| Part::Begin(Begin { host: Some(me.into()), key: key.to_owned() });
    let (piece, end) = (|| Part::Piece(vec![7; 3]), |size_bytes| Part::End(End { size_bytes }));
    let beneath = format!("{own}/../../{}/k", me.server.0 + 1);
    for (name, parts, code) in [
        ("nothing", vec![], Code::InvalidArgument),
        ("no beginning", vec![piece(), end(3)], Code::InvalidArgument),
        ("two beginnings", vec![begin(own.as_str()), begin(own.as_str())], Code::InvalidArgument),
        ("no end", vec![begin(own.as_str()), piece()], Code::InvalidArgument),
        ("too few", vec![begin(own.as_str()), piece(), end(4)], Code::InvalidArgument),
        ("too many", vec![begin(own.as_str()), piece(), piece(), end(3)], Code::InvalidArgument),
        ("no key", vec![begin(&beneath), piece(), end(3)], Code::InvalidArgument),
        ("another's key", vec![begin("hosts/999/k"), piece(), end(3)], Code::PermissionDenied),
    ] {
        let messages = parts.into_iter().map(|part| v1::PutBlobRequest { part: Some(part) });
        let refused = api.put_blob(futures::stream::iter(messages.collect::<Vec<_>>())).await.unwrap_err();
        assert_eq!(refused.code(), code, "{name}: {refused}");
        assert_eq!(fixture.plain.blobs.list(None, None, 10).await.unwrap().blobs, [], "{name}");
    }
    let mibs = (0..=support::BLOB_LIMIT_MIB).map(|_| Ok(bytes::Bytes::from(vec![7; 1 << 20])));
    let larger = Box::pin(futures::stream::iter(mibs.collect::<Vec<_>>()));
    let error = fixture.uplink.blob_put(me, &own, larger).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert_eq!(fixture.plain.blobs.list(None, None, 10).await.unwrap().blobs, []);

    let parts = [begin(own.as_str()), piece(), end(3)];
    let messages = parts.map(|part| v1::PutBlobRequest { part: Some(part) });
    assert_eq!(api.put_blob(futures::stream::iter(messages)).await.unwrap().into_inner().size_bytes, 3);
}

/// A join token makes one host, which then has a token of its own.
#[tokio::test]
async fn a_host_joins_once() {
    let plain = Plain::start().await;
    let join = plain.recorded(Role::Join { server: None }).await;
    let own = Token::random().unwrap();
    let (name, digest) = ("box".parse().unwrap(), digest(own.reveal().as_bytes()));
    let by_join = uplink(&plain, &join);
    by_join.join(&name, &digest).await.unwrap();
    by_join.join(&name, &digest).await.unwrap();
    uplink(&plain, &own).register(&hello("box")).await.unwrap();

    // It is good for nothing else, and for nobody else.
    let error = by_join.register(&hello("box")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = by_join.join(&name, &[7; 32]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("manman token create"), "{error}");
    let error = uplink(&plain, &Token::random().unwrap()).register(&hello("box")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

/// A role lets in to what it is for; the refusal says so.
#[tokio::test]
async fn a_role_is_good_for_its_calls() {
    let plain = Plain::start().await;
    let create = |token: &Token| {
        let bearer = Bearer(Some(format!("Bearer {}", token.reveal())));
        let channel = plain.tcp();
        async move {
            let mut api = v1::man_man_api_client::ManManApiClient::with_interceptor(channel.await, bearer);
            let name = "openttd".to_owned();
            let created = api
                .create_game(Request::new(v1::CreateGameRequest { name, ..Default::default() }))
                .await
                .map(drop);
            (created, api.list_games(Request::new(v1::ListGamesRequest::default())).await.map(drop))
        }
    };
    let (created, listed) = create(&plain.recorded(Role::Viewer).await).await;
    let refused = created.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(Reported::from(&refused).code, "permission_denied");
    listed.unwrap();
    let (created, listed) = create(&plain.recorded(host("box")).await).await;
    for refused in [created.unwrap_err(), listed.unwrap_err()] {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    let (created, listed) = create(&plain.recorded(Role::Operator).await).await;
    created.unwrap();
    listed.unwrap();
}

/// Nobody at the other end, then somebody: the same uplink goes on.
#[tokio::test]
async fn a_control_plane_that_is_away_is_said_to_be() {
    // Nobody else's, and nobody listens.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address: Address = held.local_addr().unwrap().to_string().parse().unwrap();
    let uplink = GrpcUplink::new(address.clone(), None, "mm_x").unwrap();
    let error = uplink.register(&hello("box")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_temporary() && error.to_string().contains(&address.to_string()), "{error}");
}
