//! Every bound this crate puts on what a peer sends, with its unit and reason.

/// Nesting of tables and arrays in one field table, the outermost table included.
///
/// Real arguments and headers nest two or three deep (`x-death` is a table in an array in a table).
/// The bound keeps every recursive reader of an accepted table within a few kilobytes of stack.
pub const TABLE_DEPTH: usize = 16;

/// Elements (table fields and array items, nested ones included) in one field table.
///
/// An element costs as little as one byte on the wire and some 80 bytes as an
/// [`AMQPValue`](crate::amqp::AMQPValue), so the bound keeps decoded arguments under 512 KiB.
pub const TABLE_ELEMENTS: usize = 4096;

/// Longest short string, in bytes (spec 4.2.5.3): its length is one byte.
pub const SHORT_STRING_BYTES: usize = 255;
