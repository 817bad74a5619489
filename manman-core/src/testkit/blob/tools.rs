//! What the cases are written with.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::{
    blob::{BlobKey, BlobRange, BlobStream, Blobs},
    error::Result,
};

pub(super) const MIB: usize = 1 << 20;

pub(super) fn key(text: &str) -> BlobKey {
    text.parse().unwrap()
}

/// Bytes that tell where they are, and which blob they are of.
pub(super) fn pattern(seed: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    bytes
}

/// These bytes in pieces of that size, an empty one among them.
pub(super) fn pieces(bytes: &[u8], size: usize) -> BlobStream {
    let pieces: Vec<Result<Bytes>> =
        std::iter::once(Bytes::new()).chain(bytes.chunks(size).map(Bytes::copy_from_slice)).map(Ok).collect();
    stream::iter(pieces).boxed()
}

/// A stream that gives what is sent; its end is when the sender is gone.
pub(super) fn fed() -> (mpsc::Sender<Result<Bytes>>, BlobStream) {
    let (sender, receiver) = mpsc::channel(1);
    let pieces =
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    (sender, pieces.boxed())
}

pub(super) async fn put(blobs: &dyn Blobs, text: &str, bytes: &[u8]) {
    assert_eq!(blobs.put(&key(text), pieces(bytes, 100_000)).await.unwrap(), bytes.len() as u64);
}

pub(super) async fn read(blobs: &dyn Blobs, text: &str) -> Vec<u8> {
    blobs.get(&key(text), None).await.unwrap().collect(64 * MIB).await.unwrap()
}

pub(super) async fn part(blobs: &dyn Blobs, text: &str, offset: u64, length: Option<u64>) -> Vec<u8> {
    let range = BlobRange { offset, length };
    blobs.get(&key(text), Some(range)).await.unwrap().collect(64 * MIB).await.unwrap()
}

/// All keys beneath `above`, page by page, sorted.
pub(super) async fn listed(blobs: &dyn Blobs, above: Option<&str>, limit: usize) -> Vec<String> {
    let (above, mut after, mut all) = (above.map(key), None, Vec::new());
    loop {
        let page = blobs.list(above.as_ref(), after.as_ref(), limit).await.unwrap();
        assert!(page.blobs.len() <= limit, "{} in a page of {limit}", page.blobs.len());
        all.extend(page.blobs.into_iter().map(|blob| blob.key.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    all.sort();
    all
}
