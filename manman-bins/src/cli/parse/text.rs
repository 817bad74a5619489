//! Texts with an inner form: pairs, volumes, steps of a stop, networks.

use manman_core::model::{NetworkMode, StopStep, Volume};

use super::millis;

/// `key=value`.
pub type Pair = (String, String);

/// A key and a value: `KEY=VALUE`; the value may be empty and have further `=` in it.
pub fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) => Err(format!("{text:?} has nothing before the '='")),
        None => Err(format!("{text:?} has no '=': KEY=VALUE is expected")),
    }
}

/// A further directory: `NAME:/PATH`, with `:ro` if the game may not write there.
pub fn volume(text: &str) -> Result<Volume, String> {
    let expected = || format!("{text:?} is not a valid volume; expected NAME:/PATH or NAME:/PATH:ro");
    let (name, place) = text.split_once(':').ok_or_else(expected)?;
    let (path, read_only) = match place.rsplit_once(':') {
        None => (place, false),
        Some((path, "ro")) => (path, true),
        Some((path, "rw")) => (path, false),
        Some(_) => return Err(expected()),
    };
    if path.contains(':') {
        return Err(expected());
    }
    Ok(Volume {
        name: name.parse().map_err(|invalid| format!("in {text:?}, {invalid}"))?,
        container_path: path.parse().map_err(|invalid| format!("in {text:?}, {invalid}"))?,
        read_only,
    })
}

/// A step of a stop: a console command and how long to wait after it, `save:2s`.
pub fn stop_step(text: &str) -> Result<StopStep, String> {
    let (command, wait) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{text:?} says no wait: COMMAND:WAIT is expected, such as '{text}:2s'"))?;
    Ok(StopStep {
        command: command.parse().map_err(|invalid| format!("in {text:?}, {invalid}"))?,
        wait_millis: millis(wait).map_err(|problem| format!("in {text:?}, {problem}"))?,
    })
}

/// A network: `session`, or `shared:NAME`.
pub fn network(text: &str) -> Result<NetworkMode, String> {
    match text.split_once(':') {
        None if text == "session" => Ok(NetworkMode::Session),
        Some(("shared", name)) => {
            name.parse().map(NetworkMode::Shared).map_err(|invalid| format!("in {text:?}, {invalid}"))
        }
        _ => Err(format!("{text:?} is not a valid network; expected session or shared:NAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_cut_at_its_first_sign() {
        let made = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(pair("A=b"), made("A", "b"));
        assert_eq!(pair("A="), made("A", ""));
        assert_eq!(pair("A=b=c"), made("A", "b=c"));
        for bad in ["", "A", "=b"] {
            assert!(pair(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_volume_has_a_name_and_a_place() {
        let saves = volume("saves:/data/saves").unwrap();
        assert_eq!((saves.name.as_str(), saves.container_path.as_str()), ("saves", "/data/saves"));
        assert!(!saves.read_only);
        assert!(volume("a/b:/c:ro").unwrap().read_only);
        assert!(!volume("a:/c:rw").unwrap().read_only);
        for bad in [
            "",
            "a",
            "a:",
            ":/c",
            "a:b",
            "../a:/c",
            "/a:/c",
            "a:/",
            "a:/c/../d",
            "a:/c:rx",
            "a:/c:",
            "a:/b:/c:ro",
        ] {
            assert!(volume(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_step_says_its_wait() {
        let step = stop_step("say bye: all:1m").unwrap();
        assert_eq!((step.command.as_str(), step.wait_millis), ("say bye: all", 60_000));
        for bad in ["", "save", ":2s", "save:", "save:2", "save:2h", "a\nb:2s", "save: 2s"] {
            assert!(stop_step(bad).is_err(), "{bad:?}");
        }
        assert!(stop_step("save").unwrap_err().contains("save:2s"));
    }

    #[test]
    fn a_network_is_of_the_session_or_shared() {
        assert_eq!(network("session"), Ok(NetworkMode::Session));
        assert_eq!(network("shared:proxy"), Ok(NetworkMode::Shared("proxy".parse().unwrap())));
        for bad in ["", "shared", "shared:", "shared:a b", "host", "bridge", "shared:a/b", "session:x"] {
            assert!(network(bad).is_err(), "{bad:?}");
        }
    }
}
