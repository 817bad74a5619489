//! Messages that nobody could deal with.

use manman_core::{broker::DeadLetter, control::Control, error::ErrorKind, model::Invalid};
use uuid::Uuid;

use super::Api;
use crate::api::{
    auth::Caller,
    errors::{ApiError, ErrorCode},
    v1,
};

/// How many are listed unless said otherwise.
const USUAL: i32 = 50;

impl From<DeadLetter> for v1::DeadLetter {
    fn from(letter: DeadLetter) -> Self {
        Self {
            message_id: letter.message.id.to_string(),
            queue: letter.queue,
            key: letter.message.key.to_string(),
            reason: letter.reason,
            attempts: letter.attempts,
            body: letter.message.body.into(),
        }
    }
}

pub(super) async fn list(
    api: &Api,
    _: &Caller,
    request: v1::ListDeadLettersRequest,
) -> Result<v1::ListDeadLettersResponse, ApiError> {
    let limit = request.limit.unwrap_or(USUAL);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=Control::PAGE_MOST).contains(limit));
    let limit = limit.ok_or_else(|| {
        Invalid::new(
            "limit",
            format!("{} is not within 1 to {}", request.limit.unwrap_or(0), Control::PAGE_MOST),
        )
    })?;
    let letters = api.control().dead_letters(limit).await.map_err(of_broker)?;
    Ok(v1::ListDeadLettersResponse { dead_letters: letters.into_iter().map(Into::into).collect() })
}

pub(super) async fn requeue(
    api: &Api,
    caller: &Caller,
    request: v1::RequeueDeadLetterRequest,
) -> Result<v1::RequeueDeadLetterResponse, ApiError> {
    let message = message(&request.message_id)?;
    api.control().dead_letter_requeue(message).await.map_err(of_broker)?;
    tracing::info!(message.id = %message, "{} put a dead letter back", caller.name());
    Ok(v1::RequeueDeadLetterResponse {})
}

pub(super) async fn discard(
    api: &Api,
    caller: &Caller,
    request: v1::DropDeadLetterRequest,
) -> Result<v1::DropDeadLetterResponse, ApiError> {
    let message = message(&request.message_id)?;
    api.control().dead_letter_drop(message).await.map_err(of_broker)?;
    tracing::info!(message.id = %message, "{} threw a dead letter away", caller.name());
    Ok(v1::DropDeadLetterResponse {})
}

fn message(text: &str) -> Result<Uuid, Invalid> {
    text.parse().map_err(|_| Invalid::new("message_id", "is no UUID"))
}

/// What a broker refuses; nothing was to be written to the store.
fn of_broker(failed: manman_core::error::Error) -> ApiError {
    match failed.kind() {
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy => {
            tracing::error!(error = %manman_core::error::Chain(&failed), "the broker cannot be asked");
            ApiError::new(ErrorCode::BrokerUnavailable, failed.to_string())
        }
        ErrorKind::NotFound => ApiError::new(ErrorCode::NotFound, failed.message())
            .remedy("List what there is: `manman deadletter list`."),
        _ => failed.into(),
    }
}
