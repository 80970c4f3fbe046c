//! A queue in two parts: its [`Contents`], a function of what is logged, and its [`Consumers`], which are local
//! and start empty. The engine puts both under one lock and moves messages from one to the other.

mod consumers;
mod contents;
mod entry;
mod length_limit;
mod line;
mod planted;
mod ready;
mod seq_ranges;
mod store;
mod unacked;

pub use consumers::{Activity, Consumer, ConsumerKey, Consumers};
pub use contents::{Contents, ENTRY_BYTES, Requeued, Totals, Want};
pub use entry::{Entry, Keep};
pub use line::ColdCounts;
pub use seq_ranges::SeqRanges;

#[cfg(test)]
mod tests;
