//! The contract of every seam as a suite of cases, written once and run against every
//! implementation, ours and yours.

pub mod runtime;
