//! A checkpoint of the definitions that survives its process: what sled is to the shipped broker. It may lose
//! everything between two lives, as sled may.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leveret_storage::{DefinitionChange, DefinitionCheckpoint, Definitions, Position, StorageError};

/// The checkpoint's contents, shared by all its lives.
#[derive(Clone, Debug, Default)]
pub struct SimCheckpoint(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    definitions: Option<Definitions>,
    is_damaged: bool,
}

impl SimCheckpoint {
    /// The next load finds that what is there cannot be verified.
    pub fn damage(&self) {
        self.state().is_damaged = true;
    }

    /// Everything is gone.
    pub fn lose(&self) {
        *self.state() = State::default();
    }

    /// A copy that goes its own way.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DefinitionCheckpoint for SimCheckpoint {
    fn load(&mut self) -> Result<Option<Definitions>, StorageError> {
        let state = self.state();
        if state.is_damaged {
            let why = "damaged on purpose".to_owned();
            return Err(StorageError::Checkpoint { folder: PathBuf::from("definitions"), why });
        }
        Ok(state.definitions.clone())
    }

    fn apply(
        &mut self,
        position: Position,
        revision: u64,
        changes: &[DefinitionChange],
    ) -> Result<(), StorageError> {
        self.state().definitions.get_or_insert_default().apply(position, revision, changes);
        Ok(())
    }

    fn reset(&mut self, definitions: &Definitions) -> Result<(), StorageError> {
        *self.state() = State { definitions: Some(definitions.clone()), is_damaged: false };
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}
