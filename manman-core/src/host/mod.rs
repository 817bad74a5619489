//! The host manager: runs the games of one machine, and never stands in their way.

pub mod console;
pub mod journal;
pub mod plan;
pub mod spool;
