//! The binary leveret-perf: a load generator for any AMQP 0-9-1 broker.

fn main() {}
