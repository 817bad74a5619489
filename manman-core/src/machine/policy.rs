//! What games may ask of this machine, whatever the control plane says: a host
//! trusts nobody with the engine, which is root.

use crate::{
    error::{Error, ErrorKind, Result},
    model::{CapProfile, Invalid, Port, RunAs},
    runtime::{ContainerSpec, NetworkSpec},
};
use serde::{Deserialize, Serialize};

/// What games may ask of this machine. The default allows what a container can be
/// described to want; that type already has no words for privileges, host
/// namespaces, devices and mounts from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// Images that may run: whole references, or beginnings that end with `*`
    /// (`ghcr.io/our-games/*`). Empty, the default, allows all.
    pub images: Vec<String>,
    /// Whether games may keep the kernel capabilities of the profile `image`. Default true.
    pub image_capabilities: bool,
    /// Whether games may join networks shared by name. Default true.
    pub shared_networks: bool,
    /// The lowest port of the machine that games may have. Default 1024.
    pub lowest_port: Port,
    /// The most memory in bytes that one game may be given; with it, games without a
    /// limit are refused. Absent by default.
    pub max_memory_bytes: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            images: Vec::new(),
            image_capabilities: true,
            shared_networks: true,
            lowest_port: Port::try_from(1024).expect("1024 is a port"),
            max_memory_bytes: None,
        }
    }
}

/// Names that Docker gives a meaning of its own: the host's network namespace, none
/// at all, and the bridge that everything else on the machine sits on.
const RESERVED_NETWORKS: [&str; 4] = ["host", "none", "bridge", "default"];

impl Policy {
    /// All that is wrong with the policy itself.
    pub fn problems(&self) -> Vec<Invalid> {
        let fits = |pattern: &str| {
            let text = pattern.strip_suffix('*').unwrap_or(pattern);
            !pattern.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'*')
        };
        let bad = self.images.iter().enumerate().filter(|(_, pattern)| !fits(pattern));
        bad.map(|(index, pattern)| {
            let problem =
                format!("{pattern:?} is neither an image reference nor the beginning of one and '*'");
            Invalid::new(format!("images[{index}]"), problem)
        })
        .collect()
    }

    /// Refuses what this machine does not allow (`Denied`) and what no control plane of
    /// ours sends (`Invalid`).
    ///
    /// # Errors
    /// Those two, each with what was asked for and what is allowed.
    pub fn check(&self, spec: &ContainerSpec) -> Result<()> {
        let denied = |message: String| Err(Error::new(ErrorKind::Denied, "check policy", message));
        let image = spec.image.as_str();
        let allowed = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => image.starts_with(beginning),
            None => image == pattern,
        };
        if !self.images.is_empty() && !self.images.iter().any(allowed) {
            return denied(format!("the policy of this machine does not allow the image {image}"));
        }
        if spec.capabilities == CapProfile::Image && !self.image_capabilities {
            return denied("the policy of this machine does not allow the capabilities `image`".to_owned());
        }
        if let NetworkSpec::Shared(name) = &spec.network {
            if !self.shared_networks {
                return denied(format!(
                    "the policy of this machine does not allow the shared network {name}"
                ));
            }
            if RESERVED_NETWORKS.contains(&name.as_str()) || name.as_str().starts_with("session-") {
                return denied(format!("{name} is not a network that games may share"));
            }
        }
        if let Some(binding) = spec.ports.iter().find(|binding| binding.host_port < self.lowest_port) {
            return denied(format!(
                "the policy of this machine allows ports from {} up, {} is asked for",
                self.lowest_port, binding.host_port
            ));
        }
        match (self.max_memory_bytes, spec.limits.memory_bytes) {
            (Some(max), Some(asked)) if asked > max => {
                return denied(format!(
                    "the policy of this machine allows {max} bytes of memory, {asked} are asked for"
                ));
            }
            (Some(max), None) => {
                return denied(format!(
                    "the policy of this machine allows {max} bytes of memory, and the game has no limit"
                ));
            }
            _ => {}
        }
        check_shape(spec)
    }
}

/// What the control plane has checked before. Text that reaches the engine is
/// checked again all the same.
fn check_shape(spec: &ContainerSpec) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, "check spec", message));
    if spec.run.attempt == 0 || spec.run.session.0 <= 0 || spec.sgc.0 <= 0 {
        return invalid(format!("{} of deployment {} is not an attempt", spec.run, spec.sgc));
    }
    if let Some(user) = &spec.user
        && user.parse::<RunAs>().is_err()
    {
        return invalid(format!("the user {user:?} is not uid or uid:gid in numbers"));
    }
    if spec.env.keys().any(|key| key.is_empty() || key.contains(['=', '\0'])) {
        return invalid("a variable's name is empty or has '=' or NUL in it".to_owned());
    }
    let words = spec.entrypoint.iter().chain(&spec.command).chain(spec.env.values());
    if words.into_iter().any(|word| word.contains('\0')) {
        return invalid("the command or a variable has a NUL in it".to_owned());
    }
    if let Err(problem) = spec.limits.validate() {
        return invalid(problem.to_string());
    }
    let mut targets: Vec<_> = spec.mounts.iter().map(|mount| mount.target.as_str()).collect();
    targets.sort_unstable();
    if let Some(twice) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        return invalid(format!("{} is mounted twice", twice[0]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::spec;

    fn refused(policy: &Policy, spec: &ContainerSpec) -> (ErrorKind, String) {
        let error = policy.check(spec).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn the_default_allows_an_ordinary_game() {
        assert!(Policy::default().check(&spec()).is_ok());
    }

    #[test]
    fn images_are_allowed_by_reference_and_by_beginning() {
        let images = |patterns: &[&str]| Policy {
            images: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
            ..Policy::default()
        };
        assert!(images(&["manman-fixture/*"]).check(&spec()).is_ok());
        assert!(images(&["x", spec().image.as_str()]).check(&spec()).is_ok());
        assert_eq!(refused(&images(&["ghcr.io/*"]), &spec()).0, ErrorKind::Denied);
    }

    #[test]
    fn the_network_of_the_host_is_no_shared_network() {
        for name in ["host", "none", "bridge", "default", "session-7"] {
            let mut spec = spec();
            spec.network = NetworkSpec::Shared(name.parse().unwrap());
            assert_eq!(refused(&Policy::default(), &spec).0, ErrorKind::Denied, "{name}");
        }
    }

    #[test]
    fn what_the_machine_does_not_allow_is_denied() {
        let mut low = spec();
        low.ports[0].host_port = 80.try_into().unwrap();
        assert_eq!(
            refused(&Policy::default(), &low),
            (
                ErrorKind::Denied,
                "the policy of this machine allows ports from 1024 up, 80 is asked for".into()
            )
        );
        let mut caps = spec();
        caps.capabilities = CapProfile::Image;
        assert!(Policy::default().check(&caps).is_ok());
        let strict = Policy { image_capabilities: false, ..Policy::default() };
        assert_eq!(refused(&strict, &caps).0, ErrorKind::Denied);
        let small = Policy { max_memory_bytes: Some(64 << 20), ..Policy::default() };
        assert_eq!(refused(&small, &spec()).0, ErrorKind::Denied);
    }

    #[test]
    fn text_that_reaches_the_engine_is_checked_again() {
        let spoils: [fn(&mut ContainerSpec); 9] = [
            |spec| spec.user = Some("root".into()),
            |spec| spec.user = Some("+1000".into()),
            |spec| spec.user = Some("1000:+1000".into()),
            |spec| spec.user = Some("1000:".into()),
            |spec| drop(spec.env.insert("A=B".into(), String::new())),
            |spec| spec.command.push("\0".into()),
            |spec| spec.limits.pids = Some(1),
            |spec| spec.mounts.push(spec.mounts[0].clone()),
            |spec| spec.run.attempt = 0,
        ];
        for spoil in spoils {
            let mut spec = spec();
            spoil(&mut spec);
            assert_eq!(refused(&Policy::default(), &spec).0, ErrorKind::Invalid);
        }
    }
}
