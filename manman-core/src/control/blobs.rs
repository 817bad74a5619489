//! What hosts put, kept for them: each beneath its own key, within bounds.

use std::{sync::Arc, time::Duration};

use futures::stream::{self, StreamExt as _};

use crate::{
    blob::{BlobKey, BlobStream, Blobs, Presign, Presigned},
    error::{Error, ErrorKind, Result},
    id::ServerId,
};

const CALL: &str = "put a blob";

/// How long an address is good: time to begin a put, and little enough for one that got lost.
const ADDRESS_VALID: Duration = Duration::from_secs(10 * 60);

/// What S3 takes in one put, which is all that is between an address and what is too much.
const MOST_AT_AN_ADDRESS: u64 = 5 << 30;

/// Puts a blob for a host. A stream that gives nothing for `silence`, or more than
/// `limit_bytes` in all, is not put.
pub(crate) async fn put_for(
    blobs: Option<&Arc<dyn Blobs>>,
    server: ServerId,
    key: &BlobKey,
    bytes: BlobStream,
    limit_bytes: u64,
    silence: Duration,
) -> Result<u64> {
    of_its_own(blobs, server, key)?.put(key, bounded(bytes, limit_bytes, silence)).await
}

/// An address where a host puts a blob by itself, if there are any. Nothing there tells how many
/// bytes are too many: where that is less than such a put may have, none is given out.
pub(crate) async fn address_for(
    blobs: Option<&Arc<dyn Blobs>>,
    server: ServerId,
    key: &BlobKey,
    limit_bytes: u64,
) -> Result<Option<Presigned>> {
    let blobs = of_its_own(blobs, server, key)?;
    if limit_bytes < MOST_AT_AN_ADDRESS {
        return Ok(None);
    }
    blobs.presign(key, Presign::Put, ADDRESS_VALID).await
}

/// What keeps the blobs, for a key of this host's alone.
fn of_its_own<'a>(
    blobs: Option<&'a Arc<dyn Blobs>>,
    server: ServerId,
    key: &BlobKey,
) -> Result<&'a Arc<dyn Blobs>> {
    let own = BlobKey::of_host(server);
    if !key.is_beneath(&own) {
        let message = format!("server {server} puts beneath {own}, not at {key}");
        return Err(Error::new(ErrorKind::Denied, CALL, message));
    }
    blobs.ok_or_else(|| Error::new(ErrorKind::Unsupported, CALL, "this control plane keeps no blobs"))
}

/// The same bytes; an error in their place where they are too many or too slow.
fn bounded(bytes: BlobStream, limit_bytes: u64, silence: Duration) -> BlobStream {
    stream::unfold(Some((bytes, limit_bytes)), move |state| async move {
        let (mut bytes, left) = state?;
        let refused = |kind, message| Some((Err(Error::new(kind, CALL, message)), None));
        let Ok(next) = tokio::time::timeout(silence, bytes.next()).await else {
            return refused(ErrorKind::Timeout, format!("nothing came for {silence:?}"));
        };
        match next? {
            Ok(piece) => match left.checked_sub(piece.len() as u64) {
                Some(left) => Some((Ok(piece), Some((bytes, left)))),
                None => refused(
                    ErrorKind::Invalid,
                    format!("it has more than the {limit_bytes} bytes that are allowed"),
                ),
            },
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::whole, memory::MemoryBlobs};

    async fn put(bytes: BlobStream) -> Result<u64> {
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new());
        let key = BlobKey::of_host(ServerId(1)).join("k").unwrap();
        let put = put_for(Some(&blobs), ServerId(1), &key, bytes, 8, Duration::from_secs(10)).await;
        assert_eq!(blobs.stat(&key).await.unwrap().is_some(), put.is_ok());
        put
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_or_too_slow_is_not_put() {
        assert_eq!(put(whole("12345678")).await.unwrap(), 8);
        let error = put(whole("1234").chain(whole("56789")).boxed()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
        let error = put(whole("1").chain(stream::pending()).boxed()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    }

    #[tokio::test]
    async fn where_none_are_kept_that_is_said() {
        let key = BlobKey::of_host(ServerId(1)).join("k").unwrap();
        let error = put_for(None, ServerId(1), &key, whole("x"), 8, Duration::MAX).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let error = address_for(None, ServerId(1), &key, u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    }
}
