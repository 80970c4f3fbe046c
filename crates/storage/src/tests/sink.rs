//! What the log tells of its durable batches.

use std::sync::{Arc, Mutex};

use super::*;
use crate::format::Records;
use crate::log::sink::{BatchSink, DurableBatch};

#[derive(Debug, Default, Clone)]
struct Heard(Arc<Mutex<Vec<(u64, u64, u64)>>>);

impl BatchSink for Heard {
    fn batch(&mut self, batch: DurableBatch<'_>) -> Result<(), StorageError> {
        let (header, records) = (batch.header, Records::new(batch.header, batch.meta).count());
        assert_eq!(records, header.record_count as usize);
        assert_eq!(crc32fast::hash(batch.meta), header.meta_crc);
        assert_eq!(header.encode().1, batch.header_crc);
        assert_eq!(header.incarnation, batch.at.incarnation);
        let next = header.first_position + u64::from(header.record_count);
        self.0.lock().unwrap().push((header.number, next, batch.floor.0));
        Ok(())
    }
}

#[test]
fn the_sink_hears_every_batch_once_it_is_durable_and_how_far_a_cut_may_go() {
    let disk = MemoryDisk::new(1);
    let dir = DataDir::open(disk, Path::new(ROOT), small()).unwrap();
    let mut recovered = recover(&dir, None, &mut Collected::default()).unwrap();
    let heard = Heard::default();
    recovered.tail.sink = Box::new(heard.clone());
    let mut log = LogWriter::open(&dir, recovered.tail).unwrap();
    let (mut gather, mut batch) = (log.gather(), log.gather());
    let mut step = |gather: &mut Gather, log: &mut LogWriter<MemoryDisk>| {
        gather.hand_over(&mut batch);
        log.step(&mut batch).unwrap();
        heard.0.lock().unwrap().last().copied().unwrap()
    };
    assert_eq!(step(&mut gather, &mut log), (1, 1, 1), "the repeated batch of a new log is empty");

    gather.message(1, 1, MessageFlags::SEEN, 0, 0, Payload::default());
    assert_eq!(step(&mut gather, &mut log), (2, 2, 2));
    let (body, _) = gather.body(Payload::parts(&[b"shared"]));
    gather.entry(body, 1, 2, MessageFlags::SEEN, 0, 0);
    let group = gather.begin_group();
    assert_eq!(step(&mut gather, &mut log), (3, 5, 2), "the body still gets entries");
    gather.end_body(body);
    gather.within(group).settle(1, &[(1, 1)], SettleReason::Acknowledged);
    assert_eq!(step(&mut gather, &mut log), (4, 6, 4), "the group is still open");
    gather.commit_group(group);
    assert_eq!(step(&mut gather, &mut log), (5, 7, 7));
    let (body, _) = gather.body(Payload::parts(&[b"nobody's"]));
    step(&mut gather, &mut log);
    log.idle().unwrap();
    assert_eq!(heard.0.lock().unwrap().last(), Some(&(7, 8, 7)), "an empty batch does not pass it either");
    gather.end_body(body);
    step(&mut gather, &mut log);
    log.stop(&mut batch).unwrap();
    assert_eq!(heard.0.lock().unwrap().last(), Some(&(8, 8, 8)));
}

#[test]
fn a_sink_that_refuses_a_batch_poisons_the_log() {
    #[derive(Debug)]
    struct Refuses;
    impl BatchSink for Refuses {
        fn batch(&mut self, batch: DurableBatch<'_>) -> Result<(), StorageError> {
            if batch.header.record_count == 0 { Ok(()) } else { Err(StorageError::Poisoned) }
        }
    }
    let disk = MemoryDisk::new(1);
    let dir = DataDir::open(disk, Path::new(ROOT), small()).unwrap();
    let mut recovered = recover(&dir, None, &mut Collected::default()).unwrap();
    recovered.tail.sink = Box::new(Refuses);
    let mut log = LogWriter::open(&dir, recovered.tail).unwrap();
    let mut gather = log.gather();
    gather.message(1, 1, MessageFlags::SEEN, 0, 0, Payload::default());
    assert!(log.step(&mut gather).is_err());
    assert_eq!(log.synced(), Position(0), "nobody may be told of it");
    assert!(matches!(log.idle(), Err(StorageError::Poisoned)));
}
