//! Tests of access (being written).
