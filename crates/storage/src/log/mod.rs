//! The log: gathering, writing, reading back.

#[cfg_attr(not(test), allow(dead_code, reason = "the index uses the rest"))]
pub(crate) mod blob;
pub(crate) mod gather;
#[cfg_attr(not(test), allow(dead_code, reason = "the checkpoint uses the rest"))]
pub(crate) mod pool;
pub(crate) mod reserve;
pub(crate) mod sink;
pub(crate) mod slots;
pub(crate) mod walk;
pub(crate) mod writer;
