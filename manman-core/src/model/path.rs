//! Paths that cannot leave the place they belong to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Invalid;

fn parts_fit(text: &str) -> Result<(), &'static str> {
    if text.len() > 255 {
        return Err("more than 255 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("control characters");
    }
    if text.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err("an empty part, '.' or '..'");
    }
    Ok(())
}

/// An absolute path inside a container, other than `/` itself: no `.`, no `..`, no
/// empty part, no control character, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerPath(String);

impl ContainerPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| {
            Err(Invalid::new("path", format!("{text:?} is no absolute path inside a container: {why}")))
        };
        let Some(inner) = text.strip_prefix('/') else { return bad("it does not begin with '/'") };
        if let Err(why) = parts_fit(inner) {
            return bad(why);
        }
        // An engine needs these for itself; a mount over them breaks every game.
        if ["proc", "sys", "dev"].contains(&inner.split('/').next().unwrap_or_default()) {
            return bad("/proc, /sys and /dev belong to the engine");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A relative path beneath a directory of ours: no leading `/`, no `.`, no `..`, no
/// empty part, no control character, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubPath(String);

impl SubPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match parts_fit(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(why) => {
                Err(Invalid::new("path", format!("{text:?} is no path beneath a data directory: {why}")))
            }
        }
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(path: $name) -> Self {
                path.0
            }
        }
    )*};
}

as_text!(ContainerPath SubPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_its_place() {
        for good in ["/data/game", "/config"] {
            assert!(good.parse::<ContainerPath>().is_ok(), "{good:?}");
        }
        for bad in ["", "/", "data", "/a/../b", "/a//b", "/a/", "/./a", "/proc/x", "/dev", "/a\n"] {
            assert!(bad.parse::<ContainerPath>().is_err(), "{bad:?}");
        }
        assert!("worlds/one".parse::<SubPath>().is_ok());
        for bad in ["", "/a", "..", "a/..", "a//b", "a\0"] {
            assert!(bad.parse::<SubPath>().is_err(), "{bad:?}");
        }
    }
}
