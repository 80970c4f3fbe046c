//! The HTTP API: the only place that knows RabbitMQ's JSON shapes.
