//! Who may call.

use async_trait::async_trait;
use serde_json::json;

use super::{MemoryStore, books::Books};
use crate::{
    clock::Timestamp,
    error::Result,
    id::TokenId,
    model::{
        Name, Role, Token,
        token::{NewToken, TokenDigest},
    },
    store::{
        Actor, DeedError, Page, TokenStore, Write,
        decide::{self, Joining},
    },
};

/// A token with what tells it.
#[derive(Clone, Debug)]
pub(super) struct HeldToken {
    token: Token,
    digest: TokenDigest,
    /// Of the host token that it was used for.
    spent_on: Option<TokenDigest>,
}

impl Books {
    fn token(&self, digest: &TokenDigest) -> Option<&HeldToken> {
        self.tokens.iter().find(|held| held.digest == *digest)
    }

    fn keep_token(&mut self, new: &NewToken, now: Timestamp) -> Result<Token, DeedError> {
        new.validate()?;
        if self.token(&new.digest).is_some() {
            return Err(DeedError::TokenKnown { name: new.name.clone() });
        }
        let token = Token {
            id: TokenId(self.tokens.len() as i64 + 1),
            name: new.name.clone(),
            role: new.role.clone(),
            created_at: now,
            expires_at: new.valid_for.map(|time| now.plus(time)),
            revoked_at: None,
            spent_at: None,
        };
        self.tokens.push(HeldToken { token: token.clone(), digest: new.digest, spent_on: None });
        Ok(token)
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn token_create(&self, new: &NewToken, write: &Write) -> Result<Token, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            let token = books.keep_token(new, now)?;
            books.sign(write, "token_create", format!("token {}", token.id), json!(token), now);
            Ok(token)
        })
    }

    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<Token>> {
        Ok(self.read(|books| books.token(digest).map(|held| held.token.clone())))
    }

    async fn token_list(&self, page: Page<TokenId>) -> Result<Vec<Token>> {
        Ok(self.read(|books| {
            let rest = books.tokens.iter().map(|held| &held.token);
            rest.filter(|token| page.after.is_none_or(|after| token.id > after))
                .take(page.limit)
                .cloned()
                .collect()
        }))
    }

    async fn token_revoke(&self, id: TokenId, write: &Write) -> Result<Token, DeedError> {
        self.deed(|books, now| {
            if let Some(answer) = books.recall(write, now)? {
                return Ok(answer);
            }
            let missing = || DeedError::NotFound { noun: "token", id: id.to_string() };
            let held = books.tokens.iter_mut().find(|held| held.token.id == id).ok_or_else(missing)?;
            held.token.revoked_at.get_or_insert(now);
            let token = held.token.clone();
            books.sign(write, "token_revoke", format!("token {id}"), json!(token), now);
            Ok(token)
        })
    }

    async fn token_join(
        &self,
        join: &TokenDigest,
        server: &Name,
        host: &TokenDigest,
    ) -> Result<Token, DeedError> {
        self.deed(|books, now| {
            let held = books.token(join);
            let spent_on = held.and_then(|held| held.spent_on.as_ref());
            let role = Role::Host { server: server.clone() };
            let others = books.tokens.iter().filter(|held| held.digest != *host);
            let is_taken = others.map(|held| &held.token).any(|it| it.role == role && it.is_valid(now));
            let join_token = held.map(|held| &held.token);
            let decided = decide::joins(join_token, spent_on, server, host, is_taken, now)?;
            if decided == Joining::Again
                && let Some(held) = books.token(host)
            {
                return Ok(held.token.clone());
            }
            let new = NewToken { name: server.clone(), role, digest: *host, valid_for: None };
            let token = books.keep_token(&new, now)?;
            for held in books.tokens.iter_mut().filter(|held| held.digest == *join) {
                held.token.spent_at = Some(now);
                held.spent_on = Some(*host);
            }
            let write = Write::by(Actor(format!("host {server}")));
            books.sign(&write, "token_join", format!("token {}", token.id), json!(token), now);
            Ok(token)
        })
    }
}
