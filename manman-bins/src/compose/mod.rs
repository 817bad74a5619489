//! Puts the parts together: what is chosen here is decided nowhere else.

mod backends;
mod banner;
mod blobs;
mod down;
mod drives;
mod error;
mod host;
mod late;
mod lock;
mod machine;
mod plane;
mod reach;
mod signals;
mod socket;
mod tasks;
mod up;

pub use backends::{Carrier, Database};
pub use banner::Banner;
pub use blobs::LateBlobs;
pub use down::{Down, DownError, Ended, down};
pub use drives::{Chosen, Drives, MakeRuntime, RuntimeKind, choose, docker, process, recorded};
pub use error::UpError;
pub use host::Host;
pub use late::LateViewing;
pub use lock::{DataLock, LockError};
pub use plane::Plane;
pub use reach::NearOrFar;
pub use signals::Signals;
pub use socket::listen_at;
pub use tasks::Tasks;
pub use up::{Running, Say, up};
