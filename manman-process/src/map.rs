//! A spec as a plan: what a plain process can be made of, and what it cannot.

use std::{collections::BTreeMap, path::Path};

use manman_core::{
    error::{Error, ErrorKind, Result},
    model::{ImageRef, RunAs},
    runtime::{ContainerSpec, NetworkSpec, Owner},
};

use crate::record::{Plan, VERSION};

/// Where programs are looked for: Debian keeps games in `/usr/games`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games";

/// Refuses what a plain process cannot be.
pub fn check(spec: &ContainerSpec) -> Result<()> {
    let operation = "check spec";
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, operation, message));
    find_image(operation, &spec.image)?;
    if spec.entrypoint.is_empty() && spec.command.is_empty() {
        return invalid("a plain process needs a command: the image `host` has none of its own".to_owned());
    }
    if let NetworkSpec::Shared(name) = &spec.network {
        return invalid(format!("plain processes have no networks, and {name} is asked for"));
    }
    if let Some(port) = spec.ports.iter().find(|port| port.container_port != port.host_port) {
        return invalid(format!(
            "plain processes have the ports of the machine as they are: port {0}/{2} of the game is to be {1} on the \
             machine; deploy it with --port {0}/{2}={0}, or configure the game for {1}",
            port.container_port,
            port.host_port,
            port.protocol.lower()
        ));
    }
    let data = spec.mounts.iter().find(|mount| mount.source.is_none());
    for mount in &spec.mounts {
        if mount.read_only {
            return invalid(format!("{} cannot be made read-only for a plain process", mount.target));
        }
        let (Some(source), Some(data)) = (&mount.source, data) else { continue };
        if mount.target.as_str() != format!("{}/{source}", data.target) {
            return invalid(format!(
                "a plain process sees the machine's own paths: the directory {source} is {source} in the game's \
                 directory and cannot be {}",
                mount.target
            ));
        }
    }
    Ok(())
}

/// Refuses all images but the one that there is.
pub fn find_image(operation: &'static str, image: &ImageRef) -> Result<()> {
    if image.is_host() {
        return Ok(());
    }
    let message = format!(
        "{image} is a container image, and games run as plain processes here: say `--image {}` and the program with \
         --entrypoint, or run them in containers (`manman up --runtime docker`)",
        ImageRef::HOST
    );
    Err(Error::new(ErrorKind::NotFound, operation, message))
}

/// Whom a game runs as: `None` if as this process does.
pub fn user(spec: &ContainerSpec, default: &str) -> Result<Option<(u32, u32)>> {
    let operation = "choose the user";
    let denied = |message: String| Err(Error::new(ErrorKind::Denied, operation, message));
    let (us, our_group) = (rustix::process::geteuid(), rustix::process::getegid());
    let asked = match (&spec.user, us.is_root()) {
        (Some(user), _) => user.as_str(),
        (None, true) => default,
        (None, false) => return Ok(None),
    };
    let asked: RunAs =
        asked.parse().map_err(|invalid| Error::new(ErrorKind::Invalid, operation, "").because(invalid))?;
    let (uid, gid) = (asked.uid, asked.gid.unwrap_or(asked.uid));
    if us.is_root() {
        if uid == 0 || gid == 0 {
            return denied("games are not run as root: choose another `user` for it".to_owned());
        }
        return Ok(Some((uid, gid)));
    }
    if uid != us.as_raw() || asked.gid.is_some_and(|gid| gid != our_group.as_raw()) {
        return denied(format!(
            "a game can run as {uid}:{gid} only if manman runs as root; it runs as {}:{}",
            us.as_raw(),
            our_group.as_raw()
        ));
    }
    Ok(None)
}

/// The plan of what `spec` says, in `directory`.
pub fn plan(
    owner: &Owner,
    spec: &ContainerSpec,
    user: Option<(u32, u32)>,
    directory: &Path,
    mark: String,
) -> Plan {
    let mut env: BTreeMap<String, String> = [
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), directory.to_string_lossy().into_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]
    .into();
    if spec.tty {
        env.insert("TERM".to_owned(), "xterm".to_owned());
    }
    env.extend(spec.env.clone());
    env.insert(Plan::MARK.to_owned(), mark);
    Plan {
        version: VERSION,
        owner: owner.clone(),
        run: spec.run,
        sgc: spec.sgc,
        spec_hash: spec.spec_hash.clone(),
        created_at: spec.created_at,
        command: spec.entrypoint.iter().chain(&spec.command).cloned().collect(),
        env,
        directory: directory.to_owned(),
        user,
        tty: spec.tty,
        stop_signal: spec.stop_signal,
        limits: spec.limits.clone(),
        cgroup: None,
        keep_bytes: spec.log.max_size_bytes.saturating_mul(u64::from(spec.log.max_files)),
        ports: spec.ports.clone(),
    }
}

/// A signal of ours as the kernel's.
pub fn signal(signal: manman_core::model::Signal) -> rustix::process::Signal {
    use manman_core::model::Signal::*;
    match signal {
        Term => rustix::process::Signal::TERM,
        Int => rustix::process::Signal::INT,
        Quit => rustix::process::Signal::QUIT,
        Hup => rustix::process::Signal::HUP,
        Usr1 => rustix::process::Signal::USR1,
        Usr2 => rustix::process::Signal::USR2,
    }
}

#[cfg(test)]
mod tests {
    use manman_core::{
        id::{AttemptId, SessionId, SgcId},
        model::{PortBinding, Protocol},
        runtime::Mount,
    };

    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            command: vec!["/usr/games/game".into()],
            mounts: vec![Mount { source: None, target: "/data/game".parse().unwrap(), read_only: false }],
            ..ContainerSpec::new(AttemptId::new(SessionId(7), 1), SgcId(3), ImageRef::HOST.parse().unwrap())
        }
    }

    #[test]
    fn what_a_process_cannot_be_is_refused_with_the_reason() {
        assert!(check(&spec()).is_ok());
        let mods = |target: &str, read_only| Mount {
            source: Some("mods".parse().unwrap()),
            target: target.parse().unwrap(),
            read_only,
        };
        let mut fine = spec();
        fine.mounts.push(mods("/data/game/mods", false));
        assert!(check(&fine).is_ok());
        type Spoil<'a> = (&'a dyn Fn(&mut ContainerSpec), &'a str);
        let spoils: [Spoil<'_>; 6] = [
            (&|spec| spec.image = "debian:12".parse().unwrap(), "container image"),
            (&|spec| spec.command.clear(), "needs a command"),
            (&|spec| spec.network = NetworkSpec::Shared("lan".parse().unwrap()), "lan"),
            (&|spec| spec.mounts.push(mods("/mods", false)), "cannot be /mods"),
            (&|spec| spec.mounts.push(mods("/data/game/mods", true)), "read-only"),
            (
                &|spec| {
                    spec.ports = vec![PortBinding {
                        container_port: 3979.try_into().unwrap(),
                        host_port: 30000.try_into().unwrap(),
                        protocol: Protocol::Udp,
                    }];
                },
                "--port 3979/udp=3979",
            ),
        ];
        for (spoil, said) in spoils {
            let mut spec = spec();
            spoil(&mut spec);
            let error = check(&spec).unwrap_err();
            assert!(error.message().contains(said), "{error}");
        }
    }

    #[test]
    fn no_game_runs_as_root() {
        let us = rustix::process::geteuid();
        let mut spec = spec();
        let default = user(&spec, "65534:65534").unwrap();
        assert_eq!(default, us.is_root().then_some((65534, 65534)));
        spec.user = Some("0".to_owned());
        assert_eq!(user(&spec, "65534:65534").unwrap_err().kind(), ErrorKind::Denied);
        spec.user = Some("4242".to_owned());
        match us.is_root() {
            true => assert_eq!(user(&spec, "1:1").unwrap(), Some((4242, 4242))),
            false => assert_eq!(user(&spec, "1:1").unwrap_err().kind(), ErrorKind::Denied),
        }
    }
}
