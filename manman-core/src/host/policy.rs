//! A word against a start, on the machine where it is to happen.

use async_trait::async_trait;

use crate::model::SessionSpec;

/// Has a say before each attempt is begun: the machine's own policy, or an embedding
/// program's. A plain closure will do where nothing has to be waited for.
///
/// # Examples
/// ```
/// # use manman_core::{host::StartPolicy, model::SessionSpec};
/// fn taken(policy: impl StartPolicy) {}
/// taken(|spec: &SessionSpec, _attempt: u32| match spec.image.as_str().starts_with("games/") {
///     true => Ok(()),
///     false => Err(format!("{} is not one of ours", spec.image)),
/// });
/// ```
#[async_trait]
pub trait StartPolicy: Send + Sync + 'static {
    /// Whether this attempt may begin.
    ///
    /// # Errors
    /// Why not, for people: the session fails with it. It is asked once for an attempt, and
    /// again if it has not answered within `call_secs`; a stop does not wait for it.
    async fn may_start(&self, spec: &SessionSpec, attempt: u32) -> Result<(), String>;
}

#[async_trait]
impl<F> StartPolicy for F
where
    F: Fn(&SessionSpec, u32) -> Result<(), String> + Send + Sync + 'static,
{
    async fn may_start(&self, spec: &SessionSpec, attempt: u32) -> Result<(), String> {
        self(spec, attempt)
    }
}

/// Lets everything start.
pub(super) struct NoObjection;

#[async_trait]
impl StartPolicy for NoObjection {
    async fn may_start(&self, _: &SessionSpec, _: u32) -> Result<(), String> {
        Ok(())
    }
}
