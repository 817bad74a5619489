//! Networks: one of its own for each session, found by label, addressed by id, cut
//! from our own pool; and shared ones by name.

mod removal;
mod request;

use std::{collections::HashMap, sync::Arc};

use bollard::{
    models::{Ipam, IpamConfig, Network},
    query_parameters::ListNetworksOptionsBuilder,
};
use manman_core::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind, Result},
    id::SessionId,
    model::Name,
    runtime::{NetworkSpec, Owner},
};

use self::request::{Created, NewNetwork};
use crate::{
    client::Client,
    config::DockerConfig,
    labels::{self, Reading},
    names,
    pool::Pool,
    subnet::Subnet,
    translate::{is_network_taken, is_overlap, translate},
};

/// How many subnets are tried when the engine says that one overlaps with something
/// that its list of networks does not show.
const TRIES: usize = 16;

/// A network that is there.
#[derive(Debug)]
pub(crate) struct Ensured {
    /// The engine's id of it.
    pub id: String,
    /// Whether it was not there before.
    pub created: bool,
}

/// The networks of one owner.
#[derive(Debug)]
pub(crate) struct Networks {
    client: Arc<Client>,
    owner: Owner,
    pool: Pool,
    session_prefix: u8,
    shared_prefix: u8,
    /// Held while a shared network is looked for and made.
    sharing: tokio::sync::Mutex<()>,
}

impl Networks {
    pub(crate) fn new(client: Arc<Client>, owner: Owner, config: &DockerConfig) -> Self {
        Self {
            client,
            owner,
            pool: Pool::new(config.address_pool),
            session_prefix: config.session_prefix,
            shared_prefix: config.shared_prefix,
            sharing: tokio::sync::Mutex::default(),
        }
    }

    /// The network that a container of `session` is put into, made if it is not there.
    pub(crate) async fn ensure(&self, session: SessionId, spec: &NetworkSpec) -> Result<Ensured> {
        match spec {
            NetworkSpec::Session => self.ensure_own(session).await,
            NetworkSpec::Shared(name) => self.ensure_shared(name).await,
        }
    }

    async fn ensure_own(&self, session: SessionId) -> Result<Ensured> {
        let all = self.all("find network").await?;
        if let Some(network) = self.of_session(session, &all).first() {
            return Ok(Ensured { id: id(network), created: false });
        }
        let labels = labels::network(&self.owner, Some(session), SystemClock.now());
        let new = NewNetwork::session(names::network(&self.owner, session), labels);
        let subnet = (self.session_prefix, self.first(session));
        self.make(new, subnet, &all, |all| self.of_session(session, all).first().map(|network| id(network)))
            .await
    }

    /// Where in the pool the search for a session's subnet begins. Spread by its number, so
    /// that a subnet rests before it is used again and late packets to its last holder find
    /// nobody; and by the installation, so that several on one engine seldom meet.
    fn first(&self, session: SessionId) -> u32 {
        let spread = self.owner.cluster.0.as_u128().wrapping_add(session.0.unsigned_abs().into());
        u32::try_from(spread & u128::from(u32::MAX)).unwrap_or_default()
    }

    async fn ensure_shared(&self, name: &Name) -> Result<Ensured> {
        let _alone = self.sharing.lock().await;
        let all = self.all("find network").await?;
        match named(name, &all).as_slice() {
            [] => {
                let labels = labels::network(&self.owner, None, SystemClock.now());
                let new = NewNetwork::shared(name.to_string(), labels);
                // From the end of the pool: it is to stay, and in nobody's way.
                let subnet = (self.shared_prefix, self.pool.count(self.shared_prefix).saturating_sub(1));
                self.make(new, subnet, &all, |all| named(name, all).first().map(|network| id(network))).await
            }
            [network] => self.may_share(name, network),
            // What a race of managers of ours has left: the oldest one counts for all.
            [network, others @ ..]
                if others.iter().chain([network]).all(|network| self.is_shared(network)) =>
            {
                for other in others {
                    self.remove_one("find network", &id(other)).await?;
                }
                Ok(Ensured { id: id(network), created: false })
            }
            _ => {
                let message = format!("there are several networks named {name}");
                Err(Error::new(ErrorKind::Conflict, "find network", message))
            }
        }
    }

    /// Whether it is a shared one that we made.
    fn is_shared(&self, network: &Network) -> bool {
        let labels = network.labels.as_ref();
        labels.is_some_and(|labels| labels::read(&self.owner, labels) == Reading::Network(None))
    }

    fn may_share(&self, name: &Name, network: &Network) -> Result<Ensured> {
        let why = if matches!(network.driver.as_deref(), Some("host" | "null")) {
            "it is not a network but the machine's own".to_owned()
        } else {
            match labels::read(&self.owner, network.labels.as_ref().unwrap_or(&HashMap::new())) {
                Reading::Unmarked | Reading::Network(None) => {
                    return Ok(Ensured { id: id(network), created: false });
                }
                Reading::Foreign(why) => format!("it {why}"),
                _ => "it belongs to a session".to_owned(),
            }
        };
        let message = format!("the network {name} cannot be shared: {why}");
        Err(Error::new(ErrorKind::Denied, "find network", message))
    }

    /// Creates a network, unless `pick` finds after that that somebody was faster. The
    /// engine's own check for duplicates loses races, and two networks of a name serve
    /// nobody: all managers pick the same one.
    async fn make(
        &self,
        new: NewNetwork,
        (prefix, first): (u8, u32),
        all: &[Network],
        pick: impl Fn(&[Network]) -> Option<String>,
    ) -> Result<Ensured> {
        let operation = "create network";
        let name = new.name.clone();
        let created = self.create(new, prefix, first, all).await?;
        let Some(kept) = pick(&self.all(operation).await?).or_else(|| created.clone()) else {
            let message = format!("somebody else has a network named {name}");
            return Err(Error::new(ErrorKind::Conflict, operation, message));
        };
        match created {
            Some(ours) if ours != kept => {
                self.remove_one(operation, &ours).await?;
                Ok(Ensured { id: kept, created: false })
            }
            created => Ok(Ensured { id: kept, created: created.is_some() }),
        }
    }

    /// Creates a network in the first free subnet from the `first`-th on; gives its id, or
    /// `None` if there is one of its name.
    async fn create(
        &self,
        mut new: NewNetwork,
        prefix: u8,
        first: u32,
        all: &[Network],
    ) -> Result<Option<String>> {
        let operation = "create network";
        let version = self.client.docker(operation).await?.client_version();
        let mut taken = subnets(all);
        for _ in 0..TRIES {
            let Some(chosen) = self.pool.choose(prefix, first, &taken) else {
                let message = format!(
                    "there is no free /{prefix} left in {}: {} networks are there; give the manager a larger pool",
                    self.pool,
                    all.len()
                );
                return Err(Error::new(ErrorKind::Busy, operation, message));
            };
            let subnet = chosen.subnet();
            new.ipam = Ipam {
                config: Some(vec![IpamConfig { subnet: Some(subnet.to_string()), ..Default::default() }]),
                ..Default::default()
            };
            match self.client.post::<Created>(version, "/networks/create", &new).await {
                Ok(created) => return Ok(Some(created.id)),
                Err(error) if is_network_taken(&error) => return Ok(None),
                Err(error) if is_overlap(&error) => taken.push(subnet),
                Err(error) => return Err(translate(operation, error)),
            }
        }
        let message = format!("{TRIES} subnets of {} overlap with something on this machine", self.pool);
        Err(Error::new(ErrorKind::Conflict, operation, message))
    }

    /// The networks that carry this owner's mark.
    pub(crate) async fn ours(&self, operation: &'static str) -> Result<Vec<Network>> {
        self.list(operation, Some(labels::filter(&self.owner, &[(labels::TYPE, &labels::NETWORK)]))).await
    }

    /// Those that carry our mark, whoever's they are.
    pub(crate) async fn marked(&self, operation: &'static str) -> Result<Vec<Network>> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::TYPE.to_owned()])]);
        self.list(operation, Some(filters)).await
    }

    async fn all(&self, operation: &'static str) -> Result<Vec<Network>> {
        self.list(operation, None).await
    }

    async fn list(
        &self,
        operation: &'static str,
        filters: Option<HashMap<String, Vec<String>>>,
    ) -> Result<Vec<Network>> {
        let options = filters.map(|filters| ListNetworksOptionsBuilder::new().filters(&filters).build());
        let docker = self.client.docker(operation).await?;
        docker.list_networks(options).await.map_err(|error| translate(operation, error))
    }

    /// The session's own networks, the oldest first: one, unless two managers raced.
    fn of_session<'a>(&self, session: SessionId, all: &'a [Network]) -> Vec<&'a Network> {
        let own = |network: &&Network| {
            let labels = network.labels.as_ref();
            labels.is_some_and(|labels| labels::read(&self.owner, labels) == Reading::Network(Some(session)))
        };
        oldest_first(all.iter().filter(own))
    }
}

fn named<'a>(name: &Name, all: &'a [Network]) -> Vec<&'a Network> {
    oldest_first(all.iter().filter(|network| network.name.as_deref() == Some(name.as_str())))
}

fn oldest_first<'a>(networks: impl Iterator<Item = &'a Network>) -> Vec<&'a Network> {
    let mut networks: Vec<_> = networks.collect();
    networks.sort_by_key(|network| (network.created.as_ref(), network.id.as_ref()));
    networks
}

fn id(network: &Network) -> String {
    network.id.clone().unwrap_or_default()
}

/// The IPv4 subnets in use.
fn subnets(networks: &[Network]) -> Vec<Subnet> {
    let configs = networks.iter().filter_map(|network| network.ipam.as_ref()?.config.as_ref()).flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect()
}
