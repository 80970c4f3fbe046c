//! Makes the golden data directory of the current format: something of everything that the store writes.
//!
//! ```text
//! cargo run -p leveret-storage --example golden_data_dir -- tests/golden/data-dir-1
//! ```
//!
//! Writes `data/`, a directory as a crash leaves it, and `expected.txt`, what a recovery of it must give. Done
//! once for each format version and committed; a version that cannot open it any more cannot be released.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use leveret_storage::{
    DataDir, DefinitionStore, Definitions, Gather, LogWriter, MessageFlags, Payload, Read, RealDisk,
    Recovered, SettleReason, SledCheckpoint, StorageError, StorageOptions, open_store,
};

const SLOT_BYTES: u64 = 64 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("which folder?")?);
    let data = folder.join("data");
    std::fs::create_dir_all(&folder)?;
    make(&data)?;
    // Looking must not change what is committed: recovery opens sled, and sled writes.
    let expected = describe(&open(&data, false)?)?;
    std::fs::write(folder.join("expected.txt"), expected)?;
    std::fs::remove_file(data.join("lock"))?;
    Ok(())
}

fn open(data: &Path, with_checkpoint: bool) -> Result<Recovered<RealDisk>, StorageError> {
    let options = StorageOptions { slot_bytes: Some(SLOT_BYTES), ..StorageOptions::default() };
    let dir = DataDir::open(RealDisk, data, options)?;
    let mut checkpoint = SledCheckpoint::new(dir.definitions_folder(), dir.log_id());
    open_store(&dir, if with_checkpoint { Some(&mut checkpoint) } else { None })
}

fn body(queue: u64, seq: u64, len: usize) -> Vec<u8> {
    format!("queue {queue}, message {seq}; ").into_bytes().into_iter().cycle().take(len).collect()
}

fn make(data: &Path) -> Result<(), StorageError> {
    let options = StorageOptions { slot_bytes: Some(SLOT_BYTES), ..StorageOptions::default() };
    let dir = DataDir::open(RealDisk, data, options)?;
    let sled = || Box::new(SledCheckpoint::new(dir.definitions_folder(), dir.log_id()));
    let recovered = open_store(&dir, Some(&mut *sled()))?;
    let source = recovered.definitions_source;
    let mut definitions = DefinitionStore::start(&dir, Some(sled()), &Definitions::default(), source)?;
    let store = recovered.store;
    let mut log = LogWriter::open(&dir, recovered.tail)?;
    let mut gather = log.gather();
    let mut revision = 0;
    for round in 0..3 {
        revision += 1;
        let change = [(format!("queue/{revision}").into_bytes(), Some(body(0, revision, 60)))];
        let position = gather.definition(revision, &change);
        let first = round * 30;
        single_messages(&mut gather, first);
        let large = body(3, round, 20_000);
        gather.message(
            3,
            round,
            MessageFlags::NONE,
            0,
            0,
            Payload { body_len: 20_000, ..Payload::parts(&[&large]) },
        );
        let (shared, _) = gather.body(Payload::parts(&[b"shared by four queues"]));
        for queue in 4..8 {
            gather.entry(shared, queue, round, MessageFlags::NONE, 0, 0);
        }
        gather.end_body(shared);
        let group = gather.begin_group();
        gather.within(group).message(8, round, MessageFlags::NONE, 0, 0, Payload::parts(&[b"in a group"]));
        gather.within(group).settle(1, &[(first + 29, first + 29)], SettleReason::Moved);
        // The last one is cut off by the end of the process, and counts for nothing.
        if round != 2 {
            gather.commit_group(group);
        }
        gather.settle(1, &[(first, first + 4), (first + 10, first + 10)], SettleReason::Acknowledged);
        gather.settle(4 + round, &[(0, u64::MAX)], SettleReason::QueueDeleted);
        gather.returned(1, &[(first + 6, first + 7)], round + 1);
        gather.expose(1, &[(first + 5, first + 8)]);
        gather.unexpose(2, &[(first, first + 3)]);
        log.step(&mut gather)?;
        definitions.apply(position, revision, &change)?;
        if round < 2 {
            let now_ms = (round + 1) * 60_000;
            store.checkpoint(&mut |_| definitions.export_if_due(now_ms).map(drop))?;
        }
    }
    // What a later settlement of runs leaves in the manifest and above it.
    gather.settle(1, &[(20, 22), (45, 45)], SettleReason::Acknowledged);
    log.step(&mut gather)?;
    log.idle()
}

/// Thirty messages of a plain queue, and as many of one with levels and deadlines.
fn single_messages(gather: &mut Gather, first: u64) {
    for seq in first..first + 30 {
        let body = body(1, seq, 200);
        gather.message(
            1,
            seq,
            MessageFlags::NONE,
            0,
            0,
            Payload { body_len: 180, ..Payload::parts(&[&body]) },
        );
        gather.message(
            2,
            seq,
            MessageFlags::SEEN,
            9 - seq % 4,
            4_000_000_000_000 + seq,
            Payload::parts(&[b"timed"]),
        );
    }
}

/// All that recovery gives, a line for each thing.
fn describe(recovered: &Recovered<RealDisk>) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let Definitions { revision, entries, .. } = &recovered.definitions;
    writeln!(text, "revision {revision}")?;
    for (key, value) in entries {
        writeln!(text, "{} = {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))?;
    }
    for (id, queue) in &recovered.queues {
        writeln!(text, "queue {id}, last {}", queue.last_seq)?;
        for (order_key, count) in &queue.lines {
            writeln!(text, "  line {order_key}: {} messages, {} timed", count.messages, count.timed)?;
            let (most_messages, most_bytes) = (10_000, usize::MAX);
            let read = Read {
                queue: *id,
                order_key: *order_key,
                first: 0,
                last: u64::MAX,
                most_messages,
                most_bytes,
            };
            for message in recovered.store.read(&read)?.messages {
                writeln!(
                    text,
                    "    {} flags {} deadline {} count {} {} bytes {:08x}",
                    message.seq,
                    message.flags.bits(),
                    message.deadline_ms,
                    message.delivery_count,
                    message.payload.len(),
                    crc32fast::hash(&message.payload)
                )?;
            }
        }
    }
    Ok(text)
}
