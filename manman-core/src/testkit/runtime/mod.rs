//! The contract of [`Runtime`](crate::runtime::Runtime) as cases, for every backend.
//!
//! A backend writes a [`RuntimeFixture`] and one line:
//!
//! ```text
//! async fn fresh() -> DockerFixture { … }
//! manman_core::runtime_conformance!(fresh);
//! ```
//!
//! Each case is a test of its own with a fixture of its own. A backend whose time is
//! virtual writes `runtime_conformance!(paused fresh)`.

mod cases;
mod fixture;
mod screen;

pub use cases::{console, life, look};
pub use fixture::{Game, Program, RuntimeFixture};
pub use screen::Screen;

use std::time::Duration;

/// How long a case waits for what is to come. Long: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Runs every case of the runtime contract against the fixtures that a function makes.
///
/// `runtime_conformance!(fresh)` takes an `async fn fresh() -> impl RuntimeFixture`;
/// `runtime_conformance!(paused fresh)` runs under tokio's paused time.
#[macro_export]
macro_rules! runtime_conformance {
    (paused $fresh:ident) => {
        $crate::runtime_conformance!(@cases [tokio::test(start_paused = true)] $fresh);
    };
    ($fresh:ident) => {
        $crate::runtime_conformance!(@cases [tokio::test(flavor = "multi_thread", worker_threads = 2)] $fresh);
    };
    (@cases [$test:meta] $fresh:ident) => {
        $crate::runtime_conformance!(@module [$test] $fresh, life:
            create_may_be_repeated,
            another_spec_conflicts,
            one_attempt_of_a_deployment_at_a_time,
            of_many_creates_at_once_one_wins,
            start_may_be_repeated,
            an_attempt_runs_once,
            an_ended_attempt_keeps_its_exit_code,
            what_is_not_there_is_not_found,
            what_is_gone_may_be_killed_retired_and_removed,
            a_missing_image_is_not_found,
            a_missing_command_is_invalid,
            a_held_port_is_named,
            stop_may_be_repeated,
            stop_kills_after_the_grace,
            stop_of_what_never_ran_is_128,
            kill_may_be_repeated,
            retire_refuses_the_living,
            remove_refuses_the_living,
            what_was_never_started_can_be_removed,
            what_was_retired_does_not_start,
            exit_survives_manager_restart,
            calls_answer_while_a_stop_waits,
            prepare_may_be_repeated,
            a_directory_of_another_cluster_conflicts,
            a_network_lives_as_long_as_its_session,
        );
        $crate::runtime_conformance!(@module [$test] $fresh, look:
            the_engine_answers,
            an_image_that_is_here_is_told,
            list_shows_ours_after_a_restart,
            what_is_foreign_is_never_touched,
            inspect_follows_a_life,
            a_running_game_has_stats,
            events_hint_at_a_life,
        );
        $crate::runtime_conformance!(@module [$test] $fresh, console:
            opened_before_start_shows_every_byte,
            opened_late_shows_the_beginning_too,
            resumed_by_another_process_is_exact,
            resumed_among_identical_lines_is_exact,
            every_position_resumes,
            of_the_ended_shows_the_rest_and_ends,
            at_its_end_shows_nothing_more,
            of_nothing_is_not_found,
            two_show_the_same,
            unread_does_not_hold_the_game_up,
            input_reaches_the_game,
            input_works_after_a_restart,
            input_to_the_ended_is_refused,
            a_long_line_comes_in_pieces,
            an_unfinished_line_is_shown,
            a_terminal_is_all_stdout,
        );
    };
    (@module [$test:meta] $fresh:ident, $module:ident: $($case:ident,)*) => {
        mod $module {
            $(
                #[$test]
                async fn $case() {
                    let fixture = super::$fresh().await;
                    $crate::testkit::runtime::$module::$case(&fixture).await;
                    $crate::testkit::runtime::RuntimeFixture::finish(&fixture).await;
                }
            )*
        }
    };
}
