//! Blobs over OpenDAL: in a directory, or on a server that speaks S3 (feature `s3`).
//!
//! A transfer is cut into parts, a bounded number of which is held at a time; what breaks on
//! the network is repeated, part by part, a reading from where it stopped. A put that fails
//! or is dropped is taken back: its file is removed, its upload aborted. What a process that
//! was killed has left in a directory is cleared away when that is opened again; unfinished
//! uploads on a server are for the bucket's own rule (`AbortIncompleteMultipartUpload`).

mod backend;
mod config;
mod directory;
mod map;
mod read;
#[cfg(feature = "s3")]
mod s3;
mod translate;
mod write;

use std::sync::Arc;

use manman_core::{blob::Blobs, error::Result, memory::MemoryBlobs};

pub use backend::StoredBlobs;
pub use config::{Addressing, BlobConfig, S3Config, S3Credentials};

/// Opens what `url` names, as [`BlobConfig::parse`] reads it. `credentials` are used where
/// the URL has none.
///
/// # Errors
/// `Config` if the URL or what it says is wrong: no such bucket, a wrong secret; `Denied` if
/// a directory may not be written; `Unavailable` if nobody answers.
pub async fn open(url: &str, credentials: Option<S3Credentials>) -> Result<Arc<dyn Blobs>> {
    Ok(match BlobConfig::parse(url)?.or_credentials(credentials) {
        BlobConfig::Memory => Arc::new(MemoryBlobs::new()),
        config => Arc::new(StoredBlobs::open(&config).await?),
    })
}
