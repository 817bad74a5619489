//! The configuration file: what neither a flag nor a variable says.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use manman_core::host::HostConfig;
use serde::Deserialize as _;
use toml::{Table, Value};

use super::Problem;

/// What can be said of a host in other places, and where.
const ELSEWHERE: [(&str, &str); 4] = [
    ("name", "write server_name, outside of [host]"),
    ("environment", "write environment outside of [host]"),
    ("machine_id", "remove it: it is read from /etc/machine-id"),
    ("boot_id", "remove it: it is read from the kernel"),
];

/// Far more than anybody writes.
const LONGEST: u64 = 1 << 20;

/// A configuration file that was read: settings by the names of their flags, `_` for
/// `-`, and a table `[host]` with the fields of [`HostConfig`].
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    path: PathBuf,
    settings: BTreeMap<String, String>,
    pub host: HostConfig,
}

impl File {
    /// Reads the file at `path`, in which `settings` may be said. Without one at all, and
    /// if none is `required`, nothing is said.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(path: &Path, settings: &[&str], required: bool) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        let problem = |problem: String, remedy: &str| {
            vec![Problem { place: file.clone(), problem, remedy: remedy.to_owned() }]
        };
        let mut text = String::new();
        match std::fs::File::open(path).and_then(|it| it.take(LONGEST).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(Self::default()),
            Err(error) => {
                return Err(problem(format!("cannot be read: {error}"), "name a file that can be read"));
            }
        }
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            problem(format!("line {line}: {}", error.message()), "write it in TOML")
        })?;
        let mut read = Self { path: path.to_owned(), ..Self::default() };
        let mut problems = Vec::new();
        for (key, value) in table {
            match value {
                Value::Table(host) if key == "host" => read.take_host(host, &mut problems),
                Value::String(value) if settings.contains(&key.as_str()) => {
                    read.settings.insert(key, value);
                }
                _ if settings.contains(&key.as_str()) => {
                    problems.push(read.problem(&key, "is not text", "write it in quotes"));
                }
                _ => {
                    let known = format!("known here: {}, and the table [host]", settings.join(", "));
                    problems.push(read.problem(&key, "is not known", &known));
                }
            }
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }

    /// A setting, and the place where it stands.
    pub fn get(&self, name: &str) -> Option<(String, String)> {
        let value = self.settings.get(name)?;
        Some((format!("{}: {name}", self.path.display()), value.clone()))
    }

    /// Each field by itself, so that one that is wrong hides no other.
    fn take_host(&mut self, host: Table, problems: &mut Vec<Problem>) {
        let before = problems.len();
        for (key, value) in &host {
            let place = format!("host.{key}");
            if let Some((_, remedy)) = ELSEWHERE.iter().find(|(name, _)| name == key) {
                problems.push(self.problem(&place, "is not said here", remedy));
            } else if let Err(error) =
                HostConfig::deserialize(Table::from_iter([(key.clone(), value.clone())]))
            {
                problems.push(self.problem(&place, error.message().trim(), "correct or remove it"));
            }
        }
        if problems.len() > before {
            return;
        }
        match HostConfig::deserialize(host) {
            Ok(host) => self.host = host,
            Err(error) => problems.push(self.problem("host", error.message(), "correct it")),
        }
        for invalid in self.host.validate().err().unwrap_or_default() {
            problems.push(self.problem(&format!("host.{}", invalid.field), &invalid.problem, "correct it"));
        }
    }

    fn problem(&self, key: &str, problem: &str, remedy: &str) -> Problem {
        Problem {
            place: format!("{}: {key}", self.path.display()),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File, Vec<Problem>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manman.toml");
        std::fs::write(&path, text).unwrap();
        File::read(&path, &["listen", "server_name"], true)
    }

    #[test]
    fn settings_and_the_host_are_read() {
        let file = read("listen = '127.0.0.1:1'\n[host]\npoll_secs = 7\n[host.console.spool]\nkeep_days = 3")
            .unwrap();
        assert_eq!(file.get("listen").unwrap().1, "127.0.0.1:1");
        assert_eq!(file.get("server_name"), None);
        assert_eq!((file.host.poll_secs, file.host.console.spool.keep_days), (7, 3));
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let text = "listen = 5\nlisten_on = ''\n[host]\npol_secs = 7\nname = 'x'\nconsole.spool.days = 1\nsweep_secs = 'x'";
        let problems = read(text).unwrap_err();
        let places: Vec<_> = problems
            .iter()
            .filter_map(|problem| problem.place.split_once(": "))
            .map(|place| place.1)
            .collect();
        let keys = ["host.console", "host.name", "host.pol_secs", "host.sweep_secs", "listen", "listen_on"];
        assert!(keys.iter().all(|key| places.contains(key)), "{problems:#?}");
        let bounds = read("[host]\npoll_secs = 0\ncall_secs = 1000").unwrap_err();
        assert_eq!(bounds.len(), 2, "{bounds:#?}");
    }

    #[test]
    fn what_is_no_toml_is_said_with_its_line() {
        let problems = read("listen = '127.0.0.1:1'\n[host\n").unwrap_err();
        assert!(problems[0].problem.starts_with("line 2: "), "{problems:?}");
    }

    #[test]
    fn a_file_that_has_to_be_there_and_is_not_is_refused() {
        assert!(File::read(Path::new("/nonexistent.toml"), &[], false).is_ok());
        let problems = File::read(Path::new("/nonexistent.toml"), &[], true).unwrap_err();
        assert!(problems[0].to_string().contains("/nonexistent.toml"));
    }
}
