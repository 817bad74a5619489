//! What a game may use of the machine, and which powers it keeps.

use serde::{Deserialize, Serialize};

use super::Invalid;

/// Resource limits of one container. What is absent is not limited, and said so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory in bytes, swap included; at least 6 MiB, which is what Docker takes
    /// (Engine API, `HostConfig.Memory`).
    pub memory_bytes: Option<u64>,
    /// Processor time in thousandths of a core; at least 10.
    pub cpu_millis: Option<u32>,
    /// Processes and threads; 512 if absent, 16 to 32768 otherwise.
    pub pids: Option<u32>,
}

impl Limits {
    /// The processes and threads a game may have if its config does not say.
    pub const DEFAULT_PIDS: u32 = 512;

    /// Refuses limits that no game could live within or no machine could give.
    pub fn validate(&self) -> Result<(), Invalid> {
        let bad = |field: &str, value: String, range: &str| {
            Err(Invalid::new(format!("limits.{field}"), format!("{value} is not within {range}")))
        };
        match self.memory_bytes {
            Some(n) if !(6 << 20..=1 << 50).contains(&n) => {
                return bad("memory_bytes", n.to_string(), "6 MiB to 1 PiB");
            }
            _ => {}
        }
        match self.cpu_millis {
            Some(n) if !(10..=1_024_000).contains(&n) => {
                return bad("cpu_millis", n.to_string(), "10 to 1024000");
            }
            _ => {}
        }
        match self.pids {
            Some(n) if !(16..=32_768).contains(&n) => bad("pids", n.to_string(), "16 to 32768"),
            _ => Ok(()),
        }
    }
}

/// Which kernel capabilities a game keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapProfile {
    /// None.
    #[default]
    Strict,
    /// CHOWN, SETUID, SETGID, DAC_OVERRIDE, FOWNER, KILL: for images that start as
    /// root, set up their files and step down to a user.
    Image,
}

impl CapProfile {
    /// The capabilities added back after all were dropped.
    pub const fn added(self) -> &'static [&'static str] {
        match self {
            Self::Strict => &[],
            Self::Image => &["CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER", "KILL"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_limits_are_refused() {
        assert!(Limits::default().validate().is_ok());
        for bad in [
            Limits { memory_bytes: Some(1024), ..Limits::default() },
            Limits { cpu_millis: Some(0), ..Limits::default() },
            Limits { pids: Some(0), ..Limits::default() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<Limits>(r#"{"memory_bytes":-1}"#).is_err());
    }
}
