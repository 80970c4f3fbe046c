//! A start: definitions first, then the counts of messages, then service. No message is read.

use std::collections::HashMap;
use std::sync::Arc;

use leveret_core::access::Access;
use leveret_core::definition::{Definition, restore};
use leveret_core::ids::{QueueId, QueueSeq};
use leveret_core::parameters::Parameters;
use leveret_core::queue::ColdCounts;
use leveret_storage::{
    DataDir, DefinitionCheckpoint, Definitions, Disk, Recovered, RecoveredQueue, StorageError, open_store,
};

use crate::cold::Damage;
use crate::queue::QueueRef;
use crate::seams::Seams;
use crate::vhost::Vhost;

/// What a start found.
pub struct Booted<S: Seams> {
    /// The virtual hosts with their queues, whose messages are all cold.
    pub vhosts: Vec<Arc<Vhost<S>>>,
    /// Users and permissions.
    pub access: Access,
    /// Parameters and policies.
    pub parameters: Parameters,
    /// The number of the last change of definitions.
    pub revision: u64,
    /// The id of the next durable queue.
    pub next_queue: u64,
    /// Queues that the log has messages of and whose definition is gone: the end of their deletion is missing.
    pub undefined: Vec<QueueId>,
}

/// Why a start was refused.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data folder cannot be read, or must not be.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A definition cannot be used. Starting without it could lose what hangs on it.
    #[error("definition {0}")]
    Definition(String),
}

/// Recovers a data folder. The caller opens the log's writer with `Recovered::tail` before anything else.
///
/// # Errors
/// [`BootError`]; nothing on disk was changed.
pub fn boot<S: Seams, D: Disk>(
    dir: &DataDir<D>,
    checkpoint: Option<&mut dyn DefinitionCheckpoint>,
    access: Access,
) -> Result<(Booted<S>, Recovered<D>), BootError> {
    let recovered = open_store(dir, checkpoint)?;
    let mut booted = define::<S>(&recovered.definitions, access)?;
    let queues: HashMap<u64, QueueRef<S>> =
        booted.vhosts.iter().flat_map(|vhost| vhost.queues()).map(|queue| (queue.id.0, queue)).collect();
    for (id, found) in &recovered.queues {
        match queues.get(id) {
            Some(queue) => queue.with(|cell| cell.restore(QueueSeq(found.last_seq), &lines(found))),
            // Messages of a queue that is no longer defined died with it.
            None => booted.undefined.push(QueueId(*id)),
        }
    }
    for damaged in &recovered.quarantined {
        if let Some(queue) = queues.get(&damaged.queue) {
            let (file, reason) = (damaged.file.clone(), damaged.reason.clone());
            queue.stop_for(Damage { file, offset: damaged.offset, reason });
        }
    }
    let known = queues.keys().copied().chain([recovered.last_queue]).max().unwrap_or_default();
    // An id is never given again: those of queues that are gone are in the records of their deletion, which the log
    // keeps as long as it keeps its slots.
    booted.next_queue = recovered.next_position.0.max(known + 1);
    Ok((booted, recovered))
}

fn define<S: Seams>(definitions: &Definitions, access: Access) -> Result<Booted<S>, BootError> {
    let mut decoded = Vec::with_capacity(definitions.entries.len());
    for (key, value) in &definitions.entries {
        let definition = Definition::decode(key, value);
        decoded.push(definition.map_err(|error| BootError::Definition(error.to_string()))?);
    }
    let restored = restore(access, &decoded);
    if let Some(problem) = restored.problems.into_iter().next() {
        return Err(BootError::Definition(problem));
    }
    Ok(Booted {
        vhosts: restored.vhosts.into_values().map(|vhost| Arc::new(Vhost::new(vhost))).collect(),
        access: restored.access,
        parameters: restored.parameters,
        revision: definitions.revision,
        next_queue: 0,
        undefined: Vec::new(),
    })
}

/// A queue's counts for each of its levels.
fn lines(found: &RecoveredQueue) -> Vec<(u8, ColdCounts)> {
    let line = |(order_key, counts): &(u64, leveret_storage::LineCount)| {
        let level = u8::try_from(*order_key).unwrap_or(u8::MAX);
        let (messages, body_bytes, timed) = (counts.messages, counts.body_bytes, counts.timed);
        (level, ColdCounts { messages, body_bytes, timed })
    };
    found.lines.iter().map(line).collect()
}

/// Whether a start found nothing and nothing ever was: the first vhost and user are to be made. Who deleted all of
/// them does not find them, and their well-known password, there again.
#[must_use]
pub fn is_first_start<S: Seams>(booted: &Booted<S>) -> bool {
    booted.revision == 0 && booted.vhosts.is_empty()
}
