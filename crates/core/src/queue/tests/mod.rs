//! The queue machine against plain lists.

mod cell;
mod contents;
mod list;
mod machine;
