//! Who writes, and under which idempotency key.

use prost::Message;
use sha2::{Digest, Sha256};

use manman_core::store::{IdempotencyKey, Write};

use crate::api::{auth::Caller, errors::ApiError, v1};

/// A write request: its idempotency key can be taken out, the rest says what is wanted.
pub(super) trait Keyed: Message {
    /// The call it is for.
    const CALL: &'static str;

    /// Takes the key.
    fn take_key(&mut self) -> String;
}

macro_rules! keyed {
    ($($request:ident $call:literal;)*) => {$(
        impl Keyed for v1::$request {
            const CALL: &'static str = $call;

            fn take_key(&mut self) -> String {
                std::mem::take(&mut self.idempotency_key)
            }
        }
    )*};
}

keyed! {
    AbandonServerRequest "AbandonServer";
    CreateTokenRequest "CreateToken";
    RevokeTokenRequest "RevokeToken";
    CreateGameRequest "CreateGame";
    UpdateGameRequest "UpdateGame";
    DeleteGameRequest "DeleteGame";
    CreateGameConfigRequest "CreateGameConfig";
    UpdateGameConfigRequest "UpdateGameConfig";
    DeleteGameConfigRequest "DeleteGameConfig";
    DeployGameConfigRequest "DeployGameConfig";
    UpdateServerGameConfigRequest "UpdateServerGameConfig";
    DeleteServerGameConfigRequest "DeleteServerGameConfig";
    StartSessionRequest "StartSession";
    StopSessionRequest "StopSession";
    RestartSessionRequest "RestartSession";
    SendInputRequest "SendInput";
}

/// Takes the key out of `request` and says who writes.
pub(super) fn write<R: Keyed>(caller: &Caller, request: &mut R) -> Result<Write, ApiError> {
    let key = request.take_key();
    if key.is_empty() {
        return Ok(Write::by(caller.actor()));
    }
    // Maps are ordered and prost writes fields in order: equal requests, equal bytes.
    let digest = Sha256::digest(request.encode_to_vec()).into();
    let key = IdempotencyKey { rpc: R::CALL, key, request: digest };
    key.validate()?;
    Ok(Write { actor: caller.actor(), idempotency: Some(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_told_from_another_request() {
        let caller = Caller::new("alice", manman_core::model::Role::Admin);
        let keyed = |name: &str, key: &str| {
            let mut request = v1::CreateGameRequest {
                name: name.into(),
                idempotency_key: key.into(),
                ..Default::default()
            };
            write(&caller, &mut request).map(|write| write.idempotency)
        };
        assert_eq!(keyed("a", "").unwrap(), None);
        assert_eq!(keyed("a", "k").unwrap(), keyed("a", "k").unwrap());
        assert_ne!(keyed("a", "k").unwrap(), keyed("b", "k").unwrap());
        assert!(keyed("a", &"k".repeat(256)).is_err());
        assert!(keyed("a", "k\n").is_err());
    }
}
