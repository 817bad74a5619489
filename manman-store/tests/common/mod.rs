//! Databases of the PostgreSQL server that the tests of a program share.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "no program of tests needs all of it")]

pub mod ground;

use manman_services::{Postgres, Proxy};
use manman_store::{
    PostgresConfig,
    migrate::{PostgresRunner, Set},
    postgres,
};
use tokio::sync::OnceCell;

/// The URL of an empty database.
pub async fn empty() -> String {
    tokio::task::spawn_blocking(|| Postgres::shared().url(&Postgres::shared().database())).await.unwrap()
}

/// A way to the database at `url` that can be hurt, and its URL by that way.
pub fn proxied(url: &str) -> (Proxy, String) {
    let port = Postgres::shared().port();
    let proxy = Proxy::to_port(port);
    let through = url.replace(&format!("127.0.0.1:{port}/"), &format!("127.0.0.1:{}/", proxy.port()));
    (proxy, through)
}

/// The URL of a database with the latest schema and nothing in it.
pub async fn migrated() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE
        .get_or_init(|| async {
            let name = tokio::task::spawn_blocking(|| Postgres::shared().database()).await.unwrap();
            let pool = postgres::pool(&PostgresConfig::at(Postgres::shared().url(&name))).await.unwrap();
            PostgresRunner::new(pool.clone(), Set::postgres()).up().await.unwrap();
            pool.close().await;
            name
        })
        .await;
    let make = || Postgres::shared().url(&Postgres::shared().database_like(template));
    tokio::task::spawn_blocking(make).await.unwrap()
}
