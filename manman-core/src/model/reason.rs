//! Why something is as it is: a code for programs, a sentence for people.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kind of a [`Reason`], stable across versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum ReasonCode {
            $($(#[$doc])* $name,)*
            /// A code that a newer version wrote.
            #[serde(other)]
            Other,
        }

        impl ReasonCode {
            /// Its name, as stores and the API write it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other => "other",
                }
            }
        }
    };
}

codes! {
    /// Somebody asked for it.
    Asked = "asked",
    /// The game ended by itself with this code.
    Exited = "exited",
    /// The game was ended by a signal that we did not send.
    Killed = "killed",
    /// The kernel ended it for using more memory than it may.
    OutOfMemory = "out_of_memory",
    /// Its container was removed by somebody else.
    RemovedOutside = "removed_outside",
    /// The engine stopped or restarted and took the game with it.
    EngineRestart = "engine_restart",
    /// The image is neither here nor to be had.
    ImageNotFound = "image_not_found",
    /// The image could not be fetched.
    ImagePullFailed = "image_pull_failed",
    /// The image has no such command.
    CommandNotFound = "command_not_found",
    /// A port is held by somebody else.
    PortConflict = "port_conflict",
    /// The local policy of the machine forbids it.
    Denied = "denied",
    /// The data directory cannot be used.
    DataDirectory = "data_directory",
    /// The disk is full.
    DiskFull = "disk_full",
    /// The engine refused.
    EngineRefused = "engine_refused",
    /// It was not done in time.
    Expired = "expired",
    /// The host fell silent.
    HostSilent = "host_silent",
    /// The host is heard again.
    HostReturned = "host_returned",
    /// An operator gave the machine up.
    Abandoned = "abandoned",
    /// Restarted, by hand or by policy.
    Restarted = "restarted",
    /// Something that should not happen did.
    Internal = "internal",
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs.
    pub code: ReasonCode,
    /// For people: a sentence without a full stop, at most 500 bytes, no control characters.
    pub text: String,
}

impl Reason {
    /// A reason; text of engines and games is cut and cleaned.
    pub fn new(code: ReasonCode, text: impl AsRef<str>) -> Self {
        let mut clean = String::new();
        for c in text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }) {
            if clean.len() + c.len_utf8() > 500 {
                break;
            }
            clean.push(c);
        }
        Self { code, text: clean }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_bounded_and_clean() {
        let reason = Reason::new(ReasonCode::EngineRefused, "a\u{1b}b\n".to_owned() + &"ü".repeat(1000));
        assert!(reason.text.len() <= 500);
        assert!(reason.text.starts_with("a b "));
    }

    #[test]
    fn the_name_of_a_code_is_its_serialized_form() {
        for code in [ReasonCode::OutOfMemory, ReasonCode::Asked, ReasonCode::EngineRestart] {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("{:?}", code.as_str()));
        }
        assert_eq!(serde_json::from_str::<ReasonCode>("\"from_the_future\"").unwrap(), ReasonCode::Other);
    }
}
