//! What the schema itself refuses on PostgreSQL, whoever writes, and that what is asked often
//! finds an index.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod common;

use common::ground::{STOP, VALID, deployment, write};
use manman_core::store::{DeploymentStore, SessionStore};
use manman_store::{PostgresConfig, PostgresStore, postgres};
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Row as _};

/// A database with an ended and a lost session of deployment 1, and a held port.
async fn filled() -> PgPool {
    let config = PostgresConfig::at(common::migrated().await);
    let store = PostgresStore::open(&config).await.unwrap();
    let (_, sgc) = deployment(&store, "town").await;
    let first = store.session_start(sgc, VALID, &write()).await.unwrap().session.id;
    store.session_want(first, STOP, &write()).await.unwrap();
    store.session_start(sgc, VALID, &write()).await.unwrap();
    assert!(store.deployment_get(sgc).await.unwrap().is_some());
    store.close().await;
    let pool = postgres::pool(&config).await.unwrap();
    sqlx::raw_sql("UPDATE sessions SET state = 'lost' WHERE id = 2; INSERT INTO server_ports VALUES (1, 3979, 'UDP', 1, 0)")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

#[tokio::test]
async fn what_must_never_be_is_refused_by_the_schema() {
    let pool = filled().await;
    let second = "INSERT INTO sessions (sgc_id, server_id, want, generation, state, attempt, reason, revision,
            created_at, not_after, out_of_memory, last_lines)
        SELECT sgc_id, server_id, want, generation, 'pending', attempt, reason, revision, created_at, not_after,
            out_of_memory, last_lines FROM sessions WHERE id = 2";
    for (what, sql) in [
        ("a second live session", second),
        ("a second holder of a port", "INSERT INTO server_ports VALUES (1, 3979, 'UDP', 1, 1)"),
        ("port 0", "INSERT INTO server_ports VALUES (1, 0, 'UDP', 1, 1)"),
        ("a port beyond 65535", "INSERT INTO server_ports VALUES (1, 65536, 'UDP', 1, 1)"),
        ("a protocol that is none", "INSERT INTO server_ports VALUES (1, 1, 'udp', 1, 1)"),
        ("an end that changes", "UPDATE sessions SET state = 'running', ended_at = NULL WHERE id = 1"),
        ("an end that changes in part", "UPDATE sessions SET exit_code = 2 WHERE id = 1"),
        ("an end without its time", "UPDATE sessions SET state = 'stopped' WHERE id = 2"),
        ("a state that is none", "UPDATE sessions SET state = 'happy' WHERE id = 2"),
        ("a phase of what does not start", "UPDATE sessions SET phase = 'pulling' WHERE id = 2"),
        ("no JSON where JSON is", "UPDATE sessions SET reason = 'because' WHERE id = 2"),
        ("what refers to nothing", "UPDATE sessions SET sgc_id = 99 WHERE id = 2"),
        ("a game with configs that goes", "DELETE FROM games"),
        ("a second installation", "INSERT INTO installation (one, cluster, secret) VALUES (2, 'x', '')"),
    ] {
        assert!(sqlx::query(sql).execute(&pool).await.is_err(), "{what} was taken");
    }
    pool.close().await;
}

#[tokio::test]
async fn no_query_of_the_hot_paths_reads_a_whole_table() {
    let pool = filled().await;
    let mut connection = pool.acquire().await.unwrap().detach();
    // Small tables are read whole all the same, unless that is made dear.
    sqlx::query("SET enable_seqscan = off").execute(&mut connection).await.unwrap();
    for sql in [
        "SELECT * FROM sessions WHERE server_id = 1
            AND state IN ('pending', 'starting', 'running', 'stopping', 'lost') ORDER BY id",
        "SELECT * FROM sessions WHERE sgc_id = 1
            AND state IN ('pending', 'starting', 'running', 'stopping', 'lost')",
        "SELECT * FROM sessions WHERE sgc_id = 1 ORDER BY id DESC LIMIT 1",
        "SELECT * FROM sessions WHERE state = 'pending' AND not_after <= 1 ORDER BY not_after",
        "SELECT id FROM commands WHERE outcome IS NULL AND not_after <= 1 ORDER BY not_after",
        "SELECT message FROM inbox WHERE at <= 1 LIMIT 100",
        "SELECT * FROM outbox WHERE hints = 1",
        "SELECT min(place) FROM outbox WHERE key = 'command.1'",
        "SELECT min(key) FROM outbox WHERE key > 'command.1'",
        "SELECT actor FROM idempotency_keys WHERE at <= 1 LIMIT 100",
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN {sql}"));
        for row in sqlx::query(explain).fetch_all(&mut connection).await.unwrap() {
            let line: String = row.get(0);
            assert!(!line.contains("Seq Scan"), "{sql}: {line}");
        }
    }
    connection.close().await.unwrap();
    pool.close().await;
}
