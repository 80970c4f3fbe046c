//! How long confirms take, in buckets of a sixteenth of their size.

use std::time::Duration;

/// Buckets for each doubling.
const FINE: u64 = 16;
const BUCKETS: usize = 64 * FINE as usize;

/// Times from the write of a publish to its confirm.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Latencies {
    /// So many took this long.
    pub(crate) fn add(&mut self, took: Duration, messages: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += messages;
        }
        self.total += messages;
    }

    /// Adds what others took.
    pub fn join(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.total += other.total;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The time that this share of them did not pass, to a sixteenth; 0 where there is none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(top(at as u64));
            }
        }
        Duration::ZERO
    }
}

fn bucket(micros: u64) -> usize {
    if micros < FINE {
        return micros as usize;
    }
    let doublings = u64::from(micros.ilog2() - FINE.ilog2());
    (doublings * FINE + (micros >> doublings)) as usize
}

/// The longest time of a bucket.
fn top(bucket: u64) -> u64 {
    if bucket < FINE {
        return bucket;
    }
    let doublings = bucket / FINE - 1;
    ((bucket - doublings * FINE + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_times_within_a_sixteenth() {
        for micros in (0..5_000).chain([1 << 20, (1 << 33) + 12_345]) {
            let top = top(bucket(micros) as u64);
            assert!(top >= micros && top - micros <= micros / FINE, "{micros} {top}");
        }
    }

    #[test]
    fn quantiles_are_of_messages() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), Duration::ZERO);
        latencies.add(Duration::from_micros(10), 98);
        latencies.add(Duration::from_millis(8), 2);
        let mut both = Latencies::default();
        both.join(&latencies);
        assert_eq!((both.count(), both.quantile(0.5)), (100, Duration::from_micros(10)));
        assert!(both.quantile(0.99) >= Duration::from_millis(8));
    }
}
