//! The rules of the broker as plain state machines: connection, channel, queue, vhost, access.
