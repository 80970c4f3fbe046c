//! Faults planted on purpose, in test builds only: the model must find each of them.

/// A fault of the queue machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plant {
    /// A message lives a millisecond too long.
    LateExpiry,
    /// A message taken out to be dead-lettered loses its bytes at once.
    WithdrawnLosesBytes,
    /// A returned message falls to the lowest priority.
    RequeueLosesPriority,
    /// The consumer that registered last follows the active one.
    LastComesNext,
    /// A message leaves before its Expose is durable.
    LeavesUnexposed,
    /// A message that goes behind cold ones goes before them.
    LateComesFirst,
    /// A load that a purge has overtaken brings messages back.
    LoadUndoesPurge,
}

/// Whether that fault is planted. Never outside tests, where this is gone when compiled.
#[cfg(not(test))]
pub(super) const fn is_planted(_: Plant) -> bool {
    false
}

#[cfg(test)]
pub(super) use testing::{is_planted, plant};

#[cfg(test)]
mod testing {
    use std::cell::Cell;

    use super::Plant;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// Whether that fault is planted in this thread.
    pub(in super::super) fn is_planted(plant: Plant) -> bool {
        PLANTED.get() == Some(plant)
    }

    /// Plants a fault in this thread, or takes it away.
    pub(in super::super) fn plant(plant: Option<Plant>) {
        PLANTED.set(plant);
    }
}
