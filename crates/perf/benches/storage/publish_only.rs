//! A queue that only grows: the confirmed rate beside a plain program's, and confirms while checkpoints run.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use leveret_perf::{Broker, CpuTimes, Latencies, Load, Plan, rate, threads};

use crate::broker::Written;
use crate::plain::{self, Bytes};
use crate::{Args, BODY, Outcome};

/// The part of the plain program's rate that the broker must reach, and how much slower confirms may become.
const WANTED_OF_PLAIN: f64 = 0.6;
const WORST_P99: f64 = 5.0;

const QUEUE: &str = "publish-only";

/// Publishes so many bytes of bodies, then has a plain program write what the broker wrote.
pub(crate) fn report(program: &Path, args: &Args, bytes: u64, out: &mut impl Write) -> Outcome<()> {
    let messages = bytes / BODY as u64;
    writeln!(
        out,
        "\npublish only: {} GiB in bodies of 1 KiB, persistent, fsync, {} publishers, window 1,000",
        bytes >> 30,
        args.publishers
    )?;
    let mut broker = Broker::start(program, tempfile::tempdir_in(&args.dir)?, "")?;
    let plan = Plan {
        producers: args.publishers,
        consumers: 0,
        queue: Some(QUEUE.to_owned()),
        confirms: Some(1_000),
        persistent: true,
        most: Some(messages),
        ..Plan::simple(BODY, 1)
    };
    let cpu_before = CpuTimes::now(&[Some(broker.id())]);
    let load = Load::start(broker.target(), &plan)?;
    let begun = Instant::now();
    let (first, later) = each_gibibyte(&load, &broker, messages, out)?;
    let took = begun.elapsed().as_secs_f64();
    let total = load.finish()?;
    let cpu = CpuTimes::now(&[Some(broker.id())]).since(&cpu_before);
    let index = threads(broker.id()).get("checkpoint").map_or(0, |thread| thread.written);
    let mut control = broker.target().connect("storage benchmark")?;
    let waiting = control.waiting(QUEUE)?;
    control.close()?;
    if waiting != total.published {
        return Err(format!("{} published, {waiting} in the queue", total.published).into());
    }
    let files = last_run(broker.folder())?;
    let written = Written::said(&broker.stop()?)?;
    drop(broker);
    let confirmed = total.confirmed as f64 / took;
    let plain = Bytes { log: written.bytes as u64, batches: written.batches as u64, index, files };
    let plain_rate = total.confirmed as f64 / plain::write(&args.dir, plain)?.as_secs_f64();
    writeln!(
        out,
        "broker: {} confirmed/s; CPU s a million: broker {:.2}, load {:.2}; {:.2} cores used by others",
        rate(confirmed),
        cpu.brokers.first().copied().flatten().unwrap_or(f64::NAN) * 1e6 / total.confirmed as f64,
        cpu.own.unwrap_or(f64::NAN) * 1e6 / total.confirmed as f64,
        cpu.foreign.unwrap_or(f64::NAN),
    )?;
    writeln!(
        out,
        "it wrote: {:.2} GiB of log in {:.0} batches, {:.0} MiB of runs and manifest in {files} files",
        written.bytes / (1_u64 << 30) as f64,
        written.batches,
        index as f64 / f64::from(1 << 20),
    )?;
    let ratio = confirmed / plain_rate;
    let verdict = |is_met: bool| if is_met { "reached" } else { "MISSED" };
    writeln!(out, "plain program with the same bytes and syncs: {} messages/s", rate(plain_rate))?;
    writeln!(out, "at least {WANTED_OF_PLAIN} of it: {}, {ratio:.2}", verdict(ratio >= WANTED_OF_PLAIN))?;
    let times = later.quantile(0.99).as_secs_f64() / first.quantile(0.99).as_secs_f64();
    writeln!(
        out,
        "p99 after the first GiB at most {WORST_P99} times its own: {}, {times:.2} ({:.2} ms and {:.2} ms)",
        verdict(times <= WORST_P99),
        later.quantile(0.99).as_secs_f64() * 1e3,
        first.quantile(0.99).as_secs_f64() * 1e3,
    )?;
    Ok(())
}

/// A line for each; gives the latencies of the first and of all others. Checkpoints and merges run in all of them.
fn each_gibibyte(
    load: &Load,
    broker: &Broker,
    messages: u64,
    out: &mut impl Write,
) -> Outcome<(Latencies, Latencies)> {
    writeln!(
        out,
        "| GiB | confirmed/s | confirm p50 | p99 | longest | cores: log, checkpoint, the broker's rest |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    let each = (1 << 30) / BODY as u64;
    let (mut first, mut later) = (Latencies::default(), Latencies::default());
    let (mut at, mut used) = (load.sample()?, threads(broker.id()));
    for number in 1..=messages / each {
        while load.sample()?.confirmed < number * each {
            load.run_for(Duration::from_millis(20));
        }
        let (now, latencies, threads) = (load.sample()?, load.take_latencies(), threads(broker.id()));
        let took = now.at.duration_since(at.at).as_secs_f64();
        let cores = |is_it: &dyn Fn(&str) -> bool| -> f64 {
            let named = threads.iter().filter(|(name, _)| is_it(name));
            let seconds =
                named.map(|(name, now)| now.seconds - used.get(name).map_or(0.0, |then| then.seconds));
            seconds.sum::<f64>() / took
        };
        writeln!(
            out,
            "| {number} | {} | {:.2} ms | {:.2} ms | {:.0} ms | {:.2}, {:.2}, {:.2} |",
            rate((now.confirmed - at.confirmed) as f64 / took),
            latencies.quantile(0.5).as_secs_f64() * 1e3,
            latencies.quantile(0.99).as_secs_f64() * 1e3,
            latencies.quantile(1.0).as_secs_f64() * 1e3,
            cores(&|name| name == "log"),
            cores(&|name| name == "checkpoint"),
            cores(&|name| name != "log" && name != "checkpoint"),
        )?;
        out.flush()?;
        (if number == 1 { &mut first } else { &mut later }).join(&latencies);
        (at, used) = (now, threads);
    }
    Ok((first, later))
}

/// The number of the run that was begun last: so many were made.
fn last_run(folder: &Path) -> Outcome<u64> {
    let mut last = 1;
    for entry in std::fs::read_dir(folder.join("data/runs"))? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("run-")?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last)
}
