//! What the store and the seams refuse, in the catalogue's words.

use manman_core::{
    error::{Chain, Error, ErrorKind},
    store::DeedError,
};
use tracing::error;

use super::{ApiError, ErrorCode};

impl From<DeedError> for ApiError {
    fn from(deed: DeedError) -> Self {
        use ErrorCode::*;
        let message = deed.to_string();
        let said = |code| Self::new(code, message.clone());
        match deed {
            DeedError::NotFound { .. } => said(NotFound),
            DeedError::NameTaken { .. } => said(NameTaken),
            DeedError::TokenKnown { .. } => said(TokenKnown),
            DeedError::ChangedMeanwhile { .. } => said(ChangedMeanwhile),
            DeedError::InUse { by, .. } => said(InUse).remedy(format!("Delete {by} first.")),
            DeedError::PortTaken { holder, port, .. } => said(PortConflict)
                .remedy(format!(
                    "Choose another port, ask for any of a range (any:{port}-…), or delete deployment {holder}."
                ))
                .with("holder", holder)
                .with("port", port),
            DeedError::NoPortFree { .. } => said(NoPortFree),
            DeedError::PortsDiffer(_) => said(PortsDiffer),
            DeedError::SessionLive { session, .. } => said(SessionLive)
                .remedy(format!(
                    "Use session {session}, or end it first: `manman stop {session}`, or `manman restart {session}`."
                ))
                .with("session", session),
            DeedError::SessionEnded { .. } => said(SessionEnded),
            DeedError::SessionStopping { .. } => said(SessionStopping),
            DeedError::NotRunning { .. } => said(NotRunning),
            DeedError::NotActive { .. } => said(NotActive),
            DeedError::ServerTaken { .. } => said(ServerTaken),
            DeedError::ServerOnline { .. } => said(ServerOnline),
            DeedError::JoinRefused { .. } => said(JoinRefused),
            DeedError::IdempotencyMismatch { .. } => said(IdempotencyMismatch),
            DeedError::Invalid(invalid) => invalid.into(),
            DeedError::Store(error) => error.into(),
            // A refusal that was added since.
            _ => said(Internal),
        }
    }
}

impl From<Error> for ApiError {
    /// What a backend says beyond its message stays in the log: it may hold what is
    /// nobody's business.
    fn from(failed: Error) -> Self {
        let code = match failed.kind() {
            ErrorKind::NotFound => ErrorCode::NotFound,
            ErrorKind::Invalid => ErrorCode::InvalidArgument,
            ErrorKind::Unsupported => ErrorCode::Unsupported,
            // It may have been done all the same.
            ErrorKind::Timeout => ErrorCode::DeadlineExceeded,
            ErrorKind::Unavailable | ErrorKind::Busy => ErrorCode::StoreUnavailable,
            _ => ErrorCode::Internal,
        };
        logged(code, &failed)
    }
}

impl ApiError {
    /// Why a console cannot be shown: nothing was to be written, and the store is not at fault.
    pub fn of_console(failed: &Error) -> Self {
        let code = match failed.kind() {
            ErrorKind::NotFound => ErrorCode::NotFound,
            ErrorKind::Unsupported => ErrorCode::Unsupported,
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy => ErrorCode::ConsoleUnavailable,
            _ => ErrorCode::Internal,
        };
        logged(code, failed)
    }
}

impl ApiError {
    /// Why a blob cannot be put: the store is not at fault.
    pub fn of_blobs(failed: &Error) -> Self {
        let code = match failed.kind() {
            ErrorKind::Invalid => ErrorCode::InvalidArgument,
            ErrorKind::Timeout => ErrorCode::DeadlineExceeded,
            ErrorKind::Busy => ErrorCode::TooManyPuts,
            ErrorKind::Unavailable => ErrorCode::BlobsUnavailable,
            _ => ErrorCode::Internal,
        };
        logged(code, failed)
    }
}

fn logged(code: ErrorCode, failed: &Error) -> ApiError {
    use ErrorCode::*;
    if matches!(code, BlobsUnavailable | ConsoleUnavailable | DeadlineExceeded | Internal | StoreUnavailable)
    {
        error!(error = %Chain(failed), "a call failed: {}", code.as_str());
    }
    ApiError::new(code, failed.to_string())
}

#[cfg(test)]
mod tests {
    use manman_core::{
        id::{ServerId, SessionId, SgcId},
        model::{Protocol, State},
    };

    use super::*;

    #[test]
    fn refusals_keep_their_code_and_name_what_is_in_the_way() {
        let live = DeedError::SessionLive { session: SessionId(7), sgc: SgcId(3), state: State::Running };
        let error = ApiError::from(live);
        assert_eq!(error.code(), ErrorCode::SessionLive);
        assert_eq!(error.message(), "session 7 of deployment 3 is running");

        let taken = DeedError::PortTaken {
            port: 3979.try_into().unwrap(),
            protocol: Protocol::Udp,
            server: ServerId(1),
            holder: SgcId(9),
        };
        assert_eq!(ApiError::from(taken).code(), ErrorCode::PortConflict);
    }

    #[test]
    fn a_failing_store_is_unavailable_and_keeps_its_inside_to_itself() {
        let failed = Error::new(ErrorKind::Unavailable, "session start", "the database is locked")
            .because(std::io::Error::other("/secret/path"));
        let error = ApiError::from(DeedError::from(failed));
        assert_eq!(error.code(), ErrorCode::StoreUnavailable);
        assert!(!error.message().contains("/secret"));
    }

    #[test]
    fn a_deed_that_may_be_done_is_not_called_undone() {
        let late = || Error::new(ErrorKind::Timeout, "session start", "no answer within 10s");
        assert_eq!(ApiError::from(DeedError::from(late())).code(), ErrorCode::DeadlineExceeded);
        assert_eq!(ApiError::of_console(&late()).code(), ErrorCode::ConsoleUnavailable);
        let away = Error::new(ErrorKind::Unavailable, "read a console", "the disk failed");
        assert_eq!(ApiError::of_console(&away).code(), ErrorCode::ConsoleUnavailable);
    }
}
