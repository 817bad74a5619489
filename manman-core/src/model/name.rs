//! Names that people give to things.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Invalid;

/// The name of a server, game, config or deployment: 1 to 63 letters, digits, `-`, `_`, `.` of
/// ASCII, beginning with a letter or digit and not all digits (that would be taken
/// for an id). Compared as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |problem: String| Err(Invalid::new("name", problem));
        if text.is_empty() || text.len() > 63 {
            return bad(format!("has {} characters, 1 to 63 are allowed", text.chars().count()));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c)) {
            return bad(format!("has {c:?} in it; letters, digits, '-', '_' and '.' are allowed"));
        }
        if !text.as_bytes()[0].is_ascii_alphanumeric() {
            return bad(format!("{text:?} does not begin with a letter or digit"));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return bad(format!("{text:?} is all digits and would be taken for an id"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The environment of an installation as container names and directories carry it:
/// 1 to 20 lower-case letters, digits and `-`. `production` is written `prod`,
/// `development` `dev`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(String);

impl EnvironmentName {
    /// The short form (`prod`).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for EnvironmentName {
    /// `prod`: what is not said to be something else is the real thing.
    fn default() -> Self {
        Self("prod".to_owned())
    }
}

impl FromStr for EnvironmentName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let short = match text {
            "production" => "prod",
            "development" => "dev",
            other => other,
        };
        let fits = (1..=20).contains(&short.len())
            && short.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !short.starts_with('-')
            && !short.ends_with('-');
        if !fits {
            return Err(Invalid::new(
                "environment",
                format!("{text:?} is not 1 to 20 lower-case letters, digits and inner '-'"),
            ));
        }
        Ok(Self(short.to_owned()))
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<EnvironmentName> for String {
    fn from(name: EnvironmentName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for good in ["a", "valheim-1", "Mine.craft_2", "7days"] {
            assert!(good.parse::<Name>().is_ok(), "{good:?}");
        }
        let long = "x".repeat(64);
        for bad in ["", "42", "-a", "a b", "a/b", "../x", "a\u{202e}b", "a\nb", "größe", long.as_str()] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_environment_is_written_short() {
        assert_eq!("production".parse::<EnvironmentName>().unwrap().as_str(), "prod");
        assert_eq!("development".parse::<EnvironmentName>().unwrap().as_str(), "dev");
        assert_eq!("staging".parse::<EnvironmentName>().unwrap().as_str(), "staging");
        for bad in ["", "Prod", "a/b", "-a", "a_b"] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad:?}");
        }
    }
}
