//! The raw sync rate of the disk.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use leveret_perf::Spread;
use rustix::fs::{FallocateFlags, fallocate};

use crate::Outcome;

const BLOCK: usize = 4096;
const FILE: u64 = 64 << 20;
const SECONDS: u64 = 3;

/// Writes blocks one after another into an allocated file, each with a sync, then again over what is there.
pub(crate) fn report(dir: &Path, out: &mut impl Write) -> Outcome<()> {
    let folder = tempfile::tempdir_in(dir)?;
    let path = folder.path().join("raw");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fallocate(&file, FallocateFlags::empty(), 0, FILE)?;
    let block = [7; BLOCK];
    for what in ["allocated", "written"] {
        if what == "written" {
            file.write_all_at(&vec![1; FILE as usize], 0)?;
            file.sync_data()?;
        }
        let (mut took, begun, mut at) = (Vec::new(), Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(SECONDS) {
            let before = Instant::now();
            file.write_all_at(&block, at)?;
            file.sync_data()?;
            took.push(before.elapsed().as_secs_f64() * 1e3);
            at = (at + BLOCK as u64) % FILE;
        }
        let each = took.len() as f64 / begun.elapsed().as_secs_f64();
        took.sort_by(f64::total_cmp);
        let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
        let p50 = Spread::of(took).map_or(0.0, |spread| spread.median);
        writeln!(
            out,
            "disk: 4 KiB and fdatasync, into {what} blocks: {each:.0}/s, p50 {p50:.2} ms, p99 {p99:.2} ms"
        )?;
    }
    fs::remove_file(&path)?;
    Ok(())
}
