//! An unmodified amqprs against the broker at `AMQP_URL`.

mod arguments;
mod channel;
mod connection;
mod support;
