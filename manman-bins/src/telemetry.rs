//! Log lines, to stderr.

use std::{io::IsTerminal as _, str::FromStr};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::{
    cli::Looks,
    config::{ConfigError, Environment as _, Problem, Process},
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is neither human nor json")),
        }
    }
}

/// Begins to write log lines: those of `level` and above, or what `RUST_LOG` says. A
/// second call changes nothing.
///
/// # Errors
/// If `RUST_LOG` is no filter.
pub fn start(format: LogFormat, level: &str) -> Result<(), ConfigError> {
    let filter = match Process.get(EnvFilter::DEFAULT_ENV) {
        // What a driver says of a lost connection is said again by whoever makes a new one.
        None => EnvFilter::new(format!("{level},lapin=off,async_nats=warn")),
        Some(said) => filter(&said.to_string_lossy())?,
    };
    let registry = tracing_subscriber::registry().with(filter);
    // Fails only where a subscriber is set already: then that one stays.
    let _ = match format {
        LogFormat::Human => {
            let colours = Looks::of(&Process).colours && std::io::stderr().is_terminal();
            let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(text).map_err(|error| {
        ConfigError(vec![Problem {
            place: EnvFilter::DEFAULT_ENV.to_owned(),
            problem: format!("{text:?} is not a valid filter: {error}"),
            remedy: "write it as info or manman_core=debug,info".to_owned(),
        }])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_is_refused_by_its_name() {
        assert!(filter("manman_core=debug,info").is_ok());
        let refused = filter("manman_core=loud").unwrap_err();
        assert_eq!(refused.0[0].place, "RUST_LOG");
    }
}
