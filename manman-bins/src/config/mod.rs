//! Configuration: flags before environment variables before the file before defaults. All
//! that is wrong is said at once, each with its place and what to do.

mod backends;
mod blobs;
mod dirs;
mod file;
mod machine;
mod service;
mod up;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

pub use backends::{BrokerUrl, DatabaseUrl};
pub use dirs::Places;
pub use machine::{DEFAULT_DOCKER_SOCKET, MachineConfig, RuntimeAsk};
pub use service::{
    CommonConfig, ControlApiConfig, DEFAULT_HEALTH_LISTEN, HostManagerConfig, ProcessorConfig, TlsFiles,
    database,
};
pub use up::{DEFAULT_LISTEN, UpConfig, UpGiven};

/// Something wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The flag or variable that it is in.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.remedy)
    }
}

/// All that is wrong with a configuration, one line each; a program exits with 78.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Where values come from that no flag gave.
pub trait Environment {
    /// The variable, if it is set and not empty.
    fn get(&self, name: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl Environment for Process {
    fn get(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }
}

/// Reads values and collects what is wrong with them.
#[derive(Debug)]
pub struct Reader<'a, E> {
    environment: &'a E,
    file: file::File,
    problems: Vec<Problem>,
    /// Where each value was found, by its flag.
    found: BTreeMap<String, String>,
}

impl<'a, E: Environment> Reader<'a, E> {
    /// Reads from flags, then from `environment`.
    pub fn new(environment: &'a E) -> Self {
        Self { environment, file: file::File::default(), problems: Vec::new(), found: BTreeMap::new() }
    }

    /// Reads the configuration file: the one given, or `MANMAN_CONFIG`, or `manman.toml` in
    /// the data directory if there is one. `settings` may be said in it.
    fn read_file(&mut self, given: Option<&str>, data_dir: &Path, settings: &[&str]) {
        let remedy = "name a file that can be read";
        let named = self.read("config", given, &["MANMAN_CONFIG"], remedy, dirs::parse);
        let path = named.clone().unwrap_or_else(|| Places(data_dir).config());
        match file::File::read(&path, settings, named.is_some()) {
            Ok(file) => self.file = file,
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// The value of a flag or, failing that, of the first variable that is set, or else what
    /// the file says; and where it was found.
    fn value(&mut self, flag: &str, given: Option<&str>, variables: &[&str]) -> Option<(String, String)> {
        if let Some(given) = given {
            return Some((format!("--{flag}"), given.to_owned()));
        }
        for &name in variables {
            match self.environment.get(name).map(OsString::into_string) {
                Some(Ok(value)) => return Some((name.to_owned(), value)),
                Some(Err(_)) => self.refuse(name, "is not UTF-8", "write it in UTF-8"),
                None => {}
            }
        }
        self.file.get(&flag.replace('-', "_"))
    }

    /// The value, read by `parse`; what is wrong with it is kept, with `remedy`.
    pub fn read<T>(
        &mut self,
        flag: &str,
        given: Option<&str>,
        variables: &[&str],
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read_placed(flag, given, variables, remedy, parse).map(|(_, value)| value)
    }

    /// The same of something that may be a secret: `X_FILE` names a file that holds `X`.
    pub fn read_secret<T>(
        &mut self,
        flag: &str,
        given: Option<&str>,
        variables: &[&str],
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        for name in variables {
            let of_file = format!("{name}_FILE");
            let Some(file) = self.environment.get(&of_file).filter(|_| given.is_none()) else { continue };
            if self.environment.get(name).is_some() {
                self.refuse(&of_file, format!("is set, and {name} too"), "unset one of them");
                return None;
            }
            let file = PathBuf::from(file);
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) => {
                    let problem = format!("{} cannot be read: {error}", file.display());
                    self.refuse(&of_file, problem, "name a file that can be read");
                    return None;
                }
            };
            self.found.insert(flag.to_owned(), of_file.clone());
            return match parse(text.trim()) {
                Ok(value) => Some(value),
                Err(problem) => {
                    self.refuse(&of_file, format!("{}: {problem}", file.display()), remedy);
                    None
                }
            };
        }
        self.read(flag, given, variables, remedy, parse)
    }

    /// The same, with the place where it was found.
    pub fn read_placed<T>(
        &mut self,
        flag: &str,
        given: Option<&str>,
        variables: &[&str],
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<(String, T)> {
        let (place, text) = self.value(flag, given, variables)?;
        match parse(&text) {
            Ok(value) => {
                self.found.insert(flag.to_owned(), place.clone());
                Some((place, value))
            }
            Err(problem) => {
                self.refuse(&place, problem, remedy);
                None
            }
        }
    }

    /// Notes that something is wrong.
    pub fn refuse(&mut self, place: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let problem = Problem { place: place.to_owned(), problem: problem.into(), remedy: remedy.into() };
        self.problems.push(problem);
    }

    /// The data directory.
    pub fn data_dir(&mut self, given: Option<&str>) -> PathBuf {
        let read = self.read(
            "data-dir",
            given,
            &["DATA_DIR"],
            "give a directory that is there or can be made",
            dirs::parse,
        );
        read.unwrap_or_else(|| dirs::default_data_dir(self.environment))
    }

    /// Says what was wrong.
    fn wrong(self) -> ConfigError {
        ConfigError(self.problems)
    }

    /// Says what was wrong, if anything was.
    ///
    /// # Errors
    /// All problems.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError(self.problems)) }
    }
}

/// The data directory: what was given, or `DATA_DIR`, or the default.
///
/// # Errors
/// If it is none.
pub fn data_dir(given: Option<&str>, environment: &impl Environment) -> Result<PathBuf, ConfigError> {
    let mut reader = Reader::new(environment);
    let dir = reader.data_dir(given);
    reader.finish().map(|()| dir)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;

    /// An environment of a test's own.
    #[derive(Default)]
    pub struct Fixed(pub HashMap<&'static str, &'static str>);

    impl Environment for Fixed {
        fn get(&self, name: &str) -> Option<OsString> {
            self.0.get(name).map(OsString::from)
        }
    }

    #[test]
    fn a_flag_comes_before_a_variable() {
        let environment = Fixed([("DATA_DIR", "/a")].into());
        assert_eq!(data_dir(Some("/b"), &environment), Ok(PathBuf::from("/b")));
        assert_eq!(data_dir(None, &environment), Ok(PathBuf::from("/a")));
        assert!(data_dir(Some(""), &environment).is_err());
    }
}
