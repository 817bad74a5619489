//! What a console asks the engine about its container.

use std::collections::HashMap;

use manman_core::error::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::{
    logs::{LogRead, Span},
    retention::Retention,
};
use crate::engine::Engine;

const OPERATION: &str = "console inspect";

/// A container, as its console sees it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub engine: Engine,
    pub container: String,
    pub tty: bool,
    pub retention: Retention,
}

/// How far a container's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It was never started.
    Created,
    /// It lives.
    Running,
    /// It is over.
    Over,
}

/// What an inspect shows, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Inspected {
    pub life: Life,
    pub tty: bool,
    pub takes_input: bool,
    pub retention: Retention,
}

/// Inspects a container.
pub(super) async fn inspect(engine: &Engine, container: &str) -> Result<Inspected> {
    let body = engine.get(OPERATION, &format!("/containers/{container}/json")).await?;
    read(&body).map_err(|error| {
        Error::new(ErrorKind::Unexpected, OPERATION, "the engine's answer cannot be read").because(error)
    })
}

fn read(body: &[u8]) -> serde_json::Result<Inspected> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        state: State,
        config: Config,
        host_config: HostConfig,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        status: String,
        running: bool,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        tty: bool,
        open_stdin: bool,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct HostConfig {
        log_config: LogConfig,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct LogConfig {
        #[serde(rename = "Type")]
        driver: String,
        #[serde(default)]
        config: Option<HashMap<String, String>>,
    }
    let document: Document = serde_json::from_slice(body)?;
    let log = document.host_config.log_config;
    Ok(Inspected {
        life: match (document.state.running, document.state.status.as_str()) {
            (true, _) => Life::Running,
            (false, "created") => Life::Created,
            (false, _) => Life::Over,
        },
        tty: document.config.tty,
        takes_input: document.config.open_stdin,
        retention: Retention::of(&log.driver, &log.config.unwrap_or_default()),
    })
}

impl Source {
    /// How far the container's process is now. One that was removed is over.
    pub async fn life(&self) -> Result<Life> {
        match inspect(&self.engine, &self.container).await {
            Ok(inspected) => Ok(inspected.life),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Life::Over),
            Err(error) => Err(error),
        }
    }

    /// Reads its log.
    pub async fn log(&self, span: Span) -> Result<LogRead> {
        LogRead::open(&self.engine, &self.container, self.tty, span).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inspect_is_read() {
        // Cut down from an engine 20.10.24.
        let body = br#"{"Id":"f0","State":{"Status":"exited","Running":false,"ExitCode":0},
            "HostConfig":{"LogConfig":{"Type":"local","Config":{}}},"Config":{"Tty":true,"OpenStdin":false}}"#;
        let seen = read(body).unwrap();
        assert_eq!((seen.life, seen.tty, seen.takes_input), (Life::Over, true, false));
        assert_eq!(seen.retention, Retention::of("local", &HashMap::new()));
        assert!(read(b"{}").is_err());
    }
}
