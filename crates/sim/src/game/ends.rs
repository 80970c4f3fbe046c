//! How lives end, and how the next one begins.

use leveret_core::BrokerError;
use leveret_engine::Registry;
use leveret_protocol::constants::reply_code;
use leveret_storage::{CrashKeeps, Durability};

use super::{Life, Table};
use crate::Violation;
use crate::world::{Machine, StartError, World};

impl Table {
    /// The disk will fail during this life.
    pub(super) fn plan_failure(&mut self, life: &Life) {
        let disk = life.world.disk();
        let after = self.fate.below(60);
        match self.fate.below(3) {
            0 => disk.fail_sync(after),
            1 => disk.fail_write(after),
            _ => disk.power_off(after),
        }
    }

    /// A life ends, one way or the other.
    pub(super) fn end(&mut self, life: Life) -> Result<Machine, Violation> {
        if self.fate.one_in(4) && !life.is_failing { self.stop(life) } else { Ok(self.crash(life)) }
    }

    /// The power goes, or the process dies.
    pub(super) fn crash(&mut self, life: Life) -> Machine {
        self.step += 1;
        for client in &life.clients {
            self.forget(&life.world, client);
        }
        let keeps = self.keeps();
        life.clients.into_iter().for_each(crate::client::Client::lose);
        self.coverage.note("crash");
        self.coverage.add("blob", life.world.log_statistics().blobs);
        life.world.crash(keeps)
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

    /// The power goes during recovery, or just after it.
    fn cut_recovery(&mut self, machine: Machine) -> Result<Machine, Violation> {
        machine.disk.power_off(self.fate.below(16));
        match World::start(machine.clone(), self.terms(u64::MAX)) {
            Ok(world) => drop(world),
            Err(error) if error.is_of_disk() => self.coverage.note("recovery cut"),
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
