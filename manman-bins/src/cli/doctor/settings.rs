//! The configuration as it is read here, and where each value comes from.

use std::env;

use super::report::{Check, Section};
use crate::{
    cli::look::{Look, value},
    config::UpConfig,
};

/// Variables that change what manman, or a library that it is made of, does.
const NAMES: [&str; 24] = [
    "APP_ENV",
    "BLOB_URL",
    "BROKER_URL",
    "DATABASE_URL",
    "DATA_DIR",
    "ENVIRONMENT",
    "HEALTH_LISTEN",
    "HOME",
    "HOST_DATA_DIR",
    "JOIN_TOKEN",
    "LANG",
    "LC_ALL",
    "LISTEN",
    "NO_COLOR",
    "RABBITMQ_URL",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SERVER_NAME",
    "TERM",
    "TMPDIR",
    "TZ",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "container",
];

/// The beginnings of names of others.
const BEGINNINGS: [&str; 5] = ["MANMAN_", "API_", "AWS_", "DOCKER_", "OTEL_"];

/// The configuration.
pub fn section(look: &Look) -> Section {
    let mut checks = match &look.config {
        Ok(config) => settings(look, config),
        Err(problems) => {
            problems.iter().map(|wrong| Check::problem(&wrong.place, &wrong.problem, &wrong.remedy)).collect()
        }
    };
    let mut variables: Vec<(String, String)> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| {
            NAMES.contains(&name.as_str()) || BEGINNINGS.iter().any(|it| name.starts_with(it))
        })
        .collect();
    variables.sort();
    checks.extend(variables.iter().map(|(name, text)| {
        // What is not known by name may hold anything: that it is set has to do.
        let shown = if NAMES.contains(&name.as_str()) { value(name, text) } else { "***".to_owned() };
        Check::ok("variable", format!("{name}={shown}"))
    }));
    Section { title: "configuration", checks }
}

fn settings(look: &Look, config: &UpConfig) -> Vec<Check> {
    let of = |flag: &str, value: String| {
        let from = config.found.get(flag).map_or("default", String::as_str);
        Check::ok(flag, format!("{value} ({from})"))
    };
    let file = look.places().config();
    let read = match config.found.get("config") {
        Some(from) => Check::ok("config", format!("named by {from}")),
        None if file.exists() => Check::ok("config", format!("{} (default)", file.display())),
        None => Check::ok("config", format!("{} is not there (default)", file.display())),
    };
    let host_data_dir = config.machine.host_data_dir.as_ref();
    let mut checks = vec![
        read,
        of("data-dir", config.machine.data_dir.display().to_string()),
        of("listen", config.listen.to_string()),
        of("broker", config.broker.as_str().to_owned()),
        of("database", config.database.to_string()),
        of("blobs", config.blobs.to_string()),
        of("environment", config.machine.environment.to_string()),
        of("server-name", config.machine.server_name.to_string()),
        of("runtime", format!("{:?}", config.machine.runtime).to_lowercase()),
        of("docker-socket", config.machine.docker_socket.display().to_string()),
        of("host-data-dir", host_data_dir.map_or("found out".to_owned(), |dir| dir.display().to_string())),
        of("process-user", config.machine.process_user.clone().unwrap_or_else(|| "as by default".to_owned())),
        of("log-format", format!("{:?}", config.log_format).to_lowercase()),
    ];
    let usual = manman_core::host::HostConfig::default();
    let host =
        if config.machine.host == usual { "as by default" } else { "changed by the file's table [host]" };
    checks.push(Check::ok("host", host));
    checks.extend(config.warnings.iter().map(|warning| Check::note("warning", warning)));
    checks
}
