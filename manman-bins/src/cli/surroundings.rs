//! What the process was started with. Read once, in `main`; the rest is handed it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Environment and user of the process.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    variables: BTreeMap<OsString, OsString>,
    is_root: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect(), is_root: rustix::process::geteuid().is_root() }
    }

    /// A variable that is set and not empty, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn os(&self, name: &str) -> Option<&OsString> {
        self.variables.get(OsString::from(name).as_os_str()).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.os(name).map(PathBuf::from)
    }

    /// The file that a variable names.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.path(name)
    }

    /// Whether colours are wanted: <https://no-color.org>, and terminals that have none.
    pub fn wants_colours(&self) -> bool {
        self.os("NO_COLOR").is_none() && self.text("TERM").is_none_or(|term| term != "dumb")
    }

    /// The data directory: `asked`, else DATA_DIR, else the user's own; `None` without a
    /// home.
    pub fn data_dir(&self, asked: Option<&Path>) -> Option<PathBuf> {
        if let Some(dir) = asked.map(Path::to_owned).or_else(|| self.path("DATA_DIR")) {
            return Some(dir);
        }
        if self.is_root {
            return Some(PathBuf::from("/var/lib/manman"));
        }
        // The XDG specification: relative paths are to be ignored.
        let data_home = self.path("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let home = || self.path("HOME").map(|home| home.join(".local/share"));
        data_home.or_else(home).map(|dir| dir.join("manman"))
    }
}

#[cfg(test)]
impl Surroundings {
    /// Made up, of a user who is not root.
    pub fn made_up<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, is_root: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_found_in_order() {
        let dir = |variables: &[(&str, &str)], asked: Option<&str>| {
            Surroundings::made_up(variables.iter().copied()).data_dir(asked.map(Path::new))
        };
        let all = [("DATA_DIR", "/d"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(dir(&all, Some("/a")), Some("/a".into()));
        assert_eq!(dir(&all, None), Some("/d".into()));
        assert_eq!(dir(&all[1..], None), Some("/x/manman".into()));
        assert_eq!(dir(&all[2..], None), Some("/h/.local/share/manman".into()));
        assert_eq!(dir(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")], None), Some("/h/.local/share/manman".into()));
        assert_eq!(dir(&[("DATA_DIR", "")], None), None);
        let root = Surroundings { is_root: true, ..Surroundings::made_up(all[1..].iter().copied()) };
        assert_eq!(root.data_dir(None), Some("/var/lib/manman".into()));
    }

    #[test]
    fn colours_can_be_turned_off() {
        assert!(Surroundings::made_up([]).wants_colours());
        assert!(Surroundings::made_up([("NO_COLOR", "")]).wants_colours());
        assert!(!Surroundings::made_up([("NO_COLOR", "1")]).wants_colours());
        assert!(!Surroundings::made_up([("TERM", "dumb")]).wants_colours());
    }
}
