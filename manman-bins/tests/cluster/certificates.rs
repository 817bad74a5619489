//! Certificates that are wrong: whoever meets one says what is wrong with it and what to do,
//! and whoever may wait until it is right does.

use std::{path::Path, process::Command};

use manman_services::{
    Guarded, NatsServer, NatsVersion, Postgres, PostgresSetup, Wrong, certificates, free_port,
    wrong_certificates,
};

use crate::support::{Cluster, Kind, PATIENCE, Process, Ran, until};

const NAMES: &str = "DNS:localhost,IP:127.0.0.1";

/// What is said of it, whoever says it.
fn said(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Expired => "expired",
        Wrong::NotYetValid => "not valid yet",
        Wrong::OtherName => "another name",
        Wrong::SelfSigned => "not trusted here",
    }
}

/// Waits until a process says so, in `/ready` and in its log, and nothing that is secret.
#[track_caller]
fn says(process: &Process, said: &str, secret: &str) {
    let mut last = String::new();
    until(&format!("{} says {said:?}", process.name), PATIENCE, || {
        last = process.run(&["health"]).err;
        last.contains(said).then_some(())
    });
    until(&format!("the log of {} says {said:?}", process.name), PATIENCE, || {
        process.log().contains(said).then_some(())
    });
    for text in [last, process.log()] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// Of the API, for `manman` and for a host, which waits and joins as soon as it is right.
#[test]
fn of_the_api() {
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.encrypt();
    cluster.processor();
    let file = |name: &str| cluster.path().join(name);
    let both = [(file("server.pem"), file("right.pem")), (file("server.key"), file("right.key"))];
    for (right, kept) in &both {
        std::fs::copy(right, kept).unwrap();
    }
    for (round, wrong) in Wrong::ALL.into_iter().enumerate() {
        wrong_certificates(cluster.path(), NAMES, wrong);
        match round {
            0 => cluster.api(),
            _ => {
                cluster.apis[0].kill();
                cluster.apis[0].start();
            }
        }
        until("the API is up", PATIENCE, || cluster.apis[0].is_ready().then_some(()));
        let ran = cluster.run_at(0, &["server", "list"]);
        assert_eq!(ran.code, 69, "{wrong:?}: {ran}");
        assert!(ran.err.contains(said(wrong)) && ran.err.contains("what to do:"), "{wrong:?}: {ran}");
        assert_eq!(ran.err.lines().count(), 2, "{wrong:?}: {ran}");
        assert!(!ran.err.contains(&cluster.admin), "{ran}");
        if round == 0 {
            cluster.host("box");
        }
        says(&cluster.hosts[0], said(wrong), "mm_");
    }
    for (right, kept) in &both {
        std::fs::copy(kept, right).unwrap();
    }
    cluster.apis[0].kill();
    cluster.apis[0].start();
    cluster.ready();
}

/// A control plane's API over this broker.
fn over(directory: &Path, broker: String) -> Process {
    let postgres = Postgres::shared();
    let database = postgres.url(&postgres.database());
    let migrate = Command::new(env!("CARGO_BIN_EXE_control-migration"))
        .arg("up")
        .env_clear()
        .env("DATABASE_URL", &database)
        .status();
    assert!(migrate.unwrap().success());
    let mut api = Process::new(directory, "control-api", env!("CARGO_BIN_EXE_control-api"));
    api.set("LISTEN", "127.0.0.1:0");
    api.set("DATABASE_URL", database);
    api.set("BROKER_URL", broker);
    api
}

/// Of NATS: whoever needs it tries for ever, and takes it when it is right.
#[test]
fn of_nats() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    certificates(path, NAMES);
    let server = NatsServer::with(NatsVersion::Packaged, |_| {
        let file = |name: &str| path.join(name).display().to_string();
        format!("tls {{ cert_file: {:?}, key_file: {:?} }}", file("server.pem"), file("server.key"))
    });
    let ca = path.join("ca.pem");
    let mut api = over(path, format!("tls://me:hunter2@localhost:{}?ca={}", server.port(), ca.display()));
    for (round, wrong) in Wrong::ALL.into_iter().enumerate() {
        server.kill();
        wrong_certificates(path, NAMES, wrong);
        server.begin();
        if round == 0 {
            api.start();
        }
        says(&api, said(wrong), "hunter2");
    }
}

/// Of RabbitMQ, which says nothing before the certificate is accepted: any server does.
#[test]
fn of_rabbitmq() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    certificates(path, NAMES);
    let (port, ca) = (free_port(), path.join("ca.pem"));
    let mut api = over(path, format!("amqps://me:hunter2@localhost:{port}/x?ca={}", ca.display()));
    for (round, wrong) in Wrong::ALL.into_iter().enumerate() {
        wrong_certificates(path, NAMES, wrong);
        let mut server = Command::new("openssl");
        server.args(["s_server", "-quiet", "-cert", "server.pem", "-key", "server.key"]);
        server.args(["-accept", &format!("127.0.0.1:{port}")]).current_dir(path);
        let _server = Guarded::start(server, &path.join("server.log"));
        if round == 0 {
            api.start();
        }
        says(&api, said(wrong), "hunter2");
    }
}

/// Of PostgreSQL: a control plane does not begin without it. What only the server can put
/// right is tried again by whatever supervises the process; the rest is for the URL.
#[test]
fn of_postgresql() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut postgres = Postgres::start_as(PostgresSetup { tls: true, ..Default::default() });
    let port = postgres.port();
    certificates(path, NAMES);
    for wrong in Wrong::ALL {
        wrong_certificates(path, NAMES, wrong);
        postgres.certify(path);
        let ca = path.join("ca.pem");
        let database = format!(
            "postgres://manman:hunter2@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={}",
            ca.display()
        );
        let ran = Ran::of(
            Command::new(env!("CARGO_BIN_EXE_control-api"))
                .env_clear()
                .env("BROKER_URL", "nats://127.0.0.1:1")
                .env("HEALTH_LISTEN", format!("127.0.0.1:{}", free_port()))
                .env("DATABASE_URL", database),
        );
        let code = if matches!(wrong, Wrong::Expired | Wrong::NotYetValid) { 69 } else { 78 };
        assert_eq!(ran.code, code, "{wrong:?}: {ran}");
        assert!(ran.err.contains(said(wrong)), "{wrong:?}: {ran}");
        assert!(!ran.err.contains("hunter2"), "{ran}");
    }
}
