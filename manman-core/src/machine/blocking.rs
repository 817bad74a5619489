//! Work that blocks: the disk, the kernel's tables.

use crate::error::{Error, ErrorKind, Result};

/// Does `work` on a thread for such work.
///
/// # Errors
/// Those of `work`; `Unexpected` if it panicked.
pub async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(ErrorKind::Unexpected, operation, "the work broke off").because(error)),
    }
}
