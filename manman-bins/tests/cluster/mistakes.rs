//! What is configured wrongly ends each program at once: one clear sentence, the right exit
//! code, and no secret in it.

use std::process::Command;

use manman_services::{Postgres, Weed, free_port};

use crate::support::{Ran, bucket_url};

const PROGRAMS: [(&str, &str); 3] = [
    ("control-api", env!("CARGO_BIN_EXE_control-api")),
    ("event-processor", env!("CARGO_BIN_EXE_event-processor")),
    ("host-manager", env!("CARGO_BIN_EXE_host-manager")),
];

fn run(program: &str, variables: &[(&str, &str)]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let health = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(program);
    command.env_clear().env("HEALTH_LISTEN", health).env("DATA_DIR", directory.path());
    Ran::of(command.envs(variables.iter().copied()))
}

/// Refused with this exit code, in words that name `place` and hold no secret.
#[track_caller]
fn refused(program: &str, variables: &[(&str, &str)], code: i32, place: &str) {
    let ran = run(program, variables);
    assert_eq!(ran.code, code, "{program} {variables:?}: {ran}");
    assert!(ran.err.contains(place), "{program}: {place:?} is not named: {ran}");
    assert!(!ran.err.contains("hunter2"), "{ran}");
    // The rest are log lines.
    let said = ran.err.lines().filter(|line| !line.contains("WARN") && !line.contains("INFO"));
    assert!(said.count() <= 3, "{ran}");
}

#[test]
fn what_is_not_said_or_wrong_is_named() {
    for (name, program) in PROGRAMS {
        let ran = run(program, &[]);
        assert_eq!(ran.code, 78, "{ran}");
        assert!(ran.err.starts_with(&format!("{name}: ")) && ran.err.contains("BROKER_URL"), "{ran}");
        refused(program, &[("BROKER_URL", "redis://me:hunter2@b")], 78, "BROKER_URL");
        refused(program, &[("BROKER_URL", "memory:")], 78, "no other process");
        refused(program, &[("BROKER_URL", "amqp://me:hunter2@b:0/x")], 78, "");
        refused(program, &[("BROKER_URL_FILE", "/not/there")], 78, "/not/there");
        assert_eq!(run(program, &[("BROKER_URL", "nats://b"), ("HEALTH_LISTEN", "here")]).code, 78);
    }
    let both = [("BROKER_URL", "nats://127.0.0.1:1"), ("DATABASE_URL", "mysql://me:hunter2@db/x")];
    refused(PROGRAMS[0].1, &both, 78, "DATABASE_URL");
    refused(PROGRAMS[1].1, &both, 78, "DATABASE_URL");
    let open = [both[0], ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/x"), ("LISTEN", "0.0.0.0:0")];
    refused(PROGRAMS[0].1, &open, 78, "without encryption");
    let token =
        [both[0], ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/x"), ("ADMIN_TOKEN", "hunter2")];
    refused(PROGRAMS[0].1, &token, 78, "ADMIN_TOKEN");
    refused(PROGRAMS[2].1, &[both[0], ("API_ADDRESS", "a b")], 78, "API_ADDRESS");
    refused(PROGRAMS[2].1, &[both[0], ("API_ADDRESS", "api.example.org")], 78, "without encryption");
    refused(PROGRAMS[2].1, &[both[0], ("API_CA", "/not/there.pem")], 78, "/not/there.pem");
}

#[test]
fn a_database_that_cannot_be_used_is_said() {
    let postgres = Postgres::shared();
    let database = postgres.database();
    let (right, port) = (postgres.url(&database), postgres.port());
    let nowhere = free_port();
    let absent = postgres.url("not-there");
    let unknown = format!("{right}?options[timezone]=Nowhere");
    let wrong = format!("postgres://postgres:hunter2@127.0.0.1:{port}/{database}");
    let nobody = format!("postgres://me:hunter2@127.0.0.1:{nowhere}/x");
    for (_, program) in &PROGRAMS[..2] {
        let with =
            |url: &str| [("BROKER_URL", "nats://127.0.0.1:1".to_owned()), ("DATABASE_URL", url.to_owned())];
        for (url, code, place) in [
            (&wrong, 78, "password"),
            (&absent, 78, "not-there"),
            (&nobody, 69, "127.0.0.1"),
            (&unknown, 78, "refuses a setting"),
            // Nothing was migrated.
            (&right, 78, "control-migration"),
        ] {
            let variables = with(url);
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            refused(program, &variables, code, place);
        }
    }
}

#[test]
fn a_place_that_cannot_keep_blobs_is_said() {
    let (postgres, weed) = (Postgres::shared(), Weed::shared());
    let database = postgres.url(&postgres.database());
    let migration = env!("CARGO_BIN_EXE_control-migration");
    let migrated = Ran::of(Command::new(migration).arg("up").env_clear().env("DATABASE_URL", &database));
    assert_eq!(migrated.code, 0, "{migrated}");
    let (endpoint, bucket, key) = (weed.endpoint(), weed.bucket(), Weed::ACCESS_KEY);
    let wrong_secret = format!("s3://{key}:hunter2@{bucket}?endpoint={endpoint}");
    let nobody = format!("s3://nobody:hunter2@{bucket}?endpoint={endpoint}");
    let bare = format!("s3://{bucket}?endpoint={endpoint}");
    let absent = bucket_url(&endpoint, "not-there");
    for (url, code, place) in [
        ("ftp://me:hunter2@host/x", 78, "BLOB_URL"),
        ("s3://me:hunter2/x?region=here", 78, "BLOB_URL"),
        ("fs:relative", 78, "BLOB_URL"),
        (&bare, 78, "AWS_ACCESS_KEY_ID"),
        (&absent, 78, "not-there"),
        (&wrong_secret, 78, "secret"),
        (&nobody, 78, "nobody"),
        ("fs:///dev/null/blobs", 78, "/dev/null/blobs"),
        ("fs:///sys/blobs", 77, "/sys/blobs"),
    ] {
        let variables =
            [("BROKER_URL", "nats://127.0.0.1:1"), ("DATABASE_URL", &database), ("BLOB_URL", url)];
        refused(PROGRAMS[0].1, &variables, code, place);
    }
    let variables = [
        ("BROKER_URL", "nats://127.0.0.1:1"),
        ("DATABASE_URL", &database),
        ("BLOB_URL", &bare),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    refused(PROGRAMS[0].1, &variables, 78, "secret");
}

/// A schema of a newer build, too: nothing is begun with it.
#[test]
fn a_schema_that_is_not_known_is_refused() {
    let postgres = Postgres::shared();
    let url = postgres.url(&postgres.database());
    let migrate = |args: &[&str]| {
        let ran = Ran::of(
            Command::new(env!("CARGO_BIN_EXE_control-migration"))
                .args(args)
                .env_clear()
                .env("DATABASE_URL", &url),
        );
        assert_eq!(ran.code, 0, "{args:?}: {ran}");
        ran.out
    };
    assert!(migrate(&["up", "--dry-run"]).contains("CREATE TABLE sessions"));
    assert_eq!(migrate(&["version"]).trim(), "0");
    migrate(&["run-migration"]);
    let latest: i64 = migrate(&["version"]).trim().parse().unwrap();
    assert_eq!(migrate(&["status"]).matches("applied").count() as i64, latest);
    migrate(&["run-downgrade", "1"]);
    let variables = [("BROKER_URL", "nats://127.0.0.1:1"), ("DATABASE_URL", url.as_str())];
    refused(PROGRAMS[0].1, &variables, 78, "control-migration");
    migrate(&["up"]);
    let newer = format!(
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ({}, 'of_tomorrow', '', 0)",
        latest + 1
    );
    let put = Ran::of(Command::new("psql").args(["-X", "-q", &url, "-c", &newer]));
    assert_eq!(put.code, 0, "{put}");
    for (_, program) in &PROGRAMS[..2] {
        refused(program, &variables, 78, "newer");
    }
}
