//! How a game is asked to end: console commands with waits, then a signal, then the
//! kill, each with its own time.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::Invalid;

/// One line for a game's stdin: 1 to 4096 bytes without newline or other control
/// character; the newline is added when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsoleLine(String);

impl ConsoleLine {
    /// The most bytes of a line.
    pub const MAX: usize = 4096;

    /// The line without its newline.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConsoleLine {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("input", "is empty"));
        }
        super::text::check("input", text, Self::MAX)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ConsoleLine {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ConsoleLine> for String {
    fn from(line: ConsoleLine) -> Self {
        line.0
    }
}

/// A signal that asks a game to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
}

impl Signal {
    /// Its name as engines take it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Hup => "SIGHUP",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Signal {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let upper = text.to_ascii_uppercase();
        match upper.strip_prefix("SIG").unwrap_or(&upper) {
            "TERM" => Ok(Self::Term),
            "INT" => Ok(Self::Int),
            "QUIT" => Ok(Self::Quit),
            "HUP" => Ok(Self::Hup),
            "USR1" => Ok(Self::Usr1),
            "USR2" => Ok(Self::Usr2),
            _ => Err(Invalid::new("signal", format!("{text:?} is none of TERM, INT, QUIT, HUP, USR1, USR2"))),
        }
    }
}

/// One console command of a stop, and how long to wait after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopStep {
    /// Written to stdin, with a newline.
    pub command: ConsoleLine,
    /// Milliseconds to wait before the next step, less if the game ends before; at most one hour.
    pub wait_millis: u32,
}

impl StopStep {
    /// The wait as a duration.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(u64::from(self.wait_millis))
    }
}

/// How a game is stopped: first the commands in order, each with its wait; if it is
/// still there, the signal; after the grace, the kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StopPlan {
    /// Console commands, at most 16.
    pub steps: Vec<StopStep>,
    /// The signal. SIGTERM by default.
    pub signal: Signal,
    /// Milliseconds between the signal and the kill; 30 s by default, at most one hour.
    pub grace_millis: u32,
}

impl Default for StopPlan {
    fn default() -> Self {
        Self { steps: Vec::new(), signal: Signal::Term, grace_millis: 30_000 }
    }
}

impl StopPlan {
    const LONGEST_WAIT_MILLIS: u32 = 3_600_000;

    /// The time between signal and kill.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(u64::from(self.grace_millis))
    }

    /// Refuses more than 16 steps and waits of more than an hour.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.steps.len() > 16 {
            return Err(Invalid::new(
                "stop.steps",
                format!("has {} entries, 16 are allowed", self.steps.len()),
            ));
        }
        let waits = self.steps.iter().map(|step| step.wait_millis);
        match waits.chain([self.grace_millis]).find(|&wait| wait > Self::LONGEST_WAIT_MILLIS) {
            Some(wait) => Err(Invalid::new("stop", format!("a wait of {wait} ms is longer than one hour"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_line_is_one_line() {
        assert!("save-all".parse::<ConsoleLine>().is_ok());
        for bad in ["", "a\nb", "a\r", "\u{1b}[2J", "a\0"] {
            assert!(bad.parse::<ConsoleLine>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(ConsoleLine::MAX + 1).parse::<ConsoleLine>().is_err());
    }

    #[test]
    fn signals_are_known_by_either_name() {
        assert_eq!("int".parse(), Ok(Signal::Int));
        assert_eq!("SIGTERM".parse(), Ok(Signal::Term));
        assert!("KILL".parse::<Signal>().is_err());
    }
}
