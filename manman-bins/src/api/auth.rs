//! Who may call: nobody without proof, on loopback neither, for games can reach it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use manman_core::{
    error::Result,
    model::{Role, token::TokenDigest},
    store::{Actor, Store},
};

use super::token::Token;

/// Who calls, after proof.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    name: Arc<str>,
    role: Arc<Role>,
    digest: Option<TokenDigest>,
}

impl Caller {
    /// A caller by the name that reasons and audits show, who may do what `role` says.
    pub fn new(name: impl Into<Arc<str>>, role: Role) -> Self {
        Self { name: name.into(), role: Arc::new(role), digest: None }
    }

    /// The name that reasons and audits show.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the caller may do.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The digest of the token that was shown, if one on record was.
    pub fn digest(&self) -> Option<&TokenDigest> {
        self.digest.as_ref()
    }

    /// The caller as the store knows it.
    pub fn actor(&self) -> Actor {
        Actor(self.name.to_string())
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process on this machine, on the Unix socket; its user, as the kernel says.
    Unix {
        /// The user, if the kernel says.
        uid: Option<u32>,
    },
    /// Anybody, over TCP.
    Tcp(std::net::SocketAddr),
}

/// What a caller brings as proof.
pub struct Presented<'a> {
    /// The other end of the connection.
    pub peer: Option<Peer>,
    /// The `authorization` header, as it came.
    pub authorization: Option<&'a [u8]>,
}

impl<'a> Presented<'a> {
    /// The token in the header, if there is one.
    fn token(&self) -> Option<&'a [u8]> {
        let header = self.authorization?;
        header.strip_prefix(b"Bearer ").or_else(|| header.strip_prefix(b"bearer "))
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Tells who calls.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// The caller, or `None`: the refusal does not say what was missing or wrong.
    ///
    /// # Errors
    /// If it cannot be found out now: then nobody is let in, and nobody told that their
    /// proof is wrong.
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Option<Caller>>;
}

/// Whoever one of them knows, asked in turn.
#[derive(Debug)]
pub struct AnyOf(pub Vec<Arc<dyn Authenticator>>);

#[async_trait]
impl Authenticator for AnyOf {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Option<Caller>> {
        for authenticator in &self.0 {
            if let Some(caller) = authenticator.authenticate(presented).await? {
                return Ok(Some(caller));
            }
        }
        Ok(None)
    }
}

/// Whoever holds a valid token that is on record.
#[derive(Debug)]
pub struct Recorded(Arc<dyn Store>);

impl Recorded {
    /// Looks tokens up in `store`, each time: one that is revoked is of no use from then on.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

#[async_trait]
impl Authenticator for Recorded {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Option<Caller>> {
        let Some(token) = presented.token() else { return Ok(None) };
        let digest = digest(token);
        let Some(token) = self.0.token_by_digest(&digest).await? else { return Ok(None) };
        // A join token stays good for asking again; the deed itself looks at its time.
        let is_join = matches!(token.role, Role::Join { .. });
        if !is_join && !token.is_valid(self.0.now().await?) {
            return Ok(None);
        }
        let name = format!("{} (token {})", token.name, token.id);
        Ok(Some(Caller { name: name.into(), role: Arc::new(token.role), digest: Some(digest) }))
    }
}

/// Whoever holds the token of the data directory, and, over the Unix socket, the user who
/// runs this process.
#[derive(Debug)]
pub struct Local {
    owner_uid: u32,
    owner: Caller,
    /// Of the token; the token itself is not kept.
    digest: [u8; 32],
}

impl Local {
    /// Lets in who runs this process and who holds `token`.
    pub fn new(token: &Token) -> Self {
        let owner_uid = rustix::process::geteuid().as_raw();
        Self {
            owner_uid,
            owner: Caller::new(user_name(owner_uid), Role::Admin),
            digest: digest(token.reveal().as_bytes()),
        }
    }
}

#[async_trait]
impl Authenticator for Local {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Option<Caller>> {
        if let Some(Peer::Unix { uid: Some(uid) }) = presented.peer
            && uid == self.owner_uid
        {
            return Ok(Some(self.owner.clone()));
        }
        // Always a digest and a comparison, so that a missing, a malformed and a wrong
        // token take the same time.
        let token = presented.token().unwrap_or_default();
        Ok(equal(&digest(token), &self.digest).then(|| Caller::new("token", Role::Admin)))
    }
}

/// What is kept of a token.
pub fn digest(bytes: &[u8]) -> TokenDigest {
    Sha256::digest(bytes).into()
}

/// Compares without stopping at the first difference.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// The user's name, or `uid 1000` where it has none.
fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_uid = |line: &&str| line.split(':').nth(2) == Some(uid.to_string().as_str());
    let name = passwd.lines().find(of_uid).and_then(|line| line.split(':').next());
    match name {
        Some(name) if !name.is_empty() && !name.chars().any(char::is_control) => name.to_owned(),
        _ => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn name(local: &Local, peer: Option<Peer>, authorization: Option<&str>) -> Option<String> {
        let presented = Presented { peer, authorization: authorization.map(str::as_bytes) };
        local.authenticate(&presented).await.unwrap().map(|caller| caller.name().to_owned())
    }

    #[tokio::test]
    async fn only_the_owner_and_the_token_are_let_in() {
        let token = Token::random().unwrap();
        let local = Local::new(&token);
        let own = rustix::process::geteuid().as_raw();
        let tcp = Some(Peer::Tcp(([127, 0, 0, 1], 1).into()));
        let right = format!("Bearer {}", token.reveal());

        assert_eq!(name(&local, tcp, Some(&right)).await.as_deref(), Some("token"));
        assert!(name(&local, Some(Peer::Unix { uid: Some(own) }), None).await.is_some());
        assert!(name(&local, Some(Peer::Unix { uid: Some(own + 1) }), Some(&right)).await.is_some());

        for peer in [tcp, None, Some(Peer::Unix { uid: Some(own + 1) }), Some(Peer::Unix { uid: None })] {
            for wrong in [None, Some(""), Some("Bearer "), Some("Bearer mm_"), Some(token.reveal())] {
                assert_eq!(name(&local, peer, wrong).await, None, "{peer:?} {wrong:?}");
            }
        }
    }
}
