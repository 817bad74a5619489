//! Questions that may never be answered: a dead disk, a frozen server.

use std::{future::Future, time::Duration};

use tokio::{task, time};

/// How long one may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// The answer, or that there was none in time.
pub async fn within<T>(question: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match time::timeout(LIMIT, question).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

/// The same of a question that blocks its thread; one that hangs is left behind.
pub async fn blocking<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    within(async {
        let asked = task::spawn_blocking(question).await;
        asked.unwrap_or_else(|error| Err(format!("the question broke: {error}")))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_or_breaks_is_a_word() {
        let hangs = within(std::future::pending::<Result<(), String>>()).await;
        assert_eq!(hangs, Err("no answer within 2 s".to_owned()));
        let breaks = blocking::<()>(|| panic!("a probe of a test breaks")).await;
        assert!(breaks.unwrap_err().starts_with("the question broke"));
    }
}
