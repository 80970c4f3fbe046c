//! More messages, queues and time than memory or disk would hold if they grew with them.
//!
//! `LEVERET_BACKLOG_PERCENT` is how much of the full figures is run, 0.05 by default: then these tests show that the
//! programmes work, and only at 100 what they are for. Some need more of the machine than others have; what is missing
//! is named, and then that line is not shown.

mod flow;
mod memory;
mod queues;
mod space;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use leveret_tests::wait::pass;

const MIB: u64 = 1 << 20;

/// So much of a full figure as is to be run, 1 at least.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
#[allow(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn scaled(full: u64) -> u64 {
    let percent = std::env::var("LEVERET_BACKLOG_PERCENT");
    let percent: f64 = percent.map_or(0.05, |text| text.parse().expect("a number"));
    ((full as f64 * percent / 100.0) as u64).max(1)
}

/// Does `work` and measures again and again meanwhile; gives the largest measure, too.
fn with_peak<T>(measure: impl Fn() -> u64 + Sync, work: impl FnOnce() -> T) -> (T, u64) {
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                peak.fetch_max(measure(), Ordering::SeqCst);
                pass(Duration::from_millis(50));
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        result
    });
    let result = result.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
    (result, peak.into_inner().max(measure()))
}

/// Says what this machine cannot show.
#[allow(clippy::print_stdout, reason = "what cannot run is named")]
fn skip(what: &str, why: &str) {
    println!("skipped: {what} ({why})");
}

/// What is left free where test data lies.
fn free_bytes() -> u64 {
    let found = rustix::fs::statvfs(std::env::temp_dir().as_path()).expect("a file system");
    found.f_bavail * found.f_frsize
}
