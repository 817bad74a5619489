//! Choosing a subnet for a network that is to be made.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::warn;

use crate::subnet::Subnet;

/// The addresses that networks are cut from.
#[derive(Debug)]
pub(crate) struct Pool {
    whole: Subnet,
    /// What creates in flight have chosen, so that several at once choose apart.
    chosen: Mutex<BTreeSet<Subnet>>,
}

impl Pool {
    pub(crate) fn new(whole: Subnet) -> Self {
        Self { whole, chosen: Mutex::default() }
    }

    /// How many subnets of `prefix` bits it holds.
    pub(crate) fn count(&self, prefix: u8) -> u32 {
        self.whole.count(prefix)
    }

    /// The first subnet from the `first`-th on that overlaps with none that is taken, held
    /// until the result is dropped.
    pub(crate) fn choose(&self, prefix: u8, first: u32, taken: &[Subnet]) -> Option<Chosen<'_>> {
        let mut chosen = self.chosen();
        let count = self.whole.count(prefix);
        let free = |subnet: &Subnet| !taken.iter().chain(chosen.iter()).any(|other| other.overlaps(subnet));
        let mut candidates = (0..count).filter_map(|step| {
            // As 64 bits: the two may be more than 32 together.
            let index = (u64::from(first % count) + u64::from(step)) % u64::from(count);
            self.whole.part(prefix, index as u32)
        });
        let subnet = candidates.find(free)?;
        let ours = taken.iter().filter(|other| other.overlaps(&self.whole)).count();
        if u64::try_from(ours).unwrap_or(u64::MAX) * 5 >= u64::from(count) * 4 {
            warn!("{ours} of {count} subnets of the pool {self} are in use");
        }
        chosen.insert(subnet);
        Some(Chosen { pool: self, subnet })
    }

    fn chosen(&self) -> MutexGuard<'_, BTreeSet<Subnet>> {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt(f)
    }
}

/// A subnet that a create in flight has chosen.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pool: &'a Pool,
    subnet: Subnet,
}

impl Chosen<'_> {
    pub(crate) fn subnet(&self) -> Subnet {
        self.subnet
    }
}

impl Drop for Chosen<'_> {
    fn drop(&mut self) {
        self.pool.chosen().remove(&self.subnet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_free_subnet_is_chosen_from_the_sessions_place_on() {
        let pool = Pool::new(subnet("10.213.0.0/16"));
        let taken = [subnet("10.213.0.112/28"), subnet("172.17.0.0/16")];
        let first = pool.choose(28, 7, &taken).unwrap();
        assert_eq!(first.subnet(), subnet("10.213.0.128/28"));
        let second = pool.choose(28, 7, &taken).unwrap();
        assert_eq!(second.subnet(), subnet("10.213.0.144/28"), "two creates at once choose apart");
        drop(first);
        assert_eq!(pool.choose(28, 7, &taken).unwrap().subnet(), subnet("10.213.0.128/28"));
        assert_eq!(pool.choose(28, 4095, &[]).unwrap().subnet(), subnet("10.213.255.240/28"));
        assert_eq!(pool.choose(28, 4096, &[]).unwrap().subnet(), subnet("10.213.0.0/28"), "round the pool");
        assert_eq!(pool.choose(28, u32::MAX, &[]).unwrap().subnet(), subnet("10.213.255.240/28"));
    }

    #[test]
    fn an_exhausted_pool_has_nothing_to_choose() {
        let pool = Pool::new(subnet("10.213.0.0/27"));
        let taken = [subnet("10.213.0.0/28"), subnet("10.213.0.16/28")];
        assert!(pool.choose(28, 0, &taken).is_none());
        assert!(pool.choose(28, 0, &[subnet("10.0.0.0/8")]).is_none());
    }
}
