//! Who may connect to NATS, and what a host may do there: on the server that Debian
//! packages and on the newest.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[macro_use]
mod nats_support;

use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use manman_broker::nats::NatsPermissions;
use manman_core::{
    broker::{Broker, Class, Consumer, Queue, RoutingKey},
    error::{Chain, ErrorKind},
    id::ServerId,
};
use manman_services::{NatsServer, NatsVersion, certificates};
use nkeys::KeyPair;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use nats_support::{PATIENCE, command, connected, message, open, report};

/// What must never be in a message.
const CANARY: &str = "canary-word";

/// Does not get through, and the error says `why` and no secret.
async fn stays_out(url: &str, kind: ErrorKind, why: &str) {
    let broker = open(url).await;
    let told = async {
        loop {
            let error = broker.probe().await.unwrap_err();
            let text = format!("{} {error:?} {broker:?}", Chain(&error));
            assert!(!text.contains(CANARY), "{text}");
            if error.kind() == kind && error.message().contains(why) {
                return;
            }
            assert!(error.is_temporary(), "{text}");
        }
    };
    timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{url}: nobody says {why:?}"));
}

const REFUSED: &str = "refuses our credentials";

async fn a_password_counts(version: NatsVersion) {
    let server = NatsServer::with(version, |_| {
        format!("authorization {{ users = [ {{ user: manman, password: {CANARY} }} ] }}")
    });
    let at = format!("127.0.0.1:{}", server.port());
    connected(&format!("nats://manman:{CANARY}@{at}")).await;
    stays_out(&format!("nats://other:{CANARY}@{at}"), ErrorKind::Denied, REFUSED).await;
    stays_out(&format!("nats://{at}"), ErrorKind::Denied, REFUSED).await;
}

async fn a_token_counts(version: NatsVersion) {
    let server = NatsServer::with(version, |_| format!("authorization {{ token: {CANARY} }}"));
    let at = format!("127.0.0.1:{}", server.port());
    let file = server.dir().join("token");
    std::fs::write(&file, format!("{CANARY}\n")).unwrap();
    connected(&format!("nats://{CANARY}@{at}")).await;
    connected(&format!("nats://{at}?token={CANARY}")).await;
    connected(&format!("nats://{at}?token_file={}", file.display())).await;
    stays_out(&format!("nats://{at}?token={CANARY}-not"), ErrorKind::Denied, REFUSED).await;
}

async fn an_nkey_counts(version: NatsVersion) {
    let user = KeyPair::new_user();
    let public = user.public_key();
    let server =
        NatsServer::with(version, |_| format!("authorization {{ users = [ {{ nkey: {public} }} ] }}"));
    let at = format!("127.0.0.1:{}", server.port());
    let (good, bad) = (server.dir().join("good"), server.dir().join("bad"));
    std::fs::write(&good, user.seed().unwrap()).unwrap();
    std::fs::write(&bad, KeyPair::new_user().seed().unwrap()).unwrap();
    connected(&format!("nats://{at}?nkey={}", good.display())).await;
    stays_out(&format!("nats://{at}?nkey={}", bad.display()), ErrorKind::Denied, REFUSED).await;
}

async fn credentials_of_a_file_count(version: NatsVersion) {
    let (operator, account, system) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let plain = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let make = |dir: &Path| {
        let claims = json!({ "type": "operator", "version": 2, "system_account": system.public_key() });
        std::fs::write(dir.join("operator.jwt"), jwt(&operator, &operator, claims)).unwrap();
        let of = |account: &KeyPair, limits: &serde_json::Value| {
            jwt(&operator, account, json!({ "type": "account", "version": 2, "limits": limits }))
        };
        format!(
            "operator: {:?}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}\n{}: {} }}",
            dir.join("operator.jwt"),
            system.public_key(),
            account.public_key(),
            of(&account, &limits),
            system.public_key(),
            of(&system, &plain),
        )
    };
    let server = NatsServer::with(version, make);
    let at = format!("127.0.0.1:{}", server.port());
    let (good, bad) = (server.dir().join("good.creds"), server.dir().join("bad.creds"));
    std::fs::write(&good, credentials(&account)).unwrap();
    std::fs::write(&bad, credentials(&KeyPair::new_account())).unwrap();
    connected(&format!("nats://{at}?creds={}", good.display())).await;
    stays_out(&format!("nats://{at}?creds={}", bad.display()), ErrorKind::Denied, REFUSED).await;
}

/// A JWT as NATS has them.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: serde_json::Value) -> String {
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let claims = encode(json!({
        "jti": Uuid::new_v4().simple().to_string(), "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": nats,
    }));
    let signature = issuer.sign(format!("{head}.{claims}").as_bytes()).unwrap();
    format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A credentials file of a new user of an account.
fn credentials(account: &KeyPair) -> String {
    let user = KeyPair::new_user();
    let claims = json!({
        "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
    });
    format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        jwt(account, &user, claims),
        user.seed().unwrap()
    )
}

async fn certificates_count(version: NatsVersion) {
    let server = NatsServer::with(version, |dir| {
        certificates(&dir.join("tls"), "DNS:nats.example");
        certificates(&dir.join("other"), "DNS:nats.example");
        let at = dir.join("tls");
        let at = at.display();
        format!(
            "tls {{ cert_file: \"{at}/server.pem\", key_file: \"{at}/server.key\", ca_file: \"{at}/ca.pem\", verify: true }}"
        )
    });
    let (tls, other) = (server.dir().join("tls"), server.dir().join("other"));
    let (tls, other) = (tls.display(), other.display());
    let at = format!("127.0.0.1:{}", server.port());
    let ours = format!("cert={tls}/client.pem&key={tls}/client.key");
    let named = "server_name=nats.example";
    connected(&format!("tls://{at}?ca={tls}/ca.pem&{named}&{ours}")).await;
    let away = ErrorKind::Unavailable;
    stays_out(&format!("tls://{at}?ca={other}/ca.pem&{named}&{ours}"), away, "not accepted, check ca").await;
    stays_out(&format!("tls://{at}?ca={tls}/ca.pem&{ours}"), away, "is for another name").await;
    let theirs = format!("cert={other}/client.pem&key={other}/client.key");
    stays_out(
        &format!("tls://{at}?ca={tls}/ca.pem&{named}&{theirs}"),
        away,
        "does not accept our certificate",
    )
    .await;
    stays_out(&format!("tls://{at}?ca={tls}/ca.pem&{named}"), away, "does not accept our certificate").await;
}

/// What a file should hold is asked for at once, by name and without what is in it.
#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let junk = dir.path().join("junk");
    std::fs::write(&junk, CANARY).unwrap();
    let junk = junk.display();
    for parameter in [
        format!("ca={junk}"),
        "ca=/nowhere/ca.pem".to_owned(),
        format!("cert={junk}&key={junk}"),
        format!("nkey={junk}"),
        format!("creds={junk}"),
        "token_file=/nowhere/token".to_owned(),
    ] {
        let config = format!("tls://127.0.0.1:1?{parameter}").parse().unwrap();
        let error = manman_broker::nats::NatsBroker::open(&config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{parameter}: {error:?}");
        let file = parameter.rsplit('=').next().unwrap();
        assert!(error.message().contains(file), "{parameter}: {error}");
        assert!(!format!("{} {error:?}", Chain(&error)).contains(CANARY), "{error:?}");
    }
}

/// Hosts declare nothing durable, and one that holds its own credentials can do what it has
/// to and nothing in the name of another.
async fn a_host_can_only_be_itself(version: NatsVersion) {
    let server = NatsServer::with(version, |_| {
        let host = NatsPermissions::of_host("manman", "_INBOX_host-7", ServerId(7));
        let permissions = json!({ "publish": host.publish, "subscribe": host.subscribe });
        format!(
            "authorization {{ users = [ {{ user: plane, password: plane }},
             {{ user: host-7, password: host-7, permissions: {permissions} }} ] }}"
        )
    });
    let at = format!("127.0.0.1:{}", server.port());
    let plane = connected(&format!("nats://plane:plane@{at}")).await;
    let host = connected(&format!("nats://host-7:host-7@{at}?inbox=_INBOX_host-7")).await;
    let (ours, theirs) = (ServerId(7), ServerId(8));
    for queue in [Queue::of_host(ours), Queue::of_host(theirs), Queue::of_processor()] {
        plane.declare(&queue).await.unwrap();
    }
    host.probe().await.unwrap();

    // Its own commands, given back, buried and done; its questions.
    let mut commands = host.consume(&Queue::of_host(ours).name).await.unwrap();
    for number in 0..3 {
        plane.publish(command(ours, number)).await.unwrap();
    }
    next(&mut *commands).await.handle.dead("not understood").await.unwrap();
    next(&mut *commands).await.handle.nack(Duration::ZERO).await.unwrap();
    for _ in 0..2 {
        next(&mut *commands).await.handle.ack().await.unwrap();
    }
    host.declare(&Queue::of_asks(ours)).await.unwrap();
    let mut asks = host.consume(&Queue::of_asks(ours).name).await.unwrap();
    plane.publish(message(Class::Telemetry, RoutingKey::ask(ours), 1)).await.unwrap();
    next(&mut *asks).await.handle.ack().await.unwrap();

    // Its own reports and beats.
    let mut reports = plane.consume(&Queue::of_processor().name).await.unwrap();
    host.publish(message(Class::Report, RoutingKey::host_status(ours), 1)).await.unwrap();
    next(&mut *reports).await.handle.ack().await.unwrap();
    host.publish(report(ours, 2)).await.unwrap();
    next(&mut *reports).await.handle.ack().await.unwrap();
    host.publish(message(Class::Telemetry, RoutingKey::health(ours), 3)).await.unwrap();
    assert_eq!(next(&mut *reports).await.message.key, RoutingKey::health(ours));

    // Nothing of another.
    let begun = tokio::time::Instant::now();
    for refused in [
        message(Class::Report, RoutingKey::host_status(theirs), 1),
        report(theirs, 1),
        command(theirs, 1),
        command(ours, 1),
    ] {
        let key = refused.key.clone();
        let error = host.publish(refused).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{key}: {error:?}");
    }
    let error = host.consume(&Queue::of_host(theirs).name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    let error = host.consume(&Queue::of_processor().name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    for error in [
        host.declare(&Queue::of_host(ServerId(9))).await.unwrap_err(),
        host.delete(&Queue::of_host(theirs).name).await.unwrap_err(),
        host.dead_letters(1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    }
    host.declare(&Queue::of_asks(theirs)).await.unwrap();
    let mut asks = host.consume(&Queue::of_asks(theirs).name).await.unwrap();
    let error = timeout(PATIENCE, asks.next()).await.expect("it hangs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "refusals took {:?}", begun.elapsed());
    host.publish(message(Class::Telemetry, RoutingKey::health(theirs), 4)).await.unwrap();
    host.publish(message(Class::Telemetry, RoutingKey::health(ours), 5)).await.unwrap();
    assert_eq!(next(&mut *reports).await.message.key, RoutingKey::health(ours));
}

async fn next(consumer: &mut dyn Consumer) -> manman_core::broker::Delivery {
    timeout(PATIENCE, consumer.next()).await.expect("nothing came").unwrap()
}

on_each_server! {
    a_password_counts,
    a_token_counts,
    an_nkey_counts,
    credentials_of_a_file_count,
    certificates_count,
    a_host_can_only_be_itself,
}
