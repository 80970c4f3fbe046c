//! Changes of definitions: first a record of the log, then the checkpoint's business.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use leveret_core::access::InvalidPattern;
use leveret_core::definition::{Change, Definition};
use leveret_core::ids::QueueId;
use leveret_core::vhost as rules;
use leveret_storage::{Position, SettleReason};

use super::Broker;
use crate::queue::QueueRef;
use crate::seams::{Log, Registry, Seams, Shared, SharedRw};
use crate::vhost::Vhost;

/// A change on its way to the definitions' checkpoint, in log order.
#[derive(Debug)]
pub struct DefinitionRecord {
    /// Its place in the log; the checkpoint takes it once that is synced.
    pub position: Position,
    /// Its number.
    pub revision: u64,
    /// Keys and values, opaque to storage.
    pub changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl<S: Seams> Broker<S> {
    /// Logs changes as one record. Called under the lock of what changed, so that the log's order is theirs.
    /// Without a change, what is there already may still wait for its sync: the position of the last change.
    pub(super) fn log_changes(&self, changes: &[Change]) -> Position {
        if changes.is_empty() {
            return Position(self.last_definition.load(Ordering::Acquire));
        }
        let changes: Vec<_> = changes.iter().map(Change::encode).collect();
        self.log.append(|gather| {
            let revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
            let position = gather.definition(revision, &changes);
            self.last_definition.store(position.0, Ordering::Release);
            self.feed.with(|feed| feed.push(DefinitionRecord { position, revision, changes }));
            position
        })
    }

    /// Settles all messages of a queue that is gone, whatever id and name come after it.
    pub(super) fn log_queue_gone(&self, queue: &QueueRef<S>) -> Position {
        if !queue.durable {
            return Position(0);
        }
        self.log_messages_gone(queue.id)
    }

    /// Settles all messages that the log has of a queue.
    pub(super) fn log_messages_gone(&self, id: QueueId) -> Position {
        self.log.append(|gather| gather.settle(id.0, &[(0, u64::MAX)], SettleReason::QueueDeleted))
    }

    /// What the definitions' checkpoint has not taken yet, up to a synced position.
    pub fn take_definition_records(&self, synced: Position) -> Vec<DefinitionRecord> {
        self.feed.with(|feed| {
            let until = feed.partition_point(|record| record.position <= synced);
            feed.drain(..until).collect()
        })
    }

    /// Makes the first vhost, user and permission of a new store. Returns the position that makes them durable.
    ///
    /// # Errors
    /// A permission whose pattern does not compile.
    pub fn create_defaults(&self, definitions: &[Definition]) -> Result<Position, InvalidPattern> {
        for definition in definitions {
            match definition {
                Definition::Vhost(definition) => {
                    let vhost = Arc::new(Vhost::new(rules::Vhost::new(definition.clone())));
                    self.vhosts.insert(vhost.name.clone(), vhost);
                }
                other => self.access.write(|access| access.restore(other))?,
            }
        }
        self.access_version.fetch_add(1, Ordering::AcqRel);
        let changes: Vec<Change> = definitions.iter().cloned().map(Change::Put).collect();
        Ok(self.log_changes(&changes))
    }
}
