//! When a change is answered: each once the disk has it, or many together.

use std::cell::Cell;
use std::time::Duration;

use leveret_core::BrokerError;
use leveret_core::admin::{Admin, AdminError};
use leveret_storage::Position;

use super::BrokerAdmin;

thread_local! {
    /// The last position of the changes that this thread makes together; none while each waits for itself.
    static TOGETHER: Cell<Option<Position>> = const { Cell::new(None) };
}

/// Ends the time of changes that do not wait, also when they panic.
struct Until(Option<Position>);

impl Drop for Until {
    fn drop(&mut self) {
        TOGETHER.set(self.0);
    }
}

impl BrokerAdmin {
    /// Holds an answer until the log is synced; callers are on threads that may wait for the disk. Among changes
    /// that are made together it only remembers the position.
    ///
    /// # Errors
    /// [`AdminError::Stopping`]: the log ended before.
    pub(super) fn wait_for(&self, position: Position) -> Result<(), AdminError> {
        if let Some(last) = TOGETHER.get() {
            TOGETHER.set(Some(last.max(position)));
            return Ok(());
        }
        if self.broker.log.wait_until_synced(position) { Ok(()) } else { Err(AdminError::Stopping) }
    }

    /// Asks until what is asked for has come into memory; callers are on threads that may wait for the disk.
    ///
    /// # Errors
    /// What the broker refuses; [`AdminError::Stopping`].
    pub(super) fn once_in_memory<R>(
        &self,
        mut ask: impl FnMut() -> Result<Option<R>, BrokerError>,
    ) -> Result<R, AdminError> {
        loop {
            if let Some(answer) = ask().map_err(AdminError::Refused)? {
                return Ok(answer);
            }
            if self.broker.log.is_stopped() {
                return Err(AdminError::Stopping);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes changes that wait for the disk once, at their end.
    ///
    /// # Errors
    /// As [`BrokerAdmin::wait_for`].
    pub(super) fn make_together(&self, changes: &mut dyn FnMut(&dyn Admin)) -> Result<(), AdminError> {
        let last = {
            let _until = Until(TOGETHER.replace(Some(Position(0))));
            changes(self);
            TOGETHER.get()
        };
        self.wait_for(last.unwrap_or(Position(0)))
    }
}
