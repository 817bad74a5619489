//! The seam to whatever keeps large things: archives of consoles, backups of worlds.

use std::{borrow::Borrow, fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    id::ServerId,
    model::Invalid,
};

/// The longest key in bytes.
pub const MAX_KEY: usize = 512;
/// The longest segment of a key in bytes: a file's name, with room for one of a passing file.
const MAX_SEGMENT: usize = 200;

/// The most blobs in one page of a list.
pub const MAX_PAGE: usize = 1_000;

/// The longest that a presigned address is valid: what S3 takes at most.
pub const MAX_PRESIGNED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The name of a blob: segments of letters, digits, `.`, `_` and `-` joined by `/`, at most
/// [`MAX_KEY`] bytes. No segment is longer than 200 bytes or begins with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// What is beneath is the host's own: it may put there, and nowhere else.
    pub fn of_host(server: ServerId) -> Self {
        Self(format!("hosts/{server}"))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key beneath this one.
    ///
    /// # Errors
    /// `rest` is no key, or the whole is too long.
    pub fn join(&self, rest: &str) -> Result<Self, Invalid> {
        format!("{self}/{rest}").parse()
    }

    /// Whether this is beneath `above`: `a/b` is beneath `a`, neither `a` nor `ab` is.
    pub fn is_beneath(&self, above: &Self) -> bool {
        self.0.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for BlobKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |why: String| Err(Invalid::new("blob_key", why));
        if text.len() > MAX_KEY {
            return refused(format!("has {} bytes, {MAX_KEY} are allowed", text.len()));
        }
        let sign = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        for segment in text.split('/') {
            if segment.is_empty() || segment.starts_with('.') || !segment.bytes().all(sign) {
                return refused(format!(
                    "{text:?} is not segments of letters, digits, '.', '_' and '-' joined by '/', \
                     none of which begins with a dot"
                ));
            }
            if segment.len() > MAX_SEGMENT {
                return refused(format!("a segment has {} bytes, {MAX_SEGMENT} are allowed", segment.len()));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl Borrow<str> for BlobKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes of a blob as they come, in pieces of any size. The first error ends it.
pub type BlobStream = BoxStream<'static, Result<Bytes>>;

/// Bytes that are there, as a stream of one piece.
pub fn whole(bytes: impl Into<Bytes>) -> BlobStream {
    let bytes = bytes.into();
    stream::once(async move { Ok(bytes) }).boxed()
}

/// What is known of a blob without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub key: BlobKey,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// When it was put, by the backend's clock; whole seconds where that keeps no more.
    pub modified: Timestamp,
}

/// A blob that is being read.
pub struct Blob {
    /// What is read, as a whole.
    pub info: BlobInfo,
    /// The bytes asked for.
    pub bytes: BlobStream,
}

impl Blob {
    /// All of the bytes asked for.
    ///
    /// # Errors
    /// Those of the stream; `Invalid` if there are more than `limit_bytes`.
    pub async fn collect(mut self, limit_bytes: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.bytes.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > limit_bytes {
                let message = format!("{} has more than {limit_bytes} bytes", self.info.key);
                return Err(Error::new(ErrorKind::Invalid, "read a blob", message));
            }
        }
        Ok(all)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A part of a blob: `length` bytes from `offset` on, or those of them that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRange {
    /// How many bytes are left out before it.
    pub offset: u64,
    /// How many bytes it has at most; all to the end if absent.
    pub length: Option<u64>,
}

impl BlobRange {
    /// What of it lies within a blob of `size_bytes`: from where to where.
    pub fn within(self, size_bytes: u64) -> std::ops::Range<u64> {
        let begin = self.offset.min(size_bytes);
        let end = self.length.map_or(size_bytes, |length| begin.saturating_add(length).min(size_bytes));
        begin..end
    }
}

/// Some of the blobs asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobPage {
    /// They, in the backend's order.
    pub blobs: Vec<BlobInfo>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<BlobKey>,
}

/// What a presigned address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presign {
    /// To read the blob with `GET`.
    Get,
    /// To replace the blob with `PUT`.
    Put,
}

/// A request that whoever has it may make, until it expires. It is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The method, `GET` or `PUT`.
    pub method: String,
    /// The address.
    pub url: String,
    /// Header fields that have to be sent along.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Presigned {
    /// Without what proves the right to make it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("Presigned").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// Keeps blobs: named bytes that are put, read and deleted as a whole.
///
/// # Contract
/// - **B1** A blob is exactly the bytes of one put. Of several at once for the same key one
///   is seen, whole; a later one replaces an earlier one.
/// - **B2** `put` is all or nothing: what was there before is seen until it answers `Ok`. One
///   that is dropped before its stream has ended, or whose stream fails, changes nothing and
///   is never listed; the stream's own error is what it fails with. After an error that
///   [`is_temporary`](Error::is_temporary) the blob may be there all the same, whole; putting
///   it again makes sure.
/// - **B3** What was put is seen by every later call, whoever makes it.
/// - **B4** Memory is bounded whatever the size: a put takes from its stream as fast as it can
///   store, a reading goes on as its stream is read.
/// - **B5** Reading what is not there is `NotFound` before the first byte; `stat` is `None`.
/// - **B6** A reading that has begun gives the blob that it began with, or fails; never bytes
///   of two, and never fewer than it says without an error.
/// - **B7** A range gives what of it lies within the blob; beyond the end that is nothing.
/// - **B8** A list gives every blob beneath a key, each once, in pages, in an order of the
///   backend's own. What is put or deleted meanwhile may be in it or not.
/// - **B9** `delete` may be repeated; what is not there is no error.
/// - **B10** A key beneath another's (`a` and `a/b`) is a mistake of the caller: backends whose
///   keys are paths refuse the later one with `Conflict`, some of them also when the other is
///   deleted already. None ever loses the earlier one.
/// - **B11** A presigned address does what it says until it expires, and nothing else; backends
///   that have none say `None`.
///
/// Backends repeat the parts of a transfer, which nobody else can; no other call retries.
/// `testkit::blob` checks each of these against every implementation.
#[async_trait]
pub trait Blobs: fmt::Debug + Send + Sync + 'static {
    /// Stores a blob, and says how many bytes it has.
    ///
    /// # Errors
    /// That of the stream; `Conflict` as B10 says; `Unavailable` or `Timeout` if the backend
    /// does not answer or is full.
    async fn put(&self, key: &BlobKey, bytes: BlobStream) -> Result<u64>;

    /// Begins to read a blob, or a part of it.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` or `Timeout` if the backend does not answer.
    async fn get(&self, key: &BlobKey, range: Option<BlobRange>) -> Result<Blob>;

    /// What is known of a blob, if there is one.
    async fn stat(&self, key: &BlobKey) -> Result<Option<BlobInfo>>;

    /// Up to `limit` blobs beneath `above`, or of all; from just after `after`, which is the
    /// `next` of the page before. `limit` is at most [`MAX_PAGE`], more is taken as that.
    async fn list(&self, above: Option<&BlobKey>, after: Option<&BlobKey>, limit: usize) -> Result<BlobPage>;

    /// Removes a blob if it is there.
    async fn delete(&self, key: &BlobKey) -> Result<()>;

    /// An address that lets its holder do `what` for that long, at most [`MAX_PRESIGNED`];
    /// `None` if this backend has no addresses.
    ///
    /// # Errors
    /// `Invalid` if `valid` is longer.
    async fn presign(&self, key: &BlobKey, what: Presign, valid: Duration) -> Result<Option<Presigned>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_segments_and_nothing_that_leads_elsewhere() {
        for good in ["a", "hosts/3/world.tar.zst", "A-b_c.9/x", &"k".repeat(200), &vec!["k"; 256].join("/")] {
            assert_eq!(good.parse::<BlobKey>().unwrap().as_str(), good);
        }
        let long = vec!["k".repeat(200); 3].join("/");
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".",
            "a/./b",
            ".hidden",
            "a/.b",
            "a b",
            "a\0",
            "ä",
            "a\\b",
            "a%2fb",
            "a?b",
            "a:b",
            &"k".repeat(201),
            &long,
        ] {
            assert!(bad.parse::<BlobKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn beneath_is_by_segments() {
        let key = |text: &str| text.parse::<BlobKey>().unwrap();
        let mine = BlobKey::of_host(ServerId(3));
        assert!(mine.join("a/b").unwrap().is_beneath(&mine));
        assert!(!key("hosts/30/a").is_beneath(&mine));
        assert!(!mine.is_beneath(&mine));
        assert!(mine.join("../4/a").is_err());
    }

    #[test]
    fn a_range_is_what_lies_within() {
        let range = |offset, length| BlobRange { offset, length }.within(10);
        assert_eq!(range(2, Some(3)), 2..5);
        assert_eq!(range(2, None), 2..10);
        assert_eq!(range(8, Some(u64::MAX)), 8..10);
        assert_eq!(range(10, Some(1)), 10..10);
        assert_eq!(range(u64::MAX, None), 10..10);
    }

    #[test]
    fn a_presigned_address_does_not_print_its_proof() {
        let url = "http://s3/b/k?X-Amz-Signature=hunter2".to_owned();
        let headers = vec![("x".into(), "hunter2".into())];
        let presigned = Presigned { method: "GET".into(), url, headers };
        assert_eq!(format!("{presigned:?}"), r#"Presigned { method: "GET", url: "http://s3/b/k", .. }"#);
    }
}
