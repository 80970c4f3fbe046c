//! The fanout exchange: every binding matches, whatever its key.

use crate::binding::Destination;
use crate::destinations::Destinations;
use crate::routes::Reached;

/// All destinations.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    destinations: Destinations,
}

impl Fanout {
    pub(crate) fn add(&mut self, destination: Destination) {
        self.destinations.add(destination);
    }

    pub(crate) fn remove(&mut self, destination: Destination) {
        self.destinations.remove(destination);
    }

    /// Adds all destinations; whether there are any.
    pub(crate) fn route(&self, reached: &mut Reached) -> bool {
        reached.add_distinct(self.destinations.as_slice());
        !self.destinations.is_empty()
    }
}
