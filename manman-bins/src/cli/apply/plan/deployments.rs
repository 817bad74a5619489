//! What has to be done about deployments.

use std::collections::BTreeMap;

use manman_core::model::{Port, PortAsk, PortNeed};

use super::{Configs, Deed, Plan, There, ports};
use crate::{
    api::{near::near, v1},
    cli::{
        apply::{
            document::{Declared, Deployment, ask, port},
            facts::{Fact, Facts, differences},
            place::{Place, Problems},
        },
        output::needed_port,
        parse::PortAsked,
        verbs::asked,
    },
};

/// Plans the deployments: changes before new ones, which may need the ports that they free.
pub fn plan(plan: &mut Plan, declared: &Declared, there: &There, configs: &Configs, problems: &mut Problems) {
    let mut wanted = Vec::new();
    for deployment in &declared.deployments {
        wanted.extend(Wanted::of(deployment, there, configs, problems));
    }
    ports::clashes(&wanted, there, problems, plan);
    let (changed, new): (Vec<_>, Vec<_>) = wanted.iter().partition(|one| one.old.is_some());
    for one in changed.iter().chain(&new) {
        one.plan(plan, there);
    }
    ports::follow(plan, &wanted, there, configs);
}

/// A deployment as it is to be.
pub struct Wanted<'d> {
    /// What is declared.
    pub declared: &'d Deployment,
    /// What it is now; `None` if it is to be made.
    pub old: Option<&'d v1::ServerGameConfig>,
    /// By its full name.
    pub config: String,
    /// `None`: the only one there is.
    pub server: Option<&'d v1::Server>,
    /// Each port that the config needs, and what is asked for it.
    pub ports: Vec<PortAsked>,
}

impl<'d> Wanted<'d> {
    fn of(
        declared: &'d Deployment,
        there: &'d There,
        configs: &Configs,
        problems: &mut Problems,
    ) -> Option<Self> {
        let old = there.deployments.iter().find(|one| one.name == declared.name.as_str());
        let config = config_named(&declared.config, configs, problems);
        let server = server_of(declared, old, there, problems);
        let (config, server) = (config?, server?);
        let needs = &configs.get(&config)?.as_ref()?.ports;
        for (place, asked) in &declared.ports {
            if !needs.contains(&asked.need) {
                let known: Vec<_> = needs.iter().map(|need| port(*need)).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let what = port(asked.need);
                problems.add(place, format!("config {config} needs no port {what}; it needs {known}"));
            }
        }
        let ports = needs.iter().map(|need| PortAsked { need: *need, ask: wish(declared, old, need) });
        Some(Self { declared, old, ports: ports.collect(), config, server })
    }

    fn plan(&self, plan: &mut Plan, there: &There) {
        let name = self.declared.name.to_string();
        let Some(old) = self.old else {
            let request = v1::DeployGameConfigRequest {
                name: Some(name.clone()),
                server_id: self.server.map(|server| server.server_id),
                ports: self.ports.iter().map(asked).collect(),
                labels: self.declared.labels.clone().unwrap_or_default(),
                ..Default::default()
            };
            let deed = Deed::Deploy(self.config.clone(), request);
            return plan.change("deployment", name, true, Vec::new(), deed);
        };
        if let Some(server) = self.server
            && server.server_id != old.server_id
        {
            let (from, to) = (there.server_name(old.server_id), &server.name);
            plan.refused.push(format!(
                "deployment {name} is on {from} with its files and does not move to {to}: \
                 declare one of another name there, or say server: {from}"
            ));
            return;
        }
        let labels = self.declared.labels.clone().unwrap_or_else(|| old.labels.clone());
        let differing = differences(&facts_now(old, there), &self.facts(&labels));
        let touches_session = differing.iter().any(|it| !it.field.starts_with("labels."));
        if let Some(session) = there.live.get(&old.server_game_config_id)
            && touches_session
        {
            plan.refused.push(format!(
                "deployment {name} has a live session ({session}), and its config and ports change only \
                 while it has none: stop it first (`manman stop {name}`), then apply again"
            ));
            return;
        }
        let request = v1::UpdateServerGameConfigRequest {
            server_game_config_id: old.server_game_config_id,
            ports: self.ports.iter().map(asked).collect(),
            labels,
            seen: Some(old.clone()),
            ..Default::default()
        };
        let deed = Deed::UpdateDeployment(self.config.clone(), request);
        plan.change("deployment", name, false, differing, deed);
    }

    fn facts(&self, labels: &BTreeMap<String, String>) -> Facts {
        let mut facts = facts_of(&self.config, labels);
        for asked in &self.ports {
            facts.insert(format!("ports.{}", port(asked.need)), Fact::open(ask(asked.ask)));
        }
        facts
    }
}

fn facts_of(config: &str, labels: &BTreeMap<String, String>) -> Facts {
    let mut facts = Facts::from([("config".to_owned(), Fact::open(config))]);
    facts.extend(labels.iter().map(|(key, value)| (format!("labels.{key}"), Fact::of(key, value))));
    facts
}

fn facts_now(old: &v1::ServerGameConfig, there: &There) -> Facts {
    let config = there.configs.iter().find(|config| config.config_id == old.game_config_id);
    let config = config.map_or_else(|| old.game_config_id.to_string(), |config| there.full_name(config));
    let mut facts = facts_of(&config, &old.labels);
    for binding in &old.port_bindings {
        let need = needed_port(binding.container_port, binding.protocol());
        facts.insert(format!("ports.{need}"), Fact::open(binding.host_port.to_string()));
    }
    facts
}

/// The port of the machine that a deployment holds for a need.
pub fn bound(old: &v1::ServerGameConfig, need: &PortNeed) -> Option<i32> {
    let is_it = |it: &&v1::PortBinding| {
        it.container_port == i32::from(need.container_port.get())
            && it.protocol() == v1::Protocol::from(need.protocol)
    };
    old.port_bindings.iter().find(is_it).map(|it| it.host_port)
}

/// What is asked for a port: what is declared, or where it is, or its own number. Where any
/// of a range would do, the one that players know.
fn wish(declared: &Deployment, old: Option<&v1::ServerGameConfig>, need: &PortNeed) -> PortAsk {
    let now = old.and_then(|old| bound(old, need)).and_then(|now| Port::try_from(i64::from(now)).ok());
    let asked = declared.ports.iter().find(|(_, asked)| asked.need == *need).map(|(_, asked)| asked.ask);
    match (asked, now) {
        (Some(PortAsk::AnyOf(first, last)), Some(now)) if (first..=last).contains(&now) => {
            PortAsk::Number(now)
        }
        (Some(ask), _) => ask,
        (None, now) => PortAsk::Number(now.unwrap_or(need.container_port)),
    }
}

fn config_named(
    (place, text): &(Place, String),
    configs: &Configs,
    problems: &mut Problems,
) -> Option<String> {
    if configs.contains_key(text) {
        return Some(text.clone());
    }
    let own_name = |full: &&String| full.split_once('/').is_some_and(|(_, own)| own == text);
    let named: Vec<_> = configs.keys().filter(own_name).collect();
    match named.as_slice() {
        [only] => return Some((*only).clone()),
        [] => {}
        several => {
            let names = several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" or ");
            problems.add(place, format!("several games have a config named {text}: say {names}"));
            return None;
        }
    }
    let full = configs.keys().map(String::as_str);
    let own = configs.keys().filter_map(|full| Some(full.split_once('/')?.1));
    let near = if text.contains('/') { near(text, full) } else { near(text, own) };
    let remedy = match near.first() {
        Some(meant) => format!("did you mean {meant}?"),
        None => "declare it beneath its game, or see `manman config list`".to_owned(),
    };
    problems.add(place, format!("there is no config {text:?} in the files or on the server; {remedy}"));
    None
}

/// The server that is meant; the inner `None` is the only one there is.
fn server_of<'t>(
    declared: &Deployment,
    old: Option<&v1::ServerGameConfig>,
    there: &'t There,
    problems: &mut Problems,
) -> Option<Option<&'t v1::Server>> {
    let names = || there.servers.iter().map(|server| server.name.as_str());
    match &declared.server {
        None if old.is_some() || there.servers.len() == 1 => Some(None),
        None if there.servers.is_empty() => {
            problems.add(&declared.place, "no server has registered yet, on which it could be");
            None
        }
        None => {
            let names = names().collect::<Vec<_>>().join(", ");
            problems.add(&declared.place, format!("there are several servers: say server: one of {names}"));
            None
        }
        Some((place, name)) => {
            let found = there.servers.iter().find(|server| server.name == *name);
            if found.is_none() {
                let remedy = match near(name, names()).first() {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("known are {}", names().collect::<Vec<_>>().join(", ")),
                };
                problems.add(place, format!("there is no server {name:?}; {remedy}"));
            }
            found.map(Some)
        }
    }
}
