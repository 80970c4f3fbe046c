//! Confirmed messages through the broker that ships.

use std::path::Path;
use std::time::Duration;

use leveret_perf::{Broker, CpuTimes, Load, Plan, cores, threads};

use crate::{BODY, Outcome};

const WARM_UP: Duration = Duration::from_millis(500);

/// How far publishers may run before the consumer.
const AHEAD: u64 = 30_000;

/// What is measured.
pub(crate) struct Case {
    /// The durability's name in the configuration.
    pub(crate) name: &'static str,
    pub(crate) publishers: usize,
    pub(crate) window: u64,
}

/// What a batch of the log came to, on average over a broker's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) messages: f64,
    pub(crate) records: f64,
    pub(crate) bytes: f64,
}

/// One round.
pub(crate) struct Round {
    /// Messages for each second.
    pub(crate) confirmed: f64,
    pub(crate) consumed: f64,
    /// Seconds from write to confirm.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// CPU seconds for a million messages.
    pub(crate) broker_cpu: f64,
    pub(crate) load_cpu: f64,
    pub(crate) shape: Shape,
    /// Batches for each second.
    pub(crate) batches: f64,
    pub(crate) where_it_goes: String,
}

/// What a broker says of its log when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) batches: f64,
    pub(crate) records: f64,
    pub(crate) bytes: f64,
}

impl Written {
    /// Reads the broker's last words.
    pub(crate) fn said(text: &str) -> Outcome<Self> {
        let line = text
            .lines()
            .rev()
            .find(|line| line.contains("the log is closed") && line.contains("log=\"log\""));
        let line = line.ok_or("the broker did not say what its log wrote")?;
        let field = |name: &str| -> Outcome<f64> {
            let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            Ok(value.ok_or_else(|| format!("no {name} in: {line}"))?.parse()?)
        };
        Ok(Self { batches: field("batches")?, records: field("records")?, bytes: field("bytes")? })
    }
}

/// Runs a broker of its own under one load.
pub(crate) fn measure(program: &Path, dir: &Path, case: &Case, seconds: f64) -> Outcome<Round> {
    let settings = format!("leveret.durability = {}\n", case.name);
    let mut broker = Broker::start(program, tempfile::tempdir_in(dir)?, &settings)?;
    let plan = Plan {
        producers: case.publishers,
        confirms: Some(case.window),
        ack: Some(100),
        prefetch: 1_000,
        persistent: true,
        ..Plan::simple(BODY, AHEAD)
    };
    let load = Load::start(broker.target(), &plan)?;
    load.run_for(WARM_UP);
    let before = (load.sample()?, CpuTimes::now(&[Some(broker.id())]), threads(broker.id()));
    drop(load.take_latencies());
    load.run_for(Duration::from_secs_f64(seconds));
    let after = (load.sample()?, CpuTimes::now(&[Some(broker.id())]), threads(broker.id()));
    let latencies = load.take_latencies();
    let total = load.finish()?;
    let cpu = after.1.since(&before.1);
    let took = after.0.at.duration_since(before.0.at).as_secs_f64();
    let confirmed = (after.0.confirmed - before.0.confirmed) as f64;
    let written = Written::said(&broker.stop()?)?;
    let broker_cpu = cpu.brokers.first().copied().flatten().unwrap_or(f64::NAN);
    let load_cpu = cpu.own.unwrap_or(f64::NAN);
    let mut where_it_goes: Vec<(String, f64)> = after
        .2
        .into_iter()
        .map(|(name, after)| {
            let before = before.2.get(&name).map_or(0.0, |before| before.seconds);
            (name, (after.seconds - before) / took)
        })
        .filter(|(_, used)| *used >= 0.01)
        .collect();
    where_it_goes.push(("load".to_owned(), load_cpu / took));
    where_it_goes.push(("others".to_owned(), cpu.foreign.unwrap_or(f64::NAN)));
    let used: f64 = where_it_goes.iter().map(|(_, used)| used).sum();
    where_it_goes.push(("idle".to_owned(), cores() as f64 - used));
    let where_it_goes: Vec<String> =
        where_it_goes.iter().map(|(name, used)| format!("{name} {used:.2}")).collect();
    Ok(Round {
        confirmed: confirmed / took,
        consumed: (after.0.consumed - before.0.consumed) as f64 / took,
        p50: latencies.quantile(0.5).as_secs_f64(),
        p99: latencies.quantile(0.99).as_secs_f64(),
        broker_cpu: broker_cpu * 1e6 / confirmed,
        load_cpu: load_cpu * 1e6 / confirmed,
        shape: Shape {
            messages: total.confirmed as f64 / written.batches,
            records: written.records / written.batches,
            bytes: written.bytes / written.batches,
        },
        batches: confirmed / took * written.batches / total.confirmed as f64,
        where_it_goes: where_it_goes.join(", "),
    })
}
