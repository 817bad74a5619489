//! Blobs are read as a whole, or a part of one.

use futures::StreamExt as _;

use super::{
    BlobFixture,
    tools::{MIB, key, part, pattern, put, read},
};
use crate::error::ErrorKind;

/// B5: what is not there is `NotFound` before the first byte.
pub async fn what_is_not_there_is_not_found(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    put(&*blobs, "a/b", b"x").await;
    for name in ["a", "b", "a/b/c", "a/bb", "k"] {
        let error = blobs.get(&key(name), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error:?}");
        assert!(!error.is_temporary() && error.message().contains(name), "{error:?}");
        assert_eq!(blobs.stat(&key(name)).await.unwrap(), None, "{name}");
    }
}

/// B5: `stat` and `get` say the same of what is there.
pub async fn what_is_known_without_reading(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    put(&*blobs, "a/b", &pattern(1, 12_345)).await;
    let known = blobs.stat(&key("a/b")).await.unwrap().unwrap();
    assert_eq!((known.key.as_str(), known.size_bytes), ("a/b", 12_345));
    // 2020: what has no time would be 1970.
    assert!(known.modified.as_micros() > 1_577_836_800_000_000, "{}", known.modified);
    assert_eq!(blobs.get(&key("a/b"), None).await.unwrap().info, known);
    let listed = blobs.list(None, None, 10).await.unwrap().blobs.remove(0);
    assert_eq!((listed.key, listed.size_bytes), (known.key, known.size_bytes));
    // A list may tell the time less finely.
    assert!(listed.modified.as_micros().abs_diff(known.modified.as_micros()) <= 1_000_000);
}

/// B7: a range gives what of it lies within the blob.
pub async fn a_range_is_what_lies_within(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let bytes = pattern(1, 3 * MIB);
    put(&*blobs, "k", &bytes).await;
    put(&*blobs, "none", b"").await;
    let size = bytes.len() as u64;
    for (offset, length) in [
        (0, Some(1)),
        (1, Some(100_000)),
        (MIB as u64 - 1, Some(MIB as u64 + 2)),
        (size - 1, Some(1)),
        (size - 1, None),
        (7, None),
        (0, Some(size)),
        (0, Some(u64::MAX)),
        (size - 5, Some(10)),
        (size, None),
        (size + 1, Some(4)),
        (u64::MAX, Some(u64::MAX)),
        (9, Some(0)),
    ] {
        let begin = offset.min(size) as usize;
        let end = length.map_or(size, |length| offset.saturating_add(length).min(size)) as usize;
        let wanted = &bytes[begin..end.max(begin)];
        assert!(part(&*blobs, "k", offset, length).await == wanted, "{length:?} from {offset}");
        assert_eq!(part(&*blobs, "none", offset, length).await, b"");
    }
}

/// B6: a reading that has begun gives the blob that it began with, or fails.
pub async fn a_reading_is_of_one_blob(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let (old, new) = (pattern(1, 16 * MIB), pattern(2, 16 * MIB));
    for replaced in [true, false] {
        put(&*blobs, "k", &old).await;
        let mut reading = blobs.get(&key("k"), None).await.unwrap();
        let mut got = reading.bytes.next().await.unwrap().unwrap().to_vec();
        if replaced {
            put(&*blobs, "k", &new).await;
        } else {
            blobs.delete(&key("k")).await.unwrap();
        }
        let failed = loop {
            match reading.bytes.next().await {
                Some(Ok(piece)) => got.extend_from_slice(&piece),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        assert!(got[..] == old[..got.len()], "bytes of another blob");
        assert!(failed.is_some() || got.len() == old.len(), "{} bytes and no error", got.len());
    }
    put(&*blobs, "k", &new).await;
    assert!(read(&*blobs, "k").await == new);
}

/// A reading that is dropped leaves nothing behind that could be in the way.
pub async fn a_reading_may_be_dropped(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let bytes = pattern(1, 4 * MIB);
    put(&*blobs, "k", &bytes).await;
    for _ in 0..20 {
        let mut reading = blobs.get(&key("k"), None).await.unwrap();
        reading.bytes.next().await.unwrap().unwrap();
    }
    assert!(read(&*blobs, "k").await == bytes);
    blobs.delete(&key("k")).await.unwrap();
}
