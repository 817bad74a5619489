//! Which call takes which role.

use manman_core::model::Role;

/// What a call asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Any person or program that may look on.
    Look,
    /// To run games.
    Operate,
    /// To run the installation.
    Administer,
    /// To be a host.
    Host,
    /// To hold a join token.
    Join,
}

/// What calls ask of their callers, the rest asks for everything. A test holds this
/// against the definition.
const CALLS: &[(Need, &[&str])] = &[
    (
        Need::Look,
        &[
            "manman.v1.ManManAPI/GetInstallation",
            "manman.v1.ManManAPI/Resolve",
            "manman.v1.ManManAPI/ListServers",
            "manman.v1.ManManAPI/GetServer",
            "manman.v1.ManManAPI/GetGame",
            "manman.v1.ManManAPI/ListGames",
            "manman.v1.ManManAPI/GetGameConfig",
            "manman.v1.ManManAPI/ListGameConfigs",
            "manman.v1.ManManAPI/GetServerGameConfig",
            "manman.v1.ManManAPI/ListServerGameConfigs",
            "manman.v1.ManManAPI/GetSession",
            "manman.v1.ManManAPI/GetSessionStatus",
            "manman.v1.ManManAPI/ListSessions",
            "manman.v1.ManManAPI/StreamSessionLogs",
        ],
    ),
    (
        Need::Operate,
        &[
            "manman.v1.ManManAPI/CreateGame",
            "manman.v1.ManManAPI/UpdateGame",
            "manman.v1.ManManAPI/DeleteGame",
            "manman.v1.ManManAPI/CreateGameConfig",
            "manman.v1.ManManAPI/UpdateGameConfig",
            "manman.v1.ManManAPI/DeleteGameConfig",
            "manman.v1.ManManAPI/DeployGameConfig",
            "manman.v1.ManManAPI/UpdateServerGameConfig",
            "manman.v1.ManManAPI/DeleteServerGameConfig",
            "manman.v1.ManManAPI/StartSession",
            "manman.v1.ManManAPI/StopSession",
            "manman.v1.ManManAPI/RestartSession",
            "manman.v1.ManManAPI/SendInput",
        ],
    ),
    (
        Need::Host,
        &[
            "manman.v1.HostAPI/RegisterHost",
            "manman.v1.HostAPI/GetSnapshot",
            "manman.v1.HostAPI/GetSessionSpec",
            "manman.v1.HostAPI/ListReceipts",
            "manman.v1.HostAPI/PutBlob",
            "manman.v1.HostAPI/GetBlobAddress",
        ],
    ),
    (Need::Join, &["manman.v1.HostAPI/JoinHost"]),
];

/// Whether the call at `path` takes as long as what its caller sends. It bounds silence itself.
pub fn takes_its_time(path: &str) -> bool {
    path == "/manman.v1.HostAPI/PutBlob"
}

/// Whether `role` may call what is at `path` (`/package.Service/Call`).
pub fn may_call(role: &Role, path: &str) -> bool {
    let call = path.trim_start_matches('/');
    let service = call.split('/').next().unwrap_or_default();
    // Health and reflection tell nothing that is not in every copy of this program.
    let need = if service.starts_with("grpc.") {
        Need::Look
    } else {
        let known = CALLS.iter().find(|(_, calls)| calls.contains(&call));
        known.map_or(Need::Administer, |(need, _)| *need)
    };
    match role {
        Role::Admin => need <= Need::Administer,
        Role::Operator => need <= Need::Operate,
        Role::Viewer => need == Need::Look,
        Role::Host { .. } => need == Need::Host,
        Role::Join { .. } => need == Need::Join,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::api::v1;

    fn roles() -> [Role; 5] {
        let server: manman_core::model::Name = "box".parse().unwrap();
        [Role::Admin, Role::Operator, Role::Viewer, Role::Host { server }, Role::Join { server: None }]
    }

    /// Each call of the definition, and who may make it.
    #[test]
    fn the_definition_and_the_table_agree() {
        let set = FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
        let mut defined = Vec::new();
        for file in &set.file {
            for service in &file.service {
                let calls = service
                    .method
                    .iter()
                    .map(|call| format!("{}.{}/{}", file.package(), service.name(), call.name()));
                defined.extend(calls);
            }
        }
        for (_, calls) in CALLS {
            for call in *calls {
                assert!(defined.iter().any(|it| it == call), "{call} is not part of the API");
            }
        }
        for call in &defined {
            let may: Vec<&str> =
                roles().iter().filter(|role| may_call(role, &format!("/{call}"))).map(Role::as_str).collect();
            let is_of_hosts = call.starts_with("manman.v1.HostAPI/");
            assert_eq!(
                may.iter().any(|role| ["host", "join"].contains(role)),
                is_of_hosts,
                "{call}: {may:?}"
            );
            assert_eq!(may.contains(&"admin"), !is_of_hosts, "{call}: {may:?}");
        }
        assert_eq!(defined.iter().filter(|call| takes_its_time(&format!("/{call}"))).count(), 1);
        let only_admins: Vec<&str> = defined
            .iter()
            .filter(|call| {
                !may_call(&Role::Operator, &format!("/{call}")) && may_call(&Role::Admin, &format!("/{call}"))
            })
            .map(|call| call.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(
            only_admins,
            [
                "Shutdown",
                "AbandonServer",
                "CreateToken",
                "ListTokens",
                "RevokeToken",
                "ListDeadLetters",
                "RequeueDeadLetter",
                "DropDeadLetter"
            ]
        );
    }

    #[test]
    fn what_is_unknown_is_for_nobody_but_admins() {
        for role in roles() {
            assert_eq!(may_call(&role, "/manman.v1.ManManAPI/Nothing"), role == Role::Admin);
            assert_eq!(may_call(&role, ""), role == Role::Admin);
        }
    }
}
