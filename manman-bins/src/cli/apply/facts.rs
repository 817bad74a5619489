//! Configs as facts that can be compared and shown: two are the same if their facts are.

use std::collections::BTreeMap;

use manman_core::model::{CapProfile, ConfigBody, ConsolePolicy, NetworkMode};

use super::document::port;

/// What is known of a thing, by field.
pub type Facts = BTreeMap<String, Fact>;

/// A value, and what of it may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    value: String,
    shown: String,
}

/// A field whose value is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// What it was; `None` if it was not there.
    pub old: Option<String>,
    /// What it is to be; `None` if it is to be gone.
    pub new: Option<String>,
}

/// What differs, by field.
pub fn differences(old: &Facts, new: &Facts) -> Vec<Difference> {
    let mut fields: Vec<_> = old.keys().chain(new.keys()).collect();
    fields.sort();
    fields.dedup();
    let value = |facts: &Facts, field: &String| facts.get(field).map(|fact| fact.value.clone());
    let shown = |facts: &Facts, field: &String| facts.get(field).map(|fact| fact.shown.clone());
    let differing = fields.into_iter().filter(|field| value(old, field) != value(new, field));
    differing
        .map(|field| Difference { field: field.clone(), old: shown(old, field), new: shown(new, field) })
        .collect()
}

impl Fact {
    /// One that everybody may see.
    pub fn open(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { shown: value.clone(), value }
    }

    /// The text that belongs to a name, which may be that of a secret.
    pub fn of(name: &str, text: &str) -> Self {
        let value = format!("{text:?}");
        if is_secret(name) { Self { value, shown: HIDDEN.to_owned() } } else { Self::open(value) }
    }

    /// The words of a command: of `--password=x` and `--password x` the `x` is not seen.
    fn words(words: &[String]) -> Self {
        let mut shown = Vec::new();
        let mut is_next = false;
        for word in words {
            let hidden = match word.split_once('=') {
                Some((name, _)) if is_secret(name) => Some(format!("{name}={HIDDEN}")),
                _ if is_next => Some(HIDDEN.to_owned()),
                _ => None,
            };
            is_next = word.starts_with(['-', '+']) && !word.contains('=') && is_secret(word);
            shown.push(hidden.unwrap_or_else(|| word.clone()));
        }
        Self { value: format!("{words:?}"), shown: format!("{shown:?}") }
    }
}

/// The facts of a config.
pub fn facts(body: &ConfigBody) -> Facts {
    let mut facts = Facts::new();
    let mut put = |field: &str, fact: Fact| drop(facts.insert(field.to_owned(), fact));
    for (field, words) in [("entrypoint", &body.entrypoint), ("command", &body.command)] {
        if !words.is_empty() {
            put(field, Fact::words(words));
        }
    }
    for (key, value) in &body.env_template {
        put(&format!("env.{key}"), Fact::of(key, value));
    }
    for (key, value) in &body.labels {
        put(&format!("labels.{key}"), Fact::of(key, value));
    }
    let mut fact = |field: &str, value: String| put(field, Fact::open(value));
    fact("image", body.image.to_string());
    fact("data_path", body.data_path.to_string());
    for volume in &body.volumes {
        let mode = if volume.read_only { ":ro" } else { "" };
        fact(&format!("volumes.{}", volume.name), format!("{}{mode}", volume.container_path));
    }
    for need in &body.ports {
        fact(&format!("ports.{}", port(*need)), "needed".to_owned());
    }
    let steps: Vec<_> = body
        .stop
        .steps
        .iter()
        .map(|step| format!("{}:{}", step.command.as_str(), millis(step.wait_millis)))
        .collect();
    if !steps.is_empty() {
        fact("stop.steps", format!("{steps:?}"));
    }
    fact("stop.signal", body.stop.signal.to_string());
    fact("stop.grace", millis(body.stop.grace_millis));
    let limits = &body.limits;
    if let Some(memory) = limits.memory_bytes {
        fact("limits.memory", bytes(memory));
    }
    if let Some(cpus) = limits.cpu_millis {
        fact("limits.cpus", (f64::from(cpus) / 1000.0).to_string());
    }
    if let Some(pids) = limits.pids {
        fact("limits.pids", pids.to_string());
    }
    let capabilities = match body.capabilities {
        CapProfile::Strict => "strict",
        CapProfile::Image => "image",
    };
    fact("capabilities", capabilities.to_owned());
    if let Some(user) = &body.user {
        fact("user", user.clone());
    }
    fact("tty", body.tty.to_string());
    let network = match &body.network {
        NetworkMode::Session => "session".to_owned(),
        NetworkMode::Shared(name) => format!("shared:{name}"),
    };
    fact("network", network);
    let console = match body.console {
        ConsolePolicy::Exact => "exact",
        ConsolePolicy::BestEffort => "best-effort",
    };
    fact("console", console.to_owned());
    fact("log.driver", body.log.driver.clone());
    fact("log.max_size", bytes(body.log.max_size_bytes));
    fact("log.max_files", body.log.max_files.to_string());
    facts
}

/// A size without rounding.
fn bytes(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    for (unit, size) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)] {
        if bytes > 0 && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

/// A wait without rounding.
fn millis(millis: u32) -> String {
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// What is shown for a value that nobody is to read over somebody's shoulder.
const HIDDEN: &str = "(hidden)";

/// Whether what stands beneath this name is likely a secret.
fn is_secret(name: &str) -> bool {
    const SIGNS: [&str; 9] =
        ["pass", "secret", "token", "key", "credential", "auth", "private", "pwd", "login"];
    let name = name.to_ascii_lowercase();
    SIGNS.iter().any(|sign| name.contains(sign))
}
