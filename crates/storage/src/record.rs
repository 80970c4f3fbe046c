//! What the log says: kinds of records, the ids they carry, and what a caller hands in.
//!
//! Owns the words, not their bytes (`format`) and not what they do (`recovery`).

use bytes::Bytes;

/// The place of a record in the order of the whole log.
///
/// Strictly rising with every record ever appended, over restarts too. A record is durable when the
/// log's synced position is not below its own. Position 0 comes before every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// A body already in the log, for [`Gather::entry`](crate::Gather::entry). It stays valid while the
/// process lives, whether the body is still in memory or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyRef(pub(crate) u64);

/// A group of records that count at recovery together or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId(pub(crate) u64);

/// Eight bits that travel with a message. Storage reads only [`MessageFlags::SEEN`]; the others are the
/// caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageFlags(u8);

impl MessageFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The message may leave for a consumer without an `Expose` first: after a crash it counts as delivered.
    pub const SEEN: Self = Self(1);

    /// Flags from their bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Why messages left a queue. Replay treats all alike but `QueueDeleted`, which forgets the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SettleReason {
    /// Acknowledged, or delivered without acknowledgements.
    Acknowledged = 1,
    /// Rejected or nacked without requeue.
    Rejected = 2,
    /// Its time to live ran out.
    Expired = 3,
    /// Dropped at the length limit.
    Overflow = 4,
    /// Delivered too often.
    DeliveryLimit = 5,
    /// The queue was purged.
    Purged = 6,
    /// The queue was deleted: settle all of it with the range `(0, u64::MAX)`.
    QueueDeleted = 7,
    /// Moved elsewhere, as by a dead-letter exchange.
    Moved = 8,
}

/// A message's bytes as the caller has them: first the parts, which are copied, then the segments, which
/// are kept by reference and written from where they lie (short ones are copied too).
#[derive(Debug, Clone, Copy, Default)]
pub struct Payload<'a> {
    /// Small pieces: properties, small bodies.
    pub parts: &'a [&'a [u8]],
    /// Large pieces.
    pub segments: &'a [Bytes],
    /// How many of its bytes, at its end, are the message's body: what queues count. Storage only keeps it.
    pub body_len: u32,
}

impl<'a> Payload<'a> {
    /// A payload of copied parts only, none of them the body.
    #[must_use]
    pub const fn parts(parts: &'a [&'a [u8]]) -> Self {
        Self { parts, segments: &[], body_len: 0 }
    }

    /// The same with a body of this length at its end.
    #[must_use]
    pub const fn with_body(self, body_len: u32) -> Self {
        Self { body_len, ..self }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| part.len()).sum();
        self.segments.iter().map(Bytes::len).sum::<usize>() + parts
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is optional in a record; 0 is absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extras {
    pub(crate) group: u64,
    pub(crate) order_key: u64,
    pub(crate) deadline_ms: u64,
    /// The number of the file that holds the payload.
    pub(crate) blob: u64,
}

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Message = 1,
    Body = 2,
    Entry = 3,
    Settle = 4,
    Expose = 5,
    Return = 6,
    Definition = 7,
    GroupBegin = 8,
    GroupCommit = 9,
    /// Reserved for a replicated log.
    Vote = 32,
    /// Reserved for a replicated log.
    Truncate = 33,
}

impl Kind {
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Message,
            2 => Self::Body,
            3 => Self::Entry,
            4 => Self::Settle,
            5 => Self::Expose,
            6 => Self::Return,
            7 => Self::Definition,
            8 => Self::GroupBegin,
            9 => Self::GroupCommit,
            32 => Self::Vote,
            33 => Self::Truncate,
            _ => return None,
        })
    }
}
