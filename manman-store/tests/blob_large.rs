//! Large blobs go both ways in little memory. One test: the memory is that of the process.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(clippy::print_stdout, reason = "the figures of a run")]

mod blob_support;

use std::{fs, sync::Arc, time::Instant};

use blob_support::{MIB, blocking, counted, counting, key, shared, url_at};
use manman_core::blob::Blobs;
use manman_services::Weed;
use manman_store::blob::{self, BlobConfig, StoredBlobs};

/// More than all parts that are held at a time, less than a blob.
const BOUND_KIB: u64 = 56 * 1024;

/// Begins to look for the peak anew.
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// What the process has had at most since then, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn both_ways(place: &str, blobs: Arc<dyn Blobs>, size: u64) {
    let name = key("large/world.tar");
    // What is made once is made.
    blobs.put(&name, counting(MIB)).await.unwrap();
    counted(blobs.get(&name, None).await.unwrap().bytes).await;

    forget_peak();
    let (before, begun) = (peak(), Instant::now());
    assert_eq!(blobs.put(&name, counting(size)).await.unwrap(), size);
    let (put, took) = (peak() - before, begun.elapsed());
    println!("{place}: {} MiB put in {took:.1?}, {put} KiB more at most", size / MIB);

    forget_peak();
    let (before, begun) = (peak(), Instant::now());
    let blob = blobs.get(&name, None).await.unwrap();
    assert_eq!(blob.info.size_bytes, size);
    assert_eq!(counted(blob.bytes).await, size);
    let (read, took) = (peak() - before, begun.elapsed());
    println!("{place}: {} MiB read in {took:.1?}, {read} KiB more at most", size / MIB);

    assert!(put < BOUND_KIB && read < BOUND_KIB, "{place}: {put} KiB to put, {read} KiB to read");
    blobs.delete(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_blobs_take_little_memory() {
    let full = std::env::var("MANMAN_TESTS").is_ok_and(|it| it == "full");
    let size = if full { 256 * MIB } else { 64 * MIB };
    let dir = tempfile::tempdir().unwrap();
    let files = blob::open(&format!("fs://{}", dir.path().display()), None).await.unwrap();
    both_ways("directory", files, size).await;

    let weed = shared().await;
    let bucket = blocking(|| Weed::shared().bucket()).await;
    let mut config = BlobConfig::parse(&url_at(&weed.endpoint(), &bucket)).unwrap();
    let BlobConfig::S3(s3) = &mut config else { panic!("{config:?}") };
    s3.part_bytes = 5 * MIB as usize;
    both_ways("bucket", Arc::new(StoredBlobs::open(&config).await.unwrap()), size).await;
}
