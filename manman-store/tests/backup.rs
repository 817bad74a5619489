//! The store as one file, and back, on both dialects and across them.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use std::{path::Path, sync::Arc};

use common::ground::{STOP, VALID, deployment, keyed, write};
use futures::future::BoxFuture;
use manman_core::{
    clock::SystemClock,
    error::ErrorKind,
    id::SessionId,
    store::{DeedError, Page, Source, Store},
    wire::SessionReport,
};
use manman_store::{
    PostgresConfig, PostgresStore, SqliteConfig, SqliteStore,
    backup::{Existing, backup, restore, verify},
    migrate::{Database, Goal},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

fn sqlite(dir: &TempDir, name: &str) -> String {
    format!("sqlite://{}", dir.path().join(name).display())
}

/// A store, and what closes it: its connections are gone by then.
async fn open(url: &str) -> (Arc<dyn Store>, BoxFuture<'static, ()>) {
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let config = SqliteConfig::at(path).migrated();
            let store = Arc::new(SqliteStore::open(&config, Arc::new(SystemClock)).await.unwrap());
            (store.clone(), Box::pin(async move { store.close().await }))
        }
        None => {
            let config = PostgresConfig::at(url).migrated();
            let store = Arc::new(PostgresStore::open(&config).await.unwrap());
            (store.clone(), Box::pin(async move { store.close().await }))
        }
    }
}

/// Something in nearly every table.
async fn fill(store: &dyn Store) {
    let (host, sgc) = deployment(store, "town").await;
    let first = store.session_start(sgc, VALID, &keyed("StartSession", "a")).await.unwrap().session.id;
    store.session_want(first, STOP, &write()).await.unwrap();
    let second = store.session_start(sgc, VALID, &keyed("StartSession", "b")).await.unwrap().session.id;
    let running = |session| SessionReport::Running {
        session,
        attempt: 1,
        started_at: manman_core::clock::Timestamp::from_micros(7),
        image_digest: "sha256:0, Zürich, 列車 'n \"more\"".into(),
        spec_hash: "5bec".into(),
        manager_version: "0.1.0".into(),
    };
    let source =
        |sequence| Source { message: Uuid::now_v7(), server: host.server, epoch: host.epoch, sequence };
    store.session_report(source(1), &running(second)).await.unwrap();
    store.session_report(source(2), &running(SessionId(99))).await.unwrap();
    let due = store.outbox_due(1).await.unwrap();
    store.outbox_sent(&[due[0].message.id]).await.unwrap();
    let line = "save".parse().unwrap();
    store.command_input(second, &line, VALID, &write()).await.unwrap();
}

/// A backup without its first line and its last, which tell when it was taken.
fn rows(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

#[tokio::test]
async fn what_is_saved_comes_back_the_same_on_each_dialect_and_across() {
    let dir = tempfile::tempdir().unwrap();
    for (number, (from, to)) in [
        (sqlite(&dir, "a.db"), sqlite(&dir, "b.db")),
        (common::empty().await, common::empty().await),
        (sqlite(&dir, "c.db"), common::empty().await),
        (common::empty().await, sqlite(&dir, "d.db")),
    ]
    .into_iter()
    .enumerate()
    {
        let (store, _) = open(&from).await;
        fill(&*store).await;
        let (first, second) =
            (dir.path().join(format!("{number}-1")), dir.path().join(format!("{number}-2")));
        let saved = backup(&from, &first).await.unwrap();
        assert_eq!(saved.cluster, store.cluster().await.unwrap().to_string());
        assert_eq!((saved.rows["sessions"], saved.rows["commands"]), (2, 1));
        assert_eq!(verify(&first).unwrap(), saved);
        // Not over what is there.
        assert_eq!(backup(&from, &first).await.unwrap_err().kind(), ErrorKind::Conflict);

        assert_eq!(restore(&to, &first, Existing::Keep).await.unwrap(), saved);
        backup(&to, &second).await.unwrap();
        assert_eq!(rows(&first), rows(&second), "{from} to {to}");
        let (again, _) = open(&to).await;
        assert_eq!(again.cluster().await.unwrap(), store.cluster().await.unwrap());
        assert_eq!(again.cluster_secret().await.unwrap(), store.cluster_secret().await.unwrap());
        // What was done once stays done, what lives goes on, ids go on.
        let deployment = again.deployment_by_name("town").await.unwrap().unwrap();
        let known = again.session_start(deployment.id, VALID, &keyed("StartSession", "b")).await.unwrap();
        assert!(known.repeated);
        let refused = again.session_start(deployment.id, VALID, &write()).await.unwrap_err();
        assert!(matches!(refused, DeedError::SessionLive { .. }));
        assert_eq!(again.session_high_water().await.unwrap(), store.session_high_water().await.unwrap());
        assert_eq!(
            again.audit_list(Page::first(100)).await.unwrap(),
            store.audit_list(Page::first(100)).await.unwrap()
        );
        let (_, other) = deployment_after(&*again).await;
        assert_eq!(other, SessionId(3));
    }
}

async fn deployment_after(store: &dyn Store) -> ((), SessionId) {
    let (_, sgc) = deployment(store, "other").await;
    ((), store.session_start(sgc, VALID, &write()).await.unwrap().session.id)
}

#[tokio::test]
async fn what_is_not_empty_is_kept_unless_it_is_to_go() {
    let dir = tempfile::tempdir().unwrap();
    for (number, url) in [sqlite(&dir, "a.db"), common::empty().await].into_iter().enumerate() {
        let (store, close) = open(&url).await;
        fill(&*store).await;
        let path = dir.path().join(format!("{number}"));
        let saved = backup(&url, &path).await.unwrap();
        let (_, later) = deployment_after(&*store).await;
        let error = restore(&url, &path, Existing::Keep).await.unwrap_err();
        let kind = [ErrorKind::Conflict, ErrorKind::Busy][number];
        assert_eq!(error.kind(), kind, "that it is not empty, or is used: {error:?}");
        assert!(store.session_get(later).await.unwrap().is_some());

        // Damaged, nothing is touched, whatever may go.
        let whole = std::fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
            let bad = dir.path().join(format!("{number}-bad"));
            std::fs::write(&bad, damaged).unwrap();
            let error = restore(&url, &bad, Existing::Replace).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(store.session_get(later).await.unwrap().is_some());
        }
        // Who uses it would go on by what it knows; on SQLite the data directory is locked.
        if number == 1 {
            let error = restore(&url, &path, Existing::Replace).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
            assert!(error.message().starts_with("something uses this store"), "{error}");
            assert!(store.session_get(later).await.unwrap().is_some());
        }
        drop(store);
        close.await;
        assert_eq!(restore(&url, &path, Existing::Replace).await.unwrap(), saved);
        assert!(open(&url).await.0.session_get(later).await.unwrap().is_none());
        // A store that was only started is empty.
        let fresh = if number == 0 { sqlite(&dir, "fresh.db") } else { common::empty().await };
        open(&fresh).await.1.await;
        restore(&fresh, &path, Existing::Keep).await.unwrap();
    }
}

/// As a build that knew nothing of what came after version 1 would have written it.
fn as_of_version_1(backup: &Path) -> String {
    let text = std::fs::read_to_string(backup).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut trailer = lines.pop().unwrap();
    let later = ["session_attempts", "tokens"];
    trailer["rows"].as_object_mut().unwrap().retain(|table, _| !later.contains(&table.as_str()));
    lines[0]["schema"] = 1.into();
    let (mut kept, mut table, mut health) = (String::new(), String::new(), None);
    for mut line in lines {
        if let Some(name) = line["table"].as_str() {
            table = name.to_owned();
            let columns = line["columns"].as_array_mut().unwrap();
            health = columns.iter().position(|it| it == "health");
            health.map(|at| columns.remove(at));
        } else if let (Some(at), Some(values)) = (health, line.as_array_mut()) {
            values.remove(at);
        }
        if !later.contains(&table.as_str()) {
            kept += &format!("{line}\n");
        }
    }
    let digest = Sha256::digest(&kept).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    trailer["sha256"] = digest.into();
    format!("{kept}{trailer}\n")
}

#[tokio::test]
async fn a_backup_of_an_older_schema_is_brought_to_this_builds() {
    let dir = tempfile::tempdir().unwrap();
    let (url, path, old) = (sqlite(&dir, "a.db"), dir.path().join("backup"), dir.path().join("old"));
    let (store, _) = open(&url).await;
    fill(&*store).await;
    backup(&url, &path).await.unwrap();
    std::fs::write(&old, as_of_version_1(&path)).unwrap();
    for url in [sqlite(&dir, "b.db"), common::empty().await] {
        assert_eq!(restore(&url, &old, Existing::Keep).await.unwrap().schema, 1);
        let (again, _) = open(&url).await;
        let server = again.server_by_name("town").await.unwrap().unwrap();
        assert_eq!(server.health, None);
        assert_eq!(again.session_hand_out(server.id).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn schemas_that_do_not_fit_are_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    let (url, path) = (sqlite(&dir, "a.db"), dir.path().join("backup"));
    drop(open(&url).await);
    backup(&url, &path).await.unwrap();
    let other = sqlite(&dir, "b.db");
    let database = Database::connect(&other).await.unwrap();
    database.run(Goal::Version(1)).await.unwrap();
    database.close().await;
    let error = restore(&other, &path, Existing::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let error = backup(&other, &dir.path().join("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let newer = std::fs::read_to_string(&path).unwrap().replacen("\"schema\":", "\"schema\":9", 1);
    let body = newer[..newer.trim_end().rfind('\n').unwrap() + 1].to_owned();
    let digest =
        |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut trailer: Value = serde_json::from_str(newer.lines().last().unwrap()).unwrap();
    trailer["sha256"] = digest(&body).into();
    std::fs::write(&path, format!("{body}{trailer}\n")).unwrap();
    let error = restore(&sqlite(&dir, "c.db"), &path, Existing::Keep).await.unwrap_err();
    assert!(error.message().contains("newer build"), "{error:?}");
    let absent = backup(&sqlite(&dir, "no-such.db"), &dir.path().join("x")).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Config);
    assert!(!dir.path().join("no-such.db").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (url, path) = (sqlite(&dir, "a.db"), dir.path().join("backup"));
    drop(open(&url).await);
    backup(&url, &path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
