//! A config as it is declared: the fields of the API, and where the command line has a
//! short form, that too.

use manman_core::model::{
    ConfigBody, Limits, NetworkMode, Port, PortNeed, Protocol, RunAs, Signal, StopPlan, StopStep, Volume,
    config::EngineLog,
};

use super::{
    fields::{Fields, list, pairs, parsed, text, truth, whole},
    place::{Place, Problems},
    yaml::{Node, What},
};
use crate::cli::{
    grammar::{cap_profile, console_policy},
    parse,
};

/// The keys of a config; what says the same stands together.
pub const KEYS: [&str; 17] = [
    "name",
    "image",
    "entrypoint",
    "command",
    "env_template/env",
    "data_path",
    "volumes",
    "ports",
    "stop",
    "limits",
    "capabilities",
    "user",
    "tty",
    "network",
    "console",
    "log",
    "labels",
];

/// Short forms, and what they are short for.
const SHORT: [(&str, &str); 5] = [
    ("env_template", "env"),
    ("memory_bytes", "memory"),
    ("cpu_millis", "cpus"),
    ("grace_millis", "grace"),
    ("max_size_bytes", "max_size"),
];

/// The body of a config, if it can be run.
pub fn body(node: &Node, fields: &Fields<'_>, problems: &mut Problems) -> Option<ConfigBody> {
    let before = problems.len();
    let image = fields.need("image", problems).and_then(|node| parsed(node, str::parse, problems));
    let mut body = ConfigBody::new(image.unwrap_or_else(|| "none".parse().expect("a constant image parses")));
    if let Some(node) = fields.get("entrypoint") {
        body.entrypoint = words(node, problems);
    }
    if let Some(node) = fields.get("command") {
        body.command = words(node, problems);
    }
    if let Some(node) = fields.get("env_template").or(fields.get("env")) {
        body.env_template = pairs(node, "env", problems);
    }
    if let Some(node) = fields.get("data_path") {
        set(&mut body.data_path, parsed(node, str::parse, problems));
    }
    if let Some(node) = fields.get("volumes") {
        body.volumes = list(node, problems).iter().filter_map(|node| volume(node, problems)).collect();
    }
    if let Some(node) = fields.get("ports") {
        body.ports = list(node, problems).iter().filter_map(|node| port(node, problems)).collect();
    }
    if let Some(node) = fields.get("stop") {
        body.stop = stop(node, problems);
    }
    if let Some(node) = fields.get("limits") {
        body.limits = limits(node, problems);
    }
    if let Some(node) = fields.get("capabilities") {
        set(&mut body.capabilities, parsed(node, cap_profile, problems));
    }
    if let Some(node) = fields.get("user") {
        body.user = parsed(node, |text| text.parse::<RunAs>().map(|_| text.to_owned()), problems);
    }
    if let Some(node) = fields.get("tty") {
        set(&mut body.tty, truth(node, problems));
    }
    if let Some(node) = fields.get("network") {
        set(&mut body.network, network(node, problems));
    }
    if let Some(node) = fields.get("console") {
        set(&mut body.console, parsed(node, |text| console_policy(&text.replace('_', "-")), problems));
    }
    if let Some(node) = fields.get("log") {
        body.log = log(node, problems);
    }
    if let Some(node) = fields.get("labels") {
        body.labels = pairs(node, "labels", problems);
    }
    if problems.len() > before {
        return None;
    }
    if let Err(invalid) = body.validate() {
        problems.add(place_of(node, &invalid.field), invalid.to_string());
        return None;
    }
    Some(body)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn words(node: &Node, problems: &mut Problems) -> Vec<String> {
    list(node, problems).iter().filter_map(|node| text(node, problems)).map(str::to_owned).collect()
}

fn volume(node: &Node, problems: &mut Problems) -> Option<Volume> {
    if let What::Word(..) = node.what {
        return parsed(node, parse::volume, problems);
    }
    let fields = Fields::of(node, "a volume", &["name", "container_path", "read_only"], problems)?;
    let name = fields.need("name", problems).and_then(|node| parsed(node, str::parse, problems));
    let path = fields.need("container_path", problems).and_then(|node| parsed(node, str::parse, problems));
    let read_only = fields.get("read_only").map(|node| truth(node, problems));
    Some(Volume { name: name?, container_path: path?, read_only: read_only.unwrap_or(Some(false))? })
}

fn port(node: &Node, problems: &mut Problems) -> Option<PortNeed> {
    if let What::Word(..) = node.what {
        return parsed(node, parse::port_need, problems);
    }
    let fields = Fields::of(node, "a port", &["container_port", "protocol"], problems)?;
    let number = fields.need("container_port", problems);
    let container_port = number.and_then(|node| {
        let number: u32 = whole(node, problems)?;
        Port::try_from(i64::from(number)).map_err(|invalid| problems.add(&node.place, invalid.problem)).ok()
    });
    let protocol = fields.need("protocol", problems);
    let protocol = protocol.and_then(|node| parsed(node, str::parse::<Protocol>, problems));
    Some(PortNeed { container_port: container_port?, protocol: protocol? })
}

fn stop(node: &Node, problems: &mut Problems) -> StopPlan {
    let mut plan = StopPlan::default();
    // `stop: [save:2s, quit:10s]`, as the command line has it.
    if let What::List(_) = node.what {
        plan.steps = list(node, problems).iter().filter_map(|node| step(node, problems)).collect();
        return plan;
    }
    let Some(fields) = Fields::of(node, "a stop", &["steps", "signal", "grace_millis/grace"], problems)
    else {
        return plan;
    };
    if let Some(node) = fields.get("steps") {
        plan.steps = list(node, problems).iter().filter_map(|node| step(node, problems)).collect();
    }
    if let Some(node) = fields.get("signal") {
        let signal = parsed(node, |text| text.parse::<Signal>().map_err(|invalid| invalid.problem), problems);
        set(&mut plan.signal, signal);
    }
    set(&mut plan.grace_millis, amount(&fields, "grace_millis", "grace", parse::millis, problems));
    plan
}

fn step(node: &Node, problems: &mut Problems) -> Option<StopStep> {
    if let What::Word(..) = node.what {
        return parsed(node, parse::stop_step, problems);
    }
    let fields = Fields::of(node, "a step of a stop", &["command", "wait_millis/wait"], problems)?;
    let command = fields.need("command", problems);
    let command = command.and_then(|node| parsed(node, str::parse, problems));
    let wait = amount(&fields, "wait_millis", "wait", parse::millis, problems);
    Some(StopStep { command: command?, wait_millis: wait.unwrap_or(0) })
}

fn limits(node: &Node, problems: &mut Problems) -> Limits {
    let known = ["memory_bytes/memory", "cpu_millis/cpus", "pids"];
    let Some(fields) = Fields::of(node, "limits", &known, problems) else { return Limits::default() };
    Limits {
        memory_bytes: amount(&fields, "memory_bytes", "memory", parse::bytes, problems),
        cpu_millis: amount(&fields, "cpu_millis", "cpus", parse::cpu_millis, problems),
        pids: fields.get("pids").and_then(|node| whole(node, problems)),
    }
}

fn log(node: &Node, problems: &mut Problems) -> EngineLog {
    let mut log = EngineLog::default();
    let known = ["driver", "max_size_bytes/max_size", "max_files"];
    let Some(fields) = Fields::of(node, "a log", &known, problems) else { return log };
    if let Some(node) = fields.get("driver") {
        set(&mut log.driver, text(node, problems).map(str::to_owned));
    }
    set(&mut log.max_size_bytes, amount(&fields, "max_size_bytes", "max_size", parse::bytes, problems));
    if let Some(node) = fields.get("max_files") {
        set(&mut log.max_files, whole(node, problems));
    }
    log
}

fn network(node: &Node, problems: &mut Problems) -> Option<NetworkMode> {
    if let What::Word(..) = node.what {
        return parsed(node, parse::network, problems);
    }
    let fields = Fields::of(node, "a network", &["shared"], problems)?;
    match fields.get("shared") {
        None => Some(NetworkMode::Session),
        Some(node) => parsed(node, str::parse, problems).map(NetworkMode::Shared),
    }
}

/// An amount: by its whole name in the unit that the name says, by its short one with a unit.
fn amount<T: TryFrom<u64>>(
    fields: &Fields<'_>,
    whole_name: &str,
    short: &str,
    parse: fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) -> Option<T> {
    match (fields.get(whole_name), fields.get(short)) {
        (Some(node), _) => whole(node, problems),
        (None, Some(node)) => parsed(node, parse, problems),
        (None, None) => None,
    }
}

/// Where a field of a config (`volumes[0].name`) was written; as near as can be.
fn place_of<'n>(config: &'n Node, field: &str) -> &'n Place {
    let mut at = config;
    for part in field.split('.') {
        let (key, index) = match part.split_once('[') {
            Some((key, index)) => (key, Some(index.trim_end_matches(']'))),
            None => (part, None),
        };
        let short = SHORT.iter().find(|(whole, _)| *whole == key).map(|(_, short)| *short);
        let Some(next) = at.get(key).or_else(|| short.and_then(|short| at.get(short))) else {
            return &at.place;
        };
        at = next;
        let Some(index) = index else { continue };
        let inner = match &at.what {
            What::List(list) => index.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => at.get(index),
        };
        let Some(next) = inner else { return &at.place };
        at = next;
    }
    &at.place
}
