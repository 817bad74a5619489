//! Blobs in a bucket of SeaweedFS keep the contract of the seam.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod blob_support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use blob_support::{PATIENCE, blocking, shared, url_at};
use manman_core::{
    blob::{Blobs, Presigned},
    testkit::blob::BlobFixture,
};
use manman_services::{Weed, http, until};
use manman_store::blob;

struct Fixture {
    url: String,
    bucket: String,
}

#[async_trait]
impl BlobFixture for Fixture {
    async fn blobs(&self) -> Arc<dyn Blobs> {
        blob::open(&self.url, None).await.unwrap()
    }

    async fn send(&self, request: &Presigned, body: Vec<u8>) -> (u16, Vec<u8>) {
        let Presigned { method, url, headers } = request.clone();
        blocking(move || http(&method, &url, &headers, &body).unwrap()).await
    }

    async fn finish(&self) {
        // What was not put is taken back, sooner or later.
        let bucket = self.bucket.clone();
        let none = move || Weed::shared().uploads(&bucket) == 0;
        blocking(move || until("no upload is left", PATIENCE, none)).await;
    }
}

/// Every other one beneath a prefix of its bucket.
async fn fresh() -> Fixture {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let weed = shared().await;
    let bucket = blocking(|| Weed::shared().bucket()).await;
    let place = match MADE.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => bucket.clone(),
        _ => format!("{bucket}/beneath/this"),
    };
    Fixture { url: url_at(&weed.endpoint(), &place), bucket }
}

manman_core::blob_conformance!(fresh);
