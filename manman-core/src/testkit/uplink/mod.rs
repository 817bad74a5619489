//! The contract of [`Uplink`] as cases, for every backend.
//!
//! A backend writes an [`UplinkFixture`] and one line:
//!
//! ```text
//! async fn fresh() -> GrpcFixture { … }
//! manman_core::uplink_conformance!(fresh);
//! ```
//!
//! Each case is a test of its own with a fixture of its own. A backend whose time is
//! virtual writes `uplink_conformance!(paused fresh)`.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod blobs;
pub mod cases;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    blob::Blobs,
    broker::Broker,
    id::SessionId,
    model::StopMode,
    uplink::{HostIdentity, Registration, Uplink},
};

/// A control plane under test, as one host sees it.
#[async_trait]
pub trait UplinkFixture: Send + Sync {
    /// The way to it.
    fn uplink(&self) -> Arc<dyn Uplink>;

    /// The broker between them. What is reported there has to reach the control plane.
    fn broker(&self) -> Arc<dyn Broker>;

    /// What the control plane keeps blobs in.
    fn blobs(&self) -> Arc<dyn Blobs>;

    /// How the host registers.
    fn hello(&self) -> Registration;

    /// Wants a session of a deployment of its own to run on that host.
    async fn start(&self, me: HostIdentity) -> SessionId;

    /// Wants that session to end.
    async fn stop(&self, session: SessionId, mode: StopMode);

    /// A session that is not that host's.
    async fn foreign(&self, me: HostIdentity) -> SessionId;

    /// Clears up.
    async fn finish(&self) {}
}

/// Runs every case of the uplink contract against the fixtures that a function makes.
///
/// `uplink_conformance!(fresh)` takes an `async fn fresh() -> impl UplinkFixture`;
/// `uplink_conformance!(paused fresh)` runs under tokio's paused time.
#[macro_export]
macro_rules! uplink_conformance {
    (paused $fresh:ident) => {
        $crate::uplink_conformance!(@cases [tokio::test(start_paused = true)] $fresh);
    };
    ($fresh:ident) => {
        $crate::uplink_conformance!(@cases [tokio::test(flavor = "multi_thread", worker_threads = 2)] $fresh);
    };
    (@cases $test:tt $fresh:ident) => {
        $crate::uplink_conformance!(@list $test $fresh:
            register_may_be_repeated,
            an_older_registration_is_fenced,
            a_registration_that_was_never_given_out_is_not_found,
            once_registered_commands_and_reports_have_a_way,
            what_is_wanted_is_in_the_snapshot,
            a_stop_is_in_the_snapshot_with_a_later_generation,
            a_generation_that_the_host_holds_is_surpassed,
            a_snapshot_holds_what_was_committed_before,
            what_has_ended_is_told_when_asked,
            what_was_never_given_out_is_unknown,
            what_a_host_says_is_what_it_reads,
            a_spec_is_the_same_each_time,
            sessions_of_others_are_nobodys,
            an_end_is_receipted_when_it_is_on_record,
            a_blob_is_put_beneath_its_host,
            an_address_is_given_where_there_are_any,
            a_blob_elsewhere_is_denied,
            a_blob_that_breaks_off_is_not_put,
        );
    };
    (@list $test:tt $fresh:ident: $($case:ident,)*) => {
        $($crate::uplink_conformance!(@case $test $fresh, $case);)*
    };
    (@case [$($test:tt)*] $fresh:ident, $case:ident) => {
        #[$($test)*]
        async fn $case() {
            let fixture = $fresh().await;
            $crate::testkit::uplink::cases::$case(&fixture).await;
            $crate::testkit::uplink::UplinkFixture::finish(&fixture).await;
        }
    };
}
