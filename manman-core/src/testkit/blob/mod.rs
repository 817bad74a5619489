//! The contract of [`Blobs`] as cases, for every backend.
//!
//! A backend writes a [`BlobFixture`] and one line:
//!
//! ```text
//! async fn fresh() -> S3Fixture { … }
//! manman_core::blob_conformance!(fresh);
//! ```
//!
//! Each case is a test of its own with a fixture of its own.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

pub mod addresses;
pub mod listing;
pub mod reading;
mod tools;
pub mod writing;

use std::sync::Arc;

use async_trait::async_trait;

use crate::blob::{Blobs, Presigned};

/// A backend under test, without a blob in it.
#[async_trait]
pub trait BlobFixture: Send + Sync {
    /// A client of it. Each call gives one of its own, as another process has, where the
    /// backend has such a thing.
    async fn blobs(&self) -> Arc<dyn Blobs>;

    /// Makes a presigned request as a stranger does, with this body: the status and the body
    /// of the answer. Only for backends that presign.
    async fn send(&self, request: &Presigned, body: Vec<u8>) -> (u16, Vec<u8>) {
        panic!("{request:?} with {} bytes: this fixture does not say how it is sent", body.len())
    }

    /// Clears up.
    async fn finish(&self) {}
}

/// Runs every case of the blob contract against the fixtures that a function makes.
///
/// `blob_conformance!(fresh)` takes an `async fn fresh() -> impl BlobFixture`.
#[macro_export]
macro_rules! blob_conformance {
    ($fresh:ident) => {
        $crate::blob_conformance!(@module $fresh, writing:
            what_was_put_is_read,
            a_later_put_replaces,
            of_puts_at_once_one_is_left_whole,
            a_put_is_seen_when_it_is_whole,
            a_put_whose_stream_fails_changes_nothing,
            a_put_that_is_dropped_changes_nothing,
            what_one_puts_others_see,
            a_key_beneath_anothers_loses_nothing,
            a_delete_may_be_repeated,
        );
        $crate::blob_conformance!(@module $fresh, reading:
            what_is_not_there_is_not_found,
            what_is_known_without_reading,
            a_range_is_what_lies_within,
            a_reading_is_of_one_blob,
            a_reading_may_be_dropped,
        );
        $crate::blob_conformance!(@module $fresh, listing:
            a_list_holds_each_once,
            a_list_is_by_segments,
            what_stays_is_listed_while_others_come_and_go,
            a_list_of_nothing_is_empty,
        );
        $crate::blob_conformance!(@module $fresh, addresses:
            an_address_reads,
            an_address_writes,
            an_address_does_nothing_else,
            an_address_is_not_for_ever,
        );
    };
    (@module $fresh:ident, $module:ident: $($case:ident,)*) => {
        mod $module {
            $($crate::blob_conformance!(@case $fresh, $module, $case);)*
        }
    };
    (@case $fresh:ident, $module:ident, $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let fixture = super::$fresh().await;
            $crate::testkit::blob::$module::$case(&fixture).await;
            $crate::testkit::blob::BlobFixture::finish(&fixture).await;
        }
    };
}
