//! The manifest: which slots, runs and blobs are live, where the log's tail begins, and what each queue's
//! numbers came to below that cut.
//!
//! Owns the state, what changes it, and its file. Does not judge what the state means: recovery does.
//!
//! A file holds a base, the state as a whole, and the deltas appended since. A delta is durable as a whole or
//! was never written. When the deltas outweigh the base, a new file takes the state as its base: it is
//! durable before the old one goes, and no delta is appended to it before the old one is gone for good.

mod file;
mod state;

#[cfg(test)]
mod tests;

pub(crate) use file::{Manifest, ManifestFound};
pub(crate) use state::{BlobNote, Changed, Cut, Delta, LastIds, ManifestState, QueueNote, RunNote, SlotNote};
