//! Tests of the topology (being written).
