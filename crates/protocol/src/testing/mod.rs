//! For tests and the fuzzer only: a reference reader of a whole stream, and the malformed corpus.

pub mod corpus;
pub mod reader;
