//! Hosts that their control plane does not know, or not any more: they say so, what they
//! run goes on, and there is a way back.

use serde_json::Value;

use crate::{
    faults::{answers, game, playing},
    support::{Cluster, Kind, PATIENCE, Process, until},
};

#[track_caller]
fn says(host: &Process, said: &str) {
    until(&format!("{} says {said:?}", host.name), PATIENCE, || {
        let health = host.run(&["health"]);
        assert!(!health.err.contains("mm_"), "{health}");
        (health.code != 0 && health.err.contains(said)).then_some(())
    });
    until(&format!("the log of {} says {said:?}", host.name), PATIENCE, || {
        host.log().contains(said).then_some(())
    });
}

/// A host whose token is revoked is not ready any more, though it once was.
#[test]
fn a_host_whose_token_is_revoked_plays_on_and_may_join_again() {
    let mut cluster = playing();
    let before = game(&cluster);
    let tokens: Value = serde_json::from_str(&cluster.ok(&["token", "list", "-o", "json"]).out).unwrap();
    let all = tokens["tokens"].as_array().unwrap_or_else(|| panic!("{tokens:#}"));
    let its = all.iter().find(|token| token["role"] == "host").unwrap_or_else(|| panic!("{tokens:#}"));
    cluster.ok(&["token", "revoke", &its["token_id"].to_string()]);
    says(&cluster.hosts[0], "host-token: it was revoked");
    cluster.hosts[0].kill();
    cluster.hosts[0].start();
    says(&cluster.hosts[0], "set JOIN_TOKEN to what `manman token create box --join --server box` prints");
    assert_eq!(game(&cluster), before);

    let join = cluster.join_token("box");
    cluster.hosts[0].kill();
    // As of one that died after it had joined once more and before it noted that: a token that is
    // on record and revoked.
    let token = cluster.path().join("data-box/host-token");
    std::fs::copy(&token, token.with_extension("next")).unwrap();
    cluster.hosts[0].set("JOIN_TOKEN", join);
    cluster.hosts[0].start();
    cluster.ready();
    assert_eq!(game(&cluster), before);
    answers(&cluster, 0, "again");
}

/// A data directory stays that of its installation, whatever it is pointed at.
#[test]
fn a_data_directory_of_another_installation_is_told_from_a_bad_token() {
    let mut cluster = playing();
    let before = game(&cluster);
    cluster.hosts[0].kill();
    let mut other = Cluster::new(Kind::Nats);
    other.api();
    other.processor();
    let mut stray = cluster.hosts[0].twin("stray");
    stray.set("API_ADDRESS", other.apis[0].get("LISTEN"));
    stray.set("BROKER_URL", other.broker.url());
    stray.start();
    says(&stray, "or the data directory is that of a host of another installation");
    stray.kill();
    stray.set("JOIN_TOKEN", other.join_token("box"));
    stray.start();
    until("it says whose it is", PATIENCE, || {
        stray
            .log()
            .contains("each server of each installation needs a data directory of its own")
            .then_some(())
    });
    stray.kill();
    assert_eq!(game(&cluster), before);

    // At home it joins again.
    let join = cluster.join_token("box");
    cluster.hosts[0].set("JOIN_TOKEN", join);
    cluster.hosts[0].start();
    cluster.ready();
    assert_eq!(game(&cluster), before);
}

/// An installation is made anew with the settings of the one before: a host whose `host-token` was
/// removed joins it, by a join token of the same text as before.
#[test]
fn a_host_joins_an_installation_that_was_made_anew() {
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.api();
    cluster.processor();
    cluster.host("box");
    cluster.ready();
    cluster.hosts[0].kill();
    let data = cluster.path().join("data-box");
    let before = std::fs::read_to_string(data.join("host-token")).unwrap();
    std::fs::remove_file(data.join("host-token")).unwrap();
    std::fs::remove_file(data.join("journal")).unwrap();

    let mut anew = Cluster::new(Kind::Nats);
    anew.api();
    anew.apis[0].set("JOIN_TOKEN", cluster.hosts[0].get("JOIN_TOKEN"));
    anew.apis[0].kill();
    anew.apis[0].start();
    anew.processor();
    let mut host = cluster.hosts.remove(0);
    host.set("API_ADDRESS", anew.apis[0].get("LISTEN"));
    host.set("BROKER_URL", anew.broker.url());
    host.start();
    anew.hosts.push(host);
    anew.ready();
    assert_ne!(std::fs::read_to_string(data.join("host-token")).unwrap(), before);
}
