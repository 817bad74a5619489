//! Game configs: how to run a game.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    CapProfile, ContainerPath, ImageRef, Invalid, Labels, Limits, Name, PortNeed, RunAs, StopPlan, SubPath,
    deployment::PortRequest, port::MAX_PORTS, text,
};
use crate::{
    clock::Timestamp,
    id::{ConfigId, GameId, SgcId},
};

/// The most bytes of entrypoint and command together. The kernel takes eight times as much
/// (`execve(2)`: a quarter of the stack), and no game needs that.
const MAX_WORDS: usize = 256 * 1024;

/// A way to run a game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameConfig {
    /// Its id.
    pub id: ConfigId,
    /// The game it runs.
    pub game: GameId,
    /// Its name, unique within the game.
    pub name: Name,
    /// What it says.
    pub body: ConfigBody,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A game config to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConfig {
    /// See [`GameConfig::game`].
    pub game: GameId,
    /// See [`GameConfig::name`].
    pub name: Name,
    /// See [`GameConfig::body`].
    pub body: ConfigBody,
}

/// What a config is to say from now on; its name stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// What it is taken to be now, if that matters.
    pub seen: Option<GameConfig>,
    /// See [`GameConfig::body`].
    pub body: ConfigBody,
    /// Which ports deployments of it ask for. Those that are needed and not named stay
    /// where they are; new ones are asked for by the number they have inside.
    pub ports: BTreeMap<SgcId, Vec<PortRequest>>,
}

/// A directory of a deployment that its game sees at a place of its own, beside the
/// data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Where it is beneath the deployment's directory; also its name.
    pub name: SubPath,
    /// Where the game sees it.
    pub container_path: ContainerPath,
    /// Whether the game may not write there.
    #[serde(default)]
    pub read_only: bool,
}

/// The network a game is put into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A small network of its own, without traffic between sessions.
    #[default]
    Session,
    /// A network shared by name, created if absent and never removed, for tunnels and proxies.
    Shared(Name),
}

/// What is promised of a game's console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsolePolicy {
    /// Every line, through our own death too: the engine's log must be readable.
    #[default]
    Exact,
    /// What is seen while we live; what passes while we are away may be lost, with a
    /// gap on record.
    BestEffort,
}

/// The engine's own log of a game, from which its console is made whole after we died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineLog {
    /// The log driver: `local` (the default), `json-file`, or another that the engine
    /// knows, which then needs [`ConsolePolicy::BestEffort`].
    pub driver: String,
    /// Bytes in one log file; 20 MB by default, at least 1 MiB.
    pub max_size_bytes: u64,
    /// Files kept; 5 by default, 2 to 100.
    pub max_files: u32,
}

impl Default for EngineLog {
    fn default() -> Self {
        Self { driver: "local".to_owned(), max_size_bytes: 20_000_000, max_files: 5 }
    }
}

impl EngineLog {
    /// Whether what is logged can be read back to the byte.
    pub fn can_be_read_back(&self) -> bool {
        matches!(self.driver.as_str(), "local" | "json-file")
    }
}

/// What a game config says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigBody {
    /// The image to run.
    pub image: ImageRef,
    /// Replaces the image's entrypoint unless empty.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Replaces the image's command unless empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment variables of the game.
    #[serde(default)]
    pub env_template: BTreeMap<String, String>,
    /// Where the game sees its data directory; `/data/game` unless said otherwise.
    #[serde(default = "default_data_path")]
    pub data_path: ContainerPath,
    /// Further directories.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Ports the game listens on; a deployment binds each to a port of the machine.
    #[serde(default)]
    pub ports: Vec<PortNeed>,
    /// How it is stopped.
    #[serde(default)]
    pub stop: StopPlan,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// The kernel capabilities it keeps.
    #[serde(default)]
    pub capabilities: CapProfile,
    /// The user it runs as, `uid` or `uid:gid`; the image's if absent.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether it has a terminal: then stderr arrives as stdout.
    #[serde(default)]
    pub tty: bool,
    /// Its network.
    #[serde(default)]
    pub network: NetworkMode,
    /// What is promised of its console.
    #[serde(default)]
    pub console: ConsolePolicy,
    /// The engine's log of it.
    #[serde(default)]
    pub log: EngineLog,
    /// Free labels.
    #[serde(default)]
    pub labels: Labels,
}

fn default_data_path() -> ContainerPath {
    ConfigBody::data_path_default()
}

impl ConfigBody {
    /// A body that runs `image` with every default.
    pub fn new(image: ImageRef) -> Self {
        Self {
            image,
            entrypoint: Vec::new(),
            command: Vec::new(),
            env_template: BTreeMap::new(),
            data_path: Self::data_path_default(),
            volumes: Vec::new(),
            ports: Vec::new(),
            stop: StopPlan::default(),
            limits: Limits::default(),
            capabilities: CapProfile::Strict,
            user: None,
            tty: false,
            network: NetworkMode::Session,
            console: ConsolePolicy::Exact,
            log: EngineLog::default(),
            labels: Labels::new(),
        }
    }

    /// `/data/game`.
    pub fn data_path_default() -> ContainerPath {
        "/data/game".parse().expect("a constant path parses")
    }

    /// Refuses what could not be run: see each field for its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (field, words) in [("entrypoint", &self.entrypoint), ("command", &self.command)] {
            if words.len() > 256 {
                return Err(Invalid::new(field, format!("has {} words, 256 are allowed", words.len())));
            }
            for (index, word) in words.iter().enumerate() {
                if word.len() > 32 * 1024 || word.contains('\0') {
                    return Err(Invalid::new(
                        format!("{field}[{index}]"),
                        "is longer than 32 KiB or has a NUL in it",
                    ));
                }
            }
        }
        let words = self.entrypoint.iter().chain(&self.command).map(String::len).sum::<usize>();
        if words > MAX_WORDS {
            return Err(Invalid::new(
                "command",
                format!("has {words} bytes with the entrypoint, {} KiB are allowed", MAX_WORDS / 1024),
            ));
        }
        if self.entrypoint.first().is_some_and(String::is_empty) {
            return Err(Invalid::new("entrypoint[0]", "is empty"));
        }
        self.validate_env()?;
        self.validate_places()?;
        self.validate_ports()?;
        self.stop.validate()?;
        self.limits.validate()?;
        if let Some(user) = &self.user {
            user.parse::<RunAs>()?;
        }
        self.validate_log()?;
        text::check_labels("labels", &self.labels)
    }

    fn validate_env(&self) -> Result<(), Invalid> {
        let mut total = 0;
        for (key, value) in &self.env_template {
            let field = format!("env_template[{}]", key.chars().take(64).collect::<String>());
            total += key.len() + value.len() + 2;
            if key.is_empty() || key.contains(['=', '\0']) || key.chars().any(char::is_control) {
                return Err(Invalid::new(
                    field,
                    "a variable's name is not empty and has no '=', NUL or control character",
                ));
            }
            if key.starts_with("MANMAN_") {
                return Err(Invalid::new(field, "names beginning with MANMAN_ are reserved"));
            }
            if value.contains('\0') {
                return Err(Invalid::new(field, "the value has a NUL in it"));
            }
            // Rendering will give these braces a meaning; accepted verbatim today, they would change it then.
            if value.contains("{{") {
                return Err(Invalid::new(field, "templates ({{…}}) are not supported by this version"));
            }
        }
        if total > 32 * 1024 {
            return Err(Invalid::new(
                "env_template",
                format!("has {total} bytes in all, 32 KiB are allowed"),
            ));
        }
        Ok(())
    }

    fn validate_places(&self) -> Result<(), Invalid> {
        if self.volumes.len() > 32 {
            return Err(Invalid::new(
                "volumes",
                format!("has {} entries, 32 are allowed", self.volumes.len()),
            ));
        }
        let mut places = BTreeSet::from([self.data_path.as_str()]);
        let mut names = BTreeSet::new();
        for (index, volume) in self.volumes.iter().enumerate() {
            if !places.insert(volume.container_path.as_str()) {
                return Err(Invalid::new(
                    format!("volumes[{index}].container_path"),
                    format!("{} is mounted twice", volume.container_path),
                ));
            }
            if !names.insert(volume.name.as_str()) {
                return Err(Invalid::new(
                    format!("volumes[{index}].name"),
                    format!("{} is named twice", volume.name),
                ));
            }
        }
        Ok(())
    }

    fn validate_ports(&self) -> Result<(), Invalid> {
        if self.ports.len() > MAX_PORTS {
            return Err(Invalid::new(
                "ports",
                format!("has {} entries, {MAX_PORTS} are allowed", self.ports.len()),
            ));
        }
        let mut seen = BTreeSet::new();
        for (index, need) in self.ports.iter().enumerate() {
            if !seen.insert(need) {
                return Err(Invalid::new(
                    format!("ports[{index}]"),
                    format!("{}/{} is named twice", need.container_port, need.protocol),
                ));
            }
        }
        Ok(())
    }

    fn validate_log(&self) -> Result<(), Invalid> {
        let log = &self.log;
        if log.driver.is_empty()
            || log.driver.len() > 64
            || !log.driver.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/.:".contains(&b))
        {
            return Err(Invalid::new("log.driver", format!("{:?} is no name of a log driver", log.driver)));
        }
        if !log.can_be_read_back() && self.console == ConsolePolicy::Exact {
            return Err(Invalid::new(
                "log.driver",
                format!(
                    "{} cannot be read back, so console lines would be lost whenever the host manager is away; \
                     use local or json-file, or say console: best-effort",
                    log.driver
                ),
            ));
        }
        if !(1 << 20..=1 << 40).contains(&log.max_size_bytes) {
            return Err(Invalid::new(
                "log.max_size_bytes",
                format!("{} is not within 1 MiB to 1 TiB", log.max_size_bytes),
            ));
        }
        if !(2..=100).contains(&log.max_files) {
            return Err(Invalid::new("log.max_files", format!("{} is not within 2 to 100", log.max_files)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> ConfigBody {
        ConfigBody::new("openttd:13.0".parse().unwrap())
    }

    #[test]
    fn what_cannot_run_is_refused_with_its_field() {
        type Spoil = Box<dyn Fn(&mut ConfigBody)>;
        let cases: Vec<(&str, Spoil)> = vec![
            ("env_template[A=B]", Box::new(|b| drop(b.env_template.insert("A=B".into(), "x".into())))),
            (
                "env_template[MANMAN_X]",
                Box::new(|b| drop(b.env_template.insert("MANMAN_X".into(), "x".into()))),
            ),
            ("env_template[X]", Box::new(|b| drop(b.env_template.insert("X".into(), "{{port}}".into())))),
            ("env_template", Box::new(|b| drop(b.env_template.insert("X".into(), "x".repeat(40_000))))),
            ("command", Box::new(|b| b.command = vec!["x".repeat(32 * 1024); 9])),
            ("entrypoint[0]", Box::new(|b| b.entrypoint.push(String::new()))),
            ("user", Box::new(|b| b.user = Some("+1000".into()))),
            ("log.driver", Box::new(|b| b.log.driver = "none".into())),
            ("log.max_files", Box::new(|b| b.log.max_files = 1)),
            ("stop", Box::new(|b| b.stop.grace_millis = u32::MAX)),
            ("limits.pids", Box::new(|b| b.limits.pids = Some(1))),
            (
                "volumes[0].container_path",
                Box::new(|b| {
                    b.volumes.push(Volume {
                        name: "x".parse().unwrap(),
                        container_path: b.data_path.clone(),
                        read_only: false,
                    });
                }),
            ),
        ];
        assert_eq!(body().validate(), Ok(()));
        for (field, spoil) in cases {
            let mut body = body();
            spoil(&mut body);
            assert_eq!(body.validate().unwrap_err().field, field);
        }
    }

    #[test]
    fn a_driver_that_cannot_be_read_back_needs_best_effort() {
        let mut body = body();
        body.log.driver = "none".into();
        body.console = ConsolePolicy::BestEffort;
        assert_eq!(body.validate(), Ok(()));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<ConfigBody>(r#"{"image":"a","privileged":true}"#).is_err());
    }
}
