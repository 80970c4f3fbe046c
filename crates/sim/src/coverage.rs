//! What a run passed through, counted: a simulation that never compacts proves nothing of compaction.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// What no run over many seeds may miss.
const NEEDED: &[&str] = &[
    "crash",
    "power cut",
    "clean stop",
    "recovery cut",
    "disk failure",
    "confirm",
    "commit",
    "dead letter",
    "redelivery",
    "purge",
    "delete",
    "expiry",
    "cold read",
    "spill",
    "spill checkpoint",
    "checkpoint",
    "merge",
    "compaction",
    "slot reused",
    "blob",
    "fan-out",
    "clock jump",
    "disk full",
    "start on a full disk",
    "slow disk",
    "queue stopped",
    "partial read",
    "held back",
];

impl Coverage {
    /// One more.
    pub fn note(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// So many more.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.0.entry(name).or_default() += count;
    }

    /// How many.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }

    /// What was needed and never happened.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        NEEDED.iter().copied().filter(|name| self.count(name) == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}
