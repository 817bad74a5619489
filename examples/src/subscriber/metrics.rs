//! Counters as Prometheus reads them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{Event, Sink};

/// Counts events by what they are about. Counters begin anew with the process, as
/// Prometheus expects of them; one that comes twice may be counted twice.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, u64>>>);

impl Metrics {
    /// The page.
    pub fn page(&self) -> String {
        let mut page = String::from(
            "# HELP manman_events_total Events of manman, by what they are about.\n\
             # TYPE manman_events_total counter\n",
        );
        for (key, count) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Writing to a String does not fail.
            let _ = writeln!(page, "manman_events_total{{event=\"{key}\"}} {count}");
        }
        page
    }

    /// Answers whoever connects with the page, whatever is asked; for ever.
    pub async fn serve(self, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let page = self.page();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let length = page.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                // Whoever hangs up has seen enough.
                let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
            });
        }
    }
}

#[async_trait]
impl Sink for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    async fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(event.key.clone()).or_default() += 1;
        Ok(())
    }
}
