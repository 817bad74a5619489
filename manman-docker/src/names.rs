//! The names of containers and networks.

use manman_core::{
    id::{AttemptId, SessionId, SgcId},
    runtime::Owner,
};

/// The name that the live container of a deployment holds, and that locks out a
/// second one: `gsc-prod-3-0f3a91c2`.
///
/// `suffix` above 1 is for when a dead container cannot be made to give the name up.
pub(crate) fn container(owner: &Owner, sgc: SgcId, suffix: u32) -> String {
    let name = format!("{}-{}", owner.deployment_name(sgc), owner.cluster.short());
    if suffix > 1 { format!("{name}-{suffix}") } else { name }
}

/// The name of an ended container that gave up `name`: `gsc-prod-3-0f3a91c2-ended-7-2`.
pub(crate) fn ended(name: &str, run: AttemptId) -> String {
    format!("{name}{}", ended_mark(run))
}

/// Whether a container of this name has given up the deployment's name.
pub(crate) fn is_ended(name: &str, run: AttemptId) -> bool {
    name.ends_with(&ended_mark(run))
}

fn ended_mark(run: AttemptId) -> String {
    format!("-ended-{}-{}", run.session, run.attempt)
}

/// The name of a session's own network: `session-7-0f3a91c2`.
///
/// Engines resolve it again when they start a container, whatever id it was created
/// with, and refuse or take the wrong one if there are two of a name (20.10). So it has
/// the installation in it, as the container's has.
pub(crate) fn network(owner: &Owner, session: SessionId) -> String {
    format!("session-{session}-{}", owner.cluster.short())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::owner;

    #[test]
    fn names_are_those_of_the_design() {
        let run = AttemptId::new(SessionId(7), 2);
        let live = container(&owner(), SgcId(3), 1);
        assert_eq!(live, "gsc-prod-3-0f3a91c2");
        assert_eq!(container(&owner(), SgcId(3), 2), "gsc-prod-3-0f3a91c2-2");
        assert_eq!(ended(&live, run), "gsc-prod-3-0f3a91c2-ended-7-2");
        assert!(is_ended(&ended(&live, run), run) && !is_ended(&live, run));
        assert_eq!(network(&owner(), SessionId(7)), "session-7-0f3a91c2");
    }
}
