//! Blobs are put whole or not at all.

use futures::{StreamExt as _, future::join_all};

use super::{
    BlobFixture,
    tools::{MIB, fed, key, listed, pattern, pieces, put, read},
};
use crate::{
    blob::whole,
    error::{Error, ErrorKind},
};

/// B1: a blob is exactly the bytes of one put.
pub async fn what_was_put_is_read(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    for (name, size, piece) in
        [("none", 0, 1), ("one", 1, 1), ("a/b/some", 300_001, 4_099), ("more", 20 * MIB + 7, 777_777)]
    {
        let bytes = pattern(size as u64, size);
        assert_eq!(blobs.put(&key(name), pieces(&bytes, piece)).await.unwrap(), size as u64, "{name}");
        assert!(read(&*blobs, name).await == bytes, "{name} is not what was put");
    }
    let long = vec!["k".repeat(100); 5].join("/");
    put(&*blobs, &long, b"x").await;
    assert_eq!(read(&*blobs, &long).await, b"x");
}

/// B1: a later put replaces an earlier one.
pub async fn a_later_put_replaces(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    for size in [10 * MIB, 100, 0, 5_000] {
        let bytes = pattern(size as u64, size);
        put(&*blobs, "k", &bytes).await;
        assert!(read(&*blobs, "k").await == bytes, "{size} bytes are not what was put");
    }
    assert_eq!(listed(&*blobs, None, 10).await, ["k"]);
}

/// B1: of several at once for the same key one is seen, whole.
pub async fn of_puts_at_once_one_is_left_whole(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let all: Vec<_> = (0..6).map(|n| pattern(n, 300_000 + 50_000 * n as usize)).collect();
    let key = key("k");
    join_all(all.iter().map(async |bytes| {
        // A backend may refuse all but one for the moment.
        if let Err(error) = blobs.put(&key, pieces(bytes, 10_000)).await {
            assert!(error.is_temporary(), "{error:?}");
        }
    }))
    .await;
    let left = read(&*blobs, "k").await;
    assert!(all.contains(&left), "{} bytes of none of them", left.len());
}

/// B2: what was there before is seen until a put answers.
pub async fn a_put_is_seen_when_it_is_whole(fixture: &impl BlobFixture) {
    let (blobs, other) = (fixture.blobs().await, fixture.blobs().await);
    put(&*blobs, "old", b"before").await;
    for name in ["new", "old"] {
        let (feed, stream) = fed();
        let (blobs, key) = (blobs.clone(), key(name));
        let under_way = tokio::spawn(async move { blobs.put(&key, stream).await });
        for n in 0..20 {
            feed.send(Ok(pattern(n, MIB).into())).await.unwrap();
        }
        let known = other.stat(&self::key(name)).await.unwrap();
        assert_eq!(known.map(|it| it.size_bytes), (name == "old").then_some(6), "{name}");
        let others: &[&str] = if name == "old" { &["new", "old"] } else { &["old"] };
        assert_eq!(listed(&*other, None, 10).await, others);
        drop(feed);
        assert_eq!(under_way.await.unwrap().unwrap(), 20 * MIB as u64);
        assert_eq!(read(&*other, name).await.len(), 20 * MIB);
    }
}

/// B2: a put whose stream fails changes nothing, and fails with that error.
pub async fn a_put_whose_stream_fails_changes_nothing(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    put(&*blobs, "old", b"before").await;
    for (name, size) in [("new", 0), ("new", 1), ("new", 20 * MIB), ("old", 1), ("old", 20 * MIB)] {
        let failure = async { Err(Error::new(ErrorKind::Fenced, "read the disk", "it is gone")) };
        let stream = pieces(&pattern(1, size), MIB).chain(futures::stream::once(failure));
        let error = blobs.put(&key(name), stream.boxed()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Fenced, "it is gone"), "{error:?}");
        assert_eq!(listed(&*blobs, None, 10).await, ["old"]);
        assert_eq!(read(&*blobs, "old").await, b"before");
    }
}

/// B2: a put that is dropped changes nothing, not later either.
pub async fn a_put_that_is_dropped_changes_nothing(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    put(&*blobs, "old", b"before").await;
    for name in ["new", "old"] {
        for count in [0, 1, 20] {
            let (feed, stream) = fed();
            let (mine, key) = (blobs.clone(), key(name));
            let under_way = tokio::spawn(async move { mine.put(&key, stream).await });
            for n in 0..count {
                feed.send(Ok(pattern(n, MIB).into())).await.unwrap();
            }
            under_way.abort();
            assert!(under_way.await.unwrap_err().is_cancelled());
            // That is the end of a stream as well, but nobody is there to take it as one.
            drop(feed);
            assert_eq!(listed(&*blobs, None, 10).await, ["old"]);
            assert_eq!(read(&*blobs, "old").await, b"before");
        }
    }
    // What is put afterwards stays what it is.
    put(&*blobs, "new", b"after").await;
    assert_eq!(read(&*blobs, "new").await, b"after");
}

/// B3: what was put is seen by every later call, whoever makes it.
pub async fn what_one_puts_others_see(fixture: &impl BlobFixture) {
    let (one, other) = (fixture.blobs().await, fixture.blobs().await);
    for n in 0..10 {
        let bytes = pattern(n, 1_000);
        put(&*one, "k", &bytes).await;
        assert_eq!(read(&*other, "k").await, bytes);
        other.delete(&key("k")).await.unwrap();
        assert_eq!(one.stat(&key("k")).await.unwrap(), None);
    }
}

/// B10: whichever of a blob and one beneath it comes first stays.
pub async fn a_key_beneath_anothers_loses_nothing(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    for (first, second) in [("a", "a/b"), ("c/d/e", "c"), ("f/g/h", "f/g")] {
        put(&*blobs, first, b"first").await;
        match blobs.put(&key(second), whole("second")).await {
            Ok(_) => assert_eq!(read(&*blobs, second).await, b"second"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{second}: {error:?}");
                assert!(!error.is_temporary(), "{error:?}");
                assert_eq!(blobs.stat(&key(second)).await.unwrap(), None, "{second}");
                let error = blobs.get(&key(second), None).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound, "{second}: {error:?}");
                // Nor does deleting what is not there take the other one along.
                blobs.delete(&key(second)).await.unwrap();
            }
        }
        assert_eq!(read(&*blobs, first).await, b"first");
    }
}

/// B9: `delete` may be repeated; what is not there is no error.
pub async fn a_delete_may_be_repeated(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    for name in ["k", "a/b/c"] {
        blobs.delete(&key(name)).await.unwrap();
        put(&*blobs, name, b"x").await;
        let key = key(name);
        for error in join_all((0..4).map(|_| blobs.delete(&key))).await {
            error.unwrap();
        }
        blobs.delete(&key).await.unwrap();
        assert_eq!(blobs.get(&key, None).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(listed(&*blobs, None, 10).await, [""; 0]);
        put(&*blobs, name, b"again").await;
        assert_eq!(read(&*blobs, name).await, b"again");
        blobs.delete(&key).await.unwrap();
    }
}
