//! Runs: immutable sorted indexes of live messages, from (queue, order key, number) to the place of the
//! payload.
//!
//! Owns the words of an entry. A run knows nothing of settlements: an entry lives while its run is listed
//! in the manifest, the slot or blob that it names is listed too, and its number is not among its queue's
//! settled ones.

mod merge;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use merge::RunMerge;
pub(crate) use reader::{Run, RunCursor};
pub(crate) use writer::RunWriter;

use crate::record::MessageFlags;

/// The order of messages on disk: by queue, within it by order key, within that by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct RunKey {
    pub(crate) queue: u64,
    /// 0 in a plain queue; the inverted priority or the due time in others.
    pub(crate) order_key: u64,
    /// The message's number in its queue.
    pub(crate) seq: u64,
}

/// Where a payload lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct BodyAt {
    /// The slot's incarnation, or 0 for a blob.
    pub(crate) incarnation: u64,
    /// The byte in the slot at which the payload starts, or the blob's number.
    pub(crate) offset: u64,
    /// Bytes of the payload: what is kept beside the body, and the body.
    pub(crate) len: u32,
    /// The payload's checksum.
    pub(crate) crc: u32,
    /// Bytes of the body alone.
    pub(crate) body_len: u32,
}

impl BodyAt {
    /// Whether it is a file of its own.
    pub(crate) fn is_blob(&self) -> bool {
        self.incarnation == 0
    }
}

/// A live message as a run knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunEntry {
    pub(crate) key: RunKey,
    pub(crate) at: BodyAt,
    /// As of when the run was written.
    pub(crate) flags: MessageFlags,
    /// When it expires, in milliseconds since 1970, or 0.
    pub(crate) deadline_ms: u64,
    /// As of when the run was written.
    pub(crate) delivery_count: u32,
    /// How many messages had this payload in common when the run was written; 1 for most.
    pub(crate) shared: u32,
}
