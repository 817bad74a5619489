//! Consoles: input with its receipt, output as it comes.

use futures::{StreamExt as _, stream, stream::BoxStream};
use tonic::Status;

use manman_core::{
    error::ErrorKind,
    id::SessionId,
    model::{ConsoleLine, Invalid},
    viewing::Begin,
    wire::Outcome,
};

use super::{Api, write::write};
use crate::api::{
    auth::Caller,
    convert::{id, parsed, shown_out},
    errors::{ApiError, ErrorCode},
    v1,
};

pub(super) async fn send(
    api: &Api,
    caller: &Caller,
    mut request: v1::SendInputRequest,
) -> Result<v1::SendInputResponse, ApiError> {
    let write = write(caller, &mut request)?;
    let session = id("session_id", request.session_id, SessionId)?;
    let text = std::str::from_utf8(&request.input).map_err(|_| Invalid::new("input", "is not UTF-8"))?;
    let line: ConsoleLine = parsed("input", text)?;
    let receipt = api.control().session_input(session, &line, &write).await?;
    let (outcome, reason) = match receipt.outcome {
        Outcome::Done => (v1::InputOutcome::Done, String::new()),
        Outcome::Refused(why) => (v1::InputOutcome::Refused, why),
        Outcome::Unknown(why) => (v1::InputOutcome::Unknown, why),
    };
    Ok(v1::SendInputResponse { command_id: receipt.command.to_string(), outcome: outcome.into(), reason })
}

pub(super) async fn stream(
    api: &Api,
    caller: &Caller,
    request: v1::StreamSessionLogsRequest,
) -> Result<BoxStream<'static, Result<v1::StreamSessionLogsResponse, Status>>, ApiError> {
    use v1::stream_session_logs_request::Begin as Wire;
    let session = id("session_id", request.session_id, SessionId)?;
    let begin = match request.begin {
        Some(Wire::AfterSequenceNumber(number)) => Begin::At(number.saturating_add(1)),
        Some(Wire::Last(count)) => Begin::Last(count),
        None => Begin::At(1),
    };
    let permit = api.stream_permit(caller)?;
    // One that does not exist is told from one whose console is not kept here.
    let record = api.control().session_get(session).await?;
    let shown = match api.0.viewing.view(session, begin, request.follow).await {
        Ok(shown) => shown,
        // It has printed nothing so far, or nothing of it is kept any more.
        Err(error) if error.kind() == ErrorKind::NotFound && !request.follow => stream::empty().boxed(),
        Err(error) if error.kind() == ErrorKind::NotFound && record.state.is_end() => stream::empty().boxed(),
        Err(error) => return Err(error.into()),
    };
    let ending = api.shutdown_token();
    let replies = shown.flat_map(|shown| stream::iter(shown_out(shown))).map(Ok);
    let until = replies.take_until(ending.clone().cancelled_owned());
    let farewell = stream::once(async move {
        ending.is_cancelled().then(|| {
            Err(ApiError::new(ErrorCode::ShuttingDown, "this process is about to end; the game goes on")
                .into())
        })
    });
    let whole = until.chain(farewell.filter_map(|last| async { last }));
    Ok(whole
        .map(move |reply| {
            // Kept as long as the stream is.
            let _ = &permit;
            reply
        })
        .boxed())
}
