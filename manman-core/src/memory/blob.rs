//! Blobs in memory.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};

use crate::{
    blob::{
        Blob, BlobInfo, BlobKey, BlobPage, BlobRange, BlobStream, Blobs, MAX_PAGE, MAX_PRESIGNED, Presign,
        Presigned,
    },
    clock::{Clock, SystemClock, Timestamp},
    error::{Error, ErrorKind, Result},
};

/// Blobs that live as long as this does. Clones are the same ones.
///
/// # Examples
/// ```
/// # use manman_core::{blob::{self, Blobs}, memory::MemoryBlobs};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (blobs, key) = (MemoryBlobs::new(), "worlds/monday.tar".parse()?);
/// blobs.put(&key, blob::whole("a world")).await?;
/// assert_eq!(blobs.get(&key, None).await?.collect(1024).await?, b"a world");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryBlobs {
    kept: Arc<Mutex<Kept>>,
    clock: Arc<dyn Clock>,
    limit_bytes: u64,
}

#[derive(Default)]
struct Kept {
    blobs: BTreeMap<BlobKey, (Bytes, Timestamp)>,
    /// Those of the blobs and of the puts under way.
    bytes: u64,
}

/// How many bytes are kept unless it is said otherwise.
const LIMIT: u64 = 1 << 30;

/// The largest piece that is handed out.
const PIECE: usize = 256 * 1024;

impl MemoryBlobs {
    /// Keeps up to a GiB.
    pub fn new() -> Self {
        Self::holding(LIMIT, Arc::new(SystemClock))
    }

    /// Keeps up to so many bytes, stamped by `clock`; a put that goes beyond is
    /// `Unavailable`.
    pub fn holding(limit_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        Self { kept: Arc::default(), clock, limit_bytes }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBlobs").field("blobs", &self.kept().blobs.len()).finish_non_exhaustive()
    }
}

/// The room that a put has taken; given back with it unless its blob is kept.
struct Room<'a> {
    of: &'a MemoryBlobs,
    bytes: u64,
}

impl Room<'_> {
    fn take(&mut self, bytes: u64) -> Result<()> {
        let mut kept = self.of.kept();
        if kept.bytes + bytes > self.of.limit_bytes {
            let message = format!("the {} bytes for blobs are taken", self.of.limit_bytes);
            return Err(Error::new(ErrorKind::Unavailable, "put a blob", message));
        }
        kept.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.of.kept().bytes -= self.bytes;
    }
}

impl Kept {
    /// Whether `key` is beneath a blob's, or a blob's is beneath it.
    fn collides(&self, key: &BlobKey) -> bool {
        let beneath = self.blobs.range::<BlobKey, _>((Bound::Excluded(key), Bound::Unbounded));
        let near = |other: &BlobKey| other.as_str().starts_with(key.as_str());
        beneath.map(|(other, _)| other).take_while(|other| near(other)).any(|other| other.is_beneath(key))
            || key.as_str().match_indices('/').any(|(end, _)| self.blobs.contains_key(&key.as_str()[..end]))
    }
}

fn info(key: &BlobKey, (bytes, modified): &(Bytes, Timestamp)) -> BlobInfo {
    BlobInfo { key: key.clone(), size_bytes: bytes.len() as u64, modified: *modified }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, key: &BlobKey, mut bytes: BlobStream) -> Result<u64> {
        let (mut all, mut room) = (Vec::new(), Room { of: self, bytes: 0 });
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            room.take(piece.len() as u64)?;
            all.extend_from_slice(&piece);
        }
        let (size, now) = (all.len() as u64, self.clock.now());
        let mut kept = self.kept();
        if kept.collides(key) {
            let message = format!("{key} lies beneath another blob, or another one beneath it");
            drop(kept);
            return Err(Error::new(ErrorKind::Conflict, "put a blob", message));
        }
        let before = kept.blobs.insert(key.clone(), (all.into(), now));
        kept.bytes -= before.map_or(0, |(bytes, _)| bytes.len() as u64);
        drop(kept);
        room.bytes = 0;
        Ok(size)
    }

    async fn get(&self, key: &BlobKey, range: Option<BlobRange>) -> Result<Blob> {
        let (info, bytes) = match self.kept().blobs.get(key) {
            Some(kept) => (info(key, kept), kept.0.clone()),
            None => {
                let message = format!("there is no blob {key}");
                return Err(Error::new(ErrorKind::NotFound, "read a blob", message));
            }
        };
        let part = range.map_or(0..info.size_bytes, |range| range.within(info.size_bytes));
        let bytes = bytes.slice(part.start as usize..part.end as usize);
        let pieces = stream::unfold(bytes, |mut bytes| async move {
            (!bytes.is_empty()).then(|| (Ok(bytes.split_to(bytes.len().min(PIECE))), bytes))
        });
        Ok(Blob { info, bytes: pieces.boxed() })
    }

    async fn stat(&self, key: &BlobKey) -> Result<Option<BlobInfo>> {
        Ok(self.kept().blobs.get(key).map(|kept| info(key, kept)))
    }

    async fn list(&self, above: Option<&BlobKey>, after: Option<&BlobKey>, limit: usize) -> Result<BlobPage> {
        let kept = self.kept();
        let begin = after.or(above).map_or(Bound::Unbounded, Bound::Excluded);
        let mut asked = kept
            .blobs
            .range::<BlobKey, _>((begin, Bound::Unbounded))
            .take_while(|(key, _)| above.is_none_or(|above| key.as_str().starts_with(above.as_str())))
            .filter(|(key, _)| above.is_none_or(|above| key.is_beneath(above)));
        let blobs: Vec<_> =
            asked.by_ref().take(limit.clamp(1, MAX_PAGE)).map(|(key, kept)| info(key, kept)).collect();
        let more = asked.next().is_some();
        let next = if more { blobs.last().map(|last| last.key.clone()) } else { None };
        Ok(BlobPage { blobs, next })
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        let mut kept = self.kept();
        if let Some((bytes, _)) = kept.blobs.remove(key) {
            kept.bytes -= bytes.len() as u64;
        }
        Ok(())
    }

    async fn presign(&self, _key: &BlobKey, _what: Presign, valid: Duration) -> Result<Option<Presigned>> {
        if valid > MAX_PRESIGNED {
            let message = format!("{valid:?} is longer than the {MAX_PRESIGNED:?} that are allowed");
            return Err(Error::new(ErrorKind::Invalid, "presign a blob", message));
        }
        Ok(None)
    }
}
