//! `throughput` and `backlog`: one load on one broker, and one measured stretch of any load.

use std::io::Write;
use std::time::Duration;

use crate::args::{BacklogArgs, LoadArgs};
use crate::client::Target;
use crate::error::PerfError;
use crate::figures::{known, rate};
use crate::load::{Load, Plan, Sample};
use crate::process::{CpuTimes, CpuUse, cores, listening_on};

/// What a load did in its measured stretch.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// The broker, as it names itself.
    pub(crate) server: String,
    /// Published for each second.
    pub(crate) publish_rate: f64,
    /// Confirmed for each second.
    pub(crate) confirm_rate: f64,
    /// Received for each second.
    pub(crate) consume_rate: f64,
    /// Messages of the stretch: received ones, or published ones where nobody consumes.
    pub(crate) messages: u64,
    /// CPU time of the stretch.
    pub(crate) cpu: CpuUse,
    /// Counts of the whole run, checked.
    pub(crate) total: Sample,
}

impl Measured {
    /// CPU seconds for a million messages.
    pub(crate) fn per_million(&self, seconds: Option<f64>) -> Option<f64> {
        (self.messages > 0).then_some(seconds? * 1e6 / self.messages as f64)
    }
}

/// How long to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// Before measurement.
    pub(crate) warm_up: Duration,
    /// Of measurement.
    pub(crate) seconds: Duration,
}

impl Stretch {
    /// From seconds as they were given.
    pub(crate) fn new(warm_up: f64, seconds: f64) -> Result<Self, PerfError> {
        let duration = |seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| PerfError::Options(format!("{seconds} s is no duration")))
        };
        if seconds < 0.1 {
            return Err(PerfError::Options("a run of less than 0.1 s shows nothing".to_owned()));
        }
        Ok(Self { warm_up: duration(warm_up)?, seconds: duration(seconds)? })
    }
}

/// Runs a load and measures a stretch of it. `brokers` are the processes whose CPU time is ours, if known.
pub(crate) fn measure(
    target: &Target,
    plan: &Plan,
    stretch: Stretch,
    brokers: &[Option<u32>],
) -> Result<Measured, PerfError> {
    let load = Load::start(target, plan)?;
    let server = load.server().to_owned();
    load.run_for(stretch.warm_up);
    let (before, cpu_before) = (load.sample(), CpuTimes::now(brokers));
    load.run_for(stretch.seconds);
    let (after, cpu_after) = (load.sample(), CpuTimes::now(brokers));
    let total = load.finish()?;
    let (before, after) = (before?, after?);
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let per_second = |count: u64| count as f64 / seconds;
    let consumed = after.consumed - before.consumed;
    let published = after.published - before.published;
    Ok(Measured {
        server,
        publish_rate: per_second(published),
        confirm_rate: per_second(after.confirmed - before.confirmed),
        consume_rate: per_second(consumed),
        messages: if plan.consumers > 0 { consumed } else { published },
        cpu: cpu_after.since(&cpu_before),
        total,
    })
}

/// The broker's process, where it can be found.
pub(crate) fn broker_process(target: &Target) -> Option<u32> {
    if target.is_local() { listening_on(target.port()) } else { None }
}

/// `leveret-perf throughput`.
pub(crate) fn run(args: &LoadArgs, out: &mut impl Write) -> Result<(), PerfError> {
    one_load(args, &args.plan(), out)
}

/// `leveret-perf backlog`.
pub(crate) fn run_backlog(args: &BacklogArgs, out: &mut impl Write) -> Result<(), PerfError> {
    let mut plan = args.load.plan();
    plan.ahead = args.messages;
    one_load(&args.load, &plan, out)
}

fn one_load(args: &LoadArgs, plan: &Plan, out: &mut impl Write) -> Result<(), PerfError> {
    let target = Target::parse(&args.uri)?;
    let stretch = Stretch::new(args.warm_up, args.seconds)?;
    let measured = measure(&target, plan, stretch, &[broker_process(&target)])?;
    writeln!(out, "{} ({})", target.address(), measured.server)?;
    writeln!(
        out,
        "{} B, {} producers, {} consumers, backlog of at most {}",
        plan.size, plan.producers, plan.consumers, plan.ahead
    )?;
    writeln!(out, "published  {:>9} msg/s", rate(measured.publish_rate))?;
    if plan.confirms.is_some() {
        writeln!(out, "confirmed  {:>9} msg/s", rate(measured.confirm_rate))?;
    }
    if plan.consumers > 0 {
        writeln!(out, "consumed   {:>9} msg/s", rate(measured.consume_rate))?;
    }
    let broker = measured.cpu.brokers.first().copied().flatten();
    writeln!(
        out,
        "CPU s for a million: broker {}, load {}; foreign load {} of {} cores",
        known(measured.per_million(broker)),
        known(measured.per_million(measured.cpu.own)),
        known(measured.cpu.foreign),
        cores()
    )?;
    writeln!(
        out,
        "in all: {} published, {} consumed, none lost or repeated",
        measured.total.published, measured.total.consumed
    )?;
    Ok(())
}
