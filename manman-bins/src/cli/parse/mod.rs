//! What people write on a command line, read once into words that cannot be wrong.

mod amount;
mod port;
mod text;

pub use amount::{bytes, cpu_millis, duration, millis};
pub use port::{PortAsked, port_asked, port_need};
pub use text::{Pair, network, pair, stop_step, volume};
