//! Outstanding deliveries of one channel by delivery tag.

use std::collections::VecDeque;

use super::OriginId;
use crate::ids::{DeliveryTag, QueueSeq};

#[derive(Debug)]
struct Delivery {
    tag: u64,
    seq: QueueSeq,
    /// None once it is settled out of turn.
    origin: Option<OriginId>,
}

/// A deque in tag order. What is settled out of turn leaves a hole; holes are closed once they are the larger
/// part, so memory stays within twice what is outstanding.
#[derive(Debug, Default)]
pub(super) struct Unacked {
    all: VecDeque<Delivery>,
    live: usize,
}

impl Unacked {
    pub(super) fn push(&mut self, tag: DeliveryTag, origin: OriginId, seq: QueueSeq) {
        self.all.push_back(Delivery { tag: tag.0, seq, origin: Some(origin) });
        self.live += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    pub(super) fn newest(&self) -> Option<DeliveryTag> {
        self.all.iter().rev().find(|d| d.origin.is_some()).map(|d| DeliveryTag(d.tag))
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = DeliveryTag> {
        self.all.iter().filter(|d| d.origin.is_some()).map(|d| DeliveryTag(d.tag))
    }

    pub(super) fn contains(&self, tag: DeliveryTag) -> bool {
        self.index_of(tag).is_some_and(|at| self.all.get(at).is_some_and(|d| d.origin.is_some()))
    }

    pub(super) fn remove(&mut self, tag: DeliveryTag) -> Option<(OriginId, QueueSeq)> {
        let at = self.index_of(tag)?;
        let delivery = self.all.get_mut(at)?;
        let found = (delivery.origin.take()?, delivery.seq);
        self.live -= 1;
        while self.all.front().is_some_and(|d| d.origin.is_none()) {
            self.all.pop_front();
        }
        if self.all.len() > 64 && self.live < self.all.len() / 2 {
            self.all.retain(|d| d.origin.is_some());
        }
        Some(found)
    }

    /// Takes the first outstanding delivery unless it lies beyond `until`.
    pub(super) fn pop_until(&mut self, until: DeliveryTag) -> Option<(OriginId, QueueSeq)> {
        loop {
            if self.all.front()?.tag > until.0 {
                return None;
            }
            let delivery = self.all.pop_front()?;
            if let Some(origin) = delivery.origin {
                self.live -= 1;
                return Some((origin, delivery.seq));
            }
        }
    }

    fn index_of(&self, tag: DeliveryTag) -> Option<usize> {
        let front = self.all.front()?.tag;
        let guess = usize::try_from(tag.0.checked_sub(front)?).ok()?;
        if self.all.get(guess).is_some_and(|d| d.tag == tag.0) {
            return Some(guess);
        }
        self.all.binary_search_by_key(&tag.0, |d| d.tag).ok()
    }
}
