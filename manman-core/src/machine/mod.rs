//! What every runtime does on the machine itself, whatever it drives: the directories of
//! deployments, the ports, and what this machine allows.

mod blocking;
mod data;
mod policy;
mod ports;

pub use blocking::blocking;
pub use data::{DataDir, Nonce, User};
pub use policy::Policy;
pub use ports::{first_held, held_by, port_holder};

#[cfg(test)]
mod tests;
