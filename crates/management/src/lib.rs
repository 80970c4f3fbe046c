//! The HTTP API: the only place that knows RabbitMQ's JSON shapes.
//!
//! Owns the routes, who may call them, and the shape of every answer. Opens no socket and holds no state of the
//! broker: [`router`] is served by the shell over TCP and over the control socket, and everything it tells comes
//! from [`leveret_core::admin::Admin`].
//!
//! Every route stands in one table with the right it asks for; what is not in the table is not reachable. A field
//! that the broker does not know is left out: no number is made up.
//!
//! ```
//! use std::sync::Arc;
//! use leveret_core::admin::Admin;
//! use leveret_management::{router, Face};
//!
//! fn http_service(admin: Arc<dyn Admin>) -> axum::Router {
//!     router(admin, Face::Tcp)
//! }
//! ```

mod arguments;
mod auth;
mod binding;
mod bindings;
mod body;
mod channels;
mod connections;
mod consumers;
mod control;
pub mod definitions;
mod error;
mod exchanges;
mod features;
mod health;
mod leveret;
mod limits;
mod list;
mod message_stats;
mod messages;
mod node;
mod nodes;
mod object_limits;
mod overview;
mod parameters;
mod permissions;
mod policies;
mod prometheus;
mod queues;
mod rates;
mod request;
mod routes;
mod service;
#[cfg(test)]
mod test_broker;
#[cfg(test)]
mod tests;
mod topic_permissions;
mod users;
mod vhosts;

pub use node::{Node, node_router};
pub use prometheus::prometheus_router;
pub use service::{Face, router};
