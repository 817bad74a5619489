//! A reading: of one blob, to its end or to an error.

use futures::{StreamExt as _, stream};
use manman_core::{
    blob::{Blob, BlobInfo, BlobKey, BlobRange, BlobStream},
    error::{Error, ErrorKind, Result},
};
use opendal::{BufferStream, Metadata, Operator};

use super::{map, translate::Place};

const OPERATION: &str = "read a blob";

/// How often a blob may be replaced before its first piece is read.
const TRIES: u32 = 5;

/// A reading that is to begin.
#[derive(Clone)]
pub(super) struct Reading {
    operator: Operator,
    place: Place,
    key: BlobKey,
}

impl Reading {
    pub fn new(operator: Operator, place: Place, key: BlobKey) -> Self {
        Self { operator, place, key }
    }

    pub async fn begin(self, range: Option<BlobRange>) -> Result<Blob> {
        for _ in 0..TRIES {
            let (info, metadata) = self.look().await?;
            let part = range.map_or(0..info.size_bytes, |range| range.within(info.size_bytes));
            let left = part.end - part.start;
            if left == 0 {
                return Ok(Blob { info, bytes: stream::empty().boxed() });
            }
            let failed = |error| self.failed(error);
            let reader = match metadata.etag() {
                Some(tag) => self.operator.reader_with(self.key.as_str()).if_match(tag).await,
                None => self.operator.reader(self.key.as_str()).await,
            };
            let mut pieces = reader.map_err(failed)?.into_stream(part).await.map_err(failed)?;
            // Opens it, so that what is replaced from now on is replaced for others.
            let first = match pieces.next().await {
                Some(Ok(first)) => first.to_bytes(),
                Some(Err(error)) => match self.failed(error) {
                    error if error.kind() == ErrorKind::Conflict => continue,
                    error => return Err(error),
                },
                None => continue,
            };
            // A file has no tag to ask for; one that is open stays what it is.
            if metadata.etag().is_none() && self.look().await?.0 != info {
                continue;
            }
            let first = stream::iter([Ok(first)]).boxed();
            return Ok(Blob { info, bytes: counted(first.chain(self.rest(pieces)).boxed(), self.key, left) });
        }
        let message = format!("{} is being replaced all the time", self.key);
        Err(Error::new(ErrorKind::Busy, OPERATION, message))
    }

    async fn look(&self) -> Result<(BlobInfo, Metadata)> {
        let absent = || Error::new(ErrorKind::NotFound, OPERATION, format!("there is no blob {}", self.key));
        match self.operator.stat(self.key.as_str()).await {
            Ok(metadata) => Ok((map::info(self.key.clone(), &metadata).ok_or_else(absent)?, metadata)),
            Err(error) => Err(match self.failed(error) {
                // `a/b` where `a` is a blob.
                error if [ErrorKind::NotFound, ErrorKind::Conflict].contains(&error.kind()) => {
                    absent().because(error)
                }
                error => error,
            }),
        }
    }

    fn rest(&self, pieces: BufferStream) -> BlobStream {
        let reading = self.clone();
        pieces
            .map(move |piece| piece.map(|piece| piece.to_bytes()).map_err(|error| reading.failed(error)))
            .boxed()
    }

    fn failed(&self, error: opendal::Error) -> Error {
        self.place.failed(OPERATION, Some(&self.key), error)
    }
}

/// The same, with an error where it ends before `left` bytes have come.
fn counted(pieces: BlobStream, key: BlobKey, left: u64) -> BlobStream {
    stream::unfold(Some((pieces, key, left)), |state| async move {
        let (mut pieces, key, left) = state?;
        match pieces.next().await {
            Some(Ok(piece)) => {
                let left = left.saturating_sub(piece.len() as u64);
                Some((Ok(piece), Some((pieces, key, left))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if left == 0 => None,
            None => {
                let message = format!("{key} ended {left} bytes early");
                Some((Err(Error::new(ErrorKind::Unavailable, OPERATION, message)), None))
            }
        }
    })
    .boxed()
}
