//! What files declare.

use std::collections::BTreeMap;

use manman_core::model::{ConfigBody, Labels, Name, PortAsk, PortNeed, game::GameChange, port::MAX_PORTS};

use super::{
    body,
    fields::{Fields, list, pairs, parsed, text},
    place::{Place, Problems},
    source::Source,
    yaml::{self, Node, What},
};
use crate::cli::parse::{self, PortAsked};

/// What files declare, in their order.
#[derive(Debug)]
pub struct Declared {
    /// Whether nothing had to be left out for being wrong, which others may refer to.
    pub is_whole: bool,
    /// The games, with their configs.
    pub games: Vec<Game>,
    /// The deployments.
    pub deployments: Vec<Deployment>,
}

/// A game. What is absent is left as it is.
#[derive(Debug)]
pub struct Game {
    /// Where it was written.
    pub place: Place,
    /// Its name.
    pub name: Name,
    /// Its id at Steam.
    pub steam_app_id: Option<String>,
    /// Its metadata, all of it.
    pub metadata: Option<Labels>,
    /// Its configs.
    pub configs: Vec<Config>,
}

/// A config, as a whole.
#[derive(Debug)]
pub struct Config {
    /// Where it was written.
    pub place: Place,
    /// Its name within its game.
    pub name: Name,
    /// What it says; `None` if that is invalid, which is noted.
    pub body: Option<ConfigBody>,
}

/// A deployment. What is absent is left as it is, or has the default of a new one.
#[derive(Debug)]
pub struct Deployment {
    /// Where it was written.
    pub place: Place,
    /// Its name.
    pub name: Name,
    /// Its config, as `game/config` or by its name.
    pub config: (Place, String),
    /// Its server.
    pub server: Option<(Place, String)>,
    /// The ports that it asks for.
    pub ports: Vec<(Place, PortAsked)>,
    /// Its labels, all of them.
    pub labels: Option<Labels>,
}

/// Reads what the files declare; what is wrong is noted.
pub fn declared(sources: &[Source], problems: &mut Problems) -> Declared {
    let mut declared = Declared { is_whole: true, games: Vec::new(), deployments: Vec::new() };
    for source in sources {
        let (documents, is_whole) = yaml::documents(&source.name, &source.text, problems);
        declared.is_whole &= is_whole;
        for document in documents {
            read(&document, &mut declared, problems);
        }
    }
    once(declared.games.iter().map(|game| (&game.place, "game", game.name.to_string())), problems);
    for game in &declared.games {
        let name = |config: &Config| format!("{}/{}", game.name, config.name);
        once(game.configs.iter().map(|config| (&config.place, "config", name(config))), problems);
    }
    let deployments = declared.deployments.iter();
    once(deployments.map(|one| (&one.place, "deployment", one.name.to_string())), problems);
    declared
}

/// Notes names that are there twice.
fn once<'d>(names: impl Iterator<Item = (&'d Place, &'static str, String)>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for (place, noun, name) in names {
        match seen.get(&name) {
            Some(first) => problems.add(place, format!("{noun} {name} is declared twice, before at {first}")),
            None => drop(seen.insert(name, place)),
        }
    }
}

fn read(document: &Node, declared: &mut Declared, problems: &mut Problems) {
    let known = ["version", "games", "deployments"];
    let Some(fields) = Fields::of(document, "a document", &known, problems) else {
        declared.is_whole = false;
        return;
    };
    match fields.get("version") {
        None => problems.add(&document.place, "says no version: write version: 1 at its top"),
        Some(node) => {
            if !matches!(&node.what, What::Word(text, _) if text == "1") {
                problems.add(&node.place, "this manman knows version 1 only: write version: 1");
            }
        }
    }
    if let Some(node) = fields.get("games") {
        declared.is_whole &= matches!(node.what, What::List(_));
        for node in list(node, problems) {
            match game(node, problems) {
                Some((game, is_whole)) => {
                    declared.is_whole &= is_whole;
                    declared.games.push(game);
                }
                None => declared.is_whole = false,
            }
        }
    }
    if let Some(node) = fields.get("deployments") {
        declared
            .deployments
            .extend(list(node, problems).iter().filter_map(|node| deployment(node, problems)));
    }
}

fn name(fields: &Fields<'_>, problems: &mut Problems) -> Option<Name> {
    let node = fields.need("name", problems)?;
    parsed(node, str::parse, problems)
}

/// A game, and whether all of its configs could be read.
fn game(node: &Node, problems: &mut Problems) -> Option<(Game, bool)> {
    let fields = Fields::of(node, "a game", &["name", "steam_app_id", "metadata", "configs"], problems)?;
    let name = name(&fields, problems);
    let steam_app_id = fields.get("steam_app_id").and_then(|node| {
        let app = text(node, problems)?.to_owned();
        let alone = GameChange { seen: None, steam_app_id: Some(app.clone()), metadata: Labels::new() };
        alone.validate().map_err(|invalid| problems.add(&node.place, invalid.to_string())).ok()?;
        Some(app)
    });
    let metadata = fields.get("metadata").map(|node| labels(node, "metadata", problems));
    let configs = fields.get("configs").map_or(&[][..], |node| list(node, problems));
    let declared = configs.len();
    let configs: Vec<_> = configs.iter().filter_map(|node| config(node, problems)).collect();
    let is_whole =
        configs.len() == declared && fields.get("configs").is_none_or(|it| matches!(it.what, What::List(_)));
    Some((Game { place: node.place.clone(), name: name?, steam_app_id, metadata, configs }, is_whole))
}

fn config(node: &Node, problems: &mut Problems) -> Option<Config> {
    let fields = Fields::of(node, "a config", &body::KEYS, problems)?;
    let name = name(&fields, problems);
    let body = body::body(node, &fields, problems);
    Some(Config { place: node.place.clone(), name: name?, body })
}

fn deployment(node: &Node, problems: &mut Problems) -> Option<Deployment> {
    let known = ["name", "config", "server", "ports", "labels"];
    let fields = Fields::of(node, "a deployment", &known, problems)?;
    let name = name(&fields, problems);
    let word = |node: &Node, problems: &mut Problems| {
        text(node, problems).map(|text| (node.place.clone(), text.to_owned()))
    };
    let config = fields.need("config", problems).and_then(|node| word(node, problems));
    let server = fields.get("server").and_then(|node| word(node, problems));
    let ports = fields.get("ports").map_or_else(Vec::new, |node| ports(node, problems));
    let labels = fields.get("labels").map(|node| labels(node, "labels", problems));
    Some(Deployment { place: node.place.clone(), name: name?, config: config?, server, ports, labels })
}

fn labels(node: &Node, called: &'static str, problems: &mut Problems) -> Labels {
    let labels = pairs(node, called, problems);
    if let Err(invalid) = manman_core::model::text::check_labels(called, &labels) {
        problems.add(&node.place, invalid.to_string());
    }
    labels
}

/// `[3979/udp=30000]` as on the command line, or `{3979/udp: 30000}`.
fn ports(node: &Node, problems: &mut Problems) -> Vec<(Place, PortAsked)> {
    let count = match &node.what {
        What::Map(entries) => entries.len(),
        What::List(list) => list.len(),
        What::Word(..) => 0,
    };
    if count > MAX_PORTS {
        problems.add(&node.place, format!("ports: has {count} entries, {MAX_PORTS} are allowed"));
        return Vec::new();
    }
    let mut ports: Vec<(Place, PortAsked)> = Vec::new();
    let mut one = |node: &Node, text: String, problems: &mut Problems| match parse::port_asked(&text) {
        Ok(asked) => match ports.iter().find(|(_, earlier)| earlier.need == asked.need) {
            Some((first, _)) => {
                problems
                    .add(&node.place, format!("{} is asked for twice, before at {first}", port(asked.need)));
            }
            None => ports.push((node.place.clone(), asked)),
        },
        Err(problem) => problems.add(&node.place, problem),
    };
    match &node.what {
        What::Map(entries) => {
            for (need, ask) in entries {
                let Some(inside) = text(need, problems) else { continue };
                match ask.is_nothing() {
                    true => one(need, inside.to_owned(), problems),
                    false => {
                        let Some(ask) = text(ask, problems) else { continue };
                        one(need, format!("{inside}={ask}"), problems);
                    }
                }
            }
        }
        What::List(list) => {
            for node in list {
                if let Some(text) = text(node, problems) {
                    one(node, text.to_owned(), problems);
                }
            }
        }
        What::Word(..) => {
            let found = node.called();
            problems.add(&node.place, format!("ports: a list ([3979/udp=30000]) is expected, not {found}"));
        }
    }
    ports
}

/// A port inside a container, as people write it.
pub fn port(need: PortNeed) -> String {
    format!("{}/{}", need.container_port, need.protocol.lower())
}

/// What is asked for a port, as people write it.
pub fn ask(ask: PortAsk) -> String {
    match ask {
        PortAsk::Number(number) => number.to_string(),
        PortAsk::AnyOf(first, last) => format!("any:{first}-{last}"),
    }
}
