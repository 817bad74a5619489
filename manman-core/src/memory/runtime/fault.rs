//! What goes wrong with an engine in memory.

use std::time::Duration;

/// How often calls to an engine in memory go wrong. Rates are between 0 and 1 and
/// follow the engine's seed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Calls that fail and have no effect.
    pub before: f64,
    /// Calls that have their effect and fail all the same.
    pub after: f64,
    /// Of the calls that run into their deadline while the engine is frozen, those that
    /// have their effect when it goes on.
    pub late: f64,
    /// Events that are lost.
    pub lost_events: f64,
    /// Consoles that break, each time something is read.
    pub broken_consoles: f64,
    /// The longest a call takes; each takes some random part of it, half before its
    /// effect and half after.
    pub latency: Duration,
}
