//! Bytes that survive: the log, its slots, recovery and the checkpoint of definitions.
