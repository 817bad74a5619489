//! The cases of blobs.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::time::timeout;

use super::{
    UplinkFixture,
    cases::{PATIENCE, blob_of, registered},
};
use crate::{
    blob::{BlobKey, Presign, Presigned, whole},
    error::{Error, ErrorKind},
};

/// A blob is put whole beneath its host's key; the same key again replaces it.
pub async fn a_blob_is_put_beneath_its_host(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let key = blob_of(me, "worlds/monday.tar");
    for (seed, size) in [(1, 0), (2, 5 << 20), (3, 10)] {
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        let pieces: Vec<_> = bytes.chunks(1_500_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let put = fixture.uplink().blob_put(me, &key, stream::iter(pieces).boxed()).await;
        assert_eq!(put.unwrap(), size as u64);
        let kept = fixture.blobs().get(&key, None).await.unwrap().collect(8 << 20).await.unwrap();
        assert!(kept == bytes, "{size} bytes are not what was put");
    }
}

/// A host has an address for its blob exactly where what keeps the blobs has one.
pub async fn an_address_is_given_where_there_are_any(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let key = blob_of(me, "k");
    let given = fixture.uplink().blob_address(me, &key).await.unwrap();
    let there = fixture.blobs().presign(&key, Presign::Put, Duration::from_secs(60)).await.unwrap();
    let place = |presigned: Presigned| {
        let url = presigned.url.split('?').next().unwrap_or_default().to_owned();
        (presigned.method, url)
    };
    assert_eq!(given.map(place), there.map(place));
}

/// A blob is put nowhere but beneath its host's key.
pub async fn a_blob_elsewhere_is_denied(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let (own, other) = (BlobKey::of_host(me.server), me.server.0 + 1);
    for key in
        [format!("hosts/{other}/k"), format!("{own}0/k"), own.to_string(), "k".into(), "hosts/k".into()]
    {
        let error = fixture.uplink().blob_put(me, &key.parse().unwrap(), whole("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{key}: {error:?}");
        let error = fixture.uplink().blob_address(me, &key.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{key}: {error:?}");
    }
    assert_eq!(fixture.blobs().list(None, None, 10).await.unwrap().blobs, []);
}

/// A blob whose stream fails, or that is dropped, is not put; begun anew it is.
pub async fn a_blob_that_breaks_off_is_not_put(fixture: &impl UplinkFixture) {
    let me = registered(fixture).await;
    let key = blob_of(me, "k");
    let some = || stream::iter((0..40).map(|_| Ok(Bytes::from(vec![7; 100_000]))));
    let failure = stream::iter([Err(Error::new(ErrorKind::Corrupt, "read the disk", "it is damaged"))]);
    let error = fixture.uplink().blob_put(me, &key, some().chain(failure).boxed()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, "it is damaged"), "{error:?}");

    let (uplink, name) = (fixture.uplink(), key.clone());
    let (reached, waits) = tokio::sync::oneshot::channel();
    let stays = stream::once(async move {
        let _ = reached.send(());
        std::future::pending().await
    });
    let endless = some().chain(stays).boxed();
    let under_way = tokio::spawn(async move { uplink.blob_put(me, &name, endless).await });
    timeout(PATIENCE, waits).await.unwrap().unwrap();
    under_way.abort();
    assert!(under_way.await.unwrap_err().is_cancelled());

    assert_eq!(fixture.blobs().stat(&key).await.unwrap(), None);
    assert_eq!(fixture.uplink().blob_put(me, &key, whole("anew")).await.unwrap(), 4);
    assert_eq!(fixture.blobs().stat(&key).await.unwrap().unwrap().size_bytes, 4);
}
