//! What is kept of a message that nobody could deal with.

use std::borrow::Cow;

use bytes::Bytes;
use manman_core::broker::{MAX_BODY, Message};

/// The body and the reason of its dead letter. None of ours is over [`MAX_BODY`]; servers take
/// far larger ones, and dead letters are bounded by bytes: one such body, which any host can
/// send, would push all other letters out. So it is told how large it was, and no more.
pub(crate) fn kept<'a>(message: &Message, reason: &'a str) -> (Bytes, Cow<'a, str>) {
    let size = message.body.len();
    if size <= MAX_BODY {
        return (message.body.clone(), reason.into());
    }
    let reason = format!("too_large: its {size} bytes are over {MAX_BODY} and not kept; {reason}");
    (Bytes::new(), reason.into())
}

#[cfg(test)]
mod tests {
    use manman_core::{
        broker::{Class, Exchange, RoutingKey},
        id::ServerId,
    };
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_body_that_cannot_be_ours_is_not_kept() {
        let of = |size: usize| Message {
            id: Uuid::now_v7(),
            exchange: Exchange::Internal,
            key: RoutingKey::host_status(ServerId(7)),
            class: Class::Report,
            body: vec![b'x'; size].into(),
        };
        let (body, reason) = kept(&of(MAX_BODY), "malformed");
        assert_eq!((body.len(), &*reason), (MAX_BODY, "malformed"));
        let (body, reason) = kept(&of(MAX_BODY + 1), "malformed");
        assert_eq!(
            (body.len(), &*reason),
            (0, "too_large: its 262145 bytes are over 262144 and not kept; malformed")
        );
    }
}
