//! Our words to OpenDAL's, and back.

use std::time::{SystemTime, UNIX_EPOCH};

use manman_core::{
    blob::{BlobInfo, BlobKey, Presigned},
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
};
use opendal::{Entry, Metadata, raw::PresignedRequest};

/// A blob of which this is told; none if it is no blob.
pub(super) fn info(key: BlobKey, metadata: &Metadata) -> Option<BlobInfo> {
    let modified = metadata.last_modified().map(SystemTime::from);
    let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let modified = Timestamp::default().plus(since);
    metadata.is_file().then(|| BlobInfo { key, size_bytes: metadata.content_length(), modified })
}

/// A blob in a list; none if it is a directory, or something that is not ours.
pub(super) fn listed(entry: &Entry) -> Option<BlobInfo> {
    info(entry.path().parse().ok()?, entry.metadata())
}

/// A request that is signed.
pub(super) fn presigned(operation: &'static str, request: &PresignedRequest) -> Result<Presigned> {
    let field = |value: &[u8]| {
        let text = std::str::from_utf8(value).map(str::to_owned);
        text.map_err(|error| {
            Error::new(ErrorKind::Unexpected, operation, "a header is no text").because(error)
        })
    };
    let headers = request
        .header()
        .iter()
        .map(|(name, value)| Ok((name.as_str().to_owned(), field(value.as_bytes())?)))
        .collect::<Result<_>>()?;
    Ok(Presigned { method: request.method().to_string(), url: request.uri().to_string(), headers })
}
