//! Follows what manman tells other systems, into three sinks:
//! `BROKER_URL=nats://… external_subscriber AUDIT-FILE METRICS-ADDRESS [WEBHOOK-URL]`.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use manman_broker::{nats::NatsBroker, rabbitmq::RabbitBroker};
use manman_core::broker::Broker;
use manman_examples::subscriber::{Audit, Metrics, Sink, Webhook, feed};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // A line that finds no room must not be complained about where there is none: that panics.
    tracing_subscriber::fmt().with_writer(std::io::stderr).log_internal_errors(false).init();
    // TLS of webhooks: choosing its maker is a program's, not a library's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let (Some(audit), Some(metrics_at)) = (arguments.next(), arguments.next()) else {
        bail!("usage: external_subscriber AUDIT-FILE METRICS-ADDRESS [WEBHOOK-URL]");
    };
    let url = std::env::var("BROKER_URL").context("BROKER_URL is not set")?;
    let broker: Arc<dyn Broker> = if url.starts_with("amqp") {
        Arc::new(RabbitBroker::new(url.parse()?)?)
    } else {
        Arc::new(NatsBroker::open(&url.parse()?).await?)
    };

    let metrics = Metrics::default();
    tokio::spawn(metrics.clone().serve(TcpListener::bind(&metrics_at).await?));
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(Audit::open(Path::new(&audit))?), Box::new(metrics)];
    if let Some(url) = arguments.next() {
        sinks.push(Box::new(Webhook::new(url)?));
    }
    let shutdown = CancellationToken::new();
    let fed: Vec<_> =
        sinks.into_iter().map(|sink| tokio::spawn(feed(broker.clone(), sink, shutdown.clone()))).collect();
    tokio::signal::ctrl_c().await?;
    shutdown.cancel();
    for feeding in fed {
        feeding.await?;
    }
    Ok(())
}
