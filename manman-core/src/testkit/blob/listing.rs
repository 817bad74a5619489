//! Blobs are listed in pages.

use super::{
    BlobFixture,
    tools::{key, listed, put},
};

/// B8: a list gives every blob beneath a key, each once, in pages of any size.
pub async fn a_list_holds_each_once(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    // Names that sort differently as text and as paths.
    let names = ["a-b/x", "a.b", "a/b", "a/b-c", "a/b.c/d", "a/c/d/e/f", "a0", "b/1", "b/10", "b/2", "z"];
    for name in names {
        put(&*blobs, name, name.as_bytes()).await;
    }
    for limit in [1, 2, 3, names.len() - 1, names.len(), 1_000] {
        assert_eq!(listed(&*blobs, None, limit).await, names, "pages of {limit}");
        assert_eq!(listed(&*blobs, Some("a"), limit).await, ["a/b", "a/b-c", "a/b.c/d", "a/c/d/e/f"]);
        assert_eq!(listed(&*blobs, Some("b"), limit).await, ["b/1", "b/10", "b/2"]);
    }
    let page = blobs.list(None, None, 1_000_000).await.unwrap();
    assert_eq!((page.blobs.len(), page.next), (names.len(), None));
    for blob in page.blobs {
        assert_eq!(blob.size_bytes, blob.key.as_str().len() as u64, "{}", blob.key);
    }
}

/// B8: what is beneath a key is beneath it as a segment.
pub async fn a_list_is_by_segments(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    for name in ["hosts/3/a", "hosts/30/b", "hosts/3-c", "hosts3/d"] {
        put(&*blobs, name, b"x").await;
    }
    assert_eq!(listed(&*blobs, Some("hosts/3"), 10).await, ["hosts/3/a"]);
    assert_eq!(listed(&*blobs, Some("hosts/3/a"), 10).await, [""; 0]);
    assert_eq!(listed(&*blobs, Some("hosts"), 10).await, ["hosts/3-c", "hosts/3/a", "hosts/30/b"]);
}

/// B8: what is there all the while is listed once, whatever comes and goes.
pub async fn what_stays_is_listed_while_others_come_and_go(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let stay: Vec<_> = (0..12).map(|n| format!("d{}/stays-{n:02}", n % 3)).collect();
    for name in &stay {
        put(&*blobs, name, b"x").await;
    }
    let (mut after, mut seen) = (None, Vec::new());
    for round in 0.. {
        put(&*blobs, &format!("d{}/passing-{round}", round % 3), b"x").await;
        let page = blobs.list(None, after.as_ref(), 2).await.unwrap();
        // What the next page goes on after may be gone by then.
        for blob in page.blobs {
            let name = blob.key.to_string();
            if name.contains("passing") {
                blobs.delete(&blob.key).await.unwrap();
            } else {
                seen.push(name);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
        assert!(round < 100, "a list without an end");
    }
    seen.sort();
    let mut stay = stay;
    stay.sort();
    assert_eq!(seen, stay);
}

/// Nothing beneath a key is an empty page, also where something was.
pub async fn a_list_of_nothing_is_empty(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    assert_eq!(listed(&*blobs, None, 10).await, [""; 0]);
    assert_eq!(listed(&*blobs, Some("a/b"), 10).await, [""; 0]);
    put(&*blobs, "a/b/c", b"x").await;
    blobs.delete(&key("a/b/c")).await.unwrap();
    assert_eq!(listed(&*blobs, Some("a"), 10).await, [""; 0]);
}
