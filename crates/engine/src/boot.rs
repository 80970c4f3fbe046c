//! A start: definitions first, then contents, then service.

use std::collections::HashMap;
use std::sync::Arc;

use leveret_core::access::Access;
use leveret_core::definition::{Definition, restore};
use leveret_core::ids::QueueSeq;
use leveret_core::limits::SMALL_BODY_BYTES;
use leveret_core::message::{Body, Message, SharedBody};
use leveret_core::parameters::Parameters;
use leveret_core::queue::Keep;
use leveret_storage::{
    DataDir, DefinitionCheckpoint, Definitions, Disk, MessageFlags, Recovered, RecoveredMessage,
    RecoverySink, StorageError,
};

use crate::payload;
use crate::queue::QueueRef;
use crate::seams::Seams;
use crate::vhost::Vhost;

/// What a start found.
pub struct Booted<S: Seams> {
    /// The virtual hosts with their queues and messages.
    pub vhosts: Vec<Arc<Vhost<S>>>,
    /// Users and permissions.
    pub access: Access,
    /// Parameters and policies.
    pub parameters: Parameters,
    /// The number of the last change of definitions.
    pub revision: u64,
    /// The id of the next durable queue.
    pub next_queue: u64,
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
    /// A message of a queue is damaged.
    #[error("queue {queue} has a damaged message in {file} at {offset}: {reason}")]
    Damaged {
        /// The queue's id.
        queue: u64,
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

struct Sink<S: Seams> {
    access: Access,
    parameters: Parameters,
    vhosts: Vec<Arc<Vhost<S>>>,
    queues: HashMap<u64, QueueRef<S>>,
    problems: Vec<String>,
}

impl<S: Seams> RecoverySink for Sink<S> {
    fn definitions(&mut self, definitions: &Definitions) {
        let mut decoded = Vec::with_capacity(definitions.entries.len());
        for (key, value) in &definitions.entries {
            match Definition::decode(key, value) {
                Ok(definition) => decoded.push(definition),
                Err(error) => self.problems.push(error.to_string()),
            }
        }
        let restored = restore(std::mem::take(&mut self.access), &decoded);
        self.access = restored.access;
        self.parameters = restored.parameters;
        self.problems.extend(restored.problems);
        for vhost in restored.vhosts.into_values() {
            let vhost = Arc::new(Vhost::new(vhost));
            self.queues.extend(vhost.queues().into_iter().map(|queue| (queue.id.0, queue)));
            self.vhosts.push(vhost);
        }
    }

    fn message(&mut self, message: RecoveredMessage) {
        // A message of a queue that is no longer defined died with it.
        let Some(queue) = self.queues.get(&message.queue) else { return };
        let Some((parsed, body_at)) = payload::split(&message.payload) else {
            self.problems.push(format!("of queue {} has a message that cannot be read", message.queue));
            return;
        };
        let large;
        let mut body = parsed.body;
        if body.len() > SMALL_BODY_BYTES {
            large = SharedBody::from(message.payload.slice(body_at..));
            body = Body::Large(&large);
        }
        let restored = Message { body, ..parsed };
        let keep = Keep {
            logged: true,
            redelivered: message.flags.contains(MessageFlags::SEEN),
            annotated: message.flags.contains(payload::ANNOTATED),
            level: u8::try_from(message.order_key).unwrap_or(u8::MAX),
            deadline_ms: (message.deadline_ms != 0).then_some(message.deadline_ms),
            delivery_count: u32::try_from(message.delivery_count).unwrap_or(u32::MAX),
        };
        queue.with(|cell| cell.restore(QueueSeq(message.seq), &restored, keep));
    }
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
    let mut sink = Sink::<S> {
        access,
        parameters: Parameters::default(),
        vhosts: Vec::new(),
        queues: HashMap::new(),
        problems: Vec::new(),
    };
    let recovered = leveret_storage::recover(dir, checkpoint, &mut sink)?;
    if let Some(problem) = sink.problems.into_iter().next() {
        return Err(BootError::Definition(problem));
    }
    if let Some(damaged) = recovered.quarantined.first() {
        return Err(BootError::Damaged {
            queue: damaged.queue,
            file: damaged.file.display().to_string(),
            offset: damaged.offset,
            reason: damaged.reason.clone(),
        });
    }
    for (id, found) in &recovered.queues {
        if let Some(queue) = sink.queues.get(id) {
            queue.with(|cell| cell.reserve_until(QueueSeq(found.last_seq + 1)));
        }
    }
    let known = sink.queues.keys().copied().chain([recovered.last_queue]).max().unwrap_or_default();
    let booted = Booted {
        vhosts: sink.vhosts,
        access: sink.access,
        parameters: sink.parameters,
        revision: recovered.definitions.revision,
        // An id is never given again: those of queues that are gone are in the records of their deletion, which
        // the log keeps as long as it keeps its slots.
        next_queue: recovered.next_position.0.max(known + 1),
    };
    Ok((booted, recovered))
}

/// Whether a start found nothing and nothing ever was: the first vhost and user are to be made. Who deleted all of
/// them does not find them, and their well-known password, there again.
#[must_use]
pub fn is_first_start<S: Seams>(booted: &Booted<S>) -> bool {
    booted.revision == 0 && booted.vhosts.is_empty()
}
