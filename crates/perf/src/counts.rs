//! `counts`: system calls and allocations of a broker for each message at a small backlog.
//!
//! Starts the broker itself, in a folder of its own. System calls are those that strace counts from before the
//! load connects until after it has left; allocations those that a build with `--features count-allocations`
//! reports. What cannot be shown is said by name, and the command fails.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::args::CountsArgs;
use crate::broker::Broker;
use crate::client::Target;
use crate::error::PerfError;
use crate::load::{Load, Plan};

/// `leveret-perf counts`.
pub(crate) fn run(args: &CountsArgs, out: &mut impl Write) -> Result<(), PerfError> {
    let mut broker = Broker::start(&args.broker, tempfile::tempdir()?, "")?;
    let plan = Plan::simple(args.size, args.messages);
    let seconds = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| PerfError::Options("--seconds is no duration".to_owned()))?;
    writeln!(out, "{} B, 1 producer, 1 consumer, backlog of at most {}", args.size, args.messages)?;
    // Caches and buffers fill before anything is counted.
    run_load(broker.target(), &plan, seconds / 4)?;
    let mut missed = Vec::new();
    match count_allocations(&broker, &plan, seconds)? {
        Some((messages, allocations)) => {
            verdict("allocation", messages, allocations, args.per_allocation, &mut missed, out)?;
        }
        None => {
            missed.push("allocations (the broker is built without --features count-allocations)".to_owned());
        }
    }
    match count_calls(&broker, &plan, seconds)? {
        Some((messages, calls)) => {
            let total = calls.iter().map(|call| call.count).sum();
            verdict("system call", messages, total, args.per_call, &mut missed, out)?;
            let names: Vec<_> =
                calls.iter().take(6).map(|call| format!("{} {}", call.name, call.count)).collect();
            writeln!(out, "  {}", names.join(", "))?;
        }
        None => missed.push("system calls (strace is not installed)".to_owned()),
    }
    broker.stop()?;
    if missed.is_empty() { Ok(()) } else { Err(PerfError::NotShown(missed.join("; "))) }
}

fn verdict(
    what: &str,
    messages: u64,
    count: u64,
    floor: f64,
    missed: &mut Vec<String>,
    out: &mut impl Write,
) -> Result<(), PerfError> {
    let each = messages as f64 / count.max(1) as f64;
    writeln!(out, "{each:.1} messages for each {what}: {messages} messages, {count} {what}s")?;
    if each < floor {
        missed.push(format!("{floor} messages for each {what}"));
    }
    Ok(())
}

fn run_load(target: &Target, plan: &Plan, duration: Duration) -> Result<u64, PerfError> {
    let load = Load::start(target, plan)?;
    load.run_for(duration);
    Ok(load.finish()?.consumed)
}

fn count_allocations(
    broker: &Broker,
    plan: &Plan,
    duration: Duration,
) -> Result<Option<(u64, u64)>, PerfError> {
    let Some(before) = broker.allocations() else { return Ok(None) };
    let messages = run_load(broker.target(), plan, duration)?;
    Ok(broker.allocations().map(|after| (messages, after - before)))
}

fn count_calls(
    broker: &Broker,
    plan: &Plan,
    duration: Duration,
) -> Result<Option<(u64, Vec<Calls>)>, PerfError> {
    let Some(tracer) = Tracer::attach(broker)? else { return Ok(None) };
    let messages = run_load(broker.target(), plan, duration)?;
    Ok(Some((messages, tracer.detach()?)))
}

/// How often one system call was made.
#[derive(Debug, PartialEq, Eq)]
struct Calls {
    name: String,
    count: u64,
}

/// A strace that counts.
struct Tracer {
    process: Child,
    /// Kept open: what strace says when it detaches must not fail.
    _said: BufReader<ChildStderr>,
    summary: PathBuf,
}

impl Tracer {
    /// Attaches to all threads of a broker; `None` where strace is not installed.
    fn attach(broker: &Broker) -> Result<Option<Self>, PerfError> {
        let summary = broker.folder().join("strace");
        let spawned = Command::new("strace")
            .args(["-f", "-c", "-p", &broker.id().to_string(), "-o"])
            .arg(&summary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match spawned {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PerfError::Program { program: "strace".into(), source }),
        };
        let Some(stderr) = process.stderr.take() else {
            return Err(PerfError::NotShown("system calls (strace says nothing)".to_owned()));
        };
        let mut said = BufReader::new(stderr);
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            if said.read_line(&mut line)? == 0 {
                return Err(PerfError::NotShown("system calls (strace may not attach)".to_owned()));
            }
        }
        Ok(Some(Self { process, _said: said, summary }))
    }

    /// Ends the count.
    fn detach(mut self) -> Result<Vec<Calls>, PerfError> {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::INT).map_err(std::io::Error::from)?;
        }
        self.process.wait()?;
        let calls = read_summary(&fs::read_to_string(&self.summary)?);
        if calls.is_empty() {
            return Err(PerfError::NotShown("system calls (strace counted nothing)".to_owned()));
        }
        Ok(calls)
    }
}

/// The rows of `strace -c`: share, seconds, time for each call, calls, errors if any, name. Most frequent first.
fn read_summary(text: &str) -> Vec<Calls> {
    let row = |line: &str| -> Option<Calls> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(count), Some(name)) = (fields.get(3), fields.last()) else { return None };
        if *name == "total" {
            return None;
        }
        Some(Calls { name: (*name).to_owned(), count: count.parse().ok()? })
    };
    let mut calls: Vec<Calls> = text.lines().filter_map(row).collect();
    calls.sort_by_key(|call| std::cmp::Reverse(call.count));
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_summary_are_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                     50.00    0.040000          40      1000           epoll_wait\n \
                     50.00    0.040000          20      2000       400 recvfrom\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.080000          26      3000       400 total\n";
        let calls = |name: &str, count| Calls { name: name.to_owned(), count };
        assert_eq!(read_summary(text), [calls("recvfrom", 2000), calls("epoll_wait", 1000)]);
        assert!(read_summary("").is_empty());
    }

    #[test]
    fn a_missed_floor_is_said() {
        let mut missed = Vec::new();
        verdict("allocation", 1_000, 99, 10.0, &mut missed, &mut Vec::new()).unwrap();
        assert!(missed.is_empty());
        verdict("system call", 1_000, 51, 20.0, &mut missed, &mut Vec::new()).unwrap();
        assert_eq!(missed, ["20 messages for each system call"]);
    }
}
