//! Who hears of every durable batch.
//!
//! Owns the seam between the log's writer and what is derived from the log; keeps nothing itself.

use crate::error::StorageError;
use crate::format::{BatchHeader, Place};
use crate::record::Position;

/// A batch that is durable, as the index of the log gets it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), allow(dead_code, reason = "read by the index"))]
pub(crate) struct DurableBatch<'a> {
    /// Where it stands.
    pub(crate) at: Place,
    pub(crate) header: &'a BatchHeader,
    /// The checksum of its header, which the next batch repeats.
    pub(crate) header_crc: u32,
    /// Its records' heads; their checksum holds.
    pub(crate) meta: &'a [u8],
    /// The first position that a cut behind this batch must not pass: of a body that still gets entries or
    /// of a group that still gets records when the batch ends, or of the record after its last.
    pub(crate) floor: Position,
}

/// Takes every batch that has become durable, in log order.
///
/// The log's writer calls it after its sync and before anyone is told of the new synced position, for the
/// batch that a start repeats too; recovery calls it for the batches it reads.
pub(crate) trait BatchSink: std::fmt::Debug + Send {
    /// The next batch.
    ///
    /// # Errors
    /// What was read cannot be right. The writer is poisoned then.
    fn batch(&mut self, batch: DurableBatch<'_>) -> Result<(), StorageError>;
}

/// Hears and keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoSink;

impl BatchSink for NoSink {
    fn batch(&mut self, _: DurableBatch<'_>) -> Result<(), StorageError> {
        Ok(())
    }
}
