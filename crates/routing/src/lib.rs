//! Which queues does this message reach? Exchanges, bindings and the walk over them.
