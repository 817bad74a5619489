//! Calls that last: who loses the right to make one loses what it still says.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::{Body as _, Frame};
use tonic::{Status, body::Body};

use super::{
    auth::{Authenticator, Peer, Presented},
    errors::{ApiError, ErrorCode},
};

/// Between two looks whether a caller is still let in: a token that is revoked or has expired
/// ends within it what was begun with it.
pub const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What a caller brought as proof, kept for another look.
pub(super) struct Proof {
    pub authenticator: Arc<dyn Authenticator>,
    pub peer: Option<Peer>,
    pub authorization: Option<Vec<u8>>,
}

impl Proof {
    /// When its caller is not let in any more. A look that fails takes nothing from anybody.
    pub async fn over(self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let presented = Presented { peer: self.peer, authorization: self.authorization.as_deref() };
            if matches!(self.authenticator.authenticate(&presented).await, Ok(None)) {
                return;
            }
        }
    }
}

/// What is said to a caller whose proof is over.
pub(super) fn no_longer() -> Status {
    ApiError::new(ErrorCode::Unauthenticated, "the token is not valid any more").into()
}

/// `body`, as long as `proof` counts.
pub(super) fn as_long_as(proof: Proof, body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let begun = (BodyStream::new(body), Box::pin(proof.over()));
    let frames = stream::unfold(Some(begun), |going| async {
        let (mut frames, mut over) = going?;
        tokio::select! {
            biased;
            frame = frames.next() => frame.map(|frame| (frame, Some((frames, over)))),
            () = &mut over => {
                let trailers = no_longer().into_http::<Body>().into_parts().0.headers;
                Some((Ok(Frame::trailers(trailers)), None))
            }
        }
    });
    Body::new(StreamBody::new(frames))
}
