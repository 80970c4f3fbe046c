//! How lives end, and how the next one begins.

use leveret_core::BrokerError;
use leveret_engine::Registry;
use leveret_protocol::constants::reply_code;
use leveret_storage::{CrashKeeps, Durability};

use super::disk::Trouble;
use super::{Life, Table};
use crate::Violation;
use crate::world::{Machine, StartError, World};

impl Table {
    /// A life ends, one way or the other.
    pub(super) fn end(&mut self, life: Life) -> Result<Machine, Violation> {
        if self.stops_left > 0 && self.fate.one_in(3) && life.trouble != Trouble::Failing {
            self.stops_left -= 1;
            self.stop(life)
        } else {
            Ok(self.crash(life))
        }
    }

    /// The power goes, or the process dies.
    pub(super) fn crash(&mut self, life: Life) -> Machine {
        self.step += 1;
        for client in &life.clients {
            self.forget(&life.world, client);
        }
        let keeps = self.keeps();
        if life.world.disk().has_lost_writes() {
            self.os_forgot();
        }
        life.clients.into_iter().for_each(crate::client::Client::lose);
        self.coverage.note("crash");
        self.note_life(&life.world);
        life.world.crash(keeps)
    }

    /// What was done in a life.
    fn note_life(&mut self, world: &World) {
        let (log, spill) = world.store_statistics();
        self.coverage.add("blob", world.log_statistics().blobs);
        self.coverage.add("checkpoint", log.checkpoints);
        self.coverage.add("merge", log.merges);
        self.coverage.add("compaction", log.compactions);
        self.coverage.add("slot reused", log.slots_reused);
        self.coverage.add("spill checkpoint", spill.checkpoints);
        self.coverage.add("spill slot reused", spill.slots_reused);
    }

    fn keeps(&mut self) -> CrashKeeps {
        match self.fate.below(5) {
            0 => CrashKeeps::Everything,
            1 => {
                self.power_cut();
                CrashKeeps::Nothing
            }
            _ => {
                self.power_cut();
                CrashKeeps::Some(self.fate.any())
            }
        }
    }

    /// Without syncs, what was promised holds while the machine lives.
    fn power_cut(&mut self) {
        self.coverage.note("power cut");
        self.os_forgot();
    }

    /// What only the operating system had may be gone: the machine is, or the drive refused to sync it.
    fn os_forgot(&mut self) {
        if self.durability == Durability::Os {
            self.ledger.machine_lost_power();
        }
    }

    /// A clean stop. What clients were sent is read before, so that it is known exactly.
    fn stop(&mut self, mut life: Life) -> Result<Machine, Violation> {
        self.step += 1;
        if let Err(super::Stop::Violation(violation)) = self.rest(&mut life) {
            return Err(violation);
        }
        self.is_stopping = true;
        for connection in life.world.broker.connections.values() {
            connection.outbox.close(BrokerError::new(reply_code::CONNECTION_FORCED, "shutdown"));
        }
        // What one client gives back may go to another that was not told yet.
        if let Err(super::Stop::Violation(violation)) = self.quiesce(&mut life) {
            return Err(violation);
        }
        self.is_stopping = false;
        for client in &life.clients {
            self.forget(&life.world, client);
        }
        life.clients.into_iter().for_each(crate::client::Client::lose);
        let end = life.world.position();
        self.coverage.note("clean stop");
        self.note_life(&life.world);
        let machine =
            life.world.stop().map_err(|error| Violation::new(format!("a clean stop failed: {error}")))?;
        self.ledger.promised(end);
        Ok(machine)
    }

    /// The next start: maybe cut short once or twice, then looked at, then begun.
    pub(super) fn recover(&mut self, mut machine: Machine) -> Result<World, Violation> {
        machine.clock.restart();
        machine.clock.step(self.fate.below(3_000));
        self.harm_checkpoint(&machine);
        while self.fate.one_in(3) {
            machine = self.cut_recovery(machine)?;
        }
        let bytes = self.hot_window();
        let terms = self.terms(bytes);
        let copy = machine.copy();
        let recovery = self.look(copy)?;
        self.ledger.recovered(&recovery)?;
        let world = World::start(machine, terms).map_err(|error| refused(&error))?;
        if world.recovered_end != recovery.end {
            return Err(Violation::new(format!(
                "two recoveries of one disk end at {} and at {}",
                recovery.end, world.recovered_end
            )));
        }
        Ok(world)
    }

    /// Bytes of messages that may be in memory: all, or so few that most are cold.
    fn hot_window(&mut self) -> u64 {
        match self.fate.below(4) {
            0 => u64::MAX,
            1 => self.fate.below(4 * 1024),
            _ => self.fate.between(4 * 1024, 256 * 1024),
        }
    }

    /// The definitions' checkpoint may be damaged or gone: the log has them.
    fn harm_checkpoint(&mut self, machine: &Machine) {
        match self.fate.below(8) {
            0 => machine.checkpoint.damage(),
            1 => machine.checkpoint.lose(),
            _ => {}
        }
    }

    /// The power goes during recovery, or just after it; or the disk is too full for it.
    fn cut_recovery(&mut self, machine: Machine) -> Result<Machine, Violation> {
        let is_full = self.fate.one_in(3);
        if is_full {
            machine.disk.set_capacity(Some(machine.disk.used() + self.fate.below(150_000)));
        } else {
            machine.disk.power_off(self.fate.below(16));
        }
        match World::start(machine.clone(), self.terms(u64::MAX)) {
            Ok(world) => drop(world),
            Err(error) if is_full && error.is_full() => self.coverage.note("start on a full disk"),
            Err(error) if !is_full && error.is_of_disk() => self.coverage.note("recovery cut"),
            Err(error) => return Err(refused(&error)),
        }
        let disk = machine.disk.crash(self.keeps());
        Ok(Machine { disk, ..machine })
    }
}

/// Nothing on the disk was damaged, so no start may be refused.
pub(super) fn refused(error: &StartError) -> Violation {
    Violation::new(format!("a start was refused: {error}"))
}
