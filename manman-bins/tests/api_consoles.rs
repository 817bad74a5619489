//! Consoles over the API, where the host's side of them is not as it should be.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use manman_bins::api::v1;
use manman_core::{
    clock::Timestamp,
    error::Result,
    id::{Epoch, ServerId, SessionId},
    model::{Reason, reason::ReasonCode},
    store::{Applied, SessionStore as _, Source},
    viewing::{Begin, Shown, Viewing},
    wire::{End, SessionReport},
};
use support::Plain;
use uuid::Uuid;

/// Consoles whose ends nobody has marked: whoever follows waits for more.
#[derive(Debug)]
struct Unmarked;

#[async_trait]
impl Viewing for Unmarked {
    async fn view(&self, _: SessionId, _: Begin, _: bool) -> Result<BoxStream<'static, Shown>> {
        Ok(stream::iter([Shown::Lagged(1)]).chain(stream::pending()).boxed())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn following_an_ended_session_ends_without_its_hosts_mark() {
    let plain = Plain::start().await;
    plain.viewing.set(Arc::new(Unmarked));
    let server = plain.server("box").await;
    let deployment = plain.deployment(server, "game", 3979).await;
    let mut api = plain.api().await;
    let request = v1::StartSessionRequest { server_game_config_id: deployment, ..Default::default() };
    let session = api.start_session(request).await.unwrap().into_inner().session.unwrap().session_id;
    let follow = v1::StreamSessionLogsRequest { session_id: session, follow: true, begin: None };
    let mut shown = api.stream_session_logs(follow).await.unwrap().into_inner();
    assert!(shown.message().await.unwrap().is_some());
    let quiet = tokio::time::timeout(Duration::from_secs(12), shown.message()).await;
    assert!(quiet.is_err(), "its session has not ended");

    let end = SessionReport::Ended {
        session: SessionId(session),
        attempt: 1,
        end: End::Completed,
        exit_code: Some(0),
        out_of_memory: false,
        at: Timestamp::from_micros(0),
        reason: Reason::new(ReasonCode::Exited, "it ended by itself"),
        last_lines: Vec::new(),
    };
    let source = Source { message: Uuid::new_v4(), server: ServerId(server), epoch: Epoch(1), sequence: 1 };
    assert_eq!(plain.store.session_report(source, &end).await.unwrap(), Applied::Changed);
    let rest = tokio::time::timeout(Duration::from_secs(60), shown.message()).await;
    assert_eq!(rest.expect("it comes to its end").unwrap(), None);
}
