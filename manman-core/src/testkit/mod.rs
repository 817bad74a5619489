//! The contract of every seam as a suite of cases, written once and run against every
//! implementation, ours and yours; a clock to turn by hand, and faults to inject.

pub mod blob;
pub mod broker;
mod clock;
mod faulty;
pub mod runtime;
pub mod store;
pub mod uplink;

pub use clock::ManualClock;
pub use faulty::{Faults, Faulty};
