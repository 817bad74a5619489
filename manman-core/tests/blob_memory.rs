//! The blobs in memory keep the contract of the seam.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use manman_core::{
    blob::{Blobs, whole},
    clock::SystemClock,
    error::ErrorKind,
    memory::MemoryBlobs,
    testkit::blob::BlobFixture,
};

struct Fixture(MemoryBlobs);

#[async_trait]
impl BlobFixture for Fixture {
    async fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.0.clone())
    }
}

async fn fresh() -> Fixture {
    Fixture(MemoryBlobs::new())
}

manman_core::blob_conformance!(fresh);

#[tokio::test]
async fn what_does_not_fit_is_refused_and_the_room_is_there_again() {
    let blobs = MemoryBlobs::holding(10, Arc::new(SystemClock));
    let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
    blobs.put(&a, whole("12345678")).await.unwrap();
    for _ in 0..3 {
        let error = blobs.put(&b, whole("1").chain(whole("234")).boxed()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.is_temporary(), "{error:?}");
    }
    blobs.put(&b, whole("12")).await.unwrap();
    blobs.delete(&a).await.unwrap();
    blobs.put(&b, whole("12345678")).await.unwrap();
    assert_eq!(blobs.stat(&a).await.unwrap(), None);
}
