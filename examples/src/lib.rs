//! Small programs that embed manman, one in each file of `src/bin`, and what is worth a test
//! of its own: a broker of one's own ([`metered`]) and the sinks of a subscriber
//! ([`subscriber`]).

pub mod metered;
pub mod subscriber;
