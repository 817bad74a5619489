//! A put: whole or not at all.

use futures::StreamExt as _;
use manman_core::{
    blob::{BlobKey, BlobStream},
    error::{Error, ErrorKind, Result},
};
use opendal::{Operator, Writer};
use tokio::sync::oneshot;
use tracing::debug;

use super::translate::Place;

const OPERATION: &str = "put a blob";

/// How a put is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    bytes: usize,
    /// How many are under way at a time.
    at_once: usize,
    /// How many a blob may have.
    most: u64,
}

impl Parts {
    /// Files are written piece after piece.
    pub fn of_files() -> Self {
        Self { bytes: 1 << 20, at_once: 1, most: u64::MAX }
    }

    /// S3 takes parts of 5 MiB at least, and 10,000 of them.
    #[cfg(feature = "s3")]
    pub fn of_upload(bytes: usize) -> Self {
        Self { bytes, at_once: 2, most: 10_000 }
    }
}

/// A put that is under way. It runs by itself, so that whoever drops it half-way does not
/// leave it half-way.
pub(super) struct Writing {
    operator: Operator,
    place: Place,
    key: BlobKey,
    parts: Parts,
}

/// Why a put has not been done.
enum Stopped {
    Failed(Error),
    /// Nobody waits for it any more.
    Dropped,
}

impl Writing {
    pub fn new(operator: Operator, place: Place, key: BlobKey, parts: Parts) -> Self {
        Self { operator, place, key, parts }
    }

    pub async fn run(self, bytes: BlobStream) -> Result<u64> {
        let (tell, told) = oneshot::channel();
        tokio::spawn(self.work(bytes, tell));
        let ended =
            |error| Error::new(ErrorKind::Unexpected, OPERATION, "its stream panicked").because(error);
        told.await.map_err(ended)?
    }

    async fn work(self, mut bytes: BlobStream, mut tell: oneshot::Sender<Result<u64>>) {
        let options = self.operator.writer_with(self.key.as_str());
        let mut writer = match options.chunk(self.parts.bytes).concurrent(self.parts.at_once).await {
            Ok(writer) => writer,
            Err(error) => return drop(tell.send(Err(self.failed(error)))),
        };
        // Whoever gives them may count them as under way until all of it is over.
        match self.transfer(&mut writer, &mut bytes, &mut tell).await {
            Ok(size) => drop(tell.send(Ok(size))),
            Err(stopped) => {
                // Told first: what takes it back may take its time where the backend is away.
                if let Stopped::Failed(error) = stopped {
                    drop(tell.send(Err(error)));
                }
                if let Err(error) = writer.abort().await {
                    debug!(blob.key = %self.key, %error, "what was put of {} is left behind", self.key);
                }
            }
        }
    }

    async fn transfer(
        &self,
        writer: &mut Writer,
        bytes: &mut BlobStream,
        tell: &mut oneshot::Sender<Result<u64>>,
    ) -> Result<u64, Stopped> {
        let failed = |error| Stopped::Failed(self.failed(error));
        let limit = (self.parts.bytes as u64).saturating_mul(self.parts.most);
        let mut size = 0;
        loop {
            let piece = tokio::select! {
                biased;
                () = tell.closed() => return Err(Stopped::Dropped),
                piece = bytes.next() => piece,
            };
            let Some(piece) = piece else { break };
            let piece = piece.map_err(Stopped::Failed)?;
            size += piece.len() as u64;
            if size > limit {
                let message = format!("{} is larger than the {limit} bytes that can be put", self.key);
                return Err(Stopped::Failed(Error::new(ErrorKind::Invalid, OPERATION, message)));
            }
            if !piece.is_empty() {
                writer.write(piece).await.map_err(failed)?;
            }
        }
        writer.close().await.map_err(failed)?;
        Ok(size)
    }

    fn failed(&self, error: opendal::Error) -> Error {
        self.place.failed(OPERATION, Some(&self.key), error)
    }
}
