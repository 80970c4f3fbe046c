//! The destinations behind one binding key: each once, with the number of bindings that lead there.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::binding::Destination;

/// From this many destinations on an index finds them; below, a scan of one or two cache lines does.
const INDEX_FROM: usize = 16;

/// A set with counts whose members lie in one slice; adding and removing cost O(1).
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    members: Vec<Destination>,
    /// How many bindings lead to the member of the same place.
    bindings: Vec<u32>,
    /// Boxed: most sets have none, and there is a set for each key of a large exchange.
    #[expect(clippy::box_collection, reason = "saves 32 bytes in each set")]
    index: Option<Box<HashMap<Destination, usize, RandomState>>>,
}

impl Destinations {
    /// The members, in no promised order.
    pub(crate) fn as_slice(&self) -> &[Destination] {
        &self.members
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Counts one more binding to `destination`.
    pub(crate) fn add(&mut self, destination: Destination) {
        if let Some(place) = self.place(destination) {
            if let Some(bindings) = self.bindings.get_mut(place) {
                *bindings = bindings.saturating_add(1);
            }
            return;
        }
        let place = self.members.len();
        self.members.push(destination);
        self.bindings.push(1);
        match &mut self.index {
            Some(index) => {
                index.insert(destination, place);
            }
            None if place >= INDEX_FROM => {
                let index = self.members.iter().enumerate().map(|(place, member)| (*member, place)).collect();
                self.index = Some(Box::new(index));
            }
            None => {}
        }
    }

    /// Counts one binding less to `destination`, which leaves with its last one.
    pub(crate) fn remove(&mut self, destination: Destination) {
        let Some(place) = self.place(destination) else { return };
        let Some(bindings) = self.bindings.get_mut(place) else { return };
        *bindings = bindings.saturating_sub(1);
        if *bindings > 0 {
            return;
        }
        self.members.swap_remove(place);
        self.bindings.swap_remove(place);
        if let Some(index) = &mut self.index {
            index.remove(&destination);
            if let Some(moved) = self.members.get(place) {
                index.insert(*moved, place);
            }
            if self.members.len() < INDEX_FROM / 2 {
                self.index = None;
            }
        }
    }

    fn place(&self, destination: Destination) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&destination).copied(),
            None => self.members.iter().position(|member| *member == destination),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::binding::QueueKey;

    proptest! {
        #[test]
        fn behaves_as_a_counting_map(steps in proptest::collection::vec((any::<bool>(), 0_u64..48), 0..400)) {
            let mut set = Destinations::default();
            let mut model: BTreeMap<Destination, u32> = BTreeMap::new();
            for (add, number) in steps {
                let destination = Destination::Queue(QueueKey(number));
                if add {
                    set.add(destination);
                    *model.entry(destination).or_default() += 1;
                } else {
                    set.remove(destination);
                    if let Some(count) = model.get_mut(&destination) {
                        *count -= 1;
                        if *count == 0 {
                            model.remove(&destination);
                        }
                    }
                }
                let mut members = set.as_slice().to_vec();
                members.sort_unstable();
                prop_assert_eq!(members, model.keys().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
        }
    }
}
