//! What an append costs, and what the log writes a second, on the disk under the folder given.
//!
//! `cargo run --release -p leveret-storage --example append_cost -- [FOLDER] [SECONDS]`
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use leveret_storage::{
    DataDir, Definitions, LogWriter, MessageFlags, Payload, RealDisk, RecoveredMessage, RecoverySink,
    StorageError, StorageOptions, recover,
};

#[derive(Default)]
struct Count(u64);

impl RecoverySink for Count {
    fn definitions(&mut self, _: &Definitions) {}
    fn message(&mut self, _: RecoveredMessage) {
        self.0 += 1;
    }
}

fn main() -> Result<(), StorageError> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "append-cost-data".to_owned());
    let seconds = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(3);
    let open = || DataDir::open(RealDisk, folder.as_ref(), StorageOptions::default());
    let large = Bytes::from(vec![5u8; 64 << 10]);
    for (name, per_batch, len) in
        [("16 B", 100_000, 16), ("16 B, single", 1, 16), ("1 KiB", 4000, 1024), ("64 KiB", 64, 64 << 10)]
    {
        let dir = open()?;
        let mut log = LogWriter::open(&dir, recover(&dir, None, &mut Count::default())?.tail)?;
        let mut gather = log.gather();
        let (mut seq, mut appending) = (0u64, Duration::ZERO);
        let body = vec![5u8; len];
        let begun = Instant::now();
        while begun.elapsed().as_secs() < seconds {
            let before = Instant::now();
            for _ in 0..per_batch {
                seq += 1;
                let payload = if len > 8192 {
                    Payload { parts: &[], segments: std::slice::from_ref(&large), ..Payload::default() }
                } else {
                    Payload { parts: &[b"props", &body], segments: &[], ..Payload::default() }
                };
                gather.message(1, seq, MessageFlags::SEEN, 0, 0, payload);
            }
            appending += before.elapsed();
            log.step(&mut gather)?;
            log.tend()?;
        }
        let rate = seq as f64 / begun.elapsed().as_secs_f64();
        let append = appending.as_nanos() as f64 / seq as f64;
        let syncs = log.statistics().batches as f64 / begun.elapsed().as_secs_f64();
        println!("{name}: append {append:.0} ns, {rate:.0} messages/s, {syncs:.0} syncs/s");
        drop((log, dir));
        let begun = Instant::now();
        let mut count = Count::default();
        let dir = open()?;
        let statistics = recover(&dir, None, &mut count)?.statistics;
        println!("  recovery: {} messages, {} bytes in {:?}", count.0, statistics.bytes, begun.elapsed());
        drop(dir);
        std::fs::remove_dir_all(&folder).map_err(|source| StorageError::Io {
            file: folder.clone().into(),
            op: "remove",
            source,
        })?;
    }
    Ok(())
}
