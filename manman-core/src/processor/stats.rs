//! What a processor has done.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the start of the process.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        struct Cells {
            $($name: AtomicU64,)*
        }

        /// The counters of a processor, readable while it runs. Clones are the same ones.
        #[derive(Clone, Debug, Default)]
        pub struct Stats(Arc<Cells>);

        impl Stats {
            /// The counts so far.
            pub fn counters(&self) -> Counters {
                Counters { $($name: self.0.$name.load(Ordering::Relaxed),)* }
            }

            $(
                /// Counts; how many there are now.
                pub(super) fn $name(&self, by: usize) -> u64 {
                    self.0.$name.fetch_add(by as u64, Ordering::Relaxed) + by as u64
                }
            )*
        }
    };
}

counters! {
    /// Reports that changed something.
    changed,
    /// Reports that said what was known.
    same,
    /// Reports that had been applied before.
    duplicate,
    /// Reports of hosts that have been replaced.
    fenced,
    /// Reports that the state table refuses, or that are about nothing of their sender's.
    illegal,
    /// Outcomes of one-shot commands that were noted.
    settled,
    /// Messages put among the dead letters.
    dead,
    /// Messages given back because the store failed for now.
    given_back,
    /// Beats that the store refused; they are not kept.
    beats_refused,
    /// Telemetry that cannot be read: of another version, say. It is not kept.
    telemetry_unread,
    /// Messages that have left.
    sent,
    /// Tries to send that failed.
    send_failed,
    /// Hosts that were found silent.
    stale,
    /// Pending starts that expired.
    starts_expired,
    /// One-shot commands that nobody answered for.
    commands_expired,
    /// Looks for overdue things at which silence did not count.
    not_judged,
}
