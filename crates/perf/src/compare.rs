//! `compare`: the same load on two brokers in turn, and the ratio of what they did.

use std::io::Write;

use crate::args::CompareArgs;
use crate::client::Target;
use crate::error::PerfError;
use crate::figures::{Spread, known, rate};
use crate::load::Plan;
use crate::process::cores;
use crate::throughput::{Measured, Stretch, broker_process, measure};

/// Share of the cores that foreign load may take before a round counts as disturbed.
const FOREIGN_SHARE: f64 = 0.2;

/// The two brokers, by their places in the command.
const SIDES: [(usize, &str); 2] = [(0, "uri"), (1, "peer")];

/// One round on one broker.
struct Round {
    rate: f64,
    broker_cpu: Option<f64>,
    own_cpu: Option<f64>,
}

/// Both brokers and how to measure them.
struct Comparison<'a> {
    args: &'a CompareArgs,
    targets: [Target; 2],
    processes: [Option<u32>; 2],
    stretch: Stretch,
    max_foreign: f64,
}

/// `leveret-perf compare`.
pub(crate) fn run(args: &CompareArgs, out: &mut impl Write) -> Result<(), PerfError> {
    let targets = [Target::parse(&args.uri)?, Target::parse(&args.peer)?];
    let stretch = Stretch::new(args.warm_up, args.seconds)?;
    if args.rounds == 0 {
        return Err(PerfError::Options("at least one round is needed".to_owned()));
    }
    for ((_, side), target) in SIDES.iter().zip(&targets) {
        let client = target.connect("leveret-perf compare")?;
        writeln!(out, "{side:<4} = {} ({})", target.address(), client.server)?;
        client.close()?;
    }
    let processes = [broker_process(&targets[0]), broker_process(&targets[1])];
    let max_foreign = args.max_foreign.unwrap_or(FOREIGN_SHARE * cores() as f64);
    writeln!(
        out,
        "1 producer, 1 consumer, no ack, transient, backlog of at most {}; {} rounds of {} s; {} cores",
        args.max_ahead,
        args.rounds,
        args.seconds,
        cores()
    )?;
    let comparison = Comparison { args, targets, processes, stretch, max_foreign };
    let mut missed = Vec::new();
    for &size in &args.sizes {
        let ratio = comparison.at_size(size, out)?;
        let floors = args.at_least.iter().filter(|(at, floor)| *at == size && ratio < *floor);
        missed.extend(floors.map(|(_, floor)| format!("{ratio:.1} x at {size} B, {floor} x wanted")));
    }
    if missed.is_empty() { Ok(()) } else { Err(PerfError::NotShown(missed.join("; "))) }
}

impl Comparison<'_> {
    /// All rounds at one size. Gives the ratio of medians.
    fn at_size(&self, size: usize, out: &mut impl Write) -> Result<f64, PerfError> {
        writeln!(out, "\n{size} B            msg/s   CPU s for a million: broker   load   foreign cores")?;
        let mut rounds = [Vec::new(), Vec::new()];
        for number in 1..=self.args.rounds {
            for (which, side) in SIDES {
                let measured = self.round(which, size)?;
                let round = Round {
                    rate: measured.consume_rate,
                    broker_cpu: measured.per_million(measured.cpu.brokers.get(which).copied().flatten()),
                    own_cpu: measured.per_million(measured.cpu.own),
                };
                let foreign = measured.cpu.foreign;
                let mark = if foreign.is_some_and(|cores| cores > self.max_foreign) { "~" } else { " " };
                writeln!(
                    out,
                    "  {number} {side:<4} {:>14} {:>29} {:>6} {:>14}{mark}",
                    rate(round.rate),
                    known(round.broker_cpu),
                    known(round.own_cpu),
                    known(foreign),
                )?;
                out.flush()?;
                if let Some(rounds) = rounds.get_mut(which) {
                    rounds.push(round);
                }
            }
        }
        summary(&rounds, out)
    }

    /// One round, repeated while it is disturbed and repeats are left.
    fn round(&self, which: usize, size: usize) -> Result<Measured, PerfError> {
        let plan = Plan::simple(size, self.args.max_ahead);
        let target = &self.targets[which.min(1)];
        let mut repeats = self.args.repeats;
        loop {
            let measured = measure(target, &plan, self.stretch, &self.processes)?;
            let disturbed = measured.cpu.foreign.is_some_and(|cores| cores > self.max_foreign);
            if !disturbed || repeats == 0 {
                return Ok(measured);
            }
            repeats -= 1;
        }
    }
}

fn summary(rounds: &[Vec<Round>; 2], out: &mut impl Write) -> Result<f64, PerfError> {
    let [ours, theirs] = rounds;
    let spread = |rounds: &[Round]| Spread::of(rounds.iter().map(|round| round.rate));
    let ratios = Spread::of(ours.iter().zip(theirs).map(|(a, b)| a.rate / b.rate));
    let (Some(a), Some(b), Some(each)) = (spread(ours), spread(theirs), ratios) else {
        return Err(PerfError::NotShown("no round was measured".to_owned()));
    };
    for ((which, side), rates) in SIDES.into_iter().zip([a, b]) {
        let own = rounds.get(which).and_then(|rounds| Spread::of(rounds.iter().filter_map(|r| r.own_cpu)));
        writeln!(
            out,
            "  {side:<4} median {} ({} to {}), load's own CPU s for a million {}",
            rate(rates.median),
            rate(rates.min),
            rate(rates.max),
            known(own.map(|own| own.median))
        )?;
    }
    let ratio = a.median / b.median;
    writeln!(out, "  ratio of medians {ratio:.1} x (rounds: {:.1} to {:.1} x)", each.min, each.max)?;
    let cpu = |rounds: &[Round]| Spread::of(rounds.iter().filter_map(|round| round.broker_cpu));
    if let (Some(a), Some(b)) = (cpu(ours), cpu(theirs))
        && a.median > 0.0
    {
        let times = b.median / a.median;
        writeln!(
            out,
            "  broker CPU s for a million, medians: {:.2} and {:.2}: 1/{times:.1}",
            a.median, b.median
        )?;
    }
    Ok(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_medians_and_the_range_of_rounds() {
        let rounds = |rates: [f64; 3]| {
            rates.map(|rate| Round { rate, broker_cpu: Some(1e6 / rate), own_cpu: None }).into()
        };
        let mut out = Vec::new();
        let ratio = summary(&[rounds([1e6, 2e6, 3e6]), rounds([1e5, 1e5, 3e5])], &mut out).unwrap();
        assert!((ratio - 20.0).abs() < 1e-9);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("ratio of medians 20.0 x (rounds: 10.0 to 20.0 x)"), "{text}");
        assert!(text.contains("0.50 and 10.00: 1/20.0"), "{text}");
    }
}
