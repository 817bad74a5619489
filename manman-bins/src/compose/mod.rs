//! Puts the parts together: what is chosen here is decided nowhere else.

mod late;
mod lock;
mod plane;
mod socket;
mod tasks;

pub use late::LateViewing;
pub use lock::{DataLock, LockError};
pub use plane::Plane;
pub use socket::listen_at;
pub use tasks::Tasks;
