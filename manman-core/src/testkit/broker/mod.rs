//! The contract of [`Broker`](crate::broker::Broker) as cases, for every backend, and a
//! broker that does everything that this contract allows.
//!
//! A backend writes a [`BrokerFixture`] and one line:
//!
//! ```text
//! async fn fresh() -> NatsFixture { … }
//! manman_core::broker_conformance!(fresh);
//! ```
//!
//! Each case is a test of its own with a fixture of its own. A backend whose time is
//! virtual writes `broker_conformance!(paused fresh)`.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stdout, reason = "a test run shows how long things took")]

mod cases;
mod fixture;
mod nasty;
mod tools;

pub use cases::{bounds, listening, outages, queues, routing, trouble};
pub use fixture::{BrokerFaults, BrokerFixture};
pub use nasty::{Nastiness, Nasty};

/// Runs every case of the broker contract against the fixtures that a function makes.
///
/// `broker_conformance!(fresh)` takes an `async fn fresh() -> impl BrokerFixture`;
/// `broker_conformance!(paused fresh)` runs under tokio's paused time.
///
/// Where a server is shared by all cases, those that stop, kill and freeze it need another:
/// `broker_conformance!(fresh, outages: alone)` has their fixtures made by `alone`.
#[macro_export]
macro_rules! broker_conformance {
    (paused $fresh:ident) => {
        $crate::broker_conformance!(@cases [tokio::test(start_paused = true)] $fresh, $fresh);
    };
    ($fresh:ident) => {
        $crate::broker_conformance!($fresh, outages: $fresh);
    };
    ($fresh:ident, outages: $alone:ident) => {
        $crate::broker_conformance!(
            @cases [tokio::test(flavor = "multi_thread", worker_threads = 2)] $fresh, $alone
        );
    };
    (@cases $test:tt $fresh:ident, $alone:ident) => {
        $crate::broker_conformance!(@module $test $fresh, routing:
            a_command_arrives_as_it_was_sent,
            an_unrouted_command_or_report_is_not_found,
            unrouted_events_and_telemetry_are_fine,
            each_bound_queue_gets_its_own,
            a_key_of_another_host_does_not_arrive,
            topology_may_be_declared_again,
            another_topology_conflicts,
            what_does_not_exist_is_not_found,
        );
        $crate::broker_conformance!(@module $test $fresh, queues:
            messages_come_in_order,
            commands_wait_for_a_host_that_is_away,
            nothing_expires_by_itself,
            a_single_consumer_gets_one_at_a_time,
            another_consumer_takes_over,
            competing_consumers_share,
            a_nacked_message_comes_again_after_its_delay,
            a_nacked_report_does_not_hold_up_the_next,
            an_unsettled_message_comes_again,
            a_poison_message_ends_among_the_dead,
            a_dead_letter_says_why,
            a_dead_letter_can_be_put_back,
            a_dead_letter_can_be_dropped,
            an_old_dead_letter_can_be_reached,
            a_crash_loop_loses_nothing,
        );
        $crate::broker_conformance!(@module $test $fresh, bounds:
            a_full_queue_is_busy,
            a_full_subscriber_holds_up_no_other,
            what_waits_for_too_long_goes,
            a_body_over_the_bound_is_refused,
            telemetry_drops_its_oldest,
            telemetry_leaves_room_for_reports,
            a_queue_of_telemetry_goes_with_its_consumer,
        );
        $crate::broker_conformance!(@module $test $fresh, listening:
            an_event_reaches_who_listens,
            a_report_may_go_to_who_listens,
            competing_consumers_share_telemetry,
        );
        $crate::broker_conformance!(@module $test $fresh, trouble:
            a_consumer_of_a_deleted_queue_ends,
            a_consumer_that_is_cut_off_ends,
            a_slow_way_loses_nothing,
            every_ok_is_delivered_through_cuts,
            an_unknown_publish_may_be_repeated,
        );
        $crate::broker_conformance!(@module $test $alone, outages:
            what_was_stored_survives_a_kill,
            publishing_to_a_broker_that_is_away_fails_for_now,
            publishing_to_a_frozen_broker_promises_nothing,
        );
    };
    (@module $test:tt $fresh:ident, $module:ident: $($case:ident,)*) => {
        mod $module {
            $($crate::broker_conformance!(@case $test $fresh, $module, $case);)*
        }
    };
    (@case [$($test:tt)*] $fresh:ident, $module:ident, $case:ident) => {
        #[$($test)*]
        async fn $case() {
            let fixture = super::$fresh().await;
            $crate::testkit::broker::$module::$case(&fixture).await;
            $crate::testkit::broker::BrokerFixture::finish(&fixture).await;
        }
    };
}
