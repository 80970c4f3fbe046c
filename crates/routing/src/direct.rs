//! The direct exchange: the binding key equals the routing key.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::binding::Destination;
use crate::destinations::Destinations;
use crate::routes::Reached;

/// Destinations by binding key.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    keys: HashMap<Box<[u8]>, Destinations, RandomState>,
}

impl Direct {
    pub(crate) fn add(&mut self, key: &[u8], destination: Destination) {
        if let Some(destinations) = self.keys.get_mut(key) {
            destinations.add(destination);
        } else {
            let mut destinations = Destinations::default();
            destinations.add(destination);
            self.keys.insert(key.into(), destinations);
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8], destination: Destination) {
        let Some(destinations) = self.keys.get_mut(key) else { return };
        destinations.remove(destination);
        if destinations.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Adds what `routing_key` reaches; whether that is anything.
    pub(crate) fn route(&self, routing_key: &[u8], reached: &mut Reached) -> bool {
        match self.keys.get(routing_key) {
            Some(destinations) => {
                reached.add_distinct(destinations.as_slice());
                true
            }
            None => false,
        }
    }
}
