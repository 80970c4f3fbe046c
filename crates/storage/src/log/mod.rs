//! The log: gathering, writing, reading back.

pub(crate) mod gather;
pub(crate) mod sink;
pub(crate) mod slots;
pub(crate) mod walk;
pub(crate) mod writer;
