//! Buckets of the server that the tests of a program share, and bytes to put there.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "no program of tests needs all of it")]

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use manman_core::{
    blob::{BlobKey, BlobStream},
    error::Error,
};
use manman_services::Weed;
use tokio::sync::mpsc;

pub const PATIENCE: Duration = Duration::from_secs(120);
pub const MIB: u64 = 1 << 20;

pub fn key(text: &str) -> BlobKey {
    text.parse().unwrap()
}

/// The server that the tests of this program share.
pub async fn shared() -> &'static Weed {
    blocking(Weed::shared).await
}

/// The URL of a bucket there, asked at another address than its own.
pub fn url_at(endpoint: &str, bucket: &str) -> String {
    format!("s3://{}:{}@{bucket}?endpoint={endpoint}", Weed::ACCESS_KEY, Weed::ENCODED_SECRET_KEY)
}

pub async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut patience = manman_services::Patience::new(PATIENCE);
    while !is_so().await {
        assert!(!patience.is_spent(), "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const PIECE: u64 = 64 * 1024;

/// Bytes that tell where they are: the `n`th piece of a stream of them.
fn piece(n: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PIECE as usize);
    (n * PIECE / 8..(n + 1) * PIECE / 8).for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes
}

/// So many of them, made as they are asked for.
pub fn counting(size: u64) -> BlobStream {
    let pieces = (0..size.div_ceil(PIECE)).map(move |n| {
        let mut piece = piece(n);
        piece.truncate((size - n * PIECE).min(PIECE) as usize);
        Ok(Bytes::from(piece))
    });
    stream::iter(pieces).boxed()
}

/// Reads what [`counting`] made; how many bytes there were.
pub async fn counted(mut bytes: BlobStream) -> u64 {
    let mut size = 0_u64;
    while let Some(got) = bytes.next().await {
        let mut got = &got.unwrap()[..];
        while !got.is_empty() {
            let wanted = &piece(size / PIECE)[(size % PIECE) as usize..];
            let (now, later) = got.split_at(got.len().min(wanted.len()));
            assert!(now == &wanted[..now.len()], "other bytes from {size} on");
            (size, got) = (size + now.len() as u64, later);
        }
    }
    size
}

/// A stream that gives what is sent; its end is when the sender is gone.
pub fn fed() -> (mpsc::Sender<Result<Bytes, Error>>, BlobStream) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces =
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    (sender, pieces.boxed())
}

/// A MiB of something.
pub fn a_mib() -> Bytes {
    Bytes::from(vec![7; MIB as usize])
}
