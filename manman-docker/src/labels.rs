//! Labels: how what is ours is known again, and told from what is not.

use std::collections::HashMap;

use manman_core::{
    clock::Timestamp,
    id::{AttemptId, ClusterId, ServerId, SessionId, SgcId},
    runtime::{ContainerSpec, Owner},
};

/// What a thing is: [`GAME`], [`NETWORK`], [`JOB`] or [`PROBE`].
pub(crate) const TYPE: &str = "manman.type";
/// The installation it belongs to.
pub(crate) const CLUSTER: &str = "manman.cluster";
/// The machine it belongs to.
pub(crate) const SERVER: &str = "manman.server_id";
/// The session it belongs to.
pub(crate) const SESSION: &str = "manman.session_id";
/// The deployment it belongs to.
pub(crate) const SGC: &str = "manman.sgc_id";
const ENVIRONMENT: &str = "manman.environment";
const ATTEMPT: &str = "manman.attempt";
const SPEC: &str = "manman.spec";
const CREATED_AT: &str = "manman.created_at";

/// The container of a game.
pub(crate) const GAME: &str = "game";
/// A network.
pub(crate) const NETWORK: &str = "network";
/// A container that does something once.
pub(crate) const JOB: &str = "job";
/// A container that is created to ask the engine something, and never started.
pub(crate) const PROBE: &str = "probe";

/// What a thing's labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It carries no mark of ours.
    Unmarked,
    /// It carries our mark and is left alone: why.
    Foreign(String),
    /// The container of one of our games.
    Game(GameLabels),
    /// A network of one of our sessions, or a shared one of ours.
    Network(Option<SessionId>),
    /// A container of ours that does something once.
    Job,
    /// A container of ours that is never started.
    Probe,
}

/// The labels of a game's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GameLabels {
    pub run: AttemptId,
    pub sgc: SgcId,
    pub spec_hash: String,
    pub created_at: Option<Timestamp>,
}

/// The labels of a game's container.
pub(crate) fn game(owner: &Owner, spec: &ContainerSpec) -> HashMap<String, String> {
    let mut labels = common(owner, GAME);
    labels.extend([
        (SGC.to_owned(), spec.sgc.to_string()),
        (SESSION.to_owned(), spec.run.session.to_string()),
        (ATTEMPT.to_owned(), spec.run.attempt.to_string()),
        (SPEC.to_owned(), spec.spec_hash.clone()),
        (CREATED_AT.to_owned(), spec.created_at.to_string()),
    ]);
    labels
}

/// The labels of a session's own network, or of a shared one.
pub(crate) fn network(owner: &Owner, session: Option<SessionId>, now: Timestamp) -> HashMap<String, String> {
    let mut labels = common(owner, NETWORK);
    labels.extend(session.map(|session| (SESSION.to_owned(), session.to_string())));
    labels.insert(CREATED_AT.to_owned(), now.to_string());
    labels
}

/// The labels of a container that is never started.
pub(crate) fn probe(owner: &Owner) -> HashMap<String, String> {
    common(owner, PROBE)
}

fn common(owner: &Owner, kind: &str) -> HashMap<String, String> {
    HashMap::from([
        (TYPE.to_owned(), kind.to_owned()),
        (CLUSTER.to_owned(), owner.cluster.to_string()),
        (SERVER.to_owned(), owner.server.to_string()),
        (ENVIRONMENT.to_owned(), owner.environment.to_string()),
    ])
}

/// A filter for the engine's lists: things of this owner, with these labels too.
pub(crate) fn filter(owner: &Owner, more: &[(&str, &dyn ToString)]) -> HashMap<String, Vec<String>> {
    let mut labels = vec![format!("{CLUSTER}={}", owner.cluster), format!("{SERVER}={}", owner.server)];
    labels.extend(more.iter().map(|(key, value)| format!("{key}={}", value.to_string())));
    HashMap::from([("label".to_owned(), labels)])
}

/// A filter for the engine's lists: the containers of one attempt.
pub(crate) fn filter_run(owner: &Owner, run: AttemptId) -> HashMap<String, Vec<String>> {
    filter(owner, &[(TYPE, &GAME), (SESSION, &run.session), (ATTEMPT, &run.attempt)])
}

/// Reads the labels of a container or network.
pub(crate) fn read(owner: &Owner, labels: &HashMap<String, String>) -> Reading {
    let Some(kind) = labels.get(TYPE) else { return Reading::Unmarked };
    match read_marked(owner, kind, labels) {
        Ok(reading) => reading,
        Err(why) => Reading::Foreign(why),
    }
}

fn read_marked(owner: &Owner, kind: &str, labels: &HashMap<String, String>) -> Result<Reading, String> {
    let cluster: ClusterId = parse(labels, CLUSTER)?;
    if cluster != owner.cluster {
        return Err(format!("belongs to another installation ({cluster})"));
    }
    let server: ServerId = parse(labels, SERVER)?;
    if server != owner.server {
        return Err(format!("belongs to another server of this installation ({server})"));
    }
    match kind {
        GAME => Ok(Reading::Game(GameLabels {
            run: AttemptId::new(parse(labels, SESSION)?, attempt(labels)?),
            sgc: parse(labels, SGC)?,
            spec_hash: text(labels, SPEC)?.to_owned(),
            created_at: labels.get(CREATED_AT).and_then(|text| Timestamp::parse(text)),
        })),
        NETWORK if labels.contains_key(SESSION) => Ok(Reading::Network(Some(parse(labels, SESSION)?))),
        NETWORK => Ok(Reading::Network(None)),
        JOB => Ok(Reading::Job),
        PROBE => Ok(Reading::Probe),
        other => Err(format!("its label {TYPE}={:?} is none of ours", shown(other))),
    }
}

fn attempt(labels: &HashMap<String, String>) -> Result<u32, String> {
    let text = text(labels, ATTEMPT)?;
    match text.parse() {
        // Canonical only: 07 would be a second name for 7.
        Ok(attempt) if attempt > 0 && u32::to_string(&attempt) == text => Ok(attempt),
        _ => Err(format!("its label {ATTEMPT}={:?} cannot be read", shown(text))),
    }
}

fn text<'a>(labels: &'a HashMap<String, String>, key: &str) -> Result<&'a str, String> {
    labels.get(key).map(String::as_str).ok_or_else(|| format!("it has no label {key}"))
}

fn parse<T: std::str::FromStr>(labels: &HashMap<String, String>, key: &str) -> Result<T, String> {
    let text = text(labels, key)?;
    text.parse().map_err(|_| format!("its label {key}={:?} cannot be read", shown(text)))
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::map::tests::spec;

    pub(crate) fn owner() -> Owner {
        Owner {
            cluster: "0f3a91c2-5d7e-4b1a-9c3d-2e8f6a7b1c0d".parse().unwrap(),
            server: ServerId(1),
            environment: "prod".parse().unwrap(),
        }
    }

    #[test]
    fn labels_are_read_back() {
        let spec = spec();
        let labels = game(&owner(), &spec);
        assert_eq!(labels["manman.session_id"], "7");
        assert_eq!(labels["manman.environment"], "prod");
        let Reading::Game(read) = read(&owner(), &labels) else { panic!("not read as a game") };
        assert_eq!((read.run, read.sgc, read.spec_hash), (spec.run, spec.sgc, spec.spec_hash));
        assert_eq!(read.created_at, Some(spec.created_at));
    }

    #[test]
    fn networks_are_read_back() {
        let now = Timestamp::from_micros(1);
        let of = |session| read(&owner(), &network(&owner(), session, now));
        assert_eq!(of(Some(SessionId(7))), Reading::Network(Some(SessionId(7))));
        assert_eq!(of(None), Reading::Network(None));
        assert_eq!(read(&owner(), &probe(&owner())), Reading::Probe);
        assert_eq!(read(&owner(), &HashMap::new()), Reading::Unmarked);
    }

    #[test]
    fn what_is_not_readably_ours_is_foreign() {
        let spoils = [
            (CLUSTER, "00000000-0000-4000-8000-000000000000"),
            (CLUSTER, "x"),
            (SERVER, "2"),
            (SERVER, "01"),
            (SESSION, "seven"),
            (SESSION, "-7"),
            (ATTEMPT, "0"),
            (ATTEMPT, "02"),
            (ATTEMPT, "4294967296"),
            (SGC, ""),
            (TYPE, "toaster"),
        ];
        for (key, value) in spoils {
            let mut labels = game(&owner(), &spec());
            labels.insert(key.to_owned(), value.to_owned());
            assert!(matches!(read(&owner(), &labels), Reading::Foreign(_)), "{key}={value}");
            labels.remove(key);
            assert!(!matches!(read(&owner(), &labels), Reading::Game(_)), "without {key}");
        }
    }

    #[test]
    fn no_label_tells_a_value_of_the_environment() {
        let mut spec = spec();
        spec.env.insert("PASSWORD".into(), "canary".into());
        assert!(!format!("{:?}", game(&owner(), &spec)).contains("canary"));
    }
}
