//! Blobs in a directory keep the contract of the seam, and their directory clean.
#![cfg(feature = "blobs")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod blob_support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use blob_support::{a_mib, fed, key, until};
use manman_core::{
    blob::{Blobs, whole},
    error::{Chain, ErrorKind},
    testkit::blob::BlobFixture,
};
use manman_store::blob;
use tempfile::TempDir;

struct Fixture(TempDir);

async fn open(dir: &Path) -> Arc<dyn Blobs> {
    blob::open(&format!("fs://{}", dir.display()), None).await.unwrap()
}

#[async_trait]
impl BlobFixture for Fixture {
    async fn blobs(&self) -> Arc<dyn Blobs> {
        open(&self.0.path().join("blobs")).await
    }
}

async fn fresh() -> Fixture {
    Fixture(tempfile::tempdir().unwrap())
}

manman_core::blob_conformance!(fresh);

fn passing(dir: &Path) -> usize {
    fs::read_dir(dir.join(".uploads")).unwrap().count()
}

/// A put that fails or is dropped leaves no file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_put_is_not_left() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = open(dir.path()).await;
    let (feed, stream) = fed();
    let (mine, name) = (blobs.clone(), key("a/b"));
    let under_way = tokio::spawn(async move { mine.put(&name, stream).await });
    for _ in 0..4 {
        feed.send(Ok(a_mib())).await.unwrap();
    }
    until("it is being written", async || passing(dir.path()) == 1).await;
    under_way.abort();
    until("it is taken back", async || passing(dir.path()) == 0).await;
    drop(feed);

    fs::create_dir(dir.path().join("c")).unwrap();
    let error = blobs.put(&key("c"), whole("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    until("it is taken back", async || passing(dir.path()) == 0).await;
    assert_eq!(blobs.list(None, None, 10).await.unwrap().blobs, []);
}

/// What a process that was killed has left is cleared away, what another one is writing is not.
#[tokio::test]
async fn what_the_dead_left_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.put(&key("kept"), whole("x")).await.unwrap();
    let (old, new) = (dir.path().join(".uploads/old.1"), dir.path().join(".uploads/new.2"));
    for file in [&old, &new] {
        fs::write(file, "half").unwrap();
    }
    let day = Duration::from_secs(25 * 3600);
    fs::File::open(&old).unwrap().set_modified(SystemTime::now() - day).unwrap();
    fs::File::open(dir.path().join("kept")).unwrap().set_modified(SystemTime::now() - day).unwrap();
    let blobs = open(dir.path()).await;
    assert!(!old.exists() && new.exists());
    // Neither is a blob.
    let listed = blobs.list(None, None, 10).await.unwrap().blobs;
    assert_eq!(listed.iter().map(|blob| blob.key.as_str()).collect::<Vec<_>>(), ["kept"]);
}

/// What is not ours in there is left alone.
#[tokio::test]
async fn files_of_others_are_no_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = open(dir.path()).await;
    for name in ["with space", "ümlaut", ".hidden"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    blobs.put(&key("ours"), whole("x")).await.unwrap();
    let listed = blobs.list(None, None, 10).await.unwrap().blobs;
    assert_eq!(listed.iter().map(|blob| blob.key.as_str()).collect::<Vec<_>>(), ["ours"]);
}

#[tokio::test]
async fn the_directory_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir.path().join("a/blobs")).await;
    let mode = fs::metadata(dir.path().join("a/blobs")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_place_that_cannot_be_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    for (path, kind) in [
        (dir.path().join("file"), ErrorKind::Config),
        (dir.path().join("file/blobs"), ErrorKind::Config),
        ("/proc/blobs".into(), ErrorKind::Config),
    ] {
        let error = blob::open(&format!("fs://{}", path.display()), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(&*path.to_string_lossy()), "{}", Chain(&error));
    }
}
