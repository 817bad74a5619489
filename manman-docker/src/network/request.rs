//! What the engine is asked for to make a network.

use std::collections::HashMap;

use bollard::models::Ipam;
use serde::{Deserialize, Serialize};

/// `POST /networks/create`. Bollard's type for it leaves `CheckDuplicate` out, without
/// which engines before 25 make a second network of the same name.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NewNetwork {
    pub name: String,
    check_duplicate: bool,
    driver: &'static str,
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    options: HashMap<&'static str, &'static str>,
    labels: HashMap<String, String>,
}

impl NewNetwork {
    /// Without traffic between the containers in it.
    pub fn session(name: String, labels: HashMap<String, String>) -> Self {
        let options = HashMap::from([("com.docker.network.bridge.enable_icc", "false")]);
        Self { options, ..Self::shared(name, labels) }
    }

    /// As the engine makes them by itself.
    pub fn shared(name: String, labels: HashMap<String, String>) -> Self {
        let (ipam, options) = (Ipam::default(), HashMap::new());
        Self { name, check_duplicate: true, driver: "bridge", ipam, options, labels }
    }
}

/// What the engine answers.
#[derive(Deserialize)]
pub(super) struct Created {
    #[serde(rename = "Id")]
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_asked_to_refuse_a_second_network_of_the_name() {
        let new = NewNetwork::session("session-7".into(), HashMap::new());
        let body = serde_json::to_value(new).unwrap();
        assert_eq!(body["CheckDuplicate"], true);
        assert_eq!(body["Options"]["com.docker.network.bridge.enable_icc"], "false");
        assert!(body["IPAM"].is_object());
    }
}
