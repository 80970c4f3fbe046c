//! Which of the writes that were not flushed a power cut leaves on the drive.

use crate::chance::Chance;

use super::image::Write;

/// A drive writes a sector whole or not at all.
const SECTOR: usize = 512;

/// What happens to writes that no flush has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// None of them reached the drive.
    Drop,
    /// Some did, each whole.
    Subset,
    /// Some did, and of some only a part of their sectors.
    Torn,
    /// The drive took them in another order and stopped somewhere; an older write may stand above a later one.
    Reordered,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Subset, Self::Torn, Self::Reordered];
}

/// One way to cut the power.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// The kind of loss.
    pub mode: Mode,
    /// Chooses among the losses of that kind.
    pub seed: u64,
}

impl Cut {
    /// What reaches the drive, in the order in which it does.
    pub(super) fn survivors(self, pending: &[Write]) -> Vec<Write> {
        let mut chance = Chance::new(self.seed);
        let likely = chance.below(101);
        match self.mode {
            Mode::Drop => Vec::new(),
            Mode::Subset => kept(pending, likely, &mut chance),
            Mode::Torn => {
                let kept = kept(pending, likely, &mut chance);
                kept.into_iter().flat_map(|write| torn(write, &mut chance)).collect()
            }
            Mode::Reordered => {
                let mut writes = pending.to_vec();
                chance.shuffle(&mut writes);
                writes.truncate(chance.below(writes.len() + 1));
                writes
            }
        }
    }
}

/// Each of them with a likelihood of so many percent.
fn kept(pending: &[Write], likely: usize, chance: &mut Chance) -> Vec<Write> {
    pending.iter().filter(|_| chance.below(100) < likely).cloned().collect()
}

/// Half of the writes whole; of the others the first sectors, the last, or any.
fn torn(write: Write, chance: &mut Chance) -> Vec<Write> {
    let sectors = write.bytes.len().div_ceil(SECTOR);
    let edge = chance.below(sectors + 1);
    let kept: Vec<bool> = match chance.below(6) {
        0 => (0..sectors).map(|sector| sector < edge).collect(),
        1 => (0..sectors).map(|sector| sector >= edge).collect(),
        2 => (0..sectors).map(|_| chance.below(2) == 0).collect(),
        _ => return vec![write],
    };
    let sectors = write.bytes.chunks(SECTOR).enumerate().filter(|(number, _)| kept[*number]);
    sectors
        .map(|(number, bytes)| Write { offset: write.offset + (number * SECTOR) as u64, bytes: bytes.into() })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::image::Image;
    use super::*;

    /// A drive with 8 flushed sectors of ones, and over them writes of two sectors each of 2, 3, 4 and 5; then 6 over
    /// the first two again.
    fn drive() -> Image {
        let mut image = Image::new(4096);
        image.write(0, &[1; 4096]);
        assert!(image.flush());
        for (number, offset) in [(2, 0), (3, 1024), (4, 2048), (5, 3072), (6, 0)] {
            image.write(offset, &[number; 1024]);
        }
        image
    }

    /// The values of the 8 sectors after each of many cuts.
    fn outcomes(mode: Mode) -> BTreeSet<Vec<u8>> {
        let drive = drive();
        let sectors = |seed| {
            let bytes = drive.cut(Cut { mode, seed }).read(0, 4096);
            bytes
                .chunks(SECTOR)
                .map(|sector| {
                    assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn");
                    sector[0]
                })
                .collect()
        };
        (0..3000).map(sectors).collect()
    }

    #[test]
    fn dropping_leaves_what_was_flushed() {
        assert_eq!(outcomes(Mode::Drop), BTreeSet::from([vec![1; 8]]));
    }

    #[test]
    fn a_subset_holds_whole_writes_in_order() {
        let outcomes = outcomes(Mode::Subset);
        assert_eq!(outcomes.len(), 3 * 8, "1, 2 or 6 in front, and each of three others or not");
        assert!(outcomes.iter().all(|o| o.chunks(2).all(|pair| pair[0] == pair[1])));
    }

    #[test]
    fn torn_writes_leave_parts_of_themselves() {
        let outcomes = outcomes(Mode::Torn);
        assert!(outcomes.iter().any(|o| o.chunks(2).any(|pair| pair[0] != pair[1])));
        assert!(outcomes.contains([6, 6, 3, 3, 4, 4, 5, 5].as_slice()), "all of it, too");
        assert!(outcomes.contains(vec![1; 8].as_slice()), "nothing of it, too");
    }

    #[test]
    fn reordering_lets_an_older_write_win() {
        let outcomes = outcomes(Mode::Reordered);
        assert!(outcomes.contains([2, 2, 3, 3, 4, 4, 5, 5].as_slice()), "all written, 2 above 6");
        assert!(outcomes.contains([6, 6, 3, 3, 4, 4, 5, 5].as_slice()));
    }

    #[test]
    fn a_seed_always_gives_the_same() {
        let drive = drive();
        for mode in Mode::ALL {
            let cut = Cut { mode, seed: 77 };
            assert_eq!(drive.cut(cut).read(0, 4096), drive.cut(cut).read(0, 4096));
        }
    }
}
