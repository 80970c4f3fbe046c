//! What the driver saw, in the order in which it saw it. A power cut is two places in that order: the last event
//! before the drive was copied, and the last one that can have had an effect on the copy.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard},
};

use leveret_tests::ledger::MessageId;

/// One thing that the driver did or saw.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// A message is about to be sent.
    Published(MessageId),
    /// Its confirm, or its transaction's commit-ok, was read.
    Confirmed(MessageId),
    /// It was read from a queue.
    Delivered(usize, MessageId),
    /// Its ack is about to be sent.
    Acked(usize, MessageId),
    /// Its reject without requeue is about to be sent.
    Rejected(MessageId),
}

/// All events of one run.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<Vec<Event>>);

impl Events {
    pub(super) fn note(&self, events: impl IntoIterator<Item = Event>) {
        self.lock().extend(events);
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().expect("no other thread panicked")
    }

    /// What a drive copied between these two counts must and may hold.
    pub(super) fn facts(&self, before: usize, after: usize) -> Facts {
        let mut facts = Facts::default();
        for (place, event) in self.lock().iter().take(after).enumerate() {
            let surely = place < before;
            match *event {
                Event::Published(id) => drop(facts.published.insert(id)),
                Event::Confirmed(id) if surely => drop(facts.confirmed.insert(id)),
                Event::Delivered(queue, id) if surely => drop(facts.delivered.insert((queue, id))),
                Event::Acked(queue, id) => drop(facts.acked.insert((queue, id))),
                Event::Rejected(id) => drop(facts.rejected.insert(id)),
                Event::Confirmed(_) | Event::Delivered(..) => {}
            }
        }
        facts
    }
}

/// What is known of a copied drive.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Must be there.
    pub(super) confirmed: HashSet<MessageId>,
    /// Must come back flagged, where it comes back.
    pub(super) delivered: HashSet<(usize, MessageId)>,
    /// May be there; nothing else may.
    pub(super) published: HashSet<MessageId>,
    /// May be gone.
    pub(super) acked: HashSet<(usize, MessageId)>,
    /// May have moved to the dead-letter queue.
    pub(super) rejected: HashSet<MessageId>,
}
