//! A message for each event that people want to know of, as Slack takes them.

use std::time::Duration;

use async_trait::async_trait;
use manman_core::wire::{ExternalEvent, ExternalKind};
use serde_json::json;

use super::{Event, Sink};

/// How long the other end may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Posts `{"text": …}` for what went wrong.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    client: reqwest::Client,
}

impl Webhook {
    /// Posts to `url`, which is a secret: who has it may post.
    ///
    /// # Errors
    /// If there is no client to be had.
    pub fn new(url: impl Into<String>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(WITHIN).build()?;
        Ok(Self { url: url.into(), client })
    }
}

/// What people are told, if they are.
fn text(event: &ExternalEvent) -> Option<String> {
    match event {
        ExternalEvent::Host { event: ExternalKind::HostStale, name } => {
            Some(format!("host {name} is silent"))
        }
        ExternalEvent::Session {
            event: ExternalKind::SessionCrashed | ExternalKind::SessionFailed,
            session,
            sgc,
            reason,
            ..
        } => Some(format!("session {session} of deployment {sgc}: {}", reason.text)),
        _ => None,
    }
}

#[async_trait]
impl Sink for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        let Some(text) = text(&event.what) else { return Ok(()) };
        let body = json!({ "text": text }).to_string();
        let post = self.client.post(&self.url).header("content-type", "application/json").body(body);
        // Errors of the client name the URL.
        let response = post.send().await.map_err(|error| error.without_url())?;
        response.error_for_status().map_err(|error| error.without_url())?;
        Ok(())
    }
}
