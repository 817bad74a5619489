//! What happens to an S3 server and to the way there, and what is wrong with how it is asked for.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod blob_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use blob_support::{MIB, PATIENCE, a_mib, blocking, counted, counting, fed, key, shared, until, url_at};
use futures::StreamExt as _;
use manman_core::{
    blob::{Blobs, Presign, whole},
    error::{Chain, ErrorKind},
};
use manman_services::{Proxy, Weed, free_port, http};
use manman_store::blob::{self, BlobConfig, S3Credentials, StoredBlobs};

async fn a_bucket() -> String {
    shared().await;
    blocking(|| Weed::shared().bucket()).await
}

async fn keys(blobs: &dyn Blobs) -> Vec<String> {
    let page = blobs.list(None, None, 100).await.unwrap();
    page.blobs.into_iter().map(|blob| blob.key.to_string()).collect()
}

/// The way is cut again and again; what can be repeated is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_network_cuts_is_repeated() {
    let (weed, bucket) = (shared().await, a_bucket().await);
    let proxy = Arc::new(Proxy::to_port(weed.port()));
    let blobs =
        blob::open(&url_at(&format!("http://127.0.0.1:{}", proxy.port()), &bucket), None).await.unwrap();
    let size = 48 * MIB;
    let cutter = proxy.clone();
    let cut = counting(size).enumerate().map(move |(n, piece)| {
        // Every six MiB: in the midst of parts.
        if n % 96 == 95 {
            cutter.cut();
        }
        piece
    });
    assert_eq!(blobs.put(&key("k"), cut.boxed()).await.unwrap(), size);

    let blob = blobs.get(&key("k"), None).await.unwrap();
    let (mut got, mut cuts) = (0, 0);
    let cut = blob.bytes.inspect(|piece| {
        got += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if got / (6 * MIB) > cuts {
            cuts += 1;
            proxy.cut();
        }
    });
    let (pieces, mut left) = (cut.collect::<Vec<_>>().await, 0);
    for piece in &pieces {
        left += piece.as_ref().unwrap().len() as u64;
    }
    assert_eq!(left, size);
    assert_eq!(counted(futures::stream::iter(pieces).boxed()).await, size);
    assert!(cuts >= 7, "{cuts}");
}

/// A server that is killed under a put keeps nothing of it, and takes it when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_under_a_put() {
    let weed = Arc::new(blocking(Weed::start).await);
    let server = weed.clone();
    let bucket = blocking(move || server.bucket()).await;
    let blobs = blob::open(&url_at(&weed.endpoint(), &bucket), None).await.unwrap();
    blobs.put(&key("before"), whole("x")).await.unwrap();

    let (feed, stream) = fed();
    let (mine, server) = (blobs.clone(), weed.clone());
    let under_way = tokio::spawn(async move { mine.put(&key("world"), stream).await });
    for _ in 0..20 {
        feed.send(Ok(a_mib())).await.unwrap();
    }
    blocking(move || server.kill()).await;
    // It takes on what it may hold, and then ends.
    let begun = Instant::now();
    while feed.send(Ok(a_mib())).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "a put to a dead server goes on");
    }
    let error = under_way.await.unwrap().unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.is_temporary(), "{error:?}");
    let error = blobs.stat(&key("before")).await.unwrap_err();
    assert!(error.message().contains("no S3 server answers at http://127.0.0.1:"), "{error:?}");

    let server = weed.clone();
    blocking(move || server.again()).await;
    assert_eq!(keys(&*blobs).await, ["before"]);
    assert_eq!(blobs.put(&key("world"), counting(30 * MIB)).await.unwrap(), 30 * MIB);
    assert_eq!(counted(blobs.get(&key("world"), None).await.unwrap().bytes).await, 30 * MIB);
    assert_eq!(keys(&*blobs).await, ["before", "world"]);
    blocking(move || drop((blobs, weed))).await;
}

/// A server that takes connections and answers nothing holds nobody for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_ends_each_call() {
    let (weed, bucket) = (shared().await, a_bucket().await);
    let proxy = Proxy::to_port(weed.port());
    let mut config =
        BlobConfig::parse(&url_at(&format!("http://127.0.0.1:{}", proxy.port()), &bucket)).unwrap();
    let BlobConfig::S3(bucket) = &mut config else { panic!("{config:?}") };
    bucket.deadline = Duration::from_secs(1);
    let mut opened = None;
    until("it is opened within a second", async || {
        opened = StoredBlobs::open(&config).await.ok();
        opened.is_some()
    })
    .await;
    let blobs = opened.unwrap();
    proxy.freeze();
    let (begun, k) = (Instant::now(), key("k"));
    let (stat, list, delete, put, get) = tokio::join!(
        blobs.stat(&k),
        blobs.list(None, None, 10),
        blobs.delete(&k),
        blobs.put(&k, whole("x")),
        blobs.get(&k, None),
    );
    assert!(begun.elapsed() < PATIENCE);
    for error in
        [stat.unwrap_err(), list.unwrap_err(), delete.unwrap_err(), put.unwrap_err(), get.unwrap_err()]
    {
        assert!(error.kind() == ErrorKind::Timeout && error.is_temporary(), "{error:?}");
    }
    proxy.pass();
    until("it goes on", async || blobs.put(&k, whole("again")).await.is_ok()).await;
    until("it is read", async || blobs.get(&k, None).await.is_ok()).await;
}

/// Presigned addresses are there, and are for strangers: a client with no keys uses them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_puts_and_gets_by_address() {
    let (weed, bucket) = (shared().await, a_bucket().await);
    let blobs = blob::open(&url_at(&weed.endpoint(), &bucket), None).await.unwrap();
    let valid = Duration::from_secs(60);
    let put = blobs.presign(&key("a/b"), Presign::Put, valid).await.unwrap().unwrap();
    let get = blobs.presign(&key("a/b"), Presign::Get, valid).await.unwrap().unwrap();
    let answers = blocking(move || {
        let put = http(&put.method, &put.url, &put.headers, b"by a stranger").unwrap();
        (put.0, http(&get.method, &get.url, &get.headers, b"").unwrap())
    });
    assert_eq!(answers.await, (200, (200, b"by a stranger".to_vec())));
    // It expires.
    let soon = blobs.presign(&key("a/b"), Presign::Get, Duration::from_secs(1)).await.unwrap().unwrap();
    until("the address is valid no more", async || {
        let soon = soon.clone();
        blocking(move || http(&soon.method, &soon.url, &soon.headers, b"").unwrap().0).await == 403
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_one_sentence_without_the_secret() {
    let (weed, bucket) = (shared().await, a_bucket().await);
    let good = url_at(&weed.endpoint(), &bucket);
    let endpoint = weed.endpoint();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let keyless = format!("s3://{bucket}?endpoint={endpoint}");
    for (url, kind, said) in [
        (
            good.replace(Weed::ENCODED_SECRET_KEY, "hunter2"),
            ErrorKind::Config,
            "refuses the secret of access key \"manman-test\"",
        ),
        (
            good.replace(Weed::ACCESS_KEY, "mallory"),
            ErrorKind::Config,
            "does not know the access key \"mallory\"",
        ),
        (
            good.replace(&bucket, "nowhere"),
            ErrorKind::Config,
            "has no bucket \"nowhere\"; make it there first",
        ),
        (
            good.replace(&endpoint, &nobody),
            ErrorKind::Unavailable,
            "no S3 server answers at http://127.0.0.1:",
        ),
        (
            good.replace("http://", "https://"),
            ErrorKind::Config,
            "does not speak TLS with us; http:// is for",
        ),
        (format!("{good}&ca=/no/such.pem"), ErrorKind::Config, "ca: /no/such.pem cannot be read"),
        (keyless.clone(), ErrorKind::Config, "there are no credentials: s3://KEY:SECRET@bucket"),
    ] {
        let error = blob::open(&url, None).await.unwrap_err();
        let whole = format!("{} {error:?}", Chain(&error));
        assert_eq!(error.kind(), kind, "{whole}");
        assert!(error.message().contains(said), "{said}: {whole}");
        for secret in ["hunter2", Weed::SECRET_KEY, Weed::ENCODED_SECRET_KEY] {
            assert!(!whole.contains(secret), "{whole}");
        }
        println!("{}", Chain(&error));
    }
    // A bucket that goes while it is used.
    let credentials = S3Credentials::new(Weed::ACCESS_KEY, Weed::SECRET_KEY);
    let blobs = blob::open(&keyless, Some(credentials)).await.unwrap();
    let gone = bucket.clone();
    blocking(move || Weed::shared().remove_bucket(&gone)).await;
    until("the bucket is gone", async || {
        blobs.put(&key("k"), whole("x")).await.is_err_and(|error| error.kind() == ErrorKind::Config)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_used_and_the_certificate_is_checked() {
    let weed = Arc::new(blocking(Weed::start_with_tls).await);
    let server = weed.clone();
    let bucket = blocking(move || server.bucket()).await;
    let url = url_at(&weed.encrypted_endpoint(), &bucket);
    let trusted = format!("{url}&ca={}", weed.ca().display());
    let blobs = blob::open(&trusted, None).await.unwrap();
    assert_eq!(blobs.put(&key("k"), counting(9 * MIB)).await.unwrap(), 9 * MIB);
    assert_eq!(counted(blobs.get(&key("k"), None).await.unwrap().bytes).await, 9 * MIB);
    // An authority that this machine does not know, and another name than the certificate's.
    for (url, said) in [
        (url.clone(), "is not trusted; ca= of the URL names whom to trust"),
        (trusted.replace("localhost", "127.0.0.1"), "the certificate of https://127.0.0.1:"),
    ] {
        let error = blob::open(&url, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.message().contains(said), "{error:?}");
    }
    blocking(move || drop((blobs, weed))).await;
}
