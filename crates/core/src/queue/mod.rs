//! A queue in two parts: its [`Contents`], a function of what is logged, and its [`Consumers`], which are local
//! and start empty. The engine puts both under one lock and moves messages from one to the other.

mod consumers;
mod contents;
mod store;

pub use consumers::{Consumer, ConsumerKey, Consumers};
pub use contents::{Contents, Entry, Keep, SeqRanges, Totals};

#[cfg(test)]
mod tests;
