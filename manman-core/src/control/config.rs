//! How the control plane behaves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Invalid;

/// How the control plane behaves: how long it waits, for what. The defaults are those of
/// the documentation; a host need not know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ControlConfig {
    /// How long after its request a start may begin, in seconds. Default 60.
    pub start_valid_secs: u32,
    /// How long after that a start that no host has taken up is failed, in seconds.
    /// Default 15: time for a report that is on its way.
    pub start_grace_secs: u32,
    /// How long after its request a one-shot command may be done, in seconds. Default 10.
    pub command_valid_secs: u32,
    /// How long after that an outcome is waited for, in seconds. Default 2.
    pub command_grace_secs: u32,
    /// How long after its last beat a host is called stale, in seconds. Default 10: five
    /// beats missed.
    pub stale_after_secs: u32,
    /// Time between two looks for what is overdue, in milliseconds. Default 1000.
    pub sweep_every_millis: u32,
    /// How long the detector's own probe may be on its way through the broker, in
    /// milliseconds, before silence stops to count. Default 2000.
    pub probe_timeout_millis: u32,
    /// The longest time a call from a host is worked on, in seconds. Default 10.
    pub uplink_deadline_secs: u32,
    /// The largest blob that a host may put, in MiB. Default 65,536.
    pub blob_limit_mib: u32,
    /// How many blobs hosts may put at once, one host two of them. Default 8: where they go into
    /// a bucket, each takes some 50 MiB of memory while it is put.
    pub blob_puts: u32,
    /// The first wait after something failed for now, in milliseconds; it doubles up to
    /// `backoff_longest_millis`. Default 100.
    pub backoff_first_millis: u32,
    /// The longest wait after something failed for now, in milliseconds. Default 5000.
    pub backoff_longest_millis: u32,
    /// The longest time that one publish may take, in milliseconds. Default 5000.
    pub publish_timeout_millis: u32,
    /// The longest time that one deed of the store may take while reports are applied,
    /// messages leave and overdue things are looked for, in milliseconds. Default 10,000.
    pub store_timeout_millis: u32,
    /// How many messages the relay takes at once. Default 100.
    pub relay_batch: u32,
    /// How many reports are applied at once, each of another host. Default 1, which suits a
    /// store with a single writer.
    pub consumers: u32,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            start_valid_secs: 60,
            start_grace_secs: 15,
            command_valid_secs: 10,
            command_grace_secs: 2,
            stale_after_secs: 10,
            sweep_every_millis: 1_000,
            probe_timeout_millis: 2_000,
            uplink_deadline_secs: 10,
            blob_limit_mib: 65_536,
            blob_puts: 8,
            backoff_first_millis: 100,
            backoff_longest_millis: 5_000,
            publish_timeout_millis: 5_000,
            store_timeout_millis: 10_000,
            relay_batch: 100,
            consumers: 1,
        }
    }
}

impl ControlConfig {
    /// Everything that is wrong with it.
    ///
    /// # Errors
    /// One entry for each field whose value cannot work.
    pub fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut wrong = Vec::new();
        let mut within = |field: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                wrong.push(Invalid::new(field, format!("{value} is not within {least} to {most}")));
            }
        };
        within("start_valid_secs", self.start_valid_secs, 5, 86_400);
        within("start_grace_secs", self.start_grace_secs, 1, 3_600);
        within("command_valid_secs", self.command_valid_secs, 1, 300);
        within("command_grace_secs", self.command_grace_secs, 1, 60);
        within("stale_after_secs", self.stale_after_secs, 3, 3_600);
        within("sweep_every_millis", self.sweep_every_millis, 100, 60_000);
        within("probe_timeout_millis", self.probe_timeout_millis, 100, 60_000);
        within("uplink_deadline_secs", self.uplink_deadline_secs, 1, 60);
        within("blob_limit_mib", self.blob_limit_mib, 1, 1 << 20);
        within("blob_puts", self.blob_puts, 1, 1_000);
        within("backoff_first_millis", self.backoff_first_millis, 10, 60_000);
        within("backoff_longest_millis", self.backoff_longest_millis, self.backoff_first_millis, 300_000);
        within("publish_timeout_millis", self.publish_timeout_millis, 100, 60_000);
        within("store_timeout_millis", self.store_timeout_millis, 100, 60_000);
        within("relay_batch", self.relay_batch, 1, 1_000);
        within("consumers", self.consumers, 1, 64);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// See [`ControlConfig::start_valid_secs`].
    pub fn start_valid(&self) -> Duration {
        secs(self.start_valid_secs)
    }

    /// See [`ControlConfig::start_grace_secs`].
    pub fn start_grace(&self) -> Duration {
        secs(self.start_grace_secs)
    }

    /// See [`ControlConfig::command_valid_secs`].
    pub fn command_valid(&self) -> Duration {
        secs(self.command_valid_secs)
    }

    /// See [`ControlConfig::command_grace_secs`].
    pub fn command_grace(&self) -> Duration {
        secs(self.command_grace_secs)
    }

    /// See [`ControlConfig::stale_after_secs`].
    pub fn stale_after(&self) -> Duration {
        secs(self.stale_after_secs)
    }

    /// See [`ControlConfig::sweep_every_millis`].
    pub fn sweep_every(&self) -> Duration {
        millis(self.sweep_every_millis)
    }

    /// See [`ControlConfig::probe_timeout_millis`].
    pub fn probe_timeout(&self) -> Duration {
        millis(self.probe_timeout_millis)
    }

    /// See [`ControlConfig::uplink_deadline_secs`].
    pub fn uplink_deadline(&self) -> Duration {
        secs(self.uplink_deadline_secs)
    }

    /// See [`ControlConfig::blob_limit_mib`].
    pub fn blob_limit_bytes(&self) -> u64 {
        u64::from(self.blob_limit_mib) << 20
    }

    /// See [`ControlConfig::publish_timeout_millis`].
    pub fn publish_timeout(&self) -> Duration {
        millis(self.publish_timeout_millis)
    }

    /// See [`ControlConfig::store_timeout_millis`].
    pub fn store_timeout(&self) -> Duration {
        millis(self.store_timeout_millis)
    }

    /// Waits after what failed for now.
    pub fn backoff(&self) -> crate::retry::Backoff {
        let seed = fastrand::u64(..);
        crate::retry::Backoff::new(
            millis(self.backoff_first_millis),
            millis(self.backoff_longest_millis),
            seed,
        )
    }

    /// The wait after the `tries`-th try of something failed for now, without chance.
    pub fn delay_after(&self, tries: u32) -> Duration {
        let first = millis(self.backoff_first_millis);
        first.saturating_mul(1 << tries.min(16)).min(millis(self.backoff_longest_millis))
    }
}

fn secs(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs))
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_at_once() {
        assert_eq!(ControlConfig::default().validate(), Ok(()));
        let bad = ControlConfig { start_valid_secs: 0, relay_batch: 0, ..ControlConfig::default() };
        let wrong = bad.validate().unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|invalid| invalid.field.as_str()).collect();
        assert_eq!(fields, ["start_valid_secs", "relay_batch"]);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<ControlConfig>(r#"{"stale_secs": 3}"#).is_err());
        assert_eq!(serde_json::from_str::<ControlConfig>("{}").unwrap(), ControlConfig::default());
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let config = ControlConfig::default();
        assert_eq!(config.delay_after(0), Duration::from_millis(100));
        assert_eq!(config.delay_after(3), Duration::from_millis(800));
        assert_eq!(config.delay_after(u32::MAX), Duration::from_secs(5));
    }
}
