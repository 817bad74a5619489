//! Ports of a machine, and what a game needs of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Invalid;

/// The most ports one deployment may hold.
pub const MAX_PORTS: usize = 64;

/// TCP or UDP: the same number on the other one is another port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As engines write it: `tcp`, `udp`.
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl FromStr for Protocol {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "TCP" | "tcp" => Ok(Self::Tcp),
            "UDP" | "udp" => Ok(Self::Udp),
            _ => Err(Invalid::new("protocol", format!("{text:?} is neither TCP nor UDP"))),
        }
    }
}

/// A port number, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Port(u16);

impl Port {
    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for Port {
    type Error = Invalid;

    fn try_from(number: i64) -> Result<Self, Invalid> {
        match u16::try_from(number) {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(Invalid::new("port", format!("{number} is not within 1 to 65535"))),
        }
    }
}

impl From<Port> for i64 {
    fn from(port: Port) -> Self {
        i64::from(port.0)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A port that a game listens on inside its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortNeed {
    /// The port inside.
    pub container_port: Port,
    /// Its protocol.
    pub protocol: Protocol,
}

/// Which port of the machine a deployment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortAsk {
    /// Just this one.
    Number(Port),
    /// The lowest free one from the first to the last, both included.
    AnyOf(Port, Port),
}

/// A port of the machine bound to one inside the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortBinding {
    /// The port inside.
    pub container_port: Port,
    /// The port of the machine.
    pub host_port: Port,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for PortBinding {
    /// As Docker's `-p` writes it: `25565:25565/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host_port, self.container_port, self.protocol.lower())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_between_1_and_65535() {
        assert_eq!(Port::try_from(65535).unwrap().get(), 65535);
        for bad in [0, -1, 65536, i64::MAX] {
            assert!(Port::try_from(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Port>("70000").is_err());
    }
}
