//! The automation of this project; see CONTRIBUTING.md.

fn main() {}
