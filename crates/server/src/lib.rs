//! The tokio shell and the binary leveret.
