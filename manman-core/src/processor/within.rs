//! Deadlines of what the processor waits for: a store or broker that says nothing must not
//! hold up what comes after.

use std::{future::Future, time::Duration};

use crate::error::{Error, ErrorKind, Result};

/// The outcome of `work`, or `Timeout` after `longest`: whether it was done is not known then.
pub(super) async fn within<T>(
    operation: &'static str,
    longest: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(longest, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(ErrorKind::Timeout, operation, format!("no answer within {longest:?}"))),
    }
}
