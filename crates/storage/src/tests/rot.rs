//! A disk that gives back other bytes than it was given: flips, zeros, stale and misplaced blocks, cut and
//! exchanged files, over logs of several slots and epochs.
//!
//! The log ends idle, so that every message in it is proven. Then nothing may be lost without a word:
//! recovery refuses, or quarantines, or gives exactly what was there.

use proptest::prelude::*;

use super::model::{Model, Op, op, sorted};
use super::*;

#[derive(Debug, Clone)]
pub(super) enum Rot {
    Flip {
        slot: prop::sample::Index,
        at: prop::sample::Index,
        mask: u8,
    },
    Zero {
        slot: prop::sample::Index,
        block: prop::sample::Index,
        sectors: usize,
    },
    /// A block of one slot over one of another: a stale or misdirected write.
    Copy {
        from: prop::sample::Index,
        to: prop::sample::Index,
        block: prop::sample::Index,
        other: prop::sample::Index,
    },
    Cut {
        slot: prop::sample::Index,
        at: prop::sample::Index,
    },
    Lose {
        slot: prop::sample::Index,
    },
    Swap {
        one: prop::sample::Index,
        other: prop::sample::Index,
    },
}

pub(super) fn rot() -> impl Strategy<Value = Rot> {
    let any = any::<prop::sample::Index>;
    prop_oneof![
        6 => (any(), any(), 1..=255u8).prop_map(|(slot, at, mask)| Rot::Flip { slot, at, mask }),
        3 => (any(), any(), 1..12usize).prop_map(|(slot, block, sectors)| Rot::Zero { slot, block, sectors }),
        3 => (any(), any(), any(), any()).prop_map(|(from, to, block, other)| Rot::Copy { from, to, block, other }),
        1 => (any(), any()).prop_map(|(slot, at)| Rot::Cut { slot, at }),
        1 => any().prop_map(|slot| Rot::Lose { slot }),
        1 => (any(), any()).prop_map(|(one, other)| Rot::Swap { one, other }),
    ]
}

/// Bytes up to the last that is not zero, so that damage mostly hits what is used.
fn used(disk: &MemoryDisk, path: &Path) -> usize {
    let bytes = disk.read_all(path).unwrap();
    (bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count()).max(1)
}

pub(super) fn apply(disk: &MemoryDisk, rot: &Rot) {
    let files = slot_files(disk);
    if files.iter().any(|file| disk.read_all(file).unwrap().len() < 4096) || files.is_empty() {
        return;
    }
    let pick = |index: &prop::sample::Index| files[index.index(files.len())].clone();
    match rot {
        Rot::Flip { slot, at, mask } => {
            let at = at.index(used(disk, &pick(slot)));
            disk.tamper(&pick(slot), |bytes| bytes[at] ^= mask);
        }
        Rot::Zero { slot, block, sectors } => {
            let from = block.index(used(disk, &pick(slot)).div_ceil(512)) * 512;
            disk.tamper(&pick(slot), |bytes| {
                bytes.iter_mut().skip(from).take(sectors * 512).for_each(|b| *b = 0)
            });
        }
        Rot::Copy { from, to, block, other } => {
            let source = disk.read_all(&pick(from)).unwrap();
            let at = block.index(source.len() / 4096) * 4096;
            disk.tamper(&pick(to), |bytes| {
                let to = other.index(bytes.len() / 4096) * 4096;
                bytes[to..to + 4096].copy_from_slice(&source[at..at + 4096]);
            });
        }
        Rot::Cut { slot, at } => {
            let at = at.index(used(disk, &pick(slot)));
            disk.tamper(&pick(slot), |bytes| bytes.truncate(at));
        }
        Rot::Lose { slot } => disk.remove(&pick(slot)).unwrap(),
        Rot::Swap { one, other } => {
            let [first, second] = [one, other].map(|index| disk.read_all(&pick(index)).unwrap());
            disk.tamper(&pick(one), |bytes| *bytes = second);
            disk.tamper(&pick(other), |bytes| *bytes = first);
        }
    }
}

/// The block of the idle batch that ends the log, and its file: the one with the highest number. It need not be in the
/// newest file, as compaction makes files too.
pub(super) fn proof(disk: &MemoryDisk) -> (PathBuf, usize, Vec<u8>) {
    let number = |block: &[u8]| u64::from_le_bytes(block[48..56].try_into().unwrap());
    let mut last: Option<(PathBuf, usize, Vec<u8>)> = None;
    for file in slot_files(disk) {
        let bytes = disk.read_all(&file).unwrap();
        for (index, block) in bytes.chunks_exact(4096).enumerate().filter(|(_, b)| b.starts_with(b"LVRTBTCH"))
        {
            if last.as_ref().is_none_or(|(_, _, before)| number(block) > number(before)) {
                last = Some((file.clone(), index * 4096, block.to_vec()));
            }
        }
    }
    last.unwrap()
}

/// Lives through some sessions and ends idle.
pub(super) fn log_of(sessions: &[Vec<Op>]) -> (MemoryDisk, Model) {
    let disk = MemoryDisk::new(3);
    let mut model = Model::default();
    for ops in sessions {
        let mut run = start(&disk).unwrap();
        model.forget_after(Position(run.recovered.next_position.0 - 1));
        for op in ops {
            model.perform(&mut run, op).unwrap();
        }
        run.step();
        run.log.idle().unwrap();
    }
    (disk, model)
}

/// A header with one field changed and its checksum right again, as no accident makes one.
fn forge(disk: &MemoryDisk, slot: prop::sample::Index, block: prop::sample::Index, at: usize, value: u64) {
    let files = slot_files(disk);
    let file = &files[slot.index(files.len())];
    let from = block.index(used(disk, file).div_ceil(4096)) * 4096;
    let checked = if from == 0 { 56 } else { 156 };
    disk.tamper(file, |bytes| {
        let header = &mut bytes[from..from + checked + 4];
        let at = at.min(checked - 8);
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let check = crc32fast::hash(&header[..checked]);
        header[checked..].copy_from_slice(&check.to_le_bytes());
    });
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn proven_messages_are_never_lost_or_altered_without_a_word(
        sessions in proptest::collection::vec(proptest::collection::vec(op(), 1..30), 1..4),
        rots in proptest::collection::vec(rot(), 1..3),
    ) {
        let (disk, mut model) = log_of(&sessions);
        let (active, at, block) = proof(&disk);
        rots.iter().for_each(|rot| apply(&disk, rot));
        let after = disk.read_all(&active).unwrap_or_default();
        let is_proven = after.get(at..at + 4096) == Some(&block[..]);
        match look(&disk) {
            Err(StorageError::Corrupt { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
            Ok((found, recovered)) => {
                if !is_proven {
                    // With the proof gone too, damage to the last batch looks like a crash, and costs it whole.
                    model.forget_after(Position(recovered.next_position.0 - 1));
                }
                let (mut found, mut expected) = (sorted(found), sorted(model.state()));
                for damage in &recovered.quarantined {
                    found.queues.remove(&damage.queue);
                    expected.queues.remove(&damage.queue);
                }
                prop_assert!(found == expected, "found {}, expected {}", found.in_short(), expected.in_short());
            }
        }
    }

    /// What it finds is anyone's guess, but it must find its way without a panic.
    #[test]
    fn forged_headers_are_survived(
        sessions in proptest::collection::vec(proptest::collection::vec(op(), 1..20), 1..3),
        slot in any::<prop::sample::Index>(),
        block in any::<prop::sample::Index>(),
        at in (0..20usize).prop_map(|field| 8 * field),
        value in prop_oneof![Just(0), Just(1), Just(u64::MAX), 0..200_000u64, any::<u64>()],
    ) {
        let (disk, _) = log_of(&sessions);
        forge(&disk, slot, block, at, value);
        match start(&disk) {
            Ok(run) => drop(run),
            Err(error) => prop_assert!(
                matches!(error, StorageError::Corrupt { .. } | StorageError::Version { .. }), "{error}"),
        }
    }
}
