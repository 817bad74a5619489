//! Who may call.

use std::time::Duration;

use super::ground::{Ground, refused, write};
use crate::{
    id::TokenId,
    model::{
        Role, Token,
        token::{NewToken, TokenDigest},
    },
    store::{DeedError, Page, Write},
};

const HOUR: Duration = Duration::from_secs(3600);

fn new(name: &str, role: Role, digest: u8, valid_for: Option<Duration>) -> NewToken {
    NewToken { name: name.parse().expect("a valid name"), role, digest: [digest; 32], valid_for }
}

async fn made(ground: &Ground, new: &NewToken) -> Token {
    ground.store.token_create(new, &write()).await.expect("it can be made")
}

async fn by(ground: &Ground, digest: TokenDigest) -> Option<Token> {
    ground.store.token_by_digest(&digest).await.unwrap()
}

async fn join(ground: &Ground, join: u8, server: &str, host: u8) -> Result<Token, DeedError> {
    ground.store.token_join(&[join; 32], &server.parse().unwrap(), &[host; 32]).await
}

/// A token is found by its digest, and as it was made.
pub async fn a_token_is_known_by_its_digest(ground: &Ground) {
    let ci = made(ground, &new("ci", Role::Operator, 1, Some(HOUR))).await;
    let host = Role::Host { server: "box".parse().unwrap() };
    let bob = made(ground, &new("bob", host.clone(), 2, None)).await;
    assert_eq!(by(ground, [1; 32]).await, Some(ci.clone()));
    assert_eq!(by(ground, [2; 32]).await.map(|token| token.role), Some(host));
    assert_eq!(by(ground, [3; 32]).await, None);
    assert_eq!((ci.expires_at, bob.expires_at), (Some(ground.now().plus(HOUR)), None));
    assert!(ci.is_valid(ground.now()));
    ground.pass(HOUR);
    assert!(!ci.is_valid(ground.now()) && bob.is_valid(ground.now()));
    assert_eq!(ground.store.token_list(Page::first(10)).await.unwrap(), [ci.clone(), bob.clone()]);
    let page = Page { after: Some(ci.id), limit: 10 };
    assert_eq!(ground.store.token_list(page).await.unwrap(), [bob]);
    // Whatever it is called.
    let known = refused(ground.store.token_create(&new("other", Role::Viewer, 1, None), &write()).await);
    assert!(matches!(&known, DeedError::TokenKnown { name } if name.as_str() == "other"), "{known:?}");
    let longest = new("old", Role::Viewer, 4, Some(NewToken::LONGEST + HOUR));
    assert!(matches!(refused(ground.store.token_create(&longest, &write()).await), DeedError::Invalid(_)));
}

/// A token that is revoked stays on record as that.
pub async fn a_revoked_token_stays_revoked(ground: &Ground) {
    let token = made(ground, &new("ci", Role::Viewer, 1, None)).await;
    let revoked = ground.store.token_revoke(token.id, &write()).await.unwrap();
    assert_eq!(revoked.revoked_at, Some(ground.now()));
    ground.pass(HOUR);
    assert_eq!(ground.store.token_revoke(token.id, &write()).await.unwrap(), revoked);
    let found = by(ground, [1; 32]).await.expect("it is on record");
    assert!(!found.is_valid(ground.now()));
    let error = refused(ground.store.token_revoke(TokenId(99), &Write::by(write().actor)).await);
    assert!(matches!(error, DeedError::NotFound { .. }));
}

/// A join token makes one host, once; asked again it says the same.
pub async fn a_join_token_makes_one_host(ground: &Ground) {
    made(ground, &new("for-box", Role::Join { server: None }, 1, Some(HOUR))).await;
    let host = join(ground, 1, "box", 7).await.unwrap();
    assert_eq!(host.role, Role::Host { server: "box".parse().unwrap() });
    assert_eq!(by(ground, [7; 32]).await, Some(host.clone()));
    assert_eq!(by(ground, [1; 32]).await.unwrap().spent_at, Some(ground.now()));
    // An answer that was lost, also after its time.
    ground.pass(2 * HOUR);
    assert_eq!(join(ground, 1, "box", 7).await.unwrap(), host);
    // Somebody else, and the same one under another name.
    for (server, key) in [("box", 8), ("other", 8)] {
        assert!(matches!(refused(join(ground, 1, server, key).await), DeedError::JoinRefused { .. }));
    }
    assert_eq!(by(ground, [8; 32]).await, None);
}

/// What is no join token, not valid any more, or another server's, makes no host.
pub async fn a_join_token_is_good_for_what_it_says(ground: &Ground) {
    let only = Role::Join { server: Some("box".parse().unwrap()) };
    made(ground, &new("only-box", only.clone(), 1, None)).await;
    made(ground, &new("short", Role::Join { server: None }, 2, Some(HOUR))).await;
    made(ground, &new("admin", Role::Admin, 3, None)).await;
    let gone = made(ground, &new("gone", only, 4, None)).await;
    ground.store.token_revoke(gone.id, &write()).await.unwrap();
    ground.pass(HOUR);
    for (key, server) in [(1, "other"), (2, "box"), (3, "box"), (4, "box"), (5, "box")] {
        let error = refused(join(ground, key, server, 9).await);
        assert!(matches!(error, DeedError::JoinRefused { .. }), "{key} {server}");
    }
    join(ground, 1, "box", 9).await.unwrap();
}

/// Who joins under a name that is taken needs a token for just that name, and shuts nobody
/// out: registering decides.
pub async fn a_host_that_joins_anew_shuts_nobody_out(ground: &Ground) {
    for key in [1, 2] {
        made(ground, &new("join", Role::Join { server: None }, key, None)).await;
    }
    let first = join(ground, 1, "box", 7).await.unwrap();
    let error = refused(join(ground, 2, "box", 8).await);
    assert!(matches!(error, DeedError::JoinRefused { .. }));
    made(ground, &new("for-box", Role::Join { server: Some("box".parse().unwrap()) }, 3, None)).await;
    let second = join(ground, 3, "box", 8).await.unwrap();
    assert_eq!(by(ground, [7; 32]).await, Some(first.clone()));
    assert_eq!(by(ground, [8; 32]).await, Some(second));

    // Once the other one is revoked, the name is free.
    for id in [first.id, by(ground, [8; 32]).await.unwrap().id] {
        ground.store.token_revoke(id, &write()).await.unwrap();
    }
    join(ground, 2, "box", 9).await.unwrap();
}
