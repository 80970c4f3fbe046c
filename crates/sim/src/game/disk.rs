//! What is done with the disk, and what the disk does: it fails, runs full, or is slow.

use leveret_storage::StorageError;

use super::{Life, Stop, Table};
use crate::Violation;
use crate::world::World;

/// What is wrong with the disk during a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// One call will fail, and with it the process ends.
    Failing,
    /// It runs full, and is freed again.
    Tight,
    /// Writes and syncs take long.
    Slow,
    /// Reads fail now and then, each time of one queue.
    Unreadable,
}

/// A slow disk does so many times fewer writes.
const SLOWER: u64 = 12;

/// The most that is left of a disk that runs full, in bytes: so much that some of it is met by every kind of file.
const ROOM_LEFT: u64 = 400_000;

impl Table {
    /// What will be wrong with the disk during this life.
    pub(super) fn plan_trouble(&mut self, life: &mut Life) {
        life.trouble = match self.fate.below(12) {
            0 | 1 => Trouble::Failing,
            2 | 3 => Trouble::Tight,
            4 => Trouble::Slow,
            5 => Trouble::Unreadable,
            _ => Trouble::None,
        };
        if life.trouble == Trouble::Failing {
            let disk = life.world.disk();
            let after = self.fate.below(60);
            match self.fate.below(3) {
                0 => disk.fail_sync(after),
                1 => disk.fail_write(after),
                _ => disk.power_off(after),
            }
        }
    }

    /// Runs something that touches the disk. A failure that was planned ends the life; another is a violation. Whether
    /// there was room.
    pub(super) fn disk(
        &mut self,
        life: &mut Life,
        run: impl FnOnce(&mut World) -> Result<(), StorageError>,
    ) -> Result<bool, Stop> {
        match run(&mut life.world) {
            Ok(()) => Ok(true),
            Err(error) if error.is_full() && life.trouble == Trouble::Tight => {
                self.coverage.note("disk full");
                Ok(false)
            }
            Err(_) if life.trouble == Trouble::Failing => {
                self.coverage.note("disk failure");
                Err(Stop::Disk)
            }
            Err(error) => Err(Violation::new(format!("the disk did not fail, but: {error}")).into()),
        }
    }

    /// The disk is too slow to do it now.
    fn is_waiting(&mut self, life: &Life) -> bool {
        let is_waiting = life.trouble == Trouble::Slow && !self.schedule.one_in(SLOWER);
        self.coverage.add("slow disk", is_waiting.into());
        is_waiting
    }

    /// The log's writer writes and syncs what it took, after the checkpoint that it waits for.
    pub(super) fn write(&mut self, life: &mut Life) -> Result<(), Stop> {
        if self.is_waiting(life) {
            return Ok(());
        }
        if life.world.is_held() && self.disk(life, |world| world.checkpoint().map(drop))? {
            return Ok(());
        }
        let written = self.disk(life, World::write);
        if let Err(Stop::Disk) = written {
            self.check_stopped(life)?;
        }
        self.tell_full(life, (!written?, life.full.1));
        Ok(())
    }

    /// The spill's writer does all its work.
    pub(super) fn spill(&mut self, life: &mut Life) -> Result<(), Stop> {
        if self.is_waiting(life) {
            return Ok(());
        }
        if self.schedule.one_in(3) {
            let checkpoint = self.schedule.one_in(6);
            self.disk(life, |world| world.tidy_spill(checkpoint))?;
        }
        let is_written = self.disk(life, World::spill)?;
        self.tell_full(life, (life.full.0, !is_written));
        Ok(())
    }

    /// Publishers are let in when neither log finds the disk full.
    fn tell_full(&mut self, life: &mut Life, full: (bool, bool)) {
        life.full = full;
        life.world.broker.set_log_full(full.0 || full.1);
    }

    /// After a failure nothing is written any more, and nothing is confirmed that was not written before.
    fn check_stopped(&mut self, life: &mut Life) -> Result<(), Violation> {
        if life.world.write().is_ok() {
            return Err(Violation::new("the log went on after its disk had failed".to_owned()));
        }
        life.world.publish();
        self.read_all(life)?;
        Ok(())
    }

    /// A checkpoint, where one is due, and sometimes where none is.
    pub(super) fn checkpoint(&mut self, life: &mut Life) -> Result<(), Stop> {
        if !life.world.broker.store.log().checkpoint_is_due() && !self.schedule.one_in(6) {
            return Ok(());
        }
        self.disk(life, |world| world.checkpoint().map(drop))?;
        Ok(())
    }

    /// A step of merging, compacting and freeing; now and then in a moment that is idle.
    pub(super) fn tidy(&mut self, life: &mut Life) -> Result<(), Stop> {
        let is_short = life.full.0 || life.full.1;
        let is_idle = self.schedule.one_in(4);
        let is_done = self.disk(life, |world| world.tidy(is_short, is_idle).map(drop))?;
        if !is_done {
            self.disk(life, |world| world.spend_reserve())?;
        }
        Ok(())
    }

    /// Somebody else fills the disk, or frees it.
    pub(super) fn room_changes(&mut self, life: &mut Life) -> Result<(), Stop> {
        if life.trouble != Trouble::Tight {
            return Ok(());
        }
        let disk = life.world.disk();
        let left = self.schedule.below(ROOM_LEFT);
        disk.set_capacity((!self.schedule.one_in(3)).then(|| disk.used() + left));
        Ok(())
    }

    /// There is room again: the logs go on.
    pub(super) fn free_disk(&mut self, life: &mut Life) -> Result<(), Stop> {
        life.world.disk().set_capacity(None);
        if life.full.0 {
            self.disk(life, World::sync)?;
        }
        if life.full.1 {
            self.disk(life, World::spill)?;
        }
        self.tell_full(life, (false, false));
        Ok(())
    }

    /// Once nothing is to be tidied any more, slots and free slots take no more than 16 slots and twice what lives.
    pub(super) fn check_room(&mut self, life: &Life) -> Result<(), Violation> {
        let room = life.world.broker.store.log().room();
        let live = self.ledger.live_bytes();
        let taken = room.used_bytes + room.free_bytes;
        let most = 16 * room.slot_bytes + 2 * live;
        if taken > most {
            return Err(Violation::new(format!(
                "slots take {taken} bytes, {} of them free, and {live} live: at most {most}",
                room.free_bytes
            )));
        }
        Ok(())
    }
}
