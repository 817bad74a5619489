//! Game configs.

use std::collections::BTreeMap;

use manman_core::{
    id::{ConfigId, GameId, SgcId},
    model::{
        CapProfile, ConfigBody, ConsolePolicy, GameConfig, Invalid, Limits, NetworkMode, PortNeed, Signal,
        StopPlan, StopStep, Volume,
        config::{ConfigChange, EngineLog, NewConfig},
    },
};

use super::{
    enum_in, enums, id, needed, parsed, port_in, port_out, ports_in, seen_in, timestamp_in, timestamp_out,
};
use crate::api::v1;

enums! {
    Signal <=> Signal:
        Term = Signal::Term, Int = Signal::Int, Quit = Signal::Quit, Hup = Signal::Hup, Usr1 = Signal::Usr1,
        Usr2 = Signal::Usr2;
    CapProfile <=> CapProfile: Strict = CapProfile::Strict, Image = CapProfile::Image;
    ConsolePolicy <=> ConsolePolicy: Exact = ConsolePolicy::Exact, BestEffort = ConsolePolicy::BestEffort;
}

impl From<StopPlan> for v1::StopPlan {
    fn from(plan: StopPlan) -> Self {
        let step =
            |step: StopStep| v1::StopStep { command: step.command.into(), wait_millis: step.wait_millis };
        Self {
            steps: plan.steps.into_iter().map(step).collect(),
            signal: Some(v1::Signal::from(plan.signal).into()),
            grace_millis: Some(plan.grace_millis),
        }
    }
}

impl TryFrom<v1::StopPlan> for StopPlan {
    type Error = Invalid;

    fn try_from(plan: v1::StopPlan) -> Result<Self, Invalid> {
        let usual = Self::default();
        let steps = plan.steps.into_iter().enumerate().map(|(index, step)| {
            let command = parsed(&format!("steps[{index}].command"), &step.command)?;
            Ok(StopStep { command, wait_millis: step.wait_millis })
        });
        Ok(Self {
            steps: steps.collect::<Result<_, Invalid>>()?,
            signal: match plan.signal {
                Some(signal) => enum_in::<v1::Signal, _>("signal", signal)?,
                None => usual.signal,
            },
            grace_millis: plan.grace_millis.unwrap_or(usual.grace_millis),
        })
    }
}

impl From<ConfigBody> for v1::ConfigBody {
    fn from(body: ConfigBody) -> Self {
        let volume = |volume: Volume| v1::Volume {
            name: volume.name.into(),
            container_path: volume.container_path.into(),
            read_only: volume.read_only,
        };
        let need = |need: PortNeed| v1::PortNeed {
            container_port: port_out(need.container_port),
            protocol: v1::Protocol::from(need.protocol).into(),
        };
        let Limits { memory_bytes, cpu_millis, pids } = body.limits;
        Self {
            image: body.image.into(),
            entrypoint: body.entrypoint,
            command: body.command,
            env_template: body.env_template,
            data_path: Some(body.data_path.into()),
            volumes: body.volumes.into_iter().map(volume).collect(),
            ports: body.ports.into_iter().map(need).collect(),
            stop: Some(body.stop.into()),
            limits: Some(v1::Limits { memory_bytes, cpu_millis, pids }),
            capabilities: Some(v1::CapProfile::from(body.capabilities).into()),
            user: body.user,
            tty: body.tty,
            network: Some(v1::Network {
                shared: match body.network {
                    NetworkMode::Session => None,
                    NetworkMode::Shared(name) => Some(name.into()),
                },
            }),
            console: Some(v1::ConsolePolicy::from(body.console).into()),
            log: Some(v1::EngineLog {
                driver: Some(body.log.driver),
                max_size_bytes: Some(body.log.max_size_bytes),
                max_files: Some(body.log.max_files),
            }),
            labels: body.labels,
        }
    }
}

impl TryFrom<v1::ConfigBody> for ConfigBody {
    type Error = Invalid;

    fn try_from(body: v1::ConfigBody) -> Result<Self, Invalid> {
        let usual = Self::new(parsed("image", &body.image)?);
        let volumes = body.volumes.into_iter().enumerate().map(|(index, volume)| {
            Ok(Volume {
                name: parsed(&format!("volumes[{index}].name"), &volume.name)?,
                container_path: parsed(&format!("volumes[{index}].container_path"), &volume.container_path)?,
                read_only: volume.read_only,
            })
        });
        let ports = body.ports.into_iter().enumerate().map(|(index, need)| {
            Ok(PortNeed {
                container_port: port_in(&format!("ports[{index}].container_port"), need.container_port)?,
                protocol: enum_in::<v1::Protocol, _>(&format!("ports[{index}].protocol"), need.protocol)?,
            })
        });
        let v1::Limits { memory_bytes, cpu_millis, pids } = body.limits.unwrap_or_default();
        let log = body.log.unwrap_or_default();
        Ok(Self {
            entrypoint: body.entrypoint,
            command: body.command,
            env_template: body.env_template,
            data_path: match &body.data_path {
                Some(path) => parsed("data_path", path)?,
                None => usual.data_path,
            },
            volumes: volumes.collect::<Result<_, Invalid>>()?,
            ports: ports.collect::<Result<_, Invalid>>()?,
            stop: match body.stop {
                Some(plan) => plan.try_into().map_err(|invalid: Invalid| invalid.within("stop"))?,
                None => usual.stop,
            },
            limits: Limits { memory_bytes, cpu_millis, pids },
            capabilities: match body.capabilities {
                Some(profile) => enum_in::<v1::CapProfile, _>("capabilities", profile)?,
                None => usual.capabilities,
            },
            user: body.user,
            tty: body.tty,
            network: match body.network.and_then(|network| network.shared) {
                Some(name) => NetworkMode::Shared(parsed("network.shared", &name)?),
                None => NetworkMode::Session,
            },
            console: match body.console {
                Some(policy) => enum_in::<v1::ConsolePolicy, _>("console", policy)?,
                None => usual.console,
            },
            log: EngineLog {
                driver: log.driver.unwrap_or(usual.log.driver),
                max_size_bytes: log.max_size_bytes.unwrap_or(usual.log.max_size_bytes),
                max_files: log.max_files.unwrap_or(usual.log.max_files),
            },
            labels: body.labels,
            image: usual.image,
        })
    }
}

impl From<GameConfig> for v1::GameConfig {
    fn from(config: GameConfig) -> Self {
        Self {
            config_id: config.id.0,
            game_id: config.game.0,
            name: config.name.into(),
            body: Some(config.body.into()),
            created_at: Some(timestamp_out(config.created_at)),
        }
    }
}

impl TryFrom<v1::GameConfig> for GameConfig {
    type Error = Invalid;

    fn try_from(config: v1::GameConfig) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("config_id", config.config_id, ConfigId)?,
            game: id("game_id", config.game_id, GameId)?,
            name: parsed("name", &config.name)?,
            body: needed("body", config.body)?
                .try_into()
                .map_err(|invalid: Invalid| invalid.within("body"))?,
            created_at: timestamp_in(needed("created_at", config.created_at)?),
        })
    }
}

impl From<NewConfig> for v1::CreateGameConfigRequest {
    fn from(new: NewConfig) -> Self {
        Self {
            game_id: new.game.0,
            name: new.name.into(),
            body: Some(new.body.into()),
            idempotency_key: String::new(),
        }
    }
}

impl TryFrom<v1::CreateGameConfigRequest> for NewConfig {
    type Error = Invalid;

    fn try_from(request: v1::CreateGameConfigRequest) -> Result<Self, Invalid> {
        let game = id("game_id", request.game_id, GameId)?;
        let name = parsed("name", &request.name)?;
        Ok(Self { game, name, body: body_in(request.body)? })
    }
}

impl TryFrom<v1::UpdateGameConfigRequest> for ConfigChange {
    type Error = Invalid;

    fn try_from(request: v1::UpdateGameConfigRequest) -> Result<Self, Invalid> {
        let mut ports = BTreeMap::new();
        for (index, one) in request.deployments.into_iter().enumerate() {
            let field = format!("deployments[{index}]");
            let within = |invalid: Invalid| invalid.within(&field);
            let sgc = id("server_game_config_id", one.server_game_config_id, SgcId).map_err(within)?;
            if ports.insert(sgc, ports_in(one.ports).map_err(within)?).is_some() {
                return Err(within(Invalid::new("server_game_config_id", format!("{sgc} is named twice"))));
            }
        }
        Ok(Self { seen: seen_in(request.seen)?, body: body_in(request.body)?, ports })
    }
}

/// The body of a request, valid as a whole.
fn body_in(body: Option<v1::ConfigBody>) -> Result<ConfigBody, Invalid> {
    ConfigBody::try_from(needed("body", body)?)
        .and_then(|body| body.validate().map(|()| body))
        .map_err(|invalid| invalid.within("body"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_survives_the_wire() {
        let json = r#"{"image":"openttd:13","entrypoint":["/bin/x"],"command":["-D"],"env_template":{"A":"b"},
            "data_path":"/data","volumes":[{"name":"maps","container_path":"/maps","read_only":true}],
            "ports":[{"container_port":3979,"protocol":"UDP"}],
            "stop":{"steps":[{"command":"save","wait_millis":2000}],"signal":"INT","grace_millis":5},
            "limits":{"memory_bytes":1073741824,"cpu_millis":1500,"pids":64},"capabilities":"image","user":"1:2",
            "tty":true,"network":{"shared":"lan"},"console":"best-effort",
            "log":{"driver":"none","max_size_bytes":1048576,"max_files":3},"labels":{"a":"b"}}"#;
        let body: ConfigBody = serde_json::from_str(json).unwrap();
        assert_eq!(ConfigBody::try_from(v1::ConfigBody::from(body.clone())), Ok(body));
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let wire = v1::ConfigBody { image: "openttd".into(), ..Default::default() };
        assert_eq!(ConfigBody::try_from(wire), Ok(ConfigBody::new("openttd".parse().unwrap())));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_field() {
        type Spoil = fn(&mut v1::ConfigBody);
        let cases: [(&str, Spoil); 7] = [
            ("body.image", |b| b.image = "A b".into()),
            ("body.ports[0].protocol", |b| b.ports.push(v1::PortNeed { container_port: 1, protocol: 0 })),
            ("body.ports[0].container_port", |b| {
                b.ports.push(v1::PortNeed { container_port: 65536, protocol: 1 });
            }),
            ("body.stop.signal", |b| b.stop = Some(v1::StopPlan { signal: Some(9), ..Default::default() })),
            ("body.volumes[0].name", |b| {
                b.volumes.push(v1::Volume { name: "../x".into(), ..Default::default() });
            }),
            ("body.capabilities", |b| b.capabilities = Some(0)),
            ("body.limits.memory_bytes", |b| {
                b.limits = Some(v1::Limits { memory_bytes: Some(1024), ..Default::default() });
            }),
        ];
        for (field, spoil) in cases {
            let mut body = v1::ConfigBody { image: "openttd".into(), ..Default::default() };
            spoil(&mut body);
            let request = v1::CreateGameConfigRequest {
                game_id: 1,
                name: "a".into(),
                body: Some(body),
                idempotency_key: String::new(),
            };
            assert_eq!(NewConfig::try_from(request).unwrap_err().field, field);
        }
    }
}
