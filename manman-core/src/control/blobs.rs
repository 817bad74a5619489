//! What hosts put, kept for them: each beneath its own key, within bounds.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::stream::{self, StreamExt as _};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

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

/// The least that has to come of a blob in a second, on average and beyond the silence that is
/// allowed: 16 KiB, an eighth of a slow line's megabit. A host that gives less keeps others out.
const LEAST_A_SECOND: f64 = 16_384.0;

/// How many of the places for puts one host may hold.
const PLACES_OF_ONE: usize = 2;

/// The places for puts, so that memory does not grow with the number of hosts.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_each: Mutex<BTreeMap<ServerId, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(crate) struct HeldPlace {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl Places {
    /// So many, [`PLACES_OF_ONE`] of them for each host at most.
    pub fn new(count: u32) -> Self {
        Self { all: Arc::new(Semaphore::new(count as usize)), of_each: Mutex::default() }
    }

    /// Waits for one, at most so long; `Busy` then.
    pub async fn take(&self, server: ServerId, longest: Duration) -> Result<HeldPlace> {
        let own = {
            let mut of_each = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
            of_each.entry(server).or_insert_with(|| Arc::new(Semaphore::new(PLACES_OF_ONE))).clone()
        };
        let both =
            async { Some((own.acquire_owned().await.ok()?, self.all.clone().acquire_owned().await.ok()?)) };
        match timeout(longest, both).await {
            Ok(Some((own, shared))) => Ok(HeldPlace { _own: own, _shared: shared }),
            _ => Err(Error::new(ErrorKind::Busy, CALL, "as many blobs as may be are being put at once")),
        }
    }
}

/// The same bytes, which hold a place for as long as somebody has them.
pub(crate) fn held(bytes: BlobStream, place: HeldPlace) -> BlobStream {
    bytes
        .inspect(move |_| {
            let _held = &place;
        })
        .boxed()
}

/// Puts a blob for a host. A stream that has us wait for longer than `silence` at once, or for
/// longer than that and [`LEAST_A_SECOND`] allow in all, or gives more than `limit_bytes`, is
/// not put.
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
    let begun = Came { size: 0, waited: Duration::ZERO };
    stream::unfold(Some((bytes, begun)), move |state| async move {
        let (mut bytes, mut came) = state?;
        let refused = |kind, message| Some((Err(Error::new(kind, CALL, message)), None));
        let asked = Instant::now();
        let wait = came.may_wait(silence).min(silence);
        let next = timeout(wait, async {
            loop {
                match bytes.next().await {
                    // Nothing, however often, is silence.
                    Some(Ok(piece)) if piece.is_empty() => {}
                    next => return next,
                }
            }
        });
        let Ok(next) = next.await else {
            return refused(ErrorKind::Timeout, format!("only {} bytes came in time", came.size));
        };
        came.waited += asked.elapsed();
        match next? {
            Ok(piece) => {
                came.size = came.size.saturating_add(piece.len() as u64);
                if came.size > limit_bytes {
                    let message = format!("it has more than the {limit_bytes} bytes that are allowed");
                    return refused(ErrorKind::Invalid, message);
                }
                Some((Ok(piece), Some((bytes, came))))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// What came of a blob so far, and how long it was waited for: what takes the bytes may be slow
/// for reasons of its own.
struct Came {
    size: u64,
    waited: Duration,
}

impl Came {
    fn may_wait(&self, silence: Duration) -> Duration {
        let for_size = Duration::from_secs_f64(self.size as f64 / LEAST_A_SECOND);
        silence.saturating_add(for_size).saturating_sub(self.waited)
    }
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
        for piece in ["", "1"] {
            let drop_by_drop = stream::unfold((), move |()| async move {
                tokio::time::sleep(Duration::from_secs(9)).await;
                Some((Ok(piece.into()), ()))
            });
            let error = put(drop_by_drop.boxed()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        }
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
