//! Consoles: input with its receipt, output as it comes.

use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, stream, stream::BoxStream};
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

/// How long a console that is followed is quiet before it is asked whether its session has
/// ended: longer than a host keeps what has ended for the rest of its console (60 s unless
/// configured), in which that may be quiet while an engine's log is searched.
const QUIET: Duration = Duration::from_secs(75);

/// Between two looks whether a console has begun.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
) -> Result<Replies, ApiError> {
    use v1::stream_session_logs_request::Begin as Wire;
    let session = id("session_id", request.session_id, SessionId)?;
    let begin = match request.begin {
        Some(Wire::AfterSequenceNumber(number)) => Begin::At(number.saturating_add(1)),
        Some(Wire::Last(count)) => Begin::Last(count),
        None => Begin::At(1),
    };
    let permit = api.stream_permit(caller)?;
    // One that does not exist is told from one whose console is not kept here.
    api.control().session_get(session).await?;
    let shown = match view(api, session, begin, request.follow).await? {
        Some(shown) if request.follow => until_ended(api.clone(), session, shown),
        Some(shown) => shown,
        None if request.follow => {
            let shown = wait_for_view(api.clone(), session, begin);
            until_ended(api.clone(), session, shown)
        }
        None => stream::empty().boxed(),
    };
    let ending = api.shutdown_token();
    let until = shown.take_until(ending.clone().cancelled_owned());
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

type Replies = BoxStream<'static, Result<v1::StreamSessionLogsResponse, Status>>;

/// The console of a session, or `None` if nothing of it is kept (yet).
async fn view(
    api: &Api,
    session: SessionId,
    begin: Begin,
    follow: bool,
) -> Result<Option<Replies>, ApiError> {
    match api.0.viewing.view(session, begin, follow).await {
        Ok(shown) => Ok(Some(shown.flat_map(|shown| stream::iter(shown_out(shown))).map(Ok).boxed())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ApiError::of_console(&error)),
    }
}

/// A console that is followed, as long as its session may print: the mark that ends it is
/// the host's, and may be missing after a full disk or a death at the wrong moment.
fn until_ended(api: Api, session: SessionId, shown: Replies) -> Replies {
    let ended = move || {
        let api = api.clone();
        // A store that does not answer ends nothing.
        async move { api.control().session_get(session).await.is_ok_and(|session| session.state.is_end()) }
    };
    until_quiet(shown, ended).boxed()
}

/// What is `shown`, until nothing was for [`QUIET`] and it has `ended`.
fn until_quiet<T, F: Future<Output = bool>>(
    shown: BoxStream<'static, T>,
    ended: impl Fn() -> F,
) -> impl Stream<Item = T> {
    stream::unfold((shown, ended), |(mut shown, ended)| async {
        loop {
            match tokio::time::timeout(QUIET, shown.next()).await {
                Ok(next) => return next.map(|next| (next, (shown, ended))),
                Err(_) if ended().await => return None,
                Err(_) => {}
            }
        }
    })
}

/// The console of a session whose game has not printed anything yet: waits until it has, or
/// until the session has ended without.
fn wait_for_view(api: Api, session: SessionId, begin: Begin) -> Replies {
    let opened = async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let ended = api.control().session_get(session).await?.state.is_end();
            match view(&api, session, begin, true).await? {
                Some(shown) => return Ok(shown),
                None if ended => return Ok(stream::empty().boxed()),
                None => {}
            }
        }
    };
    stream::once(opened.map(|opened: Result<Replies, ApiError>| match opened {
        Ok(shown) => shown,
        Err(error) => stream::iter([Err(error.into())]).boxed(),
    }))
    .flatten()
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_ended_is_not_followed_for_ever() {
        let unmarked = stream::iter([1, 2]).chain(stream::pending()).boxed();
        let asked = AtomicU32::new(0);
        let ended = || async { asked.fetch_add(1, Ordering::Relaxed) == 2 };
        let began = tokio::time::Instant::now();
        let shown: Vec<_> = until_quiet(unmarked, ended).collect().await;
        assert_eq!((shown, began.elapsed()), (vec![1, 2], 3 * QUIET));
        // And one that is marked comes to its end by itself.
        let marked = until_quiet(stream::iter([1]).boxed(), || async { false });
        assert_eq!(marked.collect::<Vec<_>>().await, [1]);
    }
}
