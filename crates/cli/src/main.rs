//! The binary leveretctl.

fn main() {}
