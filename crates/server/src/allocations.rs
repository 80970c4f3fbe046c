//! Counts allocations, in builds for measurement only (`--features count-allocations`).
//!
//! Owns the count and its report: a file, named by the environment variable `LEVERET_COUNT_ALLOCATIONS`, that
//! holds the number of allocations since the start and is written anew ten times a second.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mimalloc::MiMalloc;

/// Names the file of the report.
const REPORT_VARIABLE: &str = "LEVERET_COUNT_ALLOCATIONS";

/// Between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(100);

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The broker's allocator, counting: each allocation and each growth of one is one.
#[derive(Debug)]
pub struct CountingAllocator;

fn count() {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
}

#[allow(unsafe_code, reason = "a global allocator cannot be written without; only in builds for measurement")]
// SAFETY: every call goes to mimalloc with the arguments it came with, and its answer comes back unchanged, so
// mimalloc's contract is this one's. The count neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the block is mimalloc's, since every allocation here is; the rest is passed on.
        unsafe { MiMalloc.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is mimalloc's, since every allocation here is; the rest is passed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

/// Starts the report, if a file for it is named.
pub fn start_report() {
    let Some(path) = std::env::var_os(REPORT_VARIABLE) else { return };
    std::thread::spawn(move || {
        loop {
            let text = format!("{}\n", ALLOCATIONS.load(Ordering::Relaxed));
            if let Err(error) = std::fs::write(&path, text) {
                tracing::error!("no report of allocations: {error}");
                return;
            }
            std::thread::sleep(REPORT_EVERY);
        }
    });
}
