//! Whether the ports of a game are free on this machine, and who holds them if not.

mod bind;
mod holder;
#[cfg(test)]
mod tests;

pub use bind::first_held;
pub use holder::port_holder;
