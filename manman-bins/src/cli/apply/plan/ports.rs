//! Ports that several want, and those that follow a config.

use std::collections::{BTreeMap, BTreeSet};

use manman_core::model::{PortAsk, Protocol};

use super::{
    Change, Configs, Deed, Plan, There,
    deployments::{Wanted, bound},
};
use crate::{
    api::v1,
    cli::{
        apply::{
            document::{Deployment, port},
            place::Problems,
        },
        verbs::asked,
    },
};

/// Notes numbers that two ask for, and those that somebody else holds.
pub fn clashes(wanted: &[Wanted<'_>], there: &There, problems: &mut Problems, plan: &mut Plan) {
    let mut taken: BTreeMap<(i64, i32, Protocol), &Deployment> = BTreeMap::new();
    let only = there.servers.first().map_or(0, |server| server.server_id);
    for one in wanted {
        let server = match (one.server, one.old) {
            (Some(server), _) => server.server_id,
            (None, Some(old)) => old.server_id,
            (None, None) => only,
        };
        for asked in &one.ports {
            let PortAsk::Number(number) = asked.ask else { continue };
            let (number, protocol) = (i32::from(number.get()), asked.need.protocol);
            let said = one.declared.ports.iter().find(|(_, it)| it.need == asked.need);
            let place = said.map_or(&one.declared.place, |(place, _)| place);
            let shown = format!("{number}/{}", protocol.lower());
            if let Some(other) = taken.insert((server, number, protocol), one.declared) {
                let (name, at) = (&other.name, &other.place);
                problems.add(
                    place,
                    format!("port {shown} of the machine is that of deployment {name} ({at}) too"),
                );
                continue;
            }
            let holder = there.deployments.iter().find(|it| {
                it.server_id == server
                    && it.name != one.declared.name.as_str()
                    && it
                        .port_bindings
                        .iter()
                        .any(|it| it.host_port == number && it.protocol() == v1::Protocol::from(protocol))
            });
            let Some(holder) = holder else { continue };
            // One that is declared too may give it up.
            if !wanted.iter().any(|other| other.declared.name.as_str() == holder.name) {
                plan.refused.push(format!(
                    "deployment {}: port {shown} of {} is held by deployment {}: ask for another one, such as \
                     {}=any:{number}-{}",
                    one.declared.name,
                    there.server_name(server),
                    holder.name,
                    port(asked.need),
                    number.saturating_add(100).min(65_535),
                ));
            }
        }
    }
}

/// Says with each changed config what becomes of the deployments of it, and takes what is
/// asked for their ports into the same deed.
pub fn follow(plan: &mut Plan, wanted: &[Wanted<'_>], there: &There, configs: &Configs) {
    for change in &mut plan.changes {
        let Change { name, notes, deed: Deed::UpdateConfig(request), .. } = change else { continue };
        let needs: BTreeSet<_> =
            configs.get(name).into_iter().flatten().flat_map(|body| &body.ports).copied().collect();
        for one in there.deployments.iter().filter(|one| one.game_config_id == request.config_id) {
            let declared = wanted.iter().find(|it| it.declared.name.as_str() == one.name);
            let same =
                one.port_bindings.len() == needs.len() && needs.iter().all(|need| bound(one, need).is_some());
            let live = there.live.get(&one.server_game_config_id);
            match (declared, live) {
                (Some(it), _) if !same && it.config != *name => plan.refused.push(format!(
                    "config {name} needs other ports, and deployment {} moves from it to {}: apply one \
                     after the other",
                    one.name, it.config
                )),
                (Some(it), None) if !same => request.deployments.push(v1::DeploymentPorts {
                    server_game_config_id: one.server_game_config_id,
                    ports: it.ports.iter().map(asked).collect(),
                }),
                (None, Some(session)) if !same => plan.refused.push(format!(
                    "config {name} needs other ports, and deployment {} of it has a live session ({session}): \
                     stop it first (`manman stop {}`), then apply again",
                    one.name, one.name
                )),
                (None, None) if !same => notes.push(format!(
                    "deployment {}, which the files do not name, gives up and takes ports with it",
                    one.name
                )),
                (_, Some(session)) if same => {
                    notes.push(format!(
                        "session {session} of {} keeps what it began with; the next start has this",
                        one.name
                    ));
                }
                _ => {}
            }
        }
    }
}
