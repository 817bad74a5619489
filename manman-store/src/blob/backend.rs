//! The seam over OpenDAL.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;
use manman_core::{
    blob::{
        Blob, BlobInfo, BlobKey, BlobPage, BlobRange, BlobStream, Blobs, MAX_PAGE, MAX_PRESIGNED, Presign,
        Presigned,
    },
    error::{Error, ErrorKind, Result},
};
use opendal::{Lister, Operator};

use super::{
    config::BlobConfig,
    directory, map,
    read::Reading,
    translate::{OPEN, Place, is_absent},
    write::{Parts, Writing},
};

/// Blobs in a directory or a bucket.
#[derive(Clone)]
pub struct StoredBlobs {
    /// As it is.
    once: Operator,
    /// Repeats what can be repeated: for transfers.
    patient: Operator,
    place: Place,
    parts: Parts,
}

impl fmt::Debug for StoredBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredBlobs").field("place", &self.place).finish_non_exhaustive()
    }
}

impl StoredBlobs {
    /// Opens what `config` names, and looks whether it is there.
    ///
    /// # Errors
    /// As [`open`](super::open); `Config` for blobs in memory, which are not stored.
    pub async fn open(config: &BlobConfig) -> Result<Self> {
        match config {
            BlobConfig::Memory => Err(Error::new(ErrorKind::Config, OPEN, "blobs in memory are not stored")),
            BlobConfig::Directory(dir) => {
                let (once, place) = directory::open(dir.clone()).await?;
                // What a file system refuses it refuses again.
                Ok(Self { patient: once.clone(), once, place, parts: Parts::of_files() })
            }
            #[cfg(feature = "s3")]
            BlobConfig::S3(config) => {
                let (once, patient, place) = super::s3::open(config)?;
                let blobs = Self { once, patient, place, parts: Parts::of_upload(config.part_bytes) };
                let (above, limit) = ("", 1);
                let look = blobs.once.list_with(above).limit(limit);
                look.await.map_err(|error| blobs.place.failed(OPEN, None, error))?;
                Ok(blobs)
            }
            #[cfg(not(feature = "s3"))]
            BlobConfig::S3(_) => Err(Error::new(ErrorKind::Config, OPEN, "this build knows no S3")),
        }
    }

    /// Whether the backend begins a list where it is told to; else all is looked through.
    fn can_begin_after(&self) -> bool {
        self.once.info().capability().list_with_start_after
    }

    async fn lister(&self, above: &str, after: Option<&BlobKey>, limit: usize) -> opendal::Result<Lister> {
        let lister = self.once.lister_with(above).recursive(true);
        match after {
            Some(after) if self.can_begin_after() => lister.limit(limit).start_after(after.as_str()).await,
            _ if self.can_begin_after() => lister.limit(limit).await,
            _ => lister.await,
        }
    }
}

const LIST: &str = "list blobs";

#[async_trait]
impl Blobs for StoredBlobs {
    async fn put(&self, key: &BlobKey, bytes: BlobStream) -> Result<u64> {
        Writing::new(self.patient.clone(), self.place.clone(), key.clone(), self.parts).run(bytes).await
    }

    async fn get(&self, key: &BlobKey, range: Option<BlobRange>) -> Result<Blob> {
        Reading::new(self.patient.clone(), self.place.clone(), key.clone()).begin(range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<Option<BlobInfo>> {
        match self.once.stat(key.as_str()).await {
            Ok(metadata) => Ok(map::info(key.clone(), &metadata)),
            Err(error) => match self.place.failed("look at a blob", Some(key), error) {
                // `a/b` where `a` is a blob.
                error if [ErrorKind::NotFound, ErrorKind::Conflict].contains(&error.kind()) => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn list(&self, above: Option<&BlobKey>, after: Option<&BlobKey>, limit: usize) -> Result<BlobPage> {
        let limit = limit.clamp(1, MAX_PAGE);
        let path = above.map(|above| format!("{above}/")).unwrap_or_default();
        let failed = |error| self.place.failed(LIST, above, error);
        let mut entries = match self.lister(&path, after, limit + 1).await {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(BlobPage { blobs: Vec::new(), next: None }),
            Err(error) => return Err(failed(error)),
        };
        // In the backend's order if it has one that it can go on in, else sorted here.
        let (mut ordered, mut sorted) = (Vec::new(), BTreeMap::new());
        while let Some(entry) = entries.next().await {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if is_absent(&error) => break,
                Err(error) => return Err(failed(error)),
            };
            let Some(blob) = map::listed(&entry) else { continue };
            if self.can_begin_after() {
                ordered.push(blob);
                if ordered.len() > limit {
                    break;
                }
            } else if after.is_none_or(|after| blob.key > *after) {
                sorted.insert(blob.key.clone(), blob);
                if sorted.len() > limit + 1 {
                    sorted.pop_last();
                }
            }
        }
        let mut blobs: Vec<_> = ordered.into_iter().chain(sorted.into_values()).collect();
        let more = blobs.len() > limit;
        blobs.truncate(limit);
        let next = if more { blobs.last().map(|last| last.key.clone()) } else { None };
        Ok(BlobPage { blobs, next })
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        // A directory in a blob's place is none.
        if self.once.info().scheme() == opendal::services::FS_SCHEME && self.stat(key).await?.is_none() {
            return Ok(());
        }
        match self.once.delete(key.as_str()).await {
            Err(error) if !is_absent(&error) => Err(self.place.failed("delete a blob", Some(key), error)),
            _ => Ok(()),
        }
    }

    async fn presign(&self, key: &BlobKey, what: Presign, valid: Duration) -> Result<Option<Presigned>> {
        const OPERATION: &str = "presign a blob";
        if valid > MAX_PRESIGNED {
            let message = format!("{valid:?} is longer than the {MAX_PRESIGNED:?} that are allowed");
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
        let path = key.as_str();
        if !self.once.info().capability().presign {
            return Ok(None);
        }
        let request = match what {
            Presign::Get => self.once.presign_read(path, valid).await,
            Presign::Put => self.once.presign_write(path, valid).await,
        };
        let request = request.map_err(|error| self.place.failed(OPERATION, Some(key), error))?;
        map::presigned(OPERATION, &request).map(Some)
    }
}
