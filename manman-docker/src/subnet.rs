//! IPv4 subnets: the pool that networks of sessions are cut from.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use manman_core::model::Invalid;
use serde::{Deserialize, Serialize};

/// An IPv4 subnet in CIDR form, its host bits zero: `10.213.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

impl Subnet {
    /// The subnet of `prefix` bits that `address` is in, or `None` if there are no such prefixes.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self { base: u32::from(address) & mask(prefix), prefix })
    }

    /// The number of leading bits that all its addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether they share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.base & mask == other.base & mask
    }

    /// How many subnets of `prefix` bits it holds; 0 if they would be larger than it is.
    pub fn count(&self, prefix: u8) -> u32 {
        match prefix.checked_sub(self.prefix) {
            Some(bits) if bits < 32 && prefix <= 32 => 1 << bits,
            _ => 0,
        }
    }

    /// Its `index`-th subnet of `prefix` bits.
    pub fn part(&self, prefix: u8, index: u32) -> Option<Self> {
        (index < self.count(prefix))
            .then(|| Self { base: self.base + (u64::from(index) << (32 - prefix)) as u32, prefix })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Err(Invalid::new("subnet", format!("{text:?} is not an IPv4 subnet: {why}")));
        let Some((address, prefix)) = text.split_once('/') else {
            return bad("address/prefix is expected, as in 10.213.0.0/16");
        };
        let (Ok(address), Ok(prefix)) = (address.parse::<Ipv4Addr>(), prefix.parse::<u8>()) else {
            return bad("address/prefix is expected, as in 10.213.0.0/16");
        };
        match Self::around(address, prefix) {
            None => bad("the prefix is at most 32"),
            Some(subnet) if subnet.base != u32::from(address) => {
                bad(&format!("it has host bits set; {subnet} is meant"))
            }
            Some(subnet) => Ok(subnet),
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

impl TryFrom<String> for Subnet {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_pool_is_cut_into_parts() {
        let pool = subnet("10.213.0.0/16");
        assert_eq!(pool.count(28), 4096);
        assert_eq!(pool.part(28, 0), Some(subnet("10.213.0.0/28")));
        assert_eq!(pool.part(28, 17), Some(subnet("10.213.1.16/28")));
        assert_eq!(pool.part(28, 4095), Some(subnet("10.213.255.240/28")));
        assert_eq!(pool.part(28, 4096), None);
        assert_eq!(pool.part(8, 0), None);
        assert_eq!(subnet("0.0.0.0/0").part(1, 1), Some(subnet("128.0.0.0/1")));
    }

    #[test]
    fn overlap_is_sharing_an_address() {
        assert!(subnet("10.213.0.0/16").overlaps(&subnet("10.213.255.240/28")));
        assert!(subnet("10.213.1.0/28").overlaps(&subnet("0.0.0.0/0")));
        assert!(!subnet("10.213.1.0/28").overlaps(&subnet("10.213.1.16/28")));
    }

    #[test]
    fn what_is_no_subnet_is_refused() {
        for bad in ["", "10.213.0.0", "10.213.0.1/16", "10.213.0.0/33", "fd00::/8", "x/1"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad:?}");
        }
    }
}
