//! The contract of [`Store`](crate::store::Store) as cases, for every backend.
//!
//! A backend writes a function that makes an empty store, with whatever has to live as
//! long as it, and one line:
//!
//! ```text
//! async fn fresh(clock: Arc<dyn Clock>) -> (Arc<dyn Store>, TempDir) { … }
//! manman_core::store_conformance!(fresh);
//! ```
//!
//! Each case is a test of its own with a store of its own.

mod cases;
mod ground;

pub use cases::{
    cluster, commands, deployments, games, keys, outbox, races, reports, servers, sessions, tokens, wants,
};
pub use ground::{Ground, refused};

/// Runs every case of the store contract against the stores that a function makes.
///
/// `store_conformance!(fresh)` takes an
/// `async fn fresh(clock: Arc<dyn Clock>) -> (Arc<dyn Store>, impl Sized)`.
#[macro_export]
macro_rules! store_conformance {
    ($fresh:ident) => {
        $crate::store_conformance!(@module $fresh, cluster:
            an_installation_is_one_and_the_same,
            each_write_leaves_an_audit_entry,
        );
        $crate::store_conformance!(@module $fresh, servers:
            each_registration_fences_the_one_before,
            another_machine_waits_or_takes_over,
            another_machine_waits_for_one_that_comes_back,
            a_beat_brings_a_server_back,
            what_a_beat_says_is_wrong_is_kept_until_the_next,
            a_sweep_finds_who_fell_silent,
            who_goes_away_is_not_silent_before_that_is_over,
            a_word_about_itself_counts_once,
            only_who_is_not_online_is_abandoned,
        );
        $crate::store_conformance!(@module $fresh, games:
            what_is_created_reads_back,
            names_are_taken_once,
            what_is_in_use_is_not_deleted,
            what_is_changed_reads_back,
            a_changed_config_moves_only_the_ports_it_has_to,
            lists_come_in_pages,
            what_cannot_be_leaves_nothing,
        );
        $crate::store_conformance!(@module $fresh, deployments:
            ports_are_taken_all_or_none,
            ports_are_those_that_the_config_needs,
            a_changed_deployment_is_the_same_one,
            a_live_session_keeps_what_it_has,
            a_deployment_lives_until_it_is_deleted,
            ids_are_never_given_twice,
        );
        $crate::store_conformance!(@module $fresh, sessions:
            a_start_takes_the_slot_and_queues_the_hint,
            a_second_start_names_the_live_session,
            what_nobody_takes_up_expires,
            lists_show_the_newest_first,
            what_a_host_knows_is_not_given_out_again,
            a_generation_is_counted_on_from_what_a_host_holds,
            a_start_that_was_handed_out_is_not_withdrawn,
        );
        $crate::store_conformance!(@module $fresh, wants:
            a_start_that_never_left_is_stopped_here_and_now,
            a_start_that_left_is_stopped_by_its_host,
            a_kill_overtakes_a_stop,
            a_restart_is_for_what_runs,
        );
        $crate::store_conformance!(@module $fresh, reports:
            a_life_is_told_from_start_to_end,
            each_attempt_stays_on_record,
            what_was_jumped_over_is_not_seen,
            a_report_counts_once,
            an_older_report_does_not_win,
            the_illegal_is_kept_and_counted,
            an_end_is_never_changed,
            who_is_fenced_changes_nothing,
            what_was_lost_is_found_again,
            any_order_of_reports_ends_the_same,
        );
        $crate::store_conformance!(@module $fresh, commands:
            an_input_is_for_the_attempt_that_runs,
            the_first_word_on_a_command_stands,
            an_outcome_outlives_its_registration,
            what_nobody_answers_for_is_unknown,
        );
        $crate::store_conformance!(@module $fresh, outbox:
            a_key_keeps_its_order,
            a_long_line_leaves_room,
            a_failed_message_blocks_only_its_key,
            waiting_ends_when_something_is_due,
        );
        $crate::store_conformance!(@module $fresh, tokens:
            a_token_is_known_by_its_digest,
            a_revoked_token_stays_revoked,
            a_join_token_makes_one_host,
            a_join_token_is_good_for_what_it_says,
            a_host_that_joins_anew_shuts_nobody_out,
        );
        $crate::store_conformance!(@module $fresh, keys:
            a_lost_reply_and_its_repetition_are_one_deed,
            every_write_may_be_repeated,
            a_repetition_after_a_deletion_gets_the_first_answer,
            a_key_is_for_one_request,
            a_refused_request_uses_up_no_key,
            a_key_is_forgotten_after_a_day,
        );
        $crate::store_conformance!(@module $fresh, races:
            of_many_starts_one_wins,
            of_many_starts_with_one_key_one_is_made,
            a_port_has_one_holder,
            a_range_goes_round_once,
            starts_and_stops_leave_one_live_session,
            a_report_that_comes_many_times_counts_once,
        );
    };
    (@module $fresh:ident, $module:ident: $($case:ident,)*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let clock = std::sync::Arc::new($crate::testkit::ManualClock::default());
                let (store, _kept) = super::$fresh(clock.clone()).await;
                let ground = $crate::testkit::store::Ground::new(store, clock);
                $crate::testkit::store::$module::$case(&ground).await;
            })*
        }
    };
}
