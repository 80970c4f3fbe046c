//! AMQP 0-9-1: bytes to frames and methods, and back; holds no connection state.
