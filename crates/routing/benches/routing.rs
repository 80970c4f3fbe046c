//! Bind, unbind and match cost (being written).

fn main() {}
