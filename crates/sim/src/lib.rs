//! The shipped engine, core and storage on a simulated disk and clock, from a seed.
//!
//! [`run`] plays one seed: several clients work on a broker in one thread, the log's writer, the clock and the disk do
//! what chance says, the power goes, and an oracle (`ledger`) checks what clients see and what every recovery finds
//! against what must be true. A seed always plays the same game, so a violation is replayed by its seed.
//!
//! This crate owns the simulated world, the workload and the oracle. It does not look into the broker: it speaks AMQP
//! to its sessions, and learns from recovery where the log ends.
//!
//! ```
//! let game = leveret_sim::Game { operations: 60, ..leveret_sim::Game::new(1) };
//! let coverage = leveret_sim::run(&game).expect("no violation");
//! assert!(coverage.count("operation") >= 60);
//! ```
#![allow(clippy::expect_used, reason = "the simulator ends a seed where what it stands on is missing")]

pub mod chance;
pub mod client;
pub mod clock;
pub mod cold;
mod coverage;
pub mod definitions;
mod game;
pub mod ledger;
pub mod log;
pub mod seams;
pub mod topology;
pub mod wire;
pub mod world;

pub use coverage::Coverage;
pub use game::{Game, run};

/// Something that must never be: what it was.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Violation {
    what: String,
}

impl Violation {
    /// A violation in words.
    #[must_use]
    pub fn new(what: String) -> Self {
        Self { what }
    }

    /// The same, with the step in which it was found and the story of the message that was watched.
    #[must_use]
    pub fn at(self, step: u64, story: &[String]) -> Self {
        let story: String = story.iter().map(|line| format!("\n    {line}")).collect();
        Self { what: format!("step {step}: {}{story}", self.what) }
    }
}
