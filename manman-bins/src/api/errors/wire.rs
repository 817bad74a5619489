//! An error as gRPC carries it: `google.rpc.Status` with an `ErrorInfo`, in the trailer
//! `grpc-status-details-bin`.

use std::collections::BTreeMap;

use prost::Message;
use tonic::{Code, Status};

use super::{ApiError, ErrorCode};

const DOMAIN: &str = "manman";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// `google/rpc/status.proto`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google/rpc/error_details.proto`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// The status of an error.
pub(super) fn status(error: &ApiError) -> Status {
    let ApiError { code, message, field, remedy, details } = error;
    let mut metadata: BTreeMap<String, String> =
        details.iter().map(|(&key, value)| (key.to_owned(), value.clone())).collect();
    metadata.insert("cause".to_owned(), code.cause().to_owned());
    metadata.insert("remedy".to_owned(), remedy.clone().unwrap_or_else(|| code.remedy().to_owned()));
    if let Some(field) = field {
        metadata.insert("field".to_owned(), field.clone());
    }
    let info = ErrorInfo { reason: code.as_str().to_owned(), domain: DOMAIN.to_owned(), metadata };
    let status = RpcStatus {
        code: code.grpc() as i32,
        message: message.clone(),
        details: vec![prost_types::Any { type_url: ERROR_INFO.to_owned(), value: info.encode_to_vec() }],
    };
    Status::with_details(code.grpc(), message, status.encode_to_vec().into())
}

/// An error as a client got it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Reported {
    /// The catalogue's code, or gRPC's name in lower case where there is none.
    pub code: String,
    /// What happened.
    pub message: String,
    /// How it comes about.
    pub cause: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The field that was refused.
    pub field: Option<String>,
    /// What else the server said.
    pub details: BTreeMap<String, String>,
}

impl From<&Status> for Reported {
    fn from(status: &Status) -> Self {
        let info = RpcStatus::decode(status.details())
            .ok()
            .and_then(|status| status.details.into_iter().find(|any| any.type_url == ERROR_INFO))
            .and_then(|any| ErrorInfo::decode(any.value.as_slice()).ok())
            .filter(|info| info.domain == DOMAIN);
        let Some(info) = info else {
            return Self {
                code: grpc_name(status.code()).to_ascii_lowercase(),
                message: status.message().to_owned(),
                cause: None,
                remedy: None,
                field: None,
                details: BTreeMap::new(),
            };
        };
        let mut details = info.metadata;
        Self {
            code: info.reason,
            message: status.message().to_owned(),
            cause: details.remove("cause"),
            remedy: details.remove("remedy"),
            field: details.remove("field"),
            details,
        }
    }
}

/// What the transport says by itself, in the catalogue's words: `None` where it says it
/// as we would, or where one of ours is in it already.
pub(in crate::api) fn reworded(status: &Status) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    let code = match status.code() {
        // tonic's word for a message over the limit.
        Code::OutOfRange => ErrorCode::MessageTooLarge,
        Code::Unimplemented => ErrorCode::UnknownCall,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        _ => return None,
    };
    let message = match code {
        ErrorCode::UnknownCall => "there is no such call",
        _ => status.message(),
    };
    Some(ApiError::new(code, message).into())
}

/// gRPC's name of a status code.
pub(super) fn grpc_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
