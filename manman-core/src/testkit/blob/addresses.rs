//! Presigned addresses, of backends that have them.

use std::time::Duration;

use super::{
    BlobFixture,
    tools::{key, pattern, put, read},
};
use crate::{
    blob::{Blobs, MAX_PRESIGNED, Presign, Presigned},
    error::ErrorKind,
};

const VALID: Duration = Duration::from_secs(600);

async fn presigned(blobs: &dyn Blobs, name: &str, what: Presign) -> Option<Presigned> {
    blobs.presign(&key(name), what, VALID).await.unwrap()
}

/// B11: an address for `GET` reads its blob.
pub async fn an_address_reads(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let bytes = pattern(1, 300_000);
    put(&*blobs, "a/b", &bytes).await;
    let Some(address) = presigned(&*blobs, "a/b", Presign::Get).await else { return };
    assert_eq!(address.method, "GET");
    let (status, body) = fixture.send(&address, Vec::new()).await;
    assert_eq!((status, body == bytes), (200, true));
    // What is not there when the address is made may be there when it is used, and not.
    let address = presigned(&*blobs, "later", Presign::Get).await.unwrap();
    assert_eq!(fixture.send(&address, Vec::new()).await.0, 404);
    put(&*blobs, "later", b"now").await;
    assert_eq!(fixture.send(&address, Vec::new()).await, (200, b"now".to_vec()));
}

/// B11: an address for `PUT` replaces its blob.
pub async fn an_address_writes(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let Some(address) = presigned(&*blobs, "a/b", Presign::Put).await else { return };
    assert_eq!(address.method, "PUT");
    for size in [100_000, 10] {
        let bytes = pattern(1, size);
        assert_eq!(fixture.send(&address, bytes.clone()).await.0, 200);
        assert!(read(&*blobs, "a/b").await == bytes);
    }
}

/// B11: an address does nothing but what it says.
pub async fn an_address_does_nothing_else(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    put(&*blobs, "mine", b"mine").await;
    put(&*blobs, "yours", b"yours").await;
    let Some(reads) = presigned(&*blobs, "mine", Presign::Get).await else { return };
    let writes = presigned(&*blobs, "mine", Presign::Put).await.unwrap();
    let yours =
        |address: &Presigned| Presigned { url: address.url.replace("mine", "yours"), ..address.clone() };
    let cut = |address: &Presigned| Presigned {
        url: address.url.split('?').next().unwrap().to_owned(),
        ..address.clone()
    };
    for (what, address) in [
        ("a reader's as a writer's", Presigned { method: "PUT".into(), ..reads.clone() }),
        ("a reader's as a deleter's", Presigned { method: "DELETE".into(), ..reads.clone() }),
        ("a reader's for another", yours(&reads)),
        ("a writer's for another", yours(&writes)),
        ("one without its proof", cut(&reads)),
        ("one without its proof to write", cut(&writes)),
    ] {
        let (status, body) = fixture.send(&address, b"bad".to_vec()).await;
        assert!((400..500).contains(&status) && body != b"yours", "{what}: {status}");
    }
    assert_eq!(
        (read(&*blobs, "mine").await, read(&*blobs, "yours").await),
        (b"mine".into(), b"yours".into())
    );
}

/// An address is valid for a week at most.
pub async fn an_address_is_not_for_ever(fixture: &impl BlobFixture) {
    let blobs = fixture.blobs().await;
    let longer = MAX_PRESIGNED + Duration::from_secs(1);
    let error = blobs.presign(&key("k"), Presign::Get, longer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    blobs.presign(&key("k"), Presign::Get, MAX_PRESIGNED).await.unwrap();
}
