//! An unmodified lapin against the broker at `AMQP_URL` (a local one on the default port without it).

mod connection;
mod consume;
mod publish;
mod support;
mod topology;
mod tls;
mod transactions;
