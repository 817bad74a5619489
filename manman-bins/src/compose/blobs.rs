//! Blobs, whether or not what keeps them answers yet.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use manman_core::{
    blob::{Blob, BlobInfo, BlobKey, BlobPage, BlobRange, BlobStream, Blobs, Presign, Presigned},
    error::{Chain, Error, ErrorKind, Result},
    memory::MemoryBlobs,
};
use manman_store::blob::{BlobConfig, StoredBlobs};

/// The longest that opening may take: that of a call of the uplink.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// The longest that a look may take: less than whoever asks for all parts waits.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// Blobs that are opened when what keeps them answers: nothing else waits for that.
pub struct LateBlobs {
    config: BlobConfig,
    opened: OnceCell<Arc<dyn Blobs>>,
}

impl fmt::Debug for LateBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateBlobs").field("config", &self.config).finish_non_exhaustive()
    }
}

impl LateBlobs {
    /// Opens what `config` names. What does not answer is said, and opened by the first call
    /// that finds it there.
    ///
    /// # Errors
    /// What waiting does not change, such as a bucket that is not there.
    pub async fn open(config: BlobConfig) -> Result<Self> {
        let blobs = Self { config, opened: OnceCell::new() };
        match blobs.opened().await {
            Err(error) if error.is_temporary() => {
                let place = &blobs.config;
                tracing::warn!(error = %Chain(&error), "{place} keeps no blobs yet; what is put is refused until it does");
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        Ok(blobs)
    }

    async fn opened(&self) -> Result<&Arc<dyn Blobs>> {
        let open = self.opened.get_or_try_init(async || {
            Ok(match &self.config {
                BlobConfig::Memory => Arc::new(MemoryBlobs::new()) as Arc<dyn Blobs>,
                config => Arc::new(StoredBlobs::open(config).await?),
            })
        });
        tokio::time::timeout(OPEN_WITHIN, open).await.unwrap_or_else(|_| Err(self.late(OPEN_WITHIN)))
    }

    /// Whether what keeps them answers now.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn look(&self) -> Result<()> {
        // Beneath what nobody puts: a directory is not looked through.
        let nothing: BlobKey = "ready".parse().expect("a constant key parses");
        let look = async { self.opened().await?.list(Some(&nothing), None, 1).await.map(drop) };
        tokio::time::timeout(LOOK_WITHIN, look).await.unwrap_or_else(|_| Err(self.late(LOOK_WITHIN)))
    }

    fn late(&self, within: Duration) -> Error {
        let message = format!("{} gave no answer within {within:?}", self.config);
        Error::new(ErrorKind::Timeout, "open the blobs", message)
    }
}

#[async_trait]
impl Blobs for LateBlobs {
    async fn put(&self, key: &BlobKey, bytes: BlobStream) -> Result<u64> {
        self.opened().await?.put(key, bytes).await
    }

    async fn get(&self, key: &BlobKey, range: Option<BlobRange>) -> Result<Blob> {
        self.opened().await?.get(key, range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<Option<BlobInfo>> {
        self.opened().await?.stat(key).await
    }

    async fn list(&self, above: Option<&BlobKey>, after: Option<&BlobKey>, limit: usize) -> Result<BlobPage> {
        self.opened().await?.list(above, after, limit).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.opened().await?.delete(key).await
    }

    async fn presign(&self, key: &BlobKey, what: Presign, valid: Duration) -> Result<Option<Presigned>> {
        self.opened().await?.presign(key, what, valid).await
    }
}
