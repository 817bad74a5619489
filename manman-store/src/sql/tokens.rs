//! Who may call.

use async_trait::async_trait;
use manman_core::{
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
use serde_json::json;

use super::{
    SqlStore,
    deed::{Deed, Scope, missing},
    dialect::Row,
    map::{self, Columns, limit},
};

const BY_DIGEST: &str = "SELECT * FROM tokens WHERE digest = $1";

impl Deed<'_> {
    async fn token(&mut self, id: TokenId) -> Result<Token, DeedError> {
        let row = self.row(sqlx::query("SELECT * FROM tokens WHERE id = $1").bind(id.0)).await?;
        Ok(map::token(&row.ok_or_else(|| missing("token", id))?)?)
    }

    async fn by_digest(&mut self, digest: &TokenDigest) -> Result<Option<Row>> {
        self.row(sqlx::query(BY_DIGEST).bind(digest.to_vec())).await
    }

    async fn keep_token(&mut self, new: &NewToken) -> Result<Token, DeedError> {
        new.validate()?;
        let sql =
            "INSERT INTO tokens (digest, name, role, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING RETURNING id";
        let query = sqlx::query(sql)
            .bind(new.digest.to_vec())
            .bind(new.name.to_string())
            .bind(map::json(&new.role)?)
            .bind(self.now.as_micros())
            .bind(new.valid_for.map(|time| self.now.plus(time).as_micros()));
        let taken = || DeedError::TokenKnown { name: new.name.clone() };
        let id = self.insert(query).await?.ok_or_else(taken)?;
        self.token(TokenId(id)).await
    }
}

#[async_trait]
impl TokenStore for SqlStore {
    async fn token_create(&self, new: &NewToken, write: &Write) -> Result<Token, DeedError> {
        again!(async {
            let mut deed = self.deed("token_create", Scope::All).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            let token = deed.keep_token(new).await?;
            deed.sign(write, format!("token {}", token.id), json!(token)).await?;
            deed.commit().await?;
            Ok(token)
        })
    }

    async fn token_by_digest(&self, digest: &TokenDigest) -> Result<Option<Token>> {
        let query = sqlx::query(BY_DIGEST).bind(digest.to_vec());
        self.row("token_by_digest", query).await?.as_ref().map(map::token).transpose()
    }

    async fn token_list(&self, page: Page<TokenId>) -> Result<Vec<Token>> {
        let query = sqlx::query("SELECT * FROM tokens WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(page.after.map_or(0, |id| id.0))
            .bind(limit(page.limit));
        self.rows("token_list", query).await?.iter().map(map::token).collect()
    }

    async fn token_revoke(&self, id: TokenId, write: &Write) -> Result<Token, DeedError> {
        again!(async {
            let mut deed = self.deed("token_revoke", Scope::All).await?;
            if let Some(answer) = deed.recall(write).await? {
                return Ok(answer);
            }
            let query = sqlx::query("UPDATE tokens SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2");
            deed.run(query.bind(deed.now.as_micros()).bind(id.0)).await?;
            let token = deed.token(id).await?;
            deed.sign(write, format!("token {id}"), json!(token)).await?;
            deed.commit().await?;
            Ok(token)
        })
    }

    async fn token_join(
        &self,
        join: &TokenDigest,
        server: &Name,
        host: &TokenDigest,
    ) -> Result<Token, DeedError> {
        again!(async {
            let mut deed = self.deed("token_join", Scope::All).await?;
            let held = deed.by_digest(join).await?;
            let token = held.as_ref().map(map::token).transpose()?;
            let spent_on = match &held {
                Some(row) => row.get_as::<Option<Vec<u8>>>("spent_on")?.and_then(|it| it.try_into().ok()),
                None => None,
            };
            let role = Role::Host { server: server.clone() };
            let sql = "SELECT 1 FROM tokens WHERE role = $1 AND digest <> $2 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $3)";
            let others =
                sqlx::query(sql).bind(map::json(&role)?).bind(host.to_vec()).bind(deed.now.as_micros());
            let is_taken = !deed.rows(others).await?.is_empty();
            let decided = decide::joins(token.as_ref(), spent_on.as_ref(), server, host, is_taken, deed.now)?;
            if decided == Joining::Again
                && let Some(row) = deed.by_digest(host).await?
            {
                return Ok(map::token(&row)?);
            }
            let new = NewToken { name: server.clone(), role, digest: *host, valid_for: None };
            let token = deed.keep_token(&new).await?;
            let spent = sqlx::query("UPDATE tokens SET spent_on = $1, spent_at = $2 WHERE digest = $3");
            let spent = spent.bind(host.to_vec()).bind(deed.now.as_micros()).bind(join.to_vec());
            deed.run(spent).await?;
            let write = Write::by(Actor(format!("host {server}")));
            deed.sign(&write, format!("token {}", token.id), json!(token)).await?;
            deed.commit().await?;
            Ok(token)
        })
    }
}
