//! Rates: how fast counts move, between two looks at them at least five seconds apart.
//!
//! Nothing is sampled in the background. Whoever asks again and again, as a page or a monitor does, gets the rate since
//! about five seconds or since the last question; the first answer has no rate yet and says 0.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::arguments::Object;

/// The shortest time between two samples, in milliseconds (RabbitMQ's `collect_statistics_interval`).
const INTERVAL_MS: u64 = 5_000;

/// Samples that nobody has looked at for so long go, in milliseconds.
const FORGET_MS: u64 = 600_000;

/// Below so many kept samples none is looked for to forget.
const KEPT_FEWEST: usize = 1_024;

/// What was seen of counts, by whose they are.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    series: HashMap<String, Series>,
    /// When the number of series reaches this, old ones go.
    prune_at: usize,
}

#[derive(Debug)]
struct Series {
    previous: Option<Sample>,
    latest: Sample,
}

#[derive(Debug)]
struct Sample {
    at_ms: u64,
    values: Vec<u64>,
}

impl Rates {
    /// Looks at counts; how many a second each has moved by. `whose` names them, and comes with the same ones each time.
    pub(crate) fn look(&self, whose: &str, now_ms: u64, values: &[u64]) -> Vec<f64> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = kept.series.get_mut(whose) {
            return series.look(now_ms, values);
        }
        if kept.series.len() >= kept.prune_at.max(KEPT_FEWEST) {
            kept.series.retain(|_, series| now_ms.saturating_sub(series.latest.at_ms) < FORGET_MS);
            kept.prune_at = kept.series.len().saturating_mul(2);
        }
        let latest = Sample { at_ms: now_ms, values: values.to_vec() };
        kept.series.insert(whose.to_owned(), Series { previous: None, latest });
        vec![0.0; values.len()]
    }

    /// Counts as an object: each with its `…_details`.
    pub(crate) fn object(&self, whose: &str, now_ms: u64, counts: &[(&str, u64)]) -> Object {
        let values: Vec<u64> = counts.iter().map(|(_, value)| *value).collect();
        let rates = self.look(whose, now_ms, &values);
        counts.iter().zip(rates).fold(Object::default(), |object, ((name, value), rate)| {
            object.set(name, *value).set(&format!("{name}_details"), details(rate))
        })
    }
}

fn details(rate: f64) -> Value {
    json!({"rate": rate})
}

impl Series {
    fn look(&mut self, now_ms: u64, values: &[u64]) -> Vec<f64> {
        if now_ms.saturating_sub(self.latest.at_ms) >= INTERVAL_MS {
            let latest = Sample { at_ms: now_ms, values: values.to_vec() };
            self.previous = Some(std::mem::replace(&mut self.latest, latest));
        }
        let Some(previous) = &self.previous else { return vec![0.0; values.len()] };
        let elapsed_ms = self.latest.at_ms.saturating_sub(previous.at_ms);
        let seconds = std::time::Duration::from_millis(elapsed_ms).as_secs_f64();
        let pairs = previous.values.iter().zip(&self.latest.values);
        pairs.map(|(before, after)| moved(*before, *after) / seconds).collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate is shown, not counted on")]
fn moved(before: u64, after: u64) -> f64 {
    if after >= before { (after - before) as f64 } else { -((before - after) as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_at_least_five_seconds() {
        let rates = Rates::default();
        assert_eq!(rates.look("q", 1_000, &[10, 5]), [0.0, 0.0]);
        assert_eq!(rates.look("q", 5_999, &[20, 5]), [0.0, 0.0]);
        assert_eq!(rates.look("q", 6_000, &[20, 0]), [2.0, -1.0]);
        assert_eq!(rates.look("q", 8_000, &[90, 0]), [2.0, -1.0]);
        assert_eq!(rates.look("q", 16_000, &[120, 0]), [10.0, 0.0]);
        assert_eq!(rates.look("other", 16_000, &[120, 0]), [0.0, 0.0]);
    }

    #[test]
    fn what_nobody_looks_at_is_forgotten() {
        let rates = Rates::default();
        for queue in 0..KEPT_FEWEST {
            rates.look(&format!("q{queue}"), 0, &[0]);
        }
        rates.look("new", FORGET_MS, &[0]);
        assert_eq!(rates.kept.lock().unwrap().series.len(), 1);
    }
}
